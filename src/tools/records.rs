//! The records of one segment, and what stands between them.

use std::ops::Range;

use crate::log::raw::{Blocks, Found, Origin, PAGE, ScanError, Scanner, Seed};
use crate::log::{Directory, Flaw, Lsn, RecordHeader};
use crate::storage::{Access, StorageError};

use super::evidence::Segment;

/// What stands at a place of a segment.
pub(super) enum Item {
    /// An intact record.
    Record { offset: u64, found: Found },
    /// Bytes that are no intact record.
    Flaw(Hole),
}

/// Bytes that are no intact record.
pub(super) struct Hole {
    /// Where in the file; the end is where an intact header stands, or the end of the segment.
    pub(super) range: Range<u64>,
    pub(super) lsn: Lsn,
    pub(super) flaw: Flaw,
    /// The record's header, when only the rest of the record is broken.
    pub(super) header: Option<RecordHeader>,
    /// There is no intact header behind it.
    pub(super) last: bool,
    /// All bytes are zero.
    pub(super) blank: bool,
}

/// Reads the records of one segment, going on behind damage.
pub(super) struct Records<'a> {
    directory: &'a Directory,
    name: &'a str,
    scanner: Scanner,
    offset: u64,
    limit: u64,
}

impl<'a> Records<'a> {
    /// The records of a segment from `from` on.
    pub(super) fn open(
        directory: &'a Directory,
        channel_id: &[u8; 16],
        segment: &'a Segment,
        from: u64,
    ) -> Result<Records<'a>, StorageError> {
        let file = directory.open(&segment.name, Access::Read)?;
        let seed = Seed::new(channel_id, segment.number);
        let base = segment.base.unwrap_or_default();
        let scanner = Scanner::new(Origin::File(file), seed, base).with_blocks(Blocks::new(true));
        let limit = segment.limit.max(PAGE);
        Ok(Records { directory, name: &segment.name, scanner, offset: from, limit })
    }

    /// Where the next item begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record, or the next stretch of bytes that is none; `None` at the end of the segment.
    pub(super) fn next(&mut self) -> Result<Option<Item>, StorageError> {
        if self.offset >= self.limit {
            return Ok(None);
        }
        let offset = self.offset;
        match self.scanner.record_at(offset, self.limit) {
            Ok(found) => {
                self.offset = offset + found.header.record_size();
                Ok(Some(Item::Record { offset, found }))
            }
            Err(ScanError::Io(error)) => Err(self.directory.error(self.name, "read", error)),
            Err(ScanError::Invalid(flaw)) => self.hole(flaw).map(|hole| Some(Item::Flaw(hole))),
        }
    }

    /// The stretch of broken bytes from the present offset on.
    fn hole(&mut self, flaw: Flaw) -> Result<Hole, StorageError> {
        let (offset, limit) = (self.offset, self.limit);
        let lsn = self.scanner.lsn_at(offset);
        let header = self.scanner.header_at(offset, limit).ok();
        let failed = |error| self.directory.error(self.name, "read", error);
        let next = self.scanner.behind_flaw(offset, limit).map_err(failed)?;
        let end = next.unwrap_or(limit);
        let blank =
            next.is_none() && self.scanner.look_behind(offset, limit).map_err(failed)?.is_blank;
        self.offset = end;
        Ok(Hole { range: offset..end, lsn, flaw, header, last: next.is_none(), blank })
    }
}

/// Where the records of a segment begin in the log, told by one of its records.
pub(super) fn probe_base(
    directory: &Directory,
    channel_id: &[u8; 16],
    number: u64,
    name: &str,
) -> Result<Option<Lsn>, StorageError> {
    let file = directory.open(name, Access::Read)?;
    let size = directory.size(&*file, name)?;
    let seed = Seed::new(channel_id, number);
    let mut scanner = Scanner::new(Origin::File(file), seed, Lsn(0)).with_any_lsn();
    let first =
        scanner.next_header(PAGE, size).map_err(|error| directory.error(name, "read", error))?;
    Ok(first.and_then(|(at, header)| header.lsn.0.checked_sub(at - PAGE).map(Lsn)))
}
