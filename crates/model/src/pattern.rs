//! What a pattern matches, in the cheapest form that tells.
//!
//! Most patterns in queries are alternatives of plain texts or texts with `.*` around them.
//! These are recognised in the parsed pattern and never reach the regular-expression engine:
//!
//! | pattern | form |
//! |---|---|
//! | `a\|b`, `foo(1\|2)`, `[ab]c`, `` | [`Form::Set`] |
//! | `.*`, `.+`, `foo.*`, `.+foo`, `a.*b` | [`Form::Affix`] |
//! | `.*foo.*` | [`Form::Contains`] |
//! | any other | [`Form::Regex`] behind the text it starts with |

use std::collections::HashSet;

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Dot, Hir, HirKind, Look};

use crate::dialect::{Rewritten, rewrite};

/// Longest pattern, in bytes, that may need the regular-expression engine.
const MAX_PATTERN_BYTES: usize = 64 << 10;
/// The same after rewriting, which spells classes and flags out.
const MAX_REWRITTEN_BYTES: usize = 512 << 10;
/// Most memory a compiled pattern may take.
const MAX_COMPILED_BYTES: usize = 16 << 20;
/// Most memory a pattern's lazily built automaton may take.
const MAX_CACHE_BYTES: usize = 1 << 20;
/// Most texts a pattern other than plain alternatives is spelled out into.
const MAX_EXPANDED: usize = 512;
/// From this size on a set is hashed.
const MIN_HASHED: usize = 16;
/// Groups nested in a rewritten pattern: the dialect's limit and the groups it adds itself.
const MAX_NESTING: u32 = 1100;

/// A pattern that matches whole texts.
pub struct Pattern {
    form: Form,
    /// What every matching text starts with.
    prefix: String,
}

enum Form {
    /// One of these texts.
    Set(Set),
    /// A text before, a text behind and at least `least` characters (0 or 1) between them.
    Affix {
        before: String,
        behind: String,
        least: usize,
    },
    /// A text anywhere.
    Contains(String),
    Regex(Regex),
}

struct Set {
    /// Sorted and unique.
    values: Vec<String>,
    hashed: HashSet<Box<str>, foldhash::fast::RandomState>,
}

impl Set {
    fn new(mut values: Vec<String>) -> Self {
        values.sort_unstable();
        values.dedup();
        let hashed = if values.len() < MIN_HASHED {
            HashSet::default()
        } else {
            values.iter().map(|v| v.as_str().into()).collect()
        };
        Self { values, hashed }
    }

    fn contains(&self, text: &str) -> bool {
        if self.hashed.is_empty() {
            self.values.iter().any(|v| v == text)
        } else {
            self.hashed.contains(text)
        }
    }
}

impl Pattern {
    /// Reads a pattern in Go's dialect. Errors are Go's, without `error parsing regexp: `.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let Rewritten { pattern: rewritten, literals } = rewrite(pattern)?;
        if let Some(values) = literals {
            return Ok(Self::of(Form::Set(Set::new(values))));
        }
        if pattern.len() > MAX_PATTERN_BYTES || rewritten.len() > MAX_REWRITTEN_BYTES {
            return Err(too_large(pattern));
        }
        let hir = ParserBuilder::new()
            .nest_limit(MAX_NESTING)
            .build()
            .parse(&rewritten)
            .map_err(|e| e.to_string())?;
        match simple(&hir) {
            Some(form) => Ok(Self::of(form)),
            None => Ok(Self { form: Form::Regex(compile(pattern, &rewritten)?), prefix: prefix(&hir) }),
        }
    }

    fn of(form: Form) -> Self {
        let prefix = match &form {
            Form::Set(set) => common_prefix(&set.values).to_owned(),
            Form::Affix { before, .. } => before.clone(),
            Form::Contains(_) | Form::Regex(_) => String::new(),
        };
        Self { form, prefix }
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        match &self.form {
            Form::Set(set) => set.contains(text),
            Form::Affix { before, behind, least } => {
                text.len() >= before.len() + behind.len() + least
                    && text.starts_with(before.as_str())
                    && text.ends_with(behind.as_str())
            }
            Form::Contains(inside) => text.contains(inside.as_str()),
            Form::Regex(regex) => text.starts_with(self.prefix.as_str()) && regex.is_match(text),
        }
    }

    /// All texts that match, sorted and unique, where there are few enough to list.
    pub fn exact_values(&self) -> Option<&[String]> {
        match &self.form {
            Form::Set(set) => Some(&set.values),
            _ => None,
        }
    }

    /// What every matching text starts with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

fn too_large(pattern: &str) -> String {
    let end = pattern.char_indices().nth(100).map_or(pattern.len(), |(i, _)| i);
    format!("expression too large: `{}`", &pattern[..end])
}

fn compile(pattern: &str, rewritten: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!(r"\A(?:{rewritten})\z"))
        .nest_limit(MAX_NESTING)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_CACHE_BYTES)
        .build()
        .map_err(|e| match e {
            regex::Error::CompiledTooBig(_) => too_large(pattern),
            e => e.to_string(),
        })
}

fn common_prefix(values: &[String]) -> &str {
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return "" };
    let end = first.char_indices().zip(last.chars()).find(|((_, a), b)| a != b);
    &first[..end.map_or(first.len().min(last.len()), |((i, _), _)| i)]
}

/// The form of a pattern that needs no regular-expression engine.
fn simple(hir: &Hir) -> Option<Form> {
    let parts = parts(hir);
    if let Some(form) = around(parts) {
        return Some(form);
    }
    if parts.iter().any(|part| !part.properties().look_set().is_empty()) {
        return None;
    }
    let values = Hir::concat(parts.to_vec());
    exact(&values).map(|values| Form::Set(Set::new(values)))
}

/// A concatenation's parts, without the anchors that whole matches make needless.
fn parts(hir: &Hir) -> &[Hir] {
    let mut parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    while let [first, rest @ ..] = parts
        && matches!(first.kind(), HirKind::Look(Look::Start))
    {
        parts = rest;
    }
    while let [rest @ .., last] = parts
        && matches!(last.kind(), HirKind::Look(Look::End))
    {
        parts = rest;
    }
    parts
}

/// Forms with `.*` or `.+`.
fn around(parts: &[Hir]) -> Option<Form> {
    let affix = |before: &str, behind: &str, least| {
        Some(Form::Affix { before: before.to_owned(), behind: behind.to_owned(), least })
    };
    match parts {
        [any] => affix("", "", any_of(any)?),
        [a, b] => match (literal(a), literal(b)) {
            (Some(before), None) => affix(before, "", any_of(b)?),
            (None, Some(behind)) => affix("", behind, any_of(a)?),
            _ => None,
        },
        [a, b, c] => match (literal(a), literal(b), literal(c)) {
            (Some(before), None, Some(behind)) => affix(before, behind, any_of(b)?),
            (None, Some(inside), None) if any_of(a)? == 0 && any_of(c)? == 0 => {
                Some(Form::Contains(inside.to_owned()))
            }
            _ => None,
        },
        _ => None,
    }
}

fn literal(hir: &Hir) -> Option<&str> {
    match hir.kind() {
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok(),
        _ => None,
    }
}

/// How many characters `.*` or `.+` needs at least.
fn any_of(hir: &Hir) -> Option<usize> {
    match hir.kind() {
        HirKind::Repetition(r) if r.max.is_none() && r.min <= 1 && *r.sub == Hir::dot(Dot::AnyChar) => {
            usize::try_from(r.min).ok()
        }
        _ => None,
    }
}

/// All texts that match.
fn exact(hir: &Hir) -> Option<Vec<String>> {
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_total(MAX_EXPANDED).limit_literal_len(1 << 10);
    let found = extractor.extract(hir);
    let literals = found.literals().filter(|_| found.is_exact())?;
    literals.iter().map(|l| String::from_utf8(l.as_bytes().to_vec()).ok()).collect()
}

/// What every matching text starts with, as far as it is easily seen.
fn prefix(hir: &Hir) -> String {
    let found = Extractor::new().kind(ExtractKind::Prefix).extract(&Hir::concat(parts(hir).to_vec()));
    let prefix = found.longest_common_prefix().unwrap_or_default();
    match std::str::from_utf8(prefix) {
        Ok(text) => text.to_owned(),
        // The texts differ inside a character: what comes before it is common.
        Err(e) => String::from_utf8_lossy(&prefix[..e.valid_up_to()]).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(pattern: &str) -> &'static str {
        match Pattern::new(pattern).expect(pattern).form {
            Form::Set(_) => "set",
            Form::Affix { .. } => "affix",
            Form::Contains(_) => "contains",
            Form::Regex(_) => "regex",
        }
    }

    #[test]
    fn takes_the_cheapest_form() {
        for pattern in ["", "a", "a|b", r"a\.b|c", "^(foo|bar)$", "foo(1|2)?", "[ab]c", r"\Qa.b\E", "(?i)ab"]
        {
            assert_eq!(form(pattern), "set", "{pattern}");
        }
        for pattern in [".*", ".+", "foo.*", ".+foo", "^a.*b$", "(foo).*"] {
            assert_eq!(form(pattern), "affix", "{pattern}");
        }
        assert_eq!(form(".*foo.*"), "contains");
        for pattern in ["(?-s).*", "a|b.*", r"a\b", "[0-9]+", "a.b", "(?i)kubernetes"] {
            assert_eq!(form(pattern), "regex", "{pattern}");
        }
    }

    fn piece() -> impl Strategy<Value = String> + Clone {
        let plain = prop::sample::select(&["a", "b", "ab", "é", "", r"\.", "[ab]", "^", "$", r"\b"][..]);
        let any = prop::sample::select(&[".*", ".+", ".", "a*", "b?", "[ab]{2}", "(?i)a", "[^a]"][..]);
        prop_oneof![plain.prop_map(str::to_owned), any.prop_map(str::to_owned)]
    }

    fn pattern() -> impl Strategy<Value = String> {
        piece().prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
                prop::collection::vec(inner, 1..4).prop_map(|parts| parts.join("|")),
            ]
        })
    }

    proptest! {
        #[test]
        fn matches_as_the_plain_expression_does(
            pattern in pattern(),
            texts in prop::collection::vec("[abAé.\n]{0,5}", 20),
        ) {
            let rewritten = rewrite(&pattern).expect("a pattern").pattern;
            let plain = Regex::new(&format!(r"\A(?:{rewritten})\z")).expect("an expression");
            let tried = Pattern::new(&pattern).expect("a pattern");
            let listed = tried.exact_values().unwrap_or_default();
            prop_assert!(listed.is_sorted_by(|a, b| a < b));
            for text in texts.iter().chain(listed) {
                let matches = plain.is_match(text);
                prop_assert_eq!(tried.matches(text), matches, "{}", text);
                prop_assert!(!matches || text.starts_with(tried.prefix()), "{}", text);
                if tried.exact_values().is_some() {
                    prop_assert_eq!(listed.contains(text), matches, "{}", text);
                }
            }
        }
    }

    #[test]
    fn matches_as_go_does() {
        let file = include_str!("../testdata/patterns.txt");
        let mut lines = file.lines().filter(|l| !l.starts_with('#'));
        let texts: Vec<String> = serde_json::from_str(lines.next().expect("texts")).expect("texts");
        let mut cases = 0;
        for line in lines {
            let (pattern, want): (String, serde_json::Value) = serde_json::from_str(line).expect(line);
            let got: serde_json::Value = match Pattern::new(&pattern) {
                Ok(p) => texts.iter().filter(|t| p.matches(t)).map(String::as_str).collect(),
                Err(e) => format!("error parsing regexp: {e}").into(),
            };
            assert_eq!(got, want, "{pattern}");
            cases += 1;
        }
        assert!(cases > 400);
    }

    #[test]
    fn lists_values_and_prefixes() {
        let values = |p| Pattern::new(p).expect(p).exact_values().map(<[String]>::to_vec);
        assert_eq!(values("b|a|b|"), Some(vec!["".into(), "a".into(), "b".into()]));
        assert_eq!(values("foo(2|1)"), Some(vec!["foo1".into(), "foo2".into()]));
        assert_eq!(values("a.*"), None);
        let prefix = |p| Pattern::new(p).expect(p).prefix().to_owned();
        assert_eq!(prefix("foo.*"), "foo");
        assert_eq!(prefix("foo[0-9]+"), "foo");
        assert_eq!(prefix("(ä|å)x+"), "");
        assert_eq!(prefix("abc|abd"), "ab");
        assert_eq!(prefix("(?i)abc+"), "");
        assert_eq!(prefix("a*b"), "");
    }

    #[test]
    fn refuses_what_is_too_large() {
        for pattern in ["(a{1000}){1000}", "((a{100}){100}){100}", r"(\pL{500}){2}[^a]"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
        let long = "[a-z]".repeat(60_000);
        let error = Pattern::new(&long).err().unwrap_or_default();
        assert!(error.starts_with("expression too large: `[a-z]"), "{error}");
        let set = (0..100_000).map(|i| i.to_string()).collect::<Vec<_>>().join("|");
        assert!(Pattern::new(&set).is_ok_and(|p| p.matches("99999") && !p.matches("x")));
    }
}
