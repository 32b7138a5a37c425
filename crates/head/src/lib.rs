//! Recent samples of one log partition, of all its tenants.
//!
//! The head is a fold over the partition's records: [`Writer::apply`] takes them in order, decides
//! by what came before and by nothing else, and says what it refused. A [`Reader`] gives each
//! tenant's series while the writer goes on; it holds the writer up for the copy of an open chunk
//! or for a slice of look-ups, never for a query.
//!
//! ```text
//! record ─ resolve ─ catalog: texts, label pairs, series, postings
//!             └ folder ─ page: newest samples and open chunks of 256 series
//!                          ├ cells: words of open float chunks
//!                          ├ late: samples that came out of order
//!                          └ window: sealed chunks of two hours, each naming the one before
//! select ─ order ─ series: matchers → series → labels in order → chunks
//! ```
//!
//! | module | subject |
//! |---|---|
//! | `writer`, `folder`, `resolve` | a record's way in |
//! | `fold`, `reserve`, `reject` | rules for a sample, for a new series, and refusals in words |
//! | `catalog`, `text`, `identity`, `set`, `runs` | who is there: interned texts, pairs, series, postings |
//! | `removal`, `collect` | how they leave |
//! | `page`, `cells`, `histogram`, `late`, `value` | newest samples |
//! | `window`, `storage`, `files` | sealed chunks |
//! | `cut`, `checkpoint` | windows on their way into blocks, and what a restart needs then |
//! | `snapshot` | the head as a file |
//! | `reader`, `select`, `order`, `series`, `cardinality` | ways out |
//! | `created` | zero samples where series began to count |
//! | `beside`, `tenant` | exemplars and metadata |
//! | `stats`, `digest` | counts, a hash of everything |
//! | `shared` | what both sides share, and the order of locks |
//! | `paged`, `table`, `slab`, `bits` | lists, hash tables, bytes and bits that grow and shrink without long pauses |
//!
//! Closed windows leave as a [`Cut`] that another role turns into blocks.

mod beside;
mod bits;
mod cardinality;
mod catalog;
mod cells;
mod checkpoint;
mod collect;
mod created;
mod cut;
mod digest;
mod files;
mod fold;
mod folder;
mod histogram;
mod identity;
mod late;
mod options;
mod order;
mod page;
mod paged;
mod reader;
mod reject;
mod removal;
mod reserve;
mod resolve;
mod runs;
mod select;
mod series;
mod set;
mod shared;
mod slab;
mod snapshot;
mod stats;
mod storage;
mod table;
mod tenant;
mod text;
mod value;
mod window;
mod writer;

use std::sync::Arc;

pub use checkpoint::{Checkpoint, CheckpointError, Known, TenantBounds};
pub use cut::{Cut, Step};
pub use options::{Options, Storage};
pub use reader::{Reader, TenantReader};
pub use snapshot::{Encoder as SnapshotEncoder, Piece as SnapshotPiece, SnapshotError, load};
pub use stats::{MemoryStats, TenantStats};
pub use writer::{ApplyError, Writer};

/// An empty head: its writer and its readers' side.
pub fn new(options: Options) -> (Writer, Arc<Reader>) {
    let shared = Arc::new(shared::Shared::new(options));
    (Writer::new(Arc::clone(&shared)), Arc::new(Reader::new(shared)))
}
