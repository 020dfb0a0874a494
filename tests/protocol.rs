//! The protocol as a model, explored exhaustively with stateright: segments, commits with watermarks, two
//! slots with generations, beginning a segment (the order of its syncs), checkpoint, collection and recycling
//! of files, clean close, and opening with the unproven end carried over. At every call the process may be
//! killed, the power may go with *any* subset of what is not synced (a torn slot included), and a sync may
//! fail with any subset of its bytes on the disk, the cache still showing all: in recovery as well. Proves,
//! at the bounds below, for I1, I3, I5 and I6: an acknowledged event is found, an acknowledged take never
//! comes back, nothing that an opening did not find comes back later (from a lost group or a recycled file),
//! no number is used twice, and a mere crash is never called damage.
//!
//! It is a model of the design and not the code: that the code follows it is for the other tests to show
//! (`crash.rs` and `decision_table.rs` on the same rules). What it does not cover:
//! - the making of a channel: it begins with segment 1 and two slots that name it;
//! - a full disk, the reserve, writing again in place; cutting the old end; drafts;
//! - two syncs in flight (a group of up to two records is synced at once), lazy acks, puts that are not
//!   synced;
//! - names: a rename is one step of one file, either there or not, never both names;
//! - records torn inside (a record is there or not), damage other than the loss of a slot. With both slots
//!   gone, one of them lost, an opening may be refused, and what it would have found is not looked at;
//! - more than one event in a record, cursors, capacity.
//!
//! The faults are faults of the model, one at a time; each must be found. Faults of the code are planted by
//! `tests/campaign`.
//!
//! Long form, two minutes of CPU and 1 GB of memory:
//! `FLUMEN_EFFORT=long cargo test --profile campaign --no-default-features --test protocol -- --nocapture`.
#![allow(clippy::print_stdout, reason = "what a campaign shows of each field and fault")]

#[path = "protocol/disk.rs"]
mod disk;
#[path = "protocol/engine.rs"]
mod engine;
#[path = "protocol/model.rs"]
mod model;
#[path = "protocol/properties.rs"]
mod properties;
mod support;
#[path = "protocol/survey.rs"]
mod survey;

use std::collections::BTreeSet;

use model::Protocol;
use stateright::{Checker, HasDiscoveries, Model};
use support::effort::{Effort, figure};

/// How often each thing may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Bounds {
    files: u8,
    puts: u8,
    takes: u8,
    rolls: u8,
    checkpoints: u8,
    closes: u8,
    crashes: u8,
    kills: u8,
    failed_syncs: u8,
    lost_slots: u8,
}

/// What may be wrong with the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    AckBeforeSync,
    SlotsBeforeHeader,
    OneSlotNames,
    RecycleFirst,
    NameNotSynced,
    StateNotSynced,
    AppendBehindTornEnd,
    NumberReused,
    NothingCarriedOver,
    CleanByOneSlot,
    Unseeded,
    OlderSlotFirst,
    OneOpeningSlot,
}

#[derive(Clone, Copy, Debug)]
struct Faults(Option<Fault>);

impl Faults {
    fn none() -> Faults {
        Faults(None)
    }

    fn has(self, fault: Fault) -> bool {
        self.0 == Some(fault)
    }
}

/// Bounds and what they are for.
type Field = (&'static str, Bounds);

const NONE: Bounds = Bounds {
    files: 3,
    puts: 2,
    takes: 1,
    rolls: 1,
    checkpoints: 0,
    closes: 0,
    crashes: 1,
    kills: 0,
    failed_syncs: 0,
    lost_slots: 0,
};

/// What is explored in a plain `cargo test`.
const QUICK: [Field; 6] = [
    ("a loss of power", Bounds { checkpoints: 1, closes: 1, ..NONE }),
    ("two of them", Bounds { crashes: 2, ..NONE }),
    ("a kill before it", Bounds { kills: 1, ..NONE }),
    ("a failed sync before it", Bounds { failed_syncs: 1, takes: 0, rolls: 0, ..NONE }),
    ("a slot lost", Bounds { checkpoints: 1, lost_slots: 1, ..NONE }),
    ("files recycled", Bounds { puts: 3, takes: 2, rolls: 2, ..NONE }),
];

/// What is explored besides in a campaign.
const SHORT: [Field; 6] = [
    ("two losses of power", Bounds { checkpoints: 1, closes: 1, crashes: 2, ..NONE }),
    ("a kill before one", Bounds { checkpoints: 1, closes: 1, kills: 1, ..NONE }),
    ("two kills before one", Bounds { kills: 2, ..NONE }),
    ("a failed sync and a kill", Bounds { puts: 1, kills: 1, failed_syncs: 1, ..NONE }),
    ("a slot lost, two losses of power", Bounds { crashes: 2, lost_slots: 1, ..NONE }),
    ("files recycled", Bounds { puts: 3, takes: 2, rolls: 2, checkpoints: 1, ..NONE }),
];

/// And when there is time.
const LONG: [Field; 5] = [
    ("three losses of power", Bounds { crashes: 3, ..NONE }),
    ("two kills", Bounds { closes: 1, kills: 2, ..NONE }),
    ("two failed syncs", Bounds { failed_syncs: 2, ..NONE }),
    ("a slot lost", Bounds { closes: 1, kills: 1, lost_slots: 1, ..NONE }),
    ("files recycled", Bounds { puts: 3, takes: 3, rolls: 3, checkpoints: 1, ..NONE }),
];

/// A path in words: what was done, and each call with its file.
fn told(path: stateright::Path<model::State, model::Action>) -> String {
    let mut text = String::new();
    for (state, action) in path.into_vec() {
        let Some(action) = action else { break };
        let call = match action {
            model::Action::Call | model::Action::FailedSync(_) => state.due(),
            _ => String::new(),
        };
        text += &format!("\n  {action:?} {call}");
    }
    text
}

fn search(bounds: Bounds, faults: Faults, threads: usize) -> impl Checker<Protocol> {
    let protocol = Protocol { bounds, faults };
    let until = HasDiscoveries::AnyFailures;
    let checker = protocol.checker().threads(threads).finish_when(until).spawn_bfs().join();
    assert!(checker.is_done(), "a search that was cut off has shown nothing");
    checker
}

/// The broken promise, if any, and how it came to be.
fn broken(search: &impl Checker<Protocol>) -> Option<String> {
    let promises = properties::promises();
    promises.iter().find_map(|promise| {
        let path = search.discovery(promise.name)?;
        let wrong = path.last_state().wrong;
        Some(format!("{}: {wrong:?} after {}", promise.name, told(path)))
    })
}

/// I1, I3, I5 and I6 hold in every state within the bounds, and the situations that make this worth something
/// are among them.
#[test]
fn i1_i3_i5_i6_hold_in_every_state_within_the_bounds() {
    let mut fields = QUICK.to_vec();
    fields.extend(Effort::get().pick(&[][..], &SHORT, &SHORT));
    fields.extend(Effort::get().pick(&[][..], &[], &LONG));
    let threads = Effort::get().pick(1, 2, 2);
    let mut states = 0;
    let mut reached = BTreeSet::new();
    for (about, bounds) in &fields {
        let search = search(*bounds, Faults(None), threads);
        let problem = broken(&search);
        assert!(problem.is_none(), "{about}, {bounds:?}: {}", problem.unwrap_or_default());
        println!("{about}: {} states, {} deep", search.unique_state_count(), search.max_depth());
        states += search.unique_state_count() as u64;
        reached.extend(search.discoveries().into_keys());
    }
    for situation in properties::situations() {
        assert!(reached.contains(situation.name), "never reached: {}", situation.name);
    }
    figure("protocol.states", states, Effort::get().pick(400_000, 5_000_000, 10_000_000));
}

/// Each fault of the model, and bounds within which it shows.
const FAULTS: [(Fault, Bounds); 13] = [
    (Fault::AckBeforeSync, NONE),
    (Fault::SlotsBeforeHeader, NONE),
    (Fault::OneSlotNames, Bounds { lost_slots: 1, ..NONE }),
    (Fault::RecycleFirst, Bounds { puts: 3, takes: 2, rolls: 2, ..NONE }),
    (Fault::NameNotSynced, NONE),
    (Fault::StateNotSynced, NONE),
    (Fault::AppendBehindTornEnd, Bounds { puts: 3, crashes: 2, ..NONE }),
    (Fault::NumberReused, Bounds { crashes: 2, ..NONE }),
    (Fault::NothingCarriedOver, Bounds { failed_syncs: 1, kills: 1, ..NONE }),
    (Fault::CleanByOneSlot, Bounds { puts: 3, closes: 1, crashes: 2, ..NONE }),
    (Fault::Unseeded, Bounds { puts: 3, takes: 2, rolls: 2, ..NONE }),
    (Fault::OlderSlotFirst, Bounds { kills: 2, ..NONE }),
    (Fault::OneOpeningSlot, Bounds { kills: 2, ..NONE }),
];

/// Each fault, and in how many steps it breaks which promise.
#[test]
fn every_fault_of_the_model_is_found() {
    let mut escaped = Vec::new();
    for (fault, bounds) in FAULTS {
        let search = search(bounds, Faults(Some(fault)), 1);
        let Some(problem) = broken(&search) else {
            escaped.push(fault);
            continue;
        };
        let steps = problem.lines().count() - 1;
        let promise = problem.lines().next().unwrap_or_default();
        println!("{fault:?}: {promise} {steps} steps, {} states", search.state_count());
    }
    assert!(escaped.is_empty(), "not found: {escaped:?}");
    figure("protocol.faults_found", FAULTS.len() as u64, FAULTS.len() as u64);
}
