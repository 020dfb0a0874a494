//! One fault, at the n-th call that it can strike, for every n until a script comes through unharmed.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flumen::storage::sim::{CallKind, Crash, FailedSync, Fault, FaultPlan, Hostile, SimDisk};

use crate::oracle::{Oracle, check};
use crate::scenes::Scene;

/// No script has nearly as many calls. A loop without an end meets a loss of power here.
const CALLS_MAX: u64 = 200_000;

/// A fault, by name.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    fault: Fault,
    /// Strikes from then on, in place of `fault`: how, and how often.
    again: (Fault, u64),
}

impl Kind {
    pub(crate) fn all() -> Vec<Kind> {
        const FOR_EVER: u64 = u64::MAX;
        let sticky = |name, fault| Kind { name, fault, again: (fault, FOR_EVER) };
        let interrupted = Fault::Error(ErrorKind::Interrupted);
        vec![
            sticky("eio", Fault::Error(ErrorKind::Other)),
            sticky("eio_after", Fault::ErrorAfter(ErrorKind::Other)),
            sticky("enospc", Fault::Error(ErrorKind::StorageFull)),
            sticky("edquot", Fault::Error(ErrorKind::QuotaExceeded)),
            sticky("erofs", Fault::Error(ErrorKind::ReadOnlyFilesystem)),
            // Calls are carried on while they are interrupted: for ever would be for ever.
            Kind { name: "eintr", fault: interrupted, again: (interrupted, 40) },
            Kind { name: "short", fault: Fault::Short(7), again: (Fault::Short(600), FOR_EVER) },
            sticky("sync_lost", Fault::FailedSync(FailedSync::Lost)),
            sticky("sync_reverted", Fault::FailedSync(FailedSync::Reverted)),
            sticky("sync_enospc", Fault::FailedSync(FailedSync::NoSpace)),
            sticky("sync_late", Fault::FailedSync(FailedSync::Late)),
        ]
    }

    fn is_late(self) -> bool {
        matches!(self.fault, Fault::FailedSync(FailedSync::Late))
    }

    /// Whether a program is to carry on as if nothing had been, when it is a read or a write that is struck.
    pub(crate) fn is_harmless(self) -> bool {
        matches!(self.name, "eintr" | "short")
    }

    pub(crate) fn plan(self, sticky: bool, turn: u64) -> FaultPlan {
        match sticky {
            false => FaultPlan::new(self.fault).after(turn),
            true => FaultPlan::new(self.again.0).after(turn).times(self.again.1),
        }
    }
}

/// What a sweep has done.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) runs: u64,
    pub(crate) images: u64,
    /// How often each fault struck, by its name and the call.
    pub(crate) strikes: BTreeMap<(&'static str, CallKind), u64>,
    /// How often damage was reported that a lying sync excuses.
    pub(crate) excused: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Tally) {
        self.runs += other.runs;
        self.images += other.images;
        self.excused += other.excused;
        for (key, count) in other.strikes {
            *self.strikes.entry(key).or_default() += count;
        }
    }

    pub(crate) fn count(&mut self, name: &'static str, calls: &[CallKind]) {
        self.runs += 1;
        for call in calls {
            *self.strikes.entry((name, *call)).or_default() += 1;
        }
    }

    fn count_strikes(&mut self, name: &'static str, disk: &SimDisk) {
        for strike in disk.strikes() {
            *self.strikes.entry((name, strike.kind)).or_default() += 1;
        }
    }
}

/// A fault, a scene, and once or for good.
pub(crate) struct Sweep<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) kind: Kind,
    pub(crate) sticky: bool,
    /// Every how many turns.
    pub(crate) step: u64,
    /// Random crashes of each end.
    pub(crate) crashes: u64,
}

impl Sweep<'_> {
    pub(crate) fn name(&self) -> String {
        let mode = if self.sticky { "sticky" } else { "once" };
        format!("{}:{}:{mode}", self.scene.name, self.kind.name)
    }

    /// All turns, or the one that is asked for.
    pub(crate) fn run(&self, only: Option<u64>, tally: &mut Tally) {
        let mut seen = HashSet::new();
        let first = only.unwrap_or(0);
        for turn in (first..).step_by(self.step as usize) {
            let run = AssertUnwindSafe(|| self.turn(turn, &mut seen, tally));
            let is_struck = catch_unwind(run).unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                let text =
                    text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
                panic!(
                    "{}:{turn}: {}\nreplay: FLUMEN_EFFORT=short FLUMEN_ONLY={}:{turn} \
                     cargo test --test faults i7_every",
                    self.name(),
                    text.unwrap_or_default(),
                    self.name(),
                )
            });
            if only.is_some() || !is_struck {
                return;
            }
        }
    }

    /// Whether the fault struck.
    fn turn(&self, turn: u64, seen: &mut HashSet<u64>, tally: &mut Tally) -> bool {
        let disk = self.scene.base.snapshot();
        let queue = self.scene.queue.clone();
        let mut oracle = Oracle::new(disk.clone(), self.scene.options.clone(), queue);
        oracle.is_lied_to = self.kind.is_late();
        disk.set_plan(self.kind.plan(self.sticky, turn));
        let begin = disk.calls();
        disk.add_plan(FaultPlan::new(Fault::PowerLoss).after(CALLS_MAX));
        (self.scene.script)(&mut oracle);
        disk.clear_plans();
        assert!(!disk.is_off(), "no end in {CALLS_MAX} calls");
        let strikes = disk.strikes();
        let is_carried_on = self.kind.is_harmless()
            && strikes.iter().all(|strike| matches!(strike.kind, CallKind::Read | CallKind::Write));
        if is_carried_on {
            assert!(oracle.spans.iter().all(|span| span.after.len() == 1), "nothing is in doubt");
        }
        tally.runs += 1;
        tally.count_strikes(self.kind.name, &disk);
        let allowed = self.allowed(&oracle, strikes.first().map(|strike| strike.call), begin);
        self.judge(&disk.snapshot(), &allowed, "as it stands", tally);
        for crash in self.ends(turn) {
            let image = disk.crash(&crash);
            let mut hasher = DefaultHasher::new();
            (image.image_hash(), &allowed).hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                self.judge(&image, &allowed, &format!("{crash:?}"), tally);
            }
        }
        !strikes.is_empty()
    }

    /// What may be found at the end. What a lying sync was for may be missing, and what came after it.
    fn allowed(&self, oracle: &Oracle, struck: Option<u64>, begin: u64) -> Vec<Vec<String>> {
        let Some(struck) = struck.filter(|_| oracle.is_lied_to) else {
            return oracle.allowed.clone();
        };
        let since = oracle.spans.iter().filter(|span| span.calls.1 >= struck.max(begin));
        let queues = since.flat_map(|span| span.before.iter().chain(&span.after).cloned());
        queues.collect()
    }

    fn ends(&self, turn: u64) -> Vec<Crash<'static>> {
        let mut ends = vec![Crash::LoseAll, Crash::KeepAll];
        for index in 0..self.crashes {
            let seed = crate::seed().wrapping_mul(1_000_003) + turn * 16 + index;
            ends.push(Crash::Random(seed));
            // In the one place where records are written again where they stand (see docs/CRASH_SAFETY.md,
            // "Opening"), a disk that tears the sectors it is writing may damage them.
            let tears = self.scene.name != "in-place";
            let hostile = Hostile { torn_sectors: tears, garbage: tears, ..Hostile::USUAL };
            ends.push(Crash::Hostile(seed, hostile));
        }
        ends
    }

    fn judge(&self, image: &SimDisk, allowed: &[Vec<String>], what: &str, tally: &mut Tally) {
        tally.images += 1;
        match check(image, &self.scene.options, allowed, self.kind.is_late()) {
            Ok(excused) => tally.excused += u64::from(excused),
            Err(error) => panic!("{what}: {error}"),
        }
    }
}
