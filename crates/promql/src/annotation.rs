//! Warnings and infos: what a result should be read with.
//!
//! A note is a kind, a position and a subject such as a metric name. Each combination is kept
//! once, and its text is made when the query is finished, so that a note which every series
//! repeats costs a look-up.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use norn_model::Millis;
use norn_model::quote::Quoted;
use parking_lot::Mutex;

use crate::numeric::format::{general, general2};
use crate::operator::calendar;
use crate::plan::Position;
use crate::plan::order::Order;

/// What a note says; the subject completes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoteKind {
    /// W: ratio out of range; subject `got, capping to`.
    Ratio,
    /// W: quantile out of range; subject the number.
    Quantile,
    /// W: `le` is missing or malformed; subject its quoted value and perhaps the metric.
    BadBucketLabel,
    /// W: floats and histograms in one range; subject the metric.
    MixedRange,
    /// W: floats and histograms in one group.
    MixedGroup,
    /// W: classic and native histograms with equal labels; subject the metric, if known.
    MixedClassicNative,
    /// W: a counter function over a gauge histogram; subject the metric.
    NotCounter,
    /// W: a gauge function over a counter histogram; subject the metric.
    NotGauge,
    /// W: exponential and custom buckets; subject the metric.
    MixedSchemas,
    /// W: the same, between operands; subject the operator.
    IncompatibleLayout,
    /// W: sorting a range query.
    SortInRange,
    /// W: reset hints contradict; subject the operation.
    ConflictingResets,
    /// W: a start timestamp lies before the previous sample; subject the metric.
    OverlappingStart,
    /// W: the result was cut; for callers that limit series.
    Truncated,
    /// I: a counter function over what may be no counter; subject the metric.
    MaybeNotCounter,
    /// I: the same, judged by `__type__`; subject type and metric.
    NotCounterType,
    /// I: types an operator can not combine; subject the whole tail.
    IncompatibleTypes,
    /// I: histograms ignored by an aggregation; subject the operator.
    IgnoredInGroup,
    /// I: histograms ignored by a range function; subject the metric.
    IgnoredInRange,
    /// I: NaN observations; subject `histogram_quantile… result is …` tail.
    NanObservations,
    /// I: custom bounds were reconciled; subject the operation.
    ReconciledBounds,
}

/// A repair of classic buckets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repair {
    /// Upper bound of the first repaired bucket.
    pub lowest: f64,
    /// Upper bound of the last repaired bucket.
    pub highest: f64,
    /// Largest difference.
    pub difference: f64,
}

#[derive(Clone, Debug)]
struct Repairs {
    repair: Repair,
    first: Millis,
    last: Millis,
    count: i64,
    /// Whether a step has ended since the first.
    stepped: bool,
}

impl Repairs {
    fn merge(&mut self, other: &Self) {
        self.repair.lowest = self.repair.lowest.min(other.repair.lowest);
        self.repair.highest = self.repair.highest.max(other.repair.highest);
        self.repair.difference = self.repair.difference.max(other.repair.difference);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.count = self.count.wrapping_add(other.count);
    }
}

/// Notes of one query. Workers share it.
#[derive(Debug, Default)]
pub struct Notes {
    plain: Mutex<HashMap<(NoteKind, Position), HashSet<String>>>,
    counted: Mutex<BTreeMap<(NoteKind, Position, String), u64>>,
    repairs: Mutex<BTreeMap<(Position, String), Repairs>>,
}

impl Notes {
    /// Notes `kind` with `subject` at `position`.
    pub fn add(&self, kind: NoteKind, position: Position, subject: &str) {
        let mut plain = self.plain.lock();
        let subjects = plain.entry((kind, position)).or_default();
        if !subjects.contains(subject) {
            subjects.insert(subject.to_owned());
        }
    }

    /// Notes something whose occurrences are counted.
    pub fn count(&self, kind: NoteKind, position: Position, subject: &str) {
        *self.counted.lock().entry((kind, position, subject.to_owned())).or_insert(0) += 1;
    }

    /// Notes that classic buckets of `metric` had to be made monotonic at `time`.
    pub fn repaired(&self, position: Position, metric: &str, repair: Repair, time: Millis) {
        let mut repairs = self.repairs.lock();
        let entry = repairs.entry((position, metric.to_owned())).or_insert(Repairs {
            repair,
            first: time,
            last: time,
            count: 0,
            stepped: false,
        });
        entry.merge(&Repairs { repair, first: time, last: time, count: 1, stepped: false });
    }

    /// Ends a step of the function at `position`. At each step after the first with a repair the
    /// reference adds what it has counted so far to itself, even past the end of 64 bits.
    pub fn step_ended(&self, position: Position) {
        for (_, repairs) in self.repairs.lock().iter_mut().filter(|((p, _), _)| *p == position) {
            if std::mem::replace(&mut repairs.stepped, true) {
                repairs.count = repairs.count.wrapping_mul(2);
            }
        }
    }

    /// Warnings and infos as whole texts; `query` gives lines and columns. Of equal texts the last in
    /// `order` is kept, of what is counted and of repairs the first.
    pub fn render(&self, query: &str, order: &Order) -> (Vec<String>, Vec<String>) {
        let (mut warnings, mut infos) = (Vec::new(), Vec::new());
        let plain = self.plain.lock();
        let mut last: BTreeMap<(NoteKind, &str), Position> = BTreeMap::new();
        for ((kind, position), subjects) in plain.iter() {
            for subject in subjects {
                let kept = last.entry((*kind, subject)).or_insert(*position);
                let done = |position| match kind {
                    NoteKind::MixedRange | NoteKind::MixedSchemas => order.of_selector(position),
                    _ => order.of_position(position),
                };
                if done(*position) > done(*kept) {
                    *kept = *position;
                }
            }
        }
        for ((kind, subject), position) in last {
            let text = whole(kind, subject, "", &place(query, position));
            if is_warning(kind) { &mut warnings } else { &mut infos }.push(text);
        }
        let counted = self.counted.lock();
        let mut in_order: Vec<_> = counted.iter().collect();
        in_order.sort_by_key(|((_, position, _), _)| order.of_position(*position));
        let mut sums: BTreeMap<(NoteKind, &str), (Position, u64)> = BTreeMap::new();
        for ((kind, position, subject), count) in in_order {
            sums.entry((*kind, subject)).or_insert((*position, 0)).1 += count;
        }
        for ((kind, subject), (position, count)) in sums {
            let times = if count > 1 { format!(" ({count} occurrences)") } else { String::new() };
            warnings.push(whole(kind, subject, &times, &place(query, position)));
        }
        let repairs = self.repairs.lock();
        let mut in_order: Vec<_> = repairs.iter().collect();
        in_order.sort_by_key(|((position, _), _)| order.of_position(*position));
        let mut merged: BTreeMap<&str, (Position, Repairs)> = BTreeMap::new();
        for ((position, metric), repairs) in in_order {
            match merged.entry(metric) {
                Entry::Vacant(entry) => drop(entry.insert((*position, repairs.clone()))),
                Entry::Occupied(mut entry) => entry.get_mut().1.merge(repairs),
            }
        }
        for (metric, (position, repairs)) in merged {
            infos.push(repaired_text(metric, &repairs, &place(query, position)));
        }
        warnings.sort_unstable();
        infos.sort_unstable();
        (warnings, infos)
    }
}

/// ` for metric name "x"`, or nothing where the name is not known.
pub fn for_metric(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" for metric name {}", Quoted(name)) }
}

fn is_warning(kind: NoteKind) -> bool {
    kind < NoteKind::MaybeNotCounter
}

fn whole(kind: NoteKind, subject: &str, times: &str, place: &str) -> String {
    let level = if is_warning(kind) { "warning" } else { "info" };
    if kind == NoteKind::Truncated {
        return "results truncated due to limit".to_owned();
    }
    format!("PromQL {level}: {}{times} ({place})", message(kind, subject))
}

fn message(kind: NoteKind, subject: &str) -> String {
    let named = Quoted(subject);
    match kind {
        NoteKind::Ratio => format!("ratio value should be between -1 and 1, got {subject}"),
        NoteKind::Quantile => format!("quantile value should be between 0 and 1, got {subject}"),
        NoteKind::BadBucketLabel => {
            format!("bucket label \"le\" is missing or has a malformed value of {subject}")
        }
        NoteKind::MixedRange => {
            format!("encountered a mix of histograms and floats for metric name {}", named)
        }
        NoteKind::MixedGroup => "encountered a mix of histograms and floats for aggregation".to_owned(),
        NoteKind::MixedClassicNative => {
            format!("vector contains a mix of classic and native histograms{}", for_metric(subject))
        }
        NoteKind::NotCounter => format!("this native histogram metric is not a counter: {}", named),
        NoteKind::NotGauge => format!("this native histogram metric is not a gauge: {}", named),
        NoteKind::MixedSchemas => format!(
            "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {}",
            named
        ),
        NoteKind::IncompatibleLayout => {
            format!("incompatible bucket layout encountered for binary operator {subject}")
        }
        NoteKind::SortInRange => {
            "sort is ineffective for range queries since results are always ordered by labels".to_owned()
        }
        NoteKind::ConflictingResets => format!("conflicting counter resets during histogram {subject}"),
        NoteKind::OverlappingStart => {
            format!("sample has start time that overlaps with previous sample timestamp for metric {}", named)
        }
        NoteKind::Truncated => String::new(),
        NoteKind::MaybeNotCounter => format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
            named
        ),
        NoteKind::NotCounterType => format!(
            "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {subject}"
        ),
        NoteKind::IncompatibleTypes => {
            format!("incompatible sample types encountered for binary operator {subject}")
        }
        NoteKind::IgnoredInGroup => format!("ignored histogram in {subject} aggregation"),
        NoteKind::IgnoredInRange => format!(
            "ignored histograms in a range containing both floats and histograms for metric name {}",
            named
        ),
        NoteKind::NanObservations => format!("input to {subject}"),
        NoteKind::ReconciledBounds => {
            format!("mismatched custom buckets were reconciled during {subject}")
        }
    }
}

fn repaired_text(metric: &str, repairs: &Repairs, place: &str) -> String {
    let Repair { lowest, highest, difference } = repairs.repair;
    format!(
        "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
         https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}, from buckets \
         {} to {}, with a max diff of {}, over {} samples from {} to {} ({place})",
        for_metric(metric),
        general(lowest),
        general(highest),
        general2(difference),
        repairs.count,
        rfc3339(repairs.first),
        rfc3339(repairs.last),
    )
}

/// A time in UTC without fractions of a second.
fn rfc3339(ms: Millis) -> String {
    let seconds = ms.div_euclid(1000);
    let date = calendar::Date::of_seconds(seconds);
    let of_day = calendar::second_of_day(seconds);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year,
        date.month,
        date.day,
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// `line:column` of a byte, both from 1.
fn place(query: &str, position: Position) -> String {
    let before = &query.as_bytes()[..query.len().min(position as usize)];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    format!("{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_notes_are_kept_once() {
        let notes = Notes::default();
        for _ in 0..3 {
            notes.add(NoteKind::MaybeNotCounter, 5, "m");
        }
        notes.add(NoteKind::Quantile, 9, "2");
        let (warnings, infos) = notes.render("rate(\nm[5m])", &Order::default());
        assert_eq!(warnings, ["PromQL warning: quantile value should be between 0 and 1, got 2 (2:4)"]);
        assert_eq!(
            infos,
            [
                "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"m\" (1:6)"
            ]
        );
    }

    #[test]
    fn occurrences_are_added_up() {
        let notes = Notes::default();
        notes.count(NoteKind::OverlappingStart, 5, "a");
        notes.count(NoteKind::OverlappingStart, 5, "b");
        notes.count(NoteKind::OverlappingStart, 20, "a");
        let (warnings, _) = notes.render("rate(a[5m]) + rate(a[5m])", &Order::default());
        let text =
            "PromQL warning: sample has start time that overlaps with previous sample timestamp for metric";
        let want = [format!("{text} \"a\" (2 occurrences) (1:6)"), format!("{text} \"b\" (1:6)")];
        assert_eq!(warnings, want);
    }

    #[test]
    fn repairs_are_merged() {
        let notes = Notes::default();
        let repair = |lowest, highest, difference| Repair { lowest, highest, difference };
        notes.repaired(0, "", repair(1.0, 2.0, 0.5), 0);
        notes.repaired(0, "", repair(0.5, 1.0, 0.25), 60_000);
        let (_, infos) = notes.render("x", &Order::default());
        assert!(infos[0].contains(
            "from buckets 0.5 to 2, with a max diff of 0.5, over 2 samples from 1970-01-01T00:00:00Z to \
             1970-01-01T00:01:00Z (1:1)"
        ));
    }
}
