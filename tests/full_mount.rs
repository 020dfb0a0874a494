//! I8 with real processes on real file systems of a few MiB, filled to the brim: puts are refused and nothing
//! else is; the channel is emptied on the full disk by processes that are killed and start again on it, while
//! nobody frees anything by hand; and then puts go on. I1 to I5 hold all the while, as in `storm.rs`.
//!
//! ```sh
//! FLUMEN_EFFORT=long FLUMEN_SEED=2 cargo test --test full_mount -- --nocapture   # 300 mounts, as root
//! ```
//!
//! A file system that cannot be mounted here is skipped, loudly; with `FLUMEN_REQUIRE=mounts` that is a
//! failure. `full_disk.rs` has the same on the simulated disk, call by call.

mod process;
mod support;

use std::path::Path;

use process::event::Random;
use process::ledger::{Ledger, Told};
use process::mount::{Kind, Mount, obstacle};
use process::{CONSUMERS, Goal, PRODUCERS, Plan, Process, child, command, drain, skip};
use support::effort::{Effort, figure, seed};

/// With ext4's journal, or without, this leaves room for some dozens of segments.
const SIZE_MIB: u64 = 4;

#[test]
#[ignore = "the child of the other tests: they start it"]
fn child() {
    child::run();
}

#[derive(Default)]
struct Tally {
    mounts: u64,
    refused: u64,
    kills_when_full: u64,
    events_acknowledged: u64,
}

/// What ends a child.
struct Until {
    refused: u64,
    acknowledged_after: u64,
}

/// Runs a child until puts were refused so often, and then so much was acknowledged; kills it.
fn run(directory: &Path, ledger: &mut Ledger, plan: &Plan, until: &Until) -> Result<u64, String> {
    ledger.begin_life(plan.lazy_acks);
    let mut process = Process::start(command(&[], directory, plan));
    let (mut refused, mut acknowledged, mut is_killed) = (0, 0, false);
    while let Some(line) = process.line() {
        match ledger.hear(&line, &mut process)? {
            Told::Refused => refused += 1,
            Told::Acknowledged if refused >= until.refused => acknowledged += 1,
            Told::Stopped(_) | Told::Failed(_) | Told::Closed => {
                return Err(format!("a full disk is no failure, yet the child says: {line}"));
            }
            _ => {}
        }
        if !is_killed && refused >= until.refused && acknowledged >= until.acknowledged_after {
            is_killed = true;
            process.kill();
        }
    }
    process.wait();
    match is_killed {
        true => Ok(refused),
        false => Err(format!("the child ended after {refused} refusals")),
    }
}

/// Refused puts after which a mount counts as full.
const REFUSED: u64 = 40;

/// Fills a channel, empties it, and goes on: the mount stays full of it until it is empty.
fn fill_and_drain(directory: &Path, random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let mut ledger = Ledger::default();
    let plan = |goal, random: &mut Random, ledger: &Ledger| {
        let mut plan = Plan::new(goal, random.next(), ledger.next()).mixed(random);
        plan.capacity = 1_000_000;
        plan
    };
    // Puts alone, until each producer was told often that there is no room; then again, opened when full.
    for _ in 0..2 {
        let mut plan = plan(Goal::Storm, random, &ledger);
        plan.threads = [PRODUCERS, 0];
        let until = Until { refused: REFUSED, acknowledged_after: 0 };
        tally.refused += run(directory, &mut ledger, &plan, &until)?;
    }
    let full = ledger.waiting();
    // Takes alone, killed now and then: each opening finds the disk as full as the last one left it.
    for _ in 0..random.below(4) {
        let mut plan = plan(Goal::Storm, random, &ledger);
        plan.threads = [0, CONSUMERS];
        let until = Until { refused: 0, acknowledged_after: 1 + random.below(8) };
        run(directory, &mut ledger, &plan, &until)?;
        tally.kills_when_full += 1;
    }
    // All at once, at the limit: takes make room, puts use it up, without a restart.
    for _ in 0..2 {
        let plan = plan(Goal::Storm, random, &ledger);
        let until = Until { refused: 0, acknowledged_after: 60 + random.below(200) };
        tally.refused += run(directory, &mut ledger, &plan, &until)?;
        tally.kills_when_full += 1;
    }
    // Empties it; then each producer commits some more, none of which may be refused.
    let emptied = ledger.counts.events_taken;
    drain(directory, &mut ledger)?;
    let taken = ledger.counts.events_taken - emptied;
    if full < 200 || taken == 0 {
        return Err(format!("it held {full} events, {taken} were taken in the end: never full"));
    }
    tally.events_acknowledged += ledger.counts.events_acknowledged;
    Ok(())
}

fn mounts_of(kind: Kind, mounts: u64, tally: &mut Tally) {
    if let Some(why) = obstacle(kind, SIZE_MIB, false) {
        return skip("mounts", &why);
    }
    let mut random = Random::new(seed() << 2 | kind as u64);
    for round in 0..mounts {
        let result = Mount::make(kind, SIZE_MIB).and_then(|mut mount| {
            fill_and_drain(&mount.path().join("queue"), &mut random, tally)?;
            mount.unmount()
        });
        if let Err(why) = result {
            panic!("{kind:?}, in round {round} (FLUMEN_SEED={}): {why}", seed());
        }
        tally.mounts += 1;
    }
}

#[test]
fn i8_full_mounts_are_emptied_and_go_on() {
    let mounts = Effort::get().pick(1, 3, 100);
    let mut tally = Tally::default();
    for kind in [Kind::Ext4, Kind::Ext4WithoutJournal, Kind::Tmpfs] {
        let before = tally.mounts;
        mounts_of(kind, mounts, &mut tally);
        let name = format!("power.full_mounts_{kind:?}").to_lowercase();
        figure(&name, tally.mounts - before, 0);
    }
    figure("power.full_mounts", tally.mounts, 0);
    // Each mount is filled twice, until so many puts were refused.
    figure("power.puts_refused", tally.refused, tally.mounts * 2 * REFUSED);
    figure("power.kills_when_full", tally.kills_when_full, tally.mounts * 2);
    figure("power.acked_events_of_full_mounts", tally.events_acknowledged, tally.mounts * 200);
}
