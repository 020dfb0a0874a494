//! TestFileChannelErrorMetrics (§3.9). Our counters count what was committed; errors are values, and name the
//! file.

use std::io::ErrorKind;

use flumen::storage::sim::{CallKind, Fault, FaultPlan, SimDisk};
use flumen::{Channel, CloseError, CommitError, FileChannel, OpenError, TakeError};

use crate::files::{edit, tail};
use crate::queue::*;

/// Flume's disk goes away under it; ours answers every call with an error.
#[test]
fn test_event_take_put_error_count() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options().memory_tail(0));
    put(&channel, &events(0..2));
    assert_eq!(consume(&channel, 1), events(0..1));
    disk.set_plan(FaultPlan::new(Fault::Error(ErrorKind::Other)).sticky());
    match channel.begin_take().take() {
        Err(TakeError::Storage(error)) => assert!(error.path.contains("simulated disk")),
        // The block may have been read before: then there is nothing to fail.
        Ok(Some(taken)) => assert_eq!(taken, event(1)),
        other => panic!("{other:?}"),
    }
    let mut transaction = channel.begin_put();
    transaction.put(event(2)).expect("there is room");
    let refused = transaction.commit().expect_err("the disk is gone");
    assert!(refused.to_string().contains(&tail(&disk)), "{refused}");
    let stats = channel.stats();
    let counts = (stats.events_put, stats.puts_committed);
    assert_eq!(counts, (2, 1), "what failed does not count");
    assert_eq!((stats.events_taken, stats.takes_committed), (1, 1));
    drop(channel);
    disk.clear_plans();
    for (how, image) in crashes(&disk) {
        let got = drain(&open(&image, &options()));
        assert_eq!(got, events(1..2), "{how}");
    }
}

/// The counters of a take that meets damage.
#[test]
fn test_corrupt_event_taken() {
    let disk = SimDisk::new(1);
    let options = options().memory_tail(0);
    let channel = open(&disk, &options);
    put_batches(&channel, &events(0..2), 1);
    channel.close().expect("the disk works");
    drop(channel);
    let channel = open(&disk, &options);
    edit(&disk, &tail(&disk), |bytes| bytes[4096..8192].fill(0x80));
    drop(channel);
    let channel = open(&disk, &options);
    let result = channel.begin_take().take();
    assert!(matches!(result, Err(TakeError::Corrupt(_))), "{result:?}");
    let stats = channel.stats();
    let counts = (stats.events, stats.in_flight, stats.events_taken);
    assert_eq!(counts, (2, 0, 0));
}

#[test]
fn test_checkpoint_write_error_count() {
    for kind in [CallKind::Write, CallKind::SyncData] {
        let disk = SimDisk::new(1);
        let channel = open(&disk, &options());
        put(&channel, &events(0..2));
        let plan = FaultPlan::new(Fault::Error(ErrorKind::Other)).on(&[kind]);
        disk.set_plan(plan.file("checkpoint-"));
        let error = channel.checkpoint().expect_err("the disk fails");
        assert!(error.to_string().contains("checkpoint-"), "{error}");
        // I7: the channel has stopped, and everybody is told.
        assert!(matches!(channel.close(), Err(CloseError::Stopped(_))));
        drop(channel);
        for (how, image) in crashes(&disk) {
            let got = drain(&open(&image, &options()));
            assert_eq!(got, events(0..2), "{kind:?}, {how}");
        }
    }
}

#[test]
fn test_healthy() {
    let channel = open(&SimDisk::new(1), &options());
    put(&channel, &events(0..1));
    assert!(channel.wait(LONG), "there is an event");
    channel.sync().expect("healthy");
    channel.checkpoint().expect("healthy");
    channel.maintain().expect("healthy");
    channel.close().expect("healthy");
}

/// Garbage in the first log. In Flume the start returns and the channel is dead; here the opening is the error.
#[test]
fn test_unhealthy() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put_batches(&channel, &events(0..10), 1);
    drop(channel);
    let name = tail(&disk);
    edit(&disk, &name, |bytes| bytes[..1000].fill(0xa5));
    match FileChannel::open_on(disk.storage(), options()) {
        Err(OpenError::Corrupt(damage)) => assert_eq!(damage.file, name),
        other => panic!("{:?}", other.map(|_| "opened")),
    }
}

/// After a failed write every caller gets the first cause, also those who wait.
#[test]
fn test_a_stopped_channel_says_so_to_everybody() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put(&channel, &events(0..3));
    assert_eq!(consume(&channel, 3), events(0..3));
    let waiter = {
        let channel = channel.clone();
        std::thread::spawn(move || channel.wait(LONG))
    };
    let plan = FaultPlan::new(Fault::Error(ErrorKind::Other)).on(&[CallKind::SyncData]);
    disk.set_plan(plan);
    let mut transaction = channel.begin_put();
    transaction.put(event(3)).expect("there is room");
    let first = transaction.commit().expect_err("the sync failed");
    let CommitError::Stopped(first) = first else {
        panic!("{first}");
    };
    assert!(!waiter.join().expect("it is woken"), "there is no event");
    for _ in 0..2 {
        match channel.begin_take().take() {
            Err(TakeError::Stopped(again)) => {
                assert_eq!(again.to_string(), first.to_string());
            }
            other => panic!("{other:?}"),
        }
    }
}
