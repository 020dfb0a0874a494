//! The records of the log one by one, for people who debug.

use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;

use super::evidence::{Evidence, Segment};
use super::finding::Findings;
use super::records::{Hole, Item, Records};
use super::storage_at;
use crate::channel::OpenError;
use crate::channel::parts::{Queue, decode_ack, decode_put_head};
use crate::log::raw::{Found, PAGE, State};
use crate::log::{Directory, Kind};
use crate::storage::Storage;

/// One thing in the log. Offsets are in the segment's file; Lsns are positions in the log as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DumpedRecord {
    /// A segment begins, and its header page is intact.
    Segment {
        /// Its number.
        segment: u64,
        /// Where its records begin in the log.
        lsn: u64,
        /// The sequence of the first event put into it.
        first_sequence: u64,
        /// Bytes the file has room for.
        capacity: u64,
        /// The opening of the channel that began it.
        epoch: u64,
    },
    /// An intact record.
    Record {
        /// The number of its segment.
        segment: u64,
        /// Where it begins.
        offset: u64,
        /// Where it begins in the log.
        lsn: u64,
        /// Its kind: put, moved, ack, state, watermark or close.
        kind: &'static str,
        /// The sequence of its first event (put), or the one the next put gets.
        sequence: u64,
        /// Everything below this Lsn was synced when it was written.
        watermark: u64,
        /// Bytes of its payload.
        payload_size: u64,
        /// What it says.
        content: RecordContent,
    },
    /// Bytes that should be a header page or a record, and are not.
    Flaw {
        /// The number of the segment.
        segment: u64,
        /// Where they begin.
        offset: u64,
        /// How many they are.
        size: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Bytes behind the last record of the last segment that are no record: what an older use of the file, or
    /// a write that was cut off, left there. After a loss they can be damage: `verify` judges that.
    Remains {
        /// The number of the segment.
        segment: u64,
        /// Where they begin.
        offset: u64,
        /// How many they are.
        size: u64,
    },
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordContent {
    /// Events were put, or carried over from the segment before (kind moved).
    Put {
        /// How many.
        events: u64,
        /// Their size.
        bytes: u64,
        /// Cursors set or forgotten (`None`) with them.
        cursors: Vec<(String, Option<Vec<u8>>)>,
    },
    /// Events were taken.
    Ack {
        /// Which.
        ranges: Vec<Range<u64>>,
        /// Their size.
        bytes: u64,
        /// Cursors set or forgotten (`None`) with them.
        cursors: Vec<(String, Option<Vec<u8>>)>,
    },
    /// The state at this position.
    State {
        /// Events in the channel.
        events: u64,
        /// Their size.
        bytes: u64,
        /// The oldest event's sequence.
        oldest_sequence: u64,
        /// The numbers of the complete segments that are needed.
        segments: Vec<u64>,
        /// Names of cursors.
        cursors: Vec<String>,
    },
    /// Nothing but what the header says.
    Nothing,
    /// A payload that its checksum proves and that does not decode.
    Malformed(String),
}

/// Tells `visit` the records of the log in `directory` in order, until it breaks off. Damage is told and
/// passed over. Nothing is written and no lock is taken: beside a running owner, records that are being
/// written look like flaws.
pub fn dump(
    directory: impl AsRef<Path>,
    visit: &mut dyn FnMut(DumpedRecord) -> ControlFlow<()>,
) -> Result<(), OpenError> {
    dump_on(storage_at(directory.as_ref())?, visit)
}

/// As [`dump`], on any storage.
pub fn dump_on(
    storage: Arc<dyn Storage>,
    visit: &mut dyn FnMut(DumpedRecord) -> ControlFlow<()>,
) -> Result<(), OpenError> {
    let evidence = Evidence::gather(Directory { storage }, &mut Findings::default())?;
    for (index, segment) in evidence.segments.iter().enumerate() {
        let is_last = index + 1 == evidence.segments.len();
        if dump_segment(&evidence, segment, is_last, visit)?.is_break() {
            break;
        }
    }
    Ok(())
}

fn dump_segment(
    evidence: &Evidence,
    segment: &Segment,
    is_last: bool,
    visit: &mut dyn FnMut(DumpedRecord) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, OpenError> {
    let number = segment.number;
    if let Some(flaw) = &segment.flaw {
        let (expected, found) = (flaw.expected.clone(), flaw.found.clone());
        let flaw = DumpedRecord::Flaw { segment: number, offset: 0, size: PAGE, expected, found };
        if visit(flaw).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    if let Some(header) = &segment.header {
        let record = DumpedRecord::Segment {
            segment: number,
            lsn: header.base.0,
            first_sequence: header.first_sequence,
            capacity: header.capacity,
            epoch: header.epoch,
        };
        if visit(record).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    if segment.base.is_none() {
        return Ok(ControlFlow::Continue(()));
    }
    let mut records = Records::open(&evidence.directory, &evidence.channel_id, segment, PAGE)?;
    while let Some(item) = records.next()? {
        let told = match item {
            Item::Record { offset, found } => record(number, offset, &found),
            Item::Flaw(hole) if hole.last && hole.blank && !segment.is_limit_known => break,
            Item::Flaw(hole) => broken(number, hole, is_last && !segment.is_limit_known),
        };
        if visit(told).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn broken(segment: u64, hole: Hole, is_open_end: bool) -> DumpedRecord {
    let (offset, size) = (hole.range.start, hole.range.end - hole.range.start);
    if hole.last && is_open_end {
        return DumpedRecord::Remains { segment, offset, size };
    }
    let (expected, found) = (hole.flaw.expected, hole.flaw.found);
    DumpedRecord::Flaw { segment, offset, size, expected, found }
}

fn record(segment: u64, offset: u64, found: &Found) -> DumpedRecord {
    let header = &found.header;
    DumpedRecord::Record {
        segment,
        offset,
        lsn: header.lsn.0,
        kind: header.kind.name(),
        sequence: header.sequence,
        watermark: header.watermark.0,
        payload_size: u64::from(header.payload_size),
        content: content(found),
    }
}

fn content(found: &Found) -> RecordContent {
    let payload = &found.payload;
    match found.header.kind {
        Kind::Put | Kind::Moved => match decode_put_head(payload) {
            Ok(head) => RecordContent::Put {
                events: head.count,
                bytes: (payload.len() - head.events_at) as u64,
                cursors: head.cursors.into_iter().collect(),
            },
            Err(malformed) => RecordContent::Malformed(malformed.0.to_string()),
        },
        Kind::Ack => match decode_ack(payload) {
            Ok(ack) => RecordContent::Ack {
                ranges: ack.ranges,
                bytes: ack.bytes,
                cursors: ack.cursors.into_iter().collect(),
            },
            Err(malformed) => RecordContent::Malformed(malformed.0.to_string()),
        },
        Kind::State => state(payload),
        Kind::Watermark | Kind::Close => RecordContent::Nothing,
    }
}

fn state(payload: &[u8]) -> RecordContent {
    let malformed = || RecordContent::Malformed("a state of another encoding".into());
    let Some(state) = State::decode(payload) else { return malformed() };
    let Some(queue) = Queue::decode(&state.upper) else { return malformed() };
    RecordContent::State {
        events: queue.events(),
        bytes: queue.bytes(),
        oldest_sequence: queue.acked().low(),
        segments: state.sealed.iter().map(|sealed| sealed.number).collect(),
        cursors: queue.cursors().keys().cloned().collect(),
    }
}
