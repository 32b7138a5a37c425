//! Queries with an error in them: wrong types by construction, or valid ones with tokens changed.
//! Some of the latter stay valid; they are compared all the same.

use super::call::CALLS;
use super::data::Kind;
use super::grammar::{Grammar, query};
use super::random::Random;

const TOKENS: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "@",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    "=~",
    "!~",
    "!=",
    "=",
    "!",
    "<",
    ">=",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "and",
    "or",
    "unless",
    "atan2",
    "sum",
    "topk",
    "rate",
    "start",
    "end",
    "step",
    "inf",
    "nan",
    "5m",
    "1.5",
    "0x",
    "1e",
    "08",
    "5m3h",
    "\"s\"",
    "\"",
    "'",
    "`",
    "\\",
    "#",
    "$",
    "ü",
    "a",
    "g",
    "g{a=\"x\"}",
    "[5m]",
    "[5m:]",
    "smoothed",
    "fill",
    "5m5m",
    "0s",
    "@ start()",
    "offset 5m",
    "1_",
    "__name__",
    "\"\\q\"",
    ";",
    "~",
    "&",
];

const TEMPLATES: &[&str] = &[
    "rate(V)",
    "abs(M)",
    "abs(S)",
    "abs(T)",
    "sum(S)",
    "sum(M)",
    "sum(T)",
    "topk(V, V)",
    "topk(T, V)",
    "quantile(V)",
    "count_values(S, V)",
    "sum(V, V)",
    "sum()",
    "rate()",
    "rate(M, S)",
    "unknown_fn(V)",
    "clamp(V, S)",
    "clamp(V, V, S)",
    "round(V, S, S)",
    "label_replace(V, T)",
    "label_replace(V, \"a\", \"b\", \"c\", \"(\")",
    "V + M",
    "S + T",
    "T == T",
    "V and S",
    "S or S",
    "S == S",
    "V + bool V",
    "V + on (a) S",
    "V + on (a) group_left (a) V",
    "V and on (a) group_left V",
    "-M",
    "-T",
    "M[5m]",
    "(V + V)[5m]",
    "V[0s]",
    "V[-5m]",
    "V offset 5m offset 5m",
    "V @ 1 @ 2",
    "(V + V) offset 5m",
    "S offset 5m",
    "M[5m:1m]",
    "S[5m:1m]",
    "V[5m:0s]",
    "V @ NaN",
    "V @ Inf",
    "V @ 1e100",
    "{}",
    "{a=\"\"}",
    "{a=~\".*\"}",
    "g{__name__=\"x\"}",
    "g{a=~\"(\"}",
    "g{a=~\"[z-a]\"}",
    "g{a=\"x\" b=\"y\"}",
    "g{a}",
    "g{=\"x\"}",
    "g{a=x}",
    "info(V, V)",
    "info(V, S)",
    "absent(S)",
    "absent_over_time(V)",
    "histogram_quantile(V, S)",
    "histogram_quantile(V)",
    "scalar(S)",
    "vector(V)",
    "time(S)",
    "pi(S)",
    "day_of_month(S)",
    "timestamp(M)",
    "sort_by_label(V)",
    "label_join(V, T)",
    "topk(NaN, V)",
    "limitk(1e30, V)",
    "limit_ratio(NaN, V)",
    "bottomk(-1e30, V)",
    "sum by (a=1) (V)",
    "sum by (a (V)",
    "sum by (a) without (b) (V)",
    "V[5m] anchored smoothed",
    "max_over_time(M anchored)",
    "V[5m:] smoothed",
    "double_exponential_smoothing(M, 2, 0.5)",
    "double_exponential_smoothing(M, 0.5, -1)",
    "count_values(\"\", V)",
    "label_replace(V, \"\", \"b\", \"a\", \"x\")",
    "label_join(V, \"\", \"-\", \"a\")",
    "V[1m/0]",
    "V[5m % 0]",
    "V[1m-2m]",
    "V[5m:1m-1m]",
    "V + ",
    "+",
    "",
    " ",
    "# only",
    "V V",
    "S S",
    "(V",
    "V)",
    "sum(V",
    "\"open",
    "V{",
    "V[5m",
    "V[",
    "V @",
    "V offset",
    "1..2",
    "0xg",
    "1e",
    "5m3h",
    "5q",
    "9999999999d",
    "V[300y]",
    "bool",
    "on",
    "group_left",
    "sum",
    "rate",
    "V </ V",
    "S </ S",
    "V fill(0) V",
    "V + fill(1) V",
    "V == bool bool V",
    "V ^ ^ V",
    "V !< V",
    "V =~ V",
    "V = V",
    "!V",
    "histogram_quantiles(V, \"q\")",
    "histogram_quantiles(V, S, S)",
    "histogram_quantiles(V, \"\", 0.5)",
    "min_of(V, S)",
    "max_of(S)",
    "start(S)",
    "g / on (a) g",
    "g / ignoring (b) g",
    "g * on (a) group_left g",
    "one / on (a) g",
    "g + on () g",
    "{a=\"x\"} * {a=\"x\"}",
    "rate({a=\"x\"}[5m])",
    "label_replace(g, \"b\", \"\", \"a\", \".*\")",
    "label_join(g, \"b\", \"-\", \"a\")",
    "info(g, {__name__=\"g\"})",
    "info({job=\"j0\"}, {__name__=~\"c.*\"})",
    "sum(g) / on (a) sum(g) + -{a=~\".+\"}",
];

/// Query `index` of a seed.
pub fn invalid(seed: u64, index: usize) -> String {
    let mut random = Random::new(seed ^ 0x5eed, index as u64);
    if index % 5 < 2 {
        let template = TEMPLATES[(index / 5 * 2 + index % 5) % TEMPLATES.len()];
        return fill(template, seed, &mut random);
    }
    let base = query(seed, random.below(1 << 30)).text;
    let mut tokens = tokens(&base);
    for _ in 0..random.pick(&[1, 1, 1, 2, 3]) {
        mutate(&mut tokens, &mut random);
    }
    tokens.concat()
}

/// Replaces capitals that stand alone by an expression of that type.
fn fill(template: &str, seed: u64, random: &mut Random) -> String {
    let mut out = String::new();
    let bytes = template.as_bytes();
    for (i, c) in template.char_indices() {
        let alone =
            |j: Option<usize>| j.and_then(|j| bytes.get(j)).is_none_or(|b| !b.is_ascii_alphanumeric());
        if !alone(i.checked_sub(1)) || !alone(Some(i + 1)) {
            out.push(c);
            continue;
        }
        let mut grammar = Grammar::new(seed, random.bits());
        let depth = random.pick(&[0, 0, 0, 1]);
        match c {
            'V' => out.push_str(&grammar.vector(Kind::Integer, depth).text),
            'M' => out.push_str(&grammar.range(Kind::Counter, 0).text),
            'S' => out.push_str(&grammar.scalar(super::scalar::Range::Any, depth)),
            'T' => out.push_str(random.pick(&["\"text\"", "'a'", "`b`"])),
            _ => out.push(c),
        }
    }
    out
}

/// Words, strings, blanks and single signs; together they are the text.
fn tokens(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut quote = None;
    let mut word = false;
    for c in text.chars() {
        let is_word = c.is_alphanumeric() || c == '_' || c == '.';
        match (quote, out.last_mut()) {
            (Some(q), Some(last)) => {
                last.push(c);
                if c == q {
                    quote = None;
                }
                word = false;
                continue;
            }
            (_, Some(last)) if is_word && word => last.push(c),
            _ => out.push(c.to_string()),
        }
        word = is_word;
        if matches!(c, '"' | '\'' | '`') {
            quote = Some(c);
        }
    }
    out
}

fn mutate(tokens: &mut Vec<String>, random: &mut Random) {
    if tokens.is_empty() {
        return;
    }
    let at = random.below(tokens.len());
    match random.below(8) {
        0 | 1 => {
            tokens.remove(at);
        }
        2 => tokens.insert(at, tokens[at].clone()),
        3 => {
            let other = random.below(tokens.len());
            tokens.swap(at, other);
        }
        4 => tokens.truncate(at.max(1)),
        5 => tokens[at] = CALLS[random.below(CALLS.len())].name.to_owned(),
        6 => tokens.insert(at, format!(" {} ", random.pick(TOKENS))),
        _ => tokens[at] = random.pick(TOKENS).to_owned(),
    }
}
