//! Faults under load, and the acknowledgement ledger after each of them.
//!
//! | module | fault |
//! |---|---|
//! | `kill` | `kill -9`, SIGTERM, other partitions |
//! | `files` | damaged segments, a second process on the same data |
//! | `small_disk` | full, read-only and failing disks; as root only |
//! | `system_calls` | none: what is synced before it is acknowledged, as the system sees it |

mod files;
mod kill;
mod small_disk;
mod system_calls;

use std::time::{SystemTime, UNIX_EPOCH};

use norn_tests::ledger::{Load, Options};

/// No limit of rates, small segments, tenants.
const FLAGS: [&str; 5] = [
    "-self-monitoring.enabled=false",
    "-auth.multitenancy-enabled=true",
    "-distributor.ingestion-rate-limit=1000000000",
    "-distributor.ingestion-burst-size=1000000000",
    "-embedded-log.segment-size-bytes=1048576",
];
/// Late samples are taken.
const LATE: &str = "-ingester.out-of-order-time-window=10m";

/// Clients with content from `$NORN_SEED`, or from the time.
fn load(clients: usize, late: bool) -> Load {
    let seed = std::env::var("NORN_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64));
    println!("NORN_SEED={seed}");
    Load::new(Options { seed, clients, late })
}
