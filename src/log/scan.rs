//! Reading records out of one segment, in large blocks, each checked before it is handed out.

use std::io;
use std::sync::Arc;

use super::lsn::Lsn;
use super::record::{
    ALIGNMENT, Flaw, HEADER_SIZE, RecordHeader, Seed, check_payload, decode_header, u64_at,
};
use super::segment::PAGE;
use crate::bytes::Bytes;
use crate::storage::{File, Map, read_full_at};

/// Bytes read at once; a longer record is read whole.
const BLOCK: usize = 256 << 10;

/// How much at a time is asked whether it is but zeros, in search of a header.
const PIECE: usize = 1 << 10;

/// Where the bytes of a segment come from.
pub(crate) enum Origin {
    /// Positional reads.
    File(Arc<dyn File>),
    /// A map of a complete segment. Bytes are copied out before they are checked, so what is handed out is
    /// what was checked, even if the device should give other bytes at a second look.
    Map(Box<dyn Map>),
}

impl Origin {
    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Origin::File(file) => read_full_at(&**file, buffer, offset),
            Origin::Map(map) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(map.len());
                let count = buffer.len().min(map.len() - start);
                buffer[..count].copy_from_slice(&map[start..start + count]);
                Ok(count)
            }
        }
    }
}

/// Why there is no record at an offset.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// The bytes are no valid record.
    Invalid(Flaw),
    /// The bytes could not be read: says nothing about them.
    Io(io::Error),
}

/// What lies behind the end of a log.
pub(crate) struct Behind {
    pub(crate) watermark: Option<Lsn>,
    pub(crate) is_blank: bool,
}

fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    // Compared as arrays they would cost a call each.
    words.iter().all(|word| word.iter().fold(0, |all, byte| all | byte) == 0)
        && rest.iter().all(|byte| *byte == 0)
}

/// A record read from a segment.
pub(crate) struct Found {
    /// Where in its segment's file it begins.
    pub(crate) offset: u64,
    pub(crate) header: RecordHeader,
    /// A slice of the block that was read.
    pub(crate) payload: Bytes,
}

/// Reads the records of one segment.
pub(crate) struct Scanner {
    origin: Origin,
    seed: Seed,
    base: Lsn,
    block: Arc<Vec<u8>>,
    block_at: u64,
    block_size: usize,
    any_lsn: bool,
}

impl Scanner {
    /// A scanner of the segment whose records begin at `base`.
    pub(crate) fn new(origin: Origin, seed: Seed, base: Lsn) -> Scanner {
        Scanner {
            origin,
            seed,
            base,
            block: Arc::default(),
            block_at: 0,
            block_size: 0,
            any_lsn: false,
        }
    }

    /// The same for a segment whose base is not known: [`Scanner::next_header`] takes a header's word for its
    /// Lsn.
    pub(crate) fn with_any_lsn(mut self) -> Scanner {
        self.any_lsn = true;
        self
    }

    /// The Lsn of an offset in the file.
    pub(crate) fn lsn_at(&self, offset: u64) -> Lsn {
        self.base.plus(offset - PAGE)
    }

    /// The offset in the file of an Lsn at or above the segment's base.
    pub(crate) fn offset_of(&self, lsn: Lsn) -> u64 {
        PAGE + lsn.since(self.base)
    }

    /// The record at `offset`, wholly before `limit`, an offset beyond which nothing is to be believed.
    pub(crate) fn record_at(&mut self, offset: u64, limit: u64) -> Result<Found, ScanError> {
        let header = self.header_at(offset, limit)?;
        let size = header.record_size();
        if size > limit - offset {
            let found = format!("room for {}", limit - offset);
            let expected = format!("a {} record of {size} bytes", header.kind.name());
            return Err(ScanError::Invalid(Flaw::new(expected, found)));
        }
        let size = size as usize;
        self.fill(offset, size, limit).map_err(ScanError::Io)?;
        let start = (offset - self.block_at) as usize;
        if self.block_size < start + size {
            let found =
                format!("the end of the file {} bytes early", start + size - self.block_size);
            return Err(ScanError::Invalid(Flaw::new("the whole record", found)));
        }
        check_payload(&header, &self.block[start..start + size]).map_err(ScanError::Invalid)?;
        let payload_at = start + HEADER_SIZE;
        let whole = Bytes::from(Arc::clone(&self.block));
        let payload = whole.slice(payload_at..payload_at + header.payload_size as usize);
        Ok(Found { offset, header, payload })
    }

    /// The header at `offset`; the payload is not looked at.
    pub(crate) fn header_at(&mut self, offset: u64, limit: u64) -> Result<RecordHeader, ScanError> {
        if limit < offset || limit - offset < HEADER_SIZE as u64 {
            let found = format!("{} bytes", limit.saturating_sub(offset));
            return Err(ScanError::Invalid(Flaw::new("a record header of 40 bytes", found)));
        }
        self.fill(offset, HEADER_SIZE, limit).map_err(ScanError::Io)?;
        let start = (offset - self.block_at) as usize;
        let bytes = &self.block[start.min(self.block_size)..self.block_size];
        decode_header(&self.seed, bytes, offset, self.lsn_at(offset)).map_err(ScanError::Invalid)
    }

    /// The first offset at or after `from` where a valid header stands, and that header. Used behind damage,
    /// where no length can be trusted, so every aligned place is tried.
    pub(crate) fn next_header(
        &mut self,
        from: u64,
        limit: u64,
    ) -> io::Result<Option<(u64, RecordHeader)>> {
        let mut offset = from.next_multiple_of(ALIGNMENT as u64);
        while offset < limit && limit - offset >= HEADER_SIZE as u64 {
            self.fill(offset, HEADER_SIZE, limit)?;
            let start = (offset - self.block_at) as usize;
            let block = &self.block[start.min(self.block_size)..self.block_size];
            if block.len() < HEADER_SIZE {
                return Ok(None);
            }
            let places = block.len() - HEADER_SIZE + 1;
            for piece in (0..places).step_by(PIECE) {
                let end = places.min(piece + PIECE);
                // No header begins with eight zeros, so zeros are passed over quickly.
                if is_zero(&block[piece..end + ALIGNMENT - 1]) {
                    continue;
                }
                for at in (piece..end).step_by(ALIGNMENT) {
                    if let Some(header) = self.header_in(&block[at..], offset + at as u64) {
                        return Ok(Some((offset + at as u64, header)));
                    }
                }
            }
            offset += places.next_multiple_of(ALIGNMENT) as u64;
        }
        Ok(None)
    }

    fn header_in(&self, bytes: &[u8], offset: u64) -> Option<RecordHeader> {
        // A header names its own Lsn: comparing that first spares nearly every checksum.
        let named = Lsn(u64_at(bytes, 16));
        let expected = if self.any_lsn { named } else { self.lsn_at(offset) };
        if named != expected || !(1..=6).contains(&bytes[4]) || bytes[5..8] != [0; 3] {
            return None;
        }
        decode_header(&self.seed, bytes, offset, expected).ok()
    }

    /// Looks through all that lies between `from` and `limit`: the highest watermark that a valid header
    /// states, and whether there is anything but zeros.
    pub(crate) fn look_behind(&mut self, from: u64, limit: u64) -> io::Result<Behind> {
        let mut behind = Behind { watermark: None, is_blank: true };
        let mut offset = from;
        while offset < limit {
            // Not one byte: the rest of a block would do for that, and a header it cuts be missed.
            self.fill(offset, HEADER_SIZE, limit)?;
            let start = (offset - self.block_at) as usize;
            let block = &self.block[start.min(self.block_size)..self.block_size];
            if block.is_empty() {
                break;
            }
            if is_zero(block) {
                offset += block.len() as u64;
                continue;
            }
            behind.is_blank = false;
            let end = offset + block.len() as u64;
            while let Some((at, header)) = self.next_header(offset, end.min(limit))? {
                behind.watermark = behind.watermark.max(Some(header.watermark));
                offset = at + ALIGNMENT as u64;
            }
            // A header that the end of the block cuts begins after this.
            let cut = end.saturating_sub(HEADER_SIZE as u64) / ALIGNMENT as u64 * ALIGNMENT as u64;
            offset = cut.max(offset + ALIGNMENT as u64);
            if end >= limit {
                break;
            }
        }
        Ok(behind)
    }

    /// Sees to it that the block holds `size` bytes from `offset` on, as far as the file does.
    fn fill(&mut self, offset: u64, size: usize, limit: u64) -> io::Result<()> {
        let held = self.block_at..self.block_at + self.block_size as u64;
        if held.contains(&offset) && held.end - offset >= size as u64 {
            return Ok(());
        }
        let wanted = (limit - offset).min(BLOCK.max(size) as u64) as usize;
        // Events handed out earlier may still use the old block; then a new one is made.
        if Arc::get_mut(&mut self.block).is_none_or(|block| block.len() < wanted) {
            self.block = Arc::new(vec![0; wanted]);
        }
        self.block_size = 0;
        let block = Arc::get_mut(&mut self.block).expect("a block is unshared when new or checked");
        let count = self.origin.read(&mut block[..wanted], offset)?;
        self.block_at = offset;
        self.block_size = count;
        Ok(())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::log::record::{Kind, PendingRecord, Place};
    use crate::storage::sim::SimDisk;
    use crate::storage::write_all_at;

    /// What is found behind `PAGE` in a file that holds one witness at `at`, and noise before it or none.
    fn behind(at: u64, noise: bool) -> Behind {
        let (seed, limit) = (Seed::new(&[7; 16], 1), PAGE + 3 * BLOCK as u64);
        let lsn = Lsn(at - PAGE);
        let mut record = PendingRecord::new(Kind::Watermark, 0, |_| {});
        let place = Place { lsn, watermark: lsn, sequence: 0 };
        let storage = SimDisk::new(1).storage();
        let file = storage.create("segment").expect("a new name");
        file.allocate(limit).expect("there is room");
        if noise {
            write_all_at(&*file, &[9; 100], PAGE).expect("works");
        }
        write_all_at(&*file, record.place(&seed, at, place), at).expect("works");
        Scanner::new(Origin::File(file), seed, Lsn(0)).look_behind(PAGE, limit).expect("works")
    }

    #[test]
    fn i6_a_witness_is_seen_wherever_it_lies_at_the_end_of_a_block() {
        for block in 1..=2 {
            let end = PAGE + block * BLOCK as u64;
            for at in (end - 128..end + 64).step_by(ALIGNMENT) {
                for noise in [false, true] {
                    let found = behind(at, noise);
                    assert_eq!(found.watermark, Some(Lsn(at - PAGE)), "at {at}, noise: {noise}");
                    assert!(!found.is_blank);
                }
            }
        }
    }
}
