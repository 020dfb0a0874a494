//! What a commit costs, in counts that no clock and no neighbour changes: system calls, syncs, bytes and
//! allocations, for fixed workloads in steady state. A change that makes one of them grow is seen here, whatever
//! the machine does at that time. Times are in `docs/PERFORMANCE.md`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use flumen::storage::sim::SimDisk;
use flumen::storage::{Access, File, Lock, Map, Storage};
use flumen::{AckDurability, Bytes, Channel, ChannelOptions, Durability, Event, FileChannel};

const LONG: Duration = Duration::from_secs(3600);
const BODY: usize = 512;
const PAGE: u64 = 4096;

/// What reaches the storage.
#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    writes: AtomicU64,
    bytes: AtomicU64,
    reads: AtomicU64,
    read_bytes: AtomicU64,
    syncs: AtomicU64,
    /// The most bytes that one write was given.
    largest: AtomicU64,
    /// Where the last one ended in its file.
    end: AtomicU64,
    /// Bytes of all pages that each write touched: what the device gets when it is synced.
    page_bytes: AtomicU64,
    /// Reads at the beginning of a file, and those of them that asked for too little or too much.
    beginnings: AtomicU64,
    bad_beginnings: AtomicU64,
}

/// A reading of [`Counts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Costs {
    calls: u64,
    writes: u64,
    bytes: u64,
    reads: u64,
    syncs: u64,
}

impl Counts {
    fn read(&self) -> Costs {
        let of = |count: &AtomicU64| count.load(Relaxed);
        Costs {
            calls: of(&self.calls),
            writes: of(&self.writes),
            bytes: of(&self.bytes),
            reads: of(&self.reads),
            syncs: of(&self.syncs),
        }
    }

    fn call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    fn sync(&self) {
        self.call();
        self.syncs.fetch_add(1, Relaxed);
    }
}

impl std::ops::Sub for Costs {
    type Output = Costs;

    fn sub(self, before: Costs) -> Costs {
        Costs {
            calls: self.calls - before.calls,
            writes: self.writes - before.writes,
            bytes: self.bytes - before.bytes,
            reads: self.reads - before.reads,
            syncs: self.syncs - before.syncs,
        }
    }
}

struct Counted(Arc<dyn Storage>, Arc<Counts>);

impl Counted {
    fn file(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(CountedFile(file, Arc::clone(&self.1)))
    }
}

impl Storage for Counted {
    fn location(&self) -> String {
        self.0.location()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.1.call();
        self.0.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.1.call();
        self.0.create(name).map(|file| self.file(file))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        self.1.call();
        self.0.open(name, access).map(|file| self.file(file))
    }

    fn size_of(&self, name: &str) -> io::Result<u64> {
        self.1.call();
        self.0.size_of(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.1.call();
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.1.call();
        self.0.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.1.sync();
        self.0.sync_directory()
    }

    fn lock(&self, name: &str, create: bool) -> io::Result<Box<dyn Lock>> {
        self.0.lock(name, create)
    }

    fn available_space(&self) -> io::Result<u64> {
        self.1.call();
        self.0.available_space()
    }

    fn unique_id(&self) -> [u8; 16] {
        self.0.unique_id()
    }

    fn chance(&self) -> u32 {
        self.0.chance()
    }
}

struct CountedFile(Arc<dyn File>, Arc<Counts>);

impl File for CountedFile {
    fn size(&self) -> io::Result<u64> {
        self.1.call();
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.call();
        self.1.reads.fetch_add(1, Relaxed);
        if offset == 0 {
            let is_good = (8 << 10..=128 << 10).contains(&buffer.len());
            self.1.beginnings.fetch_add(1, Relaxed);
            self.1.bad_beginnings.fetch_add(u64::from(!is_good), Relaxed);
        }
        let count = self.0.read_at(buffer, offset)?;
        self.1.read_bytes.fetch_add(count as u64, Relaxed);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.1.call();
        self.1.writes.fetch_add(1, Relaxed);
        self.1.bytes.fetch_add(bytes.len() as u64, Relaxed);
        self.1.largest.fetch_max(bytes.len() as u64, Relaxed);
        let end = offset + bytes.len() as u64;
        self.1.end.store(end, Relaxed);
        let pages = end.next_multiple_of(PAGE) - offset / PAGE * PAGE;
        self.1.page_bytes.fetch_add(pages, Relaxed);
        self.0.write_at(bytes, offset)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.1.call();
        self.0.set_size(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.1.call();
        self.0.allocate(size)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.sync();
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.1.sync();
        self.0.sync_all()
    }

    fn map(&self, size: u64) -> io::Result<Box<dyn Map>> {
        self.1.call();
        self.0.map(size)
    }
}

fn options() -> ChannelOptions {
    let lazy = AckDurability::Lazy(LONG);
    ChannelOptions::new().segment_size(16 << 20).background(false).ack_durability(lazy)
}

/// A channel in use.
fn channel(options: ChannelOptions) -> (FileChannel, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let storage = Counted(SimDisk::new(1).storage(), Arc::clone(&counts));
    let channel = FileChannel::open_on(Arc::new(storage), options).expect("opens");
    for _ in 0..80 {
        put(&channel, 100);
        take(&channel, 100);
    }
    channel.maintain().expect("works");
    (channel, counts)
}

fn put(channel: &FileChannel, count: usize) {
    let body = Bytes::from(vec![7; BODY]);
    let mut put = channel.begin_put();
    for _ in 0..count {
        put.put(Event::new(body.clone())).expect("there is room");
    }
    put.commit().expect("works");
}

fn take(channel: &FileChannel, count: usize) {
    let mut take = channel.begin_take();
    for _ in 0..count {
        take.take().expect("readable").expect("there are events");
    }
    take.commit().expect("works");
}

fn put_all(channel: &FileChannel, events: Vec<Event>) {
    let mut put = channel.begin_put();
    put.put_all(events).expect("there is room");
    put.commit().expect("works");
}

fn take_up_to(channel: &FileChannel, count: usize) {
    let mut take = channel.begin_take();
    while take.len() < count {
        assert!(!take.take_up_to(count - take.len()).expect("readable").is_empty());
    }
    take.commit().expect("works");
}

fn cost(counts: &Counts, act: impl FnOnce()) -> Costs {
    let before = counts.read();
    act();
    counts.read() - before
}

/// Bytes of a record of `count` events of [`BODY`] bytes without headers: `docs/FORMAT.md`.
fn record_size(count: u64) -> u64 {
    (40 + 8 + count * (8 + BODY as u64)).next_multiple_of(8)
}

/// Bytes of a group whose records have `size`, and which was written last, by the call that `found` counted:
/// the rest of its last page too, if that is a sixteenth of the group or less and has room for a record.
fn filled(size: u64, found: &Costs, counts: &Counts) -> u64 {
    let end = counts.end.load(Relaxed) - found.bytes + size;
    let left = end.next_multiple_of(PAGE) - end;
    size + if (40..=size / 16).contains(&left) { left } else { 0 }
}

#[test]
fn a_durable_commit_is_one_write_and_one_sync_whatever_its_size() {
    let (channel, counts) = channel(options());
    for count in [1, 10, 100, 1, 200, 1000] {
        let found = cost(&counts, || put(&channel, count));
        let bytes = filled(record_size(count as u64), &found, &counts);
        assert_eq!(found, Costs { calls: 2, writes: 1, bytes, reads: 0, syncs: 1 }, "{count}");
    }
}

/// Above 1 MiB: what is encoded next is in the processor's cache then, and no memory of all its size is taken.
/// A body is written from where it is; the head of the record, with the checksum, last.
#[test]
fn a_large_commit_is_written_in_pieces() {
    const PIECE: u64 = 256 << 10;
    let (channel, counts) = channel(options());
    let cases = [(1, 4 * PIECE - 56, 1), (1, 4 * PIECE, 5), (1, 4 * PIECE + 1, 7), (3000, 400, 5)];
    for (count, size, writes) in cases {
        let body = Bytes::from(vec![7; size as usize]);
        counts.largest.store(0, Relaxed);
        let found = cost(&counts, || {
            let mut put = channel.begin_put();
            for _ in 0..count {
                put.put(Event::new(body.clone())).expect("there is room");
            }
            put.commit().expect("works");
        });
        let size_of_all = (40 + 8 + count * (8 + size)).next_multiple_of(8);
        let bytes = if writes == 1 { filled(size_of_all, &found, &counts) } else { size_of_all };
        let expected = Costs { calls: writes + 1, writes, bytes, reads: 0, syncs: 1 };
        assert_eq!(found, expected, "{count} of {size} bytes");
        // Small slices are copied until a piece is full, so the last of them may be beyond it.
        let largest = if writes == 1 { bytes..bytes + 1 } else { PIECE..PIECE + 400 };
        assert!(largest.contains(&counts.largest.load(Relaxed)));
    }
}

#[test]
fn a_commit_without_sync_is_one_write() {
    let (channel, counts) = channel(options().durability(Durability::Os));
    let found = cost(&counts, || put(&channel, 100));
    let bytes = filled(record_size(100), &found, &counts);
    assert_eq!(found, Costs { calls: 1, writes: 1, bytes, reads: 0, syncs: 0 });
}

#[test]
fn a_take_that_keeps_up_calls_nothing() {
    let (channel, counts) = channel(options());
    put(&channel, 100);
    let found = cost(&counts, || take(&channel, 100));
    assert_eq!(found, Costs { calls: 0, writes: 0, bytes: 0, reads: 0, syncs: 0 });
    // Its ack goes with the next commit: a record more, of one range, in the same write.
    let found = cost(&counts, || put(&channel, 1));
    assert_eq!((found.calls, found.writes, found.syncs), (2, 1, 1));
    assert_eq!(found.bytes, record_size(1) + 40 + 16 + 16);
}

#[test]
fn a_durable_ack_is_one_write_and_one_sync() {
    let (channel, counts) = channel(options().ack_durability(AckDurability::Sync));
    put(&channel, 100);
    let found = cost(&counts, || take(&channel, 100));
    assert_eq!(found, Costs { calls: 2, writes: 1, bytes: 40 + 16 + 16, reads: 0, syncs: 1 });
}

/// A roll in steady state: the state and the header of the next segment, both slots, and its name. And the name
/// that the file had while it waited, unless that was made durable before it was needed, as the helper thread
/// does.
#[test]
fn a_roll_costs_the_same_each_time() {
    // A lazy ack that waits for the put could be a group of its own.
    let options = options().segment_size(1 << 20).ack_durability(AckDurability::Sync);
    let (channel, counts) = channel(options.background(false));
    let mut rolls = 0;
    for _ in 0..100 {
        let found = cost(&counts, || put(&channel, 100));
        take(&channel, 100);
        if found.calls > 2 {
            rolls += 1;
            let roll = (found.calls - 2, found.writes - 1, found.reads, found.syncs - 1);
            let early = u64::from(rolls == 1);
            assert_eq!(roll, (19 - early, 4, 1, 6 - early));
        }
    }
    assert!(rolls >= 4, "{rolls}");
}

/// What rolls, checkpoints and recycling add, over many segments: S9 asks for 1.10 with the file system's own.
#[test]
fn segments_cost_little_beside_their_commits() {
    let (channel, counts) = channel(options().segment_size(1 << 20));
    let commits = 1_000;
    let pages_before = counts.page_bytes.load(Relaxed);
    let found = cost(&counts, || {
        for _ in 0..commits {
            put(&channel, 100);
            take(&channel, 100);
        }
    });
    let segments = commits * record_size(100) / (1 << 20);
    let payload = commits * 100 * BODY as u64;
    // A commit's bodies are 12.5 pages. With all that is beside them they are 13: a group is filled up to the end of
    // a page, and the next one does not touch that again. The rest is of the segments.
    let pages = (counts.page_bytes.load(Relaxed) - pages_before) / PAGE;
    assert!(pages <= 13 * commits + 6 * segments, "{pages} pages, {segments} segments");
    assert!(found.bytes * 1000 < payload * 1050, "{} bytes for {payload}", found.bytes);
    let per_segment = |count: u64| (count - commits) as f64 / segments as f64;
    assert!(
        per_segment(found.syncs) < 9.0,
        "{} syncs for each of {segments}",
        per_segment(found.syncs)
    );
    assert!(
        per_segment(found.calls - commits) < 40.0,
        "{} calls for each",
        per_segment(found.calls - commits)
    );
}

/// A backlog is read in large blocks, once.
#[test]
fn a_backlog_is_read_in_large_blocks() {
    let (channel, counts) = channel(options().memory_tail(0));
    let commits = 400;
    (0..commits).for_each(|_| put(&channel, 100));
    let size = commits * record_size(100);
    let found = cost(&counts, || (0..commits).for_each(|_| take(&channel, 100)));
    assert!(found.reads * (200 << 10) < size, "{} reads for {size} bytes", found.reads);
    assert_eq!(found.syncs, 0);
}

/// So is one of large records, and with acks between them: the first of a segment with its header apart, the
/// others in one go.
#[test]
fn large_records_are_read_once() {
    let lazy = AckDurability::Lazy(LONG);
    for (ack_durability, background) in [(lazy, false), (lazy, true), (AckDurability::Sync, false)]
    {
        let options = options().memory_tail(0).background(background);
        let options = options.ack_durability(ack_durability);
        let (channel, counts) = channel(options);
        put(&channel, 1000);
        let records = 60;
        for _ in 0..records {
            put(&channel, 1000);
            take(&channel, 1);
        }
        let segments = channel.stats().segments;
        take(&channel, 1000 - records as usize);
        let found = cost(&counts, || (0..records).for_each(|_| take(&channel, 1000)));
        let most = records + 4 * segments;
        assert!(found.reads <= most, "{} reads in {segments} segments", found.reads);
    }
}

/// S7: the first read of a segment has more in it than the page that it begins with, since Linux takes the first
/// read of a file for what will be wanted of it; and not so much that the consumer waits for it.
#[test]
fn a_segment_is_not_begun_with_a_page_alone() {
    for events in [1, 100, 1000] {
        let options = options().segment_size(2 << 20).memory_tail(0);
        let (channel, counts) = channel(options);
        let commits = 20_000 / events;
        (0..commits).for_each(|_| put(&channel, events));
        let segments = channel.stats().segments;
        let beginnings = || [&counts.beginnings, &counts.bad_beginnings].map(|n| n.load(Relaxed));
        let before = beginnings();
        (0..commits).for_each(|_| take(&channel, events));
        let [all, bad] = beginnings();
        assert!((segments - 1..=segments).contains(&(all - before[0])), "{all} of {segments}");
        assert_eq!(bad, before[1]);
    }
}

/// A thread of its own reads ahead, or none does: the same is read, and once.
#[test]
fn reading_ahead_reads_nothing_twice() {
    for background in [false, true] {
        let (channel, counts) = channel(options().memory_tail(0).background(background));
        let commits = 1000;
        (0..commits).for_each(|_| put(&channel, 100));
        let segments = channel.stats().segments;
        let found = cost(&counts, || (0..commits).for_each(|_| take(&channel, 100)));
        // Four records fit into a block, and more into one that is read ahead. In the first segment blocks
        // grow, in the others they are as large as that.
        let most = commits / 4 + 2 * segments + 4;
        assert!(found.reads <= most, "{} reads, background: {background}", found.reads);
    }
}

/// Nor do bytes go twice through memory where records are large, with acks between them, and whatever fills up
/// their groups to a page: with 882 events and an ack all but 8 bytes of one.
#[test]
fn the_bytes_of_large_records_are_read_once() {
    for (events, acks, background) in
        [(882, true, false), (882, true, true), (1000, false, false), (1000, false, true)]
    {
        let options = options().segment_size(32 << 20).memory_tail(0).background(background);
        let (channel, counts) = channel(options.ack_durability(AckDurability::Lazy(LONG)));
        let commits = 100;
        for _ in 0..commits {
            put(&channel, events as usize);
            if acks {
                take(&channel, 1);
            }
        }
        let left = commits * events - if acks { commits } else { 0 };
        let before = counts.read_bytes.load(Relaxed);
        (0..left / events).for_each(|_| take(&channel, events as usize));
        let (read, size) =
            (counts.read_bytes.load(Relaxed) - before, commits * record_size(events));
        assert!(read < size * 21 / 20, "{read} bytes for {size}, background: {background}");
    }
}

/// Allocations per commit do not depend on the number of its events, but for the vectors that grow.
#[test]
fn no_allocation_for_each_event() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options().durability(Durability::Os).segment_size(64 << 20);
    let channel = FileChannel::open(directory.path().join("channel"), options).expect("opens");
    let one_by_one = |count: usize| {
        let put = allocation_counter::measure(|| put(&channel, count)).count_total;
        let take = allocation_counter::measure(|| take(&channel, count)).count_total;
        (put, take)
    };
    let at_once = |count: usize| {
        let events = vec![Event::new(vec![7; BODY]); count];
        let put = allocation_counter::measure(|| put_all(&channel, events)).count_total;
        let take = allocation_counter::measure(|| take_up_to(&channel, count)).count_total;
        (put, take)
    };
    let ways: [&dyn Fn(usize) -> (u64, u64); 2] = [&one_by_one, &at_once];
    for allocations in ways {
        allocations(5_000);
        let (one, many) = (allocations(1), allocations(5_000));
        assert!(one.0 <= 11 && one.1 <= 7, "{one:?}");
        assert!(many.0 <= one.0 + 25 && many.1 <= one.1 + 25, "{one:?} {many:?}");
    }
}

/// I9, S8: whatever the events are like, the tail in memory is as large as the option says, and no larger. What
/// the allocator needs beside what it was asked for is in the option, and not in what is counted here.
#[test]
fn i9_the_tail_takes_as_much_memory_as_it_may() {
    const TAIL: u64 = 4 << 20;
    for (per_commit, headers, body) in [
        (1, 0, 50),
        (1, 0, 512),
        (100, 0, 50),
        (100, 0, 512),
        (1, 2, 50),
        (100, 2, 50),
        (100, 20, 50),
    ] {
        let options = options().durability(Durability::Os).memory_tail(TAIL);
        let directory = tempfile::tempdir().expect("a directory");
        let channel = FileChannel::open(directory.path().join("channel"), options).expect("opens");
        let event = || {
            let event = Event::new(vec![7; body]);
            (0..headers)
                .fold(event, |event, at| event.with_header(format!("header {at:2}"), "value"))
        };
        let fill = |bytes: u64| {
            let mut put = 0;
            while put < bytes {
                let mut transaction = channel.begin_put();
                for _ in 0..per_commit {
                    put += event().size();
                    transaction.put(event()).expect("there is room");
                }
                transaction.commit().expect("the disk is sound");
            }
        };
        let held = allocation_counter::measure(|| fill(2 * TAIL)).bytes_current as u64;
        let share = held as f64 / TAIL as f64;
        let case = (per_commit, headers, body);
        assert!((0.6..=1.02).contains(&share), "{share:.2} of the tail: {case:?}");
    }
}

/// S6: after a kill the first event is got at by the headers of what comes before it, in the segment where
/// reading had come to at the last checkpoint.
#[test]
fn what_was_acknowledged_before_a_kill_is_not_read() {
    let storage = SimDisk::new(1).storage();
    let acks = options().ack_durability(AckDurability::Sync);
    let channel = FileChannel::open_on(Arc::clone(&storage), acks).expect("opens");
    // More than a segment, so that the first one is complete.
    (0..40).for_each(|_| put(&channel, 1000));
    assert_eq!(channel.stats().segments, 2);
    (0..23).for_each(|_| take(&channel, 1000));
    take(&channel, 900);
    drop(channel);
    let counts = Arc::new(Counts::default());
    let counted = Counted(storage, Arc::clone(&counts));
    let channel = FileChannel::open_on(Arc::new(counted), options()).expect("opens");
    assert_eq!(channel.stats().events, 16_100);
    let before = counts.read_bytes.load(Relaxed);
    take(&channel, 100);
    let read = counts.read_bytes.load(Relaxed) - before;
    let record = record_size(1000);
    assert!(read < 24 * (16 << 10) + 2 * record, "{read} bytes for a part of one of {record}");
}

/// S6: an opening looks once at each segment's file, for its size, and at nothing else of it.
#[test]
fn an_opening_calls_once_for_each_segment() {
    let calls = |segments: u64, closes: bool| {
        let storage = SimDisk::new(1).storage();
        let options = || options().segment_size(64 << 10);
        let channel = FileChannel::open_on(Arc::clone(&storage), options()).expect("opens");
        while channel.stats().segments < segments {
            put(&channel, 100);
        }
        if closes {
            channel.close().expect("works");
        }
        drop(channel);
        let counts = Arc::new(Counts::default());
        let counted = Arc::new(Counted(storage, Arc::clone(&counts)));
        let found = cost(&counts, || drop(FileChannel::open_on(counted, options())));
        (found.calls, found.reads)
    };
    for closes in [true, false] {
        let [few, many] = [10, 30].map(|segments| calls(segments, closes));
        assert_eq!(many.0 - few.0, 20, "closed: {closes}");
        assert_eq!(many.1, few.1, "closed: {closes}");
    }
}
