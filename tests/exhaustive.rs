//! I1 to I6, I10: small scope, exhausted. Every history of up to four operations, from several beginnings, recycled
//! segments among them; every call of the disk as the moment of a crash; of what was pending then every subset where
//! it is small, and every byte of the call in flight. Each distinct image is recovered and held against the model;
//! some of them further: used and recovered again, and crashed inside their recovery, two deep.
//!
//! ```sh
//! FLUMEN_EFFORT=short cargo test --profile campaign --no-default-features --test exhaustive -- --nocapture
//! ```
//!
//! The long form (`FLUMEN_EFFORT=long`) has histories of five operations and looks further into every image; it
//! takes hours. A failure prints `FLUMEN_REPLAY=beginning:history:cut:image`, which runs that image alone.
#![allow(
    clippy::disallowed_types,
    reason = "the workers' own lock; the engine's are in the library"
)]

#[path = "exhaustive/check.rs"]
mod check;
#[path = "exhaustive/images.rs"]
mod images;
#[path = "exhaustive/operations.rs"]
mod operations;
mod support;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use flumen::storage::sim::SimDisk;
use support::effort::{Effort, figure};

use check::{Depth, check, recovery_moments};
use images::{Detail, Image, images};
use operations::{ALL, Beginning, Operation, Ran, beginnings, run};

/// What was looked at.
#[derive(Default)]
struct Counts {
    histories: u64,
    cuts: u64,
    moments: u64,
    raw: u64,
    distinct: u64,
    used_again: u64,
    recovery_crashes: u64,
    recovery_crashes_two_deep: u64,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.histories += other.histories;
        self.cuts += other.cuts;
        self.moments += other.moments;
        self.raw += other.raw;
        self.distinct += other.distinct;
        self.used_again += other.used_again;
        self.recovery_crashes += other.recovery_crashes;
        self.recovery_crashes_two_deep += other.recovery_crashes_two_deep;
    }
}

/// How far to look.
#[derive(Clone, Copy)]
struct Scope {
    /// Of the last operation of a history, by the history's length.
    details: &'static [Detail],
    /// One image in so many is used further, crashed in its recovery, and that two deep.
    strides: [u64; 3],
}

const FULL: Detail = Detail { subsets: 12, torn_step: 1, random: 64, hostile: 8 };
const SOME: Detail = Detail { subsets: 12, torn_step: 2, random: 8, hostile: 20 };

impl Scope {
    /// Those of continuous integration are what its floors ask for, and little more.
    fn get() -> Scope {
        Effort::get().pick(
            Scope { details: &[SOME, SOME, SOME], strides: [16, 1024, 256] },
            Scope { details: &[FULL, FULL, FULL, FULL, SOME], strides: [46, 5120, 160] },
            Scope { details: &[FULL, FULL, FULL, FULL, FULL, SOME], strides: [4, 64, 64] },
        )
    }
}

/// The histories of one beginning.
struct Worker<'a> {
    scope: Scope,
    beginning: &'a Beginning,
    /// Of all workers at this beginning. An image belongs to one beginning: its channel has an identity of its
    /// own.
    seen: &'a Mutex<HashSet<u64>>,
    counts: Counts,
}

impl Worker<'_> {
    /// All histories that begin with these operations.
    fn explore(&mut self, history: &mut Vec<Operation>) {
        self.cut(history);
        if history.len() + 1 < self.scope.details.len() {
            for operation in ALL {
                history.push(operation);
                self.explore(history);
                history.pop();
            }
        }
    }

    /// Every moment of the last operation; those before it belong to shorter histories.
    fn cut(&mut self, history: &[Operation]) {
        let ran = run(self.beginning, history);
        let full = self.scope.details[history.len()];
        self.counts.histories += 1;
        for (cut, moment) in ran.moments.iter().enumerate() {
            self.counts.cuts += 1;
            let allowed = ran.allowed(moment);
            let detail = if ran.is_coarse(cut) { Detail::COARSE } else { full };
            let queues = ran.fingerprint(moment);
            if !self.is_first((moment.moment_hash(), queues, detail)) {
                continue;
            }
            self.counts.moments += 1;
            for image in images(moment, detail, ran.is_next(cut)) {
                self.counts.raw += 1;
                let disk = image.take(moment);
                // The same image may be right at one moment and wrong at another.
                let key = disk.image_hash() ^ queues;
                if self.is_first(key) {
                    self.counts.distinct += 1;
                    let place = || place(self.beginning.name, history, cut, &image);
                    let (depth, inside) = (self.depth(key), &mut self.counts);
                    inside.used_again += u64::from(depth.is_used);
                    let [one, two] = check(&disk, &allowed, depth, &place);
                    inside.recovery_crashes += one;
                    inside.recovery_crashes_two_deep += two;
                }
            }
        }
    }

    /// Whether nobody has looked at this moment or image of the beginning before.
    fn is_first(&self, what: impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        self.seen.lock().expect("nobody panics holding it").insert(hasher.finish())
    }

    /// By the image itself, so that it is the same whoever comes first.
    fn depth(&self, key: u64) -> Depth {
        let [used, crashed, deeper] = self.scope.strides;
        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        Depth {
            is_used: mixed.is_multiple_of(used),
            crashes: mixed.is_multiple_of(crashed).then_some(deeper),
        }
    }
}

fn place(beginning: &str, history: &[Operation], cut: usize, image: &Image) -> String {
    let letters: String = history.iter().map(|operation| operation.letter()).collect();
    format!("FLUMEN_REPLAY={beginning}:{letters}:{cut}:{image}")
}

/// Runs one image again.
fn replay(beginnings: &[Beginning], replayed: &str) {
    let mut levels = replayed.split('/');
    let parts: Vec<&str> = levels.next().unwrap_or_default().split(':').collect();
    let [name, letters, cut, image] = parts[..] else {
        panic!("FLUMEN_REPLAY is beginning:history:cut:image, and /call:image for each recovery")
    };
    let beginning = beginnings.iter().find(|beginning| beginning.name == name);
    let beginning = beginning.expect("FLUMEN_REPLAY names a beginning");
    let history: Vec<Operation> = letters.chars().map(Operation::of).collect();
    let ran: Ran = run(beginning, &history);
    let at = |moments: &[SimDisk], cut: &str| -> SimDisk {
        moments[cut.parse::<usize>().expect("a cut is a number")].snapshot()
    };
    let allowed = ran.allowed(&ran.moments[cut.parse::<usize>().expect("a cut is a number")]);
    let place = || format!("FLUMEN_REPLAY={replayed}");
    let mut disk = Image::parse(image).take(&at(&ran.moments, cut));
    for level in levels {
        let (call, image) = level.split_once(':').expect("/call:image");
        disk = Image::parse(image).take(&at(&recovery_moments(&disk, &place), call));
    }
    check(&disk, &allowed, Depth { is_used: true, crashes: Some(256) }, &place);
}

/// Where a history begins.
type Job<'a> = (&'a Beginning, &'a Mutex<HashSet<u64>>, Vec<Operation>);

/// All beginnings, each with nothing and with every first operation.
fn jobs<'a>(beginnings: &'a [Beginning], seen: &'a [Mutex<HashSet<u64>>]) -> Vec<Job<'a>> {
    let firsts = || std::iter::once(Vec::new()).chain(ALL.map(|operation| vec![operation]));
    let each = beginnings.iter().zip(seen);
    each.flat_map(|(beginning, seen)| firsts().map(move |first| (beginning, seen, first))).collect()
}

fn work(jobs: &[Job<'_>], next: &AtomicUsize) -> Counts {
    let scope = Scope::get();
    let mut total = Counts::default();
    while let Some((beginning, seen, first)) = jobs.get(next.fetch_add(1, Relaxed)) {
        let mut worker = Worker { scope, beginning, seen, counts: Counts::default() };
        match first.is_empty() {
            true => worker.cut(first),
            false => worker.explore(&mut first.clone()),
        }
        total.add(&worker.counts);
    }
    total
}

#[test]
fn i1_to_i6_every_image_of_every_small_history() {
    let beginnings = beginnings();
    if let Ok(place) = std::env::var("FLUMEN_REPLAY") {
        return replay(&beginnings, &place);
    }
    let seen: Vec<_> = beginnings.iter().map(|_| Mutex::default()).collect();
    let (jobs, next) = (jobs(&beginnings, &seen), AtomicUsize::new(0));
    let mut total = Counts::default();
    std::thread::scope(|threads| {
        let workers = [(); 2].map(|()| threads.spawn(|| work(&jobs, &next)));
        for worker in workers {
            total.add(&worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    let floor = |short: u64| Effort::get().pick(short / 1000, short, short);
    figure("exhaustive.histories", total.histories, floor(29_524));
    figure("exhaustive.cuts", total.cuts, floor(400_000));
    figure("exhaustive.moments", total.moments, floor(80_000));
    figure("exhaustive.images.raw", total.raw, floor(5_000_000));
    figure("exhaustive.images", total.distinct, floor(5_000_000));
    figure("exhaustive.used_again", total.used_again, floor(100_000));
    figure("exhaustive.recovery_crashes", total.recovery_crashes, floor(100_000));
    figure("exhaustive.recovery_crashes_two_deep", total.recovery_crashes_two_deep, floor(100_000));
}
