//! I1 to I5, I10: every crash point of a handful of histories, on a disk that may forget anything that was not
//! synced. The disk takes a snapshot after every call; each snapshot is crashed in many ways, recovered, and
//! held against the model; then recovery itself is crashed at every call.

#[path = "support/files.rs"]
#[allow(unreachable_pub, reason = "a module of tests, of which this uses a part")]
mod files;
mod support;

use std::collections::HashSet;

use files::{Kind, read, records, tail};
use flumen::storage::sim::{Crash, Hostile, SimDisk};
use flumen::{Channel, Event};
use support::history::{Runner, Span, Step, allowed, brief, drain, open};

/// Ways to crash a disk with so many effects pending.
fn crashes(disk: &SimDisk, seed: u64) -> Vec<Crash<'static>> {
    let pending = disk.pending_effects();
    let mut crashes = vec![Crash::LoseAll, Crash::KeepAll];
    if pending <= 6 {
        crashes.extend((0..1 << pending).map(Crash::Bits));
    } else {
        crashes.extend((1..pending).map(Crash::Prefix));
        crashes.extend((0..pending).flat_map(|i| [Crash::Drop(i), Crash::OnlyKeep(i)]));
    }
    let in_flight = disk.bytes_in_flight();
    crashes.extend((0..in_flight).step_by(1 + in_flight as usize / 9).map(Crash::Torn));
    for turn in 0..3 {
        crashes.push(Crash::Random(seed * 8 + turn));
        crashes.push(Crash::Hostile(seed * 8 + turn, Hostile::USUAL));
    }
    crashes
}

struct Campaign {
    seen: HashSet<(u64, Vec<usize>)>,
    images: u64,
}

impl Campaign {
    /// Recovers an image and compares; then uses the channel and recovers again.
    fn check(&mut self, image: &SimDisk, allowed: &[Vec<String>], deep: bool, what: &str) {
        let key = (image.image_hash(), allowed.iter().map(Vec::len).collect());
        if !self.seen.insert(key) {
            return;
        }
        self.images += 1;
        if deep {
            image.record();
        }
        let channel = open(image).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = drain(&channel).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(
            allowed.contains(&found),
            "{what}: found {:?}, allowed {:?}",
            brief(&found),
            allowed.iter().map(|queue| brief(queue)).collect::<Vec<_>>()
        );
        let snapshots = image.take_recording();
        // What was found is now a fact: it must not change again, whatever happens during recovery.
        for (index, snapshot) in snapshots.iter().enumerate() {
            for crash in crashes(snapshot, index as u64) {
                let what = format!("{what}, then {crash:?} at call {index} of recovery");
                self.check(&snapshot.crash(&crash), allowed, false, &what);
            }
        }
        drop(channel);
        self.go_on(image, &found, what);
    }

    /// After recovery the channel works, and nothing of it is lost by one more loss of power.
    fn go_on(&mut self, image: &SimDisk, found: &[String], what: &str) {
        let channel = open(image).unwrap_or_else(|error| panic!("{what}, again: {error}"));
        let mut put = channel.begin_put();
        put.put(Event::new("last:")).expect("there is room");
        put.commit().unwrap_or_else(|error| panic!("{what}, put: {error}"));
        drop(channel);
        let image = image.crash(&Crash::LoseAll);
        let channel = open(&image).unwrap_or_else(|error| panic!("{what}, after all: {error}"));
        let mut expected = found.to_vec();
        expected.push("last:".to_string());
        let found = drain(&channel).unwrap_or_else(|error| panic!("{what}, after all: {error}"));
        assert_eq!(brief(&found), brief(&expected), "{what}, after all");
    }
}

fn run(name: &str, steps: &[Step]) -> u64 {
    let mut runner = Runner::new(7);
    runner.run(steps);
    let spans: Vec<Span> = runner.spans.clone();
    let recording = runner.disk.take_recording();
    drop(runner);
    let mut campaign = Campaign { seen: HashSet::new(), images: 0 };
    for (index, snapshot) in recording.iter().enumerate() {
        let calls = snapshot.calls();
        let allowed = allowed(&spans, calls);
        // The process dies, the system lives on: nothing is lost at all.
        let what = format!("{name}, death of the process at call {calls}");
        campaign.check(&snapshot.snapshot(), &allowed, false, &what);
        for crash in crashes(snapshot, index as u64) {
            let what = format!("{name}, {crash:?} at call {calls}");
            let deep = index % 5 == 0 && matches!(crash, Crash::Random(_) | Crash::LoseAll);
            campaign.check(&snapshot.crash(&crash), &allowed, deep, &what);
        }
    }
    campaign.images
}

#[test]
fn i1_i2_i3_puts_and_takes() {
    use Step::*;
    let images = run(
        "puts and takes",
        &[Put(3), Put(1), Take(2), PutRollback(2), Put(2), TakeRollback(3), Take(3)],
    );
    assert!(images > 500, "{images} images");
}

#[test]
fn i2_i12_segments_follow_one_another() {
    use Step::*;
    let images = run(
        "segments",
        &[
            PutLarge(30),
            PutLarge(30),
            PutLarge(30),
            Take(2),
            PutLarge(30),
            Take(2),
            PutLarge(40),
            PutLarge(40),
        ],
    );
    assert!(images > 1000, "{images} images");
}

/// Groups that are filled up to the end of a page: what fills may be there in part, or not at all.
#[test]
fn i2_what_fills_up_a_group_is_in_nobodys_way() {
    use Step::*;
    let steps = [Put(45), PutLarge(7), Put(2), Take(46), Put(45), PutLarge(7), PutLarge(3)];
    let images = run("filled up", &steps);
    assert!(images > 500, "{images} images");
    let mut runner = Runner::new(7);
    runner.run(&steps);
    let records = records(&read(&runner.disk, &tail(&runner.disk)));
    let fillers =
        records.iter().filter(|record| record.kind == Kind::Watermark && record.size > 40);
    assert!(fillers.count() >= 2, "{records:?}");
}

#[test]
fn i5_acks_out_of_order_and_checkpoints() {
    use Step::*;
    let images =
        run("acks", &[Put(5), TakeLater(3), Checkpoint, Put(2), TakeLater(4), Maintain, Take(1)]);
    assert!(images > 500, "{images} images");
}

#[test]
fn i10_closing_and_opening() {
    use Step::*;
    let images = run(
        "openings",
        &[Put(2), Reopen, Put(2), Abandon, Take(1), Put(1), Reopen, Reopen, Take(2), Abandon],
    );
    assert!(images > 1000, "{images} images");
}

#[test]
fn a_record_larger_than_a_segment() {
    use Step::*;
    let images = run("large", &[Put(1), PutLarge(100), Put(1), Take(2), PutLarge(10), Take(1)]);
    assert!(images > 500, "{images} images");
}
