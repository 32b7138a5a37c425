//! Words to tree: selectors, lists of labels, and what follows an operand (`[…]`, `offset`,
//! `@`, `anchored`, `smoothed`).

use norn_model::labels::METRIC_NAME;
use norn_model::matcher::{MatchOp, Matcher};
use norn_model::quote::QuotedBytes;

use crate::ast::*;
use crate::error::ParseError;
use crate::literal;
use crate::parser::{Context, Operand, Parser};
use crate::token::{Item, Keyword, Token};

const LIST_START: Context = ("grouping opts", "\"(\"");
const LIST_LABEL: Context = ("grouping opts", "label");
const LIST_NEXT: Context = ("grouping opts", "\",\" or \")\"");
const MATCH_NAME: Context = ("label matching", "identifier or \"}\"");
const MATCH_OP: Context = ("label matching", "label matching operator");
const MATCH_VALUE: Context = ("label matching", "string");
const MATCH_NEXT: Context = ("label matching", "\",\" or \"}\"");
const AT: Context = ("@", "timestamp");
const RANGE: Context = ("subquery or range selector", "number, duration, step(), or range()");
const RANGE_END: Context = ("subquery or range", "\":\" or \"]\"");
const STEP: Context = ("subquery selector", "number, duration, step(), range(), or \"]\"");
const STEP_END: Context = ("subquery selector", "\"]\"");

/// What a modifier is attached to.
struct Modified<'e> {
    offset: &'e mut Duration,
    at: &'e mut Option<At>,
    end: &'e mut u32,
}

impl Parser<'_> {
    /// Reads a selector and nothing else.
    pub(crate) fn lone_selector(mut self) -> Result<VectorSelector, ParseError> {
        let selector = match self.peek()?.token {
            Token::LeftBrace => self.selector(None)?,
            token if token.is_metric_name() => {
                let name = self.next()?;
                self.selector(Some(name))?
            }
            _ => return Err(self.unexpected(("", ""))),
        };
        self.expect(Token::End, ("", ""))?;
        Ok(selector)
    }

    /// Reads the braces of a selector, optional where its name was read.
    pub(crate) fn selector(&mut self, name: Option<Item>) -> Result<VectorSelector, ParseError> {
        let mut selector = VectorSelector {
            name: String::new(),
            matchers: Vec::new(),
            offset: Duration::Fixed(0),
            at: None,
            anchored: false,
            smoothed: false,
            span: name.map_or(self.peek()?.span, |name| name.span),
        };
        if self.accept(Token::LeftBrace)?.is_some() {
            selector.span.end = self.matchers(&mut selector.matchers)?;
        }
        if let Some(name) = name {
            selector.name = self.word(name.span).to_owned();
            selector.matchers.push(Matcher::equal(METRIC_NAME, &selector.name));
        }
        Ok(selector)
    }

    /// Reads matchers up to and including `}`, and gives its end.
    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Result<u32, ParseError> {
        let mut context = MATCH_NAME;
        loop {
            if let Some(close) = self.accept(Token::RightBrace)? {
                return Ok(close.span.end);
            }
            if context == MATCH_NEXT {
                self.expect(Token::Comma, MATCH_NEXT)?;
                if self.peek()?.token == Token::RightBrace {
                    continue;
                }
            }
            matchers.push(self.matcher()?);
            context = MATCH_NEXT;
        }
    }

    fn matcher(&mut self) -> Result<Matcher, ParseError> {
        let Item { token, span } = self.peek()?;
        let name = match token {
            Token::Identifier => self.word(span).to_owned(),
            Token::String => literal::unquote_text(self.word(span)).0,
            _ => return Err(self.unexpected(MATCH_NAME)),
        };
        self.next()?;
        let op = match self.peek()?.token {
            Token::Assign => MatchOp::Equal,
            Token::Binary(BinaryOp::NotEqual) => MatchOp::NotEqual,
            Token::RegexMatch => MatchOp::Regex,
            Token::RegexNotMatch => MatchOp::NotRegex,
            _ if token == Token::String => return Ok(Matcher::equal(METRIC_NAME, &name)),
            _ => return Err(self.unexpected(MATCH_OP)),
        };
        self.next()?;
        let value = self.expect(Token::String, MATCH_VALUE)?;
        let (text, _) = literal::unquote_text(self.word(value.span));
        Matcher::new(op, &name, &text)
            .or_else(|e| self.error(Span { start: span.start, end: value.span.end }, e.to_string()))
    }

    /// Reads `(a, b)`.
    pub(crate) fn labels(&mut self) -> Result<Vec<String>, ParseError> {
        self.expect(Token::LeftParen, LIST_START)?;
        let mut labels = Vec::new();
        while self.accept(Token::RightParen)?.is_none() {
            if !labels.is_empty() {
                self.expect(Token::Comma, LIST_NEXT)?;
                if self.accept(Token::RightParen)?.is_some() {
                    break;
                }
            }
            labels.push(self.label()?);
        }
        Ok(labels)
    }

    fn label(&mut self) -> Result<String, ParseError> {
        let Item { token, span } = self.peek()?;
        let label = match token {
            Token::String => literal::unquote(self.word(span)),
            token if token.is_grouping_label() => self.word(span).into(),
            _ => return Err(self.unexpected(LIST_LABEL)),
        };
        self.next()?;
        match String::from_utf8(label) {
            Ok(label) if !label.is_empty() => Ok(label),
            Ok(_) => self.error(span, "invalid label name for grouping: \"\""),
            Err(e) => {
                let label = QuotedBytes(e.as_bytes());
                self.error(span, format!("invalid label name for grouping: {label}"))
            }
        }
    }

    /// Reads all that modifies an operand.
    pub(crate) fn postfix(&mut self, mut operand: Operand) -> Result<Operand, ParseError> {
        loop {
            match self.peek()?.token {
                Token::LeftBracket => operand = self.brackets(operand)?,
                Token::At => self.at(&mut operand)?,
                Token::Keyword(Keyword::Offset) => self.offset(&mut operand)?,
                Token::Keyword(k @ (Keyword::Anchored | Keyword::Smoothed)) => {
                    self.next()?;
                    self.extend_range(&mut operand, k)?;
                }
                _ => return Ok(operand),
            }
        }
    }

    /// Reads `[range]` or `[range:step]`.
    fn brackets(&mut self, operand: Operand) -> Result<Operand, ParseError> {
        let open = self.next()?;
        let range = self.positive_duration(RANGE)?;
        if let Some(close) = self.accept(Token::RightBracket)? {
            let brackets = Span { start: open.span.start, end: close.span.end };
            return self.range(operand, range, brackets);
        }
        self.expect(Token::Colon, RANGE_END)?;
        let (step, close) = match self.accept(Token::RightBracket)? {
            Some(close) => (None, close),
            None => {
                let step = self.positive_duration(STEP)?;
                (Some(step), self.expect(Token::RightBracket, STEP_END)?)
            }
        };
        let span = Span { start: operand.expr.span().start, end: close.span.end };
        let expr = Box::new(operand.expr);
        let subquery = Subquery { expr, range, step, offset: Duration::Fixed(0), at: None, span };
        self.node(Expr::Subquery(subquery), operand.height)
    }

    fn range(&self, operand: Operand, range: Duration, brackets: Span) -> Result<Operand, ParseError> {
        let Expr::Vector(selector) = operand.expr else {
            return self.error(brackets, "ranges only allowed for vector selectors");
        };
        // Prometheus lets computed offsets and `@ start()` pass here, so they are let pass.
        if operand.offset_set && matches!(selector.offset, Duration::Fixed(_)) {
            return self.error(brackets, "no offset modifiers allowed before range");
        }
        if matches!(selector.at, Some(At::Time(_))) {
            return self.error(brackets, "no @ modifiers allowed before range");
        }
        let span = Span { start: selector.span.start, end: brackets.end };
        let matrix = Expr::Matrix(MatrixSelector { selector, range, span });
        Ok(Operand { expr: matrix, height: operand.height, offset_set: operand.offset_set })
    }

    fn offset(&mut self, operand: &mut Operand) -> Result<(), ParseError> {
        self.next()?;
        let (offset, nonzero) = self.offset_duration()?;
        let end = self.last_end;
        let span = operand.expr.span();
        if let Some(modified) = modified(&mut operand.expr) {
            if operand.offset_set {
                return self.error(span, "offset may not be set multiple times");
            }
            operand.offset_set = nonzero;
            *modified.offset = offset;
            *modified.end = end;
            return Ok(());
        }
        self.misplaced(span, "offset")
    }

    fn at(&mut self, operand: &mut Operand) -> Result<(), ParseError> {
        self.next()?;
        let span = operand.expr.span();
        let at = match self.peek()?.token {
            Token::Keyword(k @ (Keyword::Start | Keyword::End)) => {
                self.next()?;
                self.expect(Token::LeftParen, AT)?;
                self.expect(Token::RightParen, AT)?;
                if k == Keyword::Start { At::Start } else { At::End }
            }
            _ => At::Time(self.timestamp(span)?),
        };
        let end = self.last_end;
        match modified(&mut operand.expr) {
            None => self.misplaced(span, "@"),
            Some(modified) if modified.at.is_some() => {
                self.error(span, "@ <timestamp> may not be set multiple times")
            }
            Some(modified) => {
                *modified.at = Some(at);
                *modified.end = end;
                Ok(())
            }
        }
    }

    /// Reads a timestamp in seconds and gives milliseconds.
    fn timestamp(&mut self, span: Span) -> Result<i64, ParseError> {
        let seconds = self.signed_number(AT)?;
        if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 {
            let seconds = crate::print::fixed(seconds, 6);
            return self.error(span, format!("timestamp out of bounds for @ modifier: {seconds}"));
        }
        let millis = (seconds * 1000.0).round();
        // What does not fit becomes the lowest time, as in Prometheus on x86.
        Ok(if millis.abs() < i64::MAX as f64 { millis as i64 } else { i64::MIN })
    }

    fn misplaced<T>(&self, span: Span, what: &str) -> Result<T, ParseError> {
        let needed = "an instant vector selector or range vector selector or a subquery";
        self.error(span, format!("{what} modifier must be preceded by {needed}"))
    }

    fn extend_range(&mut self, operand: &mut Operand, keyword: Keyword) -> Result<(), ParseError> {
        let span = operand.expr.span();
        let anchored = keyword == Keyword::Anchored;
        let word = if anchored { "anchored" } else { "smoothed" };
        if !self.options.extended_range_selectors {
            return self.error(span, format!("{word} modifier is experimental and not enabled"));
        }
        let selector = match &mut operand.expr {
            Expr::Vector(v) => v,
            Expr::Matrix(m) => &mut m.selector,
            Expr::Subquery(_) => {
                return self.error(span, format!("{word} modifier is not supported for subqueries"));
            }
            _ => return self.error(span, format!("{word} modifier not implemented")),
        };
        selector.anchored |= anchored;
        selector.smoothed |= !anchored;
        if selector.anchored && selector.smoothed {
            return self.error(span, "anchored and smoothed modifiers cannot be used together");
        }
        Ok(())
    }
}

fn modified(expr: &mut Expr) -> Option<Modified<'_>> {
    Some(match expr {
        Expr::Vector(v) => Modified { offset: &mut v.offset, at: &mut v.at, end: &mut v.span.end },
        Expr::Matrix(m) => {
            Modified { offset: &mut m.selector.offset, at: &mut m.selector.at, end: &mut m.span.end }
        }
        Expr::Subquery(s) => Modified { offset: &mut s.offset, at: &mut s.at, end: &mut s.span.end },
        _ => return None,
    })
}
