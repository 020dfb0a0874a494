//! One committed transaction as bytes. Pure: no I/O. The prose twin is `docs/FORMAT.md`.
//!
//! A record is a header of 40 bytes, a payload, and zeros up to a multiple of 8. The header has a checksum
//! of its own, so a length is never believed before it is proven; it covers the payload's checksum too and is
//! seeded with the channel, the segment and the offset, so a record is valid in one place only.

use std::fmt;

use super::lsn::Lsn;

/// Bytes of a record's header.
pub(crate) const HEADER_SIZE: usize = 40;
/// Records begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

const _: () = assert!(HEADER_SIZE.is_multiple_of(ALIGNMENT));

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Events put by one transaction.
    Put = 1,
    /// Which events one transaction took.
    Ack = 2,
    /// The state at this position; the first record of every segment.
    State = 3,
    /// Nothing but the watermark in its header.
    Watermark = 4,
    /// The channel was closed here.
    Close = 5,
    /// Events put by one transaction, moved here from the unproven end of the segment before. The state that
    /// begins the segment counts them already.
    Moved = 6,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        use Kind::{Ack, Close, Moved, Put, State, Watermark};
        [Put, Ack, State, Watermark, Close, Moved].into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Whether records of this kind hold events.
    pub(crate) fn has_events(self) -> bool {
        matches!(self, Kind::Put | Kind::Moved)
    }

    /// Whether records of this kind are written when a segment is begun, before anything in it counts.
    pub(crate) fn begins_segment(self) -> bool {
        matches!(self, Kind::State | Kind::Moved)
    }

    /// The kind's name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Put => "put",
            Kind::Ack => "ack",
            Kind::State => "state",
            Kind::Watermark => "watermark",
            Kind::Close => "close",
            Kind::Moved => "moved",
        }
    }
}

/// A record's header, proven by its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: Kind,
    pub(crate) payload_crc: u32,
    pub(crate) payload_size: u32,
    /// Where the record begins.
    pub(crate) lsn: Lsn,
    /// Everything before this position was synced when the record was written.
    pub(crate) watermark: Lsn,
    /// The first event's sequence (put and moved), or the sequence the next put will get (all others).
    pub(crate) sequence: u64,
}

impl RecordHeader {
    /// Bytes of the whole record: header, payload, padding.
    pub(crate) fn record_size(&self) -> u64 {
        stated_size(self.payload_size)
    }

    /// The position after the record.
    pub(crate) fn end(&self) -> Lsn {
        self.lsn.plus(self.record_size())
    }
}

/// Bytes of a record with a payload of `payload_size` bytes.
pub(crate) fn record_size(payload_size: usize) -> usize {
    (HEADER_SIZE + payload_size).next_multiple_of(ALIGNMENT)
}

/// The same for a size that a header states, which may be more than memory can hold.
fn stated_size(payload_size: u32) -> u64 {
    (HEADER_SIZE as u64 + u64::from(payload_size)).next_multiple_of(ALIGNMENT as u64)
}

/// What binds a segment's checksums to it: a hasher that has seen the channel's id and the segment's number.
#[derive(Clone)]
pub(crate) struct Seed(crc32fast::Hasher);

impl Seed {
    pub(crate) fn new(channel_id: &[u8; 16], segment: u64) -> Seed {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(channel_id);
        hasher.update(&segment.to_le_bytes());
        Seed(hasher)
    }

    fn header_crc(&self, offset: u64, covered: &[u8]) -> u32 {
        let mut hasher = self.0.clone();
        if planted!(ChecksumWithoutSegment) {
            hasher = crc32fast::Hasher::new();
        }
        if !planted!(ChecksumWithoutOffset) {
            hasher.update(&offset.to_le_bytes());
        }
        hasher.update(covered);
        hasher.finalize()
    }
}

/// Why bytes are no valid record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Flaw {
    pub(crate) fn new(expected: impl Into<String>, found: impl Into<String>) -> Flaw {
        Flaw { expected: expected.into(), found: found.into() }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

/// A record on its way to the log: payload encoded and checksummed, header still blank, because only
/// the log knows its place.
pub(crate) struct PendingRecord {
    kind: Kind,
    payload_crc: u32,
    payload_size: u32,
    bytes: Vec<u8>,
}

impl PendingRecord {
    /// Encodes a record whose payload `write` appends to the buffer it is given; `capacity` is a hint.
    pub(crate) fn new(kind: Kind, capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        PendingRecord::new_in(Vec::new(), kind, capacity, write)
    }

    /// As [`PendingRecord::new`], in the memory of `bytes`, which is empty.
    pub(crate) fn new_in(
        mut bytes: Vec<u8>,
        kind: Kind,
        capacity: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Self {
        bytes.reserve_exact(record_size(capacity));
        let (payload_size, payload_crc) = append_blank(&mut bytes, write);
        PendingRecord { kind, payload_crc, payload_size, bytes }
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Its memory.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Gives the record its place and returns its bytes.
    pub(crate) fn place(&mut self, seed: &Seed, offset: u64, place: Place) -> &[u8] {
        let sum = (self.payload_size, self.payload_crc);
        seal(&mut self.bytes[..HEADER_SIZE], self.kind, sum, seed, (offset, place));
        &self.bytes
    }

    /// Lends its bytes to be written with others behind them, which are then taken off again.
    pub(super) fn with_more<T>(&mut self, act: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let size = self.bytes.len();
        let result = act(&mut self.bytes);
        self.bytes.truncate(size);
        result
    }
}

/// Appends a record whose payload `write` appends, with a blank header; returns its payload's size and
/// checksum.
pub(super) fn append_blank(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> (u32, u32) {
    let begin = bytes.len();
    bytes.resize(begin + HEADER_SIZE, 0);
    write(bytes);
    let payload = &bytes[begin + HEADER_SIZE..];
    let crc = crc32fast::hash(payload);
    let size = u32::try_from(payload.len())
        .expect("a transaction's limits keep its record far below 4 GiB");
    bytes.resize(begin + record_size(size as usize), 0);
    (size, crc)
}

/// Fills in a record's header, which is blank; `payload` is the payload's size and checksum.
pub(crate) fn seal(
    header: &mut [u8],
    kind: Kind,
    payload: (u32, u32),
    seed: &Seed,
    (offset, place): (u64, Place),
) {
    header[4] = kind as u8;
    header[8..12].copy_from_slice(&payload.1.to_le_bytes());
    header[12..16].copy_from_slice(&payload.0.to_le_bytes());
    header[16..24].copy_from_slice(&place.lsn.0.to_le_bytes());
    header[24..32].copy_from_slice(&place.watermark.0.to_le_bytes());
    header[32..40].copy_from_slice(&place.sequence.to_le_bytes());
    let crc = seed.header_crc(offset, &header[4..]);
    header[..4].copy_from_slice(&crc.to_le_bytes());
}

/// Where a record goes and what was true when it was written.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) lsn: Lsn,
    pub(crate) watermark: Lsn,
    pub(crate) sequence: u64,
}

/// Decodes the header at the start of `bytes`, which stand at `offset` of the segment and at `lsn` of the
/// log. The payload is not looked at, but after success its size may be believed.
pub(crate) fn decode_header(
    seed: &Seed,
    bytes: &[u8],
    offset: u64,
    lsn: Lsn,
) -> Result<RecordHeader, Flaw> {
    let Some(header) = bytes.first_chunk::<HEADER_SIZE>() else {
        return Err(Flaw::new("a record header of 40 bytes", format!("{} bytes", bytes.len())));
    };
    if header.iter().all(|byte| *byte == 0) {
        return Err(Flaw::new("a record", "zeros"));
    }
    let stored_crc = u32_at(header, 0);
    let crc = seed.header_crc(offset, &header[4..]);
    if stored_crc != crc && !planted!(HeaderChecksumSkipped) {
        return Err(Flaw::new(
            format!("a record header with checksum {crc:08x}"),
            format!("{stored_crc:08x}"),
        ));
    }
    let Some(kind) = Kind::from_byte(header[4]) else {
        return Err(Flaw::new("a record kind of 1 to 6", header[4].to_string()));
    };
    if header[5..8] != [0; 3] {
        return Err(Flaw::new("zeros after the record kind", "other bytes"));
    }
    let found = RecordHeader {
        kind,
        payload_crc: u32_at(header, 8),
        payload_size: u32_at(header, 12),
        lsn: Lsn(u64_at(header, 16)),
        watermark: Lsn(u64_at(header, 24)),
        sequence: u64_at(header, 32),
    };
    if found.lsn != lsn && !planted!(LsnNotCompared) {
        return Err(Flaw::new(format!("a record at Lsn {lsn}"), format!("Lsn {}", found.lsn)));
    }
    if found.watermark > lsn {
        return Err(Flaw::new("a watermark not above the record", found.watermark.to_string()));
    }
    Ok(found)
}

/// The size of a record as the header at the start of `bytes` claims it, unproven. Never 0.
pub(crate) fn claimed_size(bytes: &[u8]) -> u64 {
    stated_size(u32_at(bytes, 12))
}

/// Checks the rest of a record, `bytes` being the whole of it, and returns its payload.
pub(crate) fn check_payload<'a>(header: &RecordHeader, bytes: &'a [u8]) -> Result<&'a [u8], Flaw> {
    let end = HEADER_SIZE + header.payload_size as usize;
    let payload = &bytes[HEADER_SIZE..end];
    let crc = crc32fast::hash(payload);
    if crc != header.payload_crc && !planted!(PayloadChecksumSkipped) {
        return Err(Flaw::new(
            format!(
                "a {} record's payload with checksum {:08x}",
                header.kind.name(),
                header.payload_crc
            ),
            format!("{crc:08x}"),
        ));
    }
    if bytes[end..].iter().any(|byte| *byte != 0) {
        return Err(Flaw::new("zeros after the payload", "other bytes"));
    }
    Ok(payload)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(array)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(array)
}

/// The payload of a record that has no place yet.
#[cfg(all(test, not(loom)))]
pub(crate) fn payload_of(record: &PendingRecord) -> Vec<u8> {
    record.bytes[HEADER_SIZE..HEADER_SIZE + record.payload_size as usize].to_vec()
}

/// What only fuzzers do to records.
#[cfg(fuzzing)]
mod fuzzing {
    use super::{HEADER_SIZE, PendingRecord, Seed};

    impl PendingRecord {
        /// The payload, whether the record has a place yet or not.
        pub(crate) fn payload(&self) -> &[u8] {
            &self.bytes[HEADER_SIZE..HEADER_SIZE + self.payload_size as usize]
        }
    }

    impl Seed {
        /// Puts the right checksum before a header, whatever it says.
        pub(crate) fn seal(&self, record: &mut [u8], offset: u64) {
            let crc = self.header_crc(offset, &record[4..HEADER_SIZE]);
            record[..4].copy_from_slice(&crc.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 16] = [7; 16];
    const PLACE: Place = Place { lsn: Lsn(1000), watermark: Lsn(960), sequence: 5 };

    fn sample() -> Vec<u8> {
        let mut record = PendingRecord::new(Kind::Put, 0, |out| out.extend_from_slice(b"payload"));
        record.place(&Seed::new(&ID, 3), 4096, PLACE).to_vec()
    }

    fn decode(bytes: &[u8], segment: u64, offset: u64, lsn: u64) -> Result<Vec<u8>, Flaw> {
        let header = decode_header(&Seed::new(&ID, segment), bytes, offset, Lsn(lsn))?;
        if header.record_size() > bytes.len() as u64 {
            return Err(Flaw::new("the whole record", "less"));
        }
        check_payload(&header, &bytes[..header.record_size() as usize]).map(<[u8]>::to_vec)
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let bytes = sample();
        assert_eq!(bytes.len(), 48);
        assert_eq!(decode(&bytes, 3, 4096, 1000).expect("valid"), b"payload");
    }

    #[test]
    fn i6_every_flipped_bit_is_noticed() {
        let bytes = sample();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped, 3, 4096, 1000).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn i5_a_record_is_valid_in_one_place_only() {
        let bytes = sample();
        assert!(decode(&bytes, 4, 4096, 1000).is_err(), "another segment");
        assert!(decode(&bytes, 3, 4104, 1000).is_err(), "another offset");
        assert!(decode(&bytes, 3, 4096, 1008).is_err(), "another Lsn");
        let foreign = Seed::new(&[8; 16], 3);
        assert!(decode_header(&foreign, &bytes, 4096, Lsn(1000)).is_err(), "another channel");
    }

    #[test]
    fn zeros_are_never_a_record() {
        assert_eq!(decode(&[0; 64], 3, 4096, 0), Err(Flaw::new("a record", "zeros")));
        assert!(decode(&[], 3, 4096, 0).is_err());
    }

    #[test]
    fn kinds_have_names_and_bytes_of_their_own() {
        let names = (0..=255).filter_map(Kind::from_byte).map(Kind::name);
        let expected = ["put", "ack", "state", "watermark", "close", "moved"];
        assert!(names.eq(expected));
    }

    #[test]
    fn a_record_gives_its_memory_back() {
        let record = PendingRecord::new(Kind::Put, 1000, |out| out.push(1));
        assert!(record.into_bytes().capacity() >= 1000);
    }
}
