//! What every process needs: lifecycle, logging, metrics, a CPU pool. No sockets.
//!
//! | module | subject |
//! |---|---|
//! | [`service`] | named services: started in order, watched, stopped in reverse |
//! | [`logging`] | one line an event, logfmt or JSON |
//! | [`metrics`] | the registry, its text formats, figures of the process |
//! | [`pool`] | threads for work that computes |
//! | [`descriptors`] | how many files and sockets may be open |
//! | [`cpu_time`] | CPU seconds of threads and of the process |
//! | [`stage`] | CPU seconds of the write road, by stage |

pub mod cpu_time;
pub mod descriptors;
pub mod logging;
pub mod metrics;
pub mod pool;
pub mod service;
pub mod stage;
