//! Writing a group's records in pieces: small records are gathered, encoded or copied one behind the other,
//! which is cheaper than further calls, and a large one is encoded, checksummed and written a piece at a
//! time, while the piece is in the processor's cache and what was written before is on its way to the device.
//! It needs no memory of its own size.
//!
//! The first piece of a large record is written last, because the header in it has the checksum of all. A
//! crash before that leaves no record there, as a crash within a single write may.

use super::behind::Behind;
use super::directory::Directory;
use super::filler::Filler;
use super::lsn::Lsn;
use super::record::{
    HEADER_SIZE, Kind, PendingRecord, Place, Seed, append_blank, record_size, seal,
};
use super::segment::PAGE;
use crate::storage::{File, StorageError};

/// Records above this are written in pieces. Below, what it spares does not make up for the pages that are
/// written twice, where one piece ends in the middle of them and they are on their way to the device.
const WHOLE_MAX: usize = 1 << 20;
/// In small segments, such as tests have, it is this part of one,
const WHOLE_SHARE: u64 = 16;
/// and no less than this.
const WHOLE_MIN: usize = 8 << 10;

/// Bytes written with one call, and as much more as the last small slice or record has beyond: much more
/// would not stay in the processor's cache on the way.
const PIECE_MAX: usize = 256 << 10;

/// Slices of this part of a piece and longer are written from where they are,
const UNCOPIED_SHARE: usize = 4;
/// and so are records of a group of this size and larger: a call of their own costs less than a copy.
pub(super) const UNCOPIED: usize = PIECE_MAX / UNCOPIED_SHARE;

/// Records of up to these bytes are [`Form::Gathered`].
const SMALL: usize = 4 << 10;

/// How a record gets into the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// Encoded by the thread that writes it, into the memory where small ones are gathered: to have each in
    /// memory of its own first, and to copy it from there, costs more than others gain by it.
    Gathered,
    /// Encoded before it is handed in, by the thread that commits.
    Encoded,
    /// Encoded by the thread that writes it, and written in pieces.
    InPieces,
}

impl Form {
    /// The best one for a record of `size` bytes, in a log with segments of this size.
    pub(super) fn of(size: usize, segment_size: u64) -> Form {
        if size <= SMALL {
            Form::Gathered
        } else if size <= whole_size(segment_size) {
            Form::Encoded
        } else {
            Form::InPieces
        }
    }
}

/// Bytes of the largest record that is written as a whole, in a log with segments of this size.
fn whole_size(segment_size: u64) -> usize {
    let size = usize::try_from(segment_size / WHOLE_SHARE).unwrap_or(WHOLE_MAX);
    size.clamp(WHOLE_MIN, WHOLE_MAX)
}

/// Bytes of a piece.
pub(super) fn piece_size(segment_size: u64) -> usize {
    whole_size(segment_size).min(PIECE_MAX)
}

/// What becomes a record's payload.
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
    /// [`Form::Gathered`].
    Gathered(&'a P),
    /// [`Form::Encoded`].
    Encoded(&'a mut PendingRecord),
    /// [`Form::InPieces`].
    InPieces(&'a P),
}

impl<P: Payload> Outgoing<'_, P> {
    pub(super) fn size(&self) -> u64 {
        match self {
            Outgoing::Encoded(record) => record.size(),
            Outgoing::Gathered(payload) | Outgoing::InPieces(payload) => {
                record_size(payload.size()) as u64
            }
        }
    }
}

/// Appends a record of this payload to `bytes`; it is to be at `offset`, its place.
fn append_record(
    bytes: &mut Vec<u8>,
    payload: &impl Payload,
    seed: &Seed,
    (offset, place): (u64, Place),
) {
    let begin = bytes.len();
    let sum = append_blank(bytes, |bytes| payload.encode(bytes));
    assert_eq!(sum.0 as usize, payload.size(), "a payload is as long as it says");
    let header = &mut bytes[begin..begin + HEADER_SIZE];
    seal(header, payload.kind(), sum, seed, (offset, place));
}

/// Where a group is written.
pub(super) struct Pieces<'a> {
    pub(super) directory: &'a Directory,
    pub(super) file: &'a dyn File,
    pub(super) name: &'a str,
    pub(super) base: Lsn,
    pub(super) seed: &'a Seed,
    pub(super) behind: &'a Behind,
    /// Bytes of a piece.
    pub(super) size: usize,
    /// Called between the pieces of a record. Not before the last: what is left then, the commit's own sync
    /// is about to take.
    pub(super) between: &'a dyn Fn(),
}

impl Pieces<'_> {
    /// Writes `bytes`, if any, at `offset` of the segment.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), StorageError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.directory.write(self.file, self.name, bytes, offset)?;
        self.behind.note_given(self.base.plus(offset + bytes.len() as u64 - PAGE));
        Ok(())
    }

    /// Writes a record at `offset`, its place, with what fills up its group behind it; or gathers both, to be
    /// written with those that come. One that is encoded, and alone in its group, goes from where it is.
    pub(super) fn write_record(
        &self,
        record: Outgoing<'_, impl Payload>,
        (offset, place): (u64, Place),
        filler: &Filler,
        is_alone: bool,
        buffers: &mut Buffers,
    ) -> Result<(), StorageError> {
        let gathered = &mut buffers.gathered;
        match record {
            Outgoing::Gathered(payload) => {
                append_record(gathered, payload, self.seed, (offset, place));
                filler.append(gathered, self.seed);
                Ok(())
            }
            Outgoing::InPieces(payload) => {
                self.write_gathered(gathered, offset)?;
                self.stream(payload, (offset, place), buffers)
            }
            Outgoing::Encoded(record) if is_alone || record.size() >= UNCOPIED as u64 => {
                self.write_gathered(gathered, offset)?;
                record.place(self.seed, offset, place);
                record.with_more(|bytes| {
                    filler.append(bytes, self.seed);
                    self.write(bytes, offset)
                })
            }
            Outgoing::Encoded(record) => {
                gathered.extend_from_slice(record.place(self.seed, offset, place));
                filler.append(gathered, self.seed);
                Ok(())
            }
        }
    }

    /// Writes what was gathered of records that end at `end`, and empties it.
    pub(super) fn write_gathered(
        &self,
        gathered: &mut Vec<u8>,
        end: u64,
    ) -> Result<(), StorageError> {
        self.write(gathered, end - gathered.len() as u64)?;
        gathered.clear();
        Ok(())
    }

    /// Writes a record of this payload at `offset`, its place, in pieces.
    fn stream(
        &self,
        payload: &impl Payload,
        (offset, place): (u64, Place),
        buffers: &mut Buffers,
    ) -> Result<(), StorageError> {
        let Buffers { first, piece, .. } = buffers;
        first.clear();
        piece.clear();
        piece.resize(HEADER_SIZE, 0);
        let hasher = crc32fast::Hasher::new();
        let mut stream = Stream { pieces: self, first, piece, at: offset, hasher, result: Ok(()) };
        payload.encode(&mut stream);
        stream.flush();
        stream.result?;
        let size = (stream.at - offset) as usize - HEADER_SIZE;
        assert_eq!(size, payload.size(), "a payload is as long as it says");
        let padding = record_size(size) - HEADER_SIZE - size;
        stream.piece.resize(padding, 0);
        self.write(stream.piece, stream.at)?;
        let stated_size = u32::try_from(size).expect("limits keep a record far below 4 GiB");
        let sum = (stated_size, stream.hasher.finalize());
        seal(&mut first[..HEADER_SIZE], payload.kind(), sum, self.seed, (offset, place));
        self.write(first, offset)
    }
}

/// Memory of what is written, used again and again.
#[derive(Default)]
pub(super) struct Buffers {
    /// Small records, one behind the other.
    pub(super) gathered: Vec<u8>,
    /// The pieces of a large one.
    first: Vec<u8>,
    piece: Vec<u8>,
}

/// A record's payload on its way into pieces.
pub(crate) struct Stream<'a> {
    pieces: &'a Pieces<'a>,
    /// The first piece, once it is complete: it is written last.
    first: &'a mut Vec<u8>,
    /// The piece that is being filled.
    piece: &'a mut Vec<u8>,
    /// Where it goes.
    at: u64,
    hasher: crc32fast::Hasher,
    /// After an error nothing more is written.
    result: Result<(), StorageError>,
}

impl Stream<'_> {
    fn flush(&mut self) {
        if self.first.is_empty() {
            self.hasher.update(&self.piece[HEADER_SIZE..]);
            std::mem::swap(self.first, self.piece);
            self.at += self.first.len() as u64;
            return;
        }
        let piece = std::mem::take(self.piece);
        self.write(&piece);
        *self.piece = piece;
        self.piece.clear();
    }

    fn write(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        if self.result.is_ok() {
            (self.pieces.between)();
            self.result = self.pieces.write(bytes, self.at);
        }
        self.at += bytes.len() as u64;
    }
}

impl Out for Stream<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let size = self.pieces.size;
        if bytes.len() >= size / UNCOPIED_SHARE {
            self.flush();
            bytes.chunks(size).for_each(|piece| self.write(piece));
            return;
        }
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= size {
            self.flush();
        }
    }
}
