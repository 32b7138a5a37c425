//! Plans as text, and what operators cost.

use norn_model::Millis;

use super::*;
use crate::plan::explain::{Operator, Usage};

/// The plan of an instant query at 1000 s, without its first line.
fn plan(text: &str) -> String {
    explained(&Request::instant(text, 1_000_000)).split_once('\n').unwrap().1.to_owned()
}

fn explained(request: &Request) -> String {
    let engine = engine(options());
    engine.plan(&engine.parse(&request.text).unwrap(), request).unwrap().to_string()
}

#[test]
fn operators_stand_above_what_they_read() {
    for (text, want) in [
        ("2 * (1 + time())", "scalar *\n  number 2\n  scalar +\n    number 1\n    time\n"),
        ("'a\"b'", "string \"a\\\"b\"\n"),
        (
            "topk by (b, a) (scalar(x), x offset 1m)",
            "aggregate topk by (a, b) @0\n  scalar\n    select {__name__=\"x\"} from 700.001 to 1000 @23\n  \
             select {__name__=\"x\"} from 640.001 to 940 @27\n",
        ),
        (
            "max_over_time((x > bool 1)[2m:30s])",
            "window max_over_time @0\n  subquery [2m] from 900 to 990 every 30s: 4 steps\n    \
             scalar_op > bool @15\n      select {__name__=\"x\"} from 600.001 to 990 @15\n      number 1\n",
        ),
        (
            r#"x{a=~"1|2"} / on (a) group_left (b) fill (0) rate(y[5m] anchored)"#,
            "join / on (a) group_left (b) fill_left (0) fill_right (0) @0\n  \
             select {a=~\"1|2\",__name__=\"x\"} from 700.001 to 1000 @0\n  window rate @45\n    \
             select {__name__=\"y\"}[5m] from 400.001 to 1000, anchored @50\n",
        ),
        (
            "-x and ignoring (c) abs(y)",
            "set and ignoring (c)\n  negate\n    select {__name__=\"x\"} from 700.001 to 1000 @1\n  \
             map abs @20\n    select {__name__=\"y\"} from 700.001 to 1000 @24\n",
        ),
        (
            "histogram_quantile(0.9, sort_desc(absent(x{a='1'})))",
            "buckets histogram_quantile @0\n  number 0.9\n  sort by value, descending @24\n    \
             absent {a=\"1\"}\n      select {a=\"1\",__name__=\"x\"} from 700.001 to 1000 @41\n",
        ),
        (
            "label_replace(histogram_count(x), 'to', '', 'from', '')",
            "relabel label_replace \"to\" from \"from\"\n  map histogram_count @14\n    \
             select {__name__=\"x\"} from 700.001 to 1000, count and sum @30\n",
        ),
        (
            "info(x, {a='1'})",
            "info {__name__=\"target_info\",a=\"1\"} from 700.001 to 1000 @0\n  \
             select {__name__=\"x\"} from 700.001 to 1000 @5\n",
        ),
        ("x[1m]", "select {__name__=\"x\"}[1m] from 940.001 to 1000 @0\n"),
        (
            "count_values without (d) ('v', timestamp(x))",
            "aggregate count_values \"v\" without (d) @0\n  map timestamp @31\n    \
             select {__name__=\"x\"} from 700.001 to 1000, timestamps @41\n",
        ),
    ] {
        assert_eq!(plan(text), want, "{text}");
    }
}

#[test]
fn a_range_shows_its_steps_and_what_does_not_depend_on_them() {
    let request = Request::range("x + sum(y @ 500)", 0, 95_000, 30_000);
    let want = "range from 0 to 90 every 30s: 4 steps\njoin + @0\n  \
                select {__name__=\"x\"} from -299.999 to 90 @0\n  invariant\n    aggregate sum @4\n      \
                select {__name__=\"y\"} from 200.001 to 500 @8\n";
    assert_eq!(explained(&request), want);
}

#[test]
fn the_deepest_expression_is_explained() {
    let text = format!("{}x{}", "-(".repeat(240), ")".repeat(240));
    assert_eq!(plan(&text).lines().count(), 241);
}

/// Operators of a query of 60 samples for each of the 600 series `x{n}`.
fn measured(text: &str) -> Vec<Operator> {
    let names: Vec<String> = (0..600).map(|n| format!("x{{n=\"{n}\"}}")).collect();
    let values = [1.5; 60];
    let series: Vec<(&str, &[f64])> = names.iter().map(|n| (n.as_str(), &values[..])).collect();
    let request = Request { explain: true, ..Request::range(text, 0, 590_000 as Millis, 10_000) };
    run(options(), &source(&series), &request).unwrap().operators
}

#[test]
fn operators_count_what_they_give_and_read() {
    let operators = measured("sum(count_over_time(x[1m]) * 2)");
    let usage: Vec<Option<Usage>> = operators.iter().map(|o| o.usage).collect();
    let names: Vec<_> = operators.iter().map(|o| o.name).collect();
    assert_eq!(names, ["aggregate", "scalar_op", "window", "select", "number"]);
    let counts = |u: &Option<Usage>| u.map(|u| (u.series, u.samples, u.samples_read));
    // A window holds one sample more at each of the first steps, then six.
    let read = 600 * (1 + 2 + 3 + 4 + 5 + 6 * 55);
    let want = [Some((1, 60, 0)), Some((600, 36_000, 0)), Some((600, 36_000, read)), None, None];
    assert_eq!(usage.iter().map(counts).collect::<Vec<_>>(), want);
    let bytes: Vec<u64> = usage.iter().flatten().map(|u| u.chunk_bytes).collect();
    assert!(bytes[0] == 0 && bytes[1] == 0 && bytes[2] > 600, "{bytes:?}");
    assert!(usage.iter().flatten().all(|u| !u.cpu.is_zero()), "{usage:?}");
}

#[test]
fn what_other_threads_read_is_charged() {
    let names: Vec<String> =
        (0..600).map(|n| format!("target_info{{instance=\"{n}\",job=\"j\",v=\"{n}\"}}")).collect();
    let values = [1.0; 60];
    let mut series: Vec<(&str, &[f64])> = names.iter().map(|n| (n.as_str(), &values[..])).collect();
    series.push(("x{instance=\"7\",job=\"j\"}", &values));
    let request = Request { explain: true, ..Request::range("info(x)", 0, 590_000, 10_000) };
    let operators = run(options(), &source(&series), &request).unwrap().operators;
    let usage: Vec<Usage> = operators.iter().flat_map(|o| o.usage).collect();
    let counts = |u: &Usage| (u.series, u.samples, u.samples_read);
    // Values and times of info series are looked at one after the other.
    assert_eq!(usage.iter().map(counts).collect::<Vec<_>>(), [(1, 60, 2 * 600 * 60), (1, 60, 60)]);
}

#[test]
fn cpu_is_charged_once() {
    let began = std::time::Instant::now();
    let operators = measured("max_over_time(sum(x)[5m:1s]) + on () group_left () sum(x)");
    let cpu: std::time::Duration = operators.iter().flat_map(|o| o.usage).map(|u| u.cpu).sum();
    // Two threads evaluate.
    assert!(cpu <= 2 * began.elapsed(), "{cpu:?}");
}

#[test]
fn raw_samples_are_counted_by_the_root() {
    let request = Request { explain: true, ..Request::instant("x[1m]", 50_000) };
    let output = run(options(), &source(&[("x", &[1.0, 2.0]), ("x{a=\"1\"}", &[3.0])]), &request).unwrap();
    let usage = output.operators[0].usage.unwrap();
    assert_eq!((usage.series, usage.samples), (2, 3));
    assert!(usage.chunk_bytes > 0);
}

#[test]
fn nothing_is_measured_unasked() {
    let output = run(options(), &source(&[("x", &[1.0])]), &Request::instant("x", 0)).unwrap();
    assert_eq!(output.operators, []);
}
