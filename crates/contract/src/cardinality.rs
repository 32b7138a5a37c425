//! How many series there are, and of which labels.

use std::sync::Arc;

use futures::future::BoxFuture;
use norn_model::Millis;
use norn_model::matcher::Matcher;
use norn_model::tenant::Tenant;

use crate::source::SourceError;

/// What is counted.
#[derive(Clone, Debug)]
pub struct CardinalityRequest {
    /// All must pass; none: every series.
    pub matchers: Arc<[Matcher]>,
    /// Only series with a sample at this time or later; [`Millis::MIN`] for all.
    pub since: Millis,
    /// Labels whose values are counted, each once.
    pub names: Vec<String>,
}

/// Numbers of series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// All series.
    pub series: u64,
    /// By the names asked for: each value, in order, with the number of series that have it.
    pub values: Vec<Vec<(String, u64)>>,
}

impl Cardinality {
    /// Adds the counts of `other`, which was asked the same.
    pub fn merge(&mut self, other: Self) {
        self.series += other.series;
        for (mine, theirs) in self.values.iter_mut().zip(other.values) {
            mine.extend(theirs);
            mine.sort_unstable();
            mine.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                }
                same
            });
        }
    }
}

/// Counts series in memory.
///
/// It refuses to look at blocks. A series that lies in two partitions counts twice.
pub trait CountSeries: Send + Sync {
    /// Counts series of `tenant`.
    fn count(
        &self,
        tenant: &Tenant,
        request: CardinalityRequest,
    ) -> BoxFuture<'_, Result<Cardinality, SourceError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_by_value() {
        let of = |series, values: &[(&str, u64)]| Cardinality {
            series,
            values: vec![values.iter().map(|(v, n)| ((*v).to_owned(), *n)).collect()],
        };
        let mut sum = of(4, &[("a", 1), ("c", 2)]);
        sum.merge(of(3, &[("a", 2), ("b", 1)]));
        assert_eq!(sum, of(7, &[("a", 3), ("b", 1), ("c", 2)]));
    }
}
