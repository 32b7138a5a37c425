//! Where a plausible engine differs from the reference.

use super::*;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

#[test]
fn both_neighbours_of_a_quantile_are_weighed() {
    let s = source(&[("x{a=\"1\"}", &[1.0]), ("x{a=\"2\"}", &[2.0]), ("x{a=\"3\"}", &[INF])]);
    assert_eq!(instant(&s, "quantile(0.5, x)", 0), ["{} NaN"]);
    assert_eq!(instant(&s, "quantile_over_time(0.5, x{a=\"3\"}[1m])", 0), ["{a=\"3\"} NaN"]);
}

#[test]
fn parameters_of_pinned_aggregations_are_those_of_the_first_step() {
    let s = source(&[("x{a=\"1\"}", &[0.0, 100.0]), ("x{a=\"2\"}", &[100.0, 0.0])]);
    assert_eq!(
        range(&s, "quantile(time() % 100 / 100, x @ 0)", 0, 20_000, 10_000),
        ["{} 0:0.0 10:0.0 20:0.0"]
    );
}

#[test]
fn start_and_end_do_not_pin_parameters() {
    let s = source(&[("x{a=\"1\"}", &[5.0; 3]), ("x{a=\"2\"}", &[6.0; 3]), ("k", &[1.0, 2.0, 1.0])]);
    assert_eq!(
        range(&s, "count(topk(scalar(k @ start()), x))", 0, 20_000, 10_000),
        ["{} 0:1.0 10:2.0 20:1.0"]
    );
    assert_eq!(range(&s, "count(topk(scalar(k @ 0), x))", 0, 20_000, 10_000), ["{} 0:1.0 10:1.0 20:1.0"]);
}

#[test]
fn sums_lose_the_sign_of_zero_and_extremes_keep_it() {
    let s = source(&[("x", &[-0.0])]);
    assert_eq!(instant(&s, "sum(x)", 0), ["{} 0.0"]);
    assert_eq!(instant(&s, "avg(x)", 0), ["{} 0.0"]);
    assert_eq!(instant(&s, "sum_over_time(x[1m])", 0), ["{} 0.0"]);
    assert_eq!(instant(&s, "min(x)", 0), ["{} -0.0"]);
    assert_eq!(instant(&s, "last_over_time(x[1m])", 0), ["{__name__=\"x\"} -0.0"]);
    assert_eq!(instant(&s, "1 / -(x * -1)", 0), ["{} -inf"]);
    assert_eq!(instant(&s, "count_values(\"v\", x)", 0), ["{v=\"-0\"} 1.0"]);
}

#[test]
fn numbers_beyond_integers_wrap_in_dates() {
    let s = source(&[("x", &[NAN])]);
    assert_eq!(instant(&s, "year(x)", 0), ["{} 292277026596.0"]);
    assert_eq!(instant(&s, "hour(x)", 0), ["{} 15.0"]);
    assert_eq!(instant(&s, "day_of_month(x)", 0), ["{} 4.0"]);
}

#[test]
fn the_one_side_is_checked_where_both_sides_are() {
    let s = source(&[
        ("many{k=\"a\"}", &[1.0, NAN, NAN]),
        ("one{k=\"b\",i=\"1\"}", &[1.0]),
        ("one{k=\"b\",i=\"2\"}", &[2.0]),
    ]);
    let failed = instant(&s, "many * on(k) one", 0);
    assert_eq!(
        failed,
        ["found duplicate series for the match group {k=\"b\"} on the right hand-side of the operation: \
          [{__name__=\"one\", i=\"1\", k=\"b\"}, {__name__=\"one\", i=\"2\", k=\"b\"}];many-to-many matching not \
          allowed: matching labels must be unique on one side"]
    );
    assert_eq!(instant(&s, "nothing * on(k) one", 0), [""; 0]);
}

#[test]
fn filters_with_group_right_keep_the_left_value() {
    let s = source(&[("one{k=\"a\"}", &[7.0]), ("many{k=\"a\",i=\"1\"}", &[3.0])]);
    assert_eq!(instant(&s, "one > on(k) group_right many", 0), ["{__name__=\"many\", i=\"1\", k=\"a\"} 7.0"]);
}

#[test]
fn equal_labels_merge_step_by_step_but_not_in_range_functions() {
    let stale = norn_model::sample::stale_nan();
    let s = source(&[("a", &[1.0, stale]), ("b", &[stale, 2.0])]);
    let both = "{__name__=~\"a|b\"}";
    assert_eq!(range(&s, &format!("{both} * 1"), 0, 10_000, 10_000), ["{} 0:1.0 10:2.0"]);
    assert_eq!(range(&s, &format!("-{both}"), 0, 10_000, 10_000), ["{} 0:-1.0 10:-2.0"]);
    assert_eq!(
        range(&s, &format!("count_over_time({both}[10s])"), 0, 10_000, 10_000),
        ["vector cannot contain metrics with the same labelset"]
    );
}

#[test]
fn absent_reads_subtracting_matchers_last() {
    let s = source(&[]);
    assert_eq!(instant(&s, "absent(x{b!=\"y\",b=\"x\"})", 0), ["{} 1.0"]);
    assert_eq!(instant(&s, "absent(x{b=~\"y.*\",b=\"x\"})", 0), ["{b=\"x\"} 1.0"]);
    assert_eq!(instant(&s, "absent(sum(x{b=\"x\"}))", 0), ["{} 1.0"]);
}

#[test]
fn timestamps_of_selectors_are_those_of_samples() {
    let s = source(&[("x", &[1.0])]);
    assert_eq!(instant(&s, "timestamp((x))", 7_000), ["{} 0.0"]);
    assert_eq!(instant(&s, "timestamp(x + 0)", 7_000), ["{} 7.0"]);
}

#[test]
fn rounding_and_clamping() {
    let s = source(&[("x", &[0.499_999_999_999_999_94]), ("y", &[-2.5]), ("z", &[1.0]), ("n", &[NAN])]);
    assert_eq!(instant(&s, "round(x)", 0), ["{} 1.0"]);
    assert_eq!(instant(&s, "round(y)", 0), ["{} -2.0"]);
    assert_eq!(instant(&s, "round(z, 0)", 0), ["{} NaN"]);
    assert_eq!(instant(&s, "round(z, -2)", 0), ["{} -0.0"]);
    assert_eq!(instant(&s, "clamp(z, NaN, 5)", 0), ["{} NaN"]);
    assert_eq!(instant(&s, "clamp(z, 5, 2)", 0), [""; 0]);
    assert_eq!(instant(&s, "max_of(NaN, +Inf)", 0), ["inf"]);
    assert_eq!(instant(&s, "min_of(NaN, -Inf)", 0), ["-inf"]);
}

#[test]
fn parameters_of_topk() {
    let s = source(&[("x{a=\"1\"}", &[1.0]), ("x{a=\"2\"}", &[2.0])]);
    assert_eq!(instant(&s, "topk(1.9, x)", 0), ["{__name__=\"x\", a=\"2\"} 2.0"]);
    assert_eq!(instant(&s, "topk(-Inf, x)", 0), [""; 0]);
    assert_eq!(instant(&s, "topk(Inf, x)", 0), ["Scalar value +Inf overflows int64"]);
    assert_eq!(instant(&s, "topk(NaN, x)", 0), ["Parameter value is NaN"]);
}

#[test]
fn ties_and_limits_follow_the_heap() {
    let s = source(&[
        ("x{a=\"1\"}", &[1e308]),
        ("x{a=\"2\"}", &[-1e308]),
        ("x{a=\"3\"}", &[-1e308]),
        ("x{a=\"4\"}", &[1e308]),
    ]);
    let picked = |query: &str| -> String {
        instant(&s, query, 0).iter().map(|e| e.split('"').nth(3).unwrap().to_owned()).collect()
    };
    assert_eq!(picked("topk(3, x)"), "143");
    assert_eq!(picked("bottomk(2, x)"), "32");
    let order = source(&[("x{a=\"1\"}", &[2.0]), ("x{a=\"2\"}", &[1.0]), ("x{a=\"3\"}", &[3.0])]);
    assert_eq!(
        instant(&order, "limitk(3, x)", 0),
        ["{__name__=\"x\", a=\"2\"} 1.0", "{__name__=\"x\", a=\"1\"} 2.0", "{__name__=\"x\", a=\"3\"} 3.0"]
    );
}

#[test]
fn deviations_overflow_where_means_do_not() {
    let s = source(&[("x{a=\"1\"}", &[1e308]), ("x{a=\"2\"}", &[-1e308])]);
    assert_eq!(instant(&s, "avg(x)", 0), ["{} 0.0"]);
    assert_eq!(instant(&s, "stddev(x)", 0), ["{} NaN"]);
    let infinite = source(&[("x", &[INF])]);
    assert_eq!(instant(&infinite, "stddev(x)", 0), ["{} NaN"]);
}

#[test]
fn times_of_extremes_are_those_of_the_latest() {
    let s = source(&[("x", &[1.0, 3.0, 3.0, 1.0]), ("n", &[NAN, NAN])]);
    assert_eq!(instant(&s, "ts_of_max_over_time(x[1m])", 30_000), ["{} 20.0"]);
    assert_eq!(instant(&s, "ts_of_min_over_time(x[1m])", 30_000), ["{} 30.0"]);
    assert_eq!(instant(&s, "ts_of_min_over_time(n[1m])", 30_000), ["{} 10.0"]);
}

#[test]
fn values_are_written_before_they_are_grouped() {
    let s = source(&[("x{a=\"1\"}", &[1e308])]);
    let name = format!("1{}", "0".repeat(308));
    assert_eq!(instant(&s, "count_values(\"a\", x)", 0), [format!("{{a=\"{name}\"}} 1.0")]);
}

#[test]
fn relabelled_series_merge_where_they_do_not_meet() {
    let stale = norn_model::sample::stale_nan();
    let s = source(&[("a{l=\"1\"}", &[1.0, stale]), ("a{l=\"2\"}", &[stale, 2.0])]);
    let query = "label_replace(a, \"l\", \"\", \"\", \"\")";
    assert_eq!(range(&s, query, 0, 10_000, 10_000), ["{__name__=\"a\"} 0:1.0 10:2.0"]);
    let meeting = source(&[("a{l=\"1\"}", &[1.0]), ("a{l=\"2\"}", &[2.0])]);
    assert_eq!(instant(&meeting, query, 0), ["vector cannot contain metrics with the same labelset"]);
}

#[test]
fn subquery_steps_are_multiples_of_the_epoch() {
    let s = source(&[("x", &[1.0; 20])]);
    // In (7 s, 97 s] lie 20, 40, 60 and 80.
    assert_eq!(instant(&s, "count_over_time(x[90s:20s])", 97_000), ["{} 4.0"]);
    // The left edge is open: 10 itself is not in (10, 100].
    assert_eq!(instant(&s, "count_over_time(x[90s:10s])", 100_000), ["{} 9.0"]);
}

#[test]
fn a_counter_is_only_doubted_where_it_gave_something() {
    let s = source(&[("m", &[1.0, 2.0])]);
    let infos = |query: &str| run(options(), &s, &Request::instant(query, 10_000)).unwrap().infos;
    assert_eq!(
        infos("rate(m[20s])"),
        [
            "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"m\" (1:6)"
        ]
    );
    assert_eq!(infos("rate(m[5s])"), [""; 0]);
}

#[test]
fn stale_markers_end_a_series_at_once() {
    let s = source(&[("x", &[1.0, norn_model::sample::stale_nan(), 3.0])]);
    assert_eq!(range(&s, "x", 0, 20_000, 5_000), ["{__name__=\"x\"} 0:1.0 5:1.0 20:3.0"]);
    assert_eq!(instant(&s, "count_over_time(x[1m])", 20_000), ["{} 2.0"]);
}

#[test]
fn names_stay_until_the_end_where_removal_is_delayed() {
    let s = source(&[("a", &[1.0]), ("b", &[2.0])]);
    let delayed = Options { delayed_name_removal: true, ..options() };
    assert_eq!(
        instant_with(delayed, &s, "sum by (__name__) (abs({__name__=~\"a|b\"}))", 0),
        ["vector cannot contain metrics with the same labelset"]
    );
    assert_eq!(
        instant(&s, "abs({__name__=~\"a|b\"})", 0),
        ["vector cannot contain metrics with the same labelset"]
    );
}

#[test]
fn results_do_not_depend_on_threads() {
    let names: Vec<String> = (0..700).map(|i| format!("x{{i=\"{i}\",g=\"{}\"}}", i % 7)).collect();
    let values: Vec<Vec<f64>> =
        (0..700).map(|i| (0..50).map(|k| f64::from(i * 50 + k).sin() * 1e9).collect()).collect();
    let series: Vec<_> = names.iter().map(String::as_str).zip(values.iter().map(Vec::as_slice)).collect();
    let s = source(&series);
    let request = Request::range("sum by (g) (rate(x[1m]))", 0, 490_000, 1_000);
    let alone = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let alone = block_on(Engine::new(options(), alone).run(&request, s.clone(), Cancel::new())).unwrap();
    let together = run(options(), &s, &request).unwrap();
    assert_eq!(alone.value, together.value);
    let Value::Matrix(series) = together.value else { panic!("no matrix") };
    assert_eq!(series.len(), 7);
}

#[test]
fn starts_are_read_only_where_they_are_wanted() {
    let s = MemorySource::default();
    // Began again between the samples, and passed the last value.
    for (t, start, value) in [(10_000, 5_000, 3.0), (20_000, 15_000, 4.0)] {
        s.add_started(&labels("x"), t, start, PointValue::Float(value)).unwrap();
    }
    let s = Arc::new(s);
    let on = Options { use_start_timestamps: true, ..options() };
    for (query, without, with) in [
        ("resets(x[1m])", vec!["{} 0.0"], vec!["{} 1.0"]),
        ("increase(x[10s])", vec![], vec!["{} 4.0"]),
        ("irate(x[1m])", vec!["{} 0.1"], vec!["{} 0.4"]),
        ("idelta(x[1m])", vec!["{} 1.0"], vec!["{} 1.0"]),
        ("start_timestamp(x)", vec![], vec!["{} 15.0"]),
        ("start_timestamp(x + 0)", vec![], vec![]),
    ] {
        assert_eq!(instant(&s, query, 20_000), without, "{query}");
        assert_eq!(instant_with(on.clone(), &s, query, 20_000), with, "{query}");
    }
}
