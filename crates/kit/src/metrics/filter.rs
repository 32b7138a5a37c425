//! Some families of a metrics page.

/// The families called one of `names`, as they are queried; the end mark stays.
pub fn only(page: &str, names: &[&str]) -> String {
    let mut out = String::new();
    let mut wanted = false;
    for line in page.lines() {
        let family = ["# HELP ", "# TYPE ", "# UNIT "].iter().find_map(|start| line.strip_prefix(start));
        if let Some(rest) = family {
            let family = rest.split(' ').next().unwrap_or_default();
            // Counters of OpenMetrics are called without what their series end in.
            wanted = names.iter().any(|name| *name == family || name.strip_suffix("_total") == Some(family));
        }
        if wanted || line == "# EOF" {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_whole_families() {
        let page = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"# TYPE b gauge\"} 1\n\
                    # HELP b B.\n# TYPE b histogram\nb_sum 1\nb_count 2\n";
        assert_eq!(only(page, &["b", "c"]), page[page.find("# HELP b").unwrap_or(0)..]);
        assert_eq!(only(page, &["a_total"]), page[..page.find("# HELP b").unwrap_or(0)]);
        assert_eq!(only(page, &["a", "b_sum"]), "");
        let openmetrics =
            "# HELP a A.\n# TYPE a counter\na_total 1\n# HELP b B.\n# TYPE b gauge\nb 1\n# EOF\n";
        assert_eq!(only(openmetrics, &["a_total"]), "# HELP a A.\n# TYPE a counter\na_total 1\n# EOF\n");
    }
}
