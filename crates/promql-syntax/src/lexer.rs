//! Text to tokens.
//!
//! Braces and brackets have rules of their own: in braces every word is an identifier, in
//! brackets only duration expressions are words. After `[` the lexer is in a mode of its own
//! ([`Mode::Duration`]) until the first number; which mode reads a character decides the text
//! of errors.

use std::mem::replace;

use norn_model::quote::{Quoted, QuotedChar, is_printable};

use crate::ast::{BinaryOp, Span};
use crate::error::ParseError;
use crate::token::{Item, Token};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Statement,
    Duration,
}

/// Reads tokens from a text, one at a time.
pub struct Lexer<'a> {
    text: &'a str,
    start: usize,
    pos: usize,
    mode: Mode,
    paren_depth: usize,
    brace_open: bool,
    bracket_open: bool,
    got_colon: bool,
    got_duration: bool,
}

type Lexed = Result<Option<Token>, String>;

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`, which must be shorter than 4 GiB.
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            start: 0,
            pos: 0,
            mode: Mode::Statement,
            paren_depth: 0,
            brace_open: false,
            bracket_open: false,
            got_colon: false,
            got_duration: false,
        }
    }

    /// The next token that is not space or comment. After [`Token::End`] comes the same again.
    pub fn next(&mut self) -> Result<Item, ParseError> {
        loop {
            self.start = self.pos;
            let lexed = if self.mode == Mode::Duration {
                self.duration()
            } else if self.brace_open {
                self.in_braces()
            } else {
                self.statement()
            };
            match lexed {
                Ok(Some(token)) => return Ok(Item { token, span: self.span() }),
                Ok(None) => {}
                Err(message) => {
                    let span = Span { start: self.start as u32, end: self.text.len() as u32 };
                    return Err(ParseError::new(self.text, span, message));
                }
            }
        }
    }

    fn span(&self) -> Span {
        Span { start: self.start as u32, end: self.pos as u32 }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.pos..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        if found {
            self.bump();
        }
        found
    }

    fn accept_run(&mut self, wanted: impl Fn(char) -> bool) {
        while self.accept(&wanted) {}
    }

    /// The text read since the token's start.
    fn word(&self) -> &'a str {
        &self.text[self.start..self.pos]
    }

    fn statement(&mut self) -> Lexed {
        let Some(c) = self.bump() else { return self.end() };
        let token = match c {
            '#' => return self.comment(),
            c if is_space(c) => return Ok(None),
            ',' => Token::Comma,
            '@' => Token::At,
            '=' if self.peek() == Some('~') => return Err("unexpected character after '=': '~'".into()),
            '=' if self.accept(|c| c == '=') => Token::Binary(BinaryOp::Equal),
            '=' => Token::Assign,
            '!' if self.accept(|c| c == '=') => Token::Binary(BinaryOp::NotEqual),
            '!' => return Err(format!("unexpected character after '!': {}", self.quote_next())),
            '<' | '>' => Token::Binary(self.order(c)),
            '.' if self.peek().is_some_and(is_digit) => return self.number_or_duration(),
            c if is_digit(c) => return self.number_or_duration(),
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            c if is_alpha(c) || c == ':' => return self.word_or_colon(c),
            '(' => self.open_paren(),
            ')' => return self.close_paren(),
            '{' => {
                self.brace_open = true;
                Token::LeftBrace
            }
            '[' => return self.open_bracket(),
            ']' => return self.close_bracket(),
            c => match arithmetic(c) {
                Some(op) => Token::Binary(op),
                None => return Err(format!("unexpected character: {}", QuotedChar(c))),
            },
        };
        Ok(Some(token))
    }

    fn end(&self) -> Lexed {
        if self.paren_depth != 0 {
            Err("unclosed left parenthesis".into())
        } else if self.bracket_open {
            Err("unclosed left bracket".into())
        } else {
            Ok(Some(Token::End))
        }
    }

    fn comment(&mut self) -> Lexed {
        self.accept_run(|c| c != '\n' && c != '\r');
        Ok(None)
    }

    fn quote_next(&self) -> QuotedChar {
        QuotedChar(self.peek().unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn order(&mut self, first: char) -> BinaryOp {
        let less = first == '<';
        if self.accept(|c| c == '=') {
            if less { BinaryOp::LessEqual } else { BinaryOp::GreaterEqual }
        } else if self.accept(|c| c == '/') {
            if less { BinaryOp::TrimUpper } else { BinaryOp::TrimLower }
        } else if less {
            BinaryOp::Less
        } else {
            BinaryOp::Greater
        }
    }

    fn open_paren(&mut self) -> Token {
        self.paren_depth += 1;
        Token::LeftParen
    }

    fn close_paren(&mut self) -> Lexed {
        if self.paren_depth == 0 {
            self.start = self.pos;
            return Err("unexpected right parenthesis ')'".into());
        }
        self.paren_depth -= 1;
        Ok(Some(Token::RightParen))
    }

    fn open_bracket(&mut self) -> Lexed {
        if self.bracket_open {
            return Err("unexpected left bracket '['".into());
        }
        self.bracket_open = true;
        self.got_colon = false;
        self.mode = Mode::Duration;
        Ok(Some(Token::LeftBracket))
    }

    fn close_bracket(&mut self) -> Lexed {
        if !self.bracket_open {
            return Err("unexpected right bracket ']'".into());
        }
        self.bracket_open = false;
        Ok(Some(Token::RightBracket))
    }

    fn word_or_colon(&mut self, first: char) -> Lexed {
        if !self.bracket_open {
            return Ok(Some(self.keyword_or_identifier()));
        }
        if first == ':' {
            if self.got_colon {
                return Err("unexpected colon ':'".into());
            }
            self.got_colon = true;
            return Ok(Some(Token::Colon));
        }
        match self.duration_keyword(first) {
            Some(token) => Ok(Some(token)),
            None => Err(format!("unexpected character: {}, expected ':'", QuotedChar(first))),
        }
    }

    fn keyword_or_identifier(&mut self) -> Token {
        self.accept_run(|c| is_alphanumeric(c) || c == ':');
        let word = self.word();
        match Token::keyword(word) {
            Some(Token::Keyword(k)) if k.is_fill() && !self.paren_follows() => Token::Identifier,
            Some(token) => token,
            None if word.contains(':') => Token::MetricIdentifier,
            None => Token::Identifier,
        }
    }

    fn paren_follows(&self) -> bool {
        self.text[self.pos..].trim_start_matches(is_space).starts_with('(')
    }

    /// `step`, `range`, `min_of` or `max_of`, of which the first character was read.
    fn duration_keyword(&mut self, first: char) -> Option<Token> {
        if !matches!(first.to_ascii_lowercase(), 's' | 'r' | 'm') {
            return None;
        }
        self.accept_run(is_alpha);
        match Token::keyword(self.word()) {
            Some(token @ Token::Keyword(k)) if k.is_duration() => Some(token),
            _ => None,
        }
    }

    fn duration(&mut self) -> Lexed {
        let Some(c) = self.bump() else {
            return Err("unexpected end of input in duration expression".into());
        };
        match c {
            c if is_space(c) => Ok(None),
            ']' => {
                self.bracket_open = false;
                self.got_colon = false;
                self.mode = Mode::Statement;
                Ok(Some(Token::RightBracket))
            }
            ':' => self.duration_colon(),
            '(' => Ok(Some(self.open_paren())),
            ')' => self.close_paren(),
            ',' => Ok(Some(Token::Comma)),
            c if is_digit(c) || (c == '.' && self.peek().is_some_and(is_digit)) => {
                self.got_duration = true;
                self.mode = Mode::Statement;
                self.number_or_duration()
            }
            c => match arithmetic(c).map(Token::Binary).or_else(|| self.duration_keyword(c)) {
                Some(token) => Ok(Some(token)),
                None => Err(format!("unexpected character in duration expression: {}", QuotedChar(c))),
            },
        }
    }

    fn duration_colon(&mut self) -> Lexed {
        if !self.got_duration || self.got_colon {
            let what = if self.got_duration { "repeated colon" } else { "colon before duration" };
            self.start = self.pos;
            return Err(format!("unexpected {what} in duration expression"));
        }
        self.got_colon = true;
        Ok(Some(Token::Colon))
    }

    fn in_braces(&mut self) -> Lexed {
        let Some(c) = self.bump() else {
            return Err("unexpected end of input inside braces".into());
        };
        let token = match c {
            '#' => return self.comment(),
            c if is_space(c) => return Ok(None),
            c if is_alpha(c) => {
                self.accept_run(is_alphanumeric);
                Token::Identifier
            }
            ',' => Token::Comma,
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            '=' if self.accept(|c| c == '~') => Token::RegexMatch,
            '=' => Token::Assign,
            '!' if self.accept(|c| c == '~') => Token::RegexNotMatch,
            '!' if self.accept(|c| c == '=') => Token::Binary(BinaryOp::NotEqual),
            '!' => {
                return Err(format!("unexpected character after '!' inside braces: {}", self.quote_next()));
            }
            '{' => return Err("unexpected left brace '{'".into()),
            '}' => {
                self.brace_open = false;
                Token::RightBrace
            }
            c => return Err(format!("unexpected character inside braces: {}", QuotedChar(c))),
        };
        Ok(Some(token))
    }

    fn string(&mut self, quote: char) -> Lexed {
        loop {
            match self.bump() {
                Some(c) if c == quote => return Ok(Some(Token::String)),
                Some('\\') => self.escape(quote)?,
                Some(char::REPLACEMENT_CHARACTER) => return Err("invalid UTF-8 rune".into()),
                None | Some('\n') => return Err("unterminated quoted string".into()),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Lexed {
        loop {
            match self.bump() {
                Some('`') => return Ok(Some(Token::String)),
                Some(char::REPLACEMENT_CHARACTER) => return Err("invalid UTF-8 rune".into()),
                None => return Err("unterminated raw string".into()),
                Some(_) => {}
            }
        }
    }

    /// Checks an escape sequence of which the backslash was read.
    fn escape(&mut self, quote: char) -> Result<(), String> {
        let unterminated = "escape sequence not terminated";
        let first = self.bump().ok_or(unterminated)?;
        let (digits, base, max) = match first {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            c if c == quote => return Ok(()),
            '0'..='7' => (3, 8, 255),
            'x' => (2, 16, 255),
            'u' => (4, 16, char::MAX as u32),
            'U' => (8, 16, char::MAX as u32),
            c => return Err(format!("unknown escape sequence {}", code_point(c))),
        };
        if base == 8 {
            self.pos -= 1;
        }
        let mut value = 0u32;
        for _ in 0..digits {
            let c = self.bump().ok_or(unterminated)?;
            let digit = c
                .to_digit(base)
                .ok_or_else(|| format!("illegal character {} in escape sequence", code_point(c)))?;
            value = value.wrapping_mul(base).wrapping_add(digit);
        }
        if value > max || (0xd800..0xe000).contains(&value) {
            return Err("escape sequence is an invalid Unicode code point".into());
        }
        Ok(())
    }

    fn number_or_duration(&mut self) -> Lexed {
        self.pos = self.start;
        if self.scan_number() {
            return Ok(Some(Token::Number));
        }
        if self.scan_duration_rest() {
            return Ok(Some(Token::Duration));
        }
        Err(format!("bad number or duration syntax: {}", Quoted(self.word())))
    }

    /// Reads what may be a number; false where it can not be one. What was read stays read.
    fn scan_number(&mut self) -> bool {
        let hex = self.accept(|c| c == '0') && self.accept(|c| matches!(c, 'x' | 'X'));
        let is_number_digit = |c: char| if hex { c.is_ascii_hexdigit() } else { is_digit(c) };
        if hex {
            self.accept(|c| c == '_');
        }
        self.accept(|c| c == '.');
        self.accept(is_number_digit);
        let (mut dot, mut exponent) = (false, false);
        while let Some(c) = self.peek() {
            let good = match c {
                '.' | 'e' | 'E' | '_' => {
                    self.bump();
                    match c {
                        '.' => !replace(&mut dot, true) && !self.accept(|c| matches!(c, '_' | '.')) && !hex,
                        '_' => self.separated(),
                        _ => !replace(&mut exponent, true) && self.exponent(),
                    }
                }
                c if is_number_digit(c) => {
                    self.accept_run(is_number_digit);
                    true
                }
                _ => break,
            };
            if !good {
                return false;
            }
        }
        !self.peek().is_some_and(is_alphanumeric)
    }

    fn exponent(&mut self) -> bool {
        self.accept(|c| matches!(c, '+' | '-'));
        self.separated()
    }

    /// Whether something other than a separator follows; a separator is read.
    fn separated(&mut self) -> bool {
        !self.accept(|c| matches!(c, '.' | '_' | 'e' | 'E')) && self.peek().is_some()
    }

    /// Reads the rest of a duration, of which the first number was read.
    fn scan_duration_rest(&mut self) -> bool {
        if !self.accept(|c| c == 'y' || is_unit(c)) {
            return false;
        }
        self.accept(|c| c == 's');
        while self.accept(is_digit) {
            self.accept_run(is_digit);
            if !self.accept(is_unit) {
                return false;
            }
            self.accept(|c| c == 's');
        }
        // A character too many belongs to the error's text.
        !self.accept(is_alphanumeric)
    }
}

fn arithmetic(c: char) -> Option<BinaryOp> {
    Some(match c {
        '+' => BinaryOp::Add,
        '-' => BinaryOp::Sub,
        '*' => BinaryOp::Mul,
        '/' => BinaryOp::Div,
        '%' => BinaryOp::Mod,
        '^' => BinaryOp::Pow,
        _ => return None,
    })
}

fn is_unit(c: char) -> bool {
    matches!(c, 's' | 'm' | 'h' | 'd' | 'w')
}

/// White space of the language.
pub fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || is_digit(c)
}

/// `U+0061 'a'`, or `U+000A` for what can not be printed.
fn code_point(c: char) -> String {
    let code = c as u32;
    if is_printable(c) { format!("U+{code:04X} '{c}'") } else { format!("U+{code:04X}") }
}
