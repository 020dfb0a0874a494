//! I7, I8 and more: an error at every call of a history, of every kind, once and for good. Nothing is
//! acknowledged that is not there after reopening, after a crash of the process and after a loss of power;
//! nothing panics or hangs.

mod support;

use std::io::ErrorKind;

use flumen::storage::sim::{CallKind, Crash, FailedSync, Fault, FaultPlan, SimDisk};
use flumen::{Channel, CommitError, Event, FileChannel, TakeError};
use support::history::{brief, drain, open};

/// What a history that may fail has been promised.
#[derive(Default)]
struct Promise {
    /// Acknowledged and not taken.
    queue: Vec<String>,
    /// The put whose commit failed: there as a whole, or not at all.
    doubtful_put: Vec<String>,
    /// How many at the front were in the take whose commit failed: gone as a whole, or not at all.
    doubtful_take: usize,
}

impl Promise {
    fn allowed(&self) -> Vec<Vec<String>> {
        let mut allowed = Vec::new();
        for taken in [0, self.doubtful_take] {
            for put in [&[][..], &self.doubtful_put] {
                allowed.push([&self.queue[taken..], put].concat());
            }
        }
        allowed
    }
}

enum Outcome {
    Done,
    /// The channel stopped; nothing more can be done with it.
    Stopped,
}

fn put(channel: &FileChannel, bodies: &[String], promise: &mut Promise) -> Outcome {
    let mut put = channel.begin_put();
    for body in bodies {
        if put.put(Event::new(body.as_str())).is_err() {
            return Outcome::Stopped;
        }
    }
    match put.commit() {
        Ok(()) => promise.queue.extend_from_slice(bodies),
        Err(CommitError::NoSpace(events)) => {
            assert_eq!(events.len(), bodies.len(), "the events are handed back");
        }
        Err(CommitError::Stopped(_)) => {
            promise.doubtful_put = bodies.to_vec();
            return Outcome::Stopped;
        }
        Err(other) => panic!("{other:?}"),
    }
    Outcome::Done
}

fn take(channel: &FileChannel, count: usize, promise: &mut Promise) -> Outcome {
    let mut take = channel.begin_take();
    let mut taken = 0;
    while taken < count.min(promise.queue.len()) {
        match take.take() {
            Ok(Some(event)) => assert_eq!(&*event.body, promise.queue[taken].as_bytes(), "I3"),
            Err(TakeError::Storage(_)) => return Outcome::Done,
            Err(TakeError::Stopped(_)) => return Outcome::Stopped,
            other => panic!("{other:?}"),
        }
        taken += 1;
    }
    match take.commit() {
        Ok(()) => drop(promise.queue.drain(..taken)),
        Err(CommitError::NoSpace(_)) => {}
        Err(CommitError::Stopped(_)) => {
            promise.doubtful_take = taken;
            return Outcome::Stopped;
        }
        Err(other) => panic!("{other:?}"),
    }
    Outcome::Done
}

/// Puts, takes, a roll, a checkpoint, a close; ends at the first error that stops the channel.
fn history(disk: &SimDisk) -> Promise {
    let mut promise = Promise::default();
    let Ok(channel) = open(disk) else {
        return promise;
    };
    let large = |index: usize| vec![format!("{index}:{}", "x".repeat(25 << 10))];
    let small = |index: usize| vec![format!("{index}a:"), format!("{index}b:")];
    for round in 0..4 {
        for bodies in [small(round), large(round)] {
            if let Outcome::Stopped = put(&channel, &bodies, &mut promise) {
                return promise;
            }
        }
        if let Outcome::Stopped = take(&channel, 2, &mut promise) {
            return promise;
        }
        if round == 1 && channel.maintain().is_err() {
            return promise;
        }
    }
    let _ = channel.close();
    promise
}

/// The same channel again, after the faults are over.
fn check(image: &SimDisk, promise: &Promise, what: &str) {
    let allowed = promise.allowed();
    // A failed write-back may be reported late, to the next opening. The one after it works.
    let mut opened = open(image);
    for _ in 0..3 {
        opened = opened.or_else(|_| open(image));
    }
    let channel = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = drain(&channel).unwrap_or_else(|error| panic!("{what}: {error}"));
    let all: Vec<_> = allowed.iter().map(|queue| brief(queue)).collect();
    assert!(allowed.contains(&found), "{what}: found {:?}, allowed {all:?}", brief(&found));
    drop(channel);
    // What was read back may have come from a cache that a failed sync left behind: from now on it must be
    // on the disk.
    let image = image.crash(&Crash::LoseAll);
    let channel = open(&image).unwrap_or_else(|error| panic!("{what}, power loss: {error}"));
    let again = drain(&channel).unwrap_or_else(|error| panic!("{what}, power loss: {error}"));
    assert_eq!(brief(&again), brief(&found), "{what}, after a loss of power");
}

/// Strikes the n-th call, for every n until a history comes through without being struck.
fn sweep(fault: Fault, kinds: &[CallKind], sticky: bool) -> u64 {
    for turn in 0.. {
        let disk = SimDisk::new(3);
        let plan = FaultPlan::new(fault).on(kinds).after(turn);
        disk.set_plan(if sticky { plan.sticky() } else { plan });
        let promise = history(&disk);
        let struck = !disk.has_plan_left() || sticky && disk.calls() > turn;
        disk.clear_plans();
        let what = format!("{fault:?} at {turn}, sticky {sticky}");
        check(&disk.snapshot(), &promise, &what);
        for seed in 0..3 {
            check(&disk.crash(&Crash::Random(seed)), &promise, &format!("{what}, crash {seed}"));
        }
        check(&disk.crash(&Crash::LoseAll), &promise, &format!("{what}, crash"));
        if !struck || turn > 1000 {
            return turn;
        }
    }
    unreachable!("the loop ends by returning")
}

#[test]
fn i7_an_io_error_at_every_call() {
    let calls = sweep(Fault::Error(ErrorKind::Other), &[], false);
    assert!(calls > 80, "{calls} calls");
}

#[test]
fn i7_a_call_that_works_and_says_it_failed() {
    let calls = sweep(Fault::ErrorAfter(ErrorKind::Other), &[], false);
    assert!(calls > 80, "{calls} calls");
}

#[test]
fn i8_a_full_disk_at_every_call() {
    use CallKind::{Allocate, Create, Write};
    let calls = sweep(Fault::Error(ErrorKind::StorageFull), &[Allocate, Create, Write], false);
    assert!(calls > 20, "{calls} calls");
}

#[test]
fn i7_every_way_a_sync_fails() {
    for mode in [FailedSync::Lost, FailedSync::Reverted, FailedSync::NoSpace] {
        let syncs = sweep(Fault::FailedSync(mode), &[], false);
        assert!(syncs > 20, "{mode:?}: {syncs} syncs");
    }
}

/// A kernel may report a failed write-back to another open description than the one whose sync met it. That
/// sync has lied, and nobody can help the group it was for; but nothing is acknowledged on top of it.
#[test]
fn i7_an_error_reported_late_stops_the_channel_at_the_next_commit() {
    let disk = SimDisk::new(3);
    let channel = open(&disk).expect("opens");
    let mut promise = Promise::default();
    let body = |text: &str| vec![text.to_string()];
    assert!(matches!(put(&channel, &body("a:"), &mut promise), Outcome::Done));
    disk.set_plan(FaultPlan::new(Fault::FailedSync(FailedSync::Late)).on(&[CallKind::SyncData]));
    assert!(matches!(put(&channel, &body("b:"), &mut promise), Outcome::Done));
    assert!(!disk.has_plan_left());
    assert!(matches!(put(&channel, &body("c:"), &mut promise), Outcome::Stopped));
    assert!(matches!(put(&channel, &body("d:"), &mut promise), Outcome::Stopped));
}

#[test]
fn interrupted_and_short_calls_are_carried_on() {
    use CallKind::{Read, Write};
    for fault in [Fault::Error(ErrorKind::Interrupted), Fault::Short(7)] {
        for turn in 0..60 {
            let disk = SimDisk::new(3);
            disk.set_plan(FaultPlan::new(fault).on(&[Read, Write]).after(turn));
            let promise = history(&disk);
            assert!(promise.doubtful_put.is_empty() && promise.doubtful_take == 0);
            assert_eq!(promise.queue.len(), 4, "the whole history ran");
            check(&disk.snapshot(), &promise, &format!("{fault:?} at {turn}"));
        }
    }
}
