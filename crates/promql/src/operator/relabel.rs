//! `label_replace` and `label_join`: rows stay, labels change.

use norn_model::labels::{Labels, METRIC_NAME};
use norn_model::matcher::{MatchOp, Matcher};
use regex::Regex;

use crate::error::QueryError;
use crate::grid::Grid;
use crate::operator::{Table, merge, open as open_vector};
use crate::plan::VectorPlan;
use crate::query::Query;

/// What happens to labels.
#[derive(Clone, Debug)]
pub enum Relabel {
    /// `label_replace(v, target, replacement, source, pattern)`.
    Replace {
        /// Label that is written.
        target: String,
        /// Its new value, with `$1` and `${name}`.
        replacement: String,
        /// Label that is read.
        source: String,
        /// Anchored pattern.
        pattern: Regex,
    },
    /// `label_join(v, target, separator, sources…)`.
    Join {
        /// Label that is written.
        target: String,
        /// What stands between values.
        separator: String,
        /// Labels that are read.
        sources: Vec<String>,
    },
}

impl Relabel {
    /// `label_replace`; fails where `pattern` is none.
    pub fn replace(
        target: String,
        replacement: String,
        source: String,
        pattern: &str,
    ) -> Result<Self, QueryError> {
        let invalid =
            || QueryError::execution(format!("invalid regular expression in label_replace(): {pattern}"));
        // A matcher says whether the pattern is one; it keeps no groups to copy from.
        Matcher::new(MatchOp::Regex, &source, pattern).map_err(|_| invalid())?;
        let pattern = Regex::new(&format!("^(?s:{})$", ascii_classes(pattern))).map_err(|_| invalid())?;
        Ok(Self::Replace { target, replacement, source, pattern })
    }

    fn target(&self) -> &str {
        match self {
            Self::Replace { target, .. } | Self::Join { target, .. } => target,
        }
    }

    /// The new value of the target label; `None` where labels stay as they are.
    fn value(&self, labels: &Labels) -> Option<String> {
        match self {
            Self::Replace { replacement, source, pattern, .. } => {
                let captures = pattern.captures(labels.get(source))?;
                let mut value = String::new();
                captures.expand(replacement, &mut value);
                Some(value)
            }
            Self::Join { separator, sources, .. } => {
                let values: Vec<&str> = sources.iter().map(|s| labels.get(s)).collect();
                Some(values.join(separator))
            }
        }
    }
}

/// Opens the function.
pub fn open<'q>(
    relabel: &Relabel,
    input: &'q VectorPlan,
    grid: Grid,
    q: &'q Query,
) -> Result<Table<'q>, QueryError> {
    let table = open_vector(input, grid, q)?;
    let mut series = table.series.clone();
    for s in &mut series {
        if let Some(value) = relabel.value(&s.labels) {
            let mut builder = s.labels.to_builder();
            builder.set(relabel.target(), &value);
            s.labels = builder.build();
            s.drop_name &= relabel.target() != METRIC_NAME;
        }
    }
    merge::always(table.with_series(series), grid, q)
}

/// Spells out what Go's dialect means by classes that know more characters here, and escapes what
/// has a meaning inside brackets only here.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut in_class = false;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str("[\\t\\n\\f\\r ]"),
                Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
                Some('b') => out.push_str("(?-u:\\b)"),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if in_class && chars.peek() != Some(&':') => out.push_str("\\["),
            '&' | '~' if in_class => out.extend(['\\', c]),
            '[' => {
                out.push('[');
                if !in_class {
                    in_class = true;
                    // A bracket that comes first is a character.
                    if chars.peek() == Some(&'^') {
                        out.extend(chars.next());
                    }
                    if chars.next_if_eq(&']').is_some() {
                        out.push_str("\\]");
                    }
                }
            }
            ']' => {
                // `[:alpha:]` ends with `:]`, which does not end the class around it.
                in_class &= out.ends_with(':');
                out.push(']');
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn replaced(pattern: &str, replacement: &str, value: &str) -> Option<String> {
        let [target, replacement, source] = ["dst", replacement, "src"].map(str::to_owned);
        Relabel::replace(target, replacement, source, pattern)
            .unwrap()
            .value(&Labels::from_pairs([("src", value)]))
    }

    #[test]
    fn copies_groups() {
        assert_eq!(replaced("source-(.*)", "value-$1", "source-10").as_deref(), Some("value-10"));
        assert_eq!(replaced("(?P<n>\\d+)x", "<${n}>$$", "12x").as_deref(), Some("<12>$"));
        assert_eq!(replaced("(.*)", "$1y", "a").as_deref(), Some(""));
        assert_eq!(replaced("o", "$1", "foo"), None);
        assert_eq!(replaced("\\d", "x", "\u{0663}"), None);
        assert_eq!(replaced("[[\\w]+", "x", "[a").as_deref(), Some("x"));
        assert_eq!(replaced("[[:alpha:]0]+", "x", "a0").as_deref(), Some("x"));
    }
}
