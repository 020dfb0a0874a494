//! An I/O error in one thread reaches all others: whoever commits, waits for room or for news gets it, nobody
//! hangs, and nothing that was acknowledged is lost (I7).

use std::io::ErrorKind;

use super::bench::{Bench, LARGE, LONG, event, image, name_of, options, put, recovered};
use crate::channel::{Channel, CloseError, CommitError, PutError, TakeError};
use crate::storage::sim::{CallKind, FailedSync, Fault, FaultPlan, SimDisk};
use crate::storage::{Access, Storage};
use crate::sync::model::{explore, spawn};

/// The file of the first segment.
const FIRST: &str = "00000000000000000001.seg";

/// The sync of a segment fails, after so many good ones. Names of segments are numbers.
fn failed_sync(after: u64) -> FaultPlan {
    let fault = Fault::FailedSync(FailedSync::Lost);
    FaultPlan::new(fault).on(&[CallKind::SyncData]).file("0").after(after)
}

/// Puts and commits; the channel may have stopped before either.
fn put_one(bench: &Bench, name: &str, size: usize) -> Result<(), CommitError> {
    let mut put = bench.channel.begin_put();
    match put.put(event(name, size)) {
        Ok(()) => put.commit(),
        Err(PutError::Stopped(_, stopped)) => Err(CommitError::Stopped(stopped)),
        Err(error) => panic!("{error}"),
    }
}

/// Takes the event that is there and commits; the channel may have stopped before either.
fn take_one(bench: &Bench, name: &str) -> Result<(), CommitError> {
    let mut take = bench.channel.begin_take();
    match take.take() {
        Ok(taken) => assert_eq!(taken.as_ref().map(name_of).as_deref(), Some(name)),
        Err(TakeError::Stopped(stopped)) => return Err(CommitError::Stopped(stopped)),
        Err(error) => panic!("{error}"),
    }
    take.commit()
}

/// What was acknowledged before the power went is kept: the put of `new`, and the take of `old`.
fn assert_kept(image: &SimDisk, put: bool, take: bool) {
    let found = recovered(image).1;
    let holds = |name: &str| found.iter().any(|found| found == name);
    assert!(!put || holds("new"), "the put was acknowledged and is lost");
    assert!(!take || !holds("old"), "the take was acknowledged and is lost");
}

fn is_stopped(result: &Result<(), CommitError>) -> bool {
    match result {
        Ok(()) => false,
        Err(CommitError::Stopped(_)) => true,
        Err(error) => panic!("{error}"),
    }
}

/// Whatever is tried later fails too.
fn assert_stopped(bench: &Bench) {
    let mut put = bench.channel.begin_put();
    assert!(matches!(put.put(event("late", 10)), Err(PutError::Stopped(..))));
    assert!(matches!(bench.channel.begin_take().take(), Err(TakeError::Stopped(_))));
    assert!(matches!(bench.channel.checkpoint(), Err(CloseError::Stopped(_))));
    assert!(!bench.channel.wait(LONG));
}

#[test]
fn i7_a_failed_sync_reaches_the_other_commit_and_the_one_who_waits_for_news() {
    let image = image(options, |_| {});
    let finished = explore("engine.stop_commit_and_news", Some(2), 680, move |seen| {
        let bench = Bench::new(&image, options());
        // A write-back that failed: each open description tells of it at its next sync.
        assert!(bench.disk.fail_write_back(FIRST));
        let other = bench.clone();
        let committer = spawn(move || put_one(&other, "a", 10));
        let other = bench.clone();
        let waiter = spawn(move || other.channel.wait(LONG));
        assert!(is_stopped(&put_one(&bench, "b", 10)));
        assert!(is_stopped(&committer.join().expect("no panic")));
        assert!(!waiter.join().expect("no panic"), "there is nothing to take");
        assert_stopped(&bench);
        seen.note("all stopped");
        let _ = recovered(&bench.crash());
    });
    finished.always("all stopped");
    finished.reached(&["slept"]);
}

#[test]
fn i7_what_counted_before_a_failed_sync_is_kept_and_what_comes_after_it_is_in_doubt() {
    // A put and an ack: each in a lane of its own, at once.
    let image = image(options, |channel| put(channel, "old", 10).expect("nothing fails"));
    let finished = explore("engine.stop_second_sync", Some(4), 5_900, move |seen| {
        let bench = Bench::new(&image, options());
        bench.disk.set_plan(failed_sync(1));
        let other = bench.clone();
        let thread = spawn(move || take_one(&other, "old"));
        let mine = put_one(&bench, "new", 10);
        let theirs = thread.join().expect("no panic");
        let stopped = [is_stopped(&mine), is_stopped(&theirs)];
        assert_kept(&bench.crash(), !stopped[0], !stopped[1]);
        seen.note(match stopped.iter().filter(|stopped| **stopped).count() {
            0 => panic!("a failed sync went unnoticed"),
            1 => "one committed",
            _ => "nobody committed",
        });
        assert_stopped(&bench);
    });
    finished.reached(&["one committed", "nobody committed", "slept"]);
}

/// Behind a put that is synced the other put may go with the ack, or after it.
#[test]
fn i7_a_put_that_goes_with_an_ack_is_lost_with_it_and_not_before() {
    let image = image(options, |channel| put(channel, "old", 10).expect("nothing fails"));
    let finished = explore("engine.stop_of_two_kinds", Some(2), 2_100, move |seen| {
        let bench = Bench::new(&image, options());
        bench.disk.set_plan(failed_sync(1));
        let other = bench.clone();
        let taker = spawn(move || take_one(&other, "old"));
        let other = bench.clone();
        let second = spawn(move || put_one(&other, "other", 10));
        let mine = put_one(&bench, "new", 10);
        let second = second.join().expect("no panic");
        let theirs = taker.join().expect("no panic");
        let image = bench.crash();
        assert_kept(&image, !is_stopped(&mine), !is_stopped(&theirs));
        let found = recovered(&image).1;
        assert!(is_stopped(&second) || found.contains(&"other".to_string()), "I1");
        let answers = [&mine, &second, &theirs].map(is_stopped);
        seen.note(match answers.iter().filter(|stopped| **stopped).count() {
            3 => "nobody committed",
            2 => "one committed",
            count => panic!("the second group failed, and {count} of three commits"),
        });
        assert_stopped(&bench);
    });
    finished.reached(&["one committed", "nobody committed", "slept"]);
}

#[test]
fn i7_a_write_back_that_fails_at_any_time_loses_nothing_that_was_acknowledged() {
    let image = image(options, |channel| put(channel, "old", 10).expect("nothing fails"));
    let finished = explore("engine.stop_write_back", Some(2), 790, move |seen| {
        let bench = Bench::new(&image, options());
        let other = bench.clone();
        let thread = spawn(move || (take_one(&other, "old"), other.crash()));
        let other = bench.clone();
        let disk = spawn(move || {
            // A step that concerns the file, so that loom tries it between any two others.
            let storage = other.steps.as_ref();
            storage
                .open(FIRST, Access::Read)
                .expect("it is there")
                .size()
                .expect("no fault is set");
            assert!(other.disk.fail_write_back(FIRST));
        });
        let mine = put_one(&bench, "new", 10);
        let my_image = bench.crash();
        let (theirs, their_image) = thread.join().expect("no panic");
        disk.join().expect("no panic");
        // Each image is of the moment at which one of them was acknowledged.
        assert_kept(&my_image, !is_stopped(&mine), false);
        assert_kept(&their_image, false, !is_stopped(&theirs));
        seen.note(match (is_stopped(&mine), is_stopped(&theirs)) {
            (false, false) => "too late to matter",
            (true, true) => "both stopped",
            _ => "one committed",
        });
    });
    finished.reached(&["too late to matter", "one committed", "both stopped", "slept"]);
}

#[test]
fn i7_a_failed_take_commit_reaches_the_one_who_waits_for_room() {
    let full = || options().capacity_events(1);
    let image = image(options, |channel| put(channel, "old", 10).expect("nothing fails"));
    let finished = explore("engine.stop_room", None, 2, move |seen| {
        let bench = Bench::new(&image, full());
        bench.disk.set_plan(failed_sync(0));
        let other = bench.clone();
        let producer = spawn(move || {
            let mut put = other.channel.begin_put();
            matches!(put.put(event("new", 10)), Err(PutError::Stopped(..)))
        });
        let mut take = bench.channel.begin_take();
        assert_eq!(take.take().expect("readable").as_ref().map(name_of).as_deref(), Some("old"));
        assert!(is_stopped(&take.commit()));
        assert!(producer.join().expect("no panic"), "room that nobody gave back");
        assert_stopped(&bench);
        seen.note("all stopped");
    });
    finished.always("all stopped");
    finished.reached(&["slept"]);
}

#[test]
fn i7_a_failed_checkpoint_reaches_commits_and_those_who_wait_for_room() {
    let full = || options().capacity_events(3);
    let image = image(options, |channel| put(channel, "old", 10).expect("nothing fails"));
    let finished = explore("engine.stop_by_checkpoint", Some(3), 860, move |seen| {
        let bench = Bench::new(&image, full());
        bench.put("before", 10).expect("nothing fails yet");
        let mut reserved = bench.channel.begin_put();
        reserved.put(event("new", 10)).expect("there is room for one");
        let fault = FaultPlan::new(Fault::Error(ErrorKind::Other)).file("checkpoint-");
        bench.disk.set_plan(fault.on(&[CallKind::Write]));
        let other = bench.clone();
        let waiter = spawn(move || {
            let mut put = other.channel.begin_put();
            matches!(put.put(event("more", 10)), Err(PutError::Stopped(..)))
        });
        let committer = spawn(move || reserved.commit());
        assert!(matches!(bench.channel.checkpoint(), Err(CloseError::Stopped(_))));
        let commit = committer.join().expect("no panic");
        assert!(waiter.join().expect("no panic"), "room that nobody gave back");
        seen.note(if is_stopped(&commit) { "commit stopped" } else { "commit kept" });
        let found = recovered(&bench.crash()).1;
        assert_eq!(found[..2], ["old", "before"]);
        assert!(commit.is_err() || found.len() == 3, "acknowledged and lost");
        assert_stopped(&bench);
    });
    finished.reached(&["commit stopped", "commit kept", "slept"]);
}

#[test]
fn i7_a_segment_that_cannot_be_begun_stops_all_who_need_it() {
    let image = image(options, |channel| put(channel, "old", LARGE).expect("nothing fails"));
    let finished = explore("engine.stop_roll", Some(4), 880, move |seen| {
        let bench = Bench::new(&image, options());
        let fault = FaultPlan::new(Fault::Error(ErrorKind::Other)).on(&[CallKind::Rename]);
        bench.disk.set_plan(fault);
        let other = bench.clone();
        let thread = spawn(move || put_one(&other, "a", LARGE));
        assert!(is_stopped(&put_one(&bench, "b", LARGE)));
        assert!(is_stopped(&thread.join().expect("no panic")));
        assert!(!bench.disk.has_plan_left());
        assert_stopped(&bench);
        seen.note("all stopped");
        assert_eq!(recovered(&bench.crash()).1, ["old"]);
    });
    finished.always("all stopped");
    finished.reached(&["slept"]);
}
