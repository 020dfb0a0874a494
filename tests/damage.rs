//! I6: nothing is silent. Reference directories, closed and not, are damaged in every way of a list: each bit
//! flipped; 512-byte and 4 KiB blocks exchanged and copied, within a file and across files; each record
//! replaced by another valid one of its length, of this channel or another; each file replaced by an older
//! self, a neighbour or another channel's; each length; growth; each file and each pair removed. Each time
//! the channel reports damage by file and offset, or delivers exactly what it should. The one exception is
//! the residual window of `docs/CRASH_SAFETY.md`: the last commits before an unclean stop, when nothing that
//! is left witnesses them.
//!
//! And disks that lie while the channel runs or opens: stale and misdirected reads, dropped and misdirected
//! writes.
//!
//! In the parts of files that hold nothing (behind the end of the records, waiting files) every 23rd bit and
//! length is tried. All of them, which takes about an hour: `FLUMEN_EFFORT=long cargo test --profile campaign
//! --no-default-features --test damage -- --nocapture`

#[path = "damage/blocks.rs"]
mod blocks;
#[path = "damage/files.rs"]
mod files;
#[path = "damage/lies.rs"]
mod lies;
#[path = "damage/sample.rs"]
mod sample;
mod support;

use std::collections::BTreeMap;

use sample::{Outcome, Sample};
use support::effort::{Effort, figure};

/// How many cases came out how.
#[derive(Default)]
struct Counts(BTreeMap<Outcome, u64>);

impl Counts {
    fn add(&mut self, outcome: Outcome) {
        *self.0.entry(outcome).or_default() += 1;
    }

    fn of(&self, outcome: Outcome) -> u64 {
        self.0.get(&outcome).copied().unwrap_or(0)
    }

    /// Prints them; the floor is that of all cases together. A silent difference would have been a panic.
    fn report(&self, name: &str, floor: u64) {
        figure(&format!("damage.{name}.cases"), self.0.values().sum(), floor);
        figure(&format!("damage.{name}.refused"), self.of(Outcome::Refused), 1);
        figure(&format!("damage.{name}.same"), self.of(Outcome::Same), 0);
        figure(&format!("damage.{name}.residual"), self.of(Outcome::Residual), 0);
    }
}

fn samples() -> [Sample; 2] {
    [Sample::new("closed", 11, true), Sample::new("not closed", 11, false)]
}

/// Runs each half of a job on its own thread.
fn halves(job: impl Fn(usize, &mut Counts) + Sync) -> Counts {
    let job = &job;
    let half = |half| {
        move || {
            let mut counts = Counts::default();
            job(half, &mut counts);
            counts
        }
    };
    std::thread::scope(|scope| {
        let threads = [0, 1].map(|index| scope.spawn(half(index)));
        let mut sum = Counts::default();
        for thread in threads {
            for (outcome, count) in thread.join().expect("no damage is silent").0 {
                *sum.0.entry(outcome).or_default() += count;
            }
        }
        sum
    })
}

/// Every how many places of what holds nothing are tried.
fn stride() -> usize {
    Effort::get().pick(1999, 23, 1)
}

/// Every how many places of what counts are tried: all, but in a quick run.
fn step() -> usize {
    Effort::get().pick(37, 1, 1)
}

#[test]
fn i6_every_bit() {
    let samples = samples();
    let counts = halves(|half, counts| {
        for sample in &samples {
            for (name, bytes) in &sample.files {
                let live = if Sample::is_live(name) { sample.used(name) * 8 } else { 0 };
                let dead = (live..bytes.len() * 8).step_by(stride());
                for bit in (0..live).step_by(step()).chain(dead).filter(|bit| bit % 2 == half) {
                    let image = sample.disk.snapshot();
                    assert!(image.flip_bit(name, bit as u64));
                    let outcome = sample.judge(&image, &format!("bit {bit} of {name}"));
                    // Every bit of a header page counts.
                    let is_header = name.ends_with(".seg") && bit < live.min(4096 * 8);
                    let is_bad = is_header && outcome != Outcome::Refused;
                    assert!(!is_bad || files::is_unneeded(sample, name), "bit {bit} of {name}");
                    counts.add(outcome);
                }
            }
        }
    });
    counts.report("bits", Effort::get().pick(1_000, 390_000, 5_000_000));
}

#[test]
fn i6_the_judge_knows_the_reference_directories() {
    for sample in samples() {
        assert_eq!(sample.judge(&sample.disk.snapshot(), "untouched"), Outcome::Same);
        let segments = sample.files.keys().filter(|name| name.ends_with(".seg"));
        let kinds: Vec<u8> = segments
            .flat_map(|name| sample::records(&sample.files[name]))
            .map(|record| record.kind)
            .collect();
        // Put, ack, state, watermark, moved; a close record is in one of them at least.
        for kind in [1, 2, 3, 4, 6] {
            assert!(kinds.contains(&kind), "{}: no record of kind {kind}: {kinds:?}", sample.name);
        }
        assert!(kinds.contains(&5) || sample.name != "closed");
        let held = &sample.held().queue;
        assert!(held.len() > 5, "{held:?}");
    }
}
