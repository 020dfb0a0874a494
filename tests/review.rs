//! Faults that a hostile review of the engine found, each kept as a test named after what must hold.

mod support;

use std::io::ErrorKind;
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use flumen::storage::sim::{CallKind, Crash, Fault, FaultPlan, SimDisk};
use flumen::{
    AckDurability, Channel, ChannelOptions, CloseError, CommitError, Event, FileChannel, OpenError,
};
use support::history::options;

const LONG: Duration = Duration::from_secs(3600);

fn lazy() -> ChannelOptions {
    options().transaction_events(10_000).ack_durability(AckDurability::Lazy(LONG))
}

fn open(disk: &SimDisk, options: ChannelOptions) -> FileChannel {
    FileChannel::open_on(disk.storage(), options).expect("opens")
}

fn put(channel: &FileChannel, count: usize) {
    let mut put = channel.begin_put();
    for index in 0..count {
        put.put(Event::new(format!("{index}"))).expect("there is room");
    }
    put.commit().expect("works");
}

/// Two take transactions that each hold every other one of `2 * count` events.
fn take_alternately(
    channel: &FileChannel,
    count: usize,
) -> (flumen::TakeTransaction, flumen::TakeTransaction) {
    let (mut even, mut odd) = (channel.begin_take(), channel.begin_take());
    for _ in 0..count {
        even.take().expect("readable").expect("there is one");
        odd.take().expect("readable").expect("there is one");
    }
    (even, odd)
}

/// A commit that had picked up the lazy acks, and had not handed them on yet when the channel was closed, lost them: a
/// clean close, and taken events came again.
#[test]
fn i5_no_lazy_ack_is_lost_by_a_close_beside_a_commit() {
    for round in 0..400 {
        let disk = SimDisk::new(round);
        let channel = open(&disk, lazy());
        put(&channel, 1800);
        let (even, odd) = take_alternately(&channel, 900);
        even.commit().expect("lazy");
        let together = Arc::new(Barrier::new(2));
        let putter = {
            let (channel, together) = (channel.clone(), Arc::clone(&together));
            thread::spawn(move || {
                let mut put = channel.begin_put();
                put.set_cursor("a", b"1").expect("fits");
                together.wait();
                let _ = put.commit();
            })
        };
        together.wait();
        for _ in 0..round % 40 * 10 {
            std::hint::spin_loop();
        }
        channel.close().expect("closes");
        putter.join().expect("no panic");
        drop(odd);
        drop(channel);
        let channel = open(&disk, lazy());
        assert!(channel.recovery().clean);
        assert_eq!(channel.stats().events, 900, "round {round}");
    }
}

/// Lazy acks that a full disk had refused were merged as if they were the newest, so that a cursor went back.
#[test]
fn i2_a_cursor_never_goes_back_when_a_full_disk_refused_an_ack() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(1 << 20));
    let channel = open(&disk, lazy());
    let count = fill(&channel);
    ack_each_with_a_cursor(&channel, count - 2, 400);
    take_and_set(&channel, &[("position", b"1")]).expect("lazy");
    channel.maintain().expect("works");
    assert_eq!(channel.cursor("position"), None, "the disk had no room for it");
    take_and_set(&channel, &[("position", b"2")]).expect("lazy");
    disk.set_capacity(None);
    channel.maintain().expect("works");
    assert_eq!(channel.cursor("position").as_deref(), Some(&b"2"[..]));
    assert_eq!(channel.stats().events, 0);
}

/// A take commit that met the failure itself, while it handed on lazy acks, told nobody who waited.
#[test]
fn i7_a_failure_met_by_a_lazy_take_wakes_those_who_wait() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, lazy());
    put(&channel, 3000);
    let (even, odd) = take_alternately(&channel, 1500);
    let (woken, wait) = mpsc::channel();
    let waiter = channel.clone();
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        let _ = ready.send(());
        let _ = woken.send(waiter.wait(LONG));
    });
    is_ready.recv().expect("it runs");
    // It may not sleep yet; then it sees that the channel has stopped before it does.
    assert!(wait.recv_timeout(Duration::from_millis(200)).is_err(), "there is nothing to take");
    disk.set_plan(
        FaultPlan::new(Fault::Error(ErrorKind::Other)).on(&[CallKind::SyncData]).sticky(),
    );
    // More ranges than go together: the second sends the first.
    odd.commit().expect("lazy");
    assert!(matches!(even.commit(), Err(CommitError::Stopped(_))));
    assert_eq!(wait.recv_timeout(Duration::from_secs(10)), Ok(false), "still asleep");
}

/// A reader that had taken all there was kept its segment, and with it, on a small disk, the room that the
/// reserve needs: puts were refused until somebody tried to take in vain.
#[test]
fn i8_puts_go_on_when_all_was_taken_and_nobody_looks_for_more() {
    for capacity in (320 << 10..600 << 10).step_by(4 << 10) {
        let disk = SimDisk::new(1);
        disk.set_capacity(Some(capacity));
        let Ok(channel) = FileChannel::open_on(disk.storage(), options().memory_tail(0)) else {
            continue;
        };
        let body = "x".repeat(500);
        let commit = |channel: &FileChannel| {
            let mut put = channel.begin_put();
            put.put(Event::new(body.as_str())).expect("no limit but the disk");
            put.commit()
        };
        let mut count = 0;
        while commit(&channel).is_ok() {
            count += 1;
        }
        if count == 0 {
            continue;
        }
        for _ in 0..count {
            let mut take = channel.begin_take();
            take.take().expect("readable").expect("there is one");
            take.commit().expect("an ack has room");
        }
        assert_eq!(channel.stats().events, 0);
        commit(&channel).unwrap_or_else(|error| panic!("capacity {capacity}, {count}: {error}"));
    }
}

/// Numbers no channel comes near, behind checksums that are right, made an opening panic.
#[test]
fn i6_wild_numbers_with_right_checksums_are_damage() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, options());
    put(&channel, 3);
    drop(channel);
    let seal = |bytes: &mut [u8], at: usize| {
        let crc = crc32fast::hash(&bytes[..at]);
        bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    };
    let segment = disk.file_names().into_iter().find(|name| name.ends_with(".seg")).expect("one");
    let places = [("checkpoint", 40..96, 108), (segment.as_str(), 40..80, 4092)];
    let mut failed = Vec::new();
    for (prefix, numbers, crc_at) in places {
        for at in numbers.step_by(8) {
            for number in [u64::MAX, u64::MAX - 4096, 1 << 63, 1 << 60, 1 << 40, 5] {
                let image = disk.snapshot();
                for name in image.file_names() {
                    if name.starts_with(prefix) {
                        let mut bytes = image.read_file(&name).expect("listed");
                        bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(number));
                        seal(&mut bytes, crc_at);
                        image.write_file(&name, &bytes);
                    }
                }
                let opened = std::panic::catch_unwind(|| {
                    if let Ok(channel) = FileChannel::open_on(image.storage(), options()) {
                        let mut take = channel.begin_take();
                        while let Ok(Some(_)) = take.take() {}
                        drop(take);
                        let mut put = channel.begin_put();
                        put.put(Event::new("more")).expect("there is room");
                        let _ = put.commit();
                        let _ = channel.checkpoint();
                        let _ = channel.close();
                    }
                });
                if opened.is_err() {
                    failed.push(format!("{prefix} at {at}: {number:#x}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "panics: {failed:#?}");
}

/// Acks with more cursors than a reserve file holds waited for room that only they could have made; and before
/// that all later ones were merged into them, so nothing came free.
#[test]
fn i8_a_lazy_take_with_more_cursors_than_there_is_room_for_is_refused_and_stops_no_other() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(1 << 20));
    let channel = open(&disk, lazy());
    let count = fill(&channel);
    let names: Vec<String> = (0..200).map(|index| format!("large {index}")).collect();
    let large: Vec<(&str, &[u8])> = names.iter().map(|name| (&name[..], &[7; 4000][..])).collect();
    assert!(matches!(take_and_set(&channel, &large), Err(CommitError::NoSpace(_))));
    assert_eq!(channel.stats().events, count as u64, "the event is given back");
    for index in 0..count {
        take_and_set(&channel, &[("large 0", &index.to_le_bytes())]).expect("lazy");
    }
    channel.sync().expect("there is room for each of these");
    assert_eq!(channel.stats().events, 0);
    put(&channel, 1);
    assert_eq!(channel.cursors("")["large 0"], (count - 1).to_le_bytes());
}

/// Where there is room it counts at once, behind the lazy ones before it.
#[test]
fn i2_a_lazy_take_with_many_cursors_comes_after_those_before_it() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, lazy());
    put(&channel, 4);
    take_and_set(&channel, &[("position", b"1"), ("other", b"1")]).expect("lazy");
    assert_eq!(channel.cursor("other"), None, "lazy");
    for number in [2, 3] {
        let large = &[number; 4000][..];
        take_and_set(&channel, &[("a", large), ("b", large), ("position", large)]).expect("room");
    }
    let image = disk.crash(&Crash::LoseAll);
    for channel in [channel, open(&image, lazy())] {
        assert_eq!(channel.stats().events, 1);
        assert_eq!(channel.cursor("position").as_deref(), Some(&[3; 4000][..]));
        assert_eq!(channel.cursor("other").as_deref(), Some(&b"1"[..]));
    }
}

/// A commit by a thread that unwinds, for a reason of its own, stopped the channel.
#[test]
fn i7_a_commit_while_a_thread_unwinds_is_one_like_any_other() {
    struct AtTheEnd<'a>(&'a FileChannel);
    impl Drop for AtTheEnd<'_> {
        fn drop(&mut self) {
            put(self.0, 1);
        }
    }
    let disk = SimDisk::new(1);
    let channel = open(&disk, options());
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _guard = AtTheEnd(&channel);
        panic!("for a reason of its own");
    }));
    assert!(unwound.is_err());
    put(&channel, 1);
    assert_eq!(channel.stats().events, 2);
}

/// A name with a number that no log reaches led an opening to write what the next one refuses.
#[test]
fn i6_a_wild_number_in_a_name_leads_nowhere() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, options());
    put(&channel, 3);
    channel.close().expect("closes");
    drop(channel);
    let segment = disk.file_names().into_iter().find(|name| name.ends_with(".seg")).expect("one");
    disk.write_file(
        &format!("{:020}.seg", 1_u64 << 62),
        &disk.read_file(&segment).expect("listed"),
    );
    for slot in ["checkpoint-a", "checkpoint-b"] {
        assert!(disk.remove_file(slot));
    }
    for round in 0..3 {
        let channel = open(&disk, options());
        assert_eq!(channel.stats().events, 3 + round);
        put(&channel, 1);
    }
}

/// The files of the reserve are to be larger, and a quota that the system does not tell of is used up: the
/// small ones were removed one after the other, for larger ones that never came.
#[test]
fn i8_a_quota_does_not_cost_the_reserve() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, options());
    put(&channel, 3);
    channel.close().expect("closes");
    drop(channel);
    let full = Fault::Error(ErrorKind::QuotaExceeded);
    disk.set_plan(FaultPlan::new(full).on(&[CallKind::Create, CallKind::Allocate]).sticky());
    let reserves = || disk.file_names().iter().filter(|name| name.starts_with("reserve-")).count();
    assert_eq!(reserves(), 3);
    let channel = open(&disk, options().transaction_events(10_000));
    let mut take = channel.begin_take();
    take.take().expect("readable").expect("there is one");
    take.commit().expect("an ack has room");
    assert_eq!(reserves(), 3);
}

/// Many small lazy acks, each with a small cursor of its own: one by one each would fit.
#[test]
fn i8_lazy_acks_with_cursors_of_their_own_get_through() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(1 << 20));
    let lazy = options().ack_durability(AckDurability::Lazy(LONG));
    let channel = open(&disk, lazy);
    let count = fill(&channel);
    ack_each_with_a_cursor(&channel, count, 20);
    channel.maintain().expect("works");
    assert!(channel.stats().events <= 1, "{} of {count} events", channel.stats().events);
}

/// Cursors that the disk holds once, and not thrice: in both slots and at the head of a segment. What cannot be
/// written is said at the close, and comes again; the opening may need more disk, and says so.
#[test]
fn i8_more_cursors_than_the_disk_holds_are_refused_and_said() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(1 << 20));
    let channel = open(&disk, lazy());
    let count = fill(&channel);
    ack_each_with_a_cursor(&channel, count, 400);
    channel.maintain().expect("works");
    let left = channel.stats().events;
    assert!(left > 0, "more cursors are needed to see it");
    // A sync says so and goes on; it said that all was durable.
    for outcome in [channel.sync(), channel.sync(), channel.close()] {
        match outcome {
            Err(CloseError::NoSpace { events }) => assert_eq!(events, left),
            other => panic!("{left} acks are not written: {other:?}"),
        }
    }
    drop(channel);
    match FileChannel::open_on(disk.storage(), lazy()) {
        Err(OpenError::Storage(error)) if error.kind() == ErrorKind::StorageFull => {}
        other => panic!("{:?}", other.map(|channel| channel.stats())),
    }
    disk.set_capacity(Some(2 << 20));
    let channel = open(&disk, lazy());
    let mut take = channel.begin_take();
    let again = std::iter::from_fn(|| take.take().expect("readable")).count() as u64;
    assert_eq!(again, left);
}

fn ack_each_with_a_cursor(channel: &FileChannel, count: usize, size: usize) {
    for index in 0..count {
        take_and_set(channel, &[(&format!("source {index}"), &vec![7; size])]).expect("lazy");
    }
}

/// Takes one event in a transaction that sets these cursors.
fn take_and_set(channel: &FileChannel, cursors: &[(&str, &[u8])]) -> Result<(), CommitError> {
    let mut take = channel.begin_take();
    take.take().expect("readable").expect("there is one");
    for (name, value) in cursors {
        take.set_cursor(name, value).expect("fits");
    }
    take.commit()
}

/// Puts until the disk is full, and says how many fitted.
fn fill(channel: &FileChannel) -> usize {
    let body = "x".repeat(500);
    for count in 0.. {
        let mut put = channel.begin_put();
        put.put(Event::new(body.as_str())).expect("no limit but the disk");
        match put.commit() {
            Ok(()) => {}
            Err(CommitError::NoSpace(_)) => return count,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the disk gets full")
}

/// A close that had no room for what lazy commits had set said `Ok`, where it was cursors only.
#[test]
fn i5_a_close_that_cannot_write_a_cursor_says_so() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(1 << 20));
    let channel = open(&disk, lazy());
    fill(&channel);
    let is_written = |set: &usize| {
        let mut take = channel.begin_take();
        take.set_cursor(&format!("source {set}"), &[7; 4000]).expect("fits");
        take.commit().expect("lazy");
        channel.sync().is_ok()
    };
    let written = (0..1000).take_while(is_written).count();
    assert!(written < 1000, "the disk has 1 MiB");
    assert!(matches!(channel.close(), Err(CloseError::NoSpace { events: 0 })));
    drop(channel);
    disk.set_capacity(None);
    let channel = open(&disk, lazy());
    assert_eq!(channel.cursors("source").len(), written, "the last one was refused");
}

/// What a close sends behind an ack that was refused may make room for it: here a later value of its cursor.
#[test]
fn i5_a_close_tries_what_was_refused_once_more() {
    for ends in [FileChannel::close, FileChannel::sync] {
        let disk = SimDisk::new(1);
        disk.set_capacity(Some(1 << 20));
        let channel = open(&disk, lazy());
        let count = fill(&channel);
        let name = |index: usize| format!("source {index}");
        let is_written = |index: &usize| {
            take_and_set(&channel, &[(&name(*index), &[7; 3500])]).expect("lazy");
            channel.sync().is_ok() || channel.sync().is_ok()
        };
        let written = (0..count).take_while(is_written).count();
        assert!(written < count, "the disk has 1 MiB");
        take_and_set(&channel, &[(&name(written), b"1")]).expect("lazy");
        ends(&channel).expect("there is room for what is left");
        let left = count - written - 2;
        assert_eq!(channel.stats().events, left as u64);
        let image = disk.crash(&Crash::LoseAll);
        image.set_capacity(None);
        let channel = open(&image, lazy());
        assert_eq!(channel.stats().events, left as u64);
        assert_eq!(channel.cursor(&name(written)).as_deref(), Some(&b"1"[..]));
    }
}
