//! A large record on its way into the log: it is encoded, checksummed and written a piece at a time, while
//! the piece is in the processor's cache and what was written before is on its way to the device. It needs no
//! memory of its own size.
//!
//! The first piece of a large record is written last, because the header in it has the checksum of all. A
//! crash before that leaves no record there, as a crash within a single write may. What came before the
//! record in its first piece is of the same group, so nobody was told of it yet, or was written before.

use super::output::{Output, Target};
use super::record::{HEADER_SIZE, Kind, PendingRecord, Place, Seed, record_size, seal};
use crate::storage::{DIRECT_BLOCK, StorageError};

/// Records above this are encoded while they are written. Below, what it spares does not make up for the
/// pages that are written twice, where one piece ends in the middle of them and they are on their way to the
/// device.
const WHOLE_MAX: usize = 1 << 20;
/// In small segments, such as tests have, it is this part of one,
const WHOLE_SHARE: u64 = 16;
/// and no less than this.
const WHOLE_MIN: usize = 8 << 10;

/// Bytes of a piece of a large record: much more would not stay in the processor's cache on the way.
pub(super) const PIECE_MAX: usize = 256 << 10;

/// Slices of this part of a piece and longer are written from where they are, unless whole blocks are
/// written,
const UNCOPIED_SHARE: usize = 4;
/// and so are records of a group of this size and larger: a call of their own costs less than a copy.
pub(super) const UNCOPIED: usize = PIECE_MAX / UNCOPIED_SHARE;

/// Bytes of the largest record that is encoded before it is written, in a log with segments of this size.
pub(super) fn whole_size(segment_size: u64) -> usize {
    let size = usize::try_from(segment_size / WHOLE_SHARE).unwrap_or(WHOLE_MAX);
    size.clamp(WHOLE_MIN, WHOLE_MAX)
}

/// A payload that is encoded while it is written.
pub(crate) trait Payload {
    /// The record's kind.
    fn kind(&self) -> Kind;

    /// Bytes that [`Payload::encode`] gives; below 4 GiB.
    fn size(&self) -> usize;

    /// Gives the bytes, in order.
    fn encode(&self, out: &mut impl Out);
}

/// Takes the bytes of a payload.
pub(crate) trait Out {
    /// Takes the next ones.
    fn put(&mut self, bytes: &[u8]);
}

impl Out for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A record on its way to the log.
pub(crate) enum Outgoing<'a, P> {
    /// Encoded.
    Ready(&'a mut PendingRecord),
    /// Larger than what is encoded before ([`Log::whole_size`](super::Log::whole_size)).
    Streamed(&'a P),
}

/// Bytes of a piece, in a log with segments of this size: whole blocks.
pub(super) fn piece_size(segment_size: u64) -> usize {
    whole_size(segment_size).min(PIECE_MAX) / DIRECT_BLOCK * DIRECT_BLOCK
}

/// Takes a record of this payload, and says how long it is. It is written `aside`, in pieces of `piece_size`
/// bytes, but for the block with its header: what shares that with the record goes where it went before.
pub(super) fn stream(
    output: &mut Output,
    (target, aside): (&Target<'_>, &Target<'_>),
    piece_size: usize,
    payload: &impl Payload,
    (seed, place): (&Seed, Place),
) -> Result<u64, StorageError> {
    if output.piece.len + HEADER_SIZE > piece_size {
        output.write_out(target)?;
    }
    let (offset, head) = (output.end(), output.piece.len);
    output.fill(&[0; HEADER_SIZE]);
    let hashed = output.piece.len;
    let hasher = crc32fast::Hasher::new();
    let first_size = match output.is_direct() {
        true => (head + HEADER_SIZE).next_multiple_of(output.unit),
        false => piece_size,
    };
    let first = First::Growing(first_size);
    let mut stream = Stream { output, aside, piece_size, first, hashed, hasher, result: Ok(()) };
    payload.encode(&mut stream);
    stream.hash();
    let size = (stream.output.end() - offset) as usize - HEADER_SIZE;
    assert_eq!(size, payload.size(), "a payload is as long as it says");
    let stated_size = u32::try_from(size).expect("it was looked at before it was handed in");
    let sum = (stated_size, stream.hasher.clone().finalize());
    stream.put(&[0; HEADER_SIZE][..record_size(size) - HEADER_SIZE - size]);
    let has_first = stream.first == First::Kept;
    stream.result?;
    if has_first {
        aside.between();
        output.write_out(aside)?;
    }
    let sheet = if has_first { &mut output.first } else { &mut output.piece };
    let header = &mut sheet.bytes()[head..head + HEADER_SIZE];
    seal(header, payload.kind(), sum, seed, (offset, place));
    if has_first {
        let at = output.first.at;
        target.write(output.first.bytes(), at)?;
    }
    Ok(record_size(size) as u64)
}

/// What is written last of a record in pieces.
#[derive(PartialEq)]
enum First {
    /// Nothing is written yet. So many bytes will be kept, or what there is when a slice is not copied.
    Growing(usize),
    Kept,
}

/// A record's payload on its way into pieces.
struct Stream<'a, 'b> {
    output: &'a mut Output,
    aside: &'a Target<'b>,
    piece_size: usize,
    first: First,
    /// Bytes of the piece that are in the checksum, or are not to be.
    hashed: usize,
    hasher: crc32fast::Hasher,
    /// After an error nothing more is written.
    result: Result<(), StorageError>,
}

impl Stream<'_, '_> {
    fn hash(&mut self) {
        self.hasher.update(&self.output.piece.bytes()[self.hashed..]);
        self.hashed = self.output.piece.len;
    }

    /// Ends the piece as it is, which must be whole blocks.
    fn turn(&mut self) {
        self.hash();
        self.hashed = 0;
        let mut kept = 0;
        if let First::Growing(size) = self.first {
            kept = size.min(self.output.piece.len);
            self.output.keep_first(kept);
            self.first = First::Kept;
        }
        if self.output.piece.len > kept && self.result.is_ok() {
            self.aside.between();
            let at = self.output.piece.at + kept as u64;
            self.result = self.aside.write(&self.output.piece.bytes()[kept..], at);
        }
        self.output.empty();
    }

    /// Writes bytes from where they are.
    fn pass(&mut self, bytes: &[u8]) {
        self.turn();
        for part in bytes.chunks(self.piece_size) {
            self.hasher.update(part);
            if self.result.is_ok() {
                self.aside.between();
                self.result = self.aside.write(part, self.output.piece.at);
            }
            self.output.piece.at += part.len() as u64;
        }
    }
}

impl Out for Stream<'_, '_> {
    #[inline]
    fn put(&mut self, mut bytes: &[u8]) {
        if !self.output.is_direct() && bytes.len() >= self.piece_size / UNCOPIED_SHARE {
            return self.pass(bytes);
        }
        while !bytes.is_empty() {
            if self.output.piece.len >= self.piece_size {
                self.turn();
            }
            let room = self.piece_size - self.output.piece.len;
            bytes = &bytes[self.output.fill(&bytes[..room.min(bytes.len())])..];
        }
    }
}
