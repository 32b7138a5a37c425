//! Who waits for which offset.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::Arc;

use futures::channel::oneshot;
use norn_contract::applied::{AppliedError, Outcome};
use norn_contract::log::Offset;
use norn_model::rejection::Refused;
use parking_lot::Mutex;

/// Outcomes other than "all of it was taken" that are kept for writers that ask after the record
/// was applied.
const KEPT: usize = 4096;

/// Outcomes of one partition.
pub struct Outcomes {
    state: Mutex<State>,
}

struct State {
    /// Every offset below has been applied.
    next: Offset,
    waiting: BTreeMap<Offset, Vec<oneshot::Sender<Outcome>>>,
    /// The newest records of which not all was taken, in order.
    special: VecDeque<(Offset, Outcome)>,
    /// Below it outcomes in `special` have been given up.
    forgotten: Offset,
    /// Nothing will be told any more.
    ended: bool,
}

impl State {
    fn known(&self, offset: Offset) -> Outcome {
        match self.special.binary_search_by_key(&offset, |(at, _)| *at) {
            Ok(i) => self.special.get(i).map_or(Ok(None), |(_, outcome)| outcome.clone()),
            Err(_) if offset < self.forgotten => Err(AppliedError::Forgotten),
            Err(_) => Ok(None),
        }
    }

    fn remember(&mut self, offset: Offset, outcome: Outcome) {
        if self.special.len() == KEPT
            && let Some((oldest, _)) = self.special.pop_front()
        {
            self.forgotten = oldest + 1;
        }
        self.special.push_back((offset, outcome));
    }
}

impl Outcomes {
    /// Nothing at or above `next` has been applied.
    pub fn new(next: Offset) -> Self {
        let state =
            State { next, waiting: BTreeMap::new(), special: VecDeque::new(), forgotten: next, ended: false };
        Self { state: Mutex::new(state) }
    }

    /// Says that the record at `offset` is visible, but for what was refused of it. In offset
    /// order.
    pub fn tell(&self, offset: Offset, refused: Refused) {
        self.resolve(offset, Ok((!refused.is_empty()).then(|| Arc::new(refused))));
    }

    /// Says that the record at `offset` was stepped over.
    pub fn tell_undecodable(&self, offset: Offset) {
        self.resolve(offset, Err(AppliedError::Undecodable));
    }

    fn resolve(&self, offset: Offset, outcome: Outcome) {
        let waiting = {
            let mut state = self.state.lock();
            state.next = offset + 1;
            if outcome != Ok(None) {
                state.remember(offset, outcome.clone());
            }
            state.waiting.remove(&offset)
        };
        for waiter in waiting.into_iter().flatten() {
            // A writer that went away does not need the answer.
            let _ = waiter.send(outcome.clone());
        }
    }

    /// Says that nothing will be told any more: whoever waits hears of it.
    pub fn end(&self) {
        let waiting = {
            let mut state = self.state.lock();
            state.ended = true;
            std::mem::take(&mut state.waiting)
        };
        // Dropping the senders tells the receivers.
        drop(waiting);
    }

    /// Resolves when the record at `offset` is visible, or will never be.
    pub fn of(&self, offset: Offset) -> impl Future<Output = Outcome> + Send + use<> {
        let mut state = self.state.lock();
        let pending = if offset < state.next {
            Err(state.known(offset))
        } else if state.ended {
            Err(Err(AppliedError::Stopped))
        } else {
            let (sender, receiver) = oneshot::channel();
            state.waiting.entry(offset).or_default().push(sender);
            Ok(receiver)
        };
        async move {
            match pending {
                Err(known) => known,
                Ok(receiver) => receiver.await.unwrap_or(Err(AppliedError::Stopped)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use norn_model::rejection::{Parts, Rejection};

    use super::*;

    fn refused(n: u32) -> Refused {
        let mut refused = Refused::default();
        for _ in 0..n {
            let rejection = || Rejection::new("sample-out-of-order", "sample-out-of-order", "late");
            refused.refuse("sample-out-of-order", Parts::SAMPLE, rejection);
        }
        refused
    }

    fn count(outcome: Outcome) -> Result<u32, AppliedError> {
        outcome.map(|r| r.map_or(0, |r| r.samples))
    }

    #[test]
    fn tells_before_and_after() {
        let outcomes = Outcomes::new(5);
        let early = outcomes.of(6);
        outcomes.tell(5, Refused::default());
        outcomes.tell(6, refused(3));
        outcomes.tell_undecodable(7);
        assert_eq!(count(block_on(early)), Ok(3));
        assert_eq!(count(block_on(outcomes.of(5))), Ok(0));
        assert_eq!(count(block_on(outcomes.of(6))), Ok(3));
        assert_eq!(count(block_on(outcomes.of(7))), Err(AppliedError::Undecodable));
    }

    #[test]
    fn keeps_a_bounded_number_and_never_makes_up_what_it_forgot() {
        let outcomes = Outcomes::new(0);
        for offset in 0..=2 * KEPT as u64 {
            let n = if offset % 2 == 0 { 1 } else { 0 };
            outcomes.tell(offset, refused(n));
        }
        assert_eq!(count(block_on(outcomes.of(0))), Err(AppliedError::Forgotten));
        assert_eq!(count(block_on(outcomes.of(1))), Ok(0));
        assert_eq!(count(block_on(outcomes.of(2))), Ok(1));
    }

    #[test]
    fn whoever_waits_hears_of_the_end() {
        let outcomes = Outcomes::new(0);
        let waiting = outcomes.of(3);
        outcomes.tell(0, Refused::default());
        outcomes.end();
        assert_eq!(count(block_on(waiting)), Err(AppliedError::Stopped));
        assert_eq!(count(block_on(outcomes.of(4))), Err(AppliedError::Stopped));
        assert_eq!(count(block_on(outcomes.of(0))), Ok(0));
    }
}
