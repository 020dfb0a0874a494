//! The way of records into the segment being written: they are copied together, which is cheaper than further
//! calls, and written in pieces of memory.
//!
//! Past the system's cache ([`Access::Direct`]) whole blocks are written. The last one is filled up with
//! zeros, which are no record, and written again with what comes next: so it stays in memory, and the next
//! write begins with it. A crash in that write finds each sector as it was or as it is to be, and what was in
//! it is the same in both; the system's cache writes a page again in the same way. Writes follow one another,
//! so no older version of a block reaches the device after a newer one.
//!
//! [`Access::Direct`]: crate::storage::Access::Direct

use super::behind::Behind;
use super::directory::Directory;
use super::lsn::Lsn;
use super::segment::PAGE;
use super::stream::{UNCOPIED, piece_size, whole_size};
use crate::storage::{DIRECT_BLOCK, File, StorageError};

/// Bytes of memory that a segment begins with.
const MEMORY_MIN: usize = 16 << 10;

/// Where it is written.
pub(super) struct Target<'a> {
    pub(super) directory: &'a Directory,
    pub(super) file: &'a dyn File,
    pub(super) name: &'a str,
    /// What is told to whoever syncs beside; nothing where writes do not stay in the cache.
    pub(super) ahead: Option<Ahead<'a>>,
}

/// How far the writes are ahead of the syncs.
pub(super) struct Ahead<'a> {
    pub(super) base: Lsn,
    pub(super) behind: &'a Behind,
    /// Called between the pieces of a record. Not before the last: what is left then, the commit's own sync
    /// is about to take.
    pub(super) between: &'a dyn Fn(),
}

impl Target<'_> {
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), StorageError> {
        self.directory.write(self.file, self.name, bytes, offset)?;
        if let Some(ahead) = &self.ahead {
            ahead.behind.note_given(ahead.base.plus(offset + bytes.len() as u64 - PAGE));
        }
        Ok(())
    }

    pub(super) fn between(&self) {
        if let Some(ahead) = &self.ahead {
            (ahead.between)();
        }
    }
}

/// What was not written yet, and the memory for it. After an error it is good for nothing.
pub(super) struct Output {
    /// Writes begin and end at multiples of this: of 1, or of [`DIRECT_BLOCK`].
    pub(super) unit: usize,
    /// Bytes of a piece, a multiple of the unit.
    pub(super) size: usize,
    /// The piece that is being filled.
    pub(super) piece: Sheet,
    /// Bytes at the beginning of the piece that are written already: of a block that was not full.
    pub(super) written: usize,
    /// The first piece of a record that takes several.
    pub(super) first: Sheet,
}

/// Memory, and where in the file it goes.
#[derive(Default)]
pub(super) struct Sheet {
    memory: Vec<u8>,
    /// Where in the memory it begins: at an address that is a multiple of the unit.
    start: usize,
    pub(super) len: usize,
    pub(super) at: u64,
}

impl Output {
    /// For a segment of a log with segments of this size; the next byte goes to `at`, a multiple of the unit.
    ///
    /// Past the system's cache each call waits for the device. So any record that is encoded before it is
    /// written goes with one call, behind what is in its first block.
    pub(super) fn new(is_direct: bool, segment_size: u64, at: u64) -> Output {
        let (unit, size) = match is_direct {
            true => {
                let whole = whole_size(segment_size).next_multiple_of(DIRECT_BLOCK);
                (DIRECT_BLOCK, whole + DIRECT_BLOCK)
            }
            false => (1, piece_size(segment_size)),
        };
        debug_assert!(at.is_multiple_of(unit as u64));
        let piece = Sheet { at, ..Sheet::default() };
        Output { unit, size, piece, written: 0, first: Sheet::default() }
    }

    /// Whether it writes whole blocks.
    pub(super) fn is_direct(&self) -> bool {
        self.unit > 1
    }

    /// Where the next byte goes.
    pub(super) fn end(&self) -> u64 {
        self.piece.at + self.piece.len as u64
    }

    /// Takes a record. One that is `alone` needs no copy where any number of bytes can be written. A write
    /// ends with a record, unless that is larger than a piece.
    pub(super) fn put(
        &mut self,
        target: &Target<'_>,
        mut bytes: &[u8],
        alone: bool,
    ) -> Result<(), StorageError> {
        if !self.is_direct() && (alone || bytes.len() >= UNCOPIED) {
            self.write_out(target)?;
            target.write(bytes, self.piece.at)?;
            self.piece.at += bytes.len() as u64;
            return Ok(());
        }
        if bytes.len() > self.room() {
            self.write_out(target)?;
        }
        while !bytes.is_empty() {
            bytes = &bytes[self.fill(bytes)..];
            if self.room() == 0 {
                self.write_out(target)?;
            }
        }
        Ok(())
    }

    /// Writes what was not written yet.
    pub(super) fn write_out(&mut self, target: &Target<'_>) -> Result<(), StorageError> {
        if self.piece.len == self.written {
            return Ok(());
        }
        let end = self.piece.len;
        self.piece.len = end.next_multiple_of(self.unit);
        self.piece.bytes()[end..].fill(0);
        let at = self.piece.at;
        target.write(self.piece.bytes(), at)?;
        let whole = end / self.unit * self.unit;
        self.piece.bytes().copy_within(whole..end, 0);
        if planted!(BlockForgotten) {
            self.piece.bytes()[..end - whole].fill(0);
        }
        self.piece.at += whole as u64;
        self.piece.len = end - whole;
        self.written = self.piece.len;
        Ok(())
    }

    /// Bytes that the piece has room for.
    pub(super) fn room(&self) -> usize {
        self.size - self.piece.len
    }

    /// Takes as many bytes as there is room for, and says how many.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        let from = self.piece.len;
        let needed = (from + count).next_multiple_of(self.unit);
        if self.piece.capacity() < needed {
            let doubled = (2 * self.piece.capacity()).max(MEMORY_MIN).min(self.size);
            self.piece.grow(needed.max(doubled), self.unit);
        }
        self.piece.len += count;
        self.piece.bytes()[from..].copy_from_slice(&bytes[..count]);
        count
    }

    /// Keeps the first bytes of the piece, to be written last.
    pub(super) fn keep_first(&mut self, count: usize) {
        if count == self.piece.len {
            let end = self.end();
            std::mem::swap(&mut self.first, &mut self.piece);
            (self.piece.at, self.piece.len, self.written) = (end, 0, 0);
            return;
        }
        (self.first.at, self.first.len) = (self.piece.at, 0);
        if self.first.capacity() < count {
            self.first.grow(count, self.unit);
        }
        self.first.len = count;
        self.first.bytes().copy_from_slice(&self.piece.bytes()[..count]);
    }

    /// Goes on behind the piece, which was written or kept.
    pub(super) fn empty(&mut self) {
        (self.piece.at, self.piece.len, self.written) = (self.end(), 0, 0);
    }

    /// Goes on in the memory of the segment before.
    pub(super) fn take_memory_of(&mut self, mut before: Output) {
        if (before.unit, before.size) != (self.unit, self.size) {
            return;
        }
        self.first = before.first;
        if before.piece.capacity() > self.piece.capacity() {
            (before.piece.at, before.piece.len) = (self.piece.at, self.piece.len);
            before.piece.bytes().copy_from_slice(self.piece.bytes());
            self.piece = before.piece;
        }
    }
}

impl Sheet {
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }

    fn capacity(&self) -> usize {
        self.memory.len() - self.start
    }

    /// Gets memory for so many bytes, at an address that is a multiple of `unit`, and for a few more.
    fn grow(&mut self, capacity: usize, unit: usize) {
        let mut memory = vec![0; capacity + unit];
        let start = memory.as_ptr().align_offset(unit);
        memory[start..start + self.len].copy_from_slice(self.bytes());
        (self.memory, self.start) = (memory, start);
    }
}
