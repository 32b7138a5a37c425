//! One query, instant and range.

use anyhow::Result;

use super::answer::Answer;
use super::difference::{self, Rule};
use super::servers::{Asker, Servers};
use super::stepwise;
use super::times::Times;

/// Connections of one worker.
pub struct Checker {
    seed: u64,
    oracle: Asker,
    norn: Asker,
}

/// What came of a query.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Whether either answer of the oracle had samples.
    pub answered: bool,
    /// Whether the oracle refused both.
    pub refused: bool,
    /// Ranges that agreed only step by step.
    pub stepwise: bool,
    /// Whether the oracle had to be asked several times, as its order is random.
    pub repeated: bool,
    /// Whether only the tolerance of [`stepwise::LOOSE`] made them equal.
    pub loose: bool,
    /// Differences: instant first, then range.
    pub differences: Vec<String>,
}

/// How often the oracle is asked for something that it adds up in random order.
const REPEATS: usize = 40;

const EXACT: Rule = Rule { tolerance: 0.0, positions: true };

impl Checker {
    /// For the data of `seed`.
    pub fn new(servers: &Servers, seed: u64) -> Self {
        Self { seed, oracle: Asker::new(&servers.prometheus.server), norn: Asker::new(&servers.norn.server) }
    }

    /// Asks both servers.
    pub fn check(&mut self, query: &str) -> Result<Verdict> {
        let times = Times::of(self.seed, query);
        let mut verdict = Verdict::default();
        let oracle = self.oracle.instant(query, times.instant)?;
        let norn = self.norn.instant(query, times.instant)?;
        verdict.answered = oracle.has_samples();
        verdict.refused = matches!(oracle, Answer::Refused { .. });
        if let Some(difference) = self.instant_difference(query, &times, &oracle, &norn, &mut verdict)? {
            verdict.differences.push(format!("instant at {}: {difference}", times.instant));
        }
        let oracle = self.oracle.range(query, times.start, times.end, times.step)?;
        let norn = self.norn.range(query, times.start, times.end, times.step)?;
        verdict.answered |= oracle.has_samples();
        verdict.refused &= matches!(oracle, Answer::Refused { .. });
        if let Some(difference) = self.range_difference(query, &times, &oracle, &norn, &mut verdict)? {
            let Times { start, end, step, .. } = times;
            verdict.differences.push(format!("range {start} to {end} by {step}: {difference}"));
        }
        Ok(verdict)
    }

    fn instant_difference(
        &mut self,
        query: &str,
        times: &Times,
        oracle: &Answer,
        norn: &Answer,
        verdict: &mut Verdict,
    ) -> Result<Option<String>> {
        let Some(difference) = difference::first(oracle, norn, EXACT) else {
            return Ok(match query {
                _ if query.starts_with("sort_by_label") => difference::order(oracle, norn, true),
                _ if query.starts_with("sort") => difference::order(oracle, norn, false),
                _ => None,
            });
        };
        let again =
            (0..REPEATS).map(|_| self.oracle.instant(query, times.instant)).collect::<Result<Vec<_>>>()?;
        if difference::is_one_of(&again, norn) {
            verdict.repeated = true;
            return Ok(None);
        }
        let rule = Rule { tolerance: stepwise::tolerance(query), ..EXACT };
        verdict.loose = difference::first(oracle, norn, rule).is_none();
        Ok((!verdict.loose).then_some(difference))
    }

    fn range_difference(
        &mut self,
        query: &str,
        times: &Times,
        oracle: &Answer,
        norn: &Answer,
        verdict: &mut Verdict,
    ) -> Result<Option<String>> {
        let Some(difference) = difference::first(oracle, norn, EXACT) else {
            return Ok(None);
        };
        let pinned = stepwise::pinned(query, times);
        let steps = times.steps().map(|t| self.oracle.instant(&pinned, t)).collect::<Result<Vec<_>>>()?;
        let mut stepped = stepwise::assemble(steps);
        // Annotations of the range itself are as good, where only values are in random order.
        if let (Answer::Result(x), Answer::Result(y)) = (oracle, norn)
            && x.notes == y.notes
        {
            stepped = stepwise::with_notes(stepped, &x.notes);
        }
        let exact = Rule { tolerance: 0.0, positions: pinned == query };
        verdict.stepwise = true;
        if difference::first(&stepped, norn, exact).is_none() {
            return Ok(None);
        }
        let mut again = vec![stepped];
        for _ in 0..REPEATS {
            again.push(self.oracle.range(query, times.start, times.end, times.step)?);
        }
        if difference::is_one_of(&again, norn) {
            verdict.repeated = true;
            return Ok(None);
        }
        let stepped = again.swap_remove(0);
        let rule = Rule { tolerance: stepwise::tolerance(query), ..exact };
        if difference::first(&stepped, norn, rule).is_none()
            || difference::first(oracle, norn, rule).is_none()
        {
            verdict.loose = true;
            return Ok(None);
        }
        Ok(Some(difference))
    }

    /// Both answers to a query, for a human.
    pub fn show(&mut self, query: &str) -> Result<String> {
        let times = Times::of(self.seed, query);
        let Times { instant, start, end, step } = times;
        let at = |answer: Answer| format!("{answer:#?}");
        Ok(format!(
            "{query}\n{times:?}\ninstant, oracle: {}\ninstant, norn: {}\nrange, oracle: {}\nrange, norn: {}",
            at(self.oracle.instant(query, instant)?),
            at(self.norn.instant(query, instant)?),
            at(self.oracle.range(query, start, end, step)?),
            at(self.norn.range(query, start, end, step)?),
        ))
    }
}
