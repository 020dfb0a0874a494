//! Reading the log back, record by record, from any position that begins a record.

use std::ops::Range;
use std::sync::Arc;

use super::blocks::Blocks;
use super::error::{Damage, LogError};
use super::lsn::Lsn;
use super::record::{Flaw, Seed};
use super::scan::{Found, Origin, ScanError, Scanner};
use super::segment::{HeaderFlaw, PAGE, SegmentHeader, segment_name};
use super::writer::Log;
use crate::storage::Access;
use crate::sync::lock;

/// A place in the log from which records are read in order.
pub(crate) struct LogReader {
    log: Arc<Log>,
    /// Read complete segments through a map.
    map: bool,
    /// Read ahead in a thread of its own.
    may_read_ahead: bool,
    open: Option<OpenSegment>,
    /// What the segment before was read into.
    blocks: Blocks,
}

struct OpenSegment {
    number: u64,
    base: Lsn,
    /// Where its records end; not known while it is the tail.
    end: Option<Lsn>,
    /// The sequences it holds, for error texts.
    sequences: Range<u64>,
    /// Where damage was met and up to where the next intact record was searched for, and its sequence: who
    /// tries again does not search again.
    damage: Option<(Range<u64>, Option<u64>)>,
    scanner: Scanner,
}

impl OpenSegment {
    fn name(&self) -> String {
        segment_name(self.number)
    }
}

/// A segment as the table of segments knows it.
struct Located {
    number: u64,
    base: Lsn,
    end: Option<Lsn>,
    sequences: Range<u64>,
}

impl LogReader {
    pub(crate) fn new(log: Arc<Log>, map: bool, may_read_ahead: bool) -> LogReader {
        let blocks = Blocks::new(may_read_ahead);
        LogReader { log, map, may_read_ahead, open: None, blocks }
    }

    /// The first record at or after `position` that begins below `visible`, up to which everything has been
    /// written; `None` when there is none. Segments that are gone, because nothing in them is wanted any
    /// more, are passed over. After an error it can be asked again.
    pub(crate) fn next(&mut self, position: Lsn, visible: Lsn) -> Result<Option<Found>, LogError> {
        let place = self.seek(position, visible)?;
        place.map(|place| self.read(place)).transpose()
    }

    /// Where to read on when events are wanted from `sequence` on only: the Lsn of a record at or after
    /// `position`, which begins a record too, and its sequence; `None` where nothing can be told. As for
    /// [`LogReader::next`], after an error it can be asked again.
    pub(crate) fn pass_over(
        &mut self,
        position: Lsn,
        visible: Lsn,
        sequence: u64,
    ) -> Result<Option<(Lsn, u64)>, LogError> {
        let Some(Range { start, end }) = self.seek(position, visible)? else {
            return Ok(None);
        };
        let open = self.open.as_mut().expect("a segment was entered a line before");
        match open.scanner.pass_over(start, end, sequence) {
            Ok(found) => Ok(found.map(|(offset, first)| (open.scanner.lsn_at(offset), first))),
            Err(error) => Err(self.log.directory.error(&open.name(), "read", error).into()),
        }
    }

    /// Enters the segment of the first record at or after `position` that begins below `visible`; says where
    /// in its file the record begins, and up to where records may be read.
    fn seek(&mut self, position: Lsn, visible: Lsn) -> Result<Option<Range<u64>>, LogError> {
        let mut position = position;
        while position < visible
            && let Some(open) = self.enter(position, visible)?
        {
            position = position.max(open.base);
            let end = open.end.unwrap_or(visible).min(visible);
            if position < end {
                let [start, end] = [position, end].map(|lsn| open.scanner.offset_of(lsn));
                return Ok(Some(start..end));
            }
            if open.end.is_none() {
                break;
            }
            // The last record of a complete segment was read before; the next segment follows.
        }
        Ok(None)
    }

    /// Damage in the segment being read, at `offset`.
    pub(crate) fn damage(&self, offset: u64, flaw: Flaw, sequences: Range<u64>) -> Damage {
        let file = self.open.as_ref().map_or_else(String::new, OpenSegment::name);
        Damage { file, offset, flaw, sequences: Some(sequences) }
    }

    /// Lets go of the segment, so that its file can be recycled; false when it holds none.
    pub(crate) fn release(&mut self) -> bool {
        self.open = None;
        self.blocks = Blocks::new(self.may_read_ahead);
        // Not only when a segment is open: one that could not be opened was pinned all the same.
        lock(&self.log.segments).pinned.take().is_some()
    }

    fn read(&mut self, Range { start: offset, end: limit }: Range<u64>) -> Result<Found, LogError> {
        let open = self.open.as_mut().expect("a segment was entered by the caller");
        let error = match open.scanner.record_at(offset, limit) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let file = open.name();
        match error {
            ScanError::Io(error) => Err(self.log.directory.error(&file, "read", error).into()),
            ScanError::Invalid(flaw) => {
                // As the offline tools name them. Damage is certain by now; where the search for its end
                // fails, all of the segment may be concerned.
                let mut sequences = open.sequences.clone();
                let searched = offset..limit;
                if open.damage.as_ref().is_none_or(|(known, _)| *known != searched) {
                    let next = open.scanner.next_sequence(offset, limit);
                    open.damage = next.ok().map(|next| (searched, next));
                }
                if let Some((_, Some(next))) = open.damage {
                    sequences.end = next.clamp(sequences.start, sequences.end);
                }
                Err(Damage { file, offset, flaw, sequences: Some(sequences) }.into())
            }
        }
    }

    /// Opens the segment that holds `position`, or the next one there is. Nothing behind `visible` is read.
    fn enter(&mut self, position: Lsn, visible: Lsn) -> Result<Option<&OpenSegment>, LogError> {
        let Some(located) = self.locate(position) else {
            return Ok(None);
        };
        match &mut self.open {
            Some(open) => {
                open.end = located.end;
                open.sequences = located.sequences;
            }
            None => {
                let scanner = self.scanner(&located, visible)?;
                self.open = Some(OpenSegment {
                    number: located.number,
                    base: located.base,
                    end: located.end,
                    sequences: located.sequences,
                    damage: None,
                    scanner,
                });
            }
        }
        Ok(self.open.as_ref())
    }

    /// Finds the segment in the table and, in the same breath, pins it: from then on its file is not
    /// recycled. Lets go of any other.
    fn locate(&mut self, position: Lsn) -> Option<Located> {
        let mut segments = lock(&self.log.segments);
        let index = segments.sealed.partition_point(|sealed| sealed.end() <= position);
        let located = match segments.sealed.get(index) {
            Some(sealed) => Located {
                number: sealed.number,
                base: sealed.base,
                end: Some(sealed.end()),
                sequences: sealed.first_sequence..sealed.end_sequence(),
            },
            None => Located {
                number: segments.tail,
                base: segments.tail_base,
                end: None,
                sequences: segments.sealed.last().map_or(0, |last| last.end_sequence())..u64::MAX,
            },
        };
        if let Some(former) = self.open.take_if(|open| open.number != located.number) {
            // Its map, if it has one, goes before its file may be recycled. Nothing is waited for: who has
            // come to a segment's end has taken all that was asked of it.
            self.blocks = former.scanner.into_blocks();
        }
        segments.pinned = Some(located.number);
        Some(located)
    }

    /// A scanner of the segment, which is the right one.
    fn scanner(&mut self, located: &Located, visible: Lsn) -> Result<Scanner, LogError> {
        let name = segment_name(located.number);
        let directory = &self.log.directory;
        let file = directory.open(&name, Access::Read)?;
        let origin = match located.end {
            Some(end) if self.map => {
                let size = PAGE + end.since(located.base);
                let map = file.map(size).map_err(|error| directory.error(&name, "map", error))?;
                Origin::Map(map)
            }
            _ => Origin::File(file),
        };
        let seed = Seed::new(&self.log.channel_id, located.number);
        let blocks = std::mem::replace(&mut self.blocks, Blocks::new(self.may_read_ahead));
        let mut scanner = Scanner::new(origin, seed, located.base).with_blocks(blocks);
        // What is visible may end before a tail that was begun since.
        let end = located.end.unwrap_or(visible).min(visible).max(located.base);
        let limit = scanner.offset_of(end);
        let checked = match scanner.first_page(limit) {
            Ok(page) => check_header(page, &name, located).map_err(LogError::from),
            Err(error) => Err(directory.error(&name, "read", error).into()),
        };
        if let Err(error) = checked {
            self.blocks = scanner.into_blocks();
            return Err(error);
        }
        Ok(scanner)
    }
}

/// The records' own checksums would notice a wrong file too; the header says more about what is wrong.
fn check_header(page: &[u8], name: &str, located: &Located) -> Result<(), Damage> {
    let flaw = match SegmentHeader::decode(page) {
        Ok(header) if header.number == located.number && header.base == located.base => {
            return Ok(());
        }
        Ok(header) => {
            let expected = format!("segment {} at Lsn {}", located.number, located.base);
            let found = format!("segment {} at Lsn {}", header.number, header.base);
            Flaw::new(expected, found)
        }
        Err(HeaderFlaw::Invalid(flaw)) => flaw,
        Err(HeaderFlaw::Unsupported(reason)) => Flaw::new("a known format", reason),
    };
    let sequences = Some(located.sequences.clone());
    Err(Damage { file: name.to_string(), offset: 0, flaw, sequences })
}
