//! `-config.expand-env`: `$VAR`, `${VAR}` and `${VAR:default}` in the text of the file.
//!
//! A variable that is empty counts as unset; unset ones without a default vanish. Line breaks in
//! values are taken out, so a value can not add keys. A `$` that leads no name stays.

/// Replaces the variables in `text`.
pub(crate) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        match reference(after) {
            Some((name, default, tail)) => {
                let value = env(name).filter(|v| !v.is_empty());
                let value = value.as_deref().unwrap_or(default);
                out.extend(value.chars().filter(|c| !matches!(c, '\n' | '\r')));
                rest = tail;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Name, default and what follows of the reference that `text` starts with.
fn reference(text: &str) -> Option<(&str, &str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        let (inside, tail) = braced.split_once('}')?;
        let (name, default) = inside.split_once(':').unwrap_or((inside, ""));
        return (!name.is_empty()).then_some((name, default, tail));
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, tail) = text.split_at(end);
    let named = name.starts_with(|c: char| !c.is_ascii_digit());
    named.then_some((name, "", tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_what_names_a_variable() {
        let env = |name: &str| match name {
            "KEY" => Some("secret".to_owned()),
            "EMPTY" => Some(String::new()),
            "LINES" => Some("a\nb: c\r\n".to_owned()),
            _ => None,
        };
        for (text, want) in [
            ("k: $KEY", "k: secret"),
            ("k: ${KEY}x", "k: secretx"),
            ("${EMPTY:d} ${NONE:d:e} ${NONE}|$NONE|", "d d:e ||"),
            ("${LINES}", "ab: c"),
            ("a$ 5$5 ${unclosed", "a$ 5$5 ${unclosed"),
            ("${}", "${}"),
            ("${KEY", "${KEY"),
            ("$KEY$KEY", "secretsecret"),
            ("$KEY-é", "secret-é"),
        ] {
            assert_eq!(expand(text, &env), want, "{text}");
        }
    }
}
