//! What is run: a stage for each kind of proof.

use crate::build::LIBRARY;

/// How a stage's program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Build {
    /// An integration test, optimised, with assertions.
    Campaign,
    /// The library's unit tests on shuttle's locks.
    Shuttle,
    /// The library's unit tests on loom's locks.
    Loom,
    /// cargo-fuzz builds it; nightly.
    Fuzz,
}

/// One kind of proof.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) build: Build,
    /// The test program, and what of it to run.
    pub(crate) target: &'static str,
    pub(crate) filter: &'static str,
    /// It keeps all cores busy, or measures what others would disturb.
    pub(crate) alone: bool,
    /// Figures that it must report, and what they must be at least, where the program cannot know.
    pub(crate) figures: Owed,
}

/// The stage that is no program but a hunt with all of them.
pub(crate) const PLANTED: &str = "planted";

type Owed = &'static [(&'static str, u64)];

const fn test(name: &'static str, about: &'static str, figures: Owed) -> Stage {
    Stage { name, about, build: Build::Campaign, target: name, filter: "", alone: false, figures }
}

impl Stage {
    /// Whether it is called so, by itself or as one of those that fuzz.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name || self.build == Build::Fuzz && name == "fuzzing"
    }

    /// It keeps both cores busy by itself.
    const fn alone(self) -> Stage {
        Stage { alone: true, ..self }
    }
}

const STAGES: &[Stage] = &[
    test(
        "exhaustive",
        "every small history, every call, every crash image",
        &[("exhaustive.images", 1), ("exhaustive.recovery_crashes_two_deep", 1)],
    )
    .alone(),
    Stage {
        name: "shuttle",
        about: "threads x crash x error on random schedules",
        build: Build::Shuttle,
        target: LIBRARY,
        filter: "shuttle",
        alone: true,
        figures: &[("shuttle.schedules", 1), ("shuttle.images", 1)],
    },
    Stage {
        name: "loom",
        about: "every interleaving of small models",
        build: Build::Loom,
        target: LIBRARY,
        filter: "loom",
        alone: true,
        figures: &[("loom.executions", 100_000)],
    },
    Stage {
        name: PLANTED,
        about: "every planted bug, and the test that is to catch it",
        build: Build::Campaign,
        target: LIBRARY,
        filter: "",
        alone: true,
        figures: &[("planted.caught", 1)],
    },
    test("storm", "SIGKILL of real processes", &[("storm.kills", 1)]),
    test("model", "random histories against a plain model", &[("model.histories", 1)]),
    test("faults", "every fault at every call", &[("faults.runs", 1)]),
    test("damage", "bit rot, misdirection, time travel", &[("damage.cases", 1)]),
    test("protocol", "the protocol as a model of its own", &[("protocol.states", 1)]),
    test("decision_table", "every row of the decision table", &[("row.rows", 1)]),
    test("chain", "chains of crashes", &[]),
    // These need root and tools; without, they report none, and say so.
    test("audit", "the order of system calls", &[("audit.acks", 0)]),
    test("power_loss", "cuts of real file systems", &[("power.cuts", 0)]),
    test("kills", "kills, then a loss of power", &[]),
    test("full_disk", "full disks", &[]),
    test("full_mount", "full file systems", &[("power.full_mounts", 0)]),
    test("determinism", "one seed, one run", &[]),
    test("golden", "directories of format version 1", &[("golden.directories", 1)]),
];

const FUZZ_TARGETS: &[&str] = &[
    "record",
    "segment",
    "checkpoint",
    "recovery",
    "mixed",
    "operations",
    "properties",
    "payload",
];

/// All stages; the longest first, so that the end is not one stage alone.
pub(crate) fn all() -> Vec<Stage> {
    let fuzz = FUZZ_TARGETS.iter().map(|target| Stage {
        name: target,
        about: "fuzzing",
        build: Build::Fuzz,
        target,
        filter: "",
        alone: false,
        figures: &[("executions", 1)],
    });
    STAGES.iter().copied().chain(fuzz).collect()
}
