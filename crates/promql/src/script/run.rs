//! Running a script.

use norn_model::Millis;
use norn_promql_syntax::ast::Expr;

use super::compare::{self, Mismatch};
use super::parse::{CommandKind, Eval, Expectation, Expected, Times, parse};
use super::{Failure, Report, at, load};
use crate::numeric::duration;
use crate::testing::MemorySource;
use crate::value::{Output, Value};

/// Steps before and after the time of an instant case when it is run as a range query.
const RANGE_STEP: Millis = 60_000;

/// Runs queries over the source that the script fills.
pub trait Evaluate {
    /// Runs `expr` at `times`; `text` is what it was read from. The error is the whole text.
    fn evaluate(&self, text: &str, expr: &Expr, times: Times) -> Result<Output, String>;
}

/// Runs the script `text`; `engine` reads `source`.
pub fn run(file: &str, text: &str, source: &MemorySource, engine: &dyn Evaluate) -> Report {
    let is_eval = |line: &&str| line.trim_start().to_ascii_lowercase().starts_with("eval");
    let mut report =
        Report { file: file.to_owned(), total: text.lines().filter(is_eval).count(), ..Report::default() };
    let commands = match parse(text) {
        Ok(commands) => commands,
        Err(e) => {
            report.failures.push(Failure {
                line: e.line,
                case: "reading the script".to_owned(),
                expected: "a script".to_owned(),
                got: e.message,
            });
            return report;
        }
    };
    for command in &commands {
        let outcome = match &command.kind {
            CommandKind::Clear => {
                source.clear();
                continue;
            }
            CommandKind::Load(series) => load::load(series, source).map_err(|got| {
                ("load".to_owned(), Mismatch { expected: "series are taken".to_owned(), got })
            }),
            CommandKind::Eval(eval) => run_eval(eval, engine).map(|()| report.passed += 1),
        };
        if let Err((case, Mismatch { expected, got })) = outcome {
            report.failures.push(Failure { line: command.line, case, expected, got });
        }
    }
    report
}

/// How a case was run, and why it did not hold.
type CaseResult = Result<(), (String, Mismatch)>;

fn run_eval(eval: &Eval, engine: &dyn Evaluate) -> CaseResult {
    let query = &eval.query;
    match eval.times {
        Times::Range { start, step, .. } => {
            let case = |m| (format!("range query {query}"), m);
            let output = engine.evaluate(query, &eval.expr, eval.times);
            check(&eval.expect, output, |value| compare::range(&eval.expect, start, step, value))
                .map(drop)
                .map_err(case)
        }
        Times::At(time) => {
            run_instant(eval, &eval.expr, time, engine)
                .map_err(|(how, m)| (format!("{query} at {}{how}", duration::display(time)), m))?;
            let Some(pinned) = at::pin(&eval.expr, time) else { return Ok(()) };
            at::other_times(time).into_iter().try_for_each(|other| {
                run_instant(eval, &pinned, other, engine).map_err(|(how, m)| {
                    (format!("{query} @ {} at {}{how}", duration::display(time), duration::display(other)), m)
                })
            })
        }
    }
}

/// Runs an instant case at one time, and as the middle of a range.
fn run_instant(eval: &Eval, expr: &Expr, time: Millis, engine: &dyn Evaluate) -> CaseResult {
    let expect = &eval.expect;
    let output = engine.evaluate(&eval.query, expr, Times::At(time));
    let held = check(expect, output, |value| compare::instant(expect, time, value))
        .map_err(|m| (String::new(), m))?;
    if held == Held::Failed || !runs_as_range(eval) {
        return Ok(());
    }
    let how = " as a step of a range".to_owned();
    let times = Times::Range { start: time - RANGE_STEP, end: time + RANGE_STEP, step: RANGE_STEP };
    let output = match engine.evaluate(&eval.query, expr, times) {
        Ok(output) => output,
        Err(got) => return Err((how, Mismatch { expected: "a result".to_owned(), got })),
    };
    if expect.ordered {
        return Ok(());
    }
    compare::middle_step(expect, time, &output.value).map_err(|m| (how, m))
}

fn runs_as_range(eval: &Eval) -> bool {
    let depends_on_range = ["start()", "end()", "range()", "step()"].iter().any(|f| eval.query.contains(f));
    !depends_on_range && !matches!(eval.expect.result, Expected::Matrix { .. } | Expected::String(_))
}

/// As what an expectation held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Result,
    Failed,
}

fn check(
    expect: &Expectation,
    output: Result<Output, String>,
    compare: impl FnOnce(&Value) -> Result<(), Mismatch>,
) -> Result<Held, Mismatch> {
    match (&expect.fail, output) {
        (Some(want), Err(got)) if want.matches(&got) => Ok(Held::Failed),
        (Some(want), Err(got)) => Err(Mismatch { expected: format!("an error of {want}"), got }),
        (Some(want), Ok(output)) => {
            let got = compare::display(&output.value);
            Err(Mismatch { expected: format!("an error of {want}"), got })
        }
        (None, Err(got)) => Err(Mismatch { expected: "a result".to_owned(), got: format!("error: {got}") }),
        (None, Ok(output)) => {
            compare(&output.value)?;
            compare::notes("warning", &expect.warnings, &output.warnings)?;
            compare::notes("info", &expect.infos, &output.infos)?;
            Ok(Held::Result)
        }
    }
}

#[cfg(test)]
mod tests {
    use norn_model::labels::Labels;

    use super::*;
    use crate::value::{PointValue, SeriesPoints, Stats, VectorElement};

    /// Answers every query with one series of the evaluation time in seconds, and fails where the
    /// query is the metric `fail`.
    struct Seconds;

    impl Evaluate for Seconds {
        fn evaluate(&self, text: &str, _: &Expr, times: Times) -> Result<Output, String> {
            if text == "fail" {
                return Err("no such luck".to_owned());
            }
            let labels = Labels::from_pairs([("__name__", "s")]);
            let value = match times {
                Times::At(t) => Value::Vector(vec![VectorElement {
                    labels,
                    timestamp: t,
                    value: PointValue::Float(t as f64 / 1000.0),
                }]),
                Times::Range { start, end, step } => Value::Matrix(vec![SeriesPoints {
                    labels,
                    floats: (start..=end).step_by(step as usize).map(|t| (t, t as f64 / 1000.0)).collect(),
                    histograms: Vec::new(),
                }]),
            };
            let (warnings, infos) = (vec!["PromQL warning: w".to_owned()], Vec::new());
            Ok(Output { value, warnings, infos, stats: Stats::default(), operators: Vec::new() })
        }
    }

    fn run_script(text: &str) -> Report {
        run("x.test", text, &MemorySource::default(), &Seconds)
    }

    #[test]
    fn cases_that_hold() {
        let report = run_script(
            "load 1m\n  s 1 2\n\neval instant at 10s time()\n  s 10\n\neval instant at 10s time()\n  expect warn\n  s 10\n\n\
             eval range from 0 to 2m step 1m time()\n  s 0 60 120\n\neval instant at 1m fail\n  expect fail msg:no such luck\n",
        );
        assert_eq!(report.to_string(), "x.test: 4/4");
        assert!(report.is_ok());
    }

    #[test]
    fn cases_that_do_not_hold() {
        for (case, complaint) in [
            ("eval instant at 10s time()\n  s 11", "s\"} 10"),
            ("eval instant at 10s time()", "s\"} 10"),
            ("eval instant at 10s time()\n  t 10", "s\"} 10"),
            ("eval instant at 10s time()\n  11", "s\"} 10"),
            ("eval instant at 10s time()\n  s {{}}", "s\"} 10"),
            ("eval instant at 10s time()\n  expect fail\n", "s\"} 10"),
            ("eval instant at 10s time()\n  expect no_warn\n  s 10", "PromQL warning: w"),
            ("eval instant at 10s time()\n  expect warn msg:v\n  s 10", "PromQL warning: w"),
            ("eval instant at 10s time()\n  expect info\n  s 10", "no info"),
            ("eval range from 0 to 2m step 1m time()\n  s 0 60 121", "0 60 120"),
            ("eval instant at 1m fail\n  s 1", "no such luck"),
            ("eval instant at 1m fail\n  expect fail msg:x", "no such luck"),
            ("eval instant at 10s up\n  s 10", "at -1m40s"),
            ("eval nothing", "expected `instant` or `range`"),
            ("load 1m\n s 1 2\n\nload 1m\n s 2\n\neval instant at 10s time()\n  s 10", "another sample at 0"),
        ] {
            let report = run_script(case);
            assert!(!report.is_ok(), "{case}");
            assert!(report.to_string().contains(complaint), "{case}: {report}");
        }
    }

    #[test]
    fn a_failure_says_where() {
        let report = run_script("clear\n\neval instant at 10s time()\n  s 11\n");
        assert_eq!((report.passed, report.total, report.failures[0].line), (0, 1, 3));
        assert!(report.to_string().starts_with("x.test: 0/1\n  x.test:3: time() at 10s\n"), "{report}");
    }
}
