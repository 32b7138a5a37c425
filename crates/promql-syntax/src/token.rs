//! Tokens, keywords and how error texts name them.

use norn_model::quote::Quoted;

use crate::ast::{AggregateOp, BinaryOp, Span};

/// A word or sign of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// End of the text.
    End,
    /// A name without colon.
    Identifier,
    /// A name with a colon.
    MetricIdentifier,
    /// `1`, `0x1f`, `Inf`.
    Number,
    /// `1h30m`.
    Duration,
    /// A quoted text.
    String,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `{`
    LeftBrace,
    /// `}`
    RightBrace,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `,`
    Comma,
    /// `:` in brackets
    Colon,
    /// `=`
    Assign,
    /// `=~`
    RegexMatch,
    /// `!~`
    RegexNotMatch,
    /// `@`
    At,
    /// A binary operator; `+` and `-` are signs too, `!=` a matcher too.
    Binary(BinaryOp),
    /// An aggregation operator.
    Aggregate(AggregateOp),
    /// Any other keyword.
    Keyword(Keyword),
}

/// Keywords that are neither operators nor aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// `offset`
    Offset,
    /// `smoothed`
    Smoothed,
    /// `anchored`
    Anchored,
    /// `by`
    By,
    /// `without`
    Without,
    /// `on`
    On,
    /// `ignoring`
    Ignoring,
    /// `group_left`
    GroupLeft,
    /// `group_right`
    GroupRight,
    /// `fill`, where `(` follows
    Fill,
    /// `fill_left`, where `(` follows
    FillLeft,
    /// `fill_right`, where `(` follows
    FillRight,
    /// `bool`
    Bool,
    /// `start`
    Start,
    /// `end`
    End,
    /// `step`
    Step,
    /// `range`
    Range,
    /// `max_of`
    MaxOf,
    /// `min_of`
    MinOf,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub token: Token,
    /// Where it is.
    pub span: Span,
}

impl Token {
    /// The keyword that `word` is, in any case.
    pub fn keyword(word: &str) -> Option<Self> {
        let lower = word.to_ascii_lowercase();
        AggregateOp::from_name(&lower)
            .map(Self::Aggregate)
            .or_else(|| Keyword::from_name(&lower).map(Self::Keyword))
            .or(match lower.as_str() {
                "and" => Some(Self::Binary(BinaryOp::And)),
                "or" => Some(Self::Binary(BinaryOp::Or)),
                "unless" => Some(Self::Binary(BinaryOp::Unless)),
                "atan2" => Some(Self::Binary(BinaryOp::Atan2)),
                "inf" | "nan" => Some(Self::Number),
                _ => None,
            })
    }

    /// Whether the token can be a metric name where an expression may start.
    pub fn is_metric_name(self) -> bool {
        use Keyword::*;
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregate(_) => true,
            Self::Binary(op) => matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless),
            Self::Keyword(k) => !matches!(k, Bool | On | Ignoring | GroupLeft | GroupRight),
            _ => false,
        }
    }

    /// Whether an expression may start with the token.
    pub fn starts_expression(self) -> bool {
        match self {
            Self::LeftParen | Self::LeftBrace | Self::Number | Self::Duration | Self::String => true,
            Self::Binary(BinaryOp::Add | BinaryOp::Sub) => true,
            token => token.is_metric_name(),
        }
    }

    /// Whether the token can be an unquoted name in a list of labels.
    pub fn is_grouping_label(self) -> bool {
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregate(_) => true,
            Self::Binary(op) => op.is_word(),
            Self::Keyword(k) => k != Keyword::Without,
            _ => false,
        }
    }

    /// The token as error texts name it; `text` is what was written.
    pub fn describe(self, text: &str) -> String {
        match self {
            Self::End => "end of input".into(),
            Self::Identifier => format!("identifier {}", Quoted(text)),
            Self::MetricIdentifier => format!("metric identifier {}", Quoted(text)),
            Self::Number => format!("number {}", shorten(text)),
            Self::Duration => format!("duration {}", shorten(text)),
            Self::String => format!("string {}", shorten(text)),
            Self::Binary(_) | Self::At | Self::RegexMatch | Self::RegexNotMatch => format!("<op:{text}>"),
            Self::Aggregate(_) => format!("<aggr:{text}>"),
            Self::Keyword(k) if k.is_function() => shorten(text),
            Self::Keyword(_) => format!("<{text}>"),
            _ => Quoted(text).to_string(),
        }
    }
}

/// The text in quotes; of texts longer than ten bytes the first ten characters.
fn shorten(text: &str) -> String {
    if text.len() <= 10 {
        return Quoted(text).to_string();
    }
    let end = text.char_indices().nth(10).map_or(text.len(), |(i, _)| i);
    format!("{}...", Quoted(&text[..end]))
}

impl Keyword {
    fn from_name(lower: &str) -> Option<Self> {
        Some(match lower {
            "offset" => Self::Offset,
            "smoothed" => Self::Smoothed,
            "anchored" => Self::Anchored,
            "by" => Self::By,
            "without" => Self::Without,
            "on" => Self::On,
            "ignoring" => Self::Ignoring,
            "group_left" => Self::GroupLeft,
            "group_right" => Self::GroupRight,
            "fill" => Self::Fill,
            "fill_left" => Self::FillLeft,
            "fill_right" => Self::FillRight,
            "bool" => Self::Bool,
            "start" => Self::Start,
            "end" => Self::End,
            "step" => Self::Step,
            "range" => Self::Range,
            "max_of" => Self::MaxOf,
            "min_of" => Self::MinOf,
            _ => return None,
        })
    }

    /// Whether the keyword is a function too.
    pub fn is_function(self) -> bool {
        matches!(self, Self::Start | Self::End | Self::Step | Self::Range | Self::MaxOf | Self::MinOf)
    }

    /// Whether the keyword may stand in a duration expression.
    pub fn is_duration(self) -> bool {
        matches!(self, Self::Step | Self::Range | Self::MaxOf | Self::MinOf)
    }

    /// Whether the keyword is one only where `(` follows.
    pub fn is_fill(self) -> bool {
        matches!(self, Self::Fill | Self::FillLeft | Self::FillRight)
    }
}
