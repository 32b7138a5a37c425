//! Words to tree: operators, calls and modifiers.
//!
//! The parser keeps its own stack of open constructs ([`Frame`]) instead of recursing, so that
//! depth costs heap and not stack. It alternates between two states: an operand is expected
//! ([`Parser::operand`]), or one is complete ([`Parser::advance`]) and what follows decides
//! which frames it closes.
//!
//! Words are read only when a decision needs them. That, and the nearest enclosing construct
//! that names itself in errors, decides which error a text is refused with.

use crate::Options;
use crate::ast::*;
use crate::error::ParseError;
use crate::function;
use crate::lexer::Lexer;
use crate::literal;
use crate::token::{Item, Keyword, Token};

/// Most levels a tree may have. One less is the most constructs that may be open at once.
pub const MAX_DEPTH: usize = 500;

/// Most operators, calls and parentheses in one duration expression.
pub const MAX_DURATION_OPERATORS: usize = 100;

/// Where an unexpected word stands, and what was expected.
pub(crate) type Context = (&'static str, &'static str);

const AGGREGATION: Context = ("aggregation", "");

/// Reads one query.
pub(crate) struct Parser<'a> {
    pub(crate) text: &'a str,
    pub(crate) options: Options,
    lexer: Lexer<'a>,
    ahead: Option<Item>,
    /// Where the last word that was taken ends.
    pub(crate) last_end: u32,
    /// How many aggregations are open.
    aggregations: usize,
    /// Operators left in the current duration expression.
    pub(crate) duration_budget: usize,
}

/// A complete expression.
pub(crate) struct Operand {
    pub(crate) expr: Expr,
    pub(crate) height: usize,
    /// Whether it carries an offset that is not zero, down to nanoseconds.
    pub(crate) offset_set: bool,
}

/// A construct that waits for an operand.
enum Frame {
    Paren { start: u32 },
    Unary { op: UnaryOp, start: u32 },
    Binary { op: BinaryOp, lhs: Operand, modifiers: Modifiers },
    List(List),
}

/// Arguments being read.
struct List {
    /// What is called.
    callee: Item,
    kind: ListKind,
    args: Vec<Expr>,
    height: usize,
    last_comma: Span,
}

enum ListKind {
    Call,
    Aggregate { op: AggregateOp, grouping: Option<Grouping> },
}

/// `by (…)` or `without (…)`.
struct Grouping {
    labels: Vec<String>,
    without: bool,
}

/// What stands between an operator and its right operand.
struct Modifiers {
    matching: VectorMatching,
    return_bool: bool,
}

impl Operand {
    pub(crate) fn leaf(expr: Expr) -> Self {
        Self { expr, height: 1, offset_set: false }
    }
}

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &'a str, options: &Options) -> Result<Self, ParseError> {
        if u32::try_from(text.len()).is_err() {
            return Err(ParseError::new(text, Span::default(), "query is longer than 4 GiB"));
        }
        Ok(Self {
            text,
            options: *options,
            lexer: Lexer::new(text),
            ahead: None,
            last_end: 0,
            aggregations: 0,
            duration_budget: 0,
        })
    }

    /// The next word, not read yet.
    pub(crate) fn peek(&mut self) -> Result<Item, ParseError> {
        match self.ahead {
            Some(item) => Ok(item),
            None => Ok(*self.ahead.insert(self.lexer.next()?)),
        }
    }

    /// Reads the next word.
    pub(crate) fn next(&mut self) -> Result<Item, ParseError> {
        let item = self.peek()?;
        self.ahead = None;
        self.last_end = item.span.end;
        Ok(item)
    }

    /// Reads the next word if it is `token`.
    pub(crate) fn accept(&mut self, token: Token) -> Result<Option<Item>, ParseError> {
        if self.peek()?.token == token { self.next().map(Some) } else { Ok(None) }
    }

    /// Reads the next word, which must be `token`.
    pub(crate) fn expect(&mut self, token: Token, context: Context) -> Result<Item, ParseError> {
        self.accept(token)?.map_or_else(|| Err(self.unexpected(context)), Ok)
    }

    pub(crate) fn word(&self, span: Span) -> &'a str {
        &self.text[span.start as usize..span.end as usize]
    }

    pub(crate) fn error<T>(&self, span: Span, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.text, span, message))
    }

    /// The error for the next word.
    pub(crate) fn unexpected(&mut self, (place, expected): Context) -> ParseError {
        let item = match self.peek() {
            Ok(item) => item,
            Err(e) => return e,
        };
        let mut message = format!("unexpected {}", item.token.describe(self.word(item.span)));
        if !place.is_empty() {
            message = format!("{message} in {place}");
        }
        if !expected.is_empty() {
            message = format!("{message}, expected {expected}");
        }
        ParseError::new(self.text, item.span, message)
    }

    /// The context of a word that fits nowhere.
    pub(crate) fn context(&self) -> Context {
        if self.aggregations > 0 { AGGREGATION } else { ("", "") }
    }

    fn too_deep<T>(&self, span: Span) -> Result<T, ParseError> {
        self.error(span, format!("expression is nested more than {MAX_DEPTH} levels deep"))
    }

    /// A node one level above its highest child.
    pub(crate) fn node(&self, expr: Expr, child_height: usize) -> Result<Operand, ParseError> {
        if child_height >= MAX_DEPTH {
            return self.too_deep(expr.span());
        }
        Ok(Operand { expr, height: child_height + 1, offset_set: false })
    }

    /// Reads a whole query.
    pub(crate) fn query(mut self) -> Result<Expr, ParseError> {
        if self.peek()?.token == Token::End {
            return self.error(Span::default(), "no expression found in input");
        }
        let mut stack = Vec::new();
        loop {
            if let Some(operand) = self.operand(&mut stack)?
                && let Some(expr) = self.advance(operand, &mut stack)?
            {
                return Ok(expr);
            }
        }
    }

    fn push(&mut self, stack: &mut Vec<Frame>, frame: Frame, span: Span) -> Result<(), ParseError> {
        if stack.len() + 1 >= MAX_DEPTH {
            return self.too_deep(span);
        }
        stack.push(frame);
        Ok(())
    }

    /// Reads an operand; `None` where a frame was opened instead.
    fn operand(&mut self, stack: &mut Vec<Frame>) -> Result<Option<Operand>, ParseError> {
        let Item { token, span } = self.peek()?;
        match token {
            Token::LeftParen => {
                self.next()?;
                self.push(stack, Frame::Paren { start: span.start }, span)?;
                Ok(None)
            }
            Token::Binary(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.next()?;
                self.push(stack, Frame::Unary { op: sign(op), start: span.start }, span)?;
                Ok(None)
            }
            Token::Number | Token::Duration => {
                let number = self.number_literal()?;
                Ok(Some(Operand::leaf(Expr::Number(number))))
            }
            Token::String => {
                self.next()?;
                let (value, raw) = literal::unquote_text(self.word(span));
                Ok(Some(Operand::leaf(Expr::String(StringLiteral { value, raw, span }))))
            }
            Token::LeftBrace => Ok(Some(Operand::leaf(Expr::Vector(self.selector(None)?)))),
            token if token.is_metric_name() => self.named(stack),
            _ => Err(self.no_operand(stack)),
        }
    }

    fn no_operand(&mut self, stack: &[Frame]) -> ParseError {
        match stack.last() {
            Some(Frame::List(list)) if !list.args.is_empty() => ParseError::new(
                self.text,
                list.last_comma,
                "trailing commas not allowed in function call args",
            ),
            _ => self.unexpected(self.context()),
        }
    }

    /// Reads what starts with a name: an aggregation, a call or a selector.
    fn named(&mut self, stack: &mut Vec<Frame>) -> Result<Option<Operand>, ParseError> {
        let name = self.next()?;
        let follows = self.peek()?.token;
        let kind = match (name.token, follows) {
            (
                Token::Aggregate(op),
                Token::LeftParen | Token::Keyword(Keyword::By) | Token::Keyword(Keyword::Without),
            ) => ListKind::Aggregate { op, grouping: self.grouping()? },
            (Token::Identifier, Token::LeftParen) => ListKind::Call,
            (Token::Keyword(k), Token::LeftParen) if k.is_function() => ListKind::Call,
            _ => return Ok(Some(Operand::leaf(Expr::Vector(self.selector(Some(name))?)))),
        };
        self.expect(Token::LeftParen, AGGREGATION)?;
        let list = List { callee: name, kind, args: Vec::new(), height: 0, last_comma: name.span };
        if matches!(list.kind, ListKind::Aggregate { .. }) {
            self.aggregations += 1;
        }
        if let Some(close) = self.accept(Token::RightParen)? {
            return self.close_list(list, close.span.end).map(Some);
        }
        self.push(stack, Frame::List(list), name.span)?;
        Ok(None)
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = match self.peek()?.token {
            Token::Keyword(Keyword::By) => false,
            Token::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.next()?;
        Ok(Some(Grouping { labels: self.labels()?, without }))
    }

    /// Takes a complete operand as far as it goes. Gives the whole expression at the end of the
    /// text, `None` where another operand is needed.
    fn advance(&mut self, mut operand: Operand, stack: &mut Vec<Frame>) -> Result<Option<Expr>, ParseError> {
        loop {
            operand = self.postfix(operand)?;
            let item = self.peek()?;
            if let Token::Binary(op) = item.token {
                let lhs = self.reduce(operand, stack, op.precedence() + u8::from(op == BinaryOp::Pow))?;
                self.next()?;
                let modifiers = self.modifiers()?;
                self.push(stack, Frame::Binary { op, lhs, modifiers }, item.span)?;
                return Ok(None);
            }
            operand = self.reduce(operand, stack, 0)?;
            operand = match (stack.pop(), item.token) {
                (None, Token::End) => return Ok(Some(operand.expr)),
                (Some(Frame::Paren { start }), Token::RightParen) => {
                    self.next()?;
                    let span = Span { start, end: item.span.end };
                    self.node(Expr::Paren(Paren { expr: Box::new(operand.expr), span }), operand.height)?
                }
                (Some(Frame::List(mut list)), Token::RightParen | Token::Comma) => {
                    self.next()?;
                    list.height = list.height.max(operand.height);
                    list.args.push(operand.expr);
                    if item.token == Token::Comma {
                        list.last_comma = item.span;
                        stack.push(Frame::List(list));
                        return Ok(None);
                    }
                    self.close_list(list, item.span.end)?
                }
                _ => return Err(self.unexpected(self.context())),
            };
        }
    }

    /// Closes the operators on top of the stack that bind at least as strongly as `precedence`.
    fn reduce(
        &mut self,
        mut operand: Operand,
        stack: &mut Vec<Frame>,
        precedence: u8,
    ) -> Result<Operand, ParseError> {
        loop {
            operand = match stack.pop() {
                Some(Frame::Unary { op, start }) if BinaryOp::Mul.precedence() >= precedence => {
                    self.signed(op, start, operand)?
                }
                Some(Frame::Binary { op, lhs, modifiers }) if op.precedence() >= precedence => {
                    self.binary(op, lhs, modifiers, operand)?
                }
                Some(frame) => {
                    stack.push(frame);
                    return Ok(operand);
                }
                None => return Ok(operand),
            };
        }
    }

    fn signed(&self, op: UnaryOp, start: u32, mut operand: Operand) -> Result<Operand, ParseError> {
        if let Expr::Number(number) = &mut operand.expr {
            if op == UnaryOp::Minus {
                number.value = -number.value;
            }
            number.span.start = start;
            return Ok(operand);
        }
        self.node(Expr::Unary(Unary { op, expr: Box::new(operand.expr), start }), operand.height)
    }

    fn binary(
        &self,
        op: BinaryOp,
        lhs: Operand,
        modifiers: Modifiers,
        rhs: Operand,
    ) -> Result<Operand, ParseError> {
        let Modifiers { matching, return_bool } = modifiers;
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if fills && !self.options.fill_modifiers {
            let span = Span { start: lhs.expr.span().start, end: rhs.expr.span().end };
            return self.error(span, "binop fill modifiers are experimental and not enabled");
        }
        let height = lhs.height.max(rhs.height);
        let (lhs, rhs) = (Box::new(lhs.expr), Box::new(rhs.expr));
        self.node(Expr::Binary(Binary { op, lhs, rhs, matching: Some(matching), return_bool }), height)
    }

    fn close_list(&mut self, list: List, end: u32) -> Result<Operand, ParseError> {
        let mut span = Span { start: list.callee.span.start, end };
        match list.kind {
            ListKind::Call => {
                let func = self.function(list.callee.span)?;
                self.node(Expr::Call(Call { func, args: list.args, span }), list.height)
            }
            ListKind::Aggregate { op, grouping } => {
                self.aggregations -= 1;
                let grouping = match grouping {
                    Some(grouping) => Some(grouping),
                    None => self.grouping_after(&mut span)?,
                };
                let aggregate = self.aggregate(op, grouping, list.args, span)?;
                self.node(Expr::Aggregate(aggregate), list.height)
            }
        }
    }

    /// `by` or `without` behind the arguments, which are closed but not yet an expression.
    fn grouping_after(&mut self, span: &mut Span) -> Result<Option<Grouping>, ParseError> {
        let grouping = self.grouping()?;
        if grouping.is_some() {
            span.end = self.last_end;
        }
        Ok(grouping)
    }

    fn function(&self, span: Span) -> Result<&'static function::Function, ParseError> {
        let name = self.word(span);
        match function::lookup(name) {
            None => self.error(span, format!("unknown function with name \"{name}\"")),
            Some(f) if f.experimental && !self.options.experimental_functions.has(name) => {
                self.error(span, format!("function \"{name}\" is not enabled"))
            }
            Some(f) => Ok(f),
        }
    }

    fn aggregate(
        &self,
        op: AggregateOp,
        grouping: Option<Grouping>,
        args: Vec<Expr>,
        span: Span,
    ) -> Result<Aggregate, ParseError> {
        if args.is_empty() {
            return self.error(span, "no arguments for aggregate expression provided");
        }
        if op.is_experimental() && !self.options.experimental_functions.has(op.as_str()) {
            let flag = "--enable-feature=promql-experimental-functions";
            return self
                .error(span, format!("{}() is experimental and must be enabled with {flag}", op.as_str()));
        }
        let wanted = if op.param_type().is_some() { 2 } else { 1 };
        let got = args.len();
        let mut args = args.into_iter();
        let (first, second) = (args.next(), args.next());
        let (param, expr) = match (wanted, first, second) {
            (1, Some(expr), None) => (None, expr),
            (2, param, Some(expr)) if got == 2 => (param.map(Box::new), expr),
            _ => {
                let what = "wrong number of arguments for aggregate expression provided";
                return self.error(span, format!("{what}, expected {wanted}, got {got}"));
            }
        };
        let Grouping { labels, without } =
            grouping.unwrap_or(Grouping { labels: Vec::new(), without: false });
        Ok(Aggregate { op, expr: Box::new(expr), param, grouping: labels, without, span })
    }

    /// `bool`, matching, grouping and fill.
    fn modifiers(&mut self) -> Result<Modifiers, ParseError> {
        let return_bool = self.accept(Token::Keyword(Keyword::Bool))?.is_some();
        let mut matching = VectorMatching {
            card: Cardinality::OneToOne,
            labels: Vec::new(),
            on: false,
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        if let Token::Keyword(k @ (Keyword::On | Keyword::Ignoring)) = self.peek()?.token {
            self.next()?;
            matching.on = k == Keyword::On;
            matching.labels = self.labels()?;
            if let Token::Keyword(k @ (Keyword::GroupLeft | Keyword::GroupRight)) = self.peek()?.token {
                self.next()?;
                matching.card =
                    if k == Keyword::GroupLeft { Cardinality::ManyToOne } else { Cardinality::OneToMany };
                let follows = self.peek()?.token;
                if follows == Token::LeftParen || !follows.starts_expression() {
                    matching.include = self.labels()?;
                }
            }
        }
        self.fill(&mut matching)?;
        Ok(Modifiers { matching, return_bool })
    }

    fn fill(&mut self, matching: &mut VectorMatching) -> Result<(), ParseError> {
        let Token::Keyword(first) = self.peek()?.token else { return Ok(()) };
        if !first.is_fill() {
            return Ok(());
        }
        self.next()?;
        let value = self.fill_value()?;
        if first != Keyword::FillRight {
            matching.fill_left = Some(value);
        }
        if first != Keyword::FillLeft {
            matching.fill_right = Some(value);
        }
        let (other, slot) = match first {
            Keyword::FillLeft => (Keyword::FillRight, &mut matching.fill_right),
            Keyword::FillRight => (Keyword::FillLeft, &mut matching.fill_left),
            _ => return Ok(()),
        };
        if self.accept(Token::Keyword(other))?.is_some() {
            *slot = Some(self.fill_value()?);
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Result<f64, ParseError> {
        let context = self.context();
        self.expect(Token::LeftParen, context)?;
        let value = self.signed_number(context)?;
        self.expect(Token::RightParen, context)?;
        Ok(value)
    }

    /// A number or duration with an optional sign.
    pub(crate) fn signed_number(&mut self, context: Context) -> Result<f64, ParseError> {
        let minus = match self.peek()?.token {
            Token::Binary(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.next()?;
                op == BinaryOp::Sub
            }
            _ => false,
        };
        match self.peek()?.token {
            Token::Number | Token::Duration => {
                let value = self.number_literal()?.value;
                Ok(if minus { -value } else { value })
            }
            _ => Err(self.unexpected(context)),
        }
    }

    /// Reads the number or duration that comes next.
    pub(crate) fn number_literal(&mut self) -> Result<NumberLiteral, ParseError> {
        let Item { token, span } = self.next()?;
        let word = self.word(span);
        let duration = token == Token::Duration;
        let value = if duration {
            literal::duration_nanos(word).map(literal::seconds)
        } else {
            literal::number(word)
        };
        match value {
            Ok(value) => Ok(NumberLiteral { value, duration, span }),
            Err(message) => self.error(span, message),
        }
    }
}

/// `+` or `-` as a sign.
pub(crate) fn sign(op: BinaryOp) -> UnaryOp {
    if op == BinaryOp::Sub { UnaryOp::Minus } else { UnaryOp::Plus }
}
