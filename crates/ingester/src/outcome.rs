//! Who waits for which offset.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::Arc;

use futures::channel::oneshot;
use norn_contract::log::Offset;
use norn_model::rejection::Refused;
use parking_lot::Mutex;

/// Refusals kept for writers that ask after the record was applied.
const KEPT: usize = 4096;

/// What one record's content was refused for; `None` = all of it was taken.
pub type Outcome = Option<Arc<Refused>>;

/// Outcomes of one partition.
pub struct Outcomes {
    state: Mutex<State>,
}

struct State {
    /// Every offset below has been applied.
    next: Offset,
    waiting: BTreeMap<Offset, Vec<oneshot::Sender<Outcome>>>,
    /// The newest records of which something was refused.
    refused: VecDeque<(Offset, Arc<Refused>)>,
}

impl State {
    fn known(&self, offset: Offset) -> Outcome {
        self.refused.iter().rev().find(|(o, _)| *o == offset).map(|(_, r)| r.clone())
    }
}

impl Outcomes {
    /// Nothing at or above `next` has been applied.
    pub fn new(next: Offset) -> Self {
        let state = State { next, waiting: BTreeMap::new(), refused: VecDeque::new() };
        Self { state: Mutex::new(state) }
    }

    /// Says that the record at `offset` is visible, in offset order.
    pub fn tell(&self, offset: Offset, refused: Refused) {
        let outcome = (!refused.is_empty()).then(|| Arc::new(refused));
        let waiting = {
            let mut state = self.state.lock();
            state.next = offset + 1;
            if let Some(refused) = &outcome {
                if state.refused.len() == KEPT {
                    state.refused.pop_front();
                }
                state.refused.push_back((offset, refused.clone()));
            }
            state.waiting.remove(&offset)
        };
        for waiter in waiting.into_iter().flatten() {
            // A writer that went away does not need the answer.
            let _ = waiter.send(outcome.clone());
        }
    }

    /// Resolves when the record at `offset` is visible.
    pub fn of(&self, offset: Offset) -> impl Future<Output = Outcome> + Send + use<> {
        let mut state = self.state.lock();
        let pending = if offset < state.next {
            Err(state.known(offset))
        } else {
            let (sender, receiver) = oneshot::channel();
            state.waiting.entry(offset).or_default().push(sender);
            Ok(receiver)
        };
        async move {
            match pending {
                Err(known) => known,
                Ok(receiver) => match receiver.await {
                    Ok(outcome) => outcome,
                    // The partition ended before it came to this record: never claim it was taken.
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    fn refused(n: u32) -> Refused {
        Refused { samples: n, ..Refused::default() }
    }

    #[test]
    fn tells_before_and_after() {
        let outcomes = Outcomes::new(5);
        let early = outcomes.of(6);
        outcomes.tell(5, Refused::default());
        outcomes.tell(6, refused(3));
        assert_eq!(block_on(early).map(|r| r.samples), Some(3));
        assert_eq!(block_on(outcomes.of(5)), None);
        assert_eq!(block_on(outcomes.of(6)).map(|r| r.samples), Some(3));
    }

    #[test]
    fn keeps_a_bounded_number() {
        let outcomes = Outcomes::new(0);
        for offset in 0..=KEPT as u64 {
            outcomes.tell(offset, refused(1));
        }
        assert!(block_on(outcomes.of(0)).is_none());
        assert!(block_on(outcomes.of(1)).is_some());
    }
}
