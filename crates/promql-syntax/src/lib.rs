//! PromQL text to syntax tree and back.
//!
//! | module | subject |
//! |---|---|
//! | [`ast`] | the tree |
//! | [`function`] | names and types of functions |
//! | [`series`] | series descriptions of test scripts |
//! | `lexer`, `token`, `literal` | characters to words, words to values |
//! | `parser`, `duration`, `selector` | words to tree |
//! | `check` | types |
//! | `print`, `pretty`, `json` | tree to text |
//!
//! Queries are accepted and refused as Prometheus 3.14 does, with the same error texts and
//! positions. Only the first error is reported. What Prometheus does not limit is limited here:
//! a tree is at most [`MAX_DEPTH`] levels high, so that walking one by recursion is safe, and a
//! duration expression has at most [`MAX_DURATION_OPERATORS`] operators.

pub mod ast;
mod check;
mod duration;
mod error;
pub mod function;
mod json;
mod lexer;
mod literal;
mod parser;
mod pretty;
mod print;
mod selector;
pub mod series;
mod token;

pub use error::ParseError;
pub use function::Experimental;
pub use json::to_json;
pub use parser::{MAX_DEPTH, MAX_DURATION_OPERATORS};
pub use pretty::pretty;
pub use print::DurationText;

use norn_model::matcher::Matcher;

/// Parts of the language that are off unless asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Functions and aggregations marked experimental.
    pub experimental_functions: Experimental,
    /// `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left` and `fill_right`.
    pub fill_modifiers: bool,
}

impl Options {
    /// Everything on.
    pub fn all() -> Self {
        Self {
            experimental_functions: Experimental::ALL,
            extended_range_selectors: true,
            fill_modifiers: true,
        }
    }
}

/// Reads a query and checks its types.
pub fn parse(text: &str, options: &Options) -> Result<ast::Expr, ParseError> {
    let mut expr = parser::Parser::new(text, options)?.query()?;
    check::check(&mut expr, text)?;
    Ok(expr)
}

/// Reads one instant selector without modifiers, as in `match[]` parameters.
///
/// The metric name becomes the last matcher. A selector that matches everything is accepted;
/// callers that must refuse it look at [`Matcher::matches_empty`].
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    Ok(parser::Parser::new(text, &Options::default())?.lone_selector()?.matchers)
}
