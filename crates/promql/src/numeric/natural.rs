//! Natural order of text: runs of digits compare as numbers.

use std::cmp::Ordering;

/// Compares run by run. Two runs of digits that fit into 64 bits compare as numbers, and equal
/// numbers (`01` and `1`) go on; other runs compare as bytes. What ends first is smaller.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (run_a, run_b) = match (next_run(&mut a), next_run(&mut b)) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => (x, y),
        };
        let order = match (number(run_a), number(run_b)) {
            (Some(x), Some(y)) => x.cmp(&y),
            _ => run_a.cmp(run_b),
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn number(run: &str) -> Option<i64> {
    if run.starts_with(|c: char| c.is_ascii_digit()) { run.parse().ok() } else { None }
}

/// Takes the leading run of digits or of other characters.
fn next_run<'a>(text: &mut &'a str) -> Option<&'a str> {
    let digits = text.as_bytes().first()?.is_ascii_digit();
    let end = text.bytes().position(|b| b.is_ascii_digit() != digits).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    Some(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_inside_text_count() {
        let mut names =
            ["node10", "node2", "node", "node1a", "", "node02", "10", "9", "99999999999999999999", "é1"];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(
            names,
            ["", "9", "10", "99999999999999999999", "node", "node1a", "node2", "node02", "node10", "é1"]
        );
        assert_eq!(compare("a01", "a1"), Ordering::Equal);
    }
}
