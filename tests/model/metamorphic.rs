//! Pairs of histories that must deliver the same events in the same order, though they differ in what is no business
//! of a consumer. No model is asked what is right: one run is held against the other.

use flumen::ReadMode;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::{Ending, History, Operation, Settings, Size, run};
use crate::strategy::{settings, size};

/// What differs between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    GroupSize,
    SegmentSize,
    Checkpoints,
    ReadMode,
    Reopenings,
    Settings,
}

pub(crate) const RELATIONS: [Relation; 6] = [
    Relation::GroupSize,
    Relation::SegmentSize,
    Relation::Checkpoints,
    Relation::ReadMode,
    Relation::Reopenings,
    Relation::Settings,
];

/// A step, and what happens in the second history only, before it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Put(u8, Size),
    Take(u8),
    /// Taken and given back, in front of a take that keeps what it got: an ack out of order.
    TakeLater(u8, u8),
}

#[derive(Clone, Debug)]
pub(crate) struct Pair {
    seed: u64,
    settings: [Settings; 2],
    steps: Vec<(Step, u8, Settings)>,
}

pub(crate) fn pairs(longest: usize) -> BoxedStrategy<Pair> {
    let step = prop_oneof![
        4 => (1..9u8, size()).prop_map(|(count, size)| Step::Put(count, within(size))),
        3 => (1..20u8).prop_map(Step::Take),
        2 => (1..5u8, 1..5u8).prop_map(|(first, rest)| Step::TakeLater(first, rest)),
    ];
    let steps = vec((step, any::<u8>(), settings()), 1..=longest);
    (1..u64::from(u32::MAX), settings(), settings(), steps)
        .prop_map(|(seed, one, other, steps)| Pair { seed, settings: [one, other], steps })
        .boxed()
}

/// So that the most events that a step puts or takes fit into one transaction.
fn within(size: Size) -> Size {
    match size {
        Size::Medium(count) => Size::Medium(count % 140),
        Size::Large(_) | Size::Huge | Size::TooLarge => Size::Large(35),
        other => other,
    }
}

/// Runs both and compares.
pub(crate) fn compare(pair: &Pair, relation: Relation) -> Result<(), String> {
    let first = history(pair, None);
    let second = history(pair, Some(relation));
    let delivered = |history: &History| run(history).map(|outcome| outcome.delivered);
    let (first, second) = (delivered(&first)?, delivered(&second)?);
    match first == second {
        true => Ok(()),
        false => Err(format!("{relation:?}: {first:?} and {second:?} were delivered")),
    }
}

/// No capacity: a refused put is an event that is missing from one of the two. Acks are synced, else an opening after
/// an abandoned one would deliver again.
fn plain(settings: Settings) -> Settings {
    Settings { capacity: None, lazy_acks: false, ..settings }
}

fn history(pair: &Pair, relation: Option<Relation>) -> History {
    let [first, second] = pair.settings.map(plain);
    let settings = match relation {
        Some(Relation::SegmentSize) => {
            Settings { segment: (first.segment + 1 + second.segment % 2) % 3, ..first }
        }
        Some(Relation::ReadMode) => match first.read_mode {
            ReadMode::Pread => Settings { read_mode: ReadMode::Map, memory_tail: 0, ..first },
            ReadMode::Map => Settings { read_mode: ReadMode::Pread, memory_tail: 0, ..first },
        },
        Some(Relation::Settings) => second,
        _ => first,
    };
    let mut operations = Vec::new();
    for (step, dice, reopened) in &pair.steps {
        match relation {
            Some(Relation::Checkpoints) if dice % 3 == 0 => operations.push(Operation::Checkpoint),
            Some(Relation::Checkpoints) if dice % 3 == 1 => operations.push(Operation::Maintain),
            Some(Relation::Reopenings) if dice % 3 == 0 => {
                let ending = if dice % 2 == 0 { Ending::Close } else { Ending::Abandon };
                operations.push(Operation::Reopen(ending, plain(*reopened)));
            }
            _ => {}
        }
        let group = match relation {
            Some(Relation::GroupSize) => 1 + dice % 3,
            _ => u8::MAX,
        };
        add(*step, group, &mut operations);
    }
    operations.push(Operation::Reopen(Ending::Close, plain(pair.settings[1])));
    History { seed: pair.seed, settings, operations }
}

/// The operations of a step, in transactions of at most so many events.
fn add(step: Step, group: u8, operations: &mut Vec<Operation>) {
    let groups = |count: u8| {
        let (whole, rest) = (count / group, count % group);
        std::iter::repeat_n(group, usize::from(whole)).chain((rest > 0).then_some(rest))
    };
    match step {
        Step::Put(count, size) => {
            operations.extend(groups(count).map(|count| Operation::PutAndCommit(count, size)));
        }
        Step::Take(count) => operations.extend(groups(count).map(Operation::TakeAndCommit)),
        Step::TakeLater(first, rest) => {
            operations.push(Operation::Take(0, first));
            operations.extend(groups(rest).map(Operation::TakeAndCommit));
            operations.push(Operation::DropTake(0));
        }
    }
}
