//! Histories that make a channel do each thing that it does with files, beyond the verdict. Each checks what is queued
//! afterwards too.

use flumen::marks::Row;
use flumen::storage::sim::{Crash, SimDisk};
use flumen::{Channel, ChannelOptions, CommitError, Event, FileChannel};

use crate::bytes::{last_segment, segment, segments};
use crate::support::history::{self, drain};
use crate::{Verdict, open};

type History = (Row, fn());

fn options() -> ChannelOptions {
    history::options().memory_tail(0)
}

fn channel_on(disk: &SimDisk) -> FileChannel {
    FileChannel::open_on(disk.storage(), options()).expect("opens")
}

/// Puts events of 9,000 bytes until the disk refuses, or so many; says how many.
fn put(channel: &FileChannel, count: usize) -> usize {
    for done in 0..count {
        let mut put = channel.begin_put();
        put.put(Event::new(vec![7; 9000])).expect("no limit but the disk");
        match put.commit() {
            Ok(()) => {}
            Err(CommitError::NoSpace(events)) => {
                assert_eq!(events.len(), 1, "handed back");
                return done;
            }
            Err(error) => panic!("{error}"),
        }
    }
    count
}

fn take(channel: &FileChannel, count: usize) {
    for _ in 0..count {
        let mut take = channel.begin_take();
        take.take().expect("readable").expect("there is one");
        take.commit().expect("an ack has room");
    }
}

/// Opens again, closed before or not, and compares what is queued.
fn reopen(disk: &SimDisk, verdict: Verdict, events: usize) -> FileChannel {
    let (found, channel) = open(disk, options());
    assert_eq!(found, verdict);
    let channel = channel.expect("it opened");
    assert_eq!(drain(&channel).expect("readable").len(), events);
    channel
}

fn closed(events: usize) -> SimDisk {
    let disk = SimDisk::new(1);
    let channel = channel_on(&disk);
    put(&channel, events);
    channel.close().expect("closes");
    drop(channel);
    disk
}

fn small_disk(size: u64) -> SimDisk {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(size));
    disk
}

fn a_new_channel() {
    drop(reopen(&closed(3), Verdict::Clean, 3));
}

fn no_room_to_begin() {
    let disk = small_disk(10 << 10);
    assert!(matches!(open(&disk, options()), (Verdict::Error, None)));
    disk.set_capacity(None);
    assert_eq!(open(&disk, options()).0, Verdict::Created, "nothing was spoiled");
}

fn a_draft_is_left() {
    let disk = closed(3);
    let draft = format!("draft-{}", segment(9));
    disk.write_file(&draft, b"half");
    drop(reopen(&disk, Verdict::Clean, 3));
    assert!(disk.read_file(&draft).is_none());
}

/// Many segments come and go, so that files are kept, used again, and in the end too many.
fn much_comes_and_goes() {
    let disk = SimDisk::new(1);
    let channel = channel_on(&disk);
    for _ in 0..4 {
        put(&channel, 60);
        take(&channel, 60);
        channel.checkpoint().expect("works");
    }
    put(&channel, 5);
    channel.close().expect("closes");
    drop(channel);
    drop(reopen(&disk, Verdict::Clean, 5));
}

/// With spares of a size that no longer fits.
fn other_segment_size() {
    let disk = SimDisk::new(1);
    let channel = channel_on(&disk);
    put(&channel, 60);
    take(&channel, 57);
    channel.close().expect("closes");
    drop(channel);
    assert!(disk.file_names().iter().any(|name| name.starts_with("spare-")));
    let other = options().segment_size(128 << 10);
    let channel = FileChannel::open_on(disk.storage(), other).expect("opens");
    assert_eq!(drain(&channel).expect("readable").len(), 3);
    assert!(!disk.file_names().iter().any(|name| name.starts_with("spare-")));
}

/// A crash brings back the name of a segment that nothing needs.
fn an_unlisted_segment() {
    let disk = SimDisk::new(1);
    let channel = channel_on(&disk);
    put(&channel, 20);
    take(&channel, 20);
    put(&channel, 1);
    let before = segments(&disk).len();
    channel.checkpoint().expect("works");
    assert!(segments(&disk).len() < before, "something was recycled");
    let image = disk.crash(&Crash::LoseAll);
    assert!(segments(&image).len() > segments(&disk).len(), "the names are back");
    drop(reopen(&image, Verdict::Unclean, 1));
}

fn an_unproven_end() {
    let disk = SimDisk::new(1);
    let channel = channel_on(&disk);
    put(&channel, 3);
    drop(channel);
    drop(reopen(&disk.crash(&Crash::LoseAll), Verdict::Unclean, 3));
}

fn a_proven_end() {
    let disk = SimDisk::new(1);
    let channel = channel_on(&disk);
    put(&channel, 3);
    channel.checkpoint().expect("works");
    drop(channel);
    drop(reopen(&disk.crash(&Crash::LoseAll), Verdict::Unclean, 3));
}

/// Nothing that the old end held is wanted any more.
fn a_taken_end() {
    let disk = SimDisk::new(1);
    let channel = channel_on(&disk);
    put(&channel, 3);
    take(&channel, 3);
    drop(channel);
    let image = disk.crash(&Crash::LoseAll);
    let last = last_segment(&image);
    drop(reopen(&image, Verdict::Unclean, 0));
    assert!(!segments(&image).contains(&last));
}

/// What is unproven is larger than any room that is left.
fn no_room_to_carry_over() {
    let disk = small_disk(1 << 20);
    let channel = channel_on(&disk);
    put(&channel, 3);
    let mut large = channel.begin_put();
    for _ in 0..50 {
        large.put(Event::new(vec![7; 10_000])).expect("no limit but the disk");
    }
    large.commit().expect("there is room");
    drop(channel);
    let image = disk.crash(&Crash::LoseAll);
    image.set_capacity(Some(1 << 20));
    let left = image.storage().available_space().expect("known");
    image.set_capacity(Some((1 << 20) - left));
    drop(reopen(&image, Verdict::Unclean, 53));
}

/// Puts until the disk is full, takes all, and again.
fn a_full_disk() {
    let disk = small_disk(1 << 20);
    let channel = channel_on(&disk);
    let mut events = put(&channel, 1000);
    assert!(events < 1000);
    for _ in 0..3 {
        take(&channel, events);
        events = put(&channel, 1000);
        assert!(events > 0, "puts go on");
    }
    take(&channel, events - 1);
    channel.close().expect("closes");
    drop(channel);
    drop(reopen(&disk, Verdict::Clean, 1));
}

/// A disk that is full of events, each of which is acknowledged by itself: the acks fill reserve files.
fn acks_on_a_full_disk() {
    let disk = small_disk(1 << 20);
    let channel = channel_on(&disk);
    let mut put = channel.begin_put();
    let mut events = 0;
    loop {
        for _ in 0..64 {
            put.put(Event::new(vec![7; 150])).expect("no limit but the disk");
        }
        if put.commit().is_err() {
            break;
        }
        events += 64;
        put = channel.begin_put();
    }
    let mut kept = Vec::new();
    for index in 0..events {
        let mut take = channel.begin_take();
        take.take().expect("readable").expect("there is one");
        match index % 100 {
            0 => kept.push(take),
            _ => take.commit().expect("an ack has room"),
        }
    }
    let left = kept.len();
    drop(kept);
    drop(channel);
    drop(reopen(&disk, Verdict::Unclean, left));
}

/// A full disk, a spare, and a reserve that is to be larger than it was.
fn a_spare_gives_way() {
    let disk = SimDisk::new(1);
    let channel = channel_on(&disk);
    put(&channel, 80);
    take(&channel, 79);
    channel.close().expect("closes");
    drop(channel);
    let spares =
        |disk: &SimDisk| disk.file_names().iter().filter(|name| name.starts_with("spare-")).count();
    let before = spares(&disk);
    assert!(before > 0);
    disk.set_capacity(Some(1 << 30));
    let left = disk.storage().available_space().expect("known");
    disk.set_capacity(Some((1 << 30) - left));
    let larger = options().transaction_events(3000);
    let channel = FileChannel::open_on(disk.storage(), larger).expect("opens");
    assert_eq!(drain(&channel).expect("readable").len(), 1);
    assert!(spares(&disk) < before);
}

fn a_larger_reserve() {
    let disk = closed(3);
    let larger = options().transaction_events(10_000);
    let channel = FileChannel::open_on(disk.storage(), larger).expect("opens");
    assert_eq!(drain(&channel).expect("readable").len(), 3);
    drop(channel);
    let sizes = reserve_sizes(&disk);
    assert!(sizes.len() == 3 && sizes.iter().all(|size| *size > 160_000), "{sizes:?}");
}

/// The reserve is to be larger and the disk is full. A segment that comes free is larger than a reserve file
/// need be; what it has too much, others get.
fn a_larger_reserve_on_a_full_disk() {
    let disk = SimDisk::new(1);
    let large = options().segment_size(128 << 10);
    let channel = FileChannel::open_on(disk.storage(), large.clone()).expect("opens");
    put(&channel, 20);
    channel.close().expect("closes");
    drop(channel);
    disk.set_capacity(Some(1 << 30));
    let left = disk.storage().available_space().expect("known");
    disk.set_capacity(Some((1 << 30) - left));
    let channel =
        FileChannel::open_on(disk.storage(), large.transaction_events(3000)).expect("opens");
    take(&channel, 20);
    channel.maintain().expect("works");
    drop(channel);
    let sizes = reserve_sizes(&disk);
    assert!(sizes.len() <= 3 && sizes.iter().any(|size| *size > 80_000), "{sizes:?}");
}

fn reserve_sizes(disk: &SimDisk) -> Vec<usize> {
    let names = disk.file_names().into_iter().filter(|name| name.starts_with("reserve-"));
    names.filter_map(|name| disk.read_file(&name)).map(|bytes| bytes.len()).collect()
}

/// A spare that is the last segment by another name: used, it would be written over.
fn a_second_name() {
    let disk = SimDisk::new(1);
    let channel = channel_on(&disk);
    put(&channel, 80);
    take(&channel, 79);
    channel.close().expect("closes");
    drop(channel);
    let names = disk.file_names();
    let last = names.iter().rfind(|name| name.ends_with(".seg")).expect("there is one");
    let last = disk.read_file(last).expect("listed");
    for name in names.iter().filter(|name| name.starts_with("spare-")) {
        disk.write_file(name, &last);
    }
    let channel = channel_on(&disk);
    put(&channel, 20);
    assert_eq!(drain(&channel).expect("readable").len(), 21);
    assert!(names.iter().all(|name| !name.starts_with("spare-") || disk.read_file(name).is_some()));
}

pub(crate) fn histories() -> Vec<History> {
    vec![
        (Row::P1, a_new_channel),
        (Row::P2, no_room_to_begin),
        (Row::P3, a_draft_is_left),
        (Row::P4, a_new_channel),
        (Row::P5, much_comes_and_goes),
        (Row::P6, other_segment_size),
        (Row::P7, an_unlisted_segment),
        (Row::P8, a_new_channel),
        (Row::P9, a_new_channel),
        (Row::P10, an_unproven_end),
        (Row::P11, a_proven_end),
        (Row::P12, no_room_to_carry_over),
        (Row::P13, an_unproven_end),
        (Row::P14, a_taken_end),
        (Row::P15, much_comes_and_goes),
        (Row::P16, much_comes_and_goes),
        (Row::P17, much_comes_and_goes),
        (Row::P18, acks_on_a_full_disk),
        (Row::P19, acks_on_a_full_disk),
        (Row::P20, much_comes_and_goes),
        (Row::P21, much_comes_and_goes),
        (Row::P22, a_spare_gives_way),
        (Row::P23, a_larger_reserve_on_a_full_disk),
        (Row::P24, a_full_disk),
        (Row::P25, a_second_name),
        (Row::P26, a_larger_reserve),
        (Row::P27, a_larger_reserve_on_a_full_disk),
    ]
}
