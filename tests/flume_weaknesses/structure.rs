//! The performance weaknesses that are about structure: P1, P3 to P7 and P9 to P12. No test here asks a clock;
//! what can only be measured is in `benches/`.

use std::sync::{Arc, mpsc};
use std::thread;

use flumen::storage::sim::SimDisk;
use flumen::{AckDurability, Channel, CommitError, Durability, FileChannel, PutError};

use crate::files::{Kind, SLOTS, read, records, tail};
use crate::queue::*;
use crate::watched::{PATIENCE, Watch, watched};

#[test]
fn p01_a_transaction_of_takes_is_one_small_record_and_one_sync_or_none() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put(&channel, &events(0..500));
    let before = channel.stats().syncs;
    assert_eq!(consume(&channel, 400).len(), 400);
    assert_eq!(channel.stats().syncs, before + 1);
    let records = records(&read(&disk, &tail(&disk)));
    let acks: Vec<_> = records.iter().filter(|r| r.kind == Kind::Ack).collect();
    assert_eq!(acks.len(), 1, "one record for 400 takes");
    assert!(acks[0].size <= 80, "{} bytes", acks[0].size);
    drop(channel);

    let lazy = options().ack_durability(AckDurability::Lazy(LONG));
    let channel = open(&disk, &lazy);
    let before = (channel.stats().syncs, disk.calls());
    for _ in 0..100 {
        assert_eq!(consume(&channel, 1).len(), 1);
    }
    assert_eq!(channel.stats().syncs, before.0, "lazy takes sync nothing");
    put(&channel, &events(0..1));
    assert_eq!(channel.stats().syncs, before.0 + 1, "the next put's sync does");
    drop(channel);
    assert_eq!(open(&disk, &options()).stats().events, 1);
}

#[test]
fn p01_a_transaction_of_puts_is_one_record_one_write_and_one_sync() {
    let disk = SimDisk::new(1);
    let (storage, watch) = watched(disk.storage());
    // In smaller segments a record of this size goes in pieces.
    let options = options().segment_size(4 << 20);
    let channel = FileChannel::open_on(storage, options).expect("opens");
    let before = (watch.writes(), channel.stats().syncs);
    put(&channel, &events(0..500));
    let after = (watch.writes(), channel.stats().syncs);
    assert_eq!(after, (before.0 + 1, before.1 + 1));
}

/// With sync off, commits cost a write and nothing else.
#[test]
fn p02_without_sync_a_commit_syncs_nothing() {
    let disk = SimDisk::new(2);
    let channel = open(&disk, &options().durability(Durability::Os));
    let before = channel.stats().syncs;
    for number in 0..100 {
        put(&channel, &events(number..number + 1));
    }
    assert_eq!(channel.stats().syncs, before);
    channel.sync().expect("the disk works");
    assert_eq!(channel.stats().syncs, before + 1, "one for all of them");
}

/// A channel with an event, of which the sync of a put is under way.
struct Held {
    channel: FileChannel,
    watch: Arc<Watch>,
    first: thread::JoinHandle<()>,
    writes: u64,
}

fn hold_a_sync(seed: u64) -> Held {
    let (storage, watch) = watched(SimDisk::new(seed).storage());
    let channel = FileChannel::open_on(storage, options()).expect("opens");
    put(&channel, &events(0..1));
    watch.hold_syncs(".seg");
    let other = channel.clone();
    let first = thread::spawn(move || put(&other, &events(1..2)));
    assert!(watch.has_held(1), "the first commit syncs");
    let writes = watch.writes();
    Held { channel, watch, first, writes }
}

impl Held {
    /// Lets the syncs go, and waits for the commits.
    fn release(self, others: impl IntoIterator<Item = thread::JoinHandle<()>>) -> FileChannel {
        assert!(!self.first.is_finished(), "nothing is acknowledged before");
        self.watch.release_syncs();
        self.first.join().expect("commits");
        others.into_iter().for_each(|other| other.join().expect("commits"));
        self.channel
    }
}

#[test]
fn p03_an_ack_and_a_large_put_are_written_and_synced_while_a_put_is_being_synced() {
    let held = hold_a_sync(3);
    let channel = held.channel.clone();
    let ack = thread::spawn(move || assert_eq!(consume(&channel, 1), events(0..1)));
    assert!(held.watch.has_written(held.writes + 1), "it is written meanwhile");
    assert!(held.watch.has_held(2), "and its sync begins");
    assert_eq!(drain(&held.release([ack])), events(1..2));

    let held = hold_a_sync(4);
    let channel = held.channel.clone();
    let large = thread::spawn(move || put(&channel, &larges(2..3, 20_000)));
    assert!(held.watch.has_written(held.writes + 1), "it is written meanwhile");
    assert!(held.watch.has_held(2), "and its sync begins");
    assert_eq!(drain(&held.release([large])).len(), 3);
}

#[test]
fn p04_puts_and_takes_go_on_while_a_checkpoint_is_being_synced() {
    let disk = SimDisk::new(4);
    let (storage, watch) = watched(disk.storage());
    let channel = FileChannel::open_on(storage, options()).expect("opens");
    put(&channel, &events(0..10));
    watch.hold_syncs("checkpoint-a");
    let checkpoints = {
        let channel = channel.clone();
        // One of two in a row goes to the slot that is held.
        thread::spawn(move || {
            channel.checkpoint().expect("the disk works");
            put(&channel, &events(100..101));
            channel.checkpoint().expect("the disk works");
        })
    };
    assert!(watch.has_held(1), "a checkpoint is under way");
    let (done, is_done) = mpsc::channel();
    let worker = {
        let channel = channel.clone();
        thread::spawn(move || {
            put(&channel, &events(10..20));
            let taken = consume(&channel, 10);
            take(&channel, 2).0.rollback();
            done.send(taken).expect("the test waits for it");
        })
    };
    let taken = is_done.recv_timeout(PATIENCE);
    watch.release_syncs();
    assert_eq!(taken.expect("puts and takes do not wait for a checkpoint"), events(0..10));
    worker.join().expect("it has finished");
    checkpoints.join().expect("the disk works");
}

/// The same at every depth: opening costs what came after the last checkpoint, at most a segment.
#[test]
fn p05_replay_does_not_grow_with_the_backlog() {
    let disk = SimDisk::new(5);
    let channel = open(&disk, &options());
    let mut depth = 0;
    for goal in [200, 2000, 4000] {
        put_batches(&channel, &larges(depth..goal, 1000), 25);
        depth = goal;
        let channel = open(&disk.snapshot(), &options());
        let replayed = channel.recovery().replayed_bytes;
        assert!(replayed <= 64 << 10, "{replayed} bytes at depth {depth}");
        assert_eq!(channel.stats().events, depth);
        let image = disk.snapshot();
        assert!(SLOTS.iter().all(|slot| image.remove_file(slot)));
        let channel = open(&image, &options());
        let replayed = channel.recovery().replayed_bytes;
        assert!(replayed <= 64 << 10, "{replayed} bytes at depth {depth} without a checkpoint");
        assert_eq!(channel.stats().events, depth);
    }
    assert_eq!(drain(&channel), larges(0..4000, 1000));
}

#[test]
fn p06_a_change_of_capacity_costs_no_replay() {
    let disk = SimDisk::new(6);
    let channel = open(&disk, &options().capacity_events(2000));
    put_batches(&channel, &larges(0..1000, 1000), 25);
    channel.close().expect("the disk works");
    drop(channel);
    for capacity in [2000, 4000, 1001, 1000, 999, 1, u64::MAX] {
        let options = options().capacity_events(capacity).capacity_bytes(capacity);
        let channel = open(&disk, &options);
        assert_eq!(channel.recovery().replayed_bytes, 0, "to {capacity}");
        assert!(channel.recovery().clean, "to {capacity}");
        assert_eq!(channel.stats().events, 1000, "to {capacity}");
        channel.close().expect("the disk works");
    }
    assert_eq!(drain(&open(&disk, &options())), larges(0..1000, 1000));
}

#[test]
fn p07_what_was_just_put_is_taken_without_reading_the_disk() {
    let disk = SimDisk::new(7);
    let (storage, watch) = watched(disk.storage());
    let channel = FileChannel::open_on(storage, options()).expect("opens");
    put(&channel, &events(0..1));
    assert_eq!(drain(&channel), events(0..1));
    put_batches(&channel, &events(0..500), 50);
    let before = watch.reads();
    let (transaction, taken) = take(&channel, 500);
    assert_eq!(taken, events(0..500));
    assert_eq!(watch.reads(), before, "nothing is read");
    transaction.rollback();
    assert_eq!(drain(&channel), events(0..500));
    assert_eq!(watch.reads(), before, "nor after a rollback");
}

#[test]
fn p07_a_backlog_is_read_in_blocks_not_event_by_event() {
    let disk = SimDisk::new(7);
    let (storage, watch) = watched(disk.storage());
    let options = options().memory_tail(0);
    let channel = FileChannel::open_on(storage, options).expect("opens");
    put_batches(&channel, &events(0..5000), 10);
    let before = watch.reads();
    assert_eq!(drain(&channel), events(0..5000));
    let reads = watch.reads() - before;
    assert!(reads < 200, "{reads} reads for 5,000 events");
}

#[test]
fn p09_one_old_event_pins_only_its_own_segment() {
    let disk = SimDisk::new(9);
    let channel = open(&disk, &options());
    put(&channel, &larges(0..1, 1000));
    let (old, _) = take(&channel, 1);
    let of = |round: u64| larges(round * 50..round * 50 + 50, 1000);
    put(&channel, &of(1));
    let mut most = 0;
    // Consumers are a round behind, so that segments are complete before they are done.
    for round in 2..=100 {
        put(&channel, &of(round));
        assert_eq!(consume(&channel, 50), of(round - 1));
        channel.checkpoint().expect("the disk works");
        let stats = channel.stats();
        assert!(stats.segments <= 5, "round {round}: {stats:?}");
        most = most.max(stats.disk_bytes);
    }
    assert!(most < 1 << 20, "{most} bytes for 5 MB that went through");
    let files = disk.file_names();
    assert!(files.len() < 12, "{files:?}");
    let left: Vec<_> = larges(0..1, 1000).into_iter().chain(of(100)).collect();
    for (how, image) in crashes(&disk) {
        assert_eq!(drain(&open(&image, &options())), left, "{how}");
    }
    drop(old);
}

#[test]
fn p10_a_checkpoint_does_not_grow_with_capacity_or_depth() {
    let sizes = |capacity: u64, depth: u64| {
        let disk = SimDisk::new(10);
        let (storage, watch) = watched(disk.storage());
        let options = options().capacity_events(capacity).segment_size(8 << 20);
        let channel = FileChannel::open_on(storage, options).expect("opens");
        put_batches(&channel, &events(0..depth), 100);
        let before = watch.bytes_written();
        channel.checkpoint().expect("the disk works");
        let size = |slot: &&str| read(&disk, slot).len();
        let files: usize = SLOTS.iter().map(size).sum();
        (watch.bytes_written() - before, files)
    };
    let (written, files) = sizes(100, 100);
    assert!((1..1000).contains(&written), "{written} bytes");
    for (capacity, depth) in [(1_000_000_000, 100), (1_000_000_000, 20_000)] {
        let (later, later_files) = sizes(capacity, depth);
        assert!(later <= written + 16, "{later} bytes at {depth} events");
        assert_eq!(later_files, files, "at {depth} events");
    }
}

#[test]
fn p11_each_byte_is_written_once() {
    let disk = SimDisk::new(11);
    let (storage, watch) = watched(disk.storage());
    let options = options().segment_size(1 << 20);
    let channel = FileChannel::open_on(storage, options).expect("opens");
    let before = watch.bytes_written();
    put_batches(&channel, &larges(0..10_000, 500), 100);
    let written = watch.bytes_written() - before;
    let payload = channel.stats().bytes;
    assert!(written < payload + payload / 20, "{written} bytes for {payload}");
}

#[test]
fn p12_the_capacity_counts_bytes_too() {
    let disk = SimDisk::new(12);
    let size = large(10, 1000).size();
    let channel = open(&disk, &options().capacity_bytes(10 * size));
    put_batches(&channel, &larges(10..19, 1000), 3);
    let mut transaction = channel.begin_put();
    transaction.put(large(19, 1000)).expect("the tenth fits");
    match transaction.put(flumen::Event::new("")) {
        Err(PutError::Full(back)) => assert!(back.body.is_empty()),
        other => panic!("{other:?}"),
    }
    match channel.begin_put().put(large(20, 11_000)) {
        Err(PutError::TooLarge(back)) => assert_eq!(back, large(20, 11_000)),
        other => panic!("{other:?}"),
    }
    transaction.commit().expect("the disk works");
    assert_eq!(channel.stats().bytes, 10 * size);
    let (transaction, _) = take(&channel, 1);
    assert!(channel.begin_put().put(large(20, 1000)).is_err());
    transaction.commit().expect("the disk works");
    put(&channel, &larges(20..21, 1000));
    assert_eq!(drain(&channel), larges(11..21, 1000));
    assert_eq!(channel.stats().bytes, 0);
}

/// A limit in bytes of the disk itself holds as well, whatever the capacity says.
#[test]
fn p12_disk_use_follows_what_is_queued() {
    let disk = SimDisk::new(12);
    let channel = open(&disk, &options());
    let empty = channel.stats().disk_bytes;
    put_batches(&channel, &larges(0..2000, 1000), 1);
    let full = channel.stats().disk_bytes;
    let on_disk: usize = disk.file_names().iter().map(|name| read(&disk, name).len()).sum();
    assert!(full >= channel.stats().bytes, "{full}");
    assert!(full < channel.stats().bytes * 5 / 4 + empty, "{full}");
    let lock_and_slots = 256 << 10;
    assert!(on_disk as u64 <= full + lock_and_slots, "{on_disk} and {full}");
    assert_eq!(drain(&channel).len(), 2000);
    channel.checkpoint().expect("the disk works");
    let drained = channel.stats().disk_bytes;
    assert!(drained <= empty + (256 << 10), "{drained} after {empty}");
    let mut put = channel.begin_put();
    put.put(event(1)).expect("there is room");
    disk.set_capacity(Some(0));
    let result = put.commit();
    assert!(matches!(result, Ok(()) | Err(CommitError::NoSpace(_))));
}
