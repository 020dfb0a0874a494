//! I7, I8 and more: a fault of every kind at every call, once and for good, in everything that a channel
//! does: running, closing, opening after a close and after a stop, on a full disk, maintenance, taking in
//! both read modes, `verify` and `salvage`; then with crashes on top, and faults in the recovery of those.
//! Nothing is acknowledged that is not there after reopening, nothing is there that was not put, a failed
//! commit is there whole or not at all; a stopped channel stays so; nothing panics or hangs.
//!
//! In the long form more crashes are tried after each fault:
//! `FLUMEN_EFFORT=long cargo test --profile campaign --no-default-features --test faults -- --nocapture`

#[path = "faults/compound.rs"]
mod compound;
#[path = "faults/oracle.rs"]
mod oracle;
#[path = "faults/scenes.rs"]
mod scenes;
mod support;
#[path = "faults/sweep.rs"]
mod sweep;
#[path = "faults/tools.rs"]
mod tools;

use flumen::storage::sim::{CallKind, Crash, FailedSync, Fault, FaultPlan, SimDisk};

use compound::Compound;
use flumen::FileChannel;
use oracle::Oracle;
use scenes::{LARGE, Scene};
use support::effort::{Effort, figure, seed};
use support::history::options;
use sweep::{Kind, Sweep, Tally};

/// `scene:fault:mode:turn`, from the report of a failure.
fn only() -> Option<(String, u64)> {
    let text = std::env::var("FLUMEN_ONLY").ok()?;
    let (name, turn) = text.rsplit_once(':').expect("scene:fault:mode:turn");
    Some((name.to_string(), turn.parse().expect("a number")))
}

/// Every scene, every fault, once and for good; every second one.
fn sweep_half(half: usize) -> Tally {
    let effort = Effort::get();
    let scenes = Scene::all();
    let mut tally = Tally::default();
    let mut index = 0;
    for scene in &scenes {
        for kind in Kind::all() {
            for sticky in [false, true] {
                let (step, crashes) = (effort.pick(23, 1, 1), effort.pick(0, 4, 50));
                let sweep = Sweep { scene, kind, sticky, step, crashes };
                index += 1;
                match only() {
                    None if index % 2 == half => sweep.run(None, &mut tally),
                    Some((name, turn)) if name == sweep.name() && half == 0 => {
                        sweep.run(Some(turn), &mut tally);
                    }
                    _ => {}
                }
            }
        }
    }
    tally
}

#[test]
fn i7_every_fault_at_every_call() {
    let tally = std::thread::scope(|scope| {
        let other = scope.spawn(|| sweep_half(1));
        let mut tally = sweep_half(0);
        tally.add(other.join().expect("a fault is not mastered"));
        tally
    });
    if only().is_some() {
        return;
    }
    let floor = |short: u64| Effort::get().pick(1, short, short);
    figure("faults.runs", tally.runs, floor(12_000));
    figure("faults.images", tally.images, floor(30_000));
    figure("faults.late.excused", tally.excused, Effort::get().pick(0, 1, 1));
    for kind in Kind::all() {
        let struck = tally.strikes.iter().filter(|((name, _), _)| *name == kind.name);
        let struck = struck.map(|(_, count)| count).sum();
        figure(&format!("faults.{}", kind.name), struck, floor(500));
    }
    for call in CALLS {
        let struck = tally.strikes.iter().filter(|((_, kind), _)| *kind == call);
        let name = format!("faults.on.{call:?}").to_lowercase();
        let floor = Effort::get().pick(0, 1, 1);
        figure(&name, struck.map(|(_, count)| count).sum(), floor);
    }
}

/// What the engine calls. Nothing asks for the space that is left, and a file is cut only where a crash can
/// have left something behind its proven end.
const CALLS: [CallKind; 16] = [
    CallKind::List,
    CallKind::Create,
    CallKind::Open,
    CallKind::Rename,
    CallKind::Remove,
    CallKind::SyncDirectory,
    CallKind::Lock,
    CallKind::Size,
    CallKind::Read,
    CallKind::Write,
    CallKind::SetSize,
    CallKind::Allocate,
    CallKind::SyncData,
    CallKind::SyncAll,
    CallKind::Map,
    CallKind::WriteNote,
];

/// Faults of which no program is to lose anything, a loss of power on top.
const COMPOUND: [(&str, bool); 6] = [
    ("eio", false),
    ("eio", true),
    ("eio_after", false),
    ("enospc", false),
    ("sync_lost", false),
    ("sync_reverted", false),
];

fn compound_half(half: usize) -> Compound {
    let effort = Effort::get();
    let mut compound = Compound::default();
    let scenes = Scene::all();
    let scenes = scenes.iter().filter(|scene| matches!(scene.name, "run" | "unclean"));
    let jobs = scenes.flat_map(|scene| COMPOUND.map(|(name, sticky)| (scene, name, sticky)));
    for (index, (scene, name, sticky)) in jobs.enumerate() {
        let kind = Kind::all().into_iter().find(|kind| kind.name == name).expect("there is one");
        let sweep = Sweep { scene, kind, sticky, step: 1, crashes: 0 };
        let (step, stride) = (effort.pick(41, 1, 1), effort.pick(17, 3, 1));
        match only() {
            None if index % 2 == half => compound.sweep(scene, kind, sticky, 0, step, stride),
            Some((name, turn)) if name == sweep.name() && half == 0 => {
                compound.sweep(scene, kind, sticky, turn, u64::MAX, stride);
            }
            _ => {}
        }
    }
    compound
}

#[test]
fn i7_a_loss_of_power_behind_a_fault_and_a_fault_in_the_recovery() {
    let [one, other] = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| scope.spawn(move || compound_half(half)));
        halves.map(|half| half.join().expect("a fault with a loss of power is not mastered"))
    });
    if only().is_some() {
        return;
    }
    let floor = |short: u64| Effort::get().pick(10, short, short);
    figure("faults.compound.images", one.images + other.images, floor(30_000));
    let struck = one.struck_recoveries + other.struck_recoveries;
    figure("faults.compound.recoveries", struck, floor(8_000));
}

#[test]
fn i7_every_fault_at_every_call_of_verify_and_salvage() {
    let mut tally = Tally::default();
    tools::sweep(Effort::get().pick(29, 1, 1), &mut tally);
    figure("faults.tools.runs", tally.runs, Effort::get().pick(50, 6_000, 6_000));
}

/// A kernel may report a failed write-back to another open description than the one whose sync met it. That
/// sync has lied, and nobody can help the group it was for; but nothing is acknowledged on top of it.
#[test]
fn i7_an_error_reported_late_stops_the_channel_at_the_next_commit() {
    let disk = SimDisk::new(3);
    let mut oracle = Oracle::new(disk.clone(), options(), Vec::new());
    let channel = oracle.open().expect("opens");
    assert!(oracle.put(&channel, 1, 0));
    disk.set_plan(FaultPlan::new(Fault::FailedSync(FailedSync::Late)).on(&[CallKind::SyncData]));
    assert!(oracle.put(&channel, 1, 0));
    assert!(!disk.has_plan_left());
    assert!(!oracle.put(&channel, 1, 0));
    oracle.is_dead(&channel);
}

/// A failed sync of the directory loses a rename that the cache still shows, and the next one succeeds (a
/// file system without a journal may do so). The file is then renamed again under its new name, and after a
/// loss of power it has two: an old one that nothing needs, and that of a segment with events. It must not be
/// taken for a waiting file.
#[test]
fn i7_a_rename_that_a_failed_directory_sync_has_lost() {
    let disk = SimDisk::new(3);
    let mut oracle = Oracle::new(disk.clone(), options(), Vec::new());
    let channel = oracle.open().expect("opens");
    for _ in 0..3 {
        assert!(oracle.put(&channel, 1, LARGE));
    }
    assert!(oracle.take_all(&channel, 1));
    // Segment 1 becomes a spare file, which the next segment would be made of.
    assert!(oracle.call(&channel, FileChannel::checkpoint));
    let lost = Fault::FailedSync(FailedSync::Lost);
    disk.set_plan(FaultPlan::new(lost).on(&[CallKind::SyncDirectory]));
    while oracle.put(&channel, 1, LARGE) {}
    assert!(!disk.has_plan_left());
    drop(channel);
    let channel = oracle.open().expect("opens");
    for _ in 0..3 {
        assert!(oracle.put(&channel, 1, 10));
    }
    drop(channel);
    let image = disk.crash(&Crash::LoseAll);
    for _ in 0..3 {
        let checked = oracle::check(&image, &options(), &oracle.allowed, false);
        assert_eq!(checked, Ok(false), "{:?}", image.file_names());
    }
}
