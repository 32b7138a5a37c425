//! `nornctl promql explain 'expr'`: prints what the engine would do for a query.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use norn_promql::numeric::duration;
use norn_promql::{Engine, Options, Request, syntax};
use rayon::ThreadPoolBuilder;

/// Flags of a range query; an instant query at `-start` or now where there is no `-step`.
#[derive(Default)]
struct Times {
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
}

/// Prints the plan of the query `arguments` begin with.
pub fn run(arguments: &[String]) -> Result<bool> {
    print!("{}", explain(arguments)?);
    Ok(true)
}

fn explain(arguments: &[String]) -> Result<String> {
    let [text, flags @ ..] = arguments else { bail!("promql explain needs a query") };
    let request = request(text, flags)?;
    let options = Options { syntax: syntax::Options::all(), ..Options::default() };
    let engine = Engine::new(options, Arc::new(ThreadPoolBuilder::new().num_threads(1).build()?));
    let expr = engine.parse(text)?;
    Ok(engine.plan(&expr, &request)?.to_string())
}

fn request(text: &str, flags: &[String]) -> Result<Request> {
    let mut times = Times::default();
    for flag in flags.chunks(2) {
        let [name, value] = flag else { bail!("{} needs a value", flag[0]) };
        match name.trim_start_matches('-') {
            "start" => times.start = Some(seconds(value)?),
            "end" => times.end = Some(seconds(value)?),
            "step" => times.step = step(value)?,
            _ => bail!("unknown flag {name}: -start, -end and -step are known"),
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64;
    match times {
        Times { start, end: None, step: 0 } => Ok(Request::instant(text, start.unwrap_or(now))),
        Times { start: Some(start), end, step } if step > 0 => {
            let end = end.unwrap_or(now);
            if end < start {
                bail!("-end lies before -start");
            }
            Ok(Request::range(text, start, end, step))
        }
        _ => bail!("a range query needs -start and -step"),
    }
}

/// Unix seconds as milliseconds.
fn seconds(text: &str) -> Result<i64> {
    let seconds: f64 = text.parse().with_context(|| format!("{text:?} is no Unix time in seconds"))?;
    if seconds.is_nan() || seconds.abs() >= 1e12 {
        bail!("{text} is out of range");
    }
    Ok((seconds * 1000.0).round() as i64)
}

/// A duration such as `15s` or `1h30m`, or seconds, as milliseconds.
fn step(text: &str) -> Result<i64> {
    let millis = match duration::parse(text) {
        Ok(millis) => millis,
        Err(why) => seconds(text).with_context(|| format!("-step {text}: {why}"))?,
    };
    if millis <= 0 {
        bail!("-step must be positive");
    }
    Ok(millis)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn explained(arguments: &[&str]) -> Result<String> {
        explain(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn plans_are_printed() {
        let range = ["sum(rate(a[5m]))", "-start", "1000", "-end", "1060.5", "-step", "30s"];
        let want = concat!(
            "range from 1000 to 1060 every 30s: 3 steps\n",
            "aggregate sum @0\n",
            "  window rate @4\n",
            "    select {__name__=\"a\"}[5m] from 700.001 to 1060 @9\n",
        );
        assert_eq!(explained(&range).unwrap(), want);
        let want = "instant at 7\nselect {__name__=\"up\"} from -292.999 to 7 @0\n";
        assert_eq!(explained(&["up", "-start", "7"]).unwrap(), want);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (arguments, want) in [
            (vec!["sum("], "parse error"),
            (vec!["1", "-start"], "needs a value"),
            (vec!["1", "-from", "1"], "unknown flag"),
            (vec!["1", "-end", "1"], "a range query needs"),
            (vec!["1", "-start", "2", "-end", "1", "-step", "1"], "before"),
            (vec!["1", "-start", "2", "-step", "0"], "positive"),
            (vec!["1", "-start", "NaN"], "out of range"),
            (vec!["1", "-start", "x"], "no Unix time"),
        ] {
            let error = format!("{:#}", explained(&arguments).unwrap_err());
            assert!(error.contains(want), "{arguments:?}: {error}");
        }
    }
}
