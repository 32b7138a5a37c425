//! A series' identity: label pairs sorted by name, in one allocation.
//!
//! # Layout
//!
//! `Labels` is one `Arc<str>`: for each pair `len(name) name len(value) value`. A length below
//! 127 is one byte; a longer one is byte `0x7f` and four 7-bit digits, most significant first.
//! Every length byte is ASCII, so the whole buffer is valid UTF-8 and slices of it are `&str`
//! without a second check.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::quote::Quoted;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";

const LONG: u8 = 0x7f;
/// Longest name or value that can be stored: 2^28 − 1 bytes.
pub const MAX_TEXT_LEN: usize = (1 << 28) - 1;

/// Sorted, unique label pairs without empty values. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels {
    text: Arc<str>,
}

impl Labels {
    /// No labels.
    pub fn empty() -> Self {
        Self { text: Arc::from("") }
    }

    /// Labels from pairs in any order. Empty values are left out; of equal names the last wins.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::new();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// Labels from pairs that are already sorted by name, unique and non-empty.
    ///
    /// The order is not checked in release builds.
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::new();
        Self::write_sorted(pairs, &mut text);
        Self { text: Arc::from(text) }
    }

    /// As [`Labels::from_sorted`], with a scratch buffer kept by the caller.
    pub fn from_sorted_with<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        scratch: &mut String,
    ) -> Self {
        scratch.clear();
        Self::write_sorted(pairs, scratch);
        Self { text: Arc::from(scratch.as_str()) }
    }

    fn write_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, text: &mut String) {
        let mut last: Option<&str> = None;
        for (name, value) in pairs {
            debug_assert!(last.is_none_or(|l| l < name), "labels out of order: {last:?} then {name:?}");
            push_text(text, name);
            push_text(text, value);
            last = Some(name);
        }
    }

    /// Pairs in name order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.text }
    }

    /// The value of `name`, or `""` where absent.
    pub fn get(&self, name: &str) -> &str {
        for (n, v) in self.iter() {
            match n.cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => return v,
                Ordering::Greater => break,
            }
        }
        ""
    }

    /// Whether `name` is present.
    pub fn has(&self, name: &str) -> bool {
        self.iter().any(|(n, _)| n == name)
    }

    /// The metric name, or `""`.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// Whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Bytes of heap the text occupies.
    pub fn size_bytes(&self) -> usize {
        self.text.len()
    }

    /// The encoded text (see the module doc): equal labels have equal bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// A builder that starts with these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// The pairs for which `keep` is true.
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Labels {
        Labels::from_sorted(self.iter().filter(|(n, _)| keep(n)))
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl Ord for Labels {
    /// Prometheus' order: pair by pair, name before value; the shorter set first.
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Labels {
    /// Prometheus' text form: `{__name__="up", job="x"}`, names quoted where they are not plain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if is_legacy_label_name(name) {
                write!(f, "{name}={}", Quoted(value))?;
            } else {
                write!(f, "{}={}", Quoted(name), Quoted(value))?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterator over the pairs of a [`Labels`].
#[derive(Clone)]
pub struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let name = take_text(&mut self.rest);
        let value = take_text(&mut self.rest);
        Some((name, value))
    }
}

fn push_text(out: &mut String, text: &str) {
    let len = text.len();
    assert!(len <= MAX_TEXT_LEN, "label text of {len} bytes");
    if len < LONG as usize {
        out.push(len as u8 as char);
    } else {
        out.push(LONG as char);
        for shift in [21, 14, 7, 0] {
            out.push(((len >> shift) & 0x7f) as u8 as char);
        }
    }
    out.push_str(text);
}

fn take_text<'a>(rest: &mut &'a str) -> &'a str {
    let bytes = rest.as_bytes();
    let (len, header) = if bytes[0] < LONG {
        (bytes[0] as usize, 1)
    } else {
        (bytes[1..5].iter().fold(0, |n, &b| (n << 7) | b as usize), 5)
    };
    let (text, tail) = rest[header..].split_at(len);
    *rest = tail;
    text
}

/// Collects label changes and makes [`Labels`].
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name` to `value`; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(i) if value.is_empty() => {
                self.pairs.remove(i);
            }
            Ok(i) => value.clone_into(&mut self.pairs[i].1),
            Err(_) if value.is_empty() => {}
            Err(i) => self.pairs.insert(i, (name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.set(name, "")
    }

    /// The value of `name`, or `""`.
    pub fn get(&self, name: &str) -> &str {
        match self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(i) => &self.pairs[i].1,
            Err(_) => "",
        }
    }

    /// The labels collected so far.
    pub fn build(&self) -> Labels {
        Labels::from_sorted(self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }
}

/// Whether `name` matches `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_legacy_label_name(name: impl AsRef<[u8]>) -> bool {
    is_name(name.as_ref(), LABEL)
}

/// Whether `name` matches `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_legacy_metric_name(name: impl AsRef<[u8]>) -> bool {
    is_name(name.as_ref(), METRIC)
}

const LABEL: u8 = 1;
const METRIC: u8 = 2;

/// For each byte the kinds of names it may stand in.
const NAME_BYTES: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 128 {
        let c = b as u8;
        if c.is_ascii_alphanumeric() || c == b'_' {
            table[b] = LABEL | METRIC;
        } else if c == b':' {
            table[b] = METRIC;
        }
        b += 1;
    }
    table
};

#[inline]
fn is_name(bytes: &[u8], kind: u8) -> bool {
    // No early end: names are short and nearly always valid.
    let kinds = bytes.iter().fold(kind, |kinds, b| kinds & NAME_BYTES[*b as usize]);
    kinds != 0 && bytes.first().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_short_and_long_text() {
        let long = "x".repeat(70_000);
        let labels = Labels::from_pairs([("b", long.as_str()), ("a", "1"), ("empty", ""), ("ü", "é")]);
        let pairs: Vec<_> = labels.iter().collect();
        assert_eq!(pairs, [("a", "1"), ("b", long.as_str()), ("ü", "é")]);
        assert_eq!(labels.get("b").len(), 70_000);
        assert_eq!(labels.get("missing"), "");
        assert_eq!(labels.to_builder().build(), labels);
    }

    #[test]
    fn orders_as_prometheus_does() {
        let a = Labels::from_pairs([("a", "1")]);
        let ab = Labels::from_pairs([("a", "1"), ("b", "2")]);
        let b = Labels::from_pairs([("b", "1")]);
        let a_long = Labels::from_pairs([("a", "x".repeat(200).as_str())]);
        assert!(Labels::empty() < a && a < ab && ab < b && ab < a_long && a_long < b);
    }

    #[test]
    fn knows_legacy_names() {
        for (name, label, metric) in [
            ("a", true, true),
            ("_a9Z", true, true),
            ("a:b", false, true),
            (":", false, true),
            ("9a", false, false),
            ("", false, false),
            ("a-b", false, false),
            ("é", false, false),
        ] {
            assert_eq!(
                (is_legacy_label_name(name), is_legacy_metric_name(name)),
                (label, metric),
                "{name:?}"
            );
        }
    }

    #[test]
    fn prints_like_prometheus() {
        let labels = Labels::from_pairs([("__name__", "up"), ("a.b", "q\"\n\0")]);
        assert_eq!(labels.to_string(), r#"{__name__="up", "a.b"="q\"\n\x00"}"#);
    }
}
