//! Remote write 2: labels as references to symbols.
//!
//! Symbols may stand behind the series that use them, so a first walk over the top level collects
//! them and a second one decodes series. Walking past a series costs two varints.

use super::{ExemplarRow, Label, MetadataRow, SeriesError, SeriesRow, View, WriteError};
use crate::fields::{self, Range32, RefMetadata};
use crate::protobuf::{FormError, Reader, Span, len_key, varint_key};

type Result<T> = std::result::Result<T, FormError>;

const SYMBOL: u32 = len_key(4);
const SERIES: u32 = len_key(5);
const KNOWN: u32 = 0b11_0000;

impl View {
    pub(super) fn read_v2(&mut self, r: Reader<'_>) -> std::result::Result<(), WriteError> {
        self.read_symbols(r)?;
        if self.symbols.first().is_some_and(|s| s.len != 0) {
            return Err(WriteError::FirstSymbol);
        }
        Ok(self.read_series(r)?)
    }

    fn read_symbols(&mut self, mut r: Reader<'_>) -> Result<()> {
        let body = r;
        while !r.is_empty() {
            match r.key()? {
                SYMBOL => {
                    self.budget.take::<Span>()?;
                    self.symbols.push(r.span()?);
                }
                SERIES => drop(r.span()?),
                key => r.skip(key, KNOWN)?,
            }
        }
        self.symbols_ascii = self.are_symbols_ascii(body);
        Ok(())
    }

    /// Tests everything from the first to the last symbol at once. Long texts and series in
    /// between make it say no, which only means that each label is looked at.
    fn are_symbols_ascii(&self, body: Reader<'_>) -> bool {
        let (Some(first), Some(last)) = (self.symbols.first(), self.symbols.last()) else { return true };
        body.text(Span { start: first.start, len: last.start + last.len - first.start }).is_ascii()
    }

    fn read_series(&mut self, mut r: Reader<'_>) -> Result<()> {
        while !r.is_empty() {
            match r.key()? {
                SERIES => self.read_ref_series(r.message()?)?,
                SYMBOL => drop(r.span()?),
                key => r.skip(key, KNOWN)?,
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
        self.refs.clear();
        while !r.is_empty() {
            match r.key()? {
                key @ (REFS | REF) => fields::refs::<Span>(&mut r, key, &mut self.refs, &mut self.budget)?,
                SAMPLE => self.push_sample(&mut r)?,
                HISTOGRAM => self.push_histogram(&mut r)?,
                EXEMPLAR if self.exemplars_wanted => self.read_ref_exemplar(&mut r, &mut row)?,
                EXEMPLAR => drop(r.message()?),
                METADATA => metadata.get_or_insert_default().merge(&mut r)?,
                CREATED => row.created = r.varint()? as i64,
                key => r.skip(key, 0b111_1110)?,
            }
        }
        self.resolve_series(&mut row, metadata);
        self.finish_series(row)
    }

    fn resolve_series(&mut self, row: &mut SeriesRow, metadata: Option<RefMetadata>) {
        let mut outcome = resolve(&self.refs, &self.symbols, &mut self.labels);
        if let Some(metadata) = metadata {
            match self.resolve_metadata(metadata) {
                Ok(resolved) => row.metadata = Some(resolved),
                Err(e) => outcome = outcome.and(Err(e)),
            }
        }
        if let Err(e) = outcome {
            row.error.get_or_insert(e);
        }
        if row.error.is_some() {
            self.labels.truncate(row.labels.start as usize);
        }
    }

    fn resolve_metadata(&self, metadata: RefMetadata) -> std::result::Result<MetadataRow, SeriesError> {
        Ok(MetadataRow {
            kind: metadata.kind,
            help: self.optional_symbol(metadata.help)?,
            unit: self.optional_symbol(metadata.unit)?,
        })
    }

    /// Reference 0 means absent, even in a request without symbols.
    fn optional_symbol(&self, reference: u32) -> std::result::Result<Span, SeriesError> {
        match reference {
            0 => Ok(Span::default()),
            _ => symbol(&self.symbols, reference),
        }
    }

    fn read_ref_exemplar(&mut self, r: &mut Reader<'_>, row: &mut SeriesRow) -> Result<()> {
        self.budget.take::<ExemplarRow>()?;
        let start = self.exemplar_labels.len();
        // The series' own references may be half read: this exemplar's go behind them.
        let first = self.refs.len();
        let (refs, budget) = (&mut self.refs, &mut self.budget);
        let (value, timestamp) = fields::exemplar(r, |key, r| fields::refs::<Span>(r, key, refs, budget))?;
        let outcome = resolve(&self.refs[first..], &self.symbols, &mut self.exemplar_labels);
        self.refs.truncate(first);
        if let Err(e) = outcome {
            row.error.get_or_insert(e);
        }
        let labels = Range32::since(start, &self.exemplar_labels);
        self.exemplars.push(ExemplarRow { labels, value, timestamp });
        Ok(())
    }
}

/// Appends the labels that `refs` name.
#[inline]
fn resolve(refs: &[u32], symbols: &[Span], labels: &mut Vec<Label>) -> std::result::Result<(), SeriesError> {
    let pairs = refs.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(SeriesError::OddReferences);
    }
    let max = refs.iter().fold(0, |max, r| max.max(*r));
    if !refs.is_empty() && max as usize >= symbols.len() {
        return Err(SeriesError::BadReference(max));
    }
    let span = |reference: u32| symbols.get(reference as usize).copied().unwrap_or_default();
    labels.extend(pairs.map(|pair| Label { name: span(pair[0]), value: span(pair[1]) }));
    Ok(())
}

#[inline]
fn symbol(symbols: &[Span], reference: u32) -> std::result::Result<Span, SeriesError> {
    symbols.get(reference as usize).copied().ok_or(SeriesError::BadReference(reference))
}
