//! Writing the log: appending groups of records, beginning new segments, taking checkpoints, and giving back
//! the files of segments nothing needs any more.
//!
//! The order of syncs that all rests on, when segment *n+1* follows segment *n*:
//! 1. the records of *n* are synced; 2. *n+1* has its name, made durable; 3. its first record, the state,
//!    is written and synced; 4. its header is written and synced; 5. both checkpoint slots name it: from the
//!    first of them on it counts; 6. only now is a record in it acknowledged, and a file recycled that the
//!    state no longer lists. `docs/CRASH_SAFETY.md` goes through a crash after each.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::checkpoint::{Checkpoint, Sealed, State};
use super::directory::Directory;
use super::group_commit::LANES;
use super::lsn::Lsn;
use super::moving::Moving;
use super::pool::Pool;
use super::record::{Kind, PendingRecord, Place, Seed};
use super::segment::{PAGE, SegmentHeader, segment_name};
use super::slots::Slots;
use crate::storage::{Access, File, StorageError};
use crate::sync::{Mutex, lock};

/// A segment is at least this many times as large as the state it begins with, so that states are at most
/// an eighth of what is written, however many ranges of acknowledged sequences there are.
const STATE_SHARE: u64 = 8;

/// Records of one group up to this size are written with one call; copying them together is cheaper than
/// further calls.
const GATHER_MAX: u64 = 1 << 20;

/// The layer above, as the log sees it at an Lsn.
pub(crate) struct View<'a> {
    /// Its state.
    pub(crate) upper: Vec<u8>,
    /// The position it is the state at.
    pub(crate) lsn: Lsn,
    /// The sequence of the next put there.
    pub(crate) next_sequence: u64,
    /// Whether no event of a range of sequences is wanted any more.
    pub(crate) is_done: &'a dyn Fn(Range<u64>) -> bool,
}

/// A log that is open for writing.
pub(crate) struct Log {
    pub(super) directory: Directory,
    pub(super) channel_id: [u8; 16],
    pub(super) epoch: u64,
    pub(super) segment_size: u64,
    /// Bytes that must fit into a reserve file beside the state: the largest ack.
    pub(super) ack_size_max: u64,
    pub(super) writer: Mutex<Writer>,
    pub(super) segments: Mutex<Segments>,
    pub(super) keeper: Mutex<Keeper>,
    /// Everything below is synced.
    pub(super) watermark: AtomicU64,
    pub(super) syncs: AtomicU64,
    /// Whether the whole reserve is there.
    pub(super) reserve_complete: AtomicBool,
}

/// The end of the log. Only the leader of a group uses it.
pub(super) struct Writer {
    pub(super) header: SegmentHeader,
    pub(super) seed: Seed,
    pub(super) offset: u64,
    pub(super) next_sequence: u64,
    pub(super) lanes: Vec<Arc<dyn File>>,
    pub(super) gathered: Vec<u8>,
}

impl Writer {
    pub(super) fn end(&self) -> Lsn {
        self.header.base.plus(self.offset - PAGE)
    }
}

/// Which segments there are: what readers need to know.
pub(super) struct Segments {
    pub(super) sealed: Vec<Sealed>,
    pub(super) tail: u64,
    pub(super) tail_base: Lsn,
    /// The segment a reader has open. Its file is not recycled under the reader.
    pub(super) pinned: Option<u64>,
}

/// What checkpoints are made with.
pub(super) struct Keeper {
    pub(super) slots: Slots,
    pub(super) pool: Pool,
    /// The Lsn of the last checkpoint.
    pub(super) lsn: Lsn,
    /// The highest segment number used.
    pub(super) numbers_used: u64,
    /// The slots say that the log was closed; that stays so.
    pub(super) closed: bool,
}

/// A group that was written: where its records are, and what to sync.
pub(crate) struct Appended {
    /// Lsn and sequence of each record.
    pub(crate) places: Vec<(Lsn, u64)>,
    pub(crate) end: Lsn,
    file: Arc<dyn File>,
    segment: u64,
}

impl Log {
    /// Whether a record of `size` bytes fits into the segment being written, after `before` other bytes.
    pub(crate) fn fits(&self, before: u64, size: u64) -> bool {
        let writer = lock(&self.writer);
        writer.offset + before + size <= writer.header.capacity
    }

    /// Whether puts may be written: not while less than the whole reserve is left for acks.
    pub(crate) fn accepts_puts(&self) -> bool {
        self.reserve_complete.load(Ordering::Acquire)
    }

    /// Tries to complete the reserve again: by recycling what nothing needs, by allocating what has come
    /// free. No group is in flight, and everything below `view.lsn` is synced.
    pub(crate) fn regain(&self, view: &View<'_>) -> Result<(), StorageError> {
        if !self.sort_out(view).0.is_empty() {
            return self.checkpoint(view);
        }
        let mut keeper = lock(&self.keeper);
        let size = keeper.pool.reserve_size();
        let tail = self.tail().0;
        self.replenish(&mut keeper, size, tail)
    }

    pub(super) fn replenish(
        &self,
        keeper: &mut Keeper,
        size: u64,
        tail: u64,
    ) -> Result<(), StorageError> {
        let result = keeper.pool.replenish(size, tail);
        self.reserve_complete.store(keeper.pool.is_reserve_complete(), Ordering::Release);
        result
    }

    /// Everything below is synced.
    pub(crate) fn watermark(&self) -> Lsn {
        Lsn(self.watermark.load(Ordering::Acquire))
    }

    /// Notes that everything below `lsn` is synced.
    pub(crate) fn raise_watermark(&self, lsn: Lsn) {
        self.watermark.fetch_max(lsn.0, Ordering::AcqRel);
    }

    /// Writes records at the end; each comes with the number of sequences it uses up. They all fit, as
    /// [`Log::fits`] said. After an error the segment's end is unknown and the log must not be written again.
    pub(crate) fn append<'a>(
        &self,
        records: impl ExactSizeIterator<Item = (&'a mut PendingRecord, u64)>,
        lane: usize,
    ) -> Result<Appended, StorageError> {
        let watermark = self.watermark();
        let mut guard = lock(&self.writer);
        let writer = &mut *guard;
        let file = Arc::clone(&writer.lanes[lane]);
        let name = segment_name(writer.header.number);
        let mut places = Vec::with_capacity(records.len());
        let alone = records.len() == 1;
        let mut gathered_at = writer.offset;
        writer.gathered.clear();
        for (record, events) in records {
            let place = Place { lsn: writer.end(), watermark, sequence: writer.next_sequence };
            let bytes = record.place(&writer.seed, writer.offset, place);
            places.push((place.lsn, place.sequence));
            if alone || bytes.len() as u64 > GATHER_MAX {
                self.directory.write(&*file, &name, &writer.gathered, gathered_at)?;
                self.directory.write(&*file, &name, bytes, writer.offset)?;
                writer.gathered.clear();
                gathered_at = writer.offset + bytes.len() as u64;
            } else {
                writer.gathered.extend_from_slice(bytes);
            }
            writer.offset += bytes.len() as u64;
            writer.next_sequence += events;
        }
        self.directory.write(&*file, &name, &writer.gathered, gathered_at)?;
        // One unusually large group must not hold its memory for good.
        writer.gathered.shrink_to(GATHER_MAX as usize);
        Ok(Appended { places, end: writer.end(), file, segment: writer.header.number })
    }

    /// Makes a group durable. What came before it in the same segment becomes so too; earlier segments are.
    pub(crate) fn sync(&self, group: &Appended) -> Result<(), StorageError> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.directory.sync_file(&*group.file, &segment_name(group.segment))
    }

    /// A group without records: syncing it makes everything durable that was written before.
    pub(crate) fn end_group(&self, lane: usize) -> Appended {
        let writer = lock(&self.writer);
        Appended {
            places: Vec::new(),
            end: writer.end(),
            file: Arc::clone(&writer.lanes[lane]),
            segment: writer.header.number,
        }
    }

    /// Begins a new segment with room for a record of `needed` bytes. `view` is the state at the end of the
    /// log, and no group is in flight. False, and nothing has changed, when the disk has no room (for puts:
    /// when only the reserve is left).
    pub(crate) fn roll(
        &self,
        needed: u64,
        for_puts: bool,
        view: &View<'_>,
    ) -> Result<bool, StorageError> {
        let mut writer = lock(&self.writer);
        let end = writer.end();
        if self.watermark() < end {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            self.directory.sync_file(&*writer.lanes[0], &segment_name(writer.header.number))?;
            self.raise_watermark(end);
        }
        let mut keeper = lock(&self.keeper);
        let sealed = Sealed {
            number: writer.header.number,
            base: writer.header.base,
            size: writer.offset - PAGE,
            first_sequence: writer.header.first_sequence,
            events: writer.next_sequence - writer.header.first_sequence,
        };
        let request = NewSegment {
            base: end,
            first_sequence: writer.next_sequence,
            needed,
            for_puts,
            moved: None,
        };
        self.succeed(&mut writer, &mut keeper, sealed, &request, view)
    }

    /// Begins the segment after `sealed`, and lets go of those that the state then lists no longer.
    pub(super) fn succeed(
        &self,
        writer: &mut Writer,
        keeper: &mut Keeper,
        sealed: Sealed,
        request: &NewSegment<'_>,
        view: &View<'_>,
    ) -> Result<bool, StorageError> {
        let (done, mut live) = self.sort_out(view);
        let done_too = (view.is_done)(sealed.first_sequence..sealed.end_sequence());
        if !done_too {
            live.push(sealed);
        }
        let Some(next) = self.begin_segment(keeper, request, &live, view)? else {
            return Ok(false);
        };
        let number = next.header.number;
        let mut segments = lock(&self.segments);
        segments.tail = next.header.number;
        segments.tail_base = next.header.base;
        segments.sealed.push(sealed);
        let released = release(&mut segments, &done, done_too.then_some(sealed.number));
        drop(segments);
        *writer = next;
        self.recycle(keeper, &released)?;
        let size = keeper.pool.reserve_size();
        self.replenish(keeper, size, number)?;
        Ok(true)
    }

    /// Splits the complete segments into those nothing needs any more and the rest.
    fn sort_out(&self, view: &View<'_>) -> (Vec<u64>, Vec<Sealed>) {
        let segments = lock(&self.segments);
        let is_done = |sealed: &&Sealed| {
            segments.pinned != Some(sealed.number)
                && (view.is_done)(sealed.first_sequence..sealed.end_sequence())
        };
        let done = segments.sealed.iter().filter(is_done).map(|sealed| sealed.number).collect();
        let live = segments.sealed.iter().filter(|sealed| !is_done(sealed)).copied().collect();
        (done, live)
    }

    /// Steps 2 to 5 of the module's list.
    pub(super) fn begin_segment(
        &self,
        keeper: &mut Keeper,
        request: &NewSegment<'_>,
        live: &[Sealed],
        view: &View<'_>,
    ) -> Result<Option<Writer>, StorageError> {
        let number = keeper.numbers_used + 1;
        let state = State { sealed: live.to_vec(), upper: view.upper.clone() };
        let encoded = state.encode();
        let mut record = PendingRecord::new(Kind::State, encoded.len(), |out| {
            out.extend_from_slice(&encoded);
        });
        let moved_size = request.moved.as_ref().map_or(0, |moved| moved.size());
        let head = PAGE + record.size() + moved_size;
        let needed = (head + request.needed).next_multiple_of(PAGE);
        let desired = self.segment_size.max(STATE_SHARE * encoded.len() as u64);
        let desired = desired.next_multiple_of(PAGE);
        let lsn = request.base.plus(head - PAGE);
        let mut checkpoint = self.checkpoint_at(lsn, number, request.base, state);
        if !keeper.slots.make_room_for(&checkpoint)? {
            return Ok(None);
        }
        let Some(prepared) = keeper.pool.obtain(number, needed, desired, request.for_puts)? else {
            return Ok(None);
        };
        keeper.numbers_used = number;
        let name = segment_name(number);
        let header = SegmentHeader {
            channel_id: self.channel_id,
            number,
            base: request.base,
            first_sequence: request.first_sequence,
            capacity: prepared.capacity,
            epoch: self.epoch,
        };
        let seed = header.seed();
        let file = prepared.file;
        let place =
            Place { lsn: request.base, watermark: request.base, sequence: view.next_sequence };
        self.directory.write(&*file, &name, record.place(&seed, PAGE, place), PAGE)?;
        if let Some(moved) = &request.moved {
            moved.copy(&self.directory, &*file, &header, PAGE + record.size())?;
        }
        file.sync_all().map_err(|error| self.directory.error(&name, "sync", error))?;
        self.directory.write(&*file, &name, &header.encode(), 0)?;
        self.directory.sync_file(&*file, &name)?;
        self.raise_watermark(lsn);
        checkpoint.numbers_used = number;
        keeper.slots.write(&mut checkpoint)?;
        keeper.slots.write(&mut checkpoint)?;
        keeper.lsn = lsn;
        self.replenish(keeper, self.reserve_size(encoded.len()), number)?;
        let lanes = self.open_lanes(file, &name)?;
        let next_sequence = view.next_sequence;
        let gathered = Vec::new();
        Ok(Some(Writer { header, seed, offset: head, next_sequence, lanes, gathered }))
    }

    pub(super) fn reserve_size(&self, state_size: usize) -> u64 {
        reserve_size(state_size, self.ack_size_max)
    }

    pub(super) fn open_lanes(
        &self,
        first: Arc<dyn File>,
        name: &str,
    ) -> Result<Vec<Arc<dyn File>>, StorageError> {
        let mut lanes = vec![first];
        while lanes.len() < LANES {
            lanes.push(self.directory.open(name, Access::ReadWrite)?);
        }
        Ok(lanes)
    }

    pub(super) fn checkpoint_at(
        &self,
        lsn: Lsn,
        tail: u64,
        tail_base: Lsn,
        state: State,
    ) -> Checkpoint {
        Checkpoint {
            channel_id: self.channel_id,
            generation: 0,
            epoch: self.epoch,
            clean: false,
            tail,
            tail_base,
            numbers_used: 0,
            lsn,
            watermark: lsn,
            state,
        }
    }

    /// Stores the state aside, so that the next opening replays less, and gives back what nothing needs.
    /// Everything below `view.lsn` is synced. Does nothing when a later checkpoint is there already.
    pub(crate) fn checkpoint(&self, view: &View<'_>) -> Result<(), StorageError> {
        debug_assert!(view.lsn <= self.watermark());
        let mut keeper = lock(&self.keeper);
        if keeper.closed {
            return Ok(());
        }
        let (done, live) = self.sort_out(view);
        if view.lsn < keeper.lsn || (view.lsn == keeper.lsn && done.is_empty()) {
            return Ok(());
        }
        let (tail, tail_base) = self.tail();
        let state = State { sealed: live, upper: view.upper.clone() };
        let encoded_size = state.upper.len() + state.sealed.len() * 8;
        let mut checkpoint = self.checkpoint_at(view.lsn, tail, tail_base, state);
        checkpoint.numbers_used = keeper.numbers_used;
        if !keeper.slots.write(&mut checkpoint)? {
            return Ok(());
        }
        keeper.lsn = view.lsn;
        let released = release(&mut lock(&self.segments), &done, None);
        self.recycle(&mut keeper, &released)?;
        self.replenish(&mut keeper, self.reserve_size(encoded_size), tail)
    }

    /// Notes in both slots that the log was closed at its end, which is synced.
    pub(crate) fn close(&self, view: &View<'_>) -> Result<(), StorageError> {
        let mut keeper = lock(&self.keeper);
        let (done, live) = self.sort_out(view);
        let (tail, tail_base) = self.tail();
        let state = State { sealed: live, upper: view.upper.clone() };
        let mut checkpoint = self.checkpoint_at(view.lsn, tail, tail_base, state);
        checkpoint.clean = true;
        keeper.closed = true;
        checkpoint.numbers_used = keeper.numbers_used;
        if keeper.slots.write(&mut checkpoint)? && keeper.slots.write(&mut checkpoint)? {
            let released = release(&mut lock(&self.segments), &done, None);
            self.recycle(&mut keeper, &released)?;
        }
        Ok(())
    }

    fn tail(&self) -> (u64, Lsn) {
        let segments = lock(&self.segments);
        (segments.tail, segments.tail_base)
    }

    fn recycle(&self, keeper: &mut Keeper, released: &[u64]) -> Result<(), StorageError> {
        released.iter().try_for_each(|number| keeper.pool.recycle(*number))
    }

    /// The position after the last record.
    pub(crate) fn end(&self) -> Lsn {
        lock(&self.writer).end()
    }

    /// An error that names the log.
    pub(crate) fn error(&self, operation: &'static str, error: std::io::Error) -> StorageError {
        self.directory.error("", operation, error)
    }

    /// Syncs of the log so far.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Segments, and bytes of disk that all files of the log take.
    pub(crate) fn space(&self) -> (u64, u64) {
        let disk_bytes = lock(&self.keeper).pool.disk_bytes();
        (lock(&self.segments).sealed.len() as u64 + 1, disk_bytes)
    }
}

/// Bytes a reserve file needs: the state may grow eightfold while the disk is full, and the largest ack still
/// fits behind it.
pub(super) fn reserve_size(state_size: usize, ack_size_max: u64) -> u64 {
    PAGE + STATE_SHARE * state_size as u64 + ack_size_max
}

/// What a new segment is to be.
pub(super) struct NewSegment<'a> {
    pub(super) base: Lsn,
    pub(super) first_sequence: u64,
    /// Bytes that must fit beside what it begins with.
    pub(super) needed: u64,
    pub(super) for_puts: bool,
    pub(super) moved: Option<Moving<'a>>,
}

/// Takes segments out of the table, so that no reader opens them any more, and says which; those that a
/// reader has open meanwhile stay for the next checkpoint.
fn release(segments: &mut Segments, done: &[u64], and: Option<u64>) -> Vec<u64> {
    let mut released = Vec::new();
    let pinned = segments.pinned;
    segments.sealed.retain(|sealed| {
        let listed = done.binary_search(&sealed.number).is_ok() || and == Some(sealed.number);
        let release = listed && pinned != Some(sealed.number);
        if release {
            released.push(sealed.number);
        }
        !release
    });
    released
}
