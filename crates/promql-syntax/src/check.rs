//! Types, after the words were read.
//!
//! The walk recurses: the parser bounds a tree's height.

use norn_model::labels::METRIC_NAME;
use norn_model::matcher::Matcher;
use norn_model::quote::Quoted;

use crate::ast::*;
use crate::error::ParseError;
use crate::lexer::is_space;

/// Errors are boxed to keep the frames of the recursion small.
type Checked<T = ()> = Result<T, Box<ParseError>>;

/// Checks an expression's types and settles how its vectors match.
pub(crate) fn check(expr: &mut Expr, text: &str) -> Result<(), ParseError> {
    Checker { text }.expr(expr).map(drop).map_err(|e| *e)
}

struct Checker<'a> {
    text: &'a str,
}

impl Checker<'_> {
    fn fail<T>(&self, span: Span, message: impl Into<String>) -> Checked<T> {
        Err(Box::new(ParseError::new(self.text, span, message)))
    }

    fn expr(&self, expr: &mut Expr) -> Checked<ValueType> {
        match expr {
            Expr::Number(_) => Ok(ValueType::Scalar),
            Expr::String(_) => Ok(ValueType::String),
            Expr::Vector(v) => self.selector(v, true).map(|()| ValueType::Vector),
            Expr::Matrix(m) => self.selector(&m.selector, true).map(|()| ValueType::Matrix),
            Expr::Paren(p) => self.expr(&mut p.expr),
            Expr::Subquery(s) => self.subquery(s),
            Expr::Unary(u) => self.unary(u),
            Expr::Aggregate(a) => self.aggregate(a),
            Expr::Binary(b) => self.binary(b),
            Expr::Call(c) => self.call(c),
        }
    }

    fn selector(&self, selector: &VectorSelector, may_not_be_empty: bool) -> Checked {
        if selector.name.is_empty() {
            if may_not_be_empty && selector.matchers.iter().all(Matcher::matches_empty) {
                return self
                    .fail(selector.span, "vector selector must contain at least one non-empty matcher");
            }
            return Ok(());
        }
        let inside = selector.matchers.split_last().map_or(&[][..], |(_, inside)| inside);
        match inside.iter().find(|m| m.name() == METRIC_NAME) {
            Some(m) => {
                let (outer, inner) = (Quoted(&selector.name), Quoted(m.value()));
                self.fail(selector.span, format!("metric name must not be set twice: {outer} or {inner}"))
            }
            None => Ok(()),
        }
    }

    fn subquery(&self, subquery: &mut Subquery) -> Checked<ValueType> {
        let got = match self.expr(&mut subquery.expr)? {
            ValueType::Vector => return Ok(ValueType::Matrix),
            got => got.as_str(),
        };
        self.fail(subquery.span, format!("subquery is only allowed on instant vector, got {got} instead"))
    }

    fn unary(&self, unary: &mut Unary) -> Checked<ValueType> {
        let got = self.expr(&mut unary.expr)?;
        if matches!(got, ValueType::Scalar | ValueType::Vector) {
            return Ok(got);
        }
        self.sign(unary, got)
    }

    fn sign<T>(&self, unary: &Unary, got: ValueType) -> Checked<T> {
        let span = Span { start: unary.start, end: unary.expr.span().end };
        let allowed = "expressions of type scalar or instant vector";
        let got = got.describe();
        self.fail(span, format!("unary expression only allowed on {allowed}, got \"{got}\""))
    }

    fn aggregate(&self, aggregate: &mut Aggregate) -> Checked<ValueType> {
        let got = self.expr(&mut aggregate.expr)?;
        self.expect(&aggregate.expr, ValueType::Vector, got, "expression")?;
        if let (Some(want), Some(param)) = (aggregate.op.param_type(), &mut aggregate.param) {
            let got = self.expr(param)?;
            self.expect(param, want, got, "parameter")?;
        }
        Ok(ValueType::Vector)
    }

    fn expect(&self, expr: &Expr, want: ValueType, got: ValueType, role: &str) -> Checked {
        if got == want {
            return Ok(());
        }
        let (want, got) = (want.describe(), got.describe());
        self.fail(expr.span(), format!("expected type {want} in aggregation {role}, got {got}"))
    }

    fn call(&self, call: &mut Call) -> Checked<ValueType> {
        self.arity(call)?;
        let func = call.func;
        if func.name == "info" {
            self.info(call)?;
        }
        for (i, arg) in call.args.iter_mut().enumerate() {
            let Some(want) = func.args.get(i).or(func.args.last()) else { break };
            let got = match arg {
                Expr::Vector(v) if func.name == "info" && i == 1 => {
                    self.selector(v, false)?;
                    ValueType::Vector
                }
                _ => self.expr(arg)?,
            };
            if got != *want {
                return self.argument(func.name, arg, *want, got);
            }
        }
        Ok(func.returns)
    }

    fn argument<T>(&self, name: &str, arg: &Expr, want: ValueType, got: ValueType) -> Checked<T> {
        let (want, got) = (want.describe(), got.describe());
        self.fail(arg.span(), format!("expected type {want} in call to function \"{name}\", got {got}"))
    }

    fn arity(&self, call: &Call) -> Checked {
        let (declared, got, variadic) = (call.func.args.len(), call.args.len(), call.func.variadic);
        let least = declared.saturating_sub(1);
        let (bound, wanted) = if variadic == 0 {
            if got == declared {
                return Ok(());
            }
            ("", declared)
        } else if got < least {
            ("at least ", least)
        } else if variadic > 0 && got > least + variadic as usize {
            ("at most ", least + variadic as usize)
        } else {
            return Ok(());
        };
        let name = call.func.name;
        self.fail(call.span, format!("expected {bound}{wanted} argument(s) in call to \"{name}\", got {got}"))
    }

    /// The second argument of `info` is a list of matchers dressed as a selector.
    fn info(&self, call: &Call) -> Checked {
        let Some(arg) = call.args.get(1) else { return Ok(()) };
        let got = arg.value_type();
        if got != ValueType::Vector {
            let (want, got) = (ValueType::Vector.describe(), got.describe());
            let message = format!("expected type {want} in call to function \"info\", got {got}");
            return self.fail(call.span, message);
        }
        match arg {
            Expr::Vector(v) if v.name.is_empty() => Ok(()),
            Expr::Vector(_) => {
                self.fail(arg.span(), "expected label selectors only, got vector selector instead")
            }
            _ => self.fail(arg.span(), "expected label selectors only"),
        }
    }

    fn binary(&self, binary: &mut Binary) -> Checked<ValueType> {
        let lhs = self.expr(&mut binary.lhs)?;
        let rhs = self.expr(&mut binary.rhs)?;
        let scalars = lhs == ValueType::Scalar && rhs == ValueType::Scalar;
        let vectors = lhs == ValueType::Vector && rhs == ValueType::Vector;
        self.operator(binary, scalars)?;
        for (operand, got) in [(&binary.lhs, lhs), (&binary.rhs, rhs)] {
            if !matches!(got, ValueType::Scalar | ValueType::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return self.fail(operand.span(), message);
            }
        }
        if let Some(problem) = matching_problem(binary, vectors) {
            return self.fail(Span { start: binary.lhs.span().start, end: binary.rhs.span().end }, problem);
        }
        if !vectors {
            binary.matching = None;
        }
        Ok(if scalars { ValueType::Scalar } else { ValueType::Vector })
    }

    /// Problems that are reported at the operator.
    fn operator(&self, binary: &mut Binary, scalars: bool) -> Checked {
        if binary.return_bool && !binary.op.is_comparison() {
            return self
                .fail(self.operator_span(binary), "bool modifier can only be used on comparison operators");
        }
        if binary.op.is_comparison() && !binary.return_bool && scalars {
            return self
                .fail(self.operator_span(binary), "comparisons between scalars must use BOOL modifier");
        }
        let Some(matching) = &mut binary.matching else { return Ok(()) };
        if binary.op.is_set() && matching.card == Cardinality::OneToOne {
            matching.card = Cardinality::ManyToMany;
        }
        if !matching.on {
            return Ok(());
        }
        match matching.labels.iter().find(|label| matching.include.contains(label)) {
            Some(label) => {
                let label = Quoted(label);
                let message = format!("label {label} must not occur in ON and GROUP clause at once");
                self.fail(self.operator_span(binary), message)
            }
            None => Ok(()),
        }
    }

    /// From the first character behind the left operand that is not space.
    fn operator_span(&self, binary: &Binary) -> Span {
        let (start, end) = (binary.lhs.span().end, binary.rhs.span().start);
        let between = self.text.get(start as usize..end as usize).unwrap_or("");
        let trimmed = between.trim_start_matches(is_space);
        let start = start + (between.len() - trimmed.len()) as u32;
        Span { start, end: start + trimmed.trim_end_matches(is_space).len() as u32 }
    }
}

/// Problems of matching that are reported for the whole expression.
fn matching_problem(binary: &Binary, vectors: bool) -> Option<String> {
    let matching = binary.matching.as_ref()?;
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    if !vectors {
        if !matching.labels.is_empty() {
            return Some("vector matching only allowed between instant vectors".into());
        }
        if fills {
            return Some("filling in missing series only allowed between instant vectors".into());
        }
        let op = binary.op;
        return op
            .is_set()
            .then(|| format!("set operator \"{}\" not allowed in binary scalar expression", op.as_str()));
    }
    if !binary.op.is_set() {
        return None;
    }
    if matching.card != Cardinality::ManyToMany {
        return Some(format!("no grouping allowed for \"{}\" operation", binary.op.as_str()));
    }
    fills.then(|| "filling in missing series not allowed for set operators".into())
}
