//! The simulation must be repeatable, pass with an honest disk, and fail with one that lies.

use std::panic::catch_unwind;

use norn_log::memory::Lies;
use norn_sim::world::{Plan, run};

/// Seeds of which a run fails.
fn caught(seeds: u64, lies: Lies) -> Vec<u64> {
    let fails = |seed: &u64| {
        let plan = Plan { lies, ..Plan::new(*seed) };
        !matches!(catch_unwind(|| run(plan)), Ok(Ok(_)))
    };
    (0..seeds).filter(fails).collect()
}

#[test]
fn an_honest_disk_passes() {
    assert_eq!(caught(20, Lies::default()), [0u64; 0]);
}

#[test]
fn equal_seeds_are_equal_runs() {
    for seed in 0..10 {
        let tally = run(Plan::new(seed));
        assert!(tally.is_ok());
        assert_eq!(tally, run(Plan::new(seed)));
        assert_ne!(tally, run(Plan::new(seed + 1)));
    }
}

#[test]
fn a_disk_whose_file_syncs_do_nothing_is_caught() {
    let caught = caught(20, Lies { data: true, names: false });
    assert!(caught.len() > 10, "only {caught:?}");
}

#[test]
fn a_disk_whose_directory_syncs_do_nothing_is_caught() {
    let caught = caught(20, Lies { data: false, names: true });
    assert!(caught.len() > 10, "only {caught:?}");
}
