//! What the disk and other users of the directory can do to a channel: C8, C13, C15 and C16.

use std::io::ErrorKind;

use flumen::storage::sim::{CallKind, Crash, FailedSync, Fault, FaultPlan, SimDisk};
use flumen::{Channel, ChannelOptions, CommitError, Event, FileChannel, OpenError};

use crate::files::{Kind, flip, read, records, tail};
use crate::queue::*;

/// Puts 20 events at a time until the disk is full; how many are in the channel then.
fn fill(channel: &FileChannel) -> u64 {
    for number in (0..1_000_000).step_by(20) {
        let events = larges(number..number + 20, 1000);
        let mut put = channel.begin_put();
        for event in &events {
            put.put(event.clone()).expect("the capacity is no limit");
        }
        match put.commit() {
            Ok(()) => {}
            Err(CommitError::NoSpace(back)) => {
                assert_eq!(back, events, "the events are handed back");
                return number;
            }
            Err(other) => panic!("{other}"),
        }
    }
    panic!("a disk of 1 MiB is never full");
}

/// Takes `count` large events from `first` on, 20 to a transaction.
fn empty(channel: &FileChannel, first: u64, count: u64) {
    for number in (first..first + count).step_by(20) {
        let end = (number + 20).min(first + count);
        assert_eq!(consume(channel, 20), larges(number..end, 1000));
    }
    assert_eq!(drain(channel), [], "nothing else");
}

#[test]
fn c08_a_full_disk_stops_puts_only_and_is_drained_without_a_restart() {
    let disk = SimDisk::new(8);
    disk.set_capacity(Some(1 << 20));
    let channel = open(&disk, &options());
    let mut last = 0;
    for round in 0..5 {
        let count = fill(&channel);
        assert!(count > 200, "round {round}: most of the disk is usable");
        assert!(round < 2 || count == last, "round {round}: {count} events fit, {last} did before");
        last = count;
        channel.checkpoint().expect("there is room for a checkpoint");
        empty(&channel, 0, count);
    }
    fill(&channel);
    channel.close().expect("there is room for a close");
    drop(channel);
    let channel = open(&disk, &options());
    assert!(channel.recovery().clean);
    empty(&channel, 0, last);
}

#[test]
fn c08_a_channel_on_a_full_disk_can_be_reopened_after_any_number_of_crashes() {
    let disk = SimDisk::new(8);
    disk.set_capacity(Some(1 << 20));
    let mut channel = open(&disk, &options());
    let count = fill(&channel);
    // Now somebody else fills what is left.
    disk.set_capacity(Some(0));
    let mut taken = 0;
    for round in 0..20 {
        drop(channel);
        let opened = try_open(&disk, &options());
        channel = opened.unwrap_or_else(|error| panic!("opening {round}: {error}"));
        assert_eq!(channel.stats().events, count - taken, "opening {round}");
        if round % 2 == 1 {
            assert_eq!(consume(&channel, 5), larges(taken..taken + 5, 1000));
            taken += 5;
        }
    }
    for (how, image) in crashes(&disk) {
        image.set_capacity(Some(0));
        let channel = try_open(&image, &options());
        let channel = channel.unwrap_or_else(|error| panic!("{how}: {error}"));
        empty(&channel, taken, count - taken);
    }
}

/// A life with segments that come and go; what was acknowledged when a call failed, and whether one did.
fn live(disk: &SimDisk, options: &ChannelOptions) -> (u64, u64, bool) {
    let (mut put, mut taken) = (0, 0);
    let Ok(channel) = try_open(disk, options) else {
        return (put, taken, true);
    };
    for _ in 0..6 {
        let mut transaction = channel.begin_put();
        for event in larges(put..put + 25, 1000) {
            if transaction.put(event).is_err() {
                return (put, taken, true);
            }
        }
        if transaction.commit().is_err() {
            return (put, taken, true);
        }
        put += 25;
        let mut transaction = channel.begin_take();
        for _ in 0..15 {
            match transaction.take() {
                Ok(Some(_)) => {}
                _ => return (put, taken, true),
            }
        }
        if transaction.commit().is_err() {
            return (put, taken, true);
        }
        taken += 15;
    }
    let failed = channel.checkpoint().is_err() || channel.close().is_err();
    (put, taken, failed)
}

#[test]
fn c13_no_failed_sync_is_passed_over_and_nothing_acknowledged_rests_on_one() {
    let syncs = [CallKind::SyncData, CallKind::SyncAll, CallKind::SyncDirectory];
    let mut struck = 0;
    for number in 0..10_000 {
        let disk = SimDisk::new(13);
        let plan = FaultPlan::new(Fault::FailedSync(FailedSync::Lost));
        disk.set_plan(plan.on(&syncs).after(number));
        let (put, taken, failed) = live(&disk, &options());
        if disk.has_plan_left() {
            break;
        }
        struck += 1;
        assert!(failed, "sync {number} failed and nobody was told");
        for crash in [Crash::LoseAll, Crash::KeepAll, Crash::Random(number)] {
            let how = format!("sync {number} failed, {crash:?}");
            let image = disk.crash(&crash);
            let channel = try_open(&image, &options());
            let channel = channel.unwrap_or_else(|error| panic!("{how}: {error}"));
            let got = drain(&channel);
            let first = put_first(&got, taken, put);
            assert!(first == taken || first == taken + 15, "{how}: from {first}");
            let end = first + got.len() as u64;
            assert!(end == put || end == put + 25, "{how}: {end} of {put}");
            assert_eq!(got, larges(first..end, 1000), "{how}");
        }
    }
    assert!(struck > 20, "{struck} syncs failed");
}

/// As [`live`] where commits wait for no sync: what the last good sync covered, and whether a call failed.
fn live_unsynced(disk: &SimDisk) -> (u64, bool) {
    let mut synced = 0;
    let options = options().durability(flumen::Durability::Os);
    let Ok(channel) = try_open(disk, &options) else {
        return (synced, true);
    };
    for round in 0..4 {
        // More than a segment between two syncs, so that segments are left behind unsynced.
        for first in (round * 200..(round + 1) * 200).step_by(25) {
            let mut transaction = channel.begin_put();
            for event in larges(first..first + 25, 1000) {
                if transaction.put(event).is_err() {
                    return (synced, true);
                }
            }
            if transaction.commit().is_err() {
                return (synced, true);
            }
        }
        if channel.sync().is_err() {
            return (synced, true);
        }
        synced = (round + 1) * 200;
    }
    (synced, channel.close().is_err())
}

/// Flume's very case: the sync of a file that is left behind.
#[test]
fn c13_a_failed_sync_of_a_segment_left_behind_is_told_at_the_next_sync() {
    let syncs = [CallKind::SyncData, CallKind::SyncAll, CallKind::SyncDirectory];
    let mut struck = 0;
    for number in 0..10_000 {
        let disk = SimDisk::new(13);
        let plan = FaultPlan::new(Fault::FailedSync(FailedSync::Lost));
        disk.set_plan(plan.on(&syncs).after(number));
        let (synced, failed) = live_unsynced(&disk);
        if disk.has_plan_left() {
            break;
        }
        struck += 1;
        assert!(failed, "sync {number} failed and nobody was told");
        for crash in [Crash::LoseAll, Crash::Random(number)] {
            let how = format!("sync {number} failed, {crash:?}");
            let channel = try_open(&disk.crash(&crash), &options());
            let channel = channel.unwrap_or_else(|error| panic!("{how}: {error}"));
            let got = drain(&channel);
            assert!(got.len() as u64 >= synced, "{how}: {} of {synced}", got.len());
            assert_eq!(got, larges(0..got.len() as u64, 1000), "{how}");
        }
    }
    assert!(struck > 20, "{struck} syncs failed");
}

/// The number of the first event there, or where the next would have been.
fn put_first(got: &[Event], taken: u64, put: u64) -> u64 {
    let Some(first) = got.first() else {
        return put.max(taken);
    };
    first.headers["number"].parse().expect("a number")
}

#[test]
fn c15_an_opening_that_fails_anywhere_leaves_nothing_behind() {
    let disk = SimDisk::new(15);
    let channel = open(&disk, &options());
    put_batches(&channel, &larges(0..100, 1000), 10);
    assert_eq!(consume(&channel, 35), larges(0..35, 1000));
    drop(channel);
    let mut failed = 0;
    for number in 0..10_000 {
        let image = disk.snapshot();
        let plan = FaultPlan::new(Fault::Error(ErrorKind::Other)).after(number);
        image.set_plan(plan);
        let opened = try_open(&image, &options());
        if image.has_plan_left() {
            break;
        }
        failed += u64::from(opened.is_err());
        drop(opened);
        image.clear_plans();
        let channel = try_open(&image, &options());
        let channel = channel.unwrap_or_else(|error| panic!("call {number}: {error}"));
        assert_eq!(drain(&channel), larges(35..100, 1000), "call {number}");
    }
    assert!(failed > 20, "{failed} openings failed");
}

#[cfg(target_os = "linux")]
#[test]
#[allow(clippy::disallowed_methods, reason = "the test damages the file itself")]
fn c15_a_refused_opening_leaves_no_file_open_and_no_lock_held() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let path = directory.path().canonicalize().expect("it was just made");
    let channel = open_in(&path, &options());
    put_batches(&channel, &events(0..4), 1);
    drop(channel);
    let segment = path.join(format!("{:020}.seg", 1));
    let mut bytes = std::fs::read(&segment).expect("the first segment is there");
    let put = records(&bytes).into_iter().find(|r| r.kind == Kind::Put);
    bytes[put.expect("four puts").offset + 50] ^= 1;
    std::fs::write(&segment, &bytes).expect("the directory is writable");
    for _ in 0..20 {
        let opened = FileChannel::open(&path, options());
        assert!(matches!(opened, Err(OpenError::Corrupt(_))));
    }
    let held = std::fs::read_dir("/proc/self/fd").expect("Linux has this");
    let held = held
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.starts_with(&path))
        .count();
    assert_eq!(held, 0, "files of the channel are still open");
}

#[test]
fn c16_a_second_owner_is_refused_by_name_and_the_first_is_not_disturbed() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let first = open_in(directory.path(), &options());
    put(&first, &events(0..2));
    match FileChannel::open(directory.path(), options()) {
        Err(OpenError::InUse { path, owner }) => {
            assert_eq!(path, directory.path().display().to_string());
            let owner = owner.expect("the owner left a note");
            assert!(owner.contains(&std::process::id().to_string()), "{owner}");
        }
        other => panic!("{:?}", other.map(|_| "opened")),
    }
    put(&first, &events(2..4));
    drop(first);
    let second = open_in(directory.path(), &options());
    assert_eq!(drain(&second), events(0..4));
}

/// With a reserve as large as segments are, files change between the two: none may be lost on the way.
#[test]
fn c08_segments_and_reserve_of_one_size_go_round_on_a_full_disk() {
    let options = options().transaction_events(1500);
    for capacity in (500..1000).step_by(50) {
        let disk = SimDisk::new(8);
        disk.set_capacity(Some(capacity << 10));
        let channel = open(&disk, &options);
        let (mut put, mut taken) = (0, 0);
        for round in 0..60 {
            let how = format!("{capacity} KiB, round {round}");
            for _ in 0..100 {
                let mut transaction = channel.begin_put();
                for event in larges(put..put + 10, 1000) {
                    transaction.put(event).expect("the capacity is no limit");
                }
                match transaction.commit() {
                    Ok(()) => put += 10,
                    Err(CommitError::NoSpace(_)) => break,
                    Err(other) => panic!("{how}: {other}"),
                }
            }
            let count = 10 + round % 70;
            // One by one: so many acknowledgements need segments too, and find only the reserve.
            let one = |_| consume(&channel, 1);
            let got: Vec<Event> = (0..count).flat_map(one).collect();
            assert_eq!(got, larges(taken..put.min(taken + count), 1000), "{how}");
            taken += got.len() as u64;
            let result = channel.checkpoint();
            result.unwrap_or_else(|error| panic!("{how}: {error}"));
        }
        assert!(put > 500, "{capacity} KiB: {put} events went through");
        assert_eq!(drain(&channel), larges(taken..put, 1000));
    }
}

/// More is kept in reserve for larger transactions; on a full disk that cannot be had, and must not matter.
#[test]
fn c08_a_larger_transaction_limit_does_not_keep_a_full_disk_from_opening() {
    let disk = SimDisk::new(8);
    disk.set_capacity(Some(1 << 20));
    let channel = open(&disk, &options());
    let count = fill(&channel);
    drop(channel);
    disk.set_capacity(Some(0));
    let larger = options().transaction_events(100_000);
    for round in 0..10 {
        let opened = try_open(&disk, &larger);
        let channel = opened.unwrap_or_else(|error| panic!("opening {round}: {error}"));
        assert_eq!(channel.stats().events, count, "opening {round}");
    }
    assert_eq!(drain(&open(&disk, &larger)), larges(0..count, 1000));
}

#[test]
fn c08_damage_is_found_on_a_full_disk_too() {
    let disk = SimDisk::new(8);
    disk.set_capacity(Some(1 << 20));
    let channel = open(&disk, &options());
    fill(&channel);
    drop(channel);
    let name = tail(&disk);
    let put = records(&read(&disk, &name)).into_iter().find(|r| r.kind == Kind::Put);
    flip(&disk, &name, put.expect("the tail holds puts").offset + 60);
    let before = disk.image_hash();
    let opened = try_open(&disk, &options());
    assert!(matches!(opened, Err(OpenError::Corrupt(_))));
    assert_eq!(disk.image_hash(), before, "a refusal changes nothing");
}
