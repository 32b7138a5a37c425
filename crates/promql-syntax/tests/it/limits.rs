//! Hostile texts: deep, long, or both. All run on a small stack.

use norn_promql_syntax::ast::Expr;
use norn_promql_syntax::{
    MAX_DEPTH, MAX_DURATION_OPERATORS, Options, parse, parse_selector, pretty, to_json,
};

/// Runs `test` on a stack of 512 KiB.
fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(test).expect("a thread");
    assert!(thread.join().is_ok());
}

fn error(text: &str) -> String {
    parse(text, &Options::all()).err().map(|e| e.to_string()).unwrap_or_default()
}

/// Does with an expression all that walks it.
fn exercise(text: &str) {
    let expr = parse(text, &Options::all()).expect("a query");
    let mut nodes = 0;
    expr.walk(&mut |_: &Expr| nodes += 1);
    assert!(nodes > 100);
    let again = parse(&expr.to_string(), &Options::all()).expect("its own print");
    assert_eq!(again.to_string(), expr.to_string());
    assert!(pretty(&expr).len() >= expr.to_string().len());
    assert!(to_json(&expr).is_object());
    assert_eq!(expr.value_type(), again.value_type());
}

#[test]
fn trees_of_the_greatest_height_can_be_walked() {
    on_small_stack(|| {
        let n = MAX_DEPTH - 1;
        exercise(&format!("{}a{}", "(".repeat(n), ")".repeat(n)));
        exercise(&format!("{}a{}", "abs(".repeat(n), ")".repeat(n)));
        exercise(&format!("{}a{}", "sum(".repeat(n), ")".repeat(n)));
        exercise(&format!("{}a", "-".repeat(n)));
        exercise(&format!("a{}", " + a".repeat(n)));
        exercise(&format!("a{}", " ^ a".repeat(n)));
        exercise(&format!("a{}", " or vector(1)".repeat(n - 2)));
    });
}

#[test]
fn higher_trees_are_refused() {
    on_small_stack(|| {
        let refused = "expression is nested more than 500 levels deep";
        for n in [MAX_DEPTH, 10_000, 100_000] {
            for text in [
                "(".repeat(n),
                format!("{}a{}", "(".repeat(n), ")".repeat(n)),
                format!("{}a{}", "sum(".repeat(n), ")".repeat(n)),
                format!("{}a", "-".repeat(n)),
                format!("1{}", "+1".repeat(n)),
                format!("a{}", "^a".repeat(n)),
                format!("a{}", "[5m:]".repeat(n)),
            ] {
                let error = error(&text);
                assert!(error.starts_with("1:") && error.ends_with(refused), "{n}: {error}");
            }
        }
        assert_eq!(error(&"(".repeat(501)), format!("1:500: parse error: {refused}"));
    });
}

#[test]
fn wide_trees_are_not() {
    let args = vec!["\"a\""; 20_000].join(", ");
    exercise(&format!("sort_by_label(a, {args})"));
    let matchers = (0..20_000).map(|i| format!("l{i}=\"v\"")).collect::<Vec<_>>().join(",");
    assert_eq!(parse_selector(&format!("{{{matchers}}}")).map(|m| m.len()), Ok(20_000));
}

#[test]
fn duration_expressions_are_limited() {
    on_small_stack(|| {
        let n = MAX_DURATION_OPERATORS;
        for (open, middle, close) in [("(", "", ")"), ("-", "", ""), ("max_of(1,", "", ")"), ("", "+1", "")] {
            let text = |n: usize| format!("a[{}1{}{}]", open.repeat(n), middle.repeat(n), close.repeat(n));
            let result = parse(&text(n), &Options::all());
            assert!(result.is_ok(), "{result:?}");
            let error = error(&text(100_000));
            assert!(error.ends_with("duration expression has more than 100 operators"), "{error}");
        }
        assert!(error(&format!("a offset {}", "(".repeat(100_000))).contains("more than 100"));
    });
}

#[test]
fn selectors_are_read_alone() {
    let names = |text| {
        parse_selector(text)
            .map(|matchers| matchers.iter().map(ToString::to_string).collect::<Vec<_>>())
            .map_err(|e| e.to_string())
    };
    assert_eq!(names("up{job=~\"a|b\"}"), Ok(vec!["job=~\"a|b\"".into(), "__name__=\"up\"".into()]));
    assert_eq!(names("{}"), Ok(vec![]));
    assert_eq!(names("up[5m]"), Err("1:3: parse error: unexpected \"[\"".into()));
    assert_eq!(names(""), Err("unknown position: parse error: unexpected end of input".into()));
    assert_eq!(names("1"), Err("1:1: parse error: unexpected number \"1\"".into()));
    assert_eq!(
        names("up{a=~\"[\"}"),
        Err("1:4: parse error: error parsing regexp: missing closing ]: `[`".into())
    );
}
