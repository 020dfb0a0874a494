//! What a crash leaves at the end of the log: C3, C4, C10, C11 and C12.

use std::io::ErrorKind;

use flumen::storage::sim::{CallKind, Crash, FailedSync, Fault, FaultPlan, SimDisk};
use flumen::{Channel, CommitError, Durability, FileChannel, PutError, PutTransaction};

use crate::files::{edit, read, records, segments, tail};
use crate::queue::*;

/// A put of two events, and how far it has come as a cursor.
fn begin(channel: &FileChannel) -> PutTransaction {
    let mut put = channel.begin_put();
    put.put(event(4)).expect("there is room");
    put.put(event(5)).expect("there is room");
    put.set_cursor("source", b"6").expect("it is short");
    put
}

/// Four acknowledged events and then, whole or not at all, the two of [`begin`] and their cursor.
fn check_in_doubt(image: &SimDisk, how: &str) -> bool {
    let channel = open(image, &options());
    let is_there = channel.cursor("source").is_some();
    let count = if is_there { 6 } else { 4 };
    assert_eq!(drain(&channel), events(0..count), "{how}");
    put(&channel, &events(7..8));
    drop(channel);
    let channel = open(image, &options());
    assert_eq!(drain(&channel), events(7..8), "{how}: writing goes on behind it");
    is_there
}

#[test]
fn c03_a_torn_tail_that_was_never_acknowledged_does_not_keep_the_channel_from_opening() {
    let disk = SimDisk::new(3);
    let channel = open(&disk, &options());
    put_batches(&channel, &events(0..4), 2);
    disk.set_plan(FaultPlan::new(Fault::PowerLoss).on(&[CallKind::Write]));
    let result = begin(&channel).commit();
    assert!(matches!(result, Err(CommitError::Stopped(_))), "{result:?}");
    assert!(disk.is_off());
    let in_flight = disk.bytes_in_flight();
    assert!(in_flight > 100, "a record is being written");
    let mut whole = 0;
    for bytes in 0..=in_flight {
        let image = disk.crash(&Crash::Torn(bytes));
        whole += u64::from(check_in_doubt(&image, &format!("{bytes} bytes written")));
    }
    let padding = 7;
    assert!(whole >= 1, "the whole record counts");
    assert!(whole <= 1 + padding, "a part of it does not");
}

#[test]
fn c03_a_tail_that_ends_anywhere_in_what_was_not_acknowledged_opens() {
    let disk = SimDisk::new(3);
    let channel = open(&disk, &options());
    put_batches(&channel, &events(0..4), 2);
    begin(&channel).commit().expect("the disk works");
    let name = tail(&disk);
    let last = *records(&read(&disk, &name)).last().expect("records");
    for end in last.offset..=last.offset + last.size {
        for filler in [0, 0x80] {
            let image = disk.snapshot();
            let how = format!("{filler:#x} from {end} on");
            edit(&image, &name, |bytes| {
                bytes[end..last.offset + last.size].fill(filler);
                // So that something changes at the very end too.
                bytes[last.offset + last.size] = 1;
            });
            check_in_doubt(&image, &how);
        }
    }
}

#[test]
fn c04_an_empty_or_zeroed_tail_opens() {
    let disk = SimDisk::new(4);
    let channel = open(&disk, &options().durability(Durability::Os));
    put_batches(&channel, &events(0..4), 2);
    channel.sync().expect("the disk works");
    begin(&channel).commit().expect("it is written");
    let zeroed = disk.crash(&Crash::LoseAll);
    let written = disk.crash(&Crash::KeepAll);
    assert!(!check_in_doubt(&zeroed, "the last record is all zeros"));
    assert!(check_in_doubt(&written, "the last record is there"));
    // A segment that was being made: its name and nothing else, zeros, a part of its header page.
    let next = format!("{:020}.seg", segments(&disk).len() + 1);
    for bytes in [vec![], vec![0; 1], vec![0; 4096], vec![0; 64 << 10]] {
        let image = disk.crash(&Crash::LoseAll);
        image.write_file(&next, &bytes);
        let how = format!("a next segment of {} zeros", bytes.len());
        assert!(!check_in_doubt(&image, &how));
    }
}

#[test]
fn c10_a_commit_whose_sync_failed_is_there_once_or_not_at_all() {
    for failure in [FailedSync::Lost, FailedSync::Reverted, FailedSync::NoSpace] {
        let disk = SimDisk::new(10);
        let channel = open(&disk, &options());
        put_batches(&channel, &events(0..4), 2);
        disk.set_plan(FaultPlan::new(Fault::FailedSync(failure)).on(&[CallKind::SyncData]));
        let result = begin(&channel).commit();
        assert!(matches!(result, Err(CommitError::Stopped(_))), "{failure:?}: {result:?}");
        assert!(!disk.has_plan_left(), "{failure:?} has struck");
        let calls = disk.calls();
        let again = channel.begin_put().put(event(6));
        assert!(
            matches!(again, Err(PutError::Stopped(_, _))),
            "{failure:?}: nothing is accepted after a failed sync"
        );
        assert!(channel.begin_take().take().is_err(), "{failure:?}");
        assert_eq!(disk.calls(), calls, "{failure:?}: nothing is tried again");
        drop(channel);
        for (how, image) in crashes(&disk) {
            check_in_doubt(&image, &format!("{failure:?}, {how}"));
        }
    }
}

#[test]
fn c10_what_was_rolled_back_never_appears() {
    let history = |channel: &FileChannel| {
        put(channel, &events(0..4));
        begin(channel).rollback();
        drop(begin(channel));
        channel.checkpoint().expect("the disk works");
        begin(channel)
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(channel.cursor("source"), None, "{how}");
        assert_eq!(drain(channel), events(0..4), "{how}");
    });
}

#[test]
fn c11_a_write_that_fails_after_a_part_leaves_a_channel_that_opens() {
    for part in [1, 39, 40, 41, 100] {
        for error in [ErrorKind::Other, ErrorKind::StorageFull] {
            let how = format!("{part} bytes and then {error:?}");
            let disk = SimDisk::new(11);
            let channel = open(&disk, &options());
            put_batches(&channel, &events(0..4), 2);
            disk.set_plan(FaultPlan::new(Fault::Short(part)).on(&[CallKind::Write]));
            disk.add_plan(FaultPlan::new(Fault::Error(error)).on(&[CallKind::Write]));
            let result = begin(&channel).commit();
            assert!(matches!(result, Err(CommitError::Stopped(_))), "{how}: {result:?}");
            assert!(!disk.has_plan_left(), "{how}: both have struck");
            assert!(channel.close().is_err(), "{how}: the close says so too");
            drop(channel);
            for (end, image) in crashes(&disk) {
                let is_there = check_in_doubt(&image, &format!("{how}, {end}"));
                assert!(!is_there, "{how}, {end}: it was never written whole");
            }
        }
    }
}

#[test]
fn c11_a_write_that_stops_short_is_finished() {
    for part in [1, 40, 100] {
        let disk = SimDisk::new(11);
        let channel = open(&disk, &options());
        put_batches(&channel, &events(0..4), 2);
        let plan = FaultPlan::new(Fault::Short(part)).on(&[CallKind::Write]);
        disk.set_plan(plan.sticky());
        begin(&channel).commit().expect("a short write is no error");
        assert!(check_in_doubt(&disk.crash(&Crash::LoseAll), "short writes"));
    }
}

/// Every moment of a life with openings, segments that come and go, checkpoints and closes is a possible crash:
/// the names, the slots and the records must be durable in the right order.
#[test]
fn c12_every_moment_of_creating_rolling_and_checkpointing_may_be_the_last() {
    let disk = SimDisk::new(12);
    disk.record();
    // After which call so many events were acknowledged as put, and as taken.
    let mut acknowledged = vec![(0, 0, 0)];
    let mut next = 0;
    for _ in 0..2 {
        let channel = open(&disk, &options());
        for _ in 0..4 {
            put(&channel, &larges(next..next + 30, 1000));
            next += 30;
            let (_, _, taken) = acknowledged[acknowledged.len() - 1];
            acknowledged.push((disk.calls(), next, taken));
            let got = consume(&channel, 20);
            assert_eq!(got, larges(taken..taken + 20, 1000));
            acknowledged.push((disk.calls(), next, taken + 20));
            channel.checkpoint().expect("the disk works");
        }
        channel.close().expect("the disk works");
    }
    for image in disk.take_recording() {
        let upto = acknowledged.partition_point(|(calls, _, _)| *calls <= image.calls());
        let (_, puts, takes) = acknowledged[upto - 1];
        let (_, puts_later, takes_later) = acknowledged[upto.min(acknowledged.len() - 1)];
        for crash in [Crash::LoseAll, Crash::KeepAll, Crash::Random(image.calls())] {
            let how = format!("after call {}, {crash:?}", image.calls());
            let image = image.crash(&crash);
            let got = drain(&open(&image, &options()));
            let first = got.first().map_or(puts, number);
            let end = first + got.len() as u64;
            assert_eq!(got, larges(first..end, 1000), "{how}: no gap, no repeat");
            let is_empty_possible = got.is_empty() && takes_later >= puts;
            assert!(
                is_empty_possible || first == takes || first == takes_later,
                "{how}: begins with {first}, {takes} were taken"
            );
            assert!(
                end == puts || end == puts_later || is_empty_possible,
                "{how}: ends with {end}, {puts} were put"
            );
        }
    }
}

fn number(event: &flumen::Event) -> u64 {
    let number = event.headers.get("number").map(|text| text.parse());
    number.expect("each event has its number").expect("in decimal")
}
