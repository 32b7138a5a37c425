//! Label matchers with Go's regular-expression dialect.
//!
//! Prometheus anchors patterns at both ends, lets `.` match a newline and keeps Perl classes
//! ASCII-only. An absent label counts as the empty string.

use std::fmt;
use std::sync::Arc;

use crate::pattern::Pattern;
use crate::quote::Quoted;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// A pattern that is not valid in Go's dialect.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("error parsing regexp: {0}")]
pub struct PatternError(pub String);

/// One condition on one label. Cloning copies a pointer.
#[derive(Clone)]
pub struct Matcher {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    op: MatchOp,
    value: String,
    /// Present where `op` takes a pattern.
    pattern: Option<Pattern>,
}

impl Matcher {
    /// A matcher; fails where `op` takes a pattern and `value` is not one.
    pub fn new(op: MatchOp, name: &str, value: &str) -> Result<Self, PatternError> {
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Pattern::new(value).map_err(PatternError)?),
        };
        Ok(Self::from_parts(op, name, value, pattern))
    }

    /// `name="value"`.
    pub fn equal(name: &str, value: &str) -> Self {
        Self::from_parts(MatchOp::Equal, name, value, None)
    }

    fn from_parts(op: MatchOp, name: &str, value: &str, pattern: Option<Pattern>) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        Self { inner: Arc::new(Inner { name, op, value, pattern }) }
    }

    /// The label looked at.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// How it compares.
    pub fn op(&self) -> MatchOp {
        self.inner.op
    }

    /// The text or pattern as written.
    pub fn value(&self) -> &str {
        &self.inner.value
    }

    /// Whether a label with this value (`""` for absent) passes.
    pub fn matches(&self, value: &str) -> bool {
        let found = match &self.inner.pattern {
            None => self.inner.value == value,
            Some(pattern) => pattern.matches(value),
        };
        found == self.is_positive()
    }

    /// Whether a series without the label passes.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    fn is_positive(&self) -> bool {
        matches!(self.inner.op, MatchOp::Equal | MatchOp::Regex)
    }

    /// The exact values a positive matcher can pass (`=`, or `=~` of plain alternatives), sorted
    /// and unique; `None` where they can not be listed.
    pub fn exact_values(&self) -> Option<&[String]> {
        match &self.inner.pattern {
            _ if !self.is_positive() => None,
            None => Some(std::slice::from_ref(&self.inner.value)),
            Some(pattern) => pattern.exact_values(),
        }
    }

    /// The text every passing value starts with; empty where there is none.
    pub fn prefix(&self) -> &str {
        match &self.inner.pattern {
            _ if !self.is_positive() => "",
            None => &self.inner.value,
            Some(pattern) => pattern.prefix(),
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
            || (self.op() == other.op() && self.name() == other.name() && self.value() == other.value())
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    /// `name="value"`, the name quoted where it is not a plain word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if crate::labels::is_legacy_label_name(self.name()) {
            f.write_str(self.name())?;
        } else {
            write!(f, "{}", Quoted(self.name()))?;
        }
        write!(f, "{}{}", self.op().as_str(), Quoted(self.value()))
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(op: MatchOp, value: &str) -> Matcher {
        Matcher::new(op, "job", value).expect(value)
    }

    #[test]
    fn an_absent_label_is_empty() {
        assert!(matcher(MatchOp::Equal, "").matches_empty() && !matcher(MatchOp::Equal, "a").matches_empty());
        assert!(matcher(MatchOp::NotEqual, "a").matches_empty());
        assert!(
            matcher(MatchOp::Regex, "a*").matches_empty() && !matcher(MatchOp::Regex, ".+").matches_empty()
        );
        assert!(!matcher(MatchOp::NotRegex, ".*").matches_empty());
    }

    #[test]
    fn only_positive_matchers_list_values() {
        let equal = matcher(MatchOp::Equal, "a");
        assert_eq!((equal.exact_values(), equal.prefix()), (Some(&["a".to_owned()][..]), "a"));
        let regex = matcher(MatchOp::Regex, "ab|aa");
        assert_eq!(regex.exact_values().map(<[String]>::len), Some(2));
        assert_eq!(regex.prefix(), "a");
        for op in [MatchOp::NotEqual, MatchOp::NotRegex] {
            let matcher = matcher(op, "a");
            assert_eq!((matcher.exact_values(), matcher.prefix()), (None, ""));
            assert!(matcher.matches("b") && !matcher.matches("a"));
        }
    }

    #[test]
    fn prints_as_prometheus_does() {
        assert_eq!(matcher(MatchOp::NotRegex, "a\"\\d\n").to_string(), r#"job!~"a\"\\d\n""#);
        assert_eq!(Matcher::equal("a.b", "\0é").to_string(), r#""a.b"="\x00é""#);
        let error = Matcher::new(MatchOp::Regex, "a", "(").err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some("error parsing regexp: missing closing ): `(`"));
    }
}
