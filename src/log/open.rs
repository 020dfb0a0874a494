//! Making a surveyed log ready to be written.
//!
//! After a clean stop writing goes on where it ended, once a slot says that the channel is open again. After any
//! other stop nothing is ever appended behind the old end: what lies there may be a part of a lost write, which a
//! new record of the right length would bring back to life. The part of the old tail that no witness calls
//! synced is written again, in place, and synced: it may have been read from a page cache that a failed sync
//! left looking clean, and writing is what makes those pages dirty again. The bytes are the ones that are
//! there, so a crash in between changes nothing. Then a new segment begins.

use std::sync::atomic::{AtomicBool, AtomicU64};

use super::checkpoint::State;
use super::directory::Directory;
use super::error::LogError;
use super::lsn::Lsn;
use super::pool::Pool;
use super::segment::{PAGE, segment_name};
use super::slots::Slots;
use super::survey::{End, Survey, Tail};
use super::writer::{Keeper, Log, NewSegment, Segments, View, Writer, reserve_size};
use crate::storage::{Access, StorageError, read_full_at};
use crate::sync::{Mutex, lock};

/// Bytes read and written again at once.
const BLOCK: u64 = 1 << 20;

/// How a log is written.
#[derive(Clone, Debug)]
pub(crate) struct LogOptions {
    pub(crate) segment_size: u64,
    /// Bytes of the largest ack record there can be.
    pub(crate) ack_size_max: u64,
}

/// An opened log, or why it cannot be opened now.
pub(crate) enum Opened {
    Ready(Log),
    /// The disk has no room, not even in reserve, for the segment that an opening after a crash begins.
    NoSpace,
}

impl Log {
    /// Begins a log in an empty directory.
    pub(crate) fn create(
        directory: Directory,
        options: &LogOptions,
        upper: Vec<u8>,
    ) -> Result<Opened, LogError> {
        let listing = directory.list()?;
        let survey = Survey {
            channel_id: directory.storage.unique_id(),
            epoch: 0,
            generation: 0,
            sealed: Vec::new(),
            tail: None,
            end: End::Unborn,
            watermark: Lsn(0),
            replayed_bytes: 0,
            slots: [super::survey::Slot::Absent, super::survey::Slot::Absent],
            listing,
        };
        let view = View { upper, lsn: Lsn(0), next_sequence: 0, is_done: &|_| false };
        Log::open(directory, options, &survey, &view)
    }

    /// Makes the log writable. `view` is the state at its end.
    pub(crate) fn open(
        directory: Directory,
        options: &LogOptions,
        survey: &Survey,
        view: &View<'_>,
    ) -> Result<Opened, LogError> {
        let slots = Slots::open(directory.clone(), &survey.slots)?;
        let pool = Pool::new(directory.clone(), options.segment_size);
        let mut keeper = Keeper { slots, pool, lsn: Lsn(0) };
        let state_size = view.upper.len() + survey.sealed.len() * 8;
        keeper.pool.plan_reserve(reserve_size(state_size, options.ack_size_max));
        adopt_files(&directory, survey, &mut keeper.pool)?;
        let log = |keeper: Keeper, writer: Writer| Log {
            segments: Mutex::new(Segments {
                sealed: survey.sealed.clone(),
                tail: writer.header.number,
                tail_base: writer.header.base,
                pinned: None,
            }),
            directory: directory.clone(),
            channel_id: survey.channel_id,
            epoch: survey.epoch + 1,
            segment_size: options.segment_size,
            ack_size_max: options.ack_size_max,
            watermark: AtomicU64::new(writer.end().0),
            writer: Mutex::new(writer),
            keeper: Mutex::new(keeper),
            syncs: AtomicU64::new(0),
            reserve_complete: AtomicBool::new(false),
        };
        match &survey.tail {
            None => {
                let log = log(keeper, unborn_writer(survey));
                log.begin_first(view)
            }
            Some(tail) => {
                let clean = survey.end == End::Clean;
                if !clean {
                    rewrite_unproven(&directory, tail, survey.watermark)?;
                }
                let writer = writer_at(&directory, tail, view)?;
                let log = log(keeper, writer);
                if clean { log.resume(view) } else { log.supersede(tail, view) }
            }
        }
    }

    /// A new log: its identity is made durable before its first segment, so that a segment without a
    /// readable header is never taken for the start of a new log.
    fn begin_first(self, view: &View<'_>) -> Result<Opened, LogError> {
        let request = NewSegment {
            number: 1,
            base: Lsn(0),
            first_sequence: 0,
            previous_size: 0,
            needed: 0,
            for_puts: false,
        };
        let mut keeper = lock(&self.keeper);
        let mut identity = self.checkpoint_at(Lsn(0), 0, Lsn(0), State::default());
        if !keeper.slots.write(&mut identity)? {
            return Ok(Opened::NoSpace);
        }
        self.directory.sync()?;
        let begun = self.begin_segment(&mut keeper, &request, &[], view)?;
        drop(keeper);
        let Some(writer) = begun else { return Ok(Opened::NoSpace) };
        lock(&self.segments).tail = 1;
        *lock(&self.writer) = writer;
        Ok(Opened::Ready(self))
    }

    /// Goes on in the old tail. From now on the end is no longer a clean one: a slot must say so before the
    /// first record is written, or a crash could make a half-written record look like a clean end.
    fn resume(self, view: &View<'_>) -> Result<Opened, LogError> {
        let mut keeper = lock(&self.keeper);
        let segments = lock(&self.segments);
        let state = State { sealed: segments.sealed.clone(), upper: view.upper.clone() };
        let state_size = state.upper.len() + state.sealed.len() * 8;
        let mut checkpoint =
            self.checkpoint_at(view.lsn, segments.tail, segments.tail_base, state);
        let tail = segments.tail;
        drop(segments);
        if !keeper.slots.write(&mut checkpoint)? {
            return Ok(Opened::NoSpace);
        }
        keeper.lsn = view.lsn;
        self.replenish(&mut keeper, self.reserve_size(state_size), tail)?;
        drop(keeper);
        Ok(Opened::Ready(self))
    }

    /// Ends the old tail where its records end, and begins a new segment.
    fn supersede(self, tail: &Tail, view: &View<'_>) -> Result<Opened, LogError> {
        if !self.roll(0, false, view)? {
            return Ok(Opened::NoSpace);
        }
        self.cut(tail)?;
        Ok(Opened::Ready(self))
    }

    /// Gives back the blocks behind the old tail's end: every crash would otherwise leave a segment's worth
    /// of them. The successor's header states the end, so it does not matter when this becomes durable.
    fn cut(&self, tail: &Tail) -> Result<(), LogError> {
        let name = tail.name();
        let still_there = {
            let segments = lock(&self.segments);
            segments.sealed.iter().any(|sealed| sealed.number == tail.header.number)
        };
        if !still_there {
            return Ok(());
        }
        let file = self.directory.open(&name, Access::ReadWrite)?;
        let size = self.directory.size(&*file, &name)?;
        let end = tail.end_offset.next_multiple_of(PAGE);
        if end < size {
            file.set_size(end).map_err(|error| self.directory.error(&name, "cut", error))?;
            lock(&self.keeper).pool.uncount(size - end);
        }
        Ok(())
    }
}

/// Sorts the files in the directory: those in use are counted, waiting ones adopted, and segments that the
/// state does not list (left by a crash between a checkpoint and the recycling, or while a segment was
/// prepared) recycled.
fn adopt_files(
    directory: &Directory,
    survey: &Survey,
    pool: &mut Pool,
) -> Result<(), StorageError> {
    pool.adopt(&survey.listing.spares, &survey.listing.reserves)?;
    let tail = survey.tail.as_ref().map(|tail| tail.header.number);
    for (number, name) in &survey.listing.segments {
        let listed = survey.sealed.binary_search_by_key(number, |sealed| sealed.number).is_ok();
        let file = directory.open(name, Access::Read)?;
        pool.count(directory.size(&*file, name)?);
        drop(file);
        if !listed && tail != Some(*number) {
            pool.recycle(*number)?;
        }
    }
    Ok(())
}

fn unborn_writer(survey: &Survey) -> Writer {
    let header = super::segment::SegmentHeader {
        channel_id: survey.channel_id,
        number: 0,
        base: Lsn(0),
        first_sequence: 0,
        capacity: PAGE,
        epoch: survey.epoch,
        previous_size: 0,
    };
    let seed = header.seed();
    let (lanes, gathered) = (Vec::new(), Vec::new());
    Writer { header, seed, offset: PAGE, next_sequence: 0, lanes, gathered }
}

fn writer_at(directory: &Directory, tail: &Tail, view: &View<'_>) -> Result<Writer, StorageError> {
    let name = segment_name(tail.header.number);
    let mut lanes = Vec::new();
    for _ in 0..super::group_commit::LANES {
        lanes.push(directory.open(&name, Access::ReadWrite)?);
    }
    Ok(Writer {
        header: tail.header.clone(),
        seed: tail.header.seed(),
        offset: tail.end_offset,
        next_sequence: view.next_sequence,
        lanes,
        gathered: Vec::new(),
    })
}

/// Writes the header, and all records from `watermark` on, again over themselves, and syncs them. See the
/// module.
fn rewrite_unproven(
    directory: &Directory,
    tail: &Tail,
    watermark: Lsn,
) -> Result<(), StorageError> {
    let name = tail.name();
    let file = directory.open(&name, Access::ReadWrite)?;
    let proven = PAGE + watermark.since(tail.header.base);
    rewrite(directory, &name, 0..PAGE)?;
    rewrite(directory, &name, proven.min(tail.end_offset)..tail.end_offset)?;
    file.sync_all().map_err(|error| directory.error(&name, "sync", error))?;
    directory.sync()
}

fn rewrite(
    directory: &Directory,
    name: &str,
    range: std::ops::Range<u64>,
) -> Result<(), StorageError> {
    let file = directory.open(name, Access::ReadWrite)?;
    let mut block = vec![0; BLOCK.min(range.end - range.start) as usize];
    let mut offset = range.start;
    while offset < range.end {
        let size = (range.end - offset).min(BLOCK) as usize;
        let count = read_full_at(&*file, &mut block[..size], offset)
            .map_err(|error| directory.error(name, "read", error))?;
        if count < size {
            let error = std::io::ErrorKind::UnexpectedEof.into();
            return Err(directory.error(name, "read", error));
        }
        directory.write(&*file, name, &block[..size], offset)?;
        offset += size as u64;
    }
    Ok(())
}
