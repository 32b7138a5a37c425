//! Names: which of Mimir's options are known beyond Norn's own, and what a wrong name may mean.

use std::sync::LazyLock;

/// One option of Mimir.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MimirOption {
    /// Whether its flag takes no argument.
    pub(crate) is_bool: bool,
    /// Flag without dash; empty for none.
    pub(crate) flag: &'static str,
    /// YAML path; empty for none.
    pub(crate) path: &'static str,
}

static MIMIR: LazyLock<Vec<MimirOption>> =
    LazyLock::new(|| include_str!("mimir_flags.txt").lines().filter_map(read_line).collect());

fn read_line(line: &'static str) -> Option<MimirOption> {
    let mut words = line.split(' ').map(|w| if w == "-" { "" } else { w });
    let kind = words.next().filter(|k| *k == "bool" || *k == "value")?;
    Some(MimirOption { is_bool: kind == "bool", flag: words.next()?, path: words.next()? })
}

/// All options of Mimir.
pub(crate) fn mimir() -> &'static [MimirOption] {
    &MIMIR
}

/// Whether Mimir has the flag and, if so, whether it is a boolean.
pub(crate) fn mimir_flag(name: &str) -> Option<bool> {
    MIMIR.iter().find(|o| o.flag == name).map(|o| o.is_bool)
}

/// Whether Mimir has an option at the YAML path.
pub(crate) fn is_mimir_option(path: &str) -> bool {
    MIMIR.iter().any(|o| match o.path.strip_suffix(".*") {
        Some(root) => is_below(path, root),
        None => !path.is_empty() && o.path == path,
    })
}

/// Whether Mimir has options below the YAML path.
pub(crate) fn is_mimir_section(path: &str) -> bool {
    !path.is_empty() && MIMIR.iter().any(|o| is_below(o.path, path))
}

/// Whether `path` is `root` or lies below it.
pub(crate) fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The name nearest to `name`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.len() / 4).clamp(1, 5);
    names
        .filter(|n| n.len().abs_diff(name.len()) <= allowed)
        .map(|n| (distance(name.as_bytes(), n.as_bytes()), n))
        .filter(|(d, _)| *d <= allowed)
        .min()
        .map(|(_, n)| n)
}

/// Edits that turn `a` into `b`: insertions, deletions, changes, swaps of neighbours.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, y) in b.iter().enumerate() {
            let change = last[j] + usize::from(x != y);
            row[j + 1] = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_whole() {
        let lines = include_str!("mimir_flags.txt").lines().filter(|l| !l.starts_with('#')).count();
        assert_eq!(mimir().len(), lines);
        assert!(mimir().iter().all(|o| !o.flag.is_empty() || !o.path.is_empty()));
        assert_eq!(mimir_flag("ingester.ring.replication-factor"), Some(false));
        assert_eq!(mimir_flag("memberlist.abort-if-fast-join-fails"), Some(true));
        assert_eq!(mimir_flag("no.such-flag"), None);
    }

    #[test]
    fn paths_are_known_with_their_sections_and_open_subtrees() {
        for path in [
            "ingester.ring.replication_factor",
            "limits.metric_relabel_configs",
            "limits.active_series_custom_trackers.prod",
            "blocks_storage.s3.bucket_name",
        ] {
            assert!(is_mimir_option(path), "{path}");
        }
        for path in ["ingester.ring", "ingester", "ingester.rin", "target.x", "nope", ""] {
            assert!(!is_mimir_option(path), "{path}");
        }
        assert!(is_mimir_section("ingester.ring") && is_mimir_section("ingester"));
        assert!(!is_mimir_section("ingester.rin") && !is_mimir_section(""));
    }

    #[test]
    fn finds_what_was_meant() {
        let names = ["querier.timeout", "querier.max-samples", "target"];
        let near = |name| nearest(name, names.into_iter());
        assert_eq!(near("querier.timeuot"), Some("querier.timeout"));
        assert_eq!(near("querier.max_samples"), Some("querier.max-samples"));
        assert_eq!(near("tagret"), Some("target"));
        assert_eq!(near("completely.different"), None);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"ab", b"ba"), 1);
    }
}
