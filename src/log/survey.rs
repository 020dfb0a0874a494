//! Finding out what a log holds, without writing a byte: the checkpoint, then the records after it, then the
//! verdict on how the log ends. The verdict's table is in `docs/CRASH_SAFETY.md`, a reason for each row.

use std::collections::BTreeMap;
use std::ops::Range;

use super::checkpoint::Checkpoint;
use super::directory::{Directory, Listing};
use super::error::{Damage, LogError};
use super::lsn::Lsn;
use super::record::{Flaw, Kind, RecordHeader};
use super::scan::{ScanError, Scanner};
use super::segment::{PAGE, SegmentHeader, segment_name};
use super::start::{Slot, Start, find_start, open_scanner};
use crate::bytes::Bytes;
use crate::storage::Access;

/// What is built on the log: given the checkpoint's state and then every record after it, in order.
/// An error text says what does not fit; the log reports it as damage.
pub(crate) trait Replay {
    /// Starts from the state a checkpoint holds.
    fn restore(&mut self, upper: &[u8]) -> Result<(), String>;
    /// Applies a put or an ack.
    fn apply(&mut self, header: &RecordHeader, payload: &Bytes) -> Result<(), String>;
    /// The sequence the next put gets.
    fn next_sequence(&self) -> u64;
    /// Whether any event of the range is still wanted.
    fn wants(&self, sequences: Range<u64>) -> bool;
}

/// How a log ends: one row of the decision table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Closed in good order, and nothing written since.
    Clean,
    /// Not closed; behind the last record there are only zeros.
    Blank,
    /// Not closed; behind the last record there is something that is no record: an older segment's remains
    /// in a recycled file, or a last write that was cut off. Nothing in it was ever acknowledged.
    Torn,
    /// A new channel that has no segment yet.
    Unborn,
}

/// The segment that was being written.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    pub(crate) header: SegmentHeader,
    /// Where in the file the last record ends.
    pub(crate) end_offset: u64,
}

impl Tail {
    pub(crate) fn name(&self) -> String {
        segment_name(self.header.number)
    }

    pub(crate) fn end(&self) -> Lsn {
        self.header.base.plus(self.end_offset - PAGE)
    }
}

/// What a log holds.
#[derive(Debug)]
pub(crate) struct Survey {
    /// The checkpoint that the survey began with: a slot's, or one made of the tail's first record.
    pub(crate) checkpoint: Checkpoint,
    pub(crate) tail: Option<Tail>,
    pub(crate) end: End,
    /// Everything below was synced, says a witness.
    pub(crate) watermark: Lsn,
    /// Records with events that no witness calls synced: where in the tail they begin, and their sum.
    pub(crate) unproven: Unproven,
    pub(crate) replayed_bytes: u64,
    pub(crate) slots: [Slot; 2],
    pub(crate) listing: Listing,
    /// How large the files of complete segments are, by number; of those that still hold a wanted event.
    pub(crate) sizes: BTreeMap<u64, u64>,
}

/// The end of the tail that no witness calls synced.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unproven {
    /// Where it begins in the tail's file.
    pub(crate) offset: u64,
    /// Its first event; `None` when it holds none.
    pub(crate) first_sequence: Option<u64>,
    /// Bytes of its records that hold events.
    pub(crate) size: u64,
}

impl Survey {
    /// The first sequence behind the proven part, where `next_sequence` is the one behind the whole.
    pub(crate) fn proven_sequence(&self, next_sequence: u64) -> u64 {
        self.unproven.first_sequence.unwrap_or(next_sequence)
    }

    /// The position behind the proven part.
    pub(crate) fn proven_end(&self) -> Lsn {
        let tail = self.tail.as_ref();
        tail.map_or(Lsn(0), |tail| tail.header.base.plus(self.unproven.offset - PAGE))
    }
}

/// Reads a log: see the module. Nothing is written.
pub(crate) fn survey(directory: &Directory, replay: &mut dyn Replay) -> Result<Survey, LogError> {
    // Whatever fails to be read, wherever, says nothing about the bytes; nor does what is not understood.
    find_out(directory, replay).inspect_err(|error| match error {
        LogError::Storage(_) => mark!(T1),
        LogError::Unsupported { .. } => mark!(T2),
        LogError::Absent(_) | LogError::Damaged(_) => {}
    })
}

fn find_out(directory: &Directory, replay: &mut dyn Replay) -> Result<Survey, LogError> {
    let listing = directory.list()?;
    let Start { slots, checkpoint, tail } = find_start(directory, &listing)?;
    if tail.is_some() {
        restore(replay, &checkpoint)?;
    }
    let mut survey = Survey {
        tail: None,
        end: End::Unborn,
        watermark: checkpoint.watermark,
        unproven: Unproven::default(),
        replayed_bytes: 0,
        checkpoint,
        slots,
        listing,
        sizes: BTreeMap::new(),
    };
    let mut walk = Walk { directory, replay, survey: &mut survey };
    if let Some(tail) = tail {
        walk.replay_tail(tail)?;
    }
    survey.sizes = check_sealed(directory, &survey, replay)?;
    Ok(survey)
}

fn restore(replay: &mut dyn Replay, checkpoint: &Checkpoint) -> Result<(), LogError> {
    replay.restore(&checkpoint.state.upper).map_err(|problem| {
        mark!(T12a);
        let flaw = Flaw::new("a state that fits", problem);
        let (file, offset) = match checkpoint.generation {
            0 => (segment_name(checkpoint.tail), PAGE),
            generation => (format!("the checkpoint of generation {generation}"), 0),
        };
        Damage { file, offset, flaw, sequences: None }.into()
    })
}

/// Both slots say that the channel was closed at the same place. One alone is a close or an opening that was
/// cut off, or a file from elsewhere; it is not relied on, since the unclean way is always right.
fn both_slots_clean(survey: &Survey) -> bool {
    let end = survey.tail.as_ref().map(Tail::end);
    let is_clean = |slot: &Slot| match slot {
        Slot::Valid(c) => c.clean && Some(c.lsn) == end && c.watermark <= c.lsn,
        _ => false,
    };
    if planted!(CleanByOneSlot) {
        return survey.slots.iter().any(is_clean);
    }
    survey.slots.iter().all(is_clean)
}

/// Replays the tail until the log ends.
struct Walk<'a> {
    directory: &'a Directory,
    replay: &'a mut dyn Replay,
    survey: &'a mut Survey,
}

impl Walk<'_> {
    /// Replays the newest segment to where its records end, and judges that end.
    fn replay_tail(&mut self, segment: SegmentHeader) -> Result<(), LogError> {
        let name = segment_name(segment.number);
        self.check_place(&segment)?;
        let mut scanner = open_scanner(self.directory, &segment)?;
        let limit = self.tail_limit(&segment, &name)?;
        let mut offset = scanner.offset_of(self.survey.checkpoint.lsn);
        if offset > limit {
            mark!(T11);
            // Less than the checkpoint saw synced.
            let flaw = Flaw::new(format!("a file of {offset} bytes"), format!("{limit} bytes"));
            return Err(self.damage(name, limit, flaw).into());
        }
        let flaw = loop {
            match self.step(&mut scanner, &segment, offset, limit)? {
                Ok(next) => offset = next,
                Err(flaw) => break flaw,
            }
        };
        let end = scanner.lsn_at(offset);
        let capacity = segment.capacity;
        self.survey.tail = Some(Tail { header: segment, end_offset: offset });
        self.survey.unproven.offset = offset;
        // Closed here, and not opened since: what lies behind is the rest of a recycled file.
        if both_slots_clean(self.survey) {
            mark!(T13);
            self.survey.end = End::Clean;
            return Ok(());
        }
        // The file had its whole length, synced, before the first record in it was acknowledged: no crash
        // makes it shorter, and what was cut off may have held records and the witnesses of their sync.
        if limit < capacity {
            mark!(T11);
            let flaw = Flaw::new(format!("a file of {capacity} bytes"), format!("{limit} bytes"));
            return Err(self.damage(name, limit, flaw).into());
        }
        let directory = self.directory;
        let io = |error| LogError::from(directory.error(&name, "read", error));
        let behind = scanner.look_behind(offset, limit).map_err(io)?;
        let promised = behind.watermark.unwrap_or_default().max(self.survey.watermark);
        if promised > end && !planted!(CutOnDamage) {
            mark!(T14);
            let found =
                format!("{} (a later witness says that Lsn {promised} was synced)", flaw.found);
            let next = scanner.next_sequence(offset, limit).map_err(io)?;
            let mut damage = self.damage(name, offset, Flaw::new(flaw.expected, found));
            if let Some((sequences, next)) = damage.sequences.as_mut().zip(next) {
                sequences.end = next.max(sequences.start);
            }
            return Err(damage.into());
        }
        self.find_unproven(&mut scanner, offset)?;
        self.survey.end = if behind.is_blank { End::Blank } else { End::Torn };
        mark!(T15 if behind.is_blank, else T16);
        Ok(())
    }

    /// The tail follows the complete segments, and begins with events that the state counts already or with
    /// the next.
    fn check_place(&self, segment: &SegmentHeader) -> Result<(), Damage> {
        let last = self.survey.checkpoint.state.sealed.last();
        let from = last.map_or(0, |last| last.end_sequence());
        let next = self.replay.next_sequence();
        let follows = last.is_none_or(|last| last.number < segment.number);
        if follows && (from..=next).contains(&segment.first_sequence) {
            return Ok(());
        }
        mark!(T5a);
        let expected = format!("a segment that begins with a sequence from {from} to {next}");
        let found = format!("segment {} with {}", segment.number, segment.first_sequence);
        Err(self.damage(segment_name(segment.number), 0, Flaw::new(expected, found)))
    }

    /// Looks through what lies between the highest watermark and the end: watermarks are ends of records.
    fn find_unproven(&mut self, scanner: &mut Scanner, end: u64) -> Result<(), LogError> {
        let mut offset = scanner.offset_of(self.survey.watermark).min(end);
        let mut unproven = Unproven { offset, ..Unproven::default() };
        while offset < end {
            let header = scanner.header_at(offset, end).map_err(|error| match error {
                ScanError::Io(error) => {
                    let name = segment_name(self.survey.checkpoint.tail);
                    LogError::from(self.directory.error(&name, "read", error))
                }
                ScanError::Invalid(flaw) => {
                    mark!(T14a);
                    self.damage(segment_name(self.survey.checkpoint.tail), offset, flaw).into()
                }
            })?;
            if header.kind.has_events() {
                unproven.first_sequence.get_or_insert(header.sequence);
                unproven.size += header.record_size();
            }
            offset += header.record_size();
        }
        self.survey.unproven = unproven;
        Ok(())
    }

    fn tail_limit(&self, segment: &SegmentHeader, name: &str) -> Result<u64, LogError> {
        let file = self.directory.open(name, Access::Read)?;
        Ok(self.directory.size(&*file, name)?.min(segment.capacity))
    }

    /// Applies the record at `offset` and gives the next offset, or says why there is none.
    fn step(
        &mut self,
        scanner: &mut Scanner,
        segment: &SegmentHeader,
        offset: u64,
        limit: u64,
    ) -> Result<Result<u64, Flaw>, LogError> {
        let name = || segment_name(segment.number);
        let found = match scanner.record_at(offset, limit) {
            Ok(found) => found,
            Err(ScanError::Invalid(flaw)) => return Ok(Err(flaw)),
            Err(ScanError::Io(_)) if planted!(ReadErrorIsTheEnd) => {
                return Ok(Err(Flaw::new("a record", "a failed read")));
            }
            Err(ScanError::Io(error)) => {
                return Err(self.directory.error(&name(), "read", error).into());
            }
        };
        let header = found.header;
        let next_sequence = self.replay.next_sequence();
        let applied = match header.kind {
            // Counted in the state at the segment's beginning.
            Kind::Moved if (segment.first_sequence..=next_sequence).contains(&header.sequence) => {
                Ok(())
            }
            _ if header.sequence != next_sequence => Err(format!("sequence {}", header.sequence)),
            Kind::Put | Kind::Ack => self.replay.apply(&header, &found.payload),
            Kind::State | Kind::Watermark | Kind::Close | Kind::Moved => Ok(()),
        };
        if let Err(problem) = applied {
            mark!(T12);
            let expected =
                format!("a record that follows sequence {}", self.replay.next_sequence());
            return Err(self.damage(name(), offset, Flaw::new(expected, problem)).into());
        }
        self.survey.watermark = self.survey.watermark.max(header.watermark);
        self.survey.replayed_bytes += header.record_size();
        Ok(Ok(offset + header.record_size()))
    }

    fn damage(&self, file: String, offset: u64, flaw: Flaw) -> Damage {
        let sequences = Some(self.replay.next_sequence()..u64::MAX);
        Damage { file, offset, flaw, sequences }
    }
}

/// Every complete segment that holds a wanted event must be there in full length. Gives their lengths: to ask
/// again for each would be half of what an opening costs by the backlog.
fn check_sealed(
    directory: &Directory,
    survey: &Survey,
    replay: &dyn Replay,
) -> Result<BTreeMap<u64, u64>, LogError> {
    let mut sizes = BTreeMap::new();
    for sealed in &survey.checkpoint.state.sealed {
        let sequences = sealed.first_sequence..sealed.end_sequence();
        if !replay.wants(sequences.clone()) || planted!(SealedNotChecked) {
            continue;
        }
        let file = segment_name(sealed.number);
        let expected = PAGE + sealed.size;
        let found = match directory.size_if_there(&file)? {
            None => "no such file".to_string(),
            Some(size) if size >= expected => {
                sizes.insert(sealed.number, size);
                continue;
            }
            Some(size) => format!("{size} bytes"),
        };
        mark!(T17);
        let flaw = Flaw::new(format!("a segment of {expected} bytes"), found);
        return Err(Damage { file, offset: 0, flaw, sequences: Some(sequences) }.into());
    }
    Ok(sizes)
}
