//! Reads a YAML file into settings: a path and a text each, in the order of the file.
//!
//! Scalars keep their text as far as YAML lets them, so that they go through the same readers
//! as flags. Sections without content are no settings.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// One value of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Keys from the root, joined by dots.
    pub(crate) path: String,
    /// Line of the value, from 1.
    pub(crate) line: u64,
    /// The value.
    pub(crate) value: Value,
}

/// What stands at a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A scalar; a sequence of scalars joined by commas.
    Text(String),
    /// Nothing: the default holds.
    Empty,
    /// A sequence with something else than scalars in it.
    Structure,
}

/// Reads `text`.
///
/// # Errors
///
/// The parser's message with line and column; it holds no excerpt of the file, which may hold
/// secrets.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    };
    let root: Spanned<Node> =
        serde_saphyr::from_str_with_options(text, options).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    match root.value {
        Node::Map(_) => flatten(String::new(), root, &mut out),
        Node::Null => {}
        _ => return Err("the file is not a mapping of keys to values".to_owned()),
    }
    Ok(out)
}

#[derive(Debug)]
enum Node {
    Null,
    Scalar(String),
    Seq(Vec<Node>),
    Map(Vec<(String, Spanned<Node>)>),
}

/// The parser bounds the depth of a document, and with it this recursion.
fn flatten(path: String, node: Spanned<Node>, out: &mut Vec<Entry>) {
    let line = node.referenced.line();
    let value = match node.value {
        Node::Map(entries) if !entries.is_empty() => {
            for (key, child) in entries {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                flatten(path, child, out);
            }
            return;
        }
        Node::Map(_) | Node::Null => Value::Empty,
        Node::Scalar(text) => Value::Text(text),
        Node::Seq(items) => join(items),
    };
    out.push(Entry { path, line, value });
}

fn join(items: Vec<Node>) -> Value {
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Node::Scalar(text) => texts.push(text),
            _ => return Value::Structure,
        }
    }
    Value::Text(texts.join(","))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_string()))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_string()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_string()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_string()))
    }

    fn visit_str<E>(self, v: &str) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Node, E> {
        Ok(Node::Scalar(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Vec<(String, u64, String)> {
        let show = |v| match v {
            Value::Text(t) => t,
            Value::Empty => "<empty>".to_owned(),
            Value::Structure => "<structure>".to_owned(),
        };
        parse(text).unwrap().into_iter().map(|e| (e.path, e.line, show(e.value))).collect()
    }

    #[test]
    fn flattens_with_lines() {
        let text = "a: 1\nb:\n  c: yes\n  d: {e: '5m', f: 1e6}\nlimits:\nlist: [x, y]\nmaps:\n  - {k: v}\n";
        let want = [
            ("a", 1, "1"),
            ("b.c", 3, "yes"),
            ("b.d.e", 4, "5m"),
            ("b.d.f", 4, "1000000"),
            ("limits", 5, "<empty>"),
            ("list", 6, "x,y"),
            ("maps", 8, "<structure>"),
        ];
        let got = read(text);
        assert_eq!(got.len(), want.len(), "{got:?}");
        for ((path, line, value), (want_path, want_line, want_value)) in got.iter().zip(want) {
            assert_eq!((path.as_str(), value.as_str()), (want_path, want_value));
            assert!(line.abs_diff(want_line) <= 1, "{path} is at line {line}, not {want_line}");
        }
    }

    #[test]
    fn knows_merge_keys_and_keeps_texts() {
        assert_eq!(
            read("x: &base {a: 1, b: 007}\ny:\n  <<: *base\n  a: 1_000\n")
                .into_iter()
                .map(|e| (e.0, e.2))
                .collect::<Vec<_>>(),
            [
                ("x.a".into(), "1".into()),
                ("x.b".into(), "007".into()),
                ("y.a".into(), "1_000".into()),
                ("y.b".into(), "007".into())
            ] as [(String, String); 4]
        );
        assert!(read("").is_empty() && read("# nothing\n").is_empty());
    }

    #[test]
    fn errors_show_the_place_and_not_the_content() {
        for text in
            ["a: hunter2\na: hunter3\n", "a: [hunter2", "hunter2", "- hunter2\n", "a: 1\n---\nb: hunter2\n"]
        {
            let error = parse(text).unwrap_err();
            assert!(!error.contains("hunter"), "{error}");
        }
        assert!(parse("a: 1\nb: 2\na: 3\n").unwrap_err().contains("line 3"));
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"{a: ".repeat(100_000)).is_err());
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
            + &(b'b'..b'k')
                .map(|c| {
                    let (c, p) = (c as char, (c - 1) as char);
                    format!("{c}: &{c} [*{p},*{p},*{p},*{p},*{p},*{p},*{p},*{p},*{p}]\n")
                })
                .collect::<String>();
        assert!(parse(&bomb).is_err());
    }
}
