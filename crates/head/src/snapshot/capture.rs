//! What the writer copies for a snapshot.

use norn_contract::log::Offset;
use norn_contract::source::ChunkBuf;
use norn_model::Millis;
use norn_model::chunk::ChunkEncoding;

use crate::identity::SeriesRef;
use crate::storage::{Address, NOWHERE};
use crate::window::{WindowList, WindowNo};

/// Rows of some pages, as they were between two records.
#[derive(Debug)]
pub struct Piece {
    /// The record that comes next.
    pub(crate) next: Offset,
    /// Windows at that moment.
    pub(crate) windows: WindowList,
    pub(crate) rows: Vec<RowImage>,
    /// Open chunks, in the order of the rows that have one.
    pub(crate) open: ChunkBuf,
    pub(crate) heads: Vec<Head>,
    pub(crate) late: Vec<LateImage>,
    /// Late samples that wait, as chunks: to which row and window each belongs.
    pub(crate) waiting: Vec<(u32, WindowNo)>,
    pub(crate) waiting_chunks: ChunkBuf,
    /// Whether it is the last one.
    pub(crate) is_last: bool,
}

/// What a row knows besides its chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowImage {
    pub(crate) series: SeriesRef,
    /// Oldest and newest timestamp that came in order, and the newest value if it is a float.
    pub(crate) mint: Millis,
    pub(crate) maxt: Millis,
    pub(crate) value: f64,
    pub(crate) target: u16,
    /// What the newest sample is, by number.
    pub(crate) newest: u8,
    pub(crate) is_open: bool,
}

/// An open chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenImage<'a> {
    pub(crate) encoding: ChunkEncoding,
    pub(crate) mint: Millis,
    pub(crate) bytes: &'a [u8],
}

/// Where the newest sealed chunk of a row lies in a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) row: u32,
    /// Position in [`Piece::windows`].
    pub(crate) window: u32,
    pub(crate) at: Address,
}

/// Range of all late samples of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LateImage {
    pub(crate) row: u32,
    pub(crate) mint: Millis,
    pub(crate) maxt: Millis,
}

impl Piece {
    /// Without rows.
    pub(crate) fn new(next: Offset, windows: WindowList) -> Self {
        Self {
            next,
            windows,
            rows: Vec::new(),
            open: ChunkBuf::default(),
            heads: Vec::new(),
            late: Vec::new(),
            waiting: Vec::new(),
            waiting_chunks: ChunkBuf::default(),
            is_last: false,
        }
    }

    /// Adds a row; its chunks follow.
    pub(crate) fn row(&mut self, row: RowImage) {
        let number = self.rows.len() as u32;
        for (window, of) in self.windows.iter().enumerate() {
            let at = of.newest(row.series);
            if at != NOWHERE {
                self.heads.push(Head { row: number, window: window as u32, at });
            }
        }
        self.rows.push(row);
    }
}
