//! I1 to I5 over thousands of SIGKILLs of real processes: four producers and three consumers on segments of
//! 64 KiB, killed at a random moment, also while opening, and started again on what is there. What the dead
//! ones had acknowledged is held against what their successors deliver.
//!
//! A kill loses what is in the process only: the page cache stays. Power cuts are in `power_loss.rs`.
//!
//! ```sh
//! FLUMEN_EFFORT=long FLUMEN_SEED=2 cargo test --test storm -- --nocapture   # 40,000 kills
//! ```
//!
//! The seed decides what each child does and after how many of its reports it is killed, not how its threads
//! come to run: a failure keeps the directory it happened in, and says where.
#![allow(
    clippy::disallowed_methods,
    reason = "what is killed while opening is killed by the clock"
)]

mod process;
mod support;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use process::event::Random;
use process::ledger::{Counts, Ledger, Told};
use process::{Goal, Plan, Process, child, command, drain};
use support::effort::{Effort, figure, seed};

/// Kills of one channel, before it is emptied and the books are closed.
const KILLS_PER_CHANNEL: u64 = 50;

#[test]
#[ignore = "the child of the other tests: they start it"]
fn child() {
    child::run();
}

/// How long opening took lately: a kill strikes at any moment of it.
struct OpeningTime(Duration);

impl OpeningTime {
    fn note(&mut self, time: Duration) {
        self.0 = (self.0 * 7 + time) / 8;
    }

    fn moment(&self, random: &mut Random) -> Duration {
        self.0.mul_f64(random.below(1000) as f64 / 900.0)
    }
}

#[derive(Default)]
struct Tally {
    kills: u64,
    in_opening: u64,
    counts: Vec<Counts>,
}

/// Starts a child and kills it. Everything it has written before its death counts.
fn kill_one(
    directory: &Path,
    ledger: &mut Ledger,
    random: &mut Random,
    opening: &mut OpeningTime,
) -> Result<bool, String> {
    let mut plan = Plan::new(Goal::Storm, random.next(), ledger.next()).mixed(random);
    // A dead process leaves the page cache: what is written need not be synced to survive it.
    plan.durability = [0, 0, 0, 1, 2][random.below(5) as usize];
    ledger.begin_life(plan.lazy_acks);
    let mut process = Process::start(command(&[], directory, &plan));
    let in_opening = random.one_in(4);
    let reports = match random.below(20) {
        0 => 1 + random.below(3_000),
        1..=4 => 1 + random.below(8),
        _ => 1 + random.below(250),
    };
    let (mut read, mut is_open, mut begin) = (0, false, Instant::now());
    while let Some(line) = process.line() {
        match ledger.hear(&line, &mut process)? {
            Told::Opening => {
                begin = Instant::now();
                if in_opening {
                    thread::park_timeout(opening.moment(random));
                    process.kill();
                }
            }
            Told::Open => {
                is_open = true;
                if !in_opening {
                    opening.note(begin.elapsed());
                }
            }
            Told::Refused | Told::Stopped(_) | Told::Failed(_) | Told::Closed => {
                return Err(format!("nothing was wrong, yet the child says: {line}"));
            }
            Told::Acknowledged | Told::Other => {
                read += 1;
                if read == reports && !in_opening {
                    process.kill();
                }
            }
        }
    }
    use std::os::unix::process::ExitStatusExt;
    match process.wait().signal() {
        Some(9) => Ok(!is_open),
        _ => Err("the child ended before it was killed".into()),
    }
}

fn storm(kills: u64, seed: u64) -> Tally {
    let mut tally = Tally::default();
    let mut random = Random::new(seed);
    let mut opening = OpeningTime(Duration::from_millis(5));
    while tally.kills < kills {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("queue");
        let mut ledger = Ledger::default();
        let mut result = Ok(());
        for _ in 0..KILLS_PER_CHANNEL.min(kills - tally.kills) {
            match kill_one(&directory, &mut ledger, &mut random, &mut opening) {
                Ok(in_opening) => tally.in_opening += u64::from(in_opening),
                Err(why) => {
                    result = Err(why);
                    break;
                }
            }
            tally.kills += 1;
        }
        if let Err(why) = result.and_then(|()| drain(&directory, &mut ledger)) {
            panic!(
                "after {} kills (FLUMEN_SEED={}): {why}\n{:?} is kept",
                tally.kills,
                seed >> 1,
                place.keep()
            );
        }
        tally.counts.push(ledger.counts);
    }
    tally
}

#[test]
fn i1_to_i5_hold_over_a_storm_of_kills() {
    let kills = Effort::get().pick(20, 2_000, 40_000);
    let seed = seed();
    let tallies = thread::scope(|scope| {
        let other = scope.spawn(move || storm(kills / 2, seed << 1));
        let one = storm(kills - kills / 2, seed << 1 | 1);
        [one, other.join().expect("the other storm found nothing")]
    });
    let sum = |of: fn(&Counts) -> u64| -> u64 {
        tallies.iter().flat_map(|tally| &tally.counts).map(of).sum()
    };
    let floor = Effort::get().pick(0, 1, 20);
    figure("storm.kills", tallies.iter().map(|tally| tally.kills).sum(), kills);
    let in_opening = tallies.iter().map(|tally| tally.in_opening).sum();
    figure("storm.kills_in_opening", in_opening, 100 * floor);
    figure("storm.acked_puts", sum(|counts| counts.puts), 10_000 * floor);
    figure("storm.acked_takes", sum(|counts| counts.takes), 10_000 * floor);
    figure("storm.acked_events", sum(|counts| counts.events_acknowledged), 50_000 * floor);
    figure("storm.taken_events", sum(|counts| counts.events_taken), 25_000 * floor);
    figure("storm.commits_in_doubt", sum(|counts| counts.in_doubt), 1_000 * floor);
    figure("storm.doubts_that_were_there", sum(|counts| counts.were_there), 10 * floor);
    figure("storm.doubts_that_came_back", sum(|counts| counts.came_back), 100 * floor);
}
