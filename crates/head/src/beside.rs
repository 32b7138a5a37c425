//! What comes beside samples: exemplars and metadata.

use norn_model::labels::Labels;
use norn_model::rejection::{Parts, Refused};
use norn_model::sample::Exemplar;
use norn_wire::record::{FamilyMetadata, Series, View};
use norn_wire::settings::FoldSettings;

use crate::folder::labels_of;
use crate::identity::SeriesRef;
use crate::reject;
use crate::tenant::{MetadataLimit, SeriesExemplar, TenantState};

/// Exemplars that are kept.
pub(crate) fn max_exemplars(settings: &FoldSettings) -> usize {
    usize::try_from(settings.max_exemplars).unwrap_or(usize::MAX)
}

/// Keeps the exemplars of a series. Late ones are refused if all of them are late: otherwise the
/// sender had a set of them of which some are new.
pub(crate) fn keep_exemplars(
    state: &TenantState,
    settings: &FoldSettings,
    number: SeriesRef,
    series: &Series<'_>,
    view: &View,
    refused: &mut Refused,
) {
    let (limit, count) = (max_exemplars(settings), series.exemplars().len() as u32);
    if limit == 0 || count == 0 {
        return;
    }
    let (mut late, mut last_late) = (0, 0);
    let mut ring = state.exemplars.lock();
    for exemplar in series.exemplars() {
        let pairs = exemplar.label_refs.chunks_exact(2);
        let labels = Labels::from_pairs(pairs.map(|p| (view.symbol(p[0]), view.symbol(p[1]))));
        let (value, timestamp) = (exemplar.value, exemplar.timestamp);
        let exemplar = Exemplar { labels, value, timestamp };
        if !ring.push(SeriesExemplar { series: number, exemplar }, limit) {
            late += 1;
            last_late = timestamp;
        }
    }
    let parts = Parts { exemplars: late, ..Parts::default() };
    if late == count && !settings.ignore_late_exemplars {
        let rejection = || reject::late_exemplar(last_late, &labels_of(series));
        refused.refuse(reject::LATE_EXEMPLAR, parts, rejection);
    } else if late > 0 {
        refused.leave_out(reject::LATE_EXEMPLAR, parts);
    }
}

/// Keeps the record's metadata. A family often comes once a series: repeats cost a comparison.
pub(crate) fn describe(state: &TenantState, settings: &FoldSettings, view: &View, refused: &mut Refused) {
    let mut last: Option<FamilyMetadata<'_>> = None;
    for new in view.metadata() {
        if last != Some(new)
            && let Err(limit) = state.describe(new.family, (new.kind, new.help, new.unit), settings)
        {
            refuse_metadata(limit, new.family, settings, refused);
        }
        last = Some(new);
    }
}

/// Tells the client only of limits that were set: those of memory are nothing it could know.
fn refuse_metadata(limit: MetadataLimit, family: &str, settings: &FoldSettings, refused: &mut Refused) {
    let is_set = match limit {
        MetadataLimit::Metrics(n) => n == settings.max_metadata,
        MetadataLimit::Descriptions(n) => n == settings.max_metadata_per_metric,
    };
    if is_set {
        refused.refuse(limit.reason(), Parts::METADATA, || reject::metadata(limit, family));
    } else {
        refused.leave_out(limit.reason(), Parts::METADATA);
    }
}
