//! The syntax tree: what was written, with positions.
//!
//! Positions are byte offsets into the query text. Values that a duration expression makes are
//! known only when a query's times are, so ranges, offsets and steps are [`Duration`]s.

use norn_model::Millis;
use norn_model::matcher::Matcher;

use crate::function::Function;

/// Bytes `start..end` of the query text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// What an expression yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One float per step.
    Scalar,
    /// A set of series with one sample per step.
    Vector,
    /// A set of series with a range of samples.
    Matrix,
    /// A text.
    String,
}

impl ValueType {
    /// The word in JSON: `vector`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::String => "string",
        }
    }

    /// The word in error texts: `instant vector`.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::String => "string",
        }
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `1.5`, `5m`.
    Number(NumberLiteral),
    /// `"text"`.
    String(StringLiteral),
    /// `up{job="x"} offset 5m`.
    Vector(VectorSelector),
    /// `up[5m]`.
    Matrix(MatrixSelector),
    /// `expr[1h:5m]`.
    Subquery(Subquery),
    /// `rate(…)`.
    Call(Call),
    /// `sum by (x) (…)`.
    Aggregate(Aggregate),
    /// `a + on (x) b`.
    Binary(Binary),
    /// `-expr`.
    Unary(Unary),
    /// `(expr)`.
    Paren(Paren),
}

/// A number, or a duration used as seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberLiteral {
    /// The value.
    pub value: f64,
    /// Whether it was written as a duration.
    pub duration: bool,
    /// Where.
    pub span: Span,
}

/// A text.
#[derive(Clone, Debug, PartialEq)]
pub struct StringLiteral {
    /// Unquoted; bytes that are not UTF-8 are replaced.
    pub value: String,
    /// The bytes, where they are not UTF-8: escapes like `\xff` can make such texts.
    pub raw: Option<Vec<u8>>,
    /// Where, quotes included.
    pub span: Span,
}

/// The `@` modifier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// `@ 123.456`.
    Time(Millis),
    /// `@ start()`.
    Start,
    /// `@ end()`.
    End,
}

/// A length of time as written: fixed, or computed when the query's times are known.
#[derive(Clone, Debug, PartialEq)]
pub enum Duration {
    /// Milliseconds; may be negative for offsets.
    Fixed(Millis),
    /// To be evaluated.
    Expr(Box<DurationExpr>),
}

/// Arithmetic over durations; numbers are seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct DurationExpr {
    /// What it computes.
    pub node: DurationNode,
    /// Whether it stands in parentheses.
    pub wrapped: bool,
    /// Where.
    pub span: Span,
}

/// The forms of a [`DurationExpr`].
#[derive(Clone, Debug, PartialEq)]
pub enum DurationNode {
    /// Seconds.
    Number(NumberLiteral),
    /// `step()`.
    Step,
    /// `range()`.
    Range,
    /// `+x`, `-x`.
    Unary(UnaryOp, Box<DurationExpr>),
    /// `a op b` with one of `+ - * / % ^`.
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
    /// `min_of(a, b)`.
    Min(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`.
    Max(Box<DurationExpr>, Box<DurationExpr>),
}

/// An instant selector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// The name before the braces, empty where there is none. `matchers` holds it too.
    pub name: String,
    /// All conditions, the metric name's included.
    pub matchers: Vec<Matcher>,
    /// `offset`.
    pub offset: Duration,
    /// `@`.
    pub at: Option<At>,
    /// `anchored`.
    pub anchored: bool,
    /// `smoothed`.
    pub smoothed: bool,
    /// Where.
    pub span: Span,
}

/// A range selector.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    /// The selector; carries offset, `@`, `anchored` and `smoothed`.
    pub selector: VectorSelector,
    /// The range.
    pub range: Duration,
    /// Where.
    pub span: Span,
}

/// A subquery.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Box<Expr>,
    /// The range.
    pub range: Duration,
    /// The step; `None` = the default evaluation interval.
    pub step: Option<Duration>,
    /// `offset`.
    pub offset: Duration,
    /// `@`.
    pub at: Option<At>,
    /// Where.
    pub span: Span,
}

/// A function call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function.
    pub func: &'static Function,
    /// Arguments as written.
    pub args: Vec<Expr>,
    /// Where.
    pub span: Span,
}

/// An aggregation operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateOp {
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `count`
    Count,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `group`
    Group,
    /// `stddev`
    Stddev,
    /// `stdvar`
    Stdvar,
    /// `topk`
    TopK,
    /// `bottomk`
    BottomK,
    /// `count_values`
    CountValues,
    /// `quantile`
    Quantile,
    /// `limitk`
    LimitK,
    /// `limit_ratio`
    LimitRatio,
}

/// An aggregation.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Box<Expr>,
    /// The parameter of `topk`, `quantile`, ….
    pub param: Option<Box<Expr>>,
    /// Labels of `by` or `without`, as written.
    pub grouping: Vec<String>,
    /// Whether `without` was used.
    pub without: bool,
    /// Where.
    pub span: Span,
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `</`
    TrimUpper,
    /// `>/`
    TrimLower,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
}

impl AggregateOp {
    /// The operator's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::TopK => "topk",
            Self::BottomK => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::LimitK => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// The operator that a word in lower case names.
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: [AggregateOp; 14] = [
            AggregateOp::Sum,
            AggregateOp::Avg,
            AggregateOp::Count,
            AggregateOp::Min,
            AggregateOp::Max,
            AggregateOp::Group,
            AggregateOp::Stddev,
            AggregateOp::Stdvar,
            AggregateOp::TopK,
            AggregateOp::BottomK,
            AggregateOp::CountValues,
            AggregateOp::Quantile,
            AggregateOp::LimitK,
            AggregateOp::LimitRatio,
        ];
        ALL.into_iter().find(|op| op.as_str() == name)
    }

    /// What the operator's parameter must be, where it takes one.
    pub fn param_type(self) -> Option<ValueType> {
        match self {
            Self::TopK | Self::BottomK | Self::Quantile | Self::LimitK | Self::LimitRatio => {
                Some(ValueType::Scalar)
            }
            Self::CountValues => Some(ValueType::String),
            _ => None,
        }
    }

    /// Whether the operator needs `promql-experimental-functions`.
    pub fn is_experimental(self) -> bool {
        matches!(self, Self::LimitK | Self::LimitRatio)
    }
}

impl BinaryOp {
    /// The operator's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    /// How strongly the operator binds; 1 is weakest. Signs bind like `*`.
    pub fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessEqual
            | Self::Greater
            | Self::GreaterEqual
            | Self::TrimUpper
            | Self::TrimLower => 3,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => 5,
            Self::Pow => 6,
        }
    }

    /// Whether the operator compares and so may carry `bool`. The trim operators do not compare.
    pub fn is_comparison(self) -> bool {
        self.precedence() == 3 && !matches!(self, Self::TrimUpper | Self::TrimLower)
    }

    /// Whether the operator is `and`, `or` or `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// Whether the operator is written as a word.
    pub fn is_word(self) -> bool {
        self.is_set() || self == Self::Atan2
    }
}

impl UnaryOp {
    /// The sign's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
        }
    }
}

/// A sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

/// Which side may have several series for one match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// Both sides one.
    OneToOne,
    /// `group_left`.
    ManyToOne,
    /// `group_right`.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// How two vectors are matched.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorMatching {
    /// Which side is many.
    pub card: Cardinality,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Whether `on` was used.
    pub on: bool,
    /// Labels of `group_left`/`group_right`.
    pub include: Vec<String>,
    /// `fill` or `fill_left`.
    pub fill_left: Option<f64>,
    /// `fill` or `fill_right`.
    pub fill_right: Option<f64>,
}

/// A binary expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Left operand.
    pub lhs: Box<Expr>,
    /// Right operand.
    pub rhs: Box<Expr>,
    /// Present when both operands are vectors.
    pub matching: Option<VectorMatching>,
    /// `bool`.
    pub return_bool: bool,
}

/// A signed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// The sign.
    pub op: UnaryOp,
    /// What is signed.
    pub expr: Box<Expr>,
    /// Where the sign stands.
    pub start: u32,
}

/// An expression in parentheses.
#[derive(Clone, Debug, PartialEq)]
pub struct Paren {
    /// What is inside.
    pub expr: Box<Expr>,
    /// Where, parentheses included.
    pub span: Span,
}

impl Expr {
    /// Where the expression stands; a binary expression spans its operands.
    pub fn span(&self) -> Span {
        match self {
            Self::Number(n) => n.span,
            Self::String(s) => s.span,
            Self::Vector(v) => v.span,
            Self::Matrix(m) => m.span,
            Self::Subquery(s) => s.span,
            Self::Call(c) => c.span,
            Self::Aggregate(a) => a.span,
            Self::Binary(b) => Span { start: b.lhs.span().start, end: b.rhs.span().end },
            Self::Unary(u) => Span { start: u.start, end: u.expr.span().end },
            Self::Paren(p) => p.span,
        }
    }

    /// What the expression yields.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::String(_) => ValueType::String,
            Self::Vector(_) | Self::Aggregate(_) => ValueType::Vector,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Call(c) => c.func.returns,
            Self::Binary(b) => match (b.lhs.value_type(), b.rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
            Self::Unary(u) => u.expr.value_type(),
            Self::Paren(p) => p.expr.value_type(),
        }
    }

    /// The expressions directly below, in the order they are written; a range selector's
    /// selector is part of it and not listed.
    pub fn children(&self) -> Children<'_> {
        let (first, rest): ([Option<&Expr>; 2], &[Expr]) = match self {
            Self::Number(_) | Self::String(_) | Self::Vector(_) | Self::Matrix(_) => ([None; 2], &[]),
            Self::Subquery(s) => ([Some(&s.expr), None], &[]),
            Self::Call(c) => ([None; 2], &c.args),
            Self::Aggregate(a) => ([a.param.as_deref(), Some(&a.expr)], &[]),
            Self::Binary(b) => ([Some(&b.lhs), Some(&b.rhs)], &[]),
            Self::Unary(u) => ([Some(&u.expr), None], &[]),
            Self::Paren(p) => ([Some(&p.expr), None], &[]),
        };
        first.into_iter().flatten().chain(rest)
    }

    /// Calls `visit` for the expression and everything below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expr)) {
        let mut pending = vec![self];
        while let Some(expr) = pending.pop() {
            visit(expr);
            let mark = pending.len();
            pending.extend(expr.children());
            pending[mark..].reverse();
        }
    }

    /// The expression inside any parentheses.
    pub fn unwrap_parens(&self) -> &Expr {
        let mut expr = self;
        while let Self::Paren(p) = expr {
            expr = &p.expr;
        }
        expr
    }
}

/// Iterator over the expressions directly below one.
pub type Children<'a> = std::iter::Chain<
    std::iter::Flatten<std::array::IntoIter<Option<&'a Expr>, 2>>,
    std::slice::Iter<'a, Expr>,
>;
