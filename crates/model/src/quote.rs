//! Texts in double quotes with Go's escapes, the form Prometheus uses in queries, series and
//! error texts.
//!
//! Printable characters stand for themselves; control characters become `\n`, `\x01`, `\u200b`
//! or `\U000e0001`.

use std::fmt::{self, Write};
use std::sync::LazyLock;

use regex::Regex;

/// Displays a text in double quotes.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

/// Displays bytes in double quotes; what is not UTF-8 becomes `\xff`.
#[derive(Clone, Copy, Debug)]
pub struct QuotedBytes<'a>(pub &'a [u8]);

/// Displays a character in single quotes.
#[derive(Clone, Copy, Debug)]
pub struct QuotedChar(pub char);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        self.0.chars().try_for_each(|c| write_char(f, c, '"'))?;
        f.write_char('"')
    }
}

impl fmt::Display for QuotedBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().try_for_each(|c| write_char(f, c, '"'))?;
            chunk.invalid().iter().try_for_each(|b| write!(f, "\\x{b:02x}"))?;
        }
        f.write_char('"')
    }
}

impl fmt::Display for QuotedChar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('\'')?;
        write_char(f, self.0, '\'')?;
        f.write_char('\'')
    }
}

fn write_char(f: &mut fmt::Formatter<'_>, c: char, quote: char) -> fmt::Result {
    match c {
        '\\' => f.write_str("\\\\"),
        c if c == quote => write!(f, "\\{c}"),
        c if is_printable(c) => f.write_char(c),
        '\x07' => f.write_str("\\a"),
        '\x08' => f.write_str("\\b"),
        '\x0c' => f.write_str("\\f"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x0b' => f.write_str("\\v"),
        '\0'..' ' | '\x7f' => write!(f, "\\x{:02x}", c as u32),
        '\0'..='\u{ffff}' => write!(f, "\\u{:04x}", c as u32),
        _ => write!(f, "\\U{:08x}", c as u32),
    }
}

/// Whether a character stands for itself: letters, marks, numbers, punctuation, symbols and the
/// ASCII space.
pub fn is_printable(c: char) -> bool {
    static PRINTABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\pL\pM\pN\pP\pS]$").ok());
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    PRINTABLE.as_ref().is_some_and(|re| re.is_match(c.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_as_go_does() {
        let text = "é\u{301} \"'\\\n\0\x7f\u{200b}\u{e0001}\u{a0}日";
        assert_eq!(Quoted(text).to_string(), r#""é́ \"'\\\n\x00\x7f\u200b\U000e0001\u00a0日""#);
        assert_eq!(QuotedBytes(b"a\xc5z").to_string(), r#""a\xc5z""#);
        assert_eq!(QuotedChar('\'').to_string(), r"'\''");
        assert_eq!(QuotedChar('"').to_string(), "'\"'");
    }
}
