//! From matchers to series.
//!
//! A matcher that refuses the empty string demands one of the label's values it passes; one that
//! takes it forbids the values it does not pass, and an absent label is fine. So the answer is the
//! intersection of demands minus the forbidden, and a matcher is asked once per value.

use norn_model::matcher::{MatchOp, Matcher};

use super::{Reader, SeriesRef};
use crate::Error;
use crate::file::Window;

impl Reader {
    /// Series that pass all matchers, ascending.
    pub fn select(&self, matchers: &[Matcher]) -> Result<Vec<SeriesRef>, Error> {
        let (forbidding, demanding): (Vec<_>, Vec<_>) = matchers.iter().partition(|m| m.matches_empty());
        let mut demands = Vec::with_capacity(demanding.len());
        for matcher in demanding {
            let lists = self.demanded(matcher);
            if lists.is_empty() {
                return Ok(Vec::new());
            }
            demands.push(lists);
        }
        // Few lists are often short: what they leave spares the rest.
        demands.sort_by_key(Vec::len);
        let mut demands = demands.into_iter();
        let mut set = match demands.next() {
            Some(lists) => self.union(&lists)?,
            None => self.all_postings()?,
        };
        for lists in demands {
            if set.is_empty() {
                return Ok(set);
            }
            retain(&mut set, &self.union(&lists)?, true);
        }
        for matcher in forbidding {
            if set.is_empty() {
                break;
            }
            retain(&mut set, &self.union(&self.forbidden(matcher))?, false);
        }
        Ok(set)
    }

    /// Lists of which a series must be in one.
    fn demanded(&self, matcher: &Matcher) -> Vec<u64> {
        let (symbols, name) = (self.symbols(), matcher.name());
        if let Some(values) = matcher.exact_values() {
            return values.iter().filter_map(|value| self.table().find(symbols, name, value)).collect();
        }
        let values = self.table().values_with(symbols, name, matcher.prefix());
        values.filter(|(value, _)| matcher.matches(symbols.text(*value))).map(|(_, list)| list).collect()
    }

    /// Lists of which a series must be in none.
    fn forbidden(&self, matcher: &Matcher) -> Vec<u64> {
        let (symbols, name) = (self.symbols(), matcher.name());
        if matcher.op() == MatchOp::NotEqual {
            return self.table().find(symbols, name, matcher.value()).into_iter().collect();
        }
        let values = self.table().values(symbols, name);
        values.filter(|(value, _)| !matcher.matches(symbols.text(*value))).map(|(_, list)| list).collect()
    }

    fn union(&self, lists: &[u64]) -> Result<Vec<SeriesRef>, Error> {
        let (mut all, mut window) = (Vec::new(), Window::default());
        for &list in lists {
            self.read_list(list, &mut window, &mut all)?;
            // A series has one value of a name: each entry stands in the file once.
            if all.len() as u64 > self.size_bytes() / 4 {
                return Err(Error::corrupt("index: lists of one name share series"));
            }
        }
        if lists.len() > 1 {
            all.sort_unstable();
            all.dedup();
        }
        Ok(all)
    }
}

/// Keeps what is in `list`, or what is not. Both ascend.
fn retain(set: &mut Vec<SeriesRef>, list: &[SeriesRef], keep: bool) {
    let mut rest = list;
    set.retain(|series| {
        rest = &rest[seek(rest, *series)..];
        (rest.first() == Some(series)) == keep
    });
}

/// How many entries are below `series`: near the start first.
fn seek(list: &[SeriesRef], series: SeriesRef) -> usize {
    let mut step = 1;
    while step < list.len() && list[step - 1] < series {
        step *= 2;
    }
    let from = step / 2;
    let to = step.min(list.len());
    from + list[from..to].partition_point(|s| *s < series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeks_from_anywhere() {
        let list: Vec<u32> = (0..50).map(|i| i * 3).collect();
        for from in 0..50 {
            for series in 0..160 {
                let want = list[from..].iter().filter(|s| **s < series).count();
                assert_eq!(seek(&list[from..], series), want, "{from} {series}");
            }
        }
        assert_eq!(seek(&[], 5), 0);
    }

    #[test]
    fn retains_either_way() {
        let mut set = vec![1, 3, 5, 9];
        retain(&mut set, &[0, 3, 4, 9, 12], true);
        assert_eq!(set, [3, 9]);
        retain(&mut set, &[9], false);
        assert_eq!(set, [3]);
    }
}
