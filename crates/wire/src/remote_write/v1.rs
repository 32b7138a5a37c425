//! Remote write 1: labels as texts.

use super::{ExemplarRow, Label, View};
use crate::fields::{self, Range32};
use crate::protobuf::{FormError, Reader, Span, len_key, varint_key};

type Result<T> = std::result::Result<T, FormError>;

impl View {
    pub(super) fn read_v1(&mut self, mut r: Reader<'_>) -> Result<()> {
        const SERIES: u32 = len_key(1);
        const METADATA: u32 = len_key(3);
        const SKIP_NAME_VALIDATION: u32 = varint_key(1000);
        const SKIP_COUNT_VALIDATION: u32 = varint_key(1001);
        while !r.is_empty() {
            match r.key()? {
                SERIES => self.read_text_series(r.message()?)?,
                METADATA => {
                    self.budget.take::<fields::FamilyMetadata>()?;
                    self.metadata.push(fields::family_metadata(&mut r)?);
                }
                SKIP_NAME_VALIDATION => self.skip_name_validation = r.varint()? != 0,
                SKIP_COUNT_VALIDATION => self.skip_count_validation = r.varint()? != 0,
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
        let mut raw = RawLabels::default();
        while !r.is_empty() {
            let start = r.position();
            match r.key()? {
                LABEL => {
                    self.budget.take::<Label>()?;
                    let (name, value) = fields::label(&mut r)?;
                    self.labels.push(Label { name, value });
                    raw.add(start, r.position());
                }
                SAMPLE => self.push_sample(&mut r)?,
                EXEMPLAR if self.exemplars_wanted => self.read_text_exemplar(&mut r)?,
                EXEMPLAR => drop(r.message()?),
                HISTOGRAM => self.push_histogram(&mut r)?,
                CREATED => row.created = r.varint()? as i64,
                key => r.skip(key, 0b101_1110)?,
            }
        }
        row.raw = raw.span();
        self.finish_series(row)
    }

    fn read_text_exemplar(&mut self, r: &mut Reader<'_>) -> Result<()> {
        self.budget.take::<ExemplarRow>()?;
        let start = self.exemplar_labels.len();
        let (labels, budget) = (&mut self.exemplar_labels, &mut self.budget);
        let (value, timestamp) = fields::exemplar(r, |key, r| {
            if key != len_key(1) {
                return Err(FormError::WireType(1));
            }
            budget.take::<Label>()?;
            let (name, value) = fields::label(r)?;
            labels.push(Label { name, value });
            Ok(())
        })?;
        let labels = Range32::since(start, &self.exemplar_labels);
        self.exemplars.push(ExemplarRow { labels, value, timestamp });
        Ok(())
    }
}

/// Where the labels of a series lie, as long as nothing lies between them.
#[derive(Clone, Copy, Default)]
struct RawLabels {
    start: usize,
    end: usize,
    split: bool,
}

impl RawLabels {
    /// Adds the label field from `start` to `end`.
    #[inline]
    fn add(&mut self, start: usize, end: usize) {
        if self.end == 0 {
            self.start = start;
        } else if self.end != start {
            self.split = true;
        }
        self.end = end;
    }

    fn span(self) -> Span {
        match self.split {
            true => Span::default(),
            false => Span { start: self.start as u32, len: (self.end - self.start) as u32 },
        }
    }
}
