//! What is wrong with a query, and where.

use std::fmt;

use crate::ast::Span;

/// A query that is refused. Displays as `line:col: parse error: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where in the text.
    pub span: Span,
    /// What is wrong, without the position.
    pub message: String,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// An empty text has no positions.
    Unknown,
    At {
        line: u32,
        column: u32,
    },
}

impl ParseError {
    /// An error at `span` of `text`.
    pub fn new(text: &str, span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), place: Place::of(text, span.start) }
    }
}

impl Place {
    /// Lines count from 1; columns are bytes and count from 1.
    fn of(text: &str, offset: u32) -> Self {
        if text.is_empty() {
            return Self::Unknown;
        }
        let before = &text.as_bytes()[..text.len().min(offset as usize)];
        let line = before.iter().filter(|b| **b == b'\n').count();
        let column = before.iter().rev().take_while(|b| **b != b'\n').count();
        Self::At { line: line as u32 + 1, column: column as u32 + 1 }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Unknown => f.write_str("unknown position")?,
            Place::At { line, column } => write!(f, "{line}:{column}")?,
        }
        write!(f, ": parse error: {}", self.message)
    }
}

impl std::error::Error for ParseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_bytes() {
        let text = "é\n  x";
        let at = |start| ParseError::new(text, Span { start, end: start }, "m").to_string();
        assert_eq!(at(0), "1:1: parse error: m");
        assert_eq!(at(2), "1:3: parse error: m");
        assert_eq!(at(5), "2:3: parse error: m");
        assert_eq!(ParseError::new("", Span::default(), "m").to_string(), "unknown position: parse error: m");
    }
}
