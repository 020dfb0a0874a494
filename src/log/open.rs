//! Making a surveyed log ready to be written.
//!
//! Every opening first writes both slots: it takes the next epoch, says that the end is no clean one any
//! more, and sets the number of the next segment aside, so that no number is used twice even if this opening
//! fails.
//!
//! After a clean stop writing then goes on where it ended. After any other stop nothing is ever appended
//! behind the old end: what lies there may be a part of a lost write, which a new record of the right
//! length would bring back to life. A new segment begins, with the unproven end of the old one carried over
//! ([`Moving`]).

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::begin::{Claim, NewSegment, open_lanes, reserve_size};
use super::behind::Behind;
use super::checkpoint::{Checkpoint, SLOTS, Sealed};
use super::directory::Directory;
use super::error::LogError;
use super::lsn::Lsn;
use super::moving::{Moving, rewrite};
use super::pool::{Pool, is_full};
use super::segment::{PAGE, STATED_MAX, SegmentHeader};
use super::slots::Slots;
use super::start::{Slot, open_scanner};
use super::survey::{End, Survey, Tail, Unproven};
use super::writer::{Keeper, Log, Segments, View, Writer};
use crate::storage::{Access, StorageError};
use crate::sync::{AtomicBool, AtomicU64, Mutex, lock};

/// Numbers that an opening leaves for those it and its segments will use.
const NUMBERS_LEFT: u64 = 1 << 48;
/// An opening passes over fewer numbers. There is room for 10^11 openings and more.
const PASSED_OVER_END: u64 = 1 << 24;

/// How a log is written.
#[derive(Clone, Debug)]
pub(crate) struct LogOptions {
    pub(crate) segment_size: u64,
    /// Bytes of the largest ack record there can be.
    pub(crate) ack_size_max: u64,
}

impl Log {
    /// Begins a log in an empty directory.
    pub(crate) fn create(
        directory: Directory,
        options: &LogOptions,
        upper: Vec<u8>,
    ) -> Result<Option<Log>, LogError> {
        let survey = Survey {
            checkpoint: Checkpoint::unborn(directory.storage.unique_id()),
            tail: None,
            end: End::Unborn,
            watermark: Lsn(0),
            unproven: Unproven::default(),
            replayed_bytes: 0,
            slots: [Slot::Absent, Slot::Absent],
            listing: directory.list()?,
            sizes: BTreeMap::new(),
        };
        let view = View { upper, lsn: Lsn(0), next_sequence: 0, is_done: &|_| false };
        Log::open(directory, options, &survey, &view)
    }

    /// Makes the log writable. `view` is the state at its end. `None` when the disk has no room, not even in
    /// reserve, for what an opening must write.
    pub(crate) fn open(
        directory: Directory,
        options: &LogOptions,
        survey: &Survey,
        view: &View<'_>,
    ) -> Result<Option<Log>, LogError> {
        if let Some(tail) = survey.tail.as_ref().filter(|_| survey.end == End::Clean)
            && !restore_size(&directory, tail)?
        {
            return Ok(None);
        }
        let mut slots = Slots::open(directory.clone(), &survey.slots, survey.tail.is_none())?;
        let mut checkpoint = survey.checkpoint.clone();
        let newest = survey.listing.segments.keys().next_back().copied().unwrap_or(0);
        let known = checkpoint.numbers_used.max(newest);
        let numbers_used = known + passed_over(&directory, &checkpoint);
        refuse_used_up(&checkpoint, numbers_used)?;
        checkpoint.numbers_used = numbers_used + 1;
        checkpoint.epoch += 1;
        checkpoint.clean &= planted!(OpeningLeavesMark);
        if survey.tail.is_none() {
            slots.renew_the_only_one();
        }
        // Both slots: the next opening writes over the newest first, and if power fails in that write, what
        // is left must know of the number that is set aside here.
        if !slots.write(&mut checkpoint)? {
            return Ok(None);
        }
        let one_only = planted!(CleanByOneSlot) || planted!(OlderSlotFirst);
        if !one_only && !slots.write(&mut checkpoint)? {
            return Ok(None);
        }
        // What the listing shows may not be durable yet: see the pool on why that matters.
        directory.sync()?;
        let pool = Pool::new(directory.clone(), options.segment_size);
        let mut keeper = Keeper { slots, pool, lsn: checkpoint.lsn, numbers_used, closed: false };
        let state_size = view.upper.len() + checkpoint.state.sealed.len() * 8;
        keeper.pool.plan_reserve(reserve_size(state_size, options.ack_size_max));
        adopt_files(&directory, survey, &mut keeper.pool)?;
        let writer = match &survey.tail {
            None => unborn_writer(survey),
            Some(tail) => writer_at(&directory, tail, view)?,
        };
        let log = Log {
            segments: Mutex::new(Segments {
                sealed: checkpoint.state.sealed.clone(),
                tail: writer.header.number,
                tail_base: writer.header.base,
                pinned: None,
            }),
            channel_id: checkpoint.channel_id,
            epoch: checkpoint.epoch,
            segment_size: options.segment_size,
            ack_size_max: options.ack_size_max,
            watermark: AtomicU64::new(survey.watermark.0),
            behind: Behind::of(&writer),
            writer: Mutex::new(writer),
            keeper: Mutex::new(keeper),
            syncs: AtomicU64::new(0),
            reserve_complete: AtomicBool::new(false),
            directory,
        };
        match &survey.tail {
            None => log.begin_first(view),
            Some(_) if survey.end == End::Clean || planted!(AppendBehindTornEnd) => {
                log.resume(state_size)
            }
            Some(tail) => log.supersede(survey, tail, view),
        }
    }

    /// The first segment of a new log. Its identity is durable already, in the slot that [`Log::open`]
    /// wrote, so a segment without a readable header is never taken for the start of a new log.
    fn begin_first(self, view: &View<'_>) -> Result<Option<Log>, LogError> {
        let request = NewSegment {
            base: Lsn(0),
            first_sequence: 0,
            needed: 0,
            claim: Claim::Ack,
            moved: None,
        };
        let mut keeper = lock(&self.keeper);
        let begun = self.begin_segment(&mut keeper, &request, &[], view)?;
        drop(keeper);
        let Some(writer) = begun else {
            return Ok(None);
        };
        mark!(P8);
        lock(&self.segments).tail = writer.header.number;
        self.behind.turn_to(&writer);
        *lock(&self.writer) = writer;
        Ok(Some(self))
    }

    /// Goes on in the old tail.
    fn resume(self, state_size: usize) -> Result<Option<Log>, LogError> {
        mark!(P9);
        let mut keeper = lock(&self.keeper);
        let unique = keeper.numbers_used;
        self.replenish(&mut keeper, self.reserve_size(state_size), unique)?;
        drop(keeper);
        Ok(Some(self))
    }

    /// Ends the old tail where the proof of its records ends, and begins a new segment with the rest.
    ///
    /// On a disk too full for the copy the rest is written again in place, which needs no room: the one
    /// case in which a loss of power can tear records that may have been acknowledged. The alternative is a
    /// channel that does not open.
    fn supersede(
        self,
        survey: &Survey,
        tail: &Tail,
        view: &View<'_>,
    ) -> Result<Option<Log>, LogError> {
        let rest = Unproven { offset: tail.end_offset, ..Unproven::default() };
        if planted!(NothingCarriedOver) {
            return Ok(self.carry_over(rest, tail, view)?.then_some(self));
        }
        if self.carry_over(survey.unproven, tail, view)? {
            mark!(P11 if survey.unproven.size == 0, else P10);
            self.cut(tail, survey.unproven.offset)?;
            return Ok(Some(self));
        }
        mark!(P12);
        rewrite(&self.directory, &tail.name(), survey.unproven.offset..tail.end_offset)?;
        Ok(self.carry_over(rest, tail, view)?.then_some(self))
    }

    /// Begins the segment after `tail`. False when the disk has no room for it.
    fn carry_over(
        &self,
        unproven: Unproven,
        tail: &Tail,
        view: &View<'_>,
    ) -> Result<bool, LogError> {
        let proven_sequence = unproven.first_sequence.unwrap_or(view.next_sequence);
        let sealed = Sealed {
            number: tail.header.number,
            base: tail.header.base,
            size: unproven.offset - PAGE,
            first_sequence: tail.header.first_sequence,
            events: proven_sequence - tail.header.first_sequence,
        };
        let moved = Moving {
            directory: &self.directory,
            number: tail.header.number,
            scanner: RefCell::new(open_scanner(&self.directory, &tail.header)?),
            unproven,
            end_offset: tail.end_offset,
        };
        let request = NewSegment {
            base: sealed.end(),
            first_sequence: proven_sequence,
            needed: 0,
            claim: Claim::Ack,
            moved: Some(moved),
        };
        let mut writer = lock(&self.writer);
        let mut keeper = lock(&self.keeper);
        Ok(self.succeed(&mut writer, &mut keeper, sealed, &request, view)?)
    }

    /// Gives back the blocks behind the old tail's end: every crash would otherwise leave a segment's worth
    /// of them. Nothing there counts, so it does not matter when this becomes durable.
    fn cut(&self, tail: &Tail, end_offset: u64) -> Result<(), LogError> {
        let name = tail.name();
        let number = tail.header.number;
        let is_listed = lock(&self.segments).sealed.iter().any(|sealed| sealed.number == number);
        if !is_listed {
            // It held nothing that is wanted, so its file has been recycled.
            mark!(P14);
            return Ok(());
        }
        let file = self.directory.open(&name, Access::ReadWrite)?;
        let size = self.directory.size(&*file, &name)?;
        let end = end_offset.next_multiple_of(PAGE);
        if end < size {
            mark!(P13);
            file.set_size(end).map_err(|error| self.directory.error(&name, "cut", error))?;
            lock(&self.keeper).pool.uncount(size - end);
        }
        Ok(())
    }
}

/// Numbers that are left out, by chance: this directory may have been put back to an earlier day, and hold
/// files of a later one (a backup over a channel, or both slots lost). Counted on by one, the next segment
/// would get the number that another had on the later day, and the records of that one, in a file that waits
/// under whatever name, would be valid in it. Two histories that part here hardly share a number.
fn passed_over(directory: &Directory, checkpoint: &Checkpoint) -> u64 {
    // A new log has an identity of its own.
    let is_new = checkpoint.epoch == 0;
    if is_new { 0 } else { u64::from(directory.storage.chance()) % PASSED_OVER_END }
}

/// What this opening writes must be what the next one reads: numbers above [`STATED_MAX`] are refused there.
fn refuse_used_up(checkpoint: &Checkpoint, numbers_used: u64) -> Result<(), LogError> {
    let highest = checkpoint.generation.max(checkpoint.epoch).max(numbers_used);
    if highest < STATED_MAX - NUMBERS_LEFT {
        return Ok(());
    }
    let reason = format!("the number {highest}, which no log reaches");
    Err(LogError::Unsupported { file: SLOTS[0].to_string(), reason })
}

/// Sorts the files in the directory: those in use are counted, waiting ones adopted, and segments that the
/// state does not list (left by a crash between a checkpoint and the recycling, or while a segment was
/// prepared) recycled.
fn adopt_files(
    directory: &Directory,
    survey: &Survey,
    pool: &mut Pool,
) -> Result<(), StorageError> {
    for draft in &survey.listing.drafts {
        mark!(P3);
        directory.remove(draft)?;
    }
    pool.adopt(&survey.listing.spares, &survey.listing.reserves)?;
    let tail = survey.tail.as_ref().map(|tail| tail.header.number);
    for (number, name) in &survey.listing.segments {
        let listed = survey
            .checkpoint
            .state
            .sealed
            .binary_search_by_key(number, |sealed| sealed.number)
            .is_ok();
        let size = match survey.sizes.get(number) {
            Some(size) => *size,
            None => directory.size_if_there(name)?.unwrap_or(0),
        };
        pool.count(size);
        if !listed && tail != Some(*number) {
            mark!(P7);
            pool.recycle(*number)?;
        }
    }
    Ok(())
}

/// Gives the tail its whole size again, should somebody have cut it behind the last record of a closed
/// channel. Otherwise the next opening after an unclean stop would find it short, and have to take that for
/// damage. So it comes before the mark of the close is taken back. False when the disk has no room.
fn restore_size(directory: &Directory, tail: &Tail) -> Result<bool, StorageError> {
    let name = tail.name();
    let file = directory.open(&name, Access::Read)?;
    if directory.size(&*file, &name)? >= tail.header.capacity {
        return Ok(true);
    }
    let file = directory.open(&name, Access::ReadWrite)?;
    match file.allocate(tail.header.capacity).and_then(|()| file.sync_all()) {
        Ok(()) => Ok(true),
        Err(error) if is_full(&error) => Ok(false),
        Err(error) => Err(directory.error(&name, "restore the size of", error)),
    }
}

fn unborn_writer(survey: &Survey) -> Writer {
    let header = SegmentHeader {
        channel_id: survey.checkpoint.channel_id,
        number: 0,
        base: Lsn(0),
        first_sequence: 0,
        capacity: PAGE,
        epoch: 0,
    };
    Writer::new(header, PAGE, 0, Vec::new())
}

fn writer_at(directory: &Directory, tail: &Tail, view: &View<'_>) -> Result<Writer, StorageError> {
    let lanes = open_lanes(directory, &tail.name(), Vec::new())?;
    Ok(Writer::new(tail.header.clone(), tail.end_offset, view.next_sequence, lanes))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_no_log_reaches_are_refused_before_they_are_written_on() {
        let highest = STATED_MAX - NUMBERS_LEFT;
        let with = |generation, epoch| {
            let unborn = Checkpoint::unborn([1; 16]);
            Checkpoint { generation, epoch, ..unborn }
        };
        assert!(refuse_used_up(&with(highest - 1, highest - 1), highest - 1).is_ok());
        // What is let through can go on: for ten days and more with a million checkpoints a second.
        assert!(highest <= STATED_MAX - (1 << 40));
        for (generation, epoch, used) in [(highest, 0, 0), (0, highest, 0), (0, 0, highest)] {
            assert!(refuse_used_up(&with(generation, epoch), used).is_err());
        }
    }
}
