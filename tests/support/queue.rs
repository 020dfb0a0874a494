//! What the tests that hold a channel against Flume's share: numbered events, whole sequences out of a
//! channel, and every way a channel can end without being closed.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::Path;
use std::time::Duration;

use flumen::storage::sim::{Crash, SimDisk};
use flumen::{Channel, ChannelOptions, Event, FileChannel, OpenError, TakeTransaction};

/// Longer than any test takes: who waits so long has missed a wake-up, and fails.
pub const LONG: Duration = Duration::from_secs(60);

/// A pause between two looks at a count that other threads raise, and how many there may be.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSES: u32 = 3000;

/// How many random crashes each history is put through.
const RANDOM_CRASHES: u64 = 12;

/// Most events to a transaction. It decides how large the reserve on the disk is.
const BATCH: usize = 1000;

/// Small segments, no waiting for room, no helper thread: everything happens when the test says so.
pub fn options() -> ChannelOptions {
    ChannelOptions::new()
        .segment_size(64 << 10)
        .put_wait(Duration::ZERO)
        .transaction_events(BATCH)
        .background(false)
}

/// The event with this number, in its body and in its headers.
pub fn event(number: u64) -> Event {
    Event::new(format!("event {number:05}"))
        .with_header("number", number.to_string())
        .with_header("empty", "")
}

/// The event with this number, of about `size` bytes.
pub fn large(number: u64, size: usize) -> Event {
    let digits = number.to_string();
    let zeros = "0".repeat(size.saturating_sub(digits.len()));
    Event::new(zeros + &digits).with_header("number", digits)
}

/// Events with these numbers.
pub fn events(numbers: impl IntoIterator<Item = u64>) -> Vec<Event> {
    numbers.into_iter().map(event).collect()
}

/// Large events with these numbers.
pub fn larges(numbers: impl IntoIterator<Item = u64>, size: usize) -> Vec<Event> {
    numbers.into_iter().map(|number| large(number, size)).collect()
}

/// Puts in one transaction.
pub fn put(channel: &dyn Channel, events: &[Event]) {
    let mut put = channel.begin_put();
    for event in events {
        put.put(event.clone()).expect("there is room");
    }
    put.commit().expect("the disk works");
}

/// Puts in transactions of `batch`.
pub fn put_batches(channel: &dyn Channel, events: &[Event], batch: usize) {
    for events in events.chunks(batch) {
        put(channel, events);
    }
}

/// Takes at most `count` events and leaves the transaction open.
pub fn take(channel: &dyn Channel, count: usize) -> (TakeTransaction, Vec<Event>) {
    let mut transaction = channel.begin_take();
    let mut taken = Vec::new();
    while taken.len() < count {
        match transaction.take().expect("the next event is readable") {
            Some(event) => taken.push(event),
            None => break,
        }
    }
    (transaction, taken)
}

/// Takes at most `count` events for good, in transactions as large as they may be.
pub fn consume(channel: &dyn Channel, count: usize) -> Vec<Event> {
    let mut all = Vec::new();
    while all.len() < count {
        let limit = channel.transaction_events().min(count - all.len());
        let (transaction, taken) = take(channel, limit);
        transaction.commit().expect("the disk works");
        if taken.is_empty() {
            break;
        }
        all.extend(taken);
    }
    all
}

/// Takes everything for good, in the order it comes, duplicates and all.
pub fn drain(channel: &dyn Channel) -> Vec<Event> {
    consume(channel, usize::MAX)
}

/// One of several consumers: takes `batch` events at a time for good, until all consumers together have taken
/// `total`, and calls `between` after each look.
pub fn consume_with_others(
    channel: &dyn Channel,
    batch: usize,
    total: u64,
    between: impl Fn(),
) -> Vec<Event> {
    let mut got = Vec::new();
    let mut pauses = 0;
    while channel.stats().events_taken < total {
        assert!(pauses < PAUSES, "{:?}", channel.stats());
        if channel.wait(PAUSE) {
            got.extend(consume(channel, batch));
        } else {
            pauses += 1;
        }
        between();
    }
    got
}

/// Opens the channel on a simulated disk, as whoever owns it after a restart.
pub fn open(disk: &SimDisk, options: &ChannelOptions) -> FileChannel {
    try_open(disk, options).expect("the channel opens")
}

/// As [`open`], where it may fail.
pub fn try_open(disk: &SimDisk, options: &ChannelOptions) -> Result<FileChannel, OpenError> {
    FileChannel::open_on(disk.storage(), options.clone())
}

/// Opens the channel in a real directory.
pub fn open_in(directory: &Path, options: &ChannelOptions) -> FileChannel {
    FileChannel::open(directory, options.clone()).expect("the channel opens")
}

/// What may be found after the machine or the process has died at this moment: losses of power that keep
/// nothing, everything and any part of what was not synced; and the death of the process alone.
pub fn crashes(disk: &SimDisk) -> Vec<(String, SimDisk)> {
    let mut images = vec![
        ("the process died".to_string(), disk.snapshot()),
        ("power loss, all unsynced lost".to_string(), disk.crash(&Crash::LoseAll)),
        ("power loss, all unsynced kept".to_string(), disk.crash(&Crash::KeepAll)),
    ];
    images.extend((0..RANDOM_CRASHES).map(|seed| {
        let image = disk.crash(&Crash::Random(seed));
        (format!("power loss, random {seed}"), image)
    }));
    images
}

/// Runs `history` on a new channel and ends it in every way but a close, with whatever transactions the
/// history returns still open: the crashes of a simulated disk, and a drop without a close on the real one.
/// `check` is given the channel that is then opened, and a word on how the first one ended.
pub fn after_each_crash<T>(
    options: &ChannelOptions,
    history: impl Fn(&FileChannel) -> T,
    check: impl Fn(&FileChannel, &str),
) {
    let disk = SimDisk::new(1);
    let channel = open(&disk, options);
    let open_transactions = history(&channel);
    let images = crashes(&disk);
    drop(open_transactions);
    for (how, image) in images {
        check(&open(&image, options), &how);
    }
    let directory = tempfile::tempdir().expect("a directory for the test");
    let channel = open_in(directory.path(), options);
    drop(history(&channel));
    drop(channel);
    check(&open_in(directory.path(), options), "dropped on the real disk");
}

/// As [`after_each_crash`], and after a clean close too.
pub fn after_each_end<T>(
    options: &ChannelOptions,
    history: impl Fn(&FileChannel) -> T,
    check: impl Fn(&FileChannel, &str),
) {
    after_each_crash(options, &history, &check);
    let directory = tempfile::tempdir().expect("a directory for the test");
    let channel = open_in(directory.path(), options);
    drop(history(&channel));
    channel.close().expect("the disk works");
    drop(channel);
    let channel = open_in(directory.path(), options);
    assert!(channel.recovery().clean, "a clean close is seen as one");
    check(&channel, "closed on the real disk");
}
