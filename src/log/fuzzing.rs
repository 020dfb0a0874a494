//! The log's decoders, for fuzzers.

pub(crate) mod seal;
pub(crate) mod segment;

use super::checkpoint::{Checkpoint, State};
use super::lsn::Lsn;
use super::record::{
    HEADER_SIZE, Kind, PendingRecord, Place, RecordHeader, Seed, check_payload, decode_header,
};
use super::segment::{CAPACITY_MAX, STATED_MAX, SegmentHeader};
use super::varint;

const ID: [u8; 16] = *b"a fuzzed channel";
/// Where [`raw`] takes a record to stand, in segment 1, at Lsn 0.
const OFFSET: u64 = 4096;

/// Decodes bytes as they are.
pub(crate) fn raw(bytes: &[u8]) {
    if let Ok(header) = decode_header(&Seed::new(&ID, 1), bytes, OFFSET, Lsn(0)) {
        whole_record(&header, bytes);
    }
    if let Ok(header) = SegmentHeader::decode(bytes) {
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    }
    slot(bytes);
    if let Some(state) = State::decode(bytes) {
        assert_eq!(state.encode(), bytes, "a second encoding of a state");
    }
    let mut rest = bytes;
    if let Some(number) = varint::take(&mut rest) {
        let mut again = Vec::new();
        varint::put(&mut again, number);
        assert_eq!(again, bytes[..bytes.len() - rest.len()], "a second encoding of a number");
    }
}

/// Decodes bytes as a slot, and hands out what the layer above would get.
pub(crate) fn slot(bytes: &[u8]) -> Option<Vec<u8>> {
    let checkpoint = Checkpoint::decode(bytes).ok()?;
    let again = checkpoint.encode();
    assert_eq!(Checkpoint::decode(&again).as_ref(), Ok(&checkpoint));
    // The header has bytes that a reader ignores; the state has none.
    let state = 112..again.len();
    assert_eq!(again[state.clone()], bytes[state], "a second encoding of a slot's state");
    Some(checkpoint.state.upper)
}

fn whole_record(header: &RecordHeader, bytes: &[u8]) -> bool {
    let size = usize::try_from(header.record_size()).unwrap_or(usize::MAX);
    bytes.get(..size).is_some_and(|bytes| check_payload(header, bytes).is_ok())
}

/// Seals bytes as what they look like: a segment's header, a slot, or the record that [`raw`] looks for.
pub(crate) fn seal(bytes: &mut [u8], place: bool) {
    match bytes {
        [b'F', b'L', b'U', b'M', b'E', b'N', b'S', b'G', ..] => {
            seal::segment(bytes, bytes.len(), false);
        }
        [b'F', b'L', b'U', b'M', b'E', b'N', b'C', b'P', ..] => seal::slot(bytes),
        _ if bytes.len() >= HEADER_SIZE => {
            // The checksum knows of an offset that the buffer does not have.
            let seed = Seed::new(&ID, 1);
            seal::record(&seed, bytes, 0, place.then_some(0));
            seed.seal(bytes, OFFSET);
        }
        _ => {}
    }
}

/// Takes bytes as the content of what the log writes, and flips the bit that `damage` chooses.
pub(crate) fn sealed(content: &[u8], damage: usize) {
    let mut input = Input(content);
    record(&mut input.clone(), damage);
    segment_header(&mut input.clone(), damage);
    checkpoint(&mut input, damage);
}

fn record(input: &mut Input<'_>, damage: usize) {
    let kinds = [Kind::Put, Kind::Ack, Kind::State, Kind::Watermark, Kind::Close, Kind::Moved];
    let kind = kinds[input.number() as usize % kinds.len()];
    let (segment, offset, lsn) = (input.number(), input.number(), Lsn(input.number()));
    let place = Place { lsn, watermark: Lsn(input.number()), sequence: input.number() };
    let seed = Seed::new(&ID, segment);
    let mut pending = PendingRecord::new(kind, input.0.len(), |out| out.extend(input.0));
    let mut bytes = pending.place(&seed, offset, place).to_vec();
    match decode_header(&seed, &bytes, offset, lsn) {
        Ok(header) => {
            assert_eq!((header.kind, header.sequence), (kind, place.sequence));
            assert_eq!((header.lsn, header.watermark), (lsn, place.watermark));
            assert_eq!(header.record_size(), bytes.len() as u64);
            assert_eq!(check_payload(&header, &bytes), Ok(input.0));
        }
        Err(_) => assert!(place.watermark > lsn, "a good record was refused"),
    }
    // Nothing that a checksum covers is changed without notice; padding must be zero.
    flip(&mut bytes, damage);
    if let Ok(header) = decode_header(&seed, &bytes, offset, lsn) {
        assert!(!whole_record(&header, &bytes), "a flipped bit went unnoticed");
    }
    // The same flip, with the right checksum over the header: lengths and kinds as a program gone wrong
    // would write them.
    flip(&mut bytes, damage % (HEADER_SIZE * 8));
    seed.seal(&mut bytes, offset);
    if let Ok(header) = decode_header(&seed, &bytes, offset, lsn) {
        whole_record(&header, &bytes);
    }
}

fn segment_header(input: &mut Input<'_>, damage: usize) {
    let header = SegmentHeader {
        channel_id: ID,
        number: input.number(),
        base: Lsn(input.number()),
        first_sequence: input.number(),
        capacity: input.number(),
        epoch: input.number(),
    };
    let mut page = header.encode();
    let numbers =
        [header.number, header.base.0, header.first_sequence, header.capacity, header.epoch];
    match is_wild(&numbers) || header.capacity > CAPACITY_MAX {
        true => assert!(SegmentHeader::decode(&page).is_err(), "a wild number was accepted"),
        false => assert_eq!(SegmentHeader::decode(&page).as_ref(), Ok(&header)),
    }
    flip(&mut page, damage);
    assert!(SegmentHeader::decode(&page).is_err(), "a flipped bit went unnoticed");
}

fn checkpoint(input: &mut Input<'_>, damage: usize) {
    let mut checkpoint = Checkpoint {
        channel_id: ID,
        generation: input.number(),
        epoch: input.number(),
        clean: input.number() % 2 == 1,
        tail: input.number(),
        tail_base: Lsn(input.number()),
        numbers_used: input.number(),
        lsn: Lsn(input.number()),
        watermark: Lsn(input.number()),
        state: State::default(),
    };
    match State::decode(input.0) {
        Some(state) => checkpoint.state = state,
        None => checkpoint.state.upper = input.0.to_vec(),
    }
    let mut bytes = checkpoint.encode();
    let numbers =
        [checkpoint.generation, checkpoint.epoch, checkpoint.tail, checkpoint.numbers_used];
    let lsns = [checkpoint.tail_base.0, checkpoint.lsn.0, checkpoint.watermark.0];
    match is_wild(&numbers) || is_wild(&lsns) {
        true => assert!(Checkpoint::decode(&bytes).is_err(), "a wild number was accepted"),
        false => assert_eq!(Checkpoint::decode(&bytes).as_ref(), Ok(&checkpoint)),
    }
    flip(&mut bytes, damage);
    assert!(Checkpoint::decode(&bytes).is_err(), "a flipped bit went unnoticed");
}

/// Numbers that no log reaches are refused, so that nothing is calculated with them.
fn is_wild(numbers: &[u64]) -> bool {
    numbers.iter().any(|number| *number > STATED_MAX)
}

fn flip(bytes: &mut [u8], bit: usize) {
    let bit = bit % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
}

/// Reads fields off the front.
#[derive(Clone)]
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn number(&mut self) -> u64 {
        let (head, rest) = self.0.split_at(self.0.len().min(8));
        self.0 = rest;
        head.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}
