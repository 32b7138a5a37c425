//! Words to tree: duration expressions in brackets and after `offset`.
//!
//! They nest by recursion, which [`MAX_DURATION_OPERATORS`] bounds.

use crate::ast::*;
use crate::error::ParseError;
use crate::parser::{Context, MAX_DURATION_OPERATORS, Parser, sign};
use crate::token::{Item, Keyword, Token};

const OFFSET: Context = ("offset", "number, duration, step(), or range()");

/// Longest duration in seconds: 2^63 ns.
const MAX_SECONDS: f64 = (1u64 << 63) as f64 / 1e9;

type Parsed = Result<DurationExpr, ParseError>;

impl Parser<'_> {
    /// Reads a range or step, which must be more than zero where that is known.
    pub(crate) fn positive_duration(&mut self, context: Context) -> Result<Duration, ParseError> {
        self.duration_budget = MAX_DURATION_OPERATORS;
        let expr = self.duration(0, context)?;
        match &expr.node {
            DurationNode::Number(n) if n.value <= 0.0 => {
                self.error(n.span, "duration must be greater than 0")
            }
            _ => Ok(finish(expr).0),
        }
    }

    /// Reads what follows `offset`, and says whether it is other than zero.
    ///
    /// Outside parentheses an offset is one number or call: operators behind it belong to the
    /// expression around. Behind a closing parenthesis that no sign precedes they belong to the
    /// offset.
    pub(crate) fn offset_duration(&mut self) -> Result<(Duration, bool), ParseError> {
        self.duration_budget = MAX_DURATION_OPERATORS;
        let first = self.peek()?;
        let expr = match first.token {
            Token::Binary(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.next()?;
                self.signed_offset(sign(op), first.span)?
            }
            Token::LeftParen => self.duration(0, OFFSET)?,
            _ => self.duration_operand(OFFSET)?,
        };
        Ok(finish(expr))
    }

    fn signed_offset(&mut self, op: UnaryOp, sign: Span) -> Parsed {
        match self.peek()?.token {
            Token::LeftParen => {
                let operand = self.duration_operand(OFFSET)?;
                self.signed_duration(op, sign, operand)
            }
            Token::Number | Token::Duration => {
                let operand = self.number_duration()?;
                self.signed_duration(op, sign, operand)
            }
            Token::Keyword(k) if k.is_duration() => {
                let operand = self.duration_operand(OFFSET)?;
                let span = Span { start: sign.start, end: operand.span.end };
                Ok(plain(DurationNode::Unary(op, Box::new(operand)), span))
            }
            _ => {
                let operand = self.duration(BinaryOp::Pow.precedence(), OFFSET)?;
                let signed = self.signed_duration(op, sign, operand)?;
                self.duration_rest(signed, 0, OFFSET)
            }
        }
    }

    /// Reads operators that bind at least as strongly as `precedence`, with their operands.
    fn duration(&mut self, precedence: u8, context: Context) -> Parsed {
        let lhs = self.duration_operand(context)?;
        self.duration_rest(lhs, precedence, context)
    }

    fn duration_rest(&mut self, mut lhs: DurationExpr, precedence: u8, context: Context) -> Parsed {
        loop {
            let Item { token, span } = self.peek()?;
            let op = match token {
                Token::Binary(op) if is_arithmetic(op) && op.precedence() >= precedence => op,
                _ => return Ok(lhs),
            };
            self.next()?;
            self.spend(span)?;
            // `^` takes another `^` to its right, the others leave equals to the loop.
            let rhs = self.duration(op.precedence() + u8::from(op != BinaryOp::Pow), context)?;
            let zero = matches!(&rhs.node, DurationNode::Number(n) if n.value == 0.0);
            match op {
                BinaryOp::Div if zero => return self.error(span, "division by zero"),
                BinaryOp::Mod if zero => return self.error(span, "modulo by zero"),
                _ => {}
            }
            let span = Span { start: lhs.span.start, end: rhs.span.end };
            lhs = plain(DurationNode::Binary(op, Box::new(lhs), Box::new(rhs)), span);
        }
    }

    fn spend(&mut self, span: Span) -> Result<(), ParseError> {
        match self.duration_budget.checked_sub(1) {
            Some(rest) => {
                self.duration_budget = rest;
                Ok(())
            }
            None => self
                .error(span, format!("duration expression has more than {MAX_DURATION_OPERATORS} operators")),
        }
    }

    fn duration_operand(&mut self, context: Context) -> Parsed {
        let Item { token, span } = self.peek()?;
        match token {
            Token::Number | Token::Duration => return self.number_duration(),
            Token::LeftParen | Token::Binary(BinaryOp::Add | BinaryOp::Sub) => {}
            Token::Keyword(k) if k.is_duration() => {}
            _ => return Err(self.unexpected(context)),
        }
        self.next()?;
        self.spend(span)?;
        match token {
            Token::Binary(op) => {
                let operand = self.duration(BinaryOp::Pow.precedence(), context)?;
                self.signed_duration(sign(op), span, operand)
            }
            Token::Keyword(keyword) => self.duration_call(keyword, span.start, context),
            _ => {
                let mut inner = self.duration(0, context)?;
                self.expect(Token::RightParen, context)?;
                inner.wrapped |= !matches!(inner.node, DurationNode::Number(_));
                Ok(inner)
            }
        }
    }

    fn duration_call(&mut self, keyword: Keyword, start: u32, context: Context) -> Parsed {
        self.expect(Token::LeftParen, context)?;
        let node = match keyword {
            Keyword::Step => DurationNode::Step,
            Keyword::Range => DurationNode::Range,
            _ => {
                let first = Box::new(self.duration(0, context)?);
                self.expect(Token::Comma, context)?;
                let second = Box::new(self.duration(0, context)?);
                if keyword == Keyword::MinOf {
                    DurationNode::Min(first, second)
                } else {
                    DurationNode::Max(first, second)
                }
            }
        };
        let close = self.expect(Token::RightParen, context)?;
        Ok(plain(node, Span { start, end: close.span.end }))
    }

    fn number_duration(&mut self) -> Parsed {
        let number = self.number_literal()?;
        if out_of_range(number.value) {
            return self.error(number.span, "duration out of range");
        }
        let span = number.span;
        Ok(plain(DurationNode::Number(number), span))
    }

    /// Applies a sign; numbers take it up and `+` leaves the rest alone.
    fn signed_duration(&mut self, op: UnaryOp, sign: Span, mut operand: DurationExpr) -> Parsed {
        let span = Span { start: sign.start, end: operand.span.end };
        match &mut operand.node {
            DurationNode::Number(n) => {
                if op == UnaryOp::Minus {
                    n.value = -n.value;
                }
                if out_of_range(n.value) {
                    return self.error(sign, "duration out of range");
                }
                n.span.start = sign.start;
                operand.span.start = sign.start;
                Ok(operand)
            }
            _ if op == UnaryOp::Plus => Ok(operand),
            _ => Ok(plain(DurationNode::Unary(op, Box::new(operand)), span)),
        }
    }
}

fn plain(node: DurationNode, span: Span) -> DurationExpr {
    DurationExpr { node, wrapped: false, span }
}

/// A plain number is known now. Says whether the length is other than zero.
fn finish(expr: DurationExpr) -> (Duration, bool) {
    match expr.node {
        DurationNode::Number(n) => {
            let nanos = (n.value * 1e9).round() as i64;
            (Duration::Fixed(nanos / 1_000_000), nanos != 0)
        }
        _ => (Duration::Expr(Box::new(expr)), true),
    }
}

fn is_arithmetic(op: BinaryOp) -> bool {
    use BinaryOp::*;
    matches!(op, Add | Sub | Mul | Div | Mod | Pow)
}

fn out_of_range(seconds: f64) -> bool {
    seconds.abs() > MAX_SECONDS
}
