//! Writing the log: appending groups of records, taking checkpoints, and giving back the files of segments
//! nothing needs any more. How one segment follows another is in the file beside.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::behind::Behind;
use super::checkpoint::{Checkpoint, Sealed, State};
use super::directory::Directory;
use super::filler::Filler;
use super::lsn::Lsn;
use super::pool::Pool;
use super::record::{Place, Seed};
use super::segment::{PAGE, SegmentHeader, segment_name};
use super::slots::Slots;
use super::stream::{Buffers, Form, Outgoing, Payload, Pieces, piece_size};
use crate::storage::{File, StorageError};
use crate::sync::{AtomicBool, AtomicU64, Mutex, lock};

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
    pub(super) behind: Behind,
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
    /// Of its file. Made once: to write out its digits, for a write and a sync, was a third of what a commit
    /// of one event computes.
    pub(super) name: Arc<str>,
    pub(super) seed: Seed,
    pub(super) offset: u64,
    pub(super) next_sequence: u64,
    /// Descriptions of its file: one for each lane, and one for [`Behind`].
    pub(super) lanes: Vec<Arc<dyn File>>,
    pub(super) buffers: Buffers,
}

impl Writer {
    /// A writer at `offset` of the segment with this header.
    pub(super) fn new(
        header: SegmentHeader,
        offset: u64,
        next_sequence: u64,
        lanes: Vec<Arc<dyn File>>,
    ) -> Writer {
        let (name, seed) = (segment_name(header.number).into(), header.seed());
        let buffers = Buffers::default();
        Writer { header, name, seed, offset, next_sequence, lanes, buffers }
    }

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
    name: Arc<str>,
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

    /// The best form of a record of `size` bytes.
    pub(crate) fn form_of(&self, size: usize) -> Form {
        Form::of(size, self.segment_size)
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
    /// `is_ahead` is called while this goes on, whenever a [`Log::sync_behind`] would spare the sync of this
    /// group time.
    pub(crate) fn append<'a, P: Payload + 'a>(
        &self,
        records: impl ExactSizeIterator<Item = (Outgoing<'a, P>, u64)>,
        lane: usize,
        is_ahead: &dyn Fn(),
    ) -> Result<Appended, StorageError> {
        let mut watermark = self.watermark();
        let mut guard = lock(&self.writer);
        let writer = &mut *guard;
        if planted!(WatermarkStuck) {
            watermark = writer.header.base;
        }
        let (file, name) = (Arc::clone(&writer.lanes[lane]), Arc::clone(&writer.name));
        let pieces = Pieces {
            directory: &self.directory,
            file: &*file,
            name: &name,
            base: writer.header.base,
            seed: &writer.seed,
            behind: &self.behind,
            size: piece_size(self.segment_size),
            between: &|| {
                if self.is_far_ahead() {
                    is_ahead();
                }
            },
        };
        let count = records.len();
        let mut places = Vec::with_capacity(count);
        let mut end = writer.offset;
        writer.buffers.gathered.clear();
        for (record, events) in records {
            let lsn = writer.header.base.plus(end - PAGE);
            let place = Place { lsn, watermark, sequence: writer.next_sequence };
            places.push((place.lsn, place.sequence));
            writer.next_sequence += events;
            let size = record.size();
            let next = Place { lsn: lsn.plus(size), sequence: writer.next_sequence, watermark };
            let is_last = places.len() == count;
            let is_whole = !matches!(record, Outgoing::InPieces(_));
            let room = if is_last && is_whole { writer.header.capacity } else { 0 };
            let filler = Filler::new(writer.offset..end + size, room, next);
            let buffers = &mut writer.buffers;
            pieces.write_record(record, (end, place), &filler, count == 1, buffers)?;
            end += size + filler.size();
            if is_last || buffers.gathered.len() >= pieces.size {
                pieces.write_gathered(&mut buffers.gathered, end)?;
            }
        }
        writer.offset = end;
        if planted!(WatermarkEarly) {
            self.raise_watermark(writer.end());
        }
        self.behind.note_end(writer.end());
        Ok(Appended { places, end: writer.end(), file, name })
    }

    /// Makes a group durable. What came before it in the same segment becomes so too; earlier segments are.
    pub(crate) fn sync(&self, group: &Appended) -> Result<(), StorageError> {
        let turn = self.syncs.fetch_add(1, Ordering::Relaxed);
        if planted!(NoDataSync) || planted!(SyncOfTheOtherLaneOnly) && turn % 2 == 1 {
            return Ok(());
        }
        let result = self.directory.sync_file(&*group.file, &group.name);
        if planted!(RetryAfterFailedSync) && result.is_err() {
            return self.directory.sync_file(&*group.file, &group.name);
        }
        result
    }

    /// A group without records: syncing it makes everything durable that was written before.
    pub(crate) fn end_group(&self, lane: usize) -> Appended {
        let writer = lock(&self.writer);
        Appended {
            places: Vec::new(),
            end: writer.end(),
            file: Arc::clone(&writer.lanes[lane]),
            name: Arc::clone(&writer.name),
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

    /// Makes names durable that the next segment would have to wait for.
    pub(crate) fn settle(&self) -> Result<(), StorageError> {
        lock(&self.keeper).pool.settle_waiting()
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

    /// Bytes of the whole reserve, and how many of these it lacks.
    pub(crate) fn reserve(&self) -> (u64, u64) {
        lock(&self.keeper).pool.reserve()
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
pub(super) mod tests {
    use super::super::begin::Claim;
    use super::super::open::LogOptions;
    use super::super::record::{HEADER_SIZE, Kind, PendingRecord};
    use super::super::scan::{Origin, Scanner};
    use super::super::stream::{Out, UNCOPIED};
    use super::*;
    use crate::storage::Access;
    use crate::storage::sim::{CallKind, Fault, FaultPlan, SimDisk};

    pub(in crate::log) fn log(disk: &SimDisk, segment_size: u64) -> Log {
        let directory = Directory { storage: disk.storage() };
        let options = LogOptions { segment_size, ack_size_max: 4096 };
        let log = Log::create(directory, &options, Vec::new()).expect("works");
        log.expect("there is room")
    }

    /// A payload that is encoded while it is written, in slices of these sizes.
    pub(in crate::log) struct Slices(pub(in crate::log) Vec<usize>);

    impl Payload for Slices {
        fn kind(&self) -> Kind {
            Kind::Watermark
        }

        fn size(&self) -> usize {
            self.0.iter().sum()
        }

        fn encode(&self, out: &mut impl Out) {
            for (index, size) in self.0.iter().enumerate() {
                out.put(&vec![index as u8 + 1; *size]);
            }
        }
    }

    fn encoded(size: usize) -> PendingRecord {
        PendingRecord::new(Kind::Watermark, 0, |out| out.resize(out.len() + size, 7))
    }

    /// Writes a group of records of these sizes.
    pub(in crate::log) fn append(log: &Log, sizes: &[usize]) -> Appended {
        let mut records: Vec<_> = sizes.iter().map(|size| encoded(*size)).collect();
        let outgoing = records.iter_mut().map(|record| (Outgoing::<Slices>::Encoded(record), 0));
        log.append(outgoing, 0, &|| {}).expect("works")
    }

    fn scanner(disk: &SimDisk, log: &Log, name: &str) -> Scanner {
        let file = disk.storage().open(name, Access::Read).expect("works");
        let writer = lock(&log.writer);
        Scanner::new(Origin::File(file), writer.seed.clone(), writer.header.base)
    }

    /// What is read where each record of a group is.
    fn payloads(disk: &SimDisk, log: &Log, group: &Appended) -> Vec<Vec<u8>> {
        let mut scanner = scanner(disk, log, &group.name);
        let end = scanner.offset_of(group.end);
        let mut payload = |(lsn, _): &(Lsn, u64)| {
            scanner.record_at(scanner.offset_of(*lsn), end).expect("valid").payload.to_vec()
        };
        group.places.iter().map(&mut payload).collect()
    }

    #[test]
    fn i2_each_record_of_a_group_is_where_its_header_says() {
        let disk = SimDisk::new(1);
        let log = log(&disk, 16 << 20);
        let sizes = [10, 2 << 20, 20, 30, 1 << 20, piece_size(log.segment_size) - 100, 50, 5];
        let group = append(&log, &sizes);
        let found = payloads(&disk, &log, &group);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
    }

    /// A call into the kernel costs more than copying a small record.
    #[test]
    fn small_records_of_a_group_share_their_calls() {
        let disk = SimDisk::new(1);
        let log = log(&disk, 16 << 20);
        // Eight fill a write.
        let part = piece_size(log.segment_size) / 8 - HEADER_SIZE;
        let uncopied = UNCOPIED - HEADER_SIZE;
        let cases: [(&[usize], u64); 7] = [
            (&[10], 1),
            (&[10, 20, 30], 1),
            (&[part; 8], 1),
            (&[part, part, part, part, part, part, part, part, 10], 2),
            (&[10, uncopied - 8, 10], 1),
            (&[10, 20, uncopied, 10], 3),
            (&[uncopied, uncopied], 2),
        ];
        for (sizes, calls) in cases {
            let before = disk.calls();
            append(&log, sizes);
            assert_eq!(disk.calls() - before, calls, "{sizes:?}");
        }
    }

    /// Beside records that are encoded already, and however its slices lie in the pieces.
    #[test]
    fn i2_a_record_is_the_same_in_whatever_form_it_comes() {
        let disk = SimDisk::new(1);
        let log = log(&disk, 2 << 20);
        let (piece, uncopied) = (piece_size(log.segment_size), piece_size(log.segment_size) / 4);
        let shapes: [&[usize]; 6] = [
            &[3, piece, 5],
            &[piece - HEADER_SIZE, 10],
            &[1; 20],
            &[100, 4 * piece + 1],
            &[uncopied; 10],
            &[uncopied - 1, 1, uncopied, 7, 3 * piece],
        ];
        for shape in shapes {
            let slices = Slices(shape.to_vec());
            for outgoing in [Outgoing::InPieces(&slices), Outgoing::Gathered(&slices)] {
                let (mut before, mut behind) = (encoded(11), encoded(13));
                let group = [
                    (Outgoing::Encoded(&mut before), 0),
                    (outgoing, 0),
                    (Outgoing::Encoded(&mut behind), 0),
                ];
                let group = log.append(group.into_iter(), 0, &|| {}).expect("works");
                let mut whole = Vec::new();
                slices.encode(&mut whole);
                let found = payloads(&disk, &log, &group);
                assert_eq!(found[0], [7; 11]);
                assert!(found[1] == whole, "{shape:?}");
                assert_eq!(found[2], [7; 13]);
            }
        }
    }

    /// Whichever write of it fails: there is no record, not even a header, and nothing is written after (I7).
    #[test]
    fn i2_the_header_of_a_record_in_pieces_comes_last() {
        let mut failing = 0;
        loop {
            let disk = SimDisk::new(1);
            let log = log(&disk, 1 << 20);
            let group = append(&log, &[10]);
            let plan = FaultPlan::new(Fault::Error(std::io::ErrorKind::Other));
            disk.set_plan(plan.on(&[CallKind::Write]).after(failing));
            let before = disk.calls();
            let slices = Slices(vec![piece_size(log.segment_size) / 5; 12]);
            let record = [(Outgoing::InPieces(&slices), 0)].into_iter();
            if log.append(record, 0, &|| {}).is_ok() {
                break;
            }
            assert_eq!(disk.calls() - before, failing + 1, "it is the last call");
            assert_eq!(log.end(), group.end);
            let mut scanner = scanner(&disk, &log, &group.name);
            let (at, capacity) = (scanner.offset_of(group.end), lock(&log.writer).header.capacity);
            assert!(scanner.header_at(at, capacity).is_err(), "write {failing}");
            failing += 1;
        }
        assert!(failing > 3, "{failing} writes");
    }

    /// I2: what fills up a group is a record as any other, in the group's write and in nobody's way.
    #[test]
    fn i2_a_group_that_ends_near_the_end_of_a_page_is_filled_up() {
        let disk = SimDisk::new(1);
        let log = log(&disk, 32 << 20);
        let page = PAGE as usize;
        let mut filled = 0;
        for size in (0..3 * page).step_by(200).chain((0..40).map(|part| 16 * page - 400 * part)) {
            for sizes in [&[size][..], &[10, size], &[size, 10], &[size, UNCOPIED]] {
                let (begin, before) = (lock(&log.writer).offset, disk.calls());
                let group = append(&log, sizes);
                let of_records = |size: &usize| (HEADER_SIZE + size).next_multiple_of(8) as u64;
                let records: u64 = sizes.iter().map(of_records).sum();
                let (end, offset) = (begin + records, lock(&log.writer).offset);
                let left = end.next_multiple_of(PAGE) - end;
                let is_filled = (HEADER_SIZE as u64..=records / 16).contains(&left);
                assert_eq!(offset, if is_filled { end + left } else { end }, "{sizes:?}");
                let largest = sizes.iter().max().expect("there are some");
                let calls = if *largest >= UNCOPIED - HEADER_SIZE { sizes.len() } else { 1 };
                assert_eq!(disk.calls() - before, calls as u64, "{sizes:?}");
                let found = payloads(&disk, &log, &group);
                assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
                if is_filled {
                    filled += 1;
                    let found = scanner(&disk, &log, &group.name).record_at(end, offset);
                    let found = found.expect("valid");
                    assert_eq!((found.header.kind, found.header.sequence), (Kind::Watermark, 0));
                    assert_eq!(found.payload.to_vec(), vec![0; left as usize - HEADER_SIZE]);
                }
            }
        }
        assert!(filled > 50, "{filled} were filled up");
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
