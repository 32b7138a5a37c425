//! Lines to commands.

use norn_model::Millis;
use norn_model::labels::Labels;
use norn_promql_syntax::ast::{Expr, UnaryOp};
use norn_promql_syntax::series::{is_start_line, parse_start_line};
use norn_promql_syntax::{Options, parse as parse_query};
use regex::Regex;

use super::ScriptError;
use super::item::{self, Item};
use crate::numeric::duration;

/// A command with the line it stands on, from 1.
#[derive(Clone, Debug)]
pub struct Command {
    /// Line, from 1.
    pub line: usize,
    /// What to do.
    pub kind: CommandKind,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum CommandKind {
    /// Drop all data.
    Clear,
    /// Add data.
    Load(Load),
    /// Run a query and compare.
    Eval(Box<Eval>),
}

/// `load`, `load_with_nhcb`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Time between values.
    pub step: Millis,
    /// Whether classic histograms are also stored as native ones.
    pub with_nhcb: bool,
    /// Series lines.
    pub series: Vec<LoadSeries>,
}

/// A series to load.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadSeries {
    /// Labels.
    pub labels: Labels,
    /// Values from time 0.
    pub items: Vec<Item>,
    /// Start time of each value, relative to its time; empty where none are given.
    pub start_offsets: Vec<Option<Millis>>,
}

/// `eval`.
#[derive(Clone, Debug)]
pub struct Eval {
    /// The query's text.
    pub query: String,
    /// The query.
    pub expr: Expr,
    /// When.
    pub times: Times,
    /// What must come out.
    pub expect: Expectation,
}

/// When a query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Once.
    At(Millis),
    /// From `start` to `end`, each `step`.
    Range {
        /// First time.
        start: Millis,
        /// Last time.
        end: Millis,
        /// Between two times.
        step: Millis,
    },
}

/// What must come out of a query.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// The result.
    pub result: Expected,
    /// The order of vector elements counts.
    pub ordered: bool,
    /// The query must fail, with this text.
    pub fail: Option<TextMatch>,
    /// What warnings there must be.
    pub warnings: Notes,
    /// What infos there must be.
    pub infos: Notes,
}

/// Which annotations of one kind there must be.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Each must match one, and each one must match one of these.
    pub some: Vec<TextMatch>,
    /// At least one, whatever it says.
    pub any: bool,
    /// None.
    pub none: bool,
}

/// How a text is compared.
#[derive(Clone, Debug)]
pub enum TextMatch {
    /// Whatever it says.
    Any,
    /// Exactly.
    Exact(String),
    /// A pattern found anywhere.
    Pattern(Regex),
}

impl TextMatch {
    /// Whether `text` is meant.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(want) => text == want,
            Self::Pattern(pattern) => pattern.is_match(text),
        }
    }
}

impl std::fmt::Display for TextMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any text"),
            Self::Exact(text) => write!(f, "{text:?}"),
            Self::Pattern(pattern) => write!(f, "text like {:?}", pattern.as_str()),
        }
    }
}

/// The expected result.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// Series: one value each for an instant query, one a step for a range query.
    Series(Vec<(Labels, Vec<Item>)>),
    /// A matrix out of an instant query; value `i` at `start + i·step`.
    Matrix {
        /// Time of the first value.
        start: Millis,
        /// Between two values.
        step: Millis,
        /// The series.
        series: Vec<(Labels, Vec<Item>)>,
    },
    /// A number.
    Scalar(f64),
    /// A text.
    String(String),
}

impl Default for Expected {
    fn default() -> Self {
        Self::Series(Vec::new())
    }
}

impl Expected {
    fn series(&mut self) -> Option<&mut Vec<(Labels, Vec<Item>)>> {
        match self {
            Self::Series(series) | Self::Matrix { series, .. } => Some(series),
            Self::Scalar(_) | Self::String(_) => None,
        }
    }
}

/// Lines that are left, with their numbers; comments are empty.
struct Lines<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
}

impl<'a> Lines<'a> {
    /// The next line of the block, if it is not over.
    fn next_in_block(&mut self) -> Option<(usize, &'a str)> {
        self.next().filter(|(_, line)| !line.is_empty())
    }

    fn next(&mut self) -> Option<(usize, &'a str)> {
        let (i, line) = self.lines.next()?;
        let line = line.trim();
        Some((i + 1, if line.starts_with('#') { "" } else { line }))
    }
}

/// Reads a script.
pub fn parse(text: &str) -> Result<Vec<Command>, ScriptError> {
    let mut lines = Lines { lines: text.lines().enumerate() };
    let mut commands = Vec::new();
    while let Some((line, content)) = lines.next() {
        if content.is_empty() {
            continue;
        }
        let at = |message| ScriptError { line, message };
        let word = content.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let kind = if word == "clear" {
            CommandKind::Clear
        } else if word.starts_with("load") {
            let mut load = parse_load(&word, content).map_err(at)?;
            read_series(&mut lines, &mut load)?;
            CommandKind::Load(load)
        } else if word.starts_with("eval") {
            let mut eval = parse_eval(&word, content).map_err(at)?;
            read_expectations(&mut lines, &mut eval)?;
            check_notes(&eval.expect).map_err(at)?;
            CommandKind::Eval(Box::new(eval))
        } else {
            return Err(at(format!("unknown command {content:?}")));
        };
        commands.push(Command { line, kind });
    }
    Ok(commands)
}

fn parse_load(word: &str, line: &str) -> Result<Load, String> {
    let with_nhcb = match word {
        "load" => false,
        "load_with_nhcb" => true,
        _ => return Err(format!("unknown command {word:?}")),
    };
    let step = line[word.len()..].trim();
    Ok(Load { step: parse_time(step)?, with_nhcb, series: Vec::new() })
}

fn parse_time(text: &str) -> Result<Millis, String> {
    duration::parse(text).map_err(|e| e.to_string())
}

fn read_series(lines: &mut Lines<'_>, load: &mut Load) -> Result<(), ScriptError> {
    let mut starts: Option<(Labels, Vec<Option<Millis>>)> = None;
    while let Some((line, content)) = lines.next_in_block() {
        let at = |message| ScriptError { line, message };
        if is_start_line(content) {
            starts = Some(parse_start_line(content).map_err(|e| at(e.to_string()))?);
            continue;
        }
        let (labels, items) = item::parse(content).map_err(at)?;
        let start_offsets = match starts.take() {
            Some((of, offsets)) if of == labels && offsets.len() == items.len() => offsets,
            Some(_) => return Err(at("start times do not fit the series below them".to_owned())),
            None => Vec::new(),
        };
        load.series.push(LoadSeries { labels, items, start_offsets });
    }
    Ok(())
}

fn parse_eval(word: &str, line: &str) -> Result<Eval, String> {
    let mut expect = Expectation::default();
    match word {
        "eval" => {}
        "eval_fail" => expect.fail = Some(TextMatch::Any),
        "eval_warn" => expect.warnings.any = true,
        "eval_info" => expect.infos.any = true,
        "eval_ordered" => expect.ordered = true,
        _ => return Err(format!("unknown command {word:?}")),
    }
    let rest = line[word.len()..].trim_start();
    let (kind, rest) = take_word(rest);
    let (times, query) = match kind {
        "instant" => {
            let ("at", rest) = take_word(rest) else { return Err("expected `at <time>`".to_owned()) };
            let (at, query) = take_word(rest);
            (Times::At(parse_time(at)?), query)
        }
        "range" => parse_range(rest)?,
        _ => return Err(format!("expected `instant` or `range`, not {kind:?}")),
    };
    if word == "eval_ordered" && matches!(times, Times::Range { .. }) {
        return Err("eval_ordered is for instant queries".to_owned());
    }
    let expr = parse_query(query, &Options::all()).map_err(|e| e.to_string())?;
    Ok(Eval { query: query.to_owned(), expr, times, expect })
}

fn parse_range(text: &str) -> Result<(Times, &str), String> {
    let (start, end, step, rest) = take_range(text)?;
    if rest.is_empty() {
        return Err("no query".to_owned());
    }
    Ok((Times::Range { start, end, step }, rest))
}

/// Reads `from <start> to <end> step <step>` and gives what follows.
fn take_range(text: &str) -> Result<(Millis, Millis, Millis, &str), String> {
    let mut rest = text;
    let mut times = [0; 3];
    for (name, time) in ["from", "to", "step"].into_iter().zip(&mut times) {
        let (word, tail) = take_word(rest);
        if word != name {
            return Err(format!("expected {name:?}, not {word:?}"));
        }
        let (value, tail) = take_word(tail);
        *time = parse_time(value)?;
        rest = tail;
    }
    let [start, end, step] = times;
    if end < start || step <= 0 {
        return Err("the range is empty".to_owned());
    }
    Ok((start, end, step, rest))
}

/// The first word and what follows it.
fn take_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    (word, rest.trim_start())
}

fn read_expectations(lines: &mut Lines<'_>, eval: &mut Eval) -> Result<(), ScriptError> {
    while let Some((line, content)) = lines.next_in_block() {
        let at = |message| ScriptError { line, message };
        let (word, rest) = take_word(content);
        match word {
            "expect" => parse_expect(rest, &mut eval.expect),
            "expected_fail_message" => {
                eval.expect.fail = Some(TextMatch::Exact(rest.to_owned()));
                Ok(())
            }
            "expected_fail_regexp" => pattern(rest).map(|p| eval.expect.fail = Some(p)),
            _ => {
                if let Ok(value) = parse_number(content) {
                    eval.expect.result = Expected::Scalar(value);
                    break;
                }
                expect_series(content, eval)
            }
        }
        .map_err(at)?;
    }
    Ok(())
}

fn check_notes(expect: &Expectation) -> Result<(), String> {
    if [&expect.warnings, &expect.infos].iter().any(|n| n.none && (n.any || !n.some.is_empty())) {
        return Err("annotations of one kind expected, and none of it".to_owned());
    }
    Ok(())
}

/// Reads a bare number: Go's float syntax or a whole number in another base.
fn parse_number(text: &str) -> Result<f64, String> {
    let number = parse_query(text, &Options::all()).map_err(|e| e.to_string())?;
    signed_number(&number).ok_or_else(|| format!("no number: {text:?}"))
}

fn signed_number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Number(n) => Some(n.value),
        Expr::Unary(u) => signed_number(&u.expr).map(|v| if u.op == UnaryOp::Minus { -v } else { v }),
        _ => None,
    }
}

fn expect_series(content: &str, eval: &mut Eval) -> Result<(), String> {
    let (labels, items) = item::parse(content)?;
    let single = matches!((eval.times, &eval.expect.result), (Times::At(_), Expected::Series(_)));
    if single && items.len() != 1 {
        return Err(format!("expected one value, not {}", items.len()));
    }
    let series = eval.expect.result.series().ok_or("series after another kind of result")?;
    if series.iter().any(|(known, _)| *known == labels) {
        return Err(format!("series {labels} twice"));
    }
    series.push((labels, items));
    Ok(())
}

fn parse_expect(text: &str, expect: &mut Expectation) -> Result<(), String> {
    let (kind, rest) = take_word(text);
    match kind {
        "ordered" => expect.ordered = true,
        "fail" => {
            if expect.fail.is_some() {
                return Err("expect fail twice".to_owned());
            }
            expect.fail = Some(text_match(rest)?);
        }
        "warn" => expect.warnings.some.push(text_match(rest)?),
        "info" => expect.infos.some.push(text_match(rest)?),
        "no_warn" => expect.warnings.none = true,
        "no_info" => expect.infos.none = true,
        "string" => {
            let literal = parse_query(rest, &Options::all()).map_err(|e| e.to_string())?;
            let Expr::String(literal) = literal else { return Err(format!("no string: {rest:?}")) };
            expect.result = Expected::String(literal.value);
        }
        "range" => {
            let ("vector", rest) = take_word(rest) else { return Err("expected `range vector`".to_owned()) };
            let (start, _, step, _) = take_range(rest)?;
            expect.result = Expected::Matrix { start, step, series: Vec::new() };
        }
        _ => return Err(format!("unknown expectation {text:?}")),
    }
    Ok(())
}

fn text_match(text: &str) -> Result<TextMatch, String> {
    if text.is_empty() {
        return Ok(TextMatch::Any);
    }
    if let Some(message) = text.strip_prefix("msg:") {
        return Ok(TextMatch::Exact(message.trim().to_owned()));
    }
    match text.strip_prefix("regex:") {
        Some(source) => pattern(source.trim()),
        None => Err(format!("expected msg: or regex:, not {text:?}")),
    }
}

fn pattern(source: &str) -> Result<TextMatch, String> {
    Regex::new(source).map(TextMatch::Pattern).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(text: &str) -> Eval {
        match parse(text).expect("script").pop().map(|c| c.kind) {
            Some(CommandKind::Eval(eval)) => *eval,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commands() {
        let script = "load 5m\n  up 1 2\n  down 3\n\n# comment\nclear\nLoad_with_nhcb 1m\n";
        let commands = parse(script).expect("script");
        let lines: Vec<_> = commands.iter().map(|c| c.line).collect();
        assert_eq!(lines, [1, 6, 7]);
        let CommandKind::Load(load) = &commands[0].kind else { panic!("no load") };
        assert_eq!((load.step, load.series.len(), load.with_nhcb), (300_000, 2, false));
    }

    #[test]
    fn instant_and_range() {
        let e = eval("eval instant at 1m  up + 1\n\t{} 3\n");
        assert_eq!((e.query.as_str(), e.times), ("up + 1", Times::At(60_000)));
        assert_eq!(e.expect.result, Expected::Series(vec![(Labels::empty(), vec![Item::Float(3.0)])]));
        let e = eval("eval range from 0 to 10m step 5m up\n\tup 1 _ 2\n# ends here\n");
        assert_eq!(e.times, Times::Range { start: 0, end: 600_000, step: 300_000 });
        assert_eq!(eval("eval instant at 0 1\n  1e3\n").expect.result, Expected::Scalar(1000.0));
        assert_eq!(
            eval("eval instant at 0 'x'\n  expect string \"\\tx\"\n").expect.result,
            Expected::String("\tx".to_owned())
        );
    }

    #[test]
    fn expectations() {
        let e = eval("eval_ordered instant at 0 up\nexpect fail msg: no\nexpect warn regex:a.c\nexpect info");
        assert!(e.expect.ordered && e.expect.fail.expect("fail").matches("no"));
        assert!(e.expect.warnings.some[0].matches("xxabcxx"));
    }

    #[test]
    fn refuses() {
        for script in [
            "foo",
            "load",
            "load 1x",
            "loadx 1m",
            "load 1m\n up{",
            "load 1m\n up@st 1s 1s\n up 1",
            "eval up",
            "eval instant up",
            "eval instant at 1m",
            "eval instant at 1m up{",
            "eval range from 1m to 0 step 1m up",
            "eval instant at 0 up\n up 1 2",
            "eval instant at 0 up\n up 1\n up 1",
            "eval instant at 0 up\n expect nothing",
            "eval instant at 0 up\n expect warn text",
            "eval instant at 0 up\n expect warn regex:(",
            "eval instant at 0 up\n expect fail\n expect fail",
            "eval instant at 0 up\n expect warn\n expect no_warn",
        ] {
            assert!(parse(script).is_err(), "{script}");
        }
    }
}
