//! Matchers: both operators answer oppositely, and the short cuts agree with the pattern.

use norn_model::matcher::{MatchOp, Matcher};

/// Text: a pattern, optionally a zero byte and a text to match.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, subject) = text.split_once('\0').unwrap_or((text, text));
    let Ok(matcher) = Matcher::new(MatchOp::Regex, "a", pattern) else {
        assert!(Matcher::new(MatchOp::NotRegex, "a", pattern).is_err());
        return;
    };
    let Ok(opposite) = Matcher::new(MatchOp::NotRegex, "a", pattern) else { panic!("only one operator") };
    for subject in [subject, "", "a", "ab"] {
        let matches = matcher.matches(subject);
        assert_eq!(matches, !opposite.matches(subject));
        assert!(!matches || subject.starts_with(matcher.prefix()), "prefix {:?}", matcher.prefix());
        if let Some(values) = matcher.exact_values() {
            assert_eq!(matches, values.iter().any(|v| v == subject));
        }
    }
    for value in matcher.exact_values().unwrap_or_default().iter().take(16) {
        assert!(matcher.matches(value));
        grouped(pattern, value);
    }
    grouped(pattern, subject);
    assert_eq!(matcher.matches_empty(), matcher.matches(""));
    assert!(Matcher::equal("a", pattern).matches(pattern));
}

/// A group with an alternative that can not match changes nothing, but takes other short cuts.
fn grouped(pattern: &str, subject: &str) {
    let Ok(plain) = Matcher::new(MatchOp::Regex, "a", pattern) else { return };
    if let Ok(other) = Matcher::new(MatchOp::Regex, "a", &format!(r"(?:{pattern})|\b\B.")) {
        assert_eq!(plain.matches(subject), other.matches(subject), "{subject:?}");
    }
}
