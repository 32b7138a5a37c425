//! Many copies of one recorded node_exporter.
//!
//! `data/node_exporter.tsv` holds one real target: a line a series with its labels and the values
//! of consecutive scrapes. Counters go on growing by the recorded increments; everything else walks
//! the recorded values forth and back. Every number is a function of (copy, series, scrape), so two
//! runs send the same bytes.

/// One series of the recorded target.
pub struct Series {
    /// Label pairs sorted by name, without `instance` and `job`.
    pub labels: Vec<(String, String)>,
    values: Vec<f64>,
    counter: bool,
}

impl Series {
    /// The value at scrape number `scrape` of copy number `copy`.
    pub fn value(&self, copy: usize, scrape: usize) -> f64 {
        let last = self.values.len() - 1;
        let k = scrape + copy % last;
        if self.counter {
            let growth = self.values[last] - self.values[0];
            // Rounded, so that an addition's last bit is never taken for a counter reset.
            ((self.values[k % last] + (k / last) as f64 * growth) * 1e6).round() / 1e6
        } else {
            let phase = k % (2 * last);
            self.values[if phase <= last { phase } else { 2 * last - phase }]
        }
    }
}

/// The recorded target's series, in exposition order.
pub fn target() -> Vec<Series> {
    include_str!("../data/node_exporter.tsv").lines().map(parse).collect()
}

fn parse(line: &str) -> Series {
    let (series, values) = line.split_once('\t').expect("fixture lines have a tab");
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let mut pairs = vec![("__name__".to_owned(), name.to_owned())];
    let mut rest = labels.trim_end_matches('}');
    while let Some((label, tail)) = rest.split_once("=\"") {
        let (value, tail) = tail.split_once('"').expect("fixture values have no quotes");
        pairs.push((label.trim_start_matches(',').to_owned(), value.to_owned()));
        rest = tail;
    }
    pairs.sort();
    let values: Vec<f64> =
        values.split('\t').map(|v| v.parse().expect("fixture values are numbers")).collect();
    // The kernel lets some counters, such as iowait, go down.
    let counter =
        ["_total", "_count", "_sum", "_bucket"].iter().any(|s| name.ends_with(s)) && values.is_sorted();
    Series { labels: pairs, values, counter }
}

/// All label pairs of a series in copy number `copy`, sorted by name. `generation` changes the
/// identity (churn); generation 0 is the plain fleet.
pub fn labels(series: &Series, copy: usize, generation: usize) -> Vec<(String, String)> {
    let mut pairs = series.labels.clone();
    let host = match generation {
        0 => format!("host-{copy:04}:9100"),
        g => format!("host-{copy:04}-{g}:9100"),
    };
    pairs.push(("instance".into(), host));
    pairs.push(("job".into(), "node".into()));
    pairs.sort();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_grow_and_the_rest_stays_in_range() {
        let series = target();
        assert_eq!(series.len(), 507);
        for s in &series {
            for scrape in 1..200 {
                let (before, now) = (s.value(3, scrape - 1), s.value(3, scrape));
                assert!(!s.counter || now >= before || now.is_nan(), "{:?}", s.labels);
            }
        }
        assert!(labels(&series[0], 1, 0).is_sorted());
    }
}
