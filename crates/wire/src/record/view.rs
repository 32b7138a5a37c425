//! Reads records of versions 0, 1 and 2.
//!
//! Everything is copied or resolved: a view lives on its own, so that records are decoded ahead
//! on other threads. Texts lie in one string and are checked to be UTF-8 once, together.

use std::mem::take;

use norn_model::Millis;
use norn_model::metadata::MetricType;
use norn_model::sample::Sample;

use super::RecordError;
use super::symbols::{METRIC_NAME, Previous, Symbols, is_reserved};
use crate::fields::{self, Budget, Range32, RefMetadata, whole};
use crate::histogram::{HistogramSample, Pool, Row};
use crate::protobuf::{FormError, Reader, len_key, varint_key};

type Result<T> = std::result::Result<T, RecordError>;

/// One decoded record. Reused for the next one it keeps its memory.
#[derive(Debug)]
pub struct View {
    symbols: Symbols<false>,
    /// The symbols' text after a successful decode; while decoding it is with `symbols`.
    text: String,
    previous: Previous,
    budget: Budget,
    peak: usize,
    series: Vec<SeriesRow>,
    refs: Vec<u32>,
    samples: Vec<Sample>,
    histograms: Vec<Row>,
    pool: Pool,
    exemplars: Vec<ExemplarRow>,
    exemplar_refs: Vec<u32>,
    metadata: Vec<MetadataRow>,
    seen: Seen,
}

/// References seen; judged when all symbols are known, because fields come in any order.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    max: u32,
    reserved: Option<u32>,
}

impl Seen {
    #[inline]
    fn note(&mut self, references: &[u32]) {
        self.max = references.iter().fold(self.max, |max, r| max.max(*r));
        if references.iter().fold(false, |any, r| any | is_reserved(*r)) {
            self.reserved = references.iter().copied().find(|r| is_reserved(*r));
        }
    }

    fn judge(self, symbols: usize) -> Result<()> {
        match self.reserved {
            Some(reference) => Err(RecordError::BadReference(reference)),
            None if self.max as usize >= symbols => Err(RecordError::BadReference(self.max)),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct SeriesRow {
    refs: Range32,
    samples: Range32,
    histograms: Range32,
    exemplars: Range32,
    created: Millis,
}

#[derive(Clone, Copy, Debug)]
struct ExemplarRow {
    refs: Range32,
    value: f64,
    timestamp: Millis,
}

#[derive(Clone, Copy, Debug)]
struct MetadataRow {
    family: Family,
    rest: RefMetadata,
}

/// Which family metadata is of: a symbol, or the metric name among a series' references, which
/// can be told only when all symbols are known.
#[derive(Clone, Copy, Debug)]
enum Family {
    Symbol(u32),
    NameAmong(Range32),
}

/// A series of a record.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    view: &'a View,
    row: &'a SeriesRow,
}

/// An exemplar of a series.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    /// Its own labels as symbol references: name, value, name, value…
    pub label_refs: &'a [u32],
    /// The observed value.
    pub value: f64,
    /// Unix milliseconds.
    pub timestamp: Millis,
}

/// Metadata of one metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyMetadata<'a> {
    /// Name of the family.
    pub family: &'a str,
    /// Type.
    pub kind: MetricType,
    /// Help text.
    pub help: &'a str,
    /// Unit.
    pub unit: &'a str,
}

impl Default for View {
    fn default() -> Self {
        Self::new()
    }
}

impl View {
    /// A view of an empty record.
    pub fn new() -> Self {
        let mut view = Self {
            symbols: Symbols::new(),
            text: String::new(),
            previous: Previous::default(),
            budget: Budget::new(0),
            peak: 0,
            series: Vec::new(),
            refs: Vec::new(),
            samples: Vec::new(),
            histograms: Vec::new(),
            pool: Pool::default(),
            exemplars: Vec::new(),
            exemplar_refs: Vec::new(),
            metadata: Vec::new(),
            seen: Seen::default(),
        };
        view.seal_fixed();
        view
    }

    /// Reads the record `value` of `version`. After an error the view is empty.
    pub fn decode(&mut self, version: u8, value: &[u8]) -> Result<()> {
        self.clear();
        let outcome = self.read(version, value);
        self.peak = self.peak.max(self.budget.spent() + self.symbols.text.len());
        if outcome.is_err() {
            self.clear();
        }
        let text = self.seal_text();
        outcome.and(text)
    }

    /// About how many bytes the view keeps for reuse: what its largest record took, and histograms.
    /// Whoever pools views drops one that grew too large.
    pub fn kept_bytes(&self) -> usize {
        self.peak + self.pool.kept_bytes()
    }

    /// Number of series that carry samples, histograms or exemplars.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are no such series.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Series in the record's order.
    pub fn series(&self) -> impl ExactSizeIterator<Item = Series<'_>> {
        self.series.iter().map(|row| Series { view: self, row })
    }

    /// Number of symbols: references are below it. Some below
    /// [`FIRST_OWN_SYMBOL`](super::FIRST_OWN_SYMBOL) have no text and are not used.
    pub fn symbol_count(&self) -> usize {
        self.symbols.spans.len()
    }

    /// The text of a reference of this record. Panics on a reference of another one.
    #[inline]
    pub fn symbol(&self, reference: u32) -> &str {
        let span = self.symbols.spans[reference as usize];
        &self.text[span.start as usize..(span.start + span.len) as usize]
    }

    /// Metadata in the record's order. In version 2 records a family may come more than once.
    pub fn metadata(&self) -> impl Iterator<Item = FamilyMetadata<'_>> {
        self.metadata.iter().filter_map(|row| {
            let family = match row.family {
                Family::Symbol(family) => family,
                Family::NameAmong(refs) => self.metric_name(refs)?,
            };
            let RefMetadata { kind, help, unit } = row.rest;
            Some(FamilyMetadata {
                family: self.symbol(family),
                kind,
                help: self.symbol(help),
                unit: self.symbol(unit),
            })
        })
    }

    fn metric_name(&self, refs: Range32) -> Option<u32> {
        let pairs = refs.of(&self.refs).chunks_exact(2);
        pairs.filter(|p| p[0] == METRIC_NAME || self.symbol(p[0]) == "__name__").map(|p| p[1]).next()
    }

    /// Back to an empty record, with the text in `symbols` to grow.
    fn clear(&mut self) {
        if self.symbols.text.is_empty() {
            self.symbols.text = take(&mut self.text).into_bytes();
        }
        self.symbols.clear();
        self.previous.clear();
        self.series.clear();
        self.refs.clear();
        self.samples.clear();
        self.histograms.clear();
        self.pool.clear();
        self.exemplars.clear();
        self.exemplar_refs.clear();
        self.metadata.clear();
        self.seen = Seen::default();
    }

    fn read(&mut self, version: u8, value: &[u8]) -> Result<()> {
        let message = whole(value)?;
        self.budget = Budget::for_message(value.len());
        match version {
            0 | 1 => {
                self.symbols.index_fixed();
                self.read_texts(message)
            }
            2 => {
                self.read_symbolic(message)?;
                self.seen.judge(self.symbols.spans.len())
            }
            other => Err(RecordError::BadVersion(other)),
        }
    }

    /// Moves the text where [`View::symbol`] reads it, if every symbol is UTF-8.
    fn seal_text(&mut self) -> Result<()> {
        match String::from_utf8(take(&mut self.symbols.text)) {
            Ok(text) => {
                let whole = self.symbols.spans.iter().all(|s| text.is_char_boundary(s.start as usize));
                self.text = text;
                if whole { Ok(()) } else { self.refuse_text() }
            }
            Err(e) => {
                self.symbols.text = e.into_bytes();
                self.refuse_text()
            }
        }
    }

    /// Empties the view and seals the fixed table alone.
    fn refuse_text(&mut self) -> Result<()> {
        self.clear();
        self.seal_fixed();
        Err(RecordError::NotUtf8)
    }

    /// Seals the fixed table, which is UTF-8.
    fn seal_fixed(&mut self) {
        self.text = String::from_utf8(take(&mut self.symbols.text)).unwrap_or_default();
    }

    /// Starts a series; [`View::finish_series`] sets the ends.
    fn start_series(&self) -> SeriesRow {
        SeriesRow {
            refs: Range32::since(self.refs.len(), &self.refs),
            samples: Range32::since(self.samples.len(), &self.samples),
            histograms: Range32::since(self.histograms.len(), &self.histograms),
            exemplars: Range32::since(self.exemplars.len(), &self.exemplars),
            created: 0,
        }
    }

    fn finish_series(&mut self, mut row: SeriesRow) -> Result<()> {
        row.refs.end = self.refs.len() as u32;
        row.samples.end = self.samples.len() as u32;
        row.histograms.end = self.histograms.len() as u32;
        row.exemplars.end = self.exemplars.len() as u32;
        if !(row.samples.is_empty() && row.histograms.is_empty() && row.exemplars.is_empty()) {
            self.budget.take::<SeriesRow>()?;
            self.series.push(row);
        }
        Ok(())
    }

    #[inline]
    fn push_sample(&mut self, r: &mut Reader<'_>) -> Result<()> {
        self.budget.take::<Sample>()?;
        let fields::Sample { timestamp, value, .. } = fields::sample(r)?;
        self.samples.push(Sample { timestamp, value });
        Ok(())
    }

    fn push_histogram(&mut self, r: &mut Reader<'_>) -> Result<()> {
        let row = self.pool.read(r, &mut self.budget)?;
        self.histograms.push(row);
        Ok(())
    }

    fn push_metadata(&mut self, family: Family, rest: RefMetadata) -> Result<()> {
        self.budget.take::<MetadataRow>()?;
        self.metadata.push(MetadataRow { family, rest });
        Ok(())
    }
}

/// Version 2: symbols and references.
impl View {
    fn read_symbolic(&mut self, mut r: Reader<'_>) -> Result<()> {
        const SYMBOL: u32 = len_key(4);
        const SERIES: u32 = len_key(5);
        while !r.is_empty() {
            match r.key()? {
                SERIES => self.read_ref_series(r.message()?)?,
                SYMBOL => {
                    self.budget.take::<crate::protobuf::Span>()?;
                    self.symbols.append(r.bytes()?);
                }
                key => r.skip(key, 0b11_0000)?,
            }
        }
        Ok(())
    }

    fn read_ref_series(&mut self, mut r: Reader<'_>) -> Result<()> {
        const REFS: u32 = len_key(1);
        const REF: u32 = varint_key(1);
        const SAMPLE: u32 = len_key(2);
        const HISTOGRAM: u32 = len_key(3);
        const EXEMPLAR: u32 = len_key(4);
        const METADATA: u32 = len_key(5);
        const CREATED: u32 = varint_key(6);
        let mut row = self.start_series();
        let mut metadata: Option<RefMetadata> = None;
        while !r.is_empty() {
            match r.key()? {
                key @ (REFS | REF) => {
                    read_refs(&mut r, key, &mut self.refs, &mut self.seen, &mut self.budget)?;
                }
                SAMPLE => self.push_sample(&mut r)?,
                HISTOGRAM => self.push_histogram(&mut r)?,
                EXEMPLAR => self.read_ref_exemplar(&mut r)?,
                METADATA => metadata.get_or_insert_default().merge(&mut r)?,
                CREATED => row.created = r.varint()? as i64,
                key => r.skip(key, 0b111_1110)?,
            }
        }
        self.finish_series(row)?;
        let refs = Range32::since(row.refs.start as usize, &self.refs);
        if (refs.end - refs.start) % 2 == 1 {
            return Err(RecordError::OddReferences);
        }
        match metadata {
            Some(metadata) => self.push_ref_metadata(refs, metadata),
            None => Ok(()),
        }
    }

    fn push_ref_metadata(&mut self, refs: Range32, metadata: RefMetadata) -> Result<()> {
        self.seen.note(&[metadata.help, metadata.unit]);
        self.push_metadata(Family::NameAmong(refs), metadata)
    }

    fn read_ref_exemplar(&mut self, r: &mut Reader<'_>) -> Result<()> {
        self.budget.take::<ExemplarRow>()?;
        let start = self.exemplar_refs.len();
        let (refs, seen, budget) = (&mut self.exemplar_refs, &mut self.seen, &mut self.budget);
        let (value, timestamp) = fields::exemplar(r, |key, r| read_refs(r, key, refs, seen, budget))?;
        let refs = Range32::since(start, &self.exemplar_refs);
        if (refs.end - refs.start) % 2 == 1 {
            return Err(RecordError::OddReferences);
        }
        self.exemplars.push(ExemplarRow { refs, value, timestamp });
        Ok(())
    }
}

/// Appends the references of a field whose `key` was read.
#[inline]
fn read_refs(
    r: &mut Reader<'_>,
    key: u32,
    out: &mut Vec<u32>,
    seen: &mut Seen,
    budget: &mut Budget,
) -> std::result::Result<(), FormError> {
    let start = out.len();
    fields::refs::<u32>(r, key, out, budget)?;
    seen.note(&out[start..]);
    Ok(())
}

/// Versions 0 and 1: labels as texts, interned here.
impl View {
    fn read_texts(&mut self, mut r: Reader<'_>) -> Result<()> {
        const SERIES: u32 = len_key(1);
        const METADATA: u32 = len_key(3);
        while !r.is_empty() {
            match r.key()? {
                SERIES => self.read_text_series(r.message()?)?,
                METADATA => self.read_text_metadata(&mut r)?,
                key => r.skip(key, 0b1010)?,
            }
        }
        Ok(())
    }

    fn read_text_series(&mut self, mut r: Reader<'_>) -> Result<()> {
        const LABEL: u32 = len_key(1);
        const SAMPLE: u32 = len_key(2);
        const EXEMPLAR: u32 = len_key(3);
        const HISTOGRAM: u32 = len_key(4);
        const CREATED: u32 = varint_key(6);
        let mut row = self.start_series();
        let mut position = 0;
        while !r.is_empty() {
            match r.key()? {
                LABEL => {
                    let label = read_label(&mut r)?;
                    self.budget.take::<(u32, u32)>()?;
                    let pair = self.previous.intern(&mut self.symbols, position, label.0, label.1);
                    self.refs.extend_from_slice(&[pair.0, pair.1]);
                    position += 1;
                }
                SAMPLE => self.push_sample(&mut r)?,
                HISTOGRAM => self.push_histogram(&mut r)?,
                EXEMPLAR => self.read_text_exemplar(&mut r)?,
                CREATED => row.created = r.varint()? as i64,
                key => r.skip(key, 0b101_1110)?,
            }
        }
        self.finish_series(row)
    }

    fn read_text_exemplar(&mut self, r: &mut Reader<'_>) -> Result<()> {
        self.budget.take::<ExemplarRow>()?;
        let start = self.exemplar_refs.len();
        let (refs, symbols, budget) = (&mut self.exemplar_refs, &mut self.symbols, &mut self.budget);
        let (value, timestamp) = fields::exemplar(r, |key, r| {
            if key != len_key(1) {
                return Err(FormError::WireType(1));
            }
            let (name, value) = read_label(r)?;
            budget.take::<(u32, u32)>()?;
            refs.extend_from_slice(&[symbols.intern(name), symbols.intern(value)]);
            Ok(())
        })?;
        let refs = Range32::since(start, &self.exemplar_refs);
        self.exemplars.push(ExemplarRow { refs, value, timestamp });
        Ok(())
    }

    fn read_text_metadata(&mut self, r: &mut Reader<'_>) -> Result<()> {
        let body = *r;
        let metadata = fields::family_metadata(r)?;
        let mut intern = |span| self.symbols.intern(body.text(span));
        let (family, help, unit) = (intern(metadata.family), intern(metadata.help), intern(metadata.unit));
        self.push_metadata(Family::Symbol(family), RefMetadata { kind: metadata.kind, help, unit })
    }
}

#[inline]
fn read_label<'a>(r: &mut Reader<'a>) -> std::result::Result<(&'a [u8], &'a [u8]), FormError> {
    let body = *r;
    let (name, value) = fields::label(r)?;
    Ok((body.text(name), body.text(value)))
}

impl<'a> Series<'a> {
    /// Labels as symbol references: name, value, name, value… in the record's order.
    #[inline]
    pub fn label_refs(&self) -> &'a [u32] {
        self.row.refs.of(&self.view.refs)
    }

    /// Labels as texts.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let view = self.view;
        self.label_refs().chunks_exact(2).map(|p| (view.symbol(p[0]), view.symbol(p[1])))
    }

    /// Float samples.
    #[inline]
    pub fn samples(&self) -> &'a [Sample] {
        self.row.samples.of(&self.view.samples)
    }

    /// Histograms.
    pub fn histograms(&self) -> impl ExactSizeIterator<Item = HistogramSample<'a>> + use<'a> {
        let view = self.view;
        self.row.histograms.of(&view.histograms).iter().map(|row| view.pool.get(row))
    }

    /// Exemplars.
    pub fn exemplars(&self) -> impl ExactSizeIterator<Item = Exemplar<'a>> + use<'a> {
        let view = self.view;
        self.row.exemplars.of(&view.exemplars).iter().map(|row| Exemplar {
            label_refs: row.refs.of(&view.exemplar_refs),
            value: row.value,
            timestamp: row.timestamp,
        })
    }

    /// When the series began to count, in Unix milliseconds; 0 = not known.
    pub fn created(&self) -> Millis {
        self.row.created
    }
}
