//! I8: a full disk refuses puts cleanly and nothing else: takes, acks, checkpoints, closing and opening go
//! on, and once events have been taken, puts do too, without a restart.
#![allow(clippy::print_stderr, reason = "says loudly what is skipped")]

mod support;

use std::sync::Arc;

use flumen::storage::sim::{Crash, SimDisk};
use flumen::storage::{OsStorage, Storage};
use flumen::{Channel, ChannelOptions, CommitError, Event, FileChannel};
use support::history;

const BODY: usize = 150;

fn options() -> ChannelOptions {
    history::options().memory_tail(0)
}

fn open(storage: &Arc<dyn Storage>) -> FileChannel {
    FileChannel::open_on(Arc::clone(storage), options()).expect("opens, full or not")
}

fn body(index: u64) -> String {
    format!("{index:0BODY$}")
}

fn put_one(channel: &FileChannel, index: u64) -> Result<(), CommitError> {
    let mut put = channel.begin_put();
    put.put(Event::new(body(index))).expect("no limit but the disk");
    put.commit()
}

/// Puts one by one until the disk is full; returns the number of the first event that was refused.
fn fill(channel: &FileChannel, from: u64) -> u64 {
    for index in from.. {
        match put_one(channel, index) {
            Ok(()) => assert!(index < from + 1_000_000, "the disk never got full"),
            Err(CommitError::NoSpace(events)) => {
                assert_eq!(&*events[0].body, body(index).as_bytes(), "handed back");
                return index;
            }
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the loop ends by returning")
}

fn take_one(channel: &FileChannel, expected: u64) {
    let mut take = channel.begin_take();
    let event = take.take().expect("readable").expect("there is one");
    assert_eq!(&*event.body, body(expected).as_bytes());
    take.commit().expect("an ack has room");
}

/// Fills, drains one by one, and fills again, without a restart.
fn drain_and_go_on(storage: &Arc<dyn Storage>) {
    let channel = open(storage);
    let end = fill(&channel, 0);
    assert!(end > 500, "{end} events");
    assert_eq!(fill(&channel, end), end, "still full");
    channel.checkpoint().expect("a checkpoint has room");
    for index in 0..end {
        take_one(&channel, index);
    }
    let again = fill(&channel, end);
    assert!(again - end > 500, "puts go on: {} events", again - end);
    take_one(&channel, end);
    channel.close().expect("closing has room");
}

/// Fills; then opens again and again, cleanly and not, while it is full.
fn open_while_full(storage: &Arc<dyn Storage>) {
    let channel = open(storage);
    let end = fill(&channel, 0);
    drop(channel);
    for round in 0..10 {
        let channel = open(storage);
        take_one(&channel, round);
        if round % 3 == 2 {
            channel.close().expect("closing has room");
        }
    }
    let channel = open(storage);
    for index in 10..end {
        take_one(&channel, index);
    }
    assert!(fill(&channel, end) > end, "puts go on");
}

/// Acks that free nothing: of each segment one event stays, so no segment can go, and there are far more acks
/// than one reserve file holds.
fn acks_that_free_nothing(storage: &Arc<dyn Storage>) {
    let channel = open(storage);
    let end = fill(&channel, 0);
    let mut kept = Vec::new();
    for index in 0..end {
        let mut take = channel.begin_take();
        let event = take.take().expect("readable").expect("there is one");
        assert_eq!(&*event.body, body(index).as_bytes());
        if index % 100 == 0 {
            kept.push(take);
        } else {
            take.commit().expect("an ack has room");
        }
    }
    assert_eq!(channel.stats().events, end.div_ceil(100));
    drop(kept);
    drop(channel);
    let channel = open(storage);
    for index in (0..end).step_by(100) {
        take_one(&channel, index);
    }
    assert!(fill(&channel, end) > end, "puts go on");
}

/// Acks that have begun a segment of the reserve leave room there that puts must not take, until the first segment
/// whose events are all taken has made the reserve whole again: then what is left there is theirs.
fn puts_leave_the_reserve_alone(storage: &Arc<dyn Storage>) {
    let channel = open(storage);
    let mut first = 0;
    while channel.stats().segments < 2 {
        put_one(&channel, first).expect("there is room");
        first += 1;
    }
    // The last one began the second segment.
    let first = first - 1;
    let end = fill(&channel, first + 1);
    let segments = channel.stats().segments;
    for index in 0..first {
        assert_eq!(fill(&channel, end), end, "with {index} of {first} taken");
        take_one(&channel, index);
    }
    assert!(channel.stats().segments > segments, "an ack began one");
    assert!(fill(&channel, end) > end, "puts go on");
}

fn small_disk() -> SimDisk {
    let disk = SimDisk::new(5);
    disk.set_capacity(Some(1 << 20));
    disk
}

#[test]
fn i8_draining_a_full_disk() {
    drain_and_go_on(&small_disk().storage());
}

#[test]
fn i8_opening_on_a_full_disk() {
    open_while_full(&small_disk().storage());
}

#[test]
fn i8_acks_on_a_full_disk() {
    acks_that_free_nothing(&small_disk().storage());
}

#[test]
fn i8_the_reserve_is_for_acks() {
    puts_leave_the_reserve_alone(&small_disk().storage());
}

#[test]
fn i8_a_loss_of_power_on_a_full_disk() {
    let disk = small_disk();
    let channel = open(&disk.storage());
    let end = fill(&channel, 0);
    for seed in 0..20 {
        let image = disk.crash(&Crash::Random(seed));
        image.set_capacity(Some(1 << 20));
        let channel = open(&image.storage());
        for index in 0..end {
            take_one(&channel, index);
        }
        assert!(fill(&channel, end) > end, "puts go on");
    }
}

/// The last commit before the crash is larger than any room that is left, and nothing witnesses yet that it
/// was synced. The channel opens all the same, with that commit.
#[test]
fn i8_opening_with_a_large_last_commit() {
    let disk = small_disk();
    let storage = disk.storage();
    let channel = open(&storage);
    for index in 0..200 {
        let mut put = channel.begin_put();
        put.put(Event::new(body(index))).expect("no limit but the disk");
        put.commit().expect("there is room");
    }
    let mut put = channel.begin_put();
    for index in 0..50 {
        put.put(Event::new(format!("{index:010000}"))).expect("no limit but the disk");
    }
    put.commit().expect("there is room");
    for seed in 0..20 {
        let image = disk.crash(&Crash::Random(seed));
        let storage = image.storage();
        image.set_capacity(Some(1 << 20));
        let left = storage.available_space().expect("known");
        image.set_capacity(Some((1 << 20) - left));
        assert_eq!(storage.available_space().expect("known"), 0);
        let channel = open(&storage);
        for index in 0..200 {
            take_one(&channel, index);
        }
        let mut take = channel.begin_take();
        for index in 0..50 {
            let event = take.take().expect("readable").expect("there is one");
            assert_eq!(&*event.body, format!("{index:010000}").as_bytes());
        }
        take.commit().expect("an ack has room");
    }
}

/// A disk with no page to spare, a loss of power, and an opening, which cuts the old end short. Drained, that
/// file goes to the reserve, for which it is too small; found by tests/model.rs, it stayed there, and puts
/// were refused for ever.
#[test]
fn i8_a_cut_segment_does_not_block_the_reserve() {
    let disk = SimDisk::new(1);
    let channel = open(&disk.storage());
    for count in [60, 60, 30, 1] {
        let mut put = channel.begin_put();
        for index in 0..count {
            put.put(Event::new(body(index))).expect("no limit but the disk");
        }
        put.commit().expect("there is room");
    }
    for cut in [Crash::LoseAll, Crash::KeepAll, Crash::Random(1)] {
        let image = disk.crash(&cut);
        let sizes = image.file_names().into_iter().filter_map(|name| image.read_file(&name));
        image
            .set_capacity(Some(sizes.map(|bytes| bytes.len().next_multiple_of(4096) as u64).sum()));
        let channel = open(&image.storage());
        for _ in 0..3 {
            let mut take = channel.begin_take();
            while take.len() < 64 && take.take().expect("readable").is_some() {}
            take.commit().expect("an ack has room");
        }
        assert_eq!(channel.stats().events, 0);
        assert!(fill(&channel, 0) > 0, "puts go on: {cut:?}");
    }
}

/// A disk with room for one segment and the reserve. Drained, that segment holds nothing that is wanted, but
/// it is the one being written: it is not recycled, and puts that do not fit behind its end are refused.
#[test]
fn i8_one_segment_that_is_full() {
    // One that fits into a file of the reserve, and one that does not; after a pause, too, in which what
    // was taken is stated in the log, so that nothing more is to be written.
    for size in [20_000, 50_000] {
        for pauses in [false, true] {
            one_segment_that_is_full(size, pauses, options());
        }
    }
}

/// docs/OPERATIONS.md: a page, the largest ack, and the state. So an ack of the most ranges there can be has room
/// beside 32 KiB of cursors and lazy acks.
#[test]
fn i8_a_file_of_the_reserve_has_room_for_the_largest_ack() {
    for events in [1, 1_000] {
        let disk = SimDisk::new(1);
        let options = options().transaction_events(events);
        let _channel = FileChannel::open_on(disk.storage(), options).expect("opens");
        let names = disk.file_names().into_iter().filter(|name| name.starts_with("reserve-"));
        let sizes: Vec<_> = names.map(|name| disk.read_file(&name).expect("there").len()).collect();
        assert_eq!(sizes.len(), 3);
        assert!(
            sizes.iter().all(|size| *size >= (4 << 10) + (32 << 10) + 16 * events),
            "{sizes:?}"
        );
    }
}

/// The reserve's files are larger than a segment.
#[test]
fn i8_one_segment_smaller_than_the_reserve() {
    for size in [20_000, 50_000] {
        one_segment_that_is_full(size, false, options().transaction_events(3000));
    }
}

/// A segment is far larger than the reserve's files, and so is a record.
#[test]
fn i8_one_segment_much_larger_than_the_reserve() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    let channel = FileChannel::open_on(storage, options().segment_size(128 << 10)).expect("opens");
    put_sized(&channel, 110_000).expect("there is room");
    leave_no_room(&disk);
    for round in 0..3 {
        take_any(&channel);
        put_sized(&channel, 110_000)
            .unwrap_or_else(|error| panic!("I8, round {round}: it is empty: {error}"));
    }
}

/// A record larger than a segment, where the room for it is in two spares.
#[test]
fn i8_spares_make_room_for_a_large_record() {
    let disk = SimDisk::new(1);
    let channel = open(&disk.storage());
    for _ in 0..8 {
        put_sized(&channel, 40_000).expect("there is room");
    }
    for _ in 0..8 {
        take_any(&channel);
    }
    channel.maintain().expect("works");
    let spares =
        |disk: &SimDisk| disk.file_names().iter().filter(|name| name.starts_with("spare-")).count();
    assert_eq!(spares(&disk), 2);
    leave_no_room(&disk);
    put_sized(&channel, 100_000).expect("two spares are as large as that");
    take_any(&channel);
}

/// The state has grown by a page, so that the reserve's files are all a little too small; and the disk is full.
#[test]
fn i8_a_reserve_that_must_grow_a_little() {
    let disk = SimDisk::new(1);
    let channel = open(&disk.storage());
    let mut put = channel.begin_put();
    put.put(Event::new(vec![7; 50_000])).expect("no limit but the disk");
    put.set_cursor("position", &[7; 700]).expect("fits");
    leave_no_room(&disk);
    put.commit().expect("it fits into the segment");
    channel.maintain().expect("works");
    take_any(&channel);
    channel.maintain().expect("works");
    put_sized(&channel, 20_000).expect("I8: it is empty");
}

fn leave_no_room(disk: &SimDisk) {
    let sizes = disk.file_names().into_iter().filter_map(|name| disk.read_file(&name));
    disk.set_capacity(Some(sizes.map(|bytes| bytes.len().next_multiple_of(4096) as u64).sum()));
}

fn put_sized(channel: &FileChannel, size: usize) -> Result<(), CommitError> {
    let mut put = channel.begin_put();
    put.put(Event::new(vec![7; size])).expect("no limit but the disk");
    put.commit()
}

fn take_any(channel: &FileChannel) {
    let mut take = channel.begin_take();
    assert!(take.take().expect("readable").is_some(), "one was put");
    take.commit().expect("an ack has room");
}

fn one_segment_that_is_full(size: usize, pauses: bool, options: ChannelOptions) {
    let disk = SimDisk::new(1);
    let channel = FileChannel::open_on(disk.storage(), options).expect("opens");
    put_sized(&channel, 50_000).expect("there is room");
    leave_no_room(&disk);
    for round in 0..3 {
        take_any(&channel);
        if pauses {
            channel.maintain().expect("upkeep has room");
        }
        put_sized(&channel, size)
            .unwrap_or_else(|error| panic!("I8, round {round}: it is empty: {error}"));
    }
}

/// The scenarios above on a real file system of 3 MiB, where one can be mounted.
#[test]
fn i8_on_a_real_file_system() {
    let scenarios: [fn(&Arc<dyn Storage>); 3] =
        [drain_and_go_on, open_while_full, acks_that_free_nothing];
    for scenario in scenarios {
        let directory = tempfile::tempdir().expect("a directory");
        let Some(mount) = Mount::new(directory.path()) else {
            eprintln!("SKIPPED: a tmpfs cannot be mounted here");
            return;
        };
        let storage = OsStorage::new(directory.path().join("channel"), true).expect("opens");
        scenario(&(Arc::new(storage) as Arc<dyn Storage>));
        drop(mount);
    }
}

/// A small tmpfs, unmounted when dropped.
struct Mount<'a>(&'a std::path::Path);

impl<'a> Mount<'a> {
    fn new(path: &'a std::path::Path) -> Option<Mount<'a>> {
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(path);
        command.stderr(std::process::Stdio::null());
        command.status().is_ok_and(|status| status.success()).then_some(Mount(path))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let status = std::process::Command::new("umount").arg("-l").arg(self.0).status();
        assert!(status.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}
