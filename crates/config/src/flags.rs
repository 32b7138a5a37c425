//! The command line, by the rules of Go's `flag` package: `-x=v`, `-x v`, one dash or two; a
//! boolean never takes the next argument.

/// A flag and its value as they came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arg {
    /// Name without dashes.
    pub(crate) name: String,
    /// Value; `true` for a boolean without one.
    pub(crate) value: String,
}

/// A command line that is no list of flags.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// A flag that is not known.
    Unknown(String),
    /// The last flag lacks its value.
    NoValue(String),
    /// Neither a flag nor a flag's value.
    NotAFlag(String),
}

/// Reads `args`. `is_bool` says of a name whether it is a boolean; `None`: not known.
pub(crate) fn parse(
    args: impl Iterator<Item = String>,
    is_bool: impl Fn(&str) -> Option<bool>,
) -> Result<Vec<Arg>, Error> {
    let mut out = Vec::new();
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let name = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).unwrap_or_default();
        if name.is_empty() && arg == "--" && args.peek().is_none() {
            break;
        }
        if name.is_empty() || name.starts_with(['-', '=']) {
            return Err(Error::NotAFlag(arg));
        }
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (name, None),
        };
        let is_bool = is_bool(name).ok_or_else(|| Error::Unknown(name.to_owned()))?;
        let value = match value {
            Some(value) => value,
            None if is_bool => "true".to_owned(),
            None => args.next().ok_or_else(|| Error::NoValue(name.to_owned()))?,
        };
        out.push(Arg { name: name.to_owned(), value });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Result<Vec<(String, String)>, Error> {
        let is_bool = |name: &str| match name {
            "b" => Some(true),
            "s" | "a.b-c" => Some(false),
            _ => None,
        };
        let args = parse(args.iter().map(|a| a.to_string()), is_bool)?;
        Ok(args.into_iter().map(|a| (a.name, a.value)).collect())
    }

    fn pairs(list: &[(&str, &str)]) -> Result<Vec<(String, String)>, Error> {
        Ok(list.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect())
    }

    #[test]
    fn follows_gos_rules() {
        assert_eq!(
            run(&["-s=1", "--s", "2", "--a.b-c=x=y"]),
            pairs(&[("s", "1"), ("s", "2"), ("a.b-c", "x=y")])
        );
        assert_eq!(run(&["-b", "-s", "-b"]), pairs(&[("b", "true"), ("s", "-b")]));
        assert_eq!(run(&["-b=false", "-s="]), pairs(&[("b", "false"), ("s", "")]));
        assert_eq!(run(&["-b", "--"]), pairs(&[("b", "true")]));
        assert_eq!(run(&[]), pairs(&[]));
    }

    #[test]
    fn refuses_what_is_no_flag() {
        assert_eq!(run(&["-b", "false"]), Err(Error::NotAFlag("false".into())));
        assert_eq!(run(&["-s"]), Err(Error::NoValue("s".into())));
        assert_eq!(run(&["-nope=1"]), Err(Error::Unknown("nope".into())));
        for arg in ["-", "---b", "-=1", "word", ""] {
            assert_eq!(run(&[arg]), Err(Error::NotAFlag(arg.into())));
        }
        assert_eq!(run(&["--", "-b"]), Err(Error::NotAFlag("--".into())));
    }
}
