//! What a write was refused for.
//!
//! A [`Rejection`] carries Mimir's stable error id and its own text. The text ends with
//! ` (err-mimir-<id>)` and, where a flag can change the outcome, one sentence that names it.

use std::fmt;

/// One refusal: the id is stable, the text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Mimir's id without the `err-mimir-` prefix, such as `sample-out-of-order`.
    pub id: &'static str,
    /// The `reason` label of `cortex_discarded_samples_total`.
    pub reason: &'static str,
    /// Whole text, id included.
    pub text: String,
}

impl Rejection {
    /// A refusal whose text is `message (err-mimir-id)`.
    pub fn new(id: &'static str, reason: &'static str, message: impl fmt::Display) -> Self {
        Self { id, reason, text: format!("{message} (err-mimir-{id})") }
    }

    /// Adds the sentence that says which per-tenant flags change the outcome.
    pub fn with_tenant_flags(mut self, flags: &[&str]) -> Self {
        let list = match flags {
            [] => return self,
            [one] => format!("-{one}"),
            [head @ .., last] => {
                let head: Vec<_> = head.iter().map(|f| format!("-{f}")).collect();
                format!("{} and -{last}", head.join(", "))
            }
        };
        self.text.push_str(&format!(
            ". To adjust the related per-tenant limit, configure {list}, or contact your service administrator."
        ));
        self
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What became of the parts of one write: how much was refused, and why first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Float samples refused.
    pub samples: u32,
    /// Histograms refused.
    pub histograms: u32,
    /// Exemplars refused.
    pub exemplars: u32,
    /// The first refusal, which the client is told.
    pub first: Option<Rejection>,
}

impl Refused {
    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.samples == 0 && self.histograms == 0 && self.exemplars == 0 && self.first.is_none()
    }

    /// Keeps `rejection` if it is the first. Made lazily: later ones cost no text.
    pub fn note(&mut self, rejection: impl FnOnce() -> Rejection) {
        if self.first.is_none() {
            self.first = Some(rejection());
        }
    }

    /// Adds the counts of `other`, and its first refusal where there is none here.
    pub fn merge(&mut self, other: &Refused) {
        self.samples += other.samples;
        self.histograms += other.histograms;
        self.exemplars += other.exemplars;
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
    }
}
