//! Help texts, and the configuration as `/config` shows it.

use crate::load::OWN_FLAGS;
use crate::options::{Config, TARGETS};
use crate::table::{Category, Field};
use crate::value::Kind;

/// Which options to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All, with the values that hold.
    Effective,
    /// Those that differ from the defaults.
    Diff,
    /// All, with the defaults.
    Defaults,
}

impl Config {
    /// The options as YAML that can be loaded again, but for secrets, which are masked.
    pub fn to_yaml(&self, mode: Mode) -> String {
        let defaults = Config::default();
        let shown = if mode == Mode::Defaults { &defaults } else { self };
        let rows = rows(shown);
        let mut lines = Vec::new();
        for ((field, value), (_, default)) in rows.iter().zip(rows_iter(&defaults)) {
            if mode != Mode::Diff || *value != default {
                lines.push((field.path.split('.').collect::<Vec<_>>(), scalar(field.kind, value)));
            }
        }
        lines.sort();
        if lines.is_empty() { "{}\n".to_owned() } else { tree(&lines) }
    }
}

fn rows(config: &Config) -> Vec<(&'static Field, String)> {
    rows_iter(config).collect()
}

fn rows_iter(config: &Config) -> impl Iterator<Item = (&'static Field, String)> + '_ {
    config.sections().into_iter().flat_map(|section| {
        section.fields().iter().map(move |f| (f, section.get(f.path).unwrap_or_default()))
    })
}

/// Nests sorted paths by their keys.
fn tree(lines: &[(Vec<&str>, String)]) -> String {
    let mut out = String::new();
    let mut open: &[&str] = &[];
    for (path, value) in lines {
        let Some((key, parents)) = path.split_last() else { continue };
        let shared = parents.iter().zip(open).take_while(|(a, b)| a == b).count();
        for (depth, parent) in parents.iter().enumerate().skip(shared) {
            push_key(&mut out, depth, parent);
            out.push('\n');
        }
        push_key(&mut out, parents.len(), key);
        out.extend([" ", value, "\n"]);
        open = parents;
    }
    out
}

fn push_key(out: &mut String, depth: usize, key: &str) {
    out.extend(std::iter::repeat_n("    ", depth));
    out.extend([key, ":"]);
}

fn scalar(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Bool | Kind::Int | Kind::Float | Kind::Duration => value.to_owned(),
        Kind::Text | Kind::Secret | Kind::List => quoted(value),
    }
}

/// A YAML string. The escapes are those that JSON and YAML share.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The text of `-help`, or of `-help-all`.
pub(crate) fn help(all: bool) -> String {
    let defaults = Config::default();
    let mut entries = Vec::new();
    for (flag, is_bool, text) in OWN_FLAGS {
        entries.push((flag, entry(flag, if is_bool { Kind::Bool } else { Kind::Text }, text, "", "")));
    }
    for (field, default) in rows_iter(&defaults) {
        if !all && field.category != Category::Basic {
            continue;
        }
        let note = if field.category == Category::Experimental { "[experimental] " } else { "" };
        entries.push((field.flag, entry(field.flag, field.kind, field.help.trim(), &default, note)));
    }
    entries.sort_unstable();
    let mut out = String::from("Usage of norn:\n");
    out.extend(entries.into_iter().map(|(_, text)| text));
    out.push_str(if all {
        "\nOptions of Grafana Mimir that are not listed are accepted and ignored.\n"
    } else {
        "\nTo see every flag, use -help-all.\n"
    });
    out
}

fn entry(flag: &str, kind: Kind, text: &str, default: &str, note: &str) -> String {
    let kind_text = if kind == Kind::Bool { String::new() } else { format!(" {kind}") };
    let default = match kind {
        _ if default.is_empty() => String::new(),
        Kind::Bool if default == "false" => String::new(),
        Kind::Text | Kind::Secret | Kind::List => format!(" (default {default:?})"),
        _ => format!(" (default {default})"),
    };
    format!("  -{flag}{kind_text}\n    \t{note}{text}{default}\n")
}

/// The text of `-modules`.
pub(crate) fn modules() -> String {
    const IN_ALL: [&str; 8] = [
        "distributor",
        "ingester",
        "querier",
        "query-frontend",
        "query-scheduler",
        "store-gateway",
        "compactor",
        "ruler",
    ];
    let mut out = String::new();
    for target in TARGETS {
        let mark = if IN_ALL.contains(&target) { " *" } else { "" };
        out.extend([target, mark, "\n"]);
    }
    out.push_str("\nModules marked with * are included in target all.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known;

    #[test]
    fn nests_keys_and_shows_what_differs() {
        let mut config = Config::default();
        assert_eq!(config.to_yaml(Mode::Diff), "{}\n");
        config.distributor.max_inflight_push_requests = 7;
        config.distributor.max_recv_msg_size = 8;
        config.general.data_dir = "a \"b\"\n".to_owned();
        assert_eq!(
            config.to_yaml(Mode::Diff),
            "data_dir: \"a \\\"b\\\"\\u000a\"\n\
             distributor:\n    instance_limits:\n        max_inflight_push_requests: 7\n    max_recv_msg_size: 8\n"
        );
        assert_eq!(config.to_yaml(Mode::Defaults), Config::default().to_yaml(Mode::Effective));
        assert!(config.to_yaml(Mode::Effective).contains("\n    creation_grace_period: 10m\n"));
    }

    #[test]
    fn help_lists_basic_flags_and_help_all_every_flag() {
        let (basic, all) = (help(false), help(true));
        assert!(
            basic.contains("  -server.http-listen-port int\n    \tThe HTTP port. (default 8080)\n"),
            "{basic}"
        );
        assert!(basic.contains("  -auth.multitenancy-enabled\n"));
        assert!(
            !basic.contains("-querier.lookback-delta")
                && all.contains("  -querier.lookback-delta duration\n")
        );
        assert!(all.contains("[experimental] ") && all.len() > basic.len());
        for (field, _) in rows_iter(&Config::default()) {
            assert!(all.contains(&format!("  -{}", field.flag)), "{}", field.flag);
            assert!(!field.help.trim().is_empty());
        }
        assert!(modules().contains("distributor *\n") && modules().contains("alertmanager\n"));
    }

    #[test]
    fn options_of_mimir_have_mimirs_flags() {
        let mut shared = 0;
        for (field, _) in rows_iter(&Config::default()) {
            for option in known::mimir().iter().filter(|o| o.path == field.path || o.flag == field.flag) {
                assert_eq!((option.path, option.flag), (field.path, field.flag));
                assert_eq!(option.is_bool, field.kind == Kind::Bool, "{}", field.flag);
                shared += 1;
            }
        }
        assert!(shared >= 40, "only {shared} options are Mimir's");
    }

    #[test]
    fn flags_and_paths_are_unique() {
        let (mut flags, mut paths) = (Vec::new(), Vec::new());
        for (field, _) in rows_iter(&Config::default()) {
            flags.push(field.flag);
            paths.push(field.path);
        }
        flags.extend(OWN_FLAGS.iter().map(|(flag, ..)| *flag));
        for list in [&mut flags, &mut paths] {
            let count = list.len();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), count);
        }
    }
}
