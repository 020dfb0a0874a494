//! I1, I2, I5, I6, I7, I12 in the calls of the system: strace watches a process with four producers and three
//! consumers that vanishes, starts again, and at last closes. Before each acknowledgement the write of its very
//! record was followed by a sync of that file, and everything that the segment needs to be found was durable:
//! its name, size, first state, header, and both slots. Before a segment's file is renamed or removed the
//! newest synced slot has let go of it, and so have the synced acks of all its events. What is delivered was
//! synced. The rules are those of docs/CRASH_SAFETY.md; `audit/rules.rs` has them all.
//!
//! The bytes are read as docs/FORMAT.md says, so it is known which write an acknowledgement is about. A sync
//! counts only for what had been written when it began.
//!
//! ```sh
//! FLUMEN_EFFORT=long FLUMEN_SEED=2 cargo test --test audit -- --nocapture   # 100,000 acknowledgements
//! ```
//!
//! Without strace this says `SKIPPED`; with `FLUMEN_REQUIRE=strace` that is a failure. A failure keeps the trace
//! and says where.
#![allow(clippy::disallowed_methods, reason = "reads the trace, and lists a directory")]
#![allow(clippy::disallowed_types, reason = "not the engine: no model looks at it")]
#![allow(unreachable_pub, reason = "modules of a test program")]

#[path = "audit/bytes.rs"]
mod bytes;
mod process;
#[path = "audit/rules.rs"]
mod rules;
mod support;
#[path = "audit/trace.rs"]
mod trace;

use std::fs;
use std::path::Path;

use process::event::Random;
use process::ledger::{Ledger, Told};
use process::{Goal, Plan, Process, child, command, skip};
use rules::{Audit, Counts};
use support::effort::{Effort, figure, seed};
use trace::Trace;

const CALLS: &str = "trace=write,pwrite64,openat,fsync,fdatasync,rename,unlink,fallocate,ftruncate";
/// How the engine never writes, names or syncs: a trace with one of them would be read wrongly.
const UNKNOWN: &str = "writev,pwritev,pwritev2,sync_file_range,syncfs,sync,msync,renameat,renameat2,\
                       unlinkat,link,linkat,creat,truncate,sendfile,copy_file_range,splice";
const LIVES: u64 = 4;

#[test]
#[ignore = "the child of the other tests: they start it"]
fn child() {
    child::run();
}

fn obstacle() -> Option<String> {
    let tried =
        std::process::Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_string()),
        Err(error) => Some(format!("strace: {error}")),
    }
}

/// One life of a channel, watched.
fn live(place: &Path, plan: &Plan, ledger: &mut Ledger, audit: &mut Audit) -> Result<(), String> {
    let file = place.join(format!("trace-{}", ledger.counts.lives));
    let file = file.to_str().expect("a temporary directory has a plain name");
    let calls = format!("{CALLS},{UNKNOWN}");
    let before = ["strace", "-f", "-qq", "-y", "-xx", "-s", "1000000", "-o", file, "-e", &calls];
    let directory = place.join("queue");
    ledger.begin_life(plan.lazy_acks);
    let mut process = Process::start(command(&before, &directory, plan));
    while let Some(line) = process.line() {
        match ledger.hear(&line, &mut process)? {
            Told::Stopped(_) | Told::Failed(_) | Told::Refused => return Err(line),
            _ => {}
        }
    }
    process.wait();
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let trace = Trace::parse(&text);
    let unknown = |name: &str| UNKNOWN.split(',').any(|unknown| unknown == name);
    if let Some(call) = trace.calls.iter().find(|call| unknown(&call.name)) {
        return Err(format!("the audit does not know what it means: {call:?}"));
    }
    let entries = fs::read_dir(&directory).map_err(|error| error.to_string())?;
    let names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    audit.life(&trace, plan.durability == 0, &names)
}

/// One channel: it vanishes some times, then it is emptied and closed.
fn channel(place: &Path, random: &mut Random, acks: u64) -> Result<Counts, String> {
    let real = fs::canonicalize(place).map_err(|error| error.to_string())?;
    let directory = real.join("queue").to_string_lossy().into_owned();
    let (mut ledger, mut audit) = (Ledger::default(), Audit::new(directory));
    for life in 1..=LIVES {
        let goal = match life {
            LIVES => Goal::Finish(acks / 8),
            _ => Goal::Vanish(acks / 2 + random.below(acks)),
        };
        let mut plan = Plan::new(goal, random.next(), ledger.next()).mixed(random);
        // A lazy ack is told before it is written: that is its meaning.
        plan.lazy_acks = false;
        plan.durability = u64::from(random.one_in(4));
        live(&real, &plan, &mut ledger, &mut audit)?;
    }
    ledger.finish()?;
    Ok(audit.counts)
}

/// Seen once, on a machine that was busy with others: two threads of a process that was killed, in one write.
#[test]
fn what_strace_repeats_of_a_call_that_never_ended_is_no_call() {
    let steps = |last: &str| {
        let open = "pwrite64(7</a>, \"\\x41\", 1, 8 <unfinished ...>";
        let text = format!(
            "1 {open}\n2 {last}\n1 <... pwrite64 resumed>) = ?\n2 +++ killed by SIGKILL +++\n"
        );
        Trace::parse(&text).steps.len()
    };
    assert_eq!(steps("pwrite64(7</a>, \"\\x41\", 1, 8 <unfinished ...>"), 1);
    assert_eq!(steps("pwrite64(7</a>, \"\\x41\", 1, 9 <unfinished ...>"), 2);
    assert_eq!(steps("pwrite64(7</a>, \"\\x42\", 1, 8 <unfinished ...>"), 2);
    assert_eq!(steps("pwrite64(7</a>, \"\\x41\", 1, 8) = 1"), 3);
}

#[test]
fn i1_i7_i12_every_acknowledgement_and_removal_is_backed_by_syncs() {
    let effort = Effort::get();
    let (channels, acks) = effort.pick((1, 60), (6, 200), (100, 400));
    if let Some(why) = obstacle() {
        skip("strace", &why);
        return figure("audit.acks", 0, 0);
    }
    let mut random = Random::new(seed());
    let mut sum = Counts::default();
    for index in 0..channels {
        let place = tempfile::tempdir().expect("a directory");
        match channel(place.path(), &mut random, acks) {
            Ok(counts) => {
                sum.acks += counts.acks;
                sum.segments += counts.segments;
                sum.removals += counts.removals;
                sum.slots += counts.slots;
                sum.deliveries += counts.deliveries;
            }
            Err(why) => {
                panic!(
                    "channel {index} (FLUMEN_SEED={}): {why}\n{:?} is kept",
                    seed(),
                    place.keep()
                )
            }
        }
    }
    figure("audit.acks", sum.acks, channels * acks * 2);
    figure("audit.segments", sum.segments, channels * acks / 20);
    figure("audit.removals", sum.removals, channels * acks / 20);
    figure("audit.slots", sum.slots, channels * acks / 10);
    figure("audit.deliveries", sum.deliveries, channels * acks);
}
