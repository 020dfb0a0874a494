//! Reading records out of one segment, in large blocks, each checked before it is handed out.

use std::io;
use std::sync::Arc;

use super::blocks::{AHEAD_MAX, BLOCK_KEPT_MAX, BLOCK_MAX, BLOCK_MIN, Blocks};
use super::lsn::Lsn;
use super::record::{
    ALIGNMENT, Flaw, HEADER_SIZE, Kind, RecordHeader, Seed, check_payload, claimed_size,
    decode_header, u64_at,
};
use super::segment::PAGE;
use crate::bytes::Bytes;
use crate::storage::{File, Map, read_full_at};

/// How much at a time is asked whether it is but zeros, in search of a header.
const PIECE: usize = 1 << 10;

/// What may lie between two large records: an ack, small puts, and what fills up a group to a page.
const BETWEEN: usize = 8 << 10;

/// Bytes read at once where a file begins, at most. From the first read Linux guesses how much to read ahead:
/// after a page alone it does so hardly at all in the whole file, half of the time; after a block, the first
/// wait is longer.
const FIRST_MAX: usize = 128 << 10;

const _: () =
    assert!(FIRST_MAX < BLOCK_MAX, "nothing is read ahead behind a page that is no record");
const _: () = assert!(
    BLOCK_KEPT_MAX / BLOCK_MAX * BETWEEN <= BLOCK_KEPT_MAX - AHEAD_MAX,
    "so many large records, and what lies between, fit into a block that is kept"
);

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
    blocks: Blocks,
    block_at: u64,
    block_size: usize,
    /// Bytes of the last record, if it was larger than a block: the next one may be so too, perhaps behind a
    /// small one. Then it is read with its header, and a little more.
    large: usize,
    any_lsn: bool,
}

impl Scanner {
    /// A scanner of the segment whose records begin at `base`.
    pub(crate) fn new(origin: Origin, seed: Seed, base: Lsn) -> Scanner {
        Scanner {
            origin,
            seed,
            base,
            blocks: Blocks::new(false),
            block_at: 0,
            block_size: 0,
            large: 0,
            any_lsn: false,
        }
    }

    /// The same with what another one read into.
    pub(crate) fn with_blocks(mut self, blocks: Blocks) -> Scanner {
        self.blocks = blocks;
        self
    }

    /// What it read into, for the next.
    pub(crate) fn into_blocks(mut self) -> Blocks {
        // What was asked for is of this segment's file.
        self.blocks.take_back();
        self.blocks
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

    /// The page before the records, or what there is of it, read with some of what follows.
    pub(crate) fn first_page(&mut self, limit: u64) -> io::Result<&[u8]> {
        self.blocks.next = self.blocks.next.min(FIRST_MAX);
        if self.fill(0, PAGE as usize, limit).is_err() {
            // What cannot be read behind the page concerns who comes to it, and perhaps nobody does.
            self.fill(0, PAGE as usize, PAGE)?;
        }
        Ok(&self.blocks.block[..self.block_size.min(PAGE as usize)])
    }

    /// The record at `offset`, wholly before `limit`, an offset beyond which nothing is to be believed.
    pub(crate) fn record_at(&mut self, offset: u64, limit: u64) -> Result<Found, ScanError> {
        if self.large > 0 && offset < limit {
            let ahead = (limit - offset).min(behind(self.large)) as usize;
            self.fill(offset, ahead, limit).map_err(ScanError::Io)?;
        }
        let header = self.header_at(offset, limit)?;
        let size = header.record_size();
        if size > limit - offset {
            let found = format!("room for {}", limit - offset);
            let expected = format!("a {} record of {size} bytes", header.kind.name());
            return Err(ScanError::Invalid(Flaw::new(expected, found)));
        }
        let size = size as usize;
        self.fill(offset, size, limit).map_err(ScanError::Io)?;
        self.large = if size > BLOCK_MAX { size } else { 0 };
        let start = (offset - self.block_at) as usize;
        if self.block_size < start + size {
            let found =
                format!("the end of the file {} bytes early", start + size - self.block_size);
            return Err(ScanError::Invalid(Flaw::new("the whole record", found)));
        }
        check_payload(&header, &self.blocks.block[start..start + size])
            .map_err(ScanError::Invalid)?;
        let payload_at = start + HEADER_SIZE;
        let whole = Bytes::from(Arc::clone(&self.blocks.block));
        let payload = whole.slice(payload_at..payload_at + header.payload_size as usize);
        Ok(Found { offset, header, payload })
    }

    /// The header at `offset`; the payload is not looked at.
    pub(crate) fn header_at(&mut self, offset: u64, limit: u64) -> Result<RecordHeader, ScanError> {
        let room = limit.saturating_sub(offset);
        if room < HEADER_SIZE as u64 {
            let found = format!("{room} bytes");
            return Err(ScanError::Invalid(Flaw::new("a record header of 40 bytes", found)));
        }
        self.fill(offset, HEADER_SIZE, limit).map_err(ScanError::Io)?;
        let start = (offset - self.block_at) as usize;
        let bytes = &self.blocks.block[start.min(self.block_size)..self.block_size];
        decode_header(&self.seed, bytes, offset, self.lsn_at(offset)).map_err(ScanError::Invalid)
    }

    /// From the record at `offset` on, goes by headers to the last one that has nothing before it that is
    /// wanted, where events are wanted from `sequence` on; says where it begins, and its sequence. Of large
    /// records no more than a small block is read.
    pub(crate) fn pass_over(
        &mut self,
        offset: u64,
        limit: u64,
        sequence: u64,
    ) -> io::Result<Option<(u64, u64)>> {
        let (mut last, mut next) = (None, offset);
        while next < limit {
            let header = match self.header_at(next, limit) {
                // What cannot be read behind it concerns nobody, perhaps.
                Err(ScanError::Io(_)) => self.header_at(next, limit.min(next + HEADER_SIZE as u64)),
                found => found,
            };
            let header = match header {
                // A state tells of what comes behind the moved records that follow it.
                Ok(header) if header.kind == Kind::State => header,
                Ok(header) if header.sequence <= sequence => {
                    last = Some((next, header.sequence));
                    header
                }
                // A header that is not there is met by who reads on from the one before.
                Ok(_) | Err(ScanError::Invalid(_)) => break,
                Err(ScanError::Io(error)) => return Err(error),
            };
            next = next.saturating_add(header.record_size());
            // Of what is as large, a block would hold no other header.
            if header.record_size() > self.blocks.next as u64 {
                self.blocks.next = BLOCK_MIN;
            }
        }
        Ok(last)
    }

    /// The first offset at or after `from` where a valid header stands, and that header. Used behind damage,
    /// where no length can be trusted, so every aligned place is tried.
    pub(crate) fn next_header(
        &mut self,
        from: u64,
        limit: u64,
    ) -> io::Result<Option<(u64, RecordHeader)>> {
        let mut offset = from.next_multiple_of(ALIGNMENT as u64);
        while limit.saturating_sub(offset) >= HEADER_SIZE as u64 {
            self.fill(offset, HEADER_SIZE, limit)?;
            let start = (offset - self.block_at) as usize;
            let block = &self.blocks.block[start.min(self.block_size)..self.block_size];
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

    /// Where reading goes on behind the flaw at `offset`. A header proven by its checksum tells where its
    /// record ends; otherwise every place is tried.
    pub(crate) fn behind_flaw(&mut self, offset: u64, limit: u64) -> io::Result<Option<u64>> {
        let header = self.header_at(offset, limit).ok();
        let own_end = header.map(|header| offset.saturating_add(header.record_size()));
        match own_end.filter(|end| *end <= limit) {
            Some(end) => Ok(Some(end)),
            None => {
                let next = self.next_header(offset + ALIGNMENT as u64, limit)?;
                Ok(next.map(|(at, _)| at))
            }
        }
    }

    /// The sequence of the first intact record at or behind `from`: what a flaw there concerns ends with it.
    /// A state is passed over, since it tells what comes behind the moved records that follow it.
    pub(crate) fn next_sequence(&mut self, from: u64, limit: u64) -> io::Result<Option<u64>> {
        let mut next = Some(from);
        while let Some(offset) = next.filter(|offset| *offset < limit) {
            next = match self.record_at(offset, limit) {
                Ok(found) if found.header.kind != Kind::State => {
                    return Ok(Some(found.header.sequence));
                }
                Ok(found) => Some(offset + found.header.record_size()),
                Err(ScanError::Invalid(_)) => self.behind_flaw(offset, limit)?,
                Err(ScanError::Io(error)) => return Err(error),
            };
        }
        Ok(None)
    }

    fn header_in(&self, bytes: &[u8], offset: u64) -> Option<RecordHeader> {
        let lsn = self.claimed_lsn(bytes, offset)?;
        decode_header(&self.seed, bytes, offset, lsn).ok()
    }

    /// The Lsn of what may be a header at `offset`; to compare it first spares nearly every checksum.
    fn claimed_lsn(&self, bytes: &[u8], offset: u64) -> Option<Lsn> {
        let named = Lsn(u64_at(bytes, 16));
        let is_here = self.any_lsn || named == self.lsn_at(offset);
        (is_here && (1..=6).contains(&bytes[4]) && bytes[5..8] == [0; 3]).then_some(named)
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
            let block = &self.blocks.block[start.min(self.block_size)..self.block_size];
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
        let next = self.blocks.next;
        let wanted = (limit - offset).min(next.max(size) as u64) as usize;
        self.blocks.next = (2 * next).min(BLOCK_MAX);
        self.block_size = 0;
        self.block_size = match self.blocks.take_read(offset, size) {
            Some(count) => count,
            None => self.origin.read(&mut self.blocks.free(wanted)[..wanted], offset)?,
        };
        self.block_at = offset;
        if wanted >= BLOCK_MAX {
            self.ask_ahead(limit);
        }
        Ok(())
    }

    /// Asks for the next block, where that may be done.
    fn ask_ahead(&mut self, limit: u64) {
        if let Origin::File(file) = &self.origin
            && self.blocks.may_read_ahead
            && let Some((offset, size)) = self.next_block(limit)
        {
            self.blocks.ask(file, offset, size);
        }
    }

    /// Where the next block will begin, and its size: from the first record on that will not be looked for in
    /// this one, as far as what seem to be headers claim their sizes. They are not proven yet; a wrong one
    /// spoils the guess and nothing else.
    fn next_block(&self, limit: u64) -> Option<(u64, usize)> {
        let block = &self.blocks.block[..self.block_size];
        let (mut end, mut large) = (0, 0);
        while let Some(rest) = block.get(end..).filter(|rest| rest.len() >= HEADER_SIZE)
            && self.claimed_lsn(rest, self.block_at + end as u64).is_some()
            && let size = claimed_size(rest)
            && size.max(behind(large)) <= rest.len() as u64
        {
            end += size as usize;
            large = if size > BLOCK_MAX as u64 { size as usize } else { 0 };
        }
        let ahead = self.blocks.next_ahead;
        let wanted = match large {
            0 => ahead,
            // Who comes to the last of them asks for this much behind it.
            _ => (ahead / large).max(1) * (large + BETWEEN) + BETWEEN,
        };
        let offset = self.block_at + end as u64;
        let size = limit.saturating_sub(offset).min(wanted as u64) as usize;
        let is_last = self.block_at + block.len() as u64 >= limit;
        (end > 0 && !is_last && size <= BLOCK_KEPT_MAX).then_some((offset, size))
    }
}

/// Bytes that are to be there behind a record that was so large.
fn behind(large: usize) -> u64 {
    if large > 0 { (large + BETWEEN) as u64 } else { 0 }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::log::blocks::BLOCKS_KEPT;
    use crate::log::read_ahead::ReadAhead;
    use crate::log::record::{PendingRecord, Place};
    use crate::storage::sim::{CallKind, Fault, FaultPlan, SimDisk};
    use crate::storage::write_all_at;

    /// What is found behind `PAGE` in a file that holds one witness at `at`, and noise before it or none.
    fn behind(at: u64, noise: bool) -> Behind {
        let (seed, limit) = (Seed::new(&[7; 16], 1), PAGE + 3 * BLOCK_MAX as u64);
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
    fn zeros_are_told_from_everything_else() {
        for size in 0..200 {
            assert!(is_zero(&vec![0; size]), "{size}");
            for at in 0..size {
                let mut bytes = vec![0; size];
                bytes[at] = 1;
                assert!(!is_zero(&bytes), "{at} of {size}");
                bytes[size - 1 - at] = 1;
                assert!(!is_zero(&bytes), "{at} of {size}, and its mirror");
            }
        }
    }

    const SEED: [u8; 16] = [7; 16];

    fn record(payload: usize, at: u64) -> Vec<u8> {
        record_of(Kind::Put, 3, payload, at)
    }

    fn record_of(kind: Kind, sequence: u64, payload: usize, at: u64) -> Vec<u8> {
        let place = Place { lsn: Lsn(at - PAGE), watermark: Lsn(0), sequence };
        let mut record = PendingRecord::new(kind, 0, |out| out.extend(vec![5; payload]));
        record.place(&Seed::new(&SEED, 1), at, place).to_vec()
    }

    /// Each way to read a file of these bytes.
    fn scanners(bytes: &[u8]) -> [Scanner; 3] {
        let file = SimDisk::new(1).storage().create("segment").expect("a new name");
        write_all_at(&*file, bytes, 0).expect("works");
        let map = Origin::Map(Box::new(bytes.to_vec()));
        let origins = [Origin::File(Arc::clone(&file)), Origin::File(file), map];
        let [first, second, third] =
            origins.map(|origin| Scanner::new(origin, Seed::new(&SEED, 1), Lsn(0)));
        [first.with_blocks(Blocks::new(true)), second, third]
    }

    #[test]
    fn i6_a_record_is_read_up_to_its_limit_and_to_the_end_of_the_file_and_not_beyond() {
        for payload in [0, 1, 100, BLOCK_MAX, BLOCK_MAX + 1] {
            let record = record(payload, PAGE);
            let end = PAGE + record.len() as u64;
            let mut bytes = vec![0; PAGE as usize];
            bytes.extend_from_slice(&record);
            for limit in [end, end + 1, end + 1000] {
                for mut scanner in scanners(&bytes) {
                    let found = scanner.record_at(PAGE, limit).expect("whole");
                    assert_eq!(&*found.payload, &vec![5; payload][..]);
                    // Nor is what lies in the block already.
                    let beyond = scanner.record_at(PAGE, end - 1).map(|_| ());
                    assert!(matches!(beyond, Err(ScanError::Invalid(_))), "limit {limit}");
                }
            }
            for limit in [0, PAGE - 1, PAGE, PAGE + 39, end - 1] {
                for mut scanner in scanners(&bytes) {
                    let found = scanner.record_at(PAGE, limit).map(|_| ());
                    assert!(matches!(found, Err(ScanError::Invalid(_))), "limit {limit}");
                }
            }
            for mut scanner in scanners(&bytes) {
                assert!(scanner.header_at(PAGE, PAGE + 40).is_ok(), "a header needs no payload");
                assert!(scanner.header_at(PAGE, PAGE + 39).is_err());
            }
            for size in [0, PAGE, PAGE + 39, end - 1] {
                for mut scanner in scanners(&bytes[..size as usize]) {
                    let found = scanner.record_at(PAGE, end + 1000).map(|_| ());
                    let Err(ScanError::Invalid(flaw)) = found else { panic!("a file of {size}") };
                    let is_cut = size == end - 1 && payload > 0;
                    assert_eq!(flaw.found == "the end of the file 1 bytes early", is_cut, "{flaw}");
                }
            }
        }
    }

    #[test]
    fn records_one_behind_the_other_are_read_across_the_ends_of_blocks() {
        let mut bytes = vec![0; PAGE as usize];
        let mut places = Vec::new();
        for payload in (0..40).map(|n| n * 977 % 30_000).chain([BLOCK_MAX, 10, 20]) {
            places.push((bytes.len() as u64, payload));
            let next = record(payload, bytes.len() as u64);
            bytes.extend_from_slice(&next);
        }
        let limit = bytes.len() as u64;
        for mut scanner in scanners(&bytes) {
            for (at, payload) in &places {
                let found = scanner.record_at(*at, limit).expect("whole");
                assert_eq!((found.offset, found.payload.len()), (*at, *payload));
            }
            let mut from = PAGE;
            for (at, _) in &places {
                let (found, header) = scanner.next_header(from, limit).expect("works").expect("is");
                assert_eq!((found, header.sequence), (*at, 3));
                from = at + 1;
            }
            assert!(scanner.next_header(from, limit).expect("works").is_none());
        }
    }

    /// Whatever is read in whatever order, and whatever was guessed to come next.
    #[test]
    fn i2_who_turns_elsewhere_is_not_given_what_was_read_ahead() {
        let mut bytes = vec![0; PAGE as usize];
        let mut places = Vec::new();
        for turn in 0..60_u8 {
            let at = bytes.len() as u64;
            let place = Place { lsn: Lsn(at - PAGE), watermark: Lsn(0), sequence: turn.into() };
            let size = [30_000, 300_000, 70][usize::from(turn) / 7 % 3];
            let mut record = PendingRecord::new(Kind::Put, 0, |out| out.extend(vec![turn; size]));
            bytes.extend_from_slice(record.place(&Seed::new(&SEED, 1), at, place));
            places.push(at);
        }
        let limit = bytes.len() as u64;
        for step in [1, 2, 7, 23, 59] {
            for mut scanner in scanners(&bytes) {
                for turn in (0..120).map(|turn| turn * step % 60) {
                    scanner.blocks.ahead.iter().for_each(ReadAhead::wait_for_read);
                    let found = scanner.record_at(places[turn], limit).expect("whole");
                    assert_eq!(found.header.sequence, turn as u64);
                    assert!(found.payload.iter().all(|byte| *byte == turn as u8), "{turn}");
                }
            }
        }
    }

    /// I9: who is but a little behind needs little memory, who is far behind reads much at a time.
    #[test]
    fn i9_who_is_far_behind_reads_much_at_a_time() {
        for size in [1000, 50_000, 600_000, BLOCK_KEPT_MAX - BLOCK_MIN - 40] {
            let mut bytes = vec![0; PAGE as usize];
            let mut places = Vec::new();
            while bytes.len() < 20 << 20 {
                places.push(bytes.len() as u64);
                let next = record(size, bytes.len() as u64);
                bytes.extend_from_slice(&next);
            }
            let (limit, mut asked) = (bytes.len() as u64, Vec::new());
            let [mut scanner, ..] = scanners(&bytes);
            for at in places {
                scanner.record_at(at, limit).expect("whole");
                let request = scanner.blocks.ahead.as_ref().and_then(|ahead| ahead.take());
                asked.extend(request.iter().map(|(request, _)| request.size));
            }
            let one = size.next_multiple_of(8) + HEADER_SIZE;
            let first = if one > BLOCK_MAX { one + 2 * BETWEEN } else { BLOCK_MAX };
            assert_eq!(asked.first(), Some(&first), "{size}");
            assert!(
                asked.iter().any(|asked| *asked > (BLOCK_KEPT_MAX - BLOCK_MIN) / 2),
                "{asked:?}"
            );
        }
    }

    /// Whatever their size, and whatever small ones lie between.
    #[test]
    fn large_records_are_read_once() {
        let none: [usize; 0] = [];
        let ack_and_filler = [32, (4 << 10) - HEADER_SIZE - 8];
        for size in [BLOCK_MAX, 300_000, 349_400, 400_000, 520_008, AHEAD_MAX - 3 * BETWEEN] {
            for between in [&none[..], &[0], &[104], &ack_and_filler, &[1000; 7]] {
                let (mut bytes, mut places) = (vec![0; PAGE as usize], Vec::new());
                while bytes.len() < 20 << 20 {
                    for payload in [&[size], between].concat() {
                        places.push(bytes.len() as u64);
                        let next = record(payload, bytes.len() as u64);
                        bytes.extend_from_slice(&next);
                    }
                }
                let [ahead, alone, _] = scanners(&bytes);
                for mut scanner in [ahead, alone] {
                    let (mut read, mut block) = (0, (0, 0));
                    for at in &places {
                        scanner.blocks.ahead.iter().for_each(ReadAhead::wait_for_read);
                        scanner.record_at(*at, bytes.len() as u64).expect("whole");
                        let now = (scanner.block_at, scanner.block_size);
                        read += if now == block { 0 } else { now.1 };
                        block = now;
                    }
                    assert!(read < bytes.len() * 21 / 20, "{size}, {between:?}: {read}");
                }
            }
        }
    }

    /// Where there are no records there is nothing to guess the next block by.
    #[test]
    fn over_zeros_nothing_is_read_ahead() {
        let limit = PAGE + (2 << 20);
        let [mut scanner, ..] = scanners(&vec![0; limit as usize]);
        assert!(scanner.look_behind(PAGE, limit).expect("works").is_blank);
        assert!(scanner.next_header(PAGE, limit).expect("works").is_none());
        assert!(scanner.blocks.ahead.is_none());
    }

    /// The next segment is another file, and whoever reads on there may begin anywhere.
    #[test]
    fn i2_what_was_read_ahead_goes_with_its_segment() {
        let mut places = Vec::new();
        let segments = [1, 2].map(|sequence| {
            let mut bytes = vec![0; PAGE as usize];
            places.clear();
            for _ in 0..40 {
                places.push(bytes.len() as u64);
                let next = record_of(Kind::Put, sequence, 50_000, bytes.len() as u64);
                bytes.extend_from_slice(&next);
            }
            bytes
        });
        let limit = segments[0].len() as u64;
        for place in &places {
            let [mut former, ..] = scanners(&segments[0]);
            for at in &places[..20] {
                former.record_at(*at, limit).expect("whole");
            }
            former.blocks.ahead.as_ref().expect("begun").wait_for_read();
            let [next, ..] = scanners(&segments[1]);
            let found = next.with_blocks(former.into_blocks()).record_at(*place, limit);
            assert_eq!(found.expect("whole").header.sequence, 2);
        }
    }

    /// Near a place that cannot be read each try may take the device long.
    #[test]
    fn i6_after_a_failed_read_ahead_there_is_no_other() {
        let disk = SimDisk::new(1);
        let file = disk.storage().create("segment").expect("a new name");
        let mut bytes = vec![0; PAGE as usize];
        let places = [(); 60].map(|()| {
            let at = bytes.len() as u64;
            bytes.extend_from_slice(&record(50_000, at));
            at
        });
        write_all_at(&*file, &bytes, 0).expect("works");
        let scanner = Scanner::new(Origin::File(file), Seed::new(&SEED, 1), Lsn(0));
        let mut scanner = scanner.with_blocks(Blocks::new(true));
        let mut is_planned = false;
        for at in places {
            scanner.record_at(at, bytes.len() as u64).expect("whole");
            scanner.blocks.ahead.iter().for_each(ReadAhead::wait_for_read);
            if scanner.blocks.ahead.is_some() && !is_planned {
                is_planned = true;
                let fault = FaultPlan::new(Fault::Error(io::ErrorKind::Other));
                disk.set_plan(fault.on(&[CallKind::Read]));
            }
        }
        assert!(is_planned && !scanner.blocks.may_read_ahead);
    }

    /// What was there when it was asked for is not all that is there now.
    #[test]
    fn i6_what_was_read_ahead_to_the_end_of_a_file_is_read_again_when_it_has_grown() {
        let file = SimDisk::new(1).storage().create("segment").expect("a new name");
        let size = record(50_000, PAGE).len() as u64;
        let at = |turn: u64| PAGE + turn * size;
        let write = |turn| {
            write_all_at(&*file, &record(50_000, at(turn)), at(turn)).expect("works");
        };
        (0..12).for_each(write);
        // Half a record more.
        write_all_at(&*file, &record(50_000, at(12))[..25_000], at(12)).expect("works");
        let scanner = Scanner::new(Origin::File(Arc::clone(&file)), Seed::new(&SEED, 1), Lsn(0));
        let mut scanner = scanner.with_blocks(Blocks::new(true));
        let mut is_read = |turn, wait: bool| {
            let is_read = scanner.record_at(at(turn), at(100)).is_ok();
            scanner.blocks.ahead.iter().filter(|_| wait).for_each(ReadAhead::wait_for_read);
            is_read
        };
        assert!((0..12).all(|turn| is_read(turn, true)));
        assert!(!is_read(12, true));
        (12..40).for_each(write);
        assert!((12..40).all(|turn| is_read(turn, true)));
        assert!(!is_read(40, false));
    }

    /// What is handed out stays as it is, however much is read behind it.
    #[test]
    fn i4_a_block_is_not_read_into_while_its_events_are_in_use() {
        let mut bytes = vec![0; PAGE as usize];
        let places: Vec<u64> = (0..200_u8)
            .map(|turn| {
                let at = bytes.len() as u64;
                let place = Place { lsn: Lsn(at - PAGE), watermark: Lsn(0), sequence: 3 };
                let mut record = PendingRecord::new(Kind::Put, 0, |out| out.extend([turn; 20_000]));
                bytes.extend_from_slice(record.place(&Seed::new(&SEED, 1), at, place));
                at
            })
            .collect();
        for mut scanner in scanners(&bytes) {
            let mut held = VecDeque::new();
            for (turn, at) in places.iter().enumerate() {
                let found = scanner.record_at(*at, bytes.len() as u64).expect("whole");
                held.push_back((turn as u8, found.payload));
                if held.len() > 40 {
                    let (turn, payload) = held.pop_front().expect("just seen");
                    assert!(payload.iter().all(|byte| *byte == turn), "{turn}");
                }
                assert!(scanner.blocks.kept.len() <= BLOCKS_KEPT);
            }
            assert!(held.iter().all(|(turn, payload)| **payload == [*turn; 20_000]));
        }
    }

    /// Wherever a header stands it is found when it ends at the limit, or at the end of the file, and not
    /// when it ends behind it.
    #[test]
    fn i6_a_header_is_found_up_to_the_limit() {
        let places = (PAGE..PAGE + 2200).step_by(ALIGNMENT);
        for at in places.step_by(5).chain([PAGE + 976, PAGE + 984, PAGE + 1016, PAGE + 1024]) {
            let mut bytes = vec![0; at as usize];
            bytes.extend_from_slice(&record(0, at));
            let end = at + 40;
            for from in [PAGE, at - 7, at] {
                for limit in [end, end + 1, end + 50] {
                    for mut scanner in scanners(&bytes) {
                        let found = scanner.next_header(from, limit).expect("works");
                        assert_eq!(found.map(|found| found.0), Some(at), "{from} to {limit}");
                    }
                }
                for mut scanner in scanners(&bytes) {
                    assert!(scanner.next_header(from, end - 1).expect("works").is_none());
                }
            }
            for mut scanner in scanners(&bytes) {
                assert!(scanner.next_header(at + 1, end + 50).expect("works").is_none());
            }
        }
    }

    /// A state tells what comes behind the moved records that follow it, so it is passed over.
    #[test]
    fn i6_a_flaw_concerns_what_comes_before_the_next_intact_record_of_events() {
        let kinds = [(Kind::Put, 10), (Kind::State, 99), (Kind::Moved, 20), (Kind::Put, 30)];
        let mut bytes = vec![0; PAGE as usize];
        for (kind, sequence) in kinds {
            let next = record_of(kind, sequence, 1000, bytes.len() as u64);
            bytes.extend_from_slice(&next);
        }
        let (size, limit) = (1040, bytes.len() as u64);
        let next = |spoiled: &[u64], limit: u64| {
            let mut bytes = bytes.clone();
            spoiled.iter().for_each(|at| bytes[*at as usize] ^= 1);
            scanners(&bytes).map(|mut scanner| scanner.next_sequence(PAGE, limit).expect("works"))
        };
        let [first, moved, last] = [0, 2, 3].map(|index| PAGE + index * size);
        assert_eq!(next(&[], limit), [Some(10); 3]);
        for in_record in [0, 100] {
            let [first, moved, last] = [first, moved, last].map(|at| at + in_record);
            assert_eq!(next(&[first], limit), [Some(20); 3]);
            assert_eq!(next(&[first, moved], limit), [Some(30); 3]);
            assert_eq!(next(&[first, moved], limit - size), [None; 3]);
            assert_eq!(next(&[first, moved, last], limit), [None; 3]);
        }
        assert_eq!(next(&[], PAGE), [None; 3]);
    }

    /// I4: the last record that begins at or before what is wanted, whatever is wanted, and whatever else
    /// lies between: a state tells of what comes behind the moved records that follow it, an ack of nothing.
    /// Nor is a state where none belongs a reason to pass over the record before it.
    #[test]
    fn i4_what_is_passed_over_ends_before_the_first_event_that_is_wanted() {
        let kinds = [
            (Kind::State, 30, 40),
            (Kind::Moved, 10, 1000),
            (Kind::Moved, 20, 300_000),
            (Kind::Put, 30, 600_000),
            (Kind::Ack, 35, 8),
            (Kind::Put, 35, 40),
            (Kind::Watermark, 40, 0),
            (Kind::Put, 40, 40_000),
            (Kind::State, 50, 40),
            (Kind::Put, 50, 40),
        ];
        let mut bytes = vec![0; PAGE as usize];
        let places = kinds.map(|(kind, sequence, payload)| {
            let at = bytes.len() as u64;
            bytes.extend_from_slice(&record_of(kind, sequence, payload, at));
            at
        });
        let limit = bytes.len() as u64;
        let over = |bytes: &[u8], from: usize, limit: u64, sequence: u64| {
            scanners(bytes).map(|mut scanner| {
                let found = scanner.pass_over(places[from], limit, sequence).expect("works");
                let (at, sequence) = found?;
                // What comes next is read as if nothing had been passed over.
                assert_eq!(
                    scanner.record_at(at, limit).expect("is there").header.sequence,
                    sequence
                );
                places.iter().position(|place| *place == at)
            })
        };
        assert_eq!(over(&bytes, 0, limit, 9), [None; 3], "a state is nothing that is wanted");
        for (sequence, last) in [(10, 1), (19, 1), (20, 2), (29, 2), (30, 3)].into_iter().chain([
            (34, 3),
            (35, 5),
            (39, 5),
            (40, 7),
            (45, 7),
            (50, 9),
            (1000, 9),
        ]) {
            assert_eq!(over(&bytes, 0, limit, sequence), [Some(last); 3], "{sequence}");
        }
        assert_eq!(over(&bytes, 3, limit, 0), [None; 3]);
        assert_eq!(over(&bytes, 3, limit, 36), [Some(5); 3]);
        assert_eq!(over(&bytes, 0, places[5], 1000), [Some(4); 3]);
        // A flaw in a header ends it before, one in a payload does not matter.
        let mut spoiled = bytes.clone();
        spoiled[places[5] as usize] ^= 1;
        spoiled[places[3] as usize + 100] ^= 1;
        assert_eq!(over(&spoiled, 0, limit, 1000), [Some(4); 3]);
    }

    /// What lies in a record whose header is intact is no record, unless the header speaks of more than there
    /// is.
    #[test]
    fn i6_behind_a_flaw_reading_goes_on_at_the_end_that_a_header_within_the_limit_tells() {
        let (within, end) = (PAGE + 200, PAGE + 1040);
        let mut bytes = vec![0; PAGE as usize];
        bytes.extend_from_slice(&record(1000, PAGE));
        bytes.extend_from_slice(&record(10, end));
        bytes[within as usize..within as usize + 40].copy_from_slice(&record(0, within));
        for (limit, next) in [(end + 56, end), (end - 8, within)] {
            for mut scanner in scanners(&bytes) {
                assert!(scanner.record_at(PAGE, limit).is_err());
                assert_eq!(scanner.behind_flaw(PAGE, limit).expect("works"), Some(next));
            }
        }
    }

    /// A header that names another place than its own is none, unless the scanner knows no place.
    #[test]
    fn i5_a_header_is_searched_by_the_place_that_it_names() {
        let at = PAGE + 80;
        let mut bytes = vec![0; at as usize];
        let place = Place { lsn: Lsn(4000), watermark: Lsn(0), sequence: 3 };
        let mut record = PendingRecord::new(Kind::Put, 0, |_| {});
        bytes.extend_from_slice(record.place(&Seed::new(&SEED, 1), at, place));
        for mut scanner in scanners(&bytes) {
            assert!(scanner.next_header(PAGE, at + 40).expect("works").is_none());
            let mut scanner = scanner.with_any_lsn();
            let found = scanner.next_header(PAGE, at + 40).expect("works");
            assert_eq!(found.map(|found| found.0), Some(at));
        }
    }

    #[test]
    fn i6_the_highest_of_all_witnesses_counts() {
        for lowest_first in [true, false] {
            let mut bytes = vec![9; PAGE as usize + 5 * 80];
            for turn in 0..5_u64 {
                let at = PAGE + turn * 80 + 40;
                let watermark = Lsn(if lowest_first { turn } else { 5 - turn });
                let place = Place { lsn: Lsn(at - PAGE), watermark, sequence: 0 };
                let mut record = PendingRecord::new(Kind::Watermark, 0, |_| {});
                let record = record.place(&Seed::new(&SEED, 1), at, place);
                bytes[at as usize..at as usize + 40].copy_from_slice(record);
            }
            for mut scanner in scanners(&bytes) {
                let found = scanner.look_behind(PAGE, bytes.len() as u64).expect("works");
                assert_eq!(found.watermark, Some(Lsn(if lowest_first { 4 } else { 5 })));
            }
        }
    }

    #[test]
    fn i6_a_witness_is_seen_wherever_it_lies_at_the_end_of_a_block() {
        for blocks in [1, 3, 7, 15, 31] {
            let end = PAGE + blocks * BLOCK_MIN as u64;
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
