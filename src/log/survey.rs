//! Finding out what a log holds, without writing a byte: the checkpoint, then the records after it, then the
//! verdict on how the log ends. The verdict's table is in `docs/CRASH_SAFETY.md`, a reason for each row.

use std::ops::Range;
use std::sync::Arc;

use super::checkpoint::{Checkpoint, SLOTS, State};
use super::directory::{Directory, Listing};
use super::error::{Damage, LogError};
use super::lsn::Lsn;
use super::record::{ALIGNMENT, Flaw, Kind, RecordHeader, Seed};
use super::scan::{Origin, ScanError, Scanner};
use super::segment::{HeaderFlaw, PAGE, SegmentHeader, segment_name};
use crate::bytes::Bytes;
use crate::storage::{Access, File, read_full_at};

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

/// The state of a checkpoint slot.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    Absent,
    Valid(Checkpoint),
    Invalid(Flaw),
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
    let listing = directory.list()?;
    let slots = [read_slot(directory, SLOTS[0])?, read_slot(directory, SLOTS[1])?];
    let best = best_slot(&slots)?;
    let by_slot = best.is_some();
    let (checkpoint, tail) = match best {
        Some(checkpoint) => {
            let tail = named_tail(directory, &listing, &checkpoint)?;
            (checkpoint, tail)
        }
        None => {
            refuse_a_lost_beginning(&slots, &listing)?;
            let header = newest_segment(directory, &listing)?;
            (first_state(directory, &header)?, Some(header))
        }
    };
    if tail.is_some() {
        restore(replay, &checkpoint, by_slot)?;
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
    };
    let mut walk = Walk { directory, replay, survey: &mut survey };
    walk.refuse_newer_records(by_slot)?;
    if let Some(tail) = tail {
        walk.replay_tail(tail)?;
    }
    check_sealed(directory, &survey, replay)?;
    Ok(survey)
}

fn restore(
    replay: &mut dyn Replay,
    checkpoint: &Checkpoint,
    by_slot: bool,
) -> Result<(), LogError> {
    replay.restore(&checkpoint.state.upper).map_err(|problem| {
        let flaw = Flaw::new("a state that fits", problem);
        let (file, offset) = match by_slot {
            true => (format!("the checkpoint of generation {}", checkpoint.generation), 0),
            false => (segment_name(checkpoint.tail), PAGE),
        };
        Damage { file, offset, flaw, sequences: None }.into()
    })
}

/// Both slots are there, neither is valid, and there is no segment: this was a channel. A first opening that was
/// cut off leaves the first slot at most, since the second is made when the first is synced.
fn refuse_a_lost_beginning(slots: &[Slot; 2], listing: &Listing) -> Result<(), LogError> {
    match slots {
        [Slot::Invalid(flaw), Slot::Invalid(_)] if listing.segments.is_empty() => {
            let (file, flaw) = (SLOTS[0].to_string(), flaw.clone());
            Err(Damage { file, offset: 0, flaw, sequences: None }.into())
        }
        _ => Ok(()),
    }
}

pub(crate) fn read_slot(directory: &Directory, name: &str) -> Result<Slot, LogError> {
    let Some(file) = directory.open_if_there(name, Access::Read)? else {
        return Ok(Slot::Absent);
    };
    let bytes = read_whole(directory, &*file, name)?;
    match Checkpoint::decode(&bytes) {
        Ok(checkpoint) => Ok(Slot::Valid(checkpoint)),
        Err(HeaderFlaw::Invalid(flaw)) => Ok(Slot::Invalid(flaw)),
        Err(HeaderFlaw::Unsupported(reason)) => {
            Err(LogError::Unsupported { file: name.to_string(), reason })
        }
    }
}

/// A slot's file is as large as the state once was, twice over; its size comes from the file system.
pub(crate) fn read_whole(
    directory: &Directory,
    file: &dyn File,
    name: &str,
) -> Result<Vec<u8>, LogError> {
    let size = directory.size(file, name)?;
    let mut bytes = Vec::new();
    let too_large = || {
        let kind = std::io::ErrorKind::OutOfMemory;
        LogError::Storage(directory.error(name, "hold in memory", kind.into()))
    };
    let size = usize::try_from(size).map_err(|_| too_large())?;
    bytes.try_reserve_exact(size).map_err(|_| too_large())?;
    bytes.resize(size, 0);
    let count =
        read_full_at(file, &mut bytes, 0).map_err(|error| directory.error(name, "read", error))?;
    bytes.truncate(count);
    Ok(bytes)
}

/// The valid slot with the highest generation. Two that contradict each other are not chosen between.
fn best_slot(slots: &[Slot; 2]) -> Result<Option<Checkpoint>, LogError> {
    let (a, b) = match (&slots[0], &slots[1]) {
        (Slot::Valid(a), Slot::Valid(b)) => (a, b),
        (Slot::Valid(only), _) | (_, Slot::Valid(only)) => return Ok(Some(only.clone())),
        _ => return Ok(None),
    };
    let conflict = |expected: String, found: String| {
        let flaw = Flaw::new(expected, found);
        Damage { file: SLOTS[1].to_string(), offset: 0, flaw, sequences: None }
    };
    if a.channel_id != b.channel_id {
        let expected = format!("channel {}, as {} says", hex(&a.channel_id), SLOTS[0]);
        return Err(conflict(expected, format!("channel {}", hex(&b.channel_id))).into());
    }
    if a.generation == b.generation && a != b {
        let expected = format!("another generation than {}", SLOTS[0]);
        return Err(conflict(expected, format!("generation {} in both", a.generation)).into());
    }
    Ok(Some(if a.generation >= b.generation { a.clone() } else { b.clone() }))
}

/// Both slots say that the channel was closed at the same place. One alone proves nothing: an opening
/// overwrites the other before it writes a record, and that one may since have been damaged.
fn both_slots_clean(survey: &Survey) -> bool {
    let end = survey.tail.as_ref().map(Tail::end);
    survey.slots.iter().all(|slot| matches!(slot, Slot::Valid(c) if c.clean && Some(c.lsn) == end))
}

/// The header of the segment a checkpoint names as the tail: it must be there, whole, and the right one.
fn named_tail(
    directory: &Directory,
    listing: &Listing,
    checkpoint: &Checkpoint,
) -> Result<Option<SegmentHeader>, LogError> {
    let number = checkpoint.tail;
    if number == 0 {
        return Ok(None);
    }
    let file = segment_name(number);
    let damage = |flaw: Flaw| Damage { file: file.clone(), offset: 0, flaw, sequences: None };
    let page = match listing.segments.get(&number) {
        Some(name) => read_page(directory, name)?,
        None => return Err(damage(Flaw::new("the tail segment", "no such file")).into()),
    };
    let header = decode_page(&page, &file)?.map_err(&damage)?;
    check_identity(&header, number, &checkpoint.channel_id).map_err(&damage)?;
    if header.base != checkpoint.tail_base {
        let expected = format!("records from Lsn {} on", checkpoint.tail_base);
        return Err(damage(Flaw::new(expected, format!("from Lsn {}", header.base))).into());
    }
    Ok(Some(header))
}

fn check_identity(header: &SegmentHeader, number: u64, channel: &[u8; 16]) -> Result<(), Flaw> {
    if header.channel_id != *channel {
        let found = format!("a segment of channel {}", hex(&header.channel_id));
        return Err(Flaw::new(format!("a segment of channel {}", hex(channel)), found));
    }
    if header.number != number {
        return Err(Flaw::new(format!("segment {number}"), format!("segment {}", header.number)));
    }
    Ok(())
}

/// Both slots are gone: the newest segment with a valid header counts. A newer file without one was being
/// prepared.
fn newest_segment(directory: &Directory, listing: &Listing) -> Result<SegmentHeader, LogError> {
    let mut first_flaw = None;
    for (number, name) in listing.segments.iter().rev() {
        let flaw = match decode_page(&read_page(directory, name)?, name)? {
            Ok(header) if header.number == *number => return Ok(header),
            Ok(header) => {
                Flaw::new(format!("segment {number}"), format!("segment {}", header.number))
            }
            Err(flaw) => flaw,
        };
        first_flaw.get_or_insert((name.clone(), flaw));
    }
    match first_flaw {
        Some((file, flaw)) => Err(Damage { file, offset: 0, flaw, sequences: None }.into()),
        None => Err(LogError::Absent(match listing.foreign.first() {
            Some(name) => format!("it holds other files (\"{name}\") and no channel"),
            None => "it is empty".to_string(),
        })),
    }
}

/// The checkpoint that the first record of a segment stands for.
fn first_state(directory: &Directory, header: &SegmentHeader) -> Result<Checkpoint, LogError> {
    let name = segment_name(header.number);
    let mut scanner = open_scanner(directory, header)?;
    let damage = |flaw: Flaw| Damage { file: name.clone(), offset: PAGE, flaw, sequences: None };
    let file = directory.open(&name, Access::Read)?;
    let limit = directory.size(&*file, &name)?.max(PAGE);
    let found = match scanner.record_at(PAGE, limit) {
        Ok(found) if found.header.kind == Kind::State => found,
        Ok(found) => {
            let flaw =
                Flaw::new("a state record", format!("a {} record", found.header.kind.name()));
            return Err(damage(flaw).into());
        }
        Err(ScanError::Invalid(flaw)) => return Err(damage(flaw).into()),
        Err(ScanError::Io(error)) => return Err(directory.error(&name, "read", error).into()),
    };
    let state = State::decode(&found.payload)
        .ok_or_else(|| damage(Flaw::new("a well-formed state", "another encoding")))?;
    Ok(Checkpoint {
        channel_id: header.channel_id,
        // Neither slot is valid, so the count begins anew without contradicting one.
        generation: 0,
        epoch: header.epoch,
        clean: false,
        tail: header.number,
        tail_base: header.base,
        numbers_used: header.number,
        lsn: found.header.end(),
        watermark: found.header.end(),
        state,
    })
}

/// The header page of a segment file, or as much as there is of it.
pub(crate) fn read_page(directory: &Directory, name: &str) -> Result<Vec<u8>, LogError> {
    let file = directory.open(name, Access::Read)?;
    let mut page = vec![0; PAGE as usize];
    let count =
        read_full_at(&*file, &mut page, 0).map_err(|error| directory.error(name, "read", error))?;
    page.truncate(count);
    Ok(page)
}

/// The header in a page, or why there is none; an unknown version is an error of its own.
fn decode_page(page: &[u8], name: &str) -> Result<Result<SegmentHeader, Flaw>, LogError> {
    match SegmentHeader::decode(page) {
        Ok(header) => Ok(Ok(header)),
        Err(HeaderFlaw::Invalid(flaw)) => Ok(Err(flaw)),
        Err(HeaderFlaw::Unsupported(reason)) => {
            Err(LogError::Unsupported { file: name.to_string(), reason })
        }
    }
}

/// A scanner of the segment with this header.
pub(crate) fn open_scanner(
    directory: &Directory,
    header: &SegmentHeader,
) -> Result<Scanner, LogError> {
    let name = segment_name(header.number);
    let file = directory.open(&name, Access::Read)?;
    Ok(Scanner::new(Origin::File(Arc::clone(&file)), header.seed(), header.base))
}

pub(crate) fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Replays the tail until the log ends.
struct Walk<'a> {
    directory: &'a Directory,
    replay: &'a mut dyn Replay,
    survey: &'a mut Survey,
}

impl Walk<'_> {
    /// A segment newer than the tail was being prepared. If it holds more than what is written then, it was in
    /// use, and the checkpoint is not the one that belongs to it.
    ///
    /// With a slot to say which segment is the tail, records that an opening copies are nothing more. Without
    /// one, a newer segment with events may be the tail with a damaged header.
    fn refuse_newer_records(&mut self, by_slot: bool) -> Result<(), LogError> {
        let newer = self.survey.listing.segments.range(self.survey.checkpoint.tail + 1..);
        let is_harmless =
            |kind: Kind| if by_slot { kind.begins_segment() } else { kind == Kind::State };
        for (number, name) in newer {
            if let Some((offset, kind)) = self.find_record(*number, name, &is_harmless)? {
                let tail = self.survey.checkpoint.tail;
                let expected =
                    format!("no segment in use after segment {tail}, the last one known");
                let flaw = Flaw::new(expected, format!("a {} record", kind.name()));
                return Err(self.damage(name.clone(), offset, flaw).into());
            }
        }
        Ok(())
    }

    fn find_record(
        &self,
        number: u64,
        name: &str,
        is_harmless: &dyn Fn(Kind) -> bool,
    ) -> Result<Option<(u64, Kind)>, LogError> {
        let file = self.directory.open(name, Access::Read)?;
        let size = self.directory.size(&*file, name)?;
        let seed = Seed::new(&self.survey.checkpoint.channel_id, number);
        // Where its records begin in the log may be known to its header only, so any Lsn will do.
        let mut scanner = Scanner::new(Origin::File(file), seed, Lsn(0)).with_any_lsn();
        let mut from = PAGE;
        while let Some((at, header)) = scanner
            .next_header(from, size)
            .map_err(|error| self.directory.error(name, "read", error))?
        {
            if !is_harmless(header.kind) {
                return Ok(Some((at, header.kind)));
            }
            from = at + ALIGNMENT as u64;
        }
        Ok(None)
    }

    /// Replays the newest segment to where its records end, and judges that end.
    fn replay_tail(&mut self, segment: SegmentHeader) -> Result<(), LogError> {
        let name = segment_name(segment.number);
        let mut scanner = open_scanner(self.directory, &segment)?;
        let limit = self.tail_limit(&segment, &name)?;
        let mut offset = scanner.offset_of(self.survey.checkpoint.lsn);
        if offset > limit {
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
        self.survey.tail = Some(Tail { header: segment, end_offset: offset });
        self.survey.unproven.offset = offset;
        // Closed here, and not opened since: what lies behind is the rest of a recycled file.
        if both_slots_clean(self.survey) {
            self.survey.end = End::Clean;
            return Ok(());
        }
        let directory = self.directory;
        let io = |error| LogError::from(directory.error(&name, "read", error));
        let behind = scanner.look_behind(offset, limit).map_err(io)?;
        let promised = behind.watermark.unwrap_or_default().max(self.survey.watermark);
        if promised > end {
            let found =
                format!("{} (a later witness says that Lsn {promised} was synced)", flaw.found);
            return Err(self.damage(name, offset, Flaw::new(flaw.expected, found)).into());
        }
        self.survey.end = if behind.is_blank { End::Blank } else { End::Torn };
        self.find_unproven(&mut scanner, offset)
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
            Err(ScanError::Io(error)) => {
                return Err(self.directory.error(&name(), "read", error).into());
            }
        };
        let header = found.header;
        let next_sequence = self.replay.next_sequence();
        let applied = match header.kind {
            // Counted in the state at the segment's beginning.
            Kind::Moved if header.sequence <= next_sequence => Ok(()),
            _ if header.sequence != next_sequence => Err(format!("sequence {}", header.sequence)),
            Kind::Put | Kind::Ack => self.replay.apply(&header, &found.payload),
            Kind::State | Kind::Watermark | Kind::Close | Kind::Moved => Ok(()),
        };
        if let Err(problem) = applied {
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

/// Every complete segment that holds a wanted event must be there in full length.
fn check_sealed(
    directory: &Directory,
    survey: &Survey,
    replay: &dyn Replay,
) -> Result<(), LogError> {
    for sealed in &survey.checkpoint.state.sealed {
        let sequences = sealed.first_sequence..sealed.end_sequence();
        if !replay.wants(sequences.clone()) {
            continue;
        }
        let file = segment_name(sealed.number);
        let expected = PAGE + sealed.size;
        let found = match directory.open_if_there(&file, Access::Read)? {
            None => "no such file".to_string(),
            Some(open) => match directory.size(&*open, &file)? {
                size if size >= expected => continue,
                size => format!("{size} bytes"),
            },
        };
        let flaw = Flaw::new(format!("a segment of {expected} bytes"), found);
        return Err(Damage { file, offset: 0, flaw, sequences: Some(sequences) }.into());
    }
    Ok(())
}
