//! Windows that leave the head, and a restart from a checkpoint.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use norn_contract::source::ChunkBuf;
use norn_head::{Cut, Options, Step};
use norn_model::Millis;
use norn_wire::settings::FoldSettings;
use support::{Head, Series, T0, Value, plain_settings, samples, settings};

const UP: &[(&str, &str)] = &[("__name__", "up"), ("job", "x")];
const DOWN: &[(&str, &str)] = &[("__name__", "down"), ("job", "x")];
const HOUR: Millis = 3_600_000;
/// Start of a window of two hours.
const W0: Millis = T0.div_euclid(2 * HOUR) * 2 * HOUR;

/// Steps until the cut is complete.
fn finish_sweep(head: &mut Head) -> Cut {
    loop {
        match head.writer.step() {
            Step::More => {}
            Step::Cut(cut) => return cut,
            step => panic!("{step:?}: no cut was begun"),
        }
    }
}

fn read_part(cut: &Cut, tenant: &str, start: Millis) -> Vec<Series> {
    let selection = cut.select(&support::tenant(tenant), &(start..start + 2 * HOUR));
    let mut buf = ChunkBuf::default();
    let read = |(i, labels)| {
        buf.clear();
        selection.data.read(i, &mut buf).unwrap();
        (labels, samples(&buf, Millis::MIN, Millis::MAX))
    };
    selection.labels.into_iter().enumerate().map(read).collect()
}

fn times(samples: &BTreeMap<Millis, Value>) -> Vec<Millis> {
    samples.keys().copied().collect()
}

#[test]
fn closed_windows_leave_with_late_samples() {
    let mut head = Head::new(Options::default());
    head.apply(&settings("t", &FoldSettings { out_of_order_window: 4 * HOUR, ..plain_settings() }));
    assert_eq!(head.writer.closed_before(), None);
    for i in 0..=30 {
        assert_eq!(head.sample(UP, W0 + i * 10 * 60_000, i as f64), None);
    }
    assert_eq!(head.sample(DOWN, W0 + 4 * HOUR, 1.0), None);
    assert_eq!(head.sample(UP, W0 + 65 * 60_000, 0.5), None);
    assert_eq!(head.writer.closed_before(), Some(W0 + 4 * HOUR));
    assert!(!head.writer.begin_cut(W0 + 2 * HOUR - 1));
    assert!(head.writer.begin_cut(W0 + 2 * HOUR));
    assert!(!head.writer.begin_cut(W0 + 2 * HOUR));
    let cut = finish_sweep(&mut head);
    assert_eq!(cut.next_offset(), head.writer.next_offset());
    assert_eq!(cut.parts(), [(support::tenant("t"), W0..W0 + 2 * HOUR)]);
    let part = read_part(&cut, "t", W0);
    let mut want: Vec<Millis> = (0..12).map(|i| W0 + i * 10 * 60_000).collect();
    want.insert(7, W0 + 65 * 60_000);
    assert_eq!(part.len(), 1);
    assert_eq!(times(&part[0].1), want);
    // Nothing is gone before it is finished, and what a selection saw stays with it.
    assert_eq!(head.all("t")[1].1.len(), 32);
    head.writer.finish_cut(&cut);
    while !matches!(head.writer.step(), Step::Idle) {}
    assert_eq!(head.all("t")[1].1.len(), 19);
    assert_eq!(head.tenant("t").stats().range.unwrap().0, W0 + 2 * HOUR);
    // What comes for the window now goes to a new generation.
    assert_eq!(head.sample(UP, W0 + 119 * 60_000, 9.0), None);
    assert_eq!(head.all("t")[1].1.len(), 20);
    assert!(head.writer.begin_cut(W0 + 2 * HOUR));
    let cut = finish_sweep(&mut head);
    assert_eq!(times(&read_part(&cut, "t", W0)[0].1), [W0 + 119 * 60_000]);
    head.writer.abandon_cut(&cut);
    assert_eq!(head.sample(UP, W0 + 118 * 60_000, 9.0), None);
    assert!(head.writer.begin_cut(W0 + 2 * HOUR));
    let cut = finish_sweep(&mut head);
    assert_eq!(times(&read_part(&cut, "t", W0)[0].1), [W0 + 118 * 60_000, W0 + 119 * 60_000]);
}

#[test]
fn a_restart_needs_no_record_below_the_checkpoint() {
    let mut head = Head::new(Options::default());
    let mut records = vec![settings("t", &plain_settings())];
    for i in 0..30 {
        let t = W0 + i * 10 * 60_000;
        records.push(support::record("t", |b| {
            b.series(UP.iter().copied()).sample(t, i as f64);
        }));
    }
    for record in &records {
        assert!(head.apply(record).is_empty());
    }
    assert!(head.writer.begin_cut(W0 + 2 * HOUR));
    let cut = finish_sweep(&mut head);
    assert_eq!(head.writer.checkpoint().unwrap().offset, 1);
    head.writer.finish_cut(&cut);
    assert_eq!(head.writer.checkpoint(), None);
    while !matches!(head.writer.step(), Step::Idle) {}
    let checkpoint = head.writer.checkpoint().unwrap();
    assert_eq!(checkpoint.offset, 13);
    assert_eq!(checkpoint.tenants.len(), 1);
    assert_eq!(checkpoint.tenants[0].maxt, W0 + 110 * 60_000);
    let mut again = Head::new(Options::default());
    again.writer.restore(&checkpoint).unwrap();
    for record in &records[13..] {
        assert!(again.apply(record).is_empty());
    }
    assert_eq!(again.all("t"), head.all("t"));
    assert_eq!(again.all("t")[0].1.len(), 18);
    assert!(again.writer.restore(&checkpoint).is_err());
}

#[test]
fn what_is_said_of_windows_of_another_length_is_ignored() {
    let mut head = Head::new(Options::default());
    let mut records = vec![settings("t", &plain_settings())];
    for i in 0..=30 {
        records.push(support::record("t", |b| {
            b.series(UP.iter().copied()).sample(W0 + i * 10 * 60_000, i as f64);
        }));
    }
    records.iter().for_each(|record| assert!(head.apply(record).is_empty()));
    assert!(head.writer.begin_cut(W0 + 2 * HOUR));
    let cut = finish_sweep(&mut head);
    head.writer.finish_cut(&cut);
    while !matches!(head.writer.step(), Step::Idle) {}
    let mut checkpoint = head.writer.checkpoint().unwrap();
    (checkpoint.flushed, checkpoint.offset) = (vec![(W0, 1000)], 1);
    checkpoint.tenants[0].maxt = Millis::MIN;
    let samples = |chunk_range| {
        let mut again = Head::new(Options { chunk_range, ..Options::default() });
        again.writer.restore(&checkpoint).unwrap();
        for record in &records[1..] {
            let refused = again.apply(record);
            assert!(refused.is_empty(), "{refused:?}");
        }
        again.all("t")[0].1.len()
    };
    assert_eq!((samples(2 * HOUR), samples(4 * HOUR)), (19, 31));
}
