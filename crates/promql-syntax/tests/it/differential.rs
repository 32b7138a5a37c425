//! The syntax against the crate `promql-parser`, on generated queries that both should read
//! alike.
//!
//! Left out because the crate is known to differ: trim operators, `anchored`, `smoothed`,
//! duration arithmetic, `step()` and its like, zero offsets and ranges, numbers with `_` or
//! leading zero, unary plus, backslashes, `info`, fill with durations, scalar arguments it
//! special-cases. Sizes stay small since it recurses without limit.

use norn_promql_syntax::ast::{self, At, Duration, Expr, UnaryOp};
use norn_promql_syntax::{Options, parse};
use promql_parser::label::METRIC_NAME;
use promql_parser::parser as other;
use proptest::prelude::*;

/// A tree as text in which nesting is spelled out.
fn canon(expr: &Expr) -> String {
    match expr {
        Expr::Number(n) => format!("{}", n.value),
        Expr::String(s) => format!("{:?}", s.value),
        Expr::Vector(v) => selector(v),
        Expr::Matrix(m) => format!("[{} {}]", selector(&m.selector), millis(&m.range)),
        Expr::Subquery(s) => {
            let step = s.step.as_ref().map_or(0, millis);
            let modifiers = modifiers(millis(&s.offset), at(s.at));
            format!("[{} {} {step}{modifiers}]", canon(&s.expr), millis(&s.range))
        }
        Expr::Call(c) => format!("{}({})", c.func.name, list(c.args.iter().map(canon))),
        Expr::Aggregate(a) => {
            let param = a.param.as_deref().map(canon).unwrap_or_default();
            let mode = if a.without { "without" } else { "by" };
            format!("{} {mode} {:?}({param};{})", a.op.as_str(), a.grouping, canon(&a.expr))
        }
        Expr::Binary(b) => {
            let (lhs, rhs) = (canon(&b.lhs), canon(&b.rhs));
            let matching = b.matching.as_ref().map(matching).unwrap_or_default();
            format!("({lhs} {}{}{matching} {rhs})", b.op.as_str(), if b.return_bool { " bool" } else { "" })
        }
        Expr::Unary(u) => {
            assert_eq!(u.op, UnaryOp::Minus);
            format!("-({})", canon(&u.expr))
        }
        Expr::Paren(p) => format!("<{}>", canon(&p.expr)),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

fn millis(duration: &Duration) -> i64 {
    match duration {
        Duration::Fixed(millis) => *millis,
        Duration::Expr(e) => panic!("unexpected {e}"),
    }
}

fn modifiers(offset: i64, at: String) -> String {
    if offset == 0 && at.is_empty() { String::new() } else { format!(" @{at} offset {offset}") }
}

fn at(at: Option<At>) -> String {
    match at {
        None => String::new(),
        Some(At::Time(millis)) => millis.to_string(),
        Some(At::Start) => "start".into(),
        Some(At::End) => "end".into(),
    }
}

fn selector(v: &ast::VectorSelector) -> String {
    let mut matchers: Vec<_> =
        v.matchers.iter().map(|m| format!("{}{}{:?}", m.name(), m.op().as_str(), m.value())).collect();
    matchers.sort();
    format!("{{{}}}{}", matchers.join(","), modifiers(millis(&v.offset), at(v.at)))
}

fn matching(m: &ast::VectorMatching) -> String {
    if m.card == ast::Cardinality::ManyToMany {
        return matching_text("", m.on, &m.labels, &[], None, None);
    }
    let card = match m.card {
        ast::Cardinality::ManyToOne => "left",
        ast::Cardinality::OneToMany => "right",
        _ => "",
    };
    matching_text(card, m.on, &m.labels, &m.include, m.fill_left, m.fill_right)
}

fn matching_text(
    card: &str,
    on: bool,
    labels: &[String],
    include: &[String],
    left: Option<f64>,
    right: Option<f64>,
) -> String {
    let plain = !on && labels.is_empty() && card.is_empty() && left.is_none() && right.is_none();
    let text = format!(" on={on}{labels:?} {card}{include:?} {left:?} {right:?}");
    if plain { String::new() } else { text }
}

fn other_canon(expr: &other::Expr) -> String {
    match expr {
        other::Expr::NumberLiteral(n) => format!("{}", n.val),
        other::Expr::StringLiteral(s) => format!("{:?}", s.val),
        other::Expr::VectorSelector(v) => other_selector(v),
        other::Expr::MatrixSelector(m) => format!("[{} {}]", other_selector(&m.vs), m.range.as_millis()),
        other::Expr::Subquery(s) => {
            let step = s.step.map_or(0, |d| d.as_millis());
            let modifiers = modifiers(other_offset(&s.offset), other_at(&s.at));
            format!("[{} {} {step}{modifiers}]", other_canon(&s.expr), s.range.as_millis())
        }
        other::Expr::Call(c) => {
            format!("{}({})", c.func.name, list(c.args.args.iter().map(|a| other_canon(a))))
        }
        other::Expr::Aggregate(a) => {
            let param = a.param.as_deref().map(other_canon).unwrap_or_default();
            let (mode, labels) = match &a.modifier {
                Some(other::LabelModifier::Exclude(l)) => ("without", l.labels.clone()),
                Some(other::LabelModifier::Include(l)) => ("by", l.labels.clone()),
                None => ("by", Vec::new()),
            };
            format!("{} {mode} {labels:?}({param};{})", a.op, other_canon(&a.expr))
        }
        other::Expr::Binary(b) => {
            let (lhs, rhs) = (other_canon(&b.lhs), other_canon(&b.rhs));
            let bool = b.modifier.as_ref().is_some_and(|m| m.return_bool);
            let vectors = [&b.lhs, &b.rhs].iter().all(|e| e.value_type() == other::value::ValueType::Vector);
            let matching = b.modifier.as_ref().filter(|_| vectors).map(other_matching).unwrap_or_default();
            format!("({lhs} {}{}{matching} {rhs})", b.op, if bool { " bool" } else { "" })
        }
        other::Expr::Unary(u) => format!("-({})", other_canon(&u.expr)),
        other::Expr::Paren(p) => format!("<{}>", other_canon(&p.expr)),
        other::Expr::Extension(_) => panic!("no extensions are registered"),
    }
}

fn other_offset(offset: &Option<other::Offset>) -> i64 {
    match offset {
        None => 0,
        Some(other::Offset::Pos(d)) => d.as_millis() as i64,
        Some(other::Offset::Neg(d)) => -(d.as_millis() as i64),
    }
}

fn other_at(at: &Option<other::AtModifier>) -> String {
    match at {
        None => String::new(),
        Some(other::AtModifier::Start) => "start".into(),
        Some(other::AtModifier::End) => "end".into(),
        Some(other::AtModifier::At(time)) => {
            let since = time.duration_since(std::time::UNIX_EPOCH).expect("after 1970");
            since.as_millis().to_string()
        }
    }
}

fn other_selector(v: &other::VectorSelector) -> String {
    let name = v.name.iter().map(|name| format!("{METRIC_NAME}={name:?}"));
    let matchers = v.matchers.matchers.iter().map(|m| format!("{}{}{:?}", m.name, m.op, m.value));
    let mut matchers: Vec<_> = name.chain(matchers).collect();
    matchers.sort();
    format!("{{{}}}{}", matchers.join(","), modifiers(other_offset(&v.offset), other_at(&v.at)))
}

fn other_matching(m: &other::BinModifier) -> String {
    let (on, labels) = match &m.matching {
        Some(other::LabelModifier::Include(l)) => (true, l.labels.clone()),
        Some(other::LabelModifier::Exclude(l)) => (false, l.labels.clone()),
        None => (false, Vec::new()),
    };
    let (card, include) = match &m.card {
        other::VectorMatchCardinality::ManyToOne(l) => ("left", l.labels.clone()),
        other::VectorMatchCardinality::OneToMany(l) => ("right", l.labels.clone()),
        _ => ("", Vec::new()),
    };
    matching_text(card, on, &labels, &include, m.fill_values.lhs, m.fill_values.rhs)
}

fn pick(words: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn labels() -> impl Strategy<Value = String> + Clone {
    prop::collection::vec(pick(&["a", "b", "job", "by", "sum", "\"x.y\""]), 0..3).prop_map(|l| l.join(", "))
}

fn instant() -> impl Strategy<Value = String> + Clone {
    let matcher = pick(&["a=\"x\"", "b!=\"y\"", "job=~\"a|b\"", "c!~'z+'", "\"x.y\"=\"1\"", "a=\"\""]);
    let matchers = prop::collection::vec(matcher, 0..3).prop_map(|m| m.join(","));
    let name = pick(&["up", "a:b", "sum", "on_time", "by", "start", "offset", "and"]);
    prop_oneof![
        name.clone(),
        (name, matchers.clone()).prop_map(|(name, m)| format!("{name}{{{m}}}")),
        matchers.prop_map(|m| format!("{{{m}}}")),
    ]
}

fn modifier() -> impl Strategy<Value = String> + Clone {
    pick(&["", "", "", " offset 5m", " offset -1h30m", " @ 1700000000.5", " @ start() offset 2", " @ end()"])
}

fn leaf() -> impl Strategy<Value = String> + Clone {
    let range = pick(&["[5m]", "[1h30m]", "[90]", "[5m:1m]", "[1h:]", "[2d:30]"]);
    prop_oneof![
        pick(&["1", "0.5", "1e3", "0x1F", "5m", ".5", "NaN", "Inf", "\"text\"", "'x y'"]),
        (instant(), modifier()).prop_map(|(s, m)| s + &m),
        (instant(), modifier()).prop_map(|(s, m)| s + &m),
        (instant(), range.clone(), modifier()).prop_map(|(s, r, m)| s + &r + &m),
        (pick(&["rate", "max_over_time", "absent_over_time"]), instant(), range)
            .prop_map(|(f, s, r)| format!("{f}({s}{r})")),
    ]
}

fn operator() -> impl Strategy<Value = String> + Clone {
    let plain = pick(&[
        "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "and", "or", "unless",
        "== bool", "< bool", "+ bool",
    ]);
    let matching = (pick(&["+", "*", "==", "> bool", "and", "or"]), pick(&["on", "ignoring"]), labels());
    let grouped = (matching.clone(), pick(&["group_left", "group_right"]), labels());
    prop_oneof![
        plain,
        matching.prop_map(|(op, mode, l)| format!("{op} {mode} ({l})")),
        grouped.prop_map(|((op, mode, l), side, include)| format!("{op} {mode} ({l}) {side} ({include})")),
    ]
}

fn query() -> impl Strategy<Value = String> + Clone {
    leaf().prop_recursive(4, 24, 3, |inner| {
        let aggregate = (pick(&["sum", "min", "count", "group"]), labels(), inner.clone());
        prop_oneof![
            (inner.clone(), operator(), inner.clone()).prop_map(|(l, op, r)| format!("{l} {op} {r}")),
            (inner.clone(), operator(), inner.clone()).prop_map(|(l, op, r)| format!("{l} {op} {r}")),
            inner.clone().prop_map(|e| format!("({e})")),
            inner.clone().prop_map(|e| format!("-{e}")),
            (pick(&["abs", "sort", "histogram_count", "timestamp", "year"]), inner.clone())
                .prop_map(|(f, e)| format!("{f}({e})")),
            (pick(&["clamp_max", "round"]), inner.clone(), inner.clone())
                .prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
            aggregate.clone().prop_map(|(op, l, e)| format!("{op} by ({l}) ({e})")),
            aggregate.prop_map(|(op, l, e)| format!("{op}({e}) without ({l})")),
            (pick(&["topk", "quantile", "count_values"]), inner.clone(), inner.clone())
                .prop_map(|(op, p, e)| format!("{op}({p}, {e})")),
            (inner, pick(&["[1h:5m]", "[1d:] offset 1h"])).prop_map(|(e, r)| format!("({e}){r}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_promql_parser(text in query()) {
        let ours = parse(&text, &Options::all());
        let theirs = other::parse(&text);
        match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(canon(ours), other_canon(theirs)),
            (Err(_), Err(_)) => {}
            (Ok(_), Err(e)) => prop_assert!(false, "only refused there: {e}"),
            (Err(e), Ok(_)) => prop_assert!(false, "only refused here: {e}"),
        }
    }

    #[test]
    fn prints_what_it_reads(text in query().prop_filter("prints a sign", |t| !t.contains("Inf"))) {
        if let Ok(expr) = parse(&text, &Options::all()) {
            let printed = expr.to_string();
            let again = parse(&printed, &Options::all());
            prop_assert_eq!(again.map(|e| canon(&e)).map_err(|e| e.to_string()), Ok(canon(&expr)));
            let pretty = norn_promql_syntax::pretty(&expr);
            let again = parse(&pretty, &Options::all());
            prop_assert_eq!(again.map(|e| canon(&e)).map_err(|e| e.to_string()), Ok(canon(&expr)));
        }
    }

    #[test]
    fn never_panics(text in "[a-z0-9(){}\\[\\]:,@=~!<>/+*^% \"'`\\\\#.-]{0,60}|\\PC{0,40}") {
        let _ = parse(&text, &Options::all());
        let _ = norn_promql_syntax::series::parse_series(&text);
        let _ = norn_promql_syntax::series::parse_start_line(&text);
    }
}
