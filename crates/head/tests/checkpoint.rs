//! The bytes of checkpoints: what was written stays readable, what was changed is refused.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use norn_head::{Checkpoint, CheckpointError, Known, TenantBounds};
use norn_model::Millis;
use norn_wire::settings::FoldSettings;
use support::{plain_settings, tenant};

/// Of version 1, as it was first written.
const GOLDEN: &[u8] = include_bytes!("../testdata/checkpoint-v1");

fn example() -> Checkpoint {
    let settings = FoldSettings {
        out_of_order_window: 60_000,
        max_series: 150_000,
        max_series_per_metric: 20_000,
        max_exemplars: 1000,
        native_histograms: true,
        ..FoldSettings::default()
    };
    Checkpoint {
        offset: 1_234_567,
        chunk_range: 7_200_000,
        flushed: vec![(1_700_006_400_000, 1_300_000), (-7_200_000, u64::MAX)],
        tenants: vec![
            TenantBounds { tenant: tenant("a"), settings, maxt: 1_700_006_400_123 },
            TenantBounds { tenant: tenant("team-b"), settings: plain_settings(), maxt: Millis::MIN },
        ],
        known: Arc::new(Known {
            below: 1_300_001,
            series: vec![(tenant("a"), vec![0, 7, 0x1234_5678_9abc_def0, u64::MAX])],
        }),
    }
}

#[test]
fn the_first_version_stays_readable() {
    assert_eq!(Checkpoint::decode(GOLDEN), Ok(example()));
    assert_eq!(Checkpoint::decode(&example().encode()), Ok(example()));
    assert_eq!(Checkpoint::decode(&Checkpoint::default().encode()), Ok(Checkpoint::default()));
}

#[test]
fn hashes_are_sorted_when_they_are_written() {
    let known = |series| Checkpoint {
        known: Arc::new(Known { below: 1, series: vec![(tenant("a"), series)] }),
        ..Checkpoint::default()
    };
    assert_eq!(Checkpoint::decode(&known(vec![9, 3, 9, 5]).encode()), Ok(known(vec![3, 5, 9])));
}

#[test]
fn every_changed_or_missing_byte_is_noticed() {
    for at in 0..GOLDEN.len() {
        let mut bytes = GOLDEN.to_vec();
        bytes[at] ^= 0x10;
        assert!(Checkpoint::decode(&bytes).is_err(), "byte {at}");
        assert!(Checkpoint::decode(&GOLDEN[..at]).is_err(), "{at} bytes");
    }
    let mut newer = GOLDEN.to_vec();
    newer[8] = 2;
    assert_eq!(Checkpoint::decode(&newer), Err(CheckpointError::Version(2)));
    assert_eq!(Checkpoint::decode(b"NORNLOG\0"), Err(CheckpointError::Magic));
    assert_eq!(Checkpoint::decode(&[GOLDEN, b"x"].concat()), Err(CheckpointError::Checksum));
}
