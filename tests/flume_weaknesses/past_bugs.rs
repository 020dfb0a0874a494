//! C18: bugs that Flume's file channel once had, by their numbers, and what their like would look like here.

use std::sync::Arc;
use std::thread;

use flumen::storage::sim::{CallKind, FailedSync, Fault, FaultPlan, SimDisk};
use flumen::{Channel, CommitError, FileChannel, PutError, TakeError};

use crate::queue::*;

/// Pending takes were missed by a replay that began between the take and its commit.
#[test]
fn c18_flume_1437_a_take_that_commits_after_a_checkpoint_counts() {
    let history = |channel: &FileChannel| {
        put(channel, &events(0..3));
        let (early, _) = take(channel, 2);
        channel.checkpoint().expect("the disk works");
        put(channel, &events(3..5));
        let (late, taken) = take(channel, 2);
        assert_eq!(taken, events(2..4));
        early.commit().expect("the disk works");
        channel.checkpoint().expect("the disk works");
        late.commit().expect("the disk works");
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(4..5), "{how}");
    });
}

/// Rolled-back puts stayed in the table of puts in flight, and so pinned files.
#[test]
fn c18_flume_1606_rolled_back_puts_hold_neither_room_nor_space() {
    let disk = SimDisk::new(18);
    let channel = open(&disk, &options().capacity_events(100));
    let before = (disk.calls(), channel.stats().disk_bytes);
    for _ in 0..100 {
        let mut put = channel.begin_put();
        for event in larges(0..100, 5000) {
            put.put(event).expect("there is room each time");
        }
        put.rollback();
    }
    assert_eq!((disk.calls(), channel.stats().disk_bytes), before);
    assert_eq!(channel.stats().events, 0);
    put(&channel, &events(0..100));
}

/// A rollback that failed lost what it held. Here one cannot fail: nothing is written.
#[test]
fn c18_flume_1616_a_rollback_after_the_channel_has_stopped_loses_nothing() {
    let disk = SimDisk::new(18);
    let channel = open(&disk, &options());
    put(&channel, &events(0..10));
    let (taken, got) = take(&channel, 4);
    assert_eq!(got.len(), 4);
    let mut puts = channel.begin_put();
    puts.put(event(10)).expect("there is room");
    disk.set_plan(FaultPlan::new(Fault::FailedSync(FailedSync::Lost)).sticky());
    let stopped = channel.checkpoint().is_err() || channel.sync().is_err();
    assert!(stopped, "the sync failed");
    taken.rollback();
    puts.rollback();
    drop(channel);
    disk.clear_plans();
    for (how, image) in crashes(&disk) {
        assert_eq!(drain(&open(&image, &options())), events(0..10), "{how}");
    }
}

/// The map from file ids to files lost some of them when there were many.
#[test]
fn c18_flume_2346_every_one_of_many_segments_is_found_again() {
    let disk = SimDisk::new(18);
    let channel = open(&disk, &options());
    put_batches(&channel, &larges(0..3000, 1000), 25);
    assert!(channel.stats().segments > 40, "{:?}", channel.stats());
    // Consumed out of order, so that segments go from the middle.
    let (held, _) = take(&channel, 100);
    assert_eq!(consume(&channel, 2000), larges(100..2100, 1000));
    channel.checkpoint().expect("the disk works");
    assert!(channel.stats().segments < 25, "{:?}", channel.stats());
    let left: Vec<u64> = (0..100).chain(2100..3000).collect();
    for (how, image) in crashes(&disk) {
        let channel = open(&image, &options());
        assert_eq!(drain(&channel), larges(left.clone(), 1000), "{how}");
    }
    drop(held);
}

/// Files were deleted under a reader. Producers, consumers and checkpoints at once, on a tail that keeps nothing
/// in memory.
#[test]
fn c18_flume_2482_segments_are_not_deleted_under_a_reader() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let options = options().memory_tail(0).put_wait(LONG).capacity_events(300);
    let channel = Arc::new(open_in(directory.path(), &options));
    let total = 2000;
    let producer = {
        let channel = Arc::clone(&channel);
        thread::spawn(move || put_batches(&*channel, &larges(0..total, 1000), 20))
    };
    let consumers: Vec<_> = (0..2)
        .map(|_| {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                consume_with_others(&*channel, 10, total, || {
                    channel.checkpoint().expect("the disk works");
                })
            })
        })
        .collect();
    producer.join().expect("the producer does not fail");
    let mut got = Vec::new();
    for consumer in consumers {
        let part = consumer.join().expect("no consumer fails");
        assert!(part.is_sorted_by_key(|event| event.body.to_vec()), "order");
        got.extend(part);
    }
    got.sort_by_key(|event| event.body.to_vec());
    assert_eq!(got, larges(0..total, 1000), "each once");
}

/// Threads outlived their channel.
#[test]
fn c18_flume_2328_nothing_of_a_dropped_channel_goes_on() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    for round in 0..20 {
        let channel = open_in(directory.path(), &options().background(true));
        put(&channel, &events(round..round + 1));
        drop(channel);
    }
    let channel = open_in(directory.path(), &options());
    assert_eq!(drain(&channel), events(0..20));
}

/// A sink whose batch was larger than the transaction capacity delivered the same events for ever.
#[test]
fn c18_flume_3107_a_batch_above_the_limit_ends_and_what_it_holds_can_be_committed() {
    let disk = SimDisk::new(18);
    let channel = open(&disk, &options().transaction_events(5));
    put_batches(&channel, &events(0..12), 5);
    let (mut transaction, taken) = take(&channel, 5);
    assert_eq!(taken, events(0..5));
    for _ in 0..3 {
        let result = transaction.take();
        assert!(matches!(result, Err(TakeError::TransactionFull)));
    }
    transaction.commit().expect("the disk works");
    assert_eq!(consume(&channel, 5), events(5..10), "not the same again");
    let mut transaction = channel.begin_put();
    for event in events(20..25) {
        transaction.put(event).expect("five fit");
    }
    match transaction.put(event(25)) {
        Err(PutError::TransactionFull(back)) => assert_eq!(back, event(25)),
        other => panic!("{other:?}"),
    }
    transaction.commit().expect("the five are good");
    assert_eq!(consume(&channel, 5), events((10..12).chain(20..23)));
}

/// The like of all these: whatever call of a take's commit fails, its events come back or do not, none of them
/// twice and none of the others ever missing.
#[test]
fn c18_a_failing_commit_of_takes_is_whole_or_not_at_all() {
    let mut struck = 0;
    for number in 0..1000 {
        let disk = SimDisk::new(18);
        let channel = open(&disk, &options());
        put(&channel, &events(0..10));
        let (transaction, _) = take(&channel, 4);
        let plan = FaultPlan::new(Fault::Error(std::io::ErrorKind::Other));
        disk.set_plan(plan.on(&[CallKind::Write, CallKind::SyncData]).after(number));
        let result = transaction.commit();
        if disk.has_plan_left() {
            break;
        }
        struck += 1;
        assert!(matches!(result, Err(CommitError::Stopped(_))));
        drop(channel);
        disk.clear_plans();
        for (how, image) in crashes(&disk) {
            let got = drain(&open(&image, &options()));
            let is_right = got == events(0..10) || got == events(4..10);
            assert!(is_right, "call {number}, {how}: {got:?}");
        }
    }
    assert_eq!(struck, 2, "a commit is one write and one sync");
}
