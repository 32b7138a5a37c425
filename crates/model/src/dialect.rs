//! Go's regular-expression dialect, rewritten for the `regex` crate.
//!
//! The rewritten pattern matches the same texts; captures and laziness are dropped, since a
//! matcher only asks whether a whole value matches. Every construct is written so that it does
//! not depend on flags around it: `.` becomes `(?s:.)` or `[^\n]`, a letter under `(?i)`
//! becomes `(?i:a)`, classes are spelled as ranges of code points.
//!
//! What Go refuses is refused with Go's text. What Go allows but is limited here: groups nested
//! 250 deep (Go: 1000) and 1000 Unicode classes (`\pL`), each of which takes kilobytes.

use std::fmt::Write;

/// Groups that may be open at once.
const MAX_NESTING: usize = 250;
/// Most Unicode classes in one pattern.
const MAX_UNICODE_CLASSES: usize = 1000;
/// Most repetitions of a construct, nested repetitions multiplied.
const MAX_REPEAT: u32 = 1000;
const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// A pattern in the dialect of the `regex` crate.
pub struct Rewritten {
    /// The pattern, not anchored.
    pub pattern: String,
    /// The alternatives, where the pattern is nothing but plain texts between `|`.
    pub literals: Option<Vec<String>>,
}

/// Rewrites a pattern. Errors are Go's, without `error parsing regexp: `.
pub fn rewrite(pattern: &str) -> Result<Rewritten, String> {
    let mut rewriter = Rewriter {
        whole: pattern,
        rest: pattern,
        out: String::with_capacity(pattern.len() * 2),
        literals: Some(vec![String::new()]),
        flags: Flags { fold: false, multi_line: false, dot_all: true },
        level: Level::default(),
        levels: Vec::new(),
        last_repeat: None,
        unicode_classes: 0,
    };
    rewriter.run()?;
    Ok(Rewritten { pattern: rewriter.out, literals: rewriter.literals })
}

#[derive(Clone, Copy)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_all: bool,
}

/// What is known inside one group.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Nested repetitions of the last construct, multiplied; `None` where there is nothing to
    /// repeat.
    atom: Option<u32>,
    /// The most of any construct.
    most: u32,
}

struct Rewriter<'a> {
    whole: &'a str,
    rest: &'a str,
    out: String,
    literals: Option<Vec<String>>,
    flags: Flags,
    level: Level,
    levels: Vec<(Level, Flags)>,
    /// The text from the last repetition on, if that was the last construct.
    last_repeat: Option<&'a str>,
    unicode_classes: usize,
}

fn fail<T>(what: &str, text: &str) -> Result<T, String> {
    Err(format!("{what}: `{text}`"))
}

/// What was read of `from` when `to` is left.
fn read<'a>(from: &'a str, to: &str) -> &'a str {
    &from[..from.len() - to.len()]
}

impl<'a> Rewriter<'a> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.chars().next() {
            let before = self.rest;
            let mut repeated = false;
            match c {
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => self.alternative(),
                '^' => self.plain(1, if self.flags.multi_line { "(?m:^)" } else { r"\A" }),
                '$' => self.plain(1, if self.flags.multi_line { "(?m:$)" } else { r"\z" }),
                '.' => self.plain(1, if self.flags.dot_all { "(?s:.)" } else { r"[^\n]" }),
                '[' => self.class()?,
                '*' | '+' | '?' => {
                    self.rest = &self.rest[1..];
                    self.repeat(before, 0)?;
                    self.out.push(c);
                    repeated = true;
                }
                '{' => repeated = self.counted()?,
                '\\' => self.escaped()?,
                c => {
                    self.rest = &self.rest[c.len_utf8()..];
                    self.literal(c);
                }
            }
            self.last_repeat = repeated.then_some(before);
        }
        if self.levels.is_empty() { Ok(()) } else { fail("missing closing )", self.whole) }
    }

    /// A construct that can be repeated was written.
    fn atom(&mut self, nested: u32) {
        self.level.atom = Some(nested);
        self.level.most = self.level.most.max(nested);
    }

    /// Writes `text` for the next `len` bytes.
    fn plain(&mut self, len: usize, text: &str) {
        self.rest = &self.rest[len..];
        self.literals = None;
        self.out.push_str(text);
        self.atom(1);
    }

    fn literal(&mut self, c: char) {
        match &mut self.literals {
            Some(literals) if !self.flags.fold => {
                if let Some(last) = literals.last_mut() {
                    last.push(c);
                }
            }
            _ => self.literals = None,
        }
        if self.flags.fold {
            self.out.push_str("(?i:");
        }
        if regex_syntax::is_meta_character(c) {
            self.out.push('\\');
        }
        self.out.push(c);
        if self.flags.fold {
            self.out.push(')');
        }
        self.atom(1);
    }

    fn alternative(&mut self) {
        self.rest = &self.rest[1..];
        self.out.push('|');
        self.level.atom = None;
        if let Some(literals) = &mut self.literals {
            literals.push(String::new());
        }
    }

    fn open(&mut self) -> Result<(), String> {
        self.literals = None;
        let saved = self.flags;
        if !self.rest.starts_with("(?") {
            self.rest = &self.rest[1..];
        } else if !self.group_head()? {
            return Ok(());
        }
        if self.levels.len() >= MAX_NESTING {
            return fail("expression nests too deeply", self.whole);
        }
        self.levels.push((std::mem::take(&mut self.level), saved));
        self.out.push_str("(?:");
        Ok(())
    }

    /// Reads `(?…`; false where it only set flags.
    fn group_head(&mut self) -> Result<bool, String> {
        let name_start = match self.rest {
            t if t.len() > 4 && t.starts_with("(?P<") => 4,
            t if t.len() > 3 && t.starts_with("(?<") => 3,
            _ => return self.group_flags(),
        };
        let Some(end) = self.rest.find('>') else {
            return fail("invalid named capture", self.rest);
        };
        let name = self.rest.get(name_start..end).unwrap_or("");
        if name.is_empty() || !name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
            return fail("invalid named capture", &self.rest[..=end]);
        }
        self.rest = &self.rest[end + 1..];
        Ok(true)
    }

    fn group_flags(&mut self) -> Result<bool, String> {
        let head = self.rest;
        let mut flags = self.flags;
        let (mut on, mut seen) = (true, false);
        for (i, c) in head.char_indices().skip(2) {
            match c {
                'i' => flags.fold = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_all = on,
                'U' => {}
                '-' if on => {
                    (on, seen) = (false, false);
                    continue;
                }
                ':' | ')' if on || seen => {
                    self.flags = flags;
                    self.rest = &head[i + 1..];
                    return Ok(c == ':');
                }
                c => return fail("invalid or unsupported Perl syntax", &head[..i + c.len_utf8()]),
            }
            seen = true;
        }
        fail("invalid or unsupported Perl syntax", head)
    }

    fn close(&mut self) -> Result<(), String> {
        self.literals = None;
        let Some((level, flags)) = self.levels.pop() else {
            return fail("unexpected )", self.whole);
        };
        let inner = self.level.most.max(1);
        self.level = level;
        self.flags = flags;
        self.rest = &self.rest[1..];
        self.out.push(')');
        self.atom(inner);
        Ok(())
    }

    /// Checks a repetition of which the operator was read, from `before` on.
    fn repeat(&mut self, before: &'a str, count: u32) -> Result<(), String> {
        self.literals = None;
        self.rest = self.rest.strip_prefix('?').unwrap_or(self.rest);
        if let Some(last) = self.last_repeat {
            return fail("invalid nested repetition operator", read(last, self.rest));
        }
        let Some(nested) = self.level.atom else {
            return fail("missing argument to repetition operator", read(before, self.rest));
        };
        let nested = nested.saturating_mul(count.max(1));
        if count >= 2 && nested > MAX_REPEAT {
            return fail("invalid repeat count", read(before, self.rest));
        }
        self.atom(nested);
        Ok(())
    }

    /// Reads `{2,3}`; false where the brace stands for itself.
    fn counted(&mut self) -> Result<bool, String> {
        let before = self.rest;
        let Some((min, max, after)) = counts(before) else {
            self.rest = &self.rest[1..];
            self.literal('{');
            return Ok(false);
        };
        self.rest = after;
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
            return fail("invalid repeat count", read(before, after));
        }
        self.repeat(before, max.unwrap_or(min))?;
        let written = match max {
            Some(max) => write!(self.out, "{{{min},{max}}}"),
            None => write!(self.out, "{{{min},}}"),
        };
        written.map_err(|e| e.to_string())?;
        Ok(true)
    }

    fn escaped(&mut self) -> Result<(), String> {
        match self.rest.as_bytes().get(1) {
            Some(b'A') => self.plain(2, r"\A"),
            Some(b'z') => self.plain(2, r"\z"),
            Some(b'b') => self.plain(2, r"(?-u:\b)"),
            Some(b'B') => self.plain(2, r"(?-u:\B)"),
            Some(b'C') => return fail("invalid escape sequence", r"\C"),
            Some(b'Q') => {
                let text = &self.rest[2..];
                let (text, rest) = text.split_once(r"\E").unwrap_or((text, ""));
                text.chars().for_each(|c| self.literal(c));
                self.rest = rest;
            }
            Some(b'p' | b'P' | b'd' | b'D' | b's' | b'S' | b'w' | b'W') => {
                let mut class = String::new();
                self.class_escape(&mut class)?;
                self.write_class(false, &class);
            }
            _ => match escape(self.rest)? {
                (Some(c), rest) => {
                    self.rest = rest;
                    self.literal(c);
                }
                (None, rest) => {
                    self.rest = rest;
                    self.write_class(false, "");
                }
            },
        }
        Ok(())
    }

    fn write_class(&mut self, negated: bool, items: &str) {
        self.literals = None;
        let (open, close) = if self.flags.fold { ("(?i:", ")") } else { ("", "") };
        self.out.push_str(open);
        match (negated, items) {
            // Only surrogates were listed, which no text contains.
            (false, "") => self.out.push_str(r"[^\x{0}-\x{10FFFF}]"),
            (true, "") => self.out.push_str("(?s:.)"),
            (true, items) => self.out.extend(["[^", items, "]"]),
            (false, items) => self.out.extend(["[", items, "]"]),
        }
        self.out.push_str(close);
        self.atom(1);
    }

    /// Reads `\d`, `\pL`, `\p{Greek}`; false where something else comes.
    fn class_escape(&mut self, class: &mut String) -> Result<bool, String> {
        let text = match self.rest.as_bytes() {
            [b'\\', b'd', ..] => "0-9",
            [b'\\', b'D', ..] => "[^0-9]",
            [b'\\', b's', ..] => r"\t\n\x0C\r ",
            [b'\\', b'S', ..] => r"[^\t\n\x0C\r ]",
            [b'\\', b'w', ..] => "0-9A-Za-z_",
            [b'\\', b'W', ..] => "[^0-9A-Za-z_]",
            [b'\\', b'p' | b'P', ..] => return self.unicode_class(class).map(|()| true),
            _ => return Ok(false),
        };
        class.push_str(text);
        self.rest = &self.rest[2..];
        Ok(true)
    }

    fn unicode_class(&mut self, class: &mut String) -> Result<(), String> {
        let text = self.rest;
        let end = match text[2..].chars().next() {
            Some('{') => match text.find('}') {
                Some(end) => end + 1,
                None => return fail("invalid character class range", text),
            },
            Some(c) => 2 + c.len_utf8(),
            None => return fail("invalid character class range", text),
        };
        let name = text[2..end].trim_start_matches('{').trim_end_matches('}');
        let (name, caret) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        let negated = text.starts_with(r"\P") != caret;
        let p = if negated { 'P' } else { 'p' };
        let is_name = !name.is_empty() && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric());
        let known = ["gc", "sc"]
            .into_iter()
            .map(|kind| format!(r"\{p}{{{kind}={name}}}"))
            .find(|class| is_name && regex_syntax::parse(class).is_ok());
        let Some(known) = known else {
            return fail("invalid character class range", &text[..end]);
        };
        self.unicode_classes += 1;
        if self.unicode_classes > MAX_UNICODE_CLASSES {
            return fail("expression too large", &text[..end]);
        }
        class.push_str(&known);
        self.rest = &text[end..];
        Ok(())
    }

    fn class(&mut self) -> Result<(), String> {
        let whole = self.rest;
        let mut class = String::new();
        let negated = whole.starts_with("[^");
        self.rest = &whole[if negated { 2 } else { 1 }..];
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if self.posix_class(&mut class)? || self.class_escape(&mut class)? {
                continue;
            }
            self.class_range(whole, &mut class)?;
        }
        self.rest = &self.rest[1..];
        self.write_class(negated, &class);
        Ok(())
    }

    /// Reads `[:alpha:]`; false where something else comes.
    fn posix_class(&mut self, class: &mut String) -> Result<bool, String> {
        let Some(text) = self.rest.strip_prefix("[:") else { return Ok(false) };
        let Some((name, rest)) = text.split_once(":]") else { return Ok(false) };
        if !POSIX_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return fail("invalid character class range", read(self.rest, rest));
        }
        class.push_str(read(self.rest, rest));
        self.rest = rest;
        Ok(true)
    }

    /// Reads `a` or `a-z`.
    fn class_range(&mut self, whole: &str, class: &mut String) -> Result<(), String> {
        let text = self.rest;
        let low = self.class_char(whole)?;
        let mut high = low;
        if self.rest.len() >= 2 && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
            self.rest = &self.rest[1..];
            high = self.class_char(whole)?;
        }
        if high < low {
            return fail("invalid character class range", read(text, self.rest));
        }
        // Surrogates are code points to Go, but no text contains them.
        let low = if (0xd800..0xe000).contains(&low) { 0xe000 } else { low };
        let high = if (0xd800..0xe000).contains(&high) { 0xd7ff } else { high };
        if low <= high {
            write!(class, r"\x{{{low:X}}}-\x{{{high:X}}}").map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn class_char(&mut self, whole: &str) -> Result<u32, String> {
        let Some(c) = self.rest.chars().next() else {
            return fail("missing closing ]", whole);
        };
        if c != '\\' {
            self.rest = &self.rest[c.len_utf8()..];
            return Ok(c as u32);
        }
        let (code, rest) = escape_code(self.rest)?;
        self.rest = rest;
        Ok(code)
    }
}

/// `{min,max}`, and what follows it. Numbers that are too large become 2^32 − 1.
fn counts(text: &str) -> Option<(u32, Option<u32>, &str)> {
    let (min, rest) = count(text.strip_prefix('{')?)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => {
            let (max, rest) = count(rest)?;
            (Some(max), rest)
        }
    };
    Some((min, max, rest.strip_prefix('}')?))
}

/// A number without leading zeros.
fn count(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}

/// The character an escape stands for, `None` for a surrogate, and what follows it.
fn escape(text: &str) -> Result<(Option<char>, &str), String> {
    escape_code(text).map(|(code, rest)| (char::from_u32(code), rest))
}

fn escape_code(text: &str) -> Result<(u32, &str), String> {
    let mut chars = text[1..].chars();
    let Some(c) = chars.next() else {
        return fail("trailing backslash at end of expression", "");
    };
    let rest = chars.as_str();
    let code = match c {
        'a' => 0x07,
        'f' => 0x0c,
        'n' => 0x0a,
        'r' => 0x0d,
        't' => 0x09,
        'v' => 0x0b,
        'x' => return hex_escape(text, rest),
        '0'..='7' if c == '0' || rest.starts_with(|c| matches!(c, '0'..='7')) => {
            let end = 1 + rest.bytes().take(2).take_while(|b| matches!(b, b'0'..=b'7')).count();
            let code = u32::from_str_radix(&text[1..1 + end], 8).unwrap_or(0);
            return Ok((code, &text[1 + end..]));
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => c as u32,
        _ => return fail("invalid escape sequence", read(text, rest)),
    };
    Ok((code, rest))
}

/// `\x41` or `\x{1F600}`, of which `rest` follows the `x`.
fn hex_escape<'a>(text: &'a str, rest: &'a str) -> Result<(u32, &'a str), String> {
    let mut chars = rest.chars();
    let mut code = 0u32;
    let mut digits = 0;
    let braced = rest.starts_with('{');
    if braced {
        chars.next();
    }
    while braced || digits < 2 {
        let c = match chars.next() {
            Some('}') if braced && digits > 0 => break,
            // Without braces both characters are read before they are looked at.
            Some(c) if !braced && digits == 0 && !c.is_ascii_hexdigit() => {
                chars.next();
                c
            }
            Some(c) => c,
            None => return fail("invalid escape sequence", text),
        };
        code = match c.to_digit(16).map(|digit| code * 16 + digit) {
            Some(code) if code <= char::MAX as u32 => code,
            _ => return fail("invalid escape sequence", read(text, chars.as_str())),
        };
        digits += 1;
    }
    Ok((code, chars.as_str()))
}
