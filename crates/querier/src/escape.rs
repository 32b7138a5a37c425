//! Label names in paths: `U__` leads a name whose unusual characters are `_<hex>_`.

/// The name that `escaped` stands for; itself where it is not an escaped name.
pub(crate) fn unescape(escaped: &str) -> String {
    escaped.strip_prefix("U__").and_then(decode).unwrap_or_else(|| escaped.to_owned())
}

/// `None` where an escape is broken.
fn decode(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, tail)) = rest.split_once('_') {
        out.push_str(plain);
        let (code, tail) = tail.split_once('_')?;
        match code {
            "" => out.push('_'),
            // As Go decodes it: five digits at most.
            _ if code.len() <= 5 && code.bytes().all(|b| b.is_ascii_hexdigit()) => {
                out.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
            }
            _ => return None,
        }
        rest = tail;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (escaped, name) in [
            ("plain_name", "plain_name"),
            ("U__my_2e_dotted", "my.dotted"),
            ("U__a__b", "a_b"),
            ("U___1F600_", "😀"),
            ("U__", ""),
            ("U__a_", "U__a_"),
            ("U__a_2e", "U__a_2e"),
            ("U__a_zz_", "U__a_zz_"),
            ("U__a_d800_", "U__a_d800_"),
            ("U__a_10ffff_", "U__a_10ffff_"),
        ] {
            assert_eq!(unescape(escaped), name, "{escaped}");
        }
    }
}
