//! Snapshots of the heads, one partition after the other, a piece a step.

use norn_contract::log::{Offset, Partition};
use norn_head::{SnapshotEncoder, SnapshotError, SnapshotPiece};

use super::{Cutter, State, ask};
use crate::partition::Command;
use crate::snapshots::Unfinished;

/// A round of snapshots.
pub(crate) struct Saving {
    partition: Partition,
    /// The file, once the partition has begun.
    file: Option<Unfinished>,
    /// What the partition answered last.
    answer: Option<Saved>,
}

/// What a partition answers.
pub(crate) enum Saved {
    /// It has begun, unless it is busy with a cut.
    Begun(Option<Box<SnapshotEncoder>>),
    /// The next piece.
    Piece(Option<Box<SnapshotPiece>>),
}

impl Saving {
    pub(super) fn put(&mut self, from: Partition, answer: Saved) {
        if from == self.partition {
            self.answer = Some(answer);
        }
    }
}

impl Cutter {
    /// Begins a round with the first partition that has new records.
    pub(super) fn begin_saving(&mut self) {
        self.save_from(0);
    }

    fn save_from(&mut self, first: Partition) {
        let Some(to) = self.partitions.get(first as usize) else { return };
        ask(to, Command::Snapshot(self.agenda.saved.get(first as usize).copied()));
        self.state = State::Saving(Saving { partition: first, file: None, answer: None });
    }

    /// Goes on with what the partition answered.
    pub(super) fn save_next(&mut self, mut saving: Saving) {
        let partition = saving.partition;
        match saving.answer.take() {
            None => self.state = State::Saving(saving),
            Some(Saved::Begun(None)) => self.save_from(partition + 1),
            Some(Saved::Begun(Some(encoder))) => {
                let next = encoder.next_offset();
                match self.snapshots.begin(partition, *encoder) {
                    Ok(file) => {
                        self.note_saved(partition, next);
                        self.next_piece(Saving { file: Some(file), ..saving });
                    }
                    Err(error) => self.give_up(partition, &error),
                }
            }
            Some(Saved::Piece(piece)) => self.write_piece(saving, piece),
        }
    }

    fn write_piece(&mut self, mut saving: Saving, piece: Option<Box<SnapshotPiece>>) {
        let partition = saving.partition;
        let written = match (&mut saving.file, piece) {
            (Some(file), Some(piece)) => file.add(&piece),
            _ => {
                let finished = saving.file.take().map_or(Ok(()), Unfinished::finish);
                return match finished {
                    Ok(()) => self.save_from(partition + 1),
                    Err(error) => self.give_up(partition, &error),
                };
            }
        };
        match written {
            Ok(()) => self.next_piece(saving),
            Err(error) => self.give_up(partition, &error),
        }
    }

    fn next_piece(&mut self, saving: Saving) {
        if let Some(to) = self.partitions.get(saving.partition as usize) {
            ask(to, Command::Piece);
        }
        self.state = State::Saving(saving);
    }

    /// A start takes longer without it, and nothing else.
    fn give_up(&mut self, partition: Partition, error: &SnapshotError) {
        tracing::warn!(partition, %error, "no snapshot of the head: the next start reads more of the log");
        if let Some(to) = self.partitions.get(partition as usize) {
            ask(to, Command::AbandonSnapshot);
        }
        self.save_from(partition + 1);
    }

    fn note_saved(&mut self, partition: Partition, next: Offset) {
        let place = partition as usize;
        if self.agenda.saved.len() <= place {
            self.agenda.saved.resize(place + 1, 0);
        }
        self.agenda.saved[place] = next;
    }
}
