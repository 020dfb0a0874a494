//! Faults that reviews and reports have found, each kept as a test.

mod support;

use std::time::Duration;

use flumen::storage::sim::SimDisk;
use flumen::{AckDurability, Channel, CommitError, EVENT_SIZE_MAX, Event, FileChannel, PutError};
use support::history::{drain, open, options};

fn put(channel: &FileChannel, body: &str) -> Result<(), CommitError> {
    let mut put = channel.begin_put();
    put.put(Event::new(body)).expect("there is room");
    put.commit()
}

/// The reserve must grow with the state. Once the names for its new files were taken, and it never was
/// complete again: puts were refused for good.
#[test]
fn i8_a_state_that_grows_gets_a_larger_reserve() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    for round in 0..20 {
        let mut put = channel.begin_put();
        put.set_cursor(&format!("cursor {round}"), &[7; 4000]).expect("fits");
        put.commit().expect("there is room");
        channel.checkpoint().expect("works");
        self::put(&channel, "after").expect("puts go on");
    }
    channel.close().expect("closes");
    drop(channel);
    let channel = open(&disk).expect("opens");
    put(&channel, "after all").expect("puts go on");
}

/// Lazy acks that a full disk refused were thrown away.
#[test]
fn i5_lazy_acks_survive_a_full_disk() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(1 << 20));
    let lazy = options().ack_durability(AckDurability::Lazy(Duration::from_secs(3600)));
    let channel = FileChannel::open_on(disk.storage(), lazy).expect("opens");
    let body = "x".repeat(500);
    while put(&channel, &body).is_ok() {}
    let before = channel.stats().events;
    for _ in 0..20 {
        let mut take = channel.begin_take();
        take.take().expect("readable").expect("there is one");
        take.commit().expect("lazy");
    }
    channel.close().expect("closes");
    drop(channel);
    let channel = open(&disk).expect("opens");
    assert_eq!(channel.stats().events, before - 20);
}

/// A checkpoint by the helper thread or a caller took the mark of a clean close away.
#[test]
fn a_checkpoint_after_the_close_changes_nothing() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    put(&channel, "a").expect("works");
    channel.close().expect("closes");
    let _ = channel.checkpoint();
    let _ = channel.maintain();
    drop(channel);
    assert!(open(&disk).expect("opens").recovery().clean);
}

/// Any file whose name began like one of ours was used or removed.
#[test]
fn files_of_others_are_left_alone() {
    let disk = SimDisk::new(1);
    drop(open(&disk).expect("opens"));
    let names = ["spare-notes.txt", "reserve-", "draft-letter.txt", "spare-1", "notes.seg"];
    for name in names {
        disk.write_file(name, b"mine");
    }
    for _ in 0..3 {
        let channel = open(&disk).expect("opens");
        for _ in 0..10 {
            put(&channel, &"x".repeat(20_000)).expect("works");
        }
        drain(&channel).expect("readable");
    }
    for name in names {
        assert_eq!(disk.read_file(name).as_deref(), Some(&b"mine"[..]), "{name}");
    }
}

/// Both slots damaged and all segments gone opened as a new, empty channel.
#[test]
fn i6_a_channel_that_lost_everything_is_no_new_channel() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    put(&channel, "a").expect("works");
    drop(channel);
    for name in disk.file_names() {
        if name.starts_with("checkpoint") {
            disk.write_file(&name, b"");
        } else if name.ends_with(".seg") {
            disk.remove_file(&name);
        }
    }
    assert!(open(&disk).is_err());
}

/// A body of 64 MiB was refused, because the limit counted what goes with it.
#[test]
fn a_body_of_64_mebibytes_fits() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    let mut put = channel.begin_put();
    put.put(Event::new(vec![1; 64 << 20]).with_header("key", "value")).expect("fits");
    put.commit().expect("works");
    let mut put = channel.begin_put();
    let larger = Event::new(vec![1; EVENT_SIZE_MAX as usize]);
    assert!(matches!(put.put(larger), Err(PutError::TooLarge(_))));
    let mut take = channel.begin_take();
    assert_eq!(take.take().expect("readable").expect("there is one").body.len(), 64 << 20);
}

/// A close listed acknowledged segments no longer, and left their files.
#[test]
fn i12_a_close_gives_back_what_nothing_needs() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    for _ in 0..20 {
        put(&channel, &"x".repeat(20_000)).expect("works");
    }
    let segments =
        |disk: &SimDisk| disk.file_names().iter().filter(|name| name.ends_with(".seg")).count();
    assert!(segments(&disk) > 5);
    let mut take = channel.begin_take();
    for _ in 0..20 {
        take.take().expect("readable").expect("there is one");
    }
    take.commit().expect("works");
    channel.close().expect("closes");
    assert!(segments(&disk) <= 2, "{:?}", disk.file_names());
}
