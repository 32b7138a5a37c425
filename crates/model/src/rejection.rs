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

/// Numbers of parts of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Float samples.
    pub samples: u32,
    /// Histograms.
    pub histograms: u32,
    /// Exemplars.
    pub exemplars: u32,
    /// Metadata entries.
    pub metadata: u32,
}

impl Parts {
    /// One float sample.
    pub const SAMPLE: Self = Self { samples: 1, ..Self::NONE };
    /// One histogram.
    pub const HISTOGRAM: Self = Self { histograms: 1, ..Self::NONE };
    /// One exemplar.
    pub const EXEMPLAR: Self = Self { exemplars: 1, ..Self::NONE };
    /// One metadata entry.
    pub const METADATA: Self = Self { metadata: 1, ..Self::NONE };
    const NONE: Self = Self { samples: 0, histograms: 0, exemplars: 0, metadata: 0 };

    fn add(&mut self, other: Self) {
        self.samples = self.samples.saturating_add(other.samples);
        self.histograms = self.histograms.saturating_add(other.histograms);
        self.exemplars = self.exemplars.saturating_add(other.exemplars);
        self.metadata = self.metadata.saturating_add(other.metadata);
    }
}

/// What became of the parts of one write: how much was refused or left out, and why first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Float samples refused.
    pub samples: u32,
    /// Histograms refused.
    pub histograms: u32,
    /// Exemplars refused.
    pub exemplars: u32,
    /// What is not stored, by the `reason` label of `cortex_discarded_*_total`: refused parts, and
    /// those that are left out without telling the client.
    pub reasons: Vec<(&'static str, Parts)>,
    /// The first refusal, which the client is told.
    pub first: Option<Rejection>,
}

impl Refused {
    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty() && self.first.is_none()
    }

    /// Counts `parts` as refused for `reason`, and keeps `rejection` if it is the first. It is made
    /// lazily: later ones cost no text.
    pub fn refuse(&mut self, reason: &'static str, parts: Parts, rejection: impl FnOnce() -> Rejection) {
        self.samples = self.samples.saturating_add(parts.samples);
        self.histograms = self.histograms.saturating_add(parts.histograms);
        self.exemplars = self.exemplars.saturating_add(parts.exemplars);
        self.leave_out(reason, parts);
        if self.first.is_none() {
            self.first = Some(rejection());
        }
    }

    /// Counts `parts` as not stored for `reason` without telling the client.
    pub fn leave_out(&mut self, reason: &'static str, parts: Parts) {
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, sum)) => sum.add(parts),
            None => self.reasons.push((reason, parts)),
        }
    }

    /// Everything that is not stored.
    pub fn discarded(&self) -> Parts {
        self.reasons.iter().fold(Parts::default(), |mut sum, (_, parts)| {
            sum.add(*parts);
            sum
        })
    }

    /// Adds the counts of `other`, and its first refusal where there is none here.
    pub fn merge(&mut self, other: &Refused) {
        self.samples = self.samples.saturating_add(other.samples);
        self.histograms = self.histograms.saturating_add(other.histograms);
        self.exemplars = self.exemplars.saturating_add(other.exemplars);
        for (reason, parts) in &other.reasons {
            self.leave_out(reason, *parts);
        }
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
    }
}
