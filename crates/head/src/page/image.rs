//! Rows as a snapshot keeps them.

use norn_codec::DecodeError;
use norn_codec::xor::XorState;
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;

use super::{More, Newest, Page, Row};
use crate::cells::{Cells, Chain};
use crate::histogram::OpenHistogram;
use crate::identity::SeriesRef;
use crate::late::Late;
use crate::snapshot::capture::{LateImage, OpenImage, Piece, RowImage};
use crate::value;

impl Newest {
    fn from_number(number: u8) -> Option<Self> {
        [Self::Nothing, Self::Float, Self::Int, Self::FloatHistogram].into_iter().find(|n| *n as u8 == number)
    }
}

impl Page {
    /// Adds all rows to `piece`.
    pub(crate) fn capture(&self, chunk_range: Millis, piece: &mut Piece) {
        for (slot, row) in self.rows.iter().enumerate().filter(|(_, row)| !row.is_gone()) {
            row.capture(&self.cells, self.first + self.number(slot) as SeriesRef, chunk_range, piece);
        }
    }

    /// Adds a row that a snapshot kept, with its open chunk.
    pub(crate) fn restore(
        &mut self,
        image: &RowImage,
        open: Option<&OpenImage<'_>>,
        late: Option<(Millis, Millis)>,
        chunk_range: Millis,
    ) -> Result<(), DecodeError> {
        let row = Row::restored(&mut self.cells, image, open, late, chunk_range)?;
        self.rows.push(row);
        self.live += 1;
        Ok(())
    }
}

impl Row {
    fn capture(&self, cells: &Cells, series: SeriesRef, chunk_range: Millis, piece: &mut Piece) {
        let number = piece.rows.len() as u32;
        let is_open = self.open_maxt().is_some();
        if is_open {
            self.copy_open(cells, Millis::MIN, Millis::MAX, &mut piece.open);
        }
        piece.row(RowImage {
            series,
            mint: self.mint,
            maxt: self.newest().unwrap_or(Millis::MIN),
            value: self.xor.last_value(),
            target: self.target,
            newest: self.newest as u8,
            is_open,
        });
        let Some(late) = self.more.as_ref().map(|more| &more.late) else { return };
        if let Some((mint, maxt)) = late.range() {
            piece.late.push(LateImage { row: number, mint, maxt });
        }
        let window = |t: Millis| t.div_euclid(chunk_range);
        for of_window in late.buffer().chunk_by(|a, b| window(a.0) == window(b.0)) {
            let before = piece.waiting_chunks.chunks.len();
            value::encode(of_window, &mut piece.waiting_chunks);
            let added = piece.waiting_chunks.chunks.len() - before;
            let to = of_window.first().map_or(0, |(t, _)| window(*t));
            piece.waiting.extend(std::iter::repeat_n((number, to), added));
        }
    }

    fn restored(
        cells: &mut Cells,
        image: &RowImage,
        open: Option<&OpenImage<'_>>,
        late: Option<(Millis, Millis)>,
        chunk_range: Millis,
    ) -> Result<Self, DecodeError> {
        let newest =
            Newest::from_number(image.newest).ok_or(DecodeError::Invalid("unknown kind of sample"))?;
        let (mut words, mut histogram, mut end) = (Chain::default(), None, Millis::MIN);
        let mut xor = match newest {
            Newest::Nothing => XorState::new(),
            _ => XorState::after(image.maxt, image.value),
        };
        if let Some(&OpenImage { encoding, mint, bytes }) = open {
            let after = image.maxt.div_euclid(chunk_range).saturating_add(1).saturating_mul(chunk_range);
            let maxt = if encoding == ChunkEncoding::Xor {
                end = after;
                xor = XorState::resume(bytes, &mut cells.sink(&mut words))?;
                xor.last_timestamp()
            } else {
                let resumed = OpenHistogram::resume(encoding, bytes, mint, after)?;
                let maxt = resumed.maxt();
                histogram = Some(Box::new(resumed));
                maxt
            };
            if maxt != image.maxt {
                return Err(DecodeError::Invalid("an open chunk ends elsewhere"));
            }
        }
        let late = late.map_or_else(Late::default, |(mint, maxt)| Late::sealed(mint, maxt));
        let has_more = histogram.is_some() || late.range().is_some();
        let more = has_more.then(|| Box::new(More { late, histogram }));
        Ok(Self { xor, end, mint: image.mint, words, target: image.target, newest, more })
    }
}
