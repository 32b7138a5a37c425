//! Cancellation, deadlines, memory, samples, depth.

use std::time::{Duration, Instant};

use futures::FutureExt;

use super::*;

fn many() -> Arc<MemorySource> {
    let names: Vec<String> = (0..2000).map(|i| format!("x{{i=\"{i}\"}}")).collect();
    let values = [1.0; 60];
    source(&names.iter().map(|n| (n.as_str(), &values[..])).collect::<Vec<_>>())
}

/// Takes many seconds if nothing stops it.
fn endless() -> Request {
    Request::range("sum(quantile_over_time(0.9, x[10m]))", 0, 600_000, 100)
}

#[test]
fn a_set_flag_stops_a_query() {
    let cancel = Cancel::new();
    cancel.cancel();
    let result = block_on(engine(options()).run(&endless(), many(), cancel));
    assert_eq!(result.unwrap_err().to_string(), "query was canceled in expression evaluation");
}

#[test]
fn dropping_the_future_stops_the_job() {
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let engine = Engine::new(options(), pool.clone());
    let request = endless();
    let mut future = Box::pin(engine.run(&request, many(), Cancel::new()));
    // The job is on the pool after the first poll.
    assert!(future.as_mut().now_or_never().is_none());
    std::thread::sleep(Duration::from_millis(50));
    drop(future);
    let started = Instant::now();
    pool.install(|| ());
    assert!(started.elapsed() < Duration::from_secs(1), "the pool is still busy");
}

#[test]
fn a_deadline_stops_a_query() {
    let request = Request { timeout: Some(Duration::from_millis(20)), ..endless() };
    let error = run(options(), &many(), &request).unwrap_err();
    assert!(matches!(error, QueryError::Timeout), "{error}");
    assert_eq!(error.to_string(), "query timed out in expression evaluation");
    assert_eq!(error.kind(), "timeout");
}

#[test]
fn samples_are_limited() {
    let options = Options { max_samples: 1000, ..options() };
    let error = run(options.clone(), &many(), &Request::instant("x", 0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "query processing would load too many samples into memory in query execution"
    );
    let error = run(options, &many(), &Request::instant("vector(1)[1d:1ms]", 0)).unwrap_err();
    assert_eq!(error.kind(), "execution");
}

#[test]
fn cells_are_limited_before_they_are_allocated() {
    // 2,000 groups of 50,000 steps, of which all but 60 are empty.
    let options = Options { max_samples: 50_000_000, ..options() };
    for query in ["sum by (i) (x)", "topk by (i) (1, x)", "x + on (i) group_left x"] {
        let error = run(options.clone(), &many(), &Request::range(query, 0, 50_000_000, 1_000)).unwrap_err();
        assert!(error.to_string().contains("too many samples"), "{query}: {error}");
    }
}

#[test]
fn memory_is_limited() {
    let options = Options { max_memory_bytes: 64 << 10, ..options() };
    let error = run(options, &many(), &Request::instant("x", 0)).unwrap_err();
    assert!(error.to_string().contains("(err-mimir-max-estimated-memory-consumption-per-query)"), "{error}");
    assert_eq!(error.kind(), "execution");
}

#[test]
fn sums_of_many_series_hold_few() {
    let source = many();
    let whole = run(options(), &source, &Request::range("x", 0, 590_000, 1_000)).unwrap();
    let sum = run(options(), &source, &Request::range("sum(x)", 0, 590_000, 1_000)).unwrap();
    assert!(
        sum.stats.peak_memory_bytes * 5 < whole.stats.peak_memory_bytes,
        "{:?} {:?}",
        sum.stats,
        whole.stats
    );
}

#[test]
fn deep_expressions_fit_the_stack() {
    let s = source(&[("x", &[1.0])]);
    let calls = format!("{}x{}", "abs(".repeat(240), ")".repeat(240));
    assert_eq!(instant(&s, &calls, 0), ["{} 1.0"]);
    let sums = vec!["x"; 450].join(" + ");
    assert_eq!(instant(&s, &sums, 0), ["{} 450.0"]);
    let numbers = vec!["1"; 450].join(" + ");
    assert_eq!(instant(&s, &numbers, 0), ["450.0"]);
}

#[test]
fn results_are_cut_with_a_warning() {
    let request = Request { limit: 3, ..Request::instant("x", 0) };
    let output = run(options(), &many(), &request).unwrap();
    let Value::Vector(elements) = output.value else { panic!("no vector") };
    assert_eq!(elements.len(), 3);
    assert_eq!(output.warnings, ["results truncated due to limit"]);
}

#[test]
fn ranges_can_not_be_asked_for_in_steps() {
    let error = run(options(), &source(&[]), &Request::range("x[5m]", 0, 10, 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector"
    );
    assert_eq!(error.kind(), "bad_data");
}
