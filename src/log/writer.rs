//! Writing the log: appending groups of records, taking checkpoints, and giving back the files of segments
//! nothing needs any more. How one segment follows another is in the file beside.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::checkpoint::{Checkpoint, Sealed, State};
use super::directory::Directory;
use super::group_commit::LANES;
use super::lsn::Lsn;
use super::pool::Pool;
use super::record::{PendingRecord, Place, Seed};
use super::segment::{PAGE, SegmentHeader, segment_name};
use super::slots::Slots;
use crate::storage::{File, StorageError};
use crate::sync::{AtomicBool, AtomicU64, Mutex, lock};

/// Descriptions of the segment being written: one for each lane, and one for [`Log::sync_behind`].
pub(super) const DESCRIPTIONS: usize = LANES + 1;

/// What is written without a sync is synced behind by this part of a segment at a time.
const BEHIND_SHARE: u64 = 8;

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
        let excess = if planted!(OverfullSegment) { 8 } else { 0 };
        writer.offset + before + size <= writer.header.capacity + excess
    }

    /// Whether a record of `size` bytes may fit into the file of the segment being written, were it empty.
    pub(crate) fn would_fit(&self, size: u64) -> bool {
        PAGE + size <= lock(&self.writer).header.capacity
    }

    /// Whether a reader has the segment being written open.
    pub(crate) fn is_tail_pinned(&self) -> bool {
        let segments = lock(&self.segments);
        segments.pinned == Some(segments.tail)
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
        let mut watermark = self.watermark();
        let mut guard = lock(&self.writer);
        let writer = &mut *guard;
        if planted!(WatermarkStuck) {
            watermark = writer.header.base;
        }
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
        if planted!(WatermarkEarly) {
            self.raise_watermark(writer.end());
        }
        // One unusually large group must not hold its memory for good.
        writer.gathered.shrink_to(GATHER_MAX as usize);
        Ok(Appended { places, end: writer.end(), file, segment: writer.header.number })
    }

    /// Makes a group durable. What came before it in the same segment becomes so too; earlier segments are.
    pub(crate) fn sync(&self, group: &Appended) -> Result<(), StorageError> {
        let turn = self.syncs.fetch_add(1, Ordering::Relaxed);
        if planted!(NoDataSync) || planted!(SyncOfTheOtherLaneOnly) && turn % 2 == 1 {
            return Ok(());
        }
        let result = self.directory.sync_file(&*group.file, &segment_name(group.segment));
        if planted!(RetryAfterFailedSync) && result.is_err() {
            return self.directory.sync_file(&*group.file, &segment_name(group.segment));
        }
        result
    }

    /// Whether so much was written without a sync that the end of the segment would wait long for it.
    pub(crate) fn is_far_ahead(&self, end: Lsn) -> bool {
        end.0.saturating_sub(self.watermark().0) >= self.segment_size / BEHIND_SHARE
    }

    /// Syncs what was written without a sync, beside the commits: through a description of its own, so that
    /// an error of the write-back is told both here and to the next sync of a commit.
    ///
    /// Another segment may have begun before the sync returns, and this one's file may even be in use again;
    /// then what was synced is below the watermark already.
    pub(crate) fn sync_behind(&self) -> Result<(), StorageError> {
        let written = self.end_group(LANES);
        if !self.is_far_ahead(written.end) {
            return Ok(());
        }
        if !planted!(SyncBehindSkipped) {
            self.sync(&written)?;
        }
        self.raise_watermark(written.end);
        Ok(())
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

    /// Splits the complete segments into those nothing needs any more and the rest.
    pub(super) fn sort_out(&self, view: &View<'_>) -> (Vec<u64>, Vec<Sealed>) {
        let segments = lock(&self.segments);
        let is_done = |sealed: &&Sealed| {
            let end = sealed.end_sequence() - u64::from(planted!(RecycleOneTooMany));
            (segments.pinned != Some(sealed.number) || planted!(PinIgnored))
                && (view.is_done)(sealed.first_sequence..end.max(sealed.first_sequence))
        };
        let done = segments.sealed.iter().filter(is_done).map(|sealed| sealed.number).collect();
        let live = segments.sealed.iter().filter(|sealed| !is_done(sealed)).copied().collect();
        (done, live)
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
        debug_assert!(view.lsn <= self.watermark() || planted!(CheckpointBeforeLogSync));
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
        if planted!(RecycleBeforeCheckpoint) {
            self.recycle(&mut keeper, &done)?;
            self.directory.sync()?;
        }
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

    pub(super) fn recycle(
        &self,
        keeper: &mut Keeper,
        released: &[u64],
    ) -> Result<(), StorageError> {
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

/// Takes segments out of the table, so that no reader opens them any more, and says which; those that a
/// reader has open meanwhile stay for the next checkpoint.
pub(super) fn release(segments: &mut Segments, done: &[u64], and: Option<u64>) -> Vec<u64> {
    let mut released = Vec::new();
    let pinned = segments.pinned;
    segments.sealed.retain(|sealed| {
        let listed = done.binary_search(&sealed.number).is_ok() || and == Some(sealed.number);
        let release = listed && (pinned != Some(sealed.number) || planted!(PinIgnored));
        if release {
            released.push(sealed.number);
        }
        !release
    });
    released
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::begin::Claim;
    use super::super::open::LogOptions;
    use super::super::record::Kind;
    use super::super::scan::{Origin, Scanner};
    use super::*;
    use crate::storage::Access;
    use crate::storage::sim::SimDisk;

    fn log(disk: &SimDisk, segment_size: u64) -> Log {
        let directory = Directory { storage: disk.storage() };
        let options = LogOptions { segment_size, ack_size_max: 4096 };
        let log = Log::create(directory, &options, Vec::new()).expect("works");
        log.expect("there is room")
    }

    /// Writes a group of records of these sizes.
    fn append(log: &Log, sizes: &[usize]) -> Appended {
        let record = |size: &usize| {
            PendingRecord::new(Kind::Watermark, 0, |out| out.resize(out.len() + size, 7))
        };
        let mut records: Vec<_> = sizes.iter().map(record).collect();
        log.append(records.iter_mut().map(|record| (record, 0)), 0).expect("works")
    }

    #[test]
    fn i2_each_record_of_a_group_is_where_its_header_says() {
        let disk = SimDisk::new(1);
        let log = log(&disk, 16 << 20);
        let sizes = [10, 2 << 20, 20, 30, 1 << 20, 2 << 20, 5];
        let group = append(&log, &sizes);
        let file = disk.storage().open(&segment_name(group.segment), Access::Read).expect("works");
        let mut scanner = {
            let writer = lock(&log.writer);
            Scanner::new(Origin::File(file), writer.seed.clone(), writer.header.base)
        };
        let end = scanner.offset_of(group.end);
        for ((lsn, _), size) in group.places.into_iter().zip(sizes) {
            let found = scanner.record_at(scanner.offset_of(lsn), end).expect("valid");
            assert_eq!(found.payload.len(), size);
        }
    }

    #[test]
    fn a_segment_is_filled_to_its_end_and_no_further() {
        let log = log(&SimDisk::new(1), 64 << 10);
        let capacity = lock(&log.writer).header.capacity;
        let left = capacity - lock(&log.writer).offset;
        assert!(log.fits(0, left) && log.fits(8, left - 8) && log.fits(left, 0));
        assert!(!log.fits(0, left + 8) && !log.fits(8, left) && !log.fits(left, 8));
        assert!(log.would_fit(capacity - PAGE) && !log.would_fit(capacity - PAGE + 8));
    }

    /// I12: a checkpoint that stores and gives back nothing new is not written; one that gives back is.
    #[test]
    fn i12_a_checkpoint_is_written_when_it_is_worth_it() {
        let disk = SimDisk::new(1);
        let log = log(&disk, 64 << 10);
        let checkpoint = |lsn: Lsn, is_done: bool| {
            let calls = disk.calls();
            let is_done = |_: Range<u64>| is_done;
            let view = View { upper: Vec::new(), lsn, next_sequence: 0, is_done: &is_done };
            log.checkpoint(&view).expect("works");
            disk.calls() > calls
        };
        let write = || {
            let group = append(&log, &[10]);
            log.sync(&group).expect("works");
            log.raise_watermark(group.end);
        };
        let older = log.end();
        write();
        let (lsn, is_done) = (log.end(), &|_: Range<u64>| false);
        let view = View { upper: Vec::new(), lsn, next_sequence: 0, is_done };
        assert!(log.roll(1000, Claim::Put, &view).expect("works"), "there is room");
        write();
        assert!(checkpoint(log.end(), false));
        assert!(!checkpoint(log.end(), false), "the same again");
        assert!(!checkpoint(older, true), "an older state");
        assert_eq!(log.space().0, 2);
        assert!(checkpoint(log.end(), true));
        assert_eq!(log.space().0, 1);
    }
}
