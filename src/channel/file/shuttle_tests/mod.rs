//! I1 to I5, I7, I8, I10 with threads, crashes and I/O errors at once: the engine as it is, on shuttle's
//! locks and on the simulated disk.
//!
//! ```sh
//! RUSTFLAGS="--cfg shuttle --cfg planted" FLUMEN_EFFORT=short cargo test --profile campaign \
//!     --no-default-features --lib shuttle -- --nocapture
//! ```
//!
//! One schedule: a channel is opened on a copy of a prepared disk; producers, consumers and a keeper
//! (checkpoints, syncs, sometimes a close) run as shuttle decides; at a call that the schedule's dice choose,
//! the disk errs, or loses power, or both. Nobody may hang. Then crash images are taken and recovered,
//! sometimes with a crash or an error in that too, and held against the [`Ledger`]: what was acknowledged to
//! whom.
//!
//! Schedules come in batches, each with a seed, and a failure names its batch: `FLUMEN_REPLAY=random:SEED`,
//! or `pct:SEED`, runs that alone. Threads switch at every lock, every atomic and before every call of the
//! disk. What shuttle does not explore: weaker memory than sequential consistency (loom's part), and waits
//! that end by time, but for one: a commit's wait for others may end at any time.
#![allow(clippy::disallowed_types, reason = "what the test remembers must be invisible to shuttle")]
#![allow(clippy::print_stdout, reason = "figures")]

mod actors;
mod ledger;
mod recovered;

#[path = "../../../../tests/support/effort.rs"]
#[allow(unreachable_pub, reason = "a module of tests")]
mod effort;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

use self::actors::{consume, keep, produce};
use self::effort::{Effort, figure, seed};
use self::ledger::Ledger;
use self::recovered::{check, images};
use crate::storage::sim::{CallKind, FailedSync, Fault, FaultPlan, SimDisk};
use crate::{AckDurability, Channel, ChannelOptions, Event, FileChannel};

/// Schedules of one batch.
const BATCH: usize = 250;
/// A wait that only a notification ends: shuttle has no clock.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// What happened in all schedules.
#[derive(Default)]
struct Seen {
    schedules: AtomicU64,
    /// Schedules in which the power went.
    crashes: AtomicU64,
    /// ... while two threads or more were inside a commit.
    crashes_in_commits: AtomicU64,
    /// Schedules in which an error struck.
    errors: AtomicU64,
    failed_syncs: AtomicU64,
    /// ... and failed the commits of two threads or more.
    shared_failures: AtomicU64,
    /// Images recovered and compared.
    images: AtomicU64,
    /// ... after a crash or an error in their recovery.
    second_crashes: AtomicU64,
    rolls: AtomicU64,
    recycled: AtomicU64,
    capacity_waits: AtomicU64,
    full_disks: AtomicU64,
    closes: AtomicU64,
    acknowledged: AtomicU64,
    distinct: Mutex<HashSet<u64>>,
}

impl Seen {
    fn note(&self, counter: impl Fn(&Seen) -> &AtomicU64) {
        counter(self).fetch_add(1, Ordering::Relaxed);
    }
}

/// A cheap sequence of numbers, another one for each seed.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

fn options() -> ChannelOptions {
    ChannelOptions::new()
        .segment_size(16 << 10)
        .transaction_events(16)
        .put_wait(FOR_EVER)
        .memory_tail(4 << 10)
        .background(false)
}

/// Disks to begin with.
struct Prepared {
    /// Each with the events that are queued on it.
    disks: Vec<(SimDisk, Ledger)>,
}

impl Prepared {
    fn new() -> Arc<Prepared> {
        let prepared = Arc::new(Mutex::new(Vec::new()));
        let made = Arc::clone(&prepared);
        let run = move || {
            let mut disks = made.lock().expect("one thread");
            disks.push(fresh());
            disks.push(used(false));
            disks.push(used(true));
        };
        Runner::new(RandomScheduler::new_from_seed(1, 1), config()).run(run);
        let disks = std::mem::take(&mut *prepared.lock().expect("one thread"));
        Arc::new(Prepared { disks })
    }
}

/// A channel that was made and closed.
fn fresh() -> (SimDisk, Ledger) {
    let disk = SimDisk::new(5);
    let channel = FileChannel::open_on(disk.storage(), options()).expect("opens");
    channel.close().expect("closes");
    drop(channel);
    (settled(&disk), Ledger::default())
}

/// A channel that has rolled often, so that its waiting files hold old records, with some events left.
fn used(close: bool) -> (SimDisk, Ledger) {
    let disk = SimDisk::new(6);
    let channel = FileChannel::open_on(disk.storage(), options()).expect("opens");
    let mut ledger = Ledger::default();
    for number in 0..12 {
        let size = if number % 4 == 3 { 40 } else { 6 << 10 };
        let mut put = channel.begin_put();
        put.put(Event::new(ledger::body(0, number, number, size))).expect("there is room");
        put.commit().expect("commits");
        if number >= 2 {
            let mut take = channel.begin_take();
            take.take().expect("readable").expect("there is one");
            take.commit().expect("commits");
        }
    }
    for number in 10..12 {
        ledger.queued(0, number, number);
    }
    match close {
        true => channel.close().expect("closes"),
        false => channel.checkpoint().expect("works"),
    }
    drop(channel);
    (settled(&disk), ledger)
}

/// Everything written back, nobody's.
fn settled(disk: &SimDisk) -> SimDisk {
    disk.crash(&crate::storage::sim::Crash::KeepAll)
}

/// What goes wrong in a schedule, and after how many calls.
fn faults(dice: &mut Dice) -> Vec<FaultPlan> {
    let error = |kind| Fault::Error(kind);
    let at = dice.below(70);
    let sync =
        [FailedSync::Lost, FailedSync::Reverted, FailedSync::NoSpace][dice.below(3) as usize];
    let [power, failed] =
        [FaultPlan::new(Fault::PowerLoss), FaultPlan::new(Fault::FailedSync(sync))];
    let mut plans = match dice.below(12) {
        0..=3 => vec![power.after(at)],
        4 | 5 => vec![failed.after(at / 4)],
        6 => vec![failed.after(at / 4), power.after(at + dice.below(20))],
        7 => vec![FaultPlan::new(error(ErrorKind::Other)).after(at)],
        8 => vec![FaultPlan::new(Fault::ErrorAfter(ErrorKind::Other)).after(at)],
        9 => {
            let full = FaultPlan::new(error(ErrorKind::StorageFull));
            vec![match dice.one_in(3) {
                true => full.on(&[CallKind::Write]).after(at / 6),
                false => full.on(&[CallKind::Allocate, CallKind::Create]).sticky(),
            }]
        }
        10 => vec![
            FaultPlan::new(error(ErrorKind::Interrupted)).on(&[CallKind::Write]).after(at / 5),
            FaultPlan::new(Fault::Short(7)).on(&[CallKind::Write]).after(at / 6),
        ],
        _ => Vec::new(),
    };
    if dice.one_in(12) {
        plans.push(FaultPlan::new(Fault::PowerLoss).after(dice.below(160)));
    }
    plans
}

/// One schedule.
fn schedule(prepared: &Prepared, seen: &Seen) {
    let mut dice = Dice::new(shuttle::rand::RngCore::next_u64(&mut shuttle::rand::thread_rng()));
    let (disk, ledger) = &prepared.disks[dice.below(prepared.disks.len() as u64) as usize];
    let (disk, ledger) = (disk.snapshot(), Arc::new(Mutex::new(ledger.clone())));
    let mut options = options().capacity_events(if dice.one_in(2) { 4 } else { 1000 });
    let is_lazy = dice.one_in(4);
    if is_lazy {
        options = options.ack_durability(AckDurability::Lazy(FOR_EVER));
        ledger.lock().expect("no panic").is_lazy = true;
    }
    let channel = FileChannel::open_on(disk.storage(), options.clone()).expect("opens");
    let first_segment = newest_segment(&disk);
    if dice.one_in(4) {
        disk.write_back_between_calls(dice.next(), 20);
    }
    for plan in faults(&mut dice) {
        disk.add_plan(plan);
    }
    let closed = run_threads(&channel, &ledger, &mut dice, seen);
    drop(channel);
    let ledger = ledger.lock().expect("no panic").clone();
    count(seen, &disk, &ledger, first_segment, closed);
    for (image, what) in images(&disk, &mut dice) {
        check(&image, &ledger, &options, &mut dice, seen, &what);
    }
}

/// Lets everybody loose, ends them all, and says whether a close came through.
fn run_threads(
    channel: &FileChannel,
    ledger: &Arc<Mutex<Ledger>>,
    dice: &mut Dice,
    seen: &Seen,
) -> bool {
    let waits = Arc::new(AtomicU64::new(0));
    let is_crowded = dice.one_in(3);
    ledger.lock().expect("no panic").is_ordered = !is_crowded;
    let producers: Vec<_> = (1..=if is_crowded { 4 } else { 2 })
        .map(|producer| {
            let (channel, ledger, waits) =
                (channel.clone(), Arc::clone(ledger), Arc::clone(&waits));
            let dice = Dice::new(dice.next());
            shuttle::thread::spawn(move || produce(&channel, producer, &ledger, dice, &waits))
        })
        .collect();
    let consumers: Vec<_> = (0..if is_crowded { 2 } else { 1 })
        .map(|_| {
            let (channel, ledger) = (channel.clone(), Arc::clone(ledger));
            let dice = Dice::new(dice.next());
            shuttle::thread::spawn(move || consume(&channel, &ledger, dice))
        })
        .collect();
    let keeper = {
        let (channel, dice) = (channel.clone(), Dice::new(dice.next()));
        shuttle::thread::spawn(move || keep(&channel, dice))
    };
    for thread in producers {
        thread.join().expect("a producer does not panic");
    }
    let closed_early = keeper.join().expect("the keeper does not panic");
    // Ends the consumers, which wait for events.
    let closed = channel.close().is_ok();
    for thread in consumers {
        thread.join().expect("a consumer does not panic");
    }
    seen.capacity_waits.fetch_add(waits.load(Ordering::Relaxed), Ordering::Relaxed);
    ledger.lock().expect("no panic").is_closed = closed || closed_early;
    closed || closed_early
}

fn newest_segment(disk: &SimDisk) -> u64 {
    let names = disk.file_names();
    let numbers = names.iter().filter_map(|name| name.strip_suffix(".seg")?.parse().ok());
    numbers.max().unwrap_or(0)
}

fn count(seen: &Seen, disk: &SimDisk, ledger: &Ledger, first_segment: u64, closed: bool) {
    seen.note(|seen| &seen.schedules);
    let doubts = ledger.doubts();
    let strikes = disk.strikes();
    let is_error = |fault: Fault| fault != Fault::PowerLoss;
    if disk.is_off() {
        seen.note(|seen| &seen.crashes);
        if doubts > 1 {
            seen.note(|seen| &seen.crashes_in_commits);
        }
    }
    if strikes.iter().any(|strike| is_error(strike.fault)) {
        seen.note(|seen| &seen.errors);
    }
    if strikes.iter().any(|strike| matches!(strike.fault, Fault::FailedSync(_))) {
        seen.note(|seen| &seen.failed_syncs);
        if doubts > 1 {
            seen.note(|seen| &seen.shared_failures);
        }
    }
    let newest = newest_segment(disk);
    if newest > first_segment {
        seen.note(|seen| &seen.rolls);
        let gone = |number| disk.read_file(&crate::log::raw::segment_name(number)).is_none();
        if (first_segment..newest).any(gone) {
            seen.note(|seen| &seen.recycled);
        }
    }
    if ledger.was_full {
        seen.note(|seen| &seen.full_disks);
    }
    if closed {
        seen.note(|seen| &seen.closes);
    }
    seen.acknowledged.fetch_add(ledger.acknowledged(), Ordering::Relaxed);
    seen.distinct.lock().expect("no panic").insert(disk.trace_hash() ^ ledger.fingerprint());
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.silence_warnings = true;
    config
}

/// Runs one batch.
fn batch(kind: &str, seed: u64, prepared: &Arc<Prepared>, seen: &Arc<Seen>) {
    let scheduler: Box<dyn Scheduler + Send> = match kind {
        "random" => Box::new(RandomScheduler::new_from_seed(seed, BATCH)),
        "pct" => Box::new(PctScheduler::new_from_seed(seed, 3, BATCH)),
        other => panic!("FLUMEN_REPLAY is for {other}; expected random or pct"),
    };
    let (prepared, seen) = (Arc::clone(prepared), Arc::clone(seen));
    let runner = Runner::new(scheduler, config());
    let told = Told(format!("FLUMEN_REPLAY={kind}:{seed}"));
    runner.run(move || schedule(&prepared, &seen));
    drop(told);
}

/// Says how to see a failure again.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("this batch again: {}", self.0);
        }
    }
}

#[test]
fn i1_to_i10_threads_crashes_and_errors_under_shuttle() {
    let (prepared, seen) = (Prepared::new(), Arc::new(Seen::default()));
    if let Ok(replay) = std::env::var("FLUMEN_REPLAY") {
        let (kind, seed) = replay.split_once(':').expect("FLUMEN_REPLAY is kind:seed");
        batch(kind, seed.parse().expect("a number"), &prepared, &seen);
        return;
    }
    let schedules = Effort::get().pick(20_000, 1_000_000, 100_000_000);
    let batches = schedules / BATCH as u64;
    std::thread::scope(|scope| {
        for lane in 0..2 {
            let (prepared, seen) = (&prepared, &seen);
            scope.spawn(move || {
                for index in (lane..batches).step_by(2) {
                    let seed = seed().wrapping_mul(1_000_003).wrapping_add(index);
                    // Four in six at random: priorities find what needs few switches in the right places.
                    let kind = if index % 6 < 4 { "random" } else { "pct" };
                    batch(kind, seed, prepared, seen);
                }
            });
        }
    });
    report(&seen, schedules);
}

fn report(seen: &Seen, schedules: u64) {
    let share = |part: u64| schedules / part;
    let distinct = seen.distinct.lock().expect("no panic").len() as u64;
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    figure("shuttle.schedules", value(&seen.schedules), schedules);
    figure("shuttle.distinct", distinct, share(2));
    figure("shuttle.crashes", value(&seen.crashes), share(10));
    figure("shuttle.crashes_in_commits", value(&seen.crashes_in_commits), share(100));
    figure("shuttle.errors", value(&seen.errors), share(10));
    figure("shuttle.failed_syncs", value(&seen.failed_syncs), share(20));
    figure("shuttle.shared_failures", value(&seen.shared_failures), share(100));
    figure("shuttle.images", value(&seen.images), schedules);
    figure("shuttle.second_crashes", value(&seen.second_crashes), share(50));
    figure("shuttle.rolls", value(&seen.rolls), share(50));
    figure("shuttle.recycled", value(&seen.recycled), share(200));
    figure("shuttle.capacity_waits", value(&seen.capacity_waits), share(50));
    figure("shuttle.full_disks", value(&seen.full_disks), share(2000));
    figure("shuttle.closes", value(&seen.closes), share(10));
    figure("shuttle.acknowledged", value(&seen.acknowledged), schedules);
}
