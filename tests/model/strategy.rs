//! Random histories that shrink to short ones.

use std::time::Duration;

use flumen::storage::sim::FailedSync;
use flumen::{Durability, ReadMode};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;

use crate::model::{Ending, History, Operation, Settings, Size, Trouble};

/// What a history is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Nothing goes wrong, and every opening is durable in all it does.
    Peace,
    /// Crashes between operations.
    Crashes,
    /// Crashes and faults, at any call.
    Trouble,
    /// Full disks.
    Space,
}

pub(crate) const THEMES: [Theme; 4] = [Theme::Peace, Theme::Crashes, Theme::Trouble, Theme::Space];

pub(crate) fn histories(theme: Theme, longest: usize) -> BoxedStrategy<History> {
    let operations = vec(operation(theme), 1..=longest);
    (1..u64::from(u32::MAX), settings(), operations)
        .prop_map(|(seed, settings, operations)| History { seed, settings, operations })
        .boxed()
}

pub(crate) fn settings() -> BoxedStrategy<Settings> {
    let hour = Duration::from_secs(3600);
    let puts = prop_oneof![
        4 => Just(Durability::Sync),
        1 => Just(Durability::Os),
        1 => Just(Durability::Interval(hour)),
    ];
    let read_mode = prop_oneof![2 => Just(ReadMode::Pread), 1 => Just(ReadMode::Map)];
    let memory_tail = prop_oneof![Just(0), Just(3000), Just(u16::MAX)];
    let capacity = weighted(0.25, (0..40u8, 0..80u8));
    (0..3u8, puts, weighted_bool(0.25), read_mode, memory_tail, any::<u8>(), capacity)
        .prop_map(
            |(segment, puts, lazy_acks, read_mode, memory_tail, checkpoint_seconds, capacity)| {
                Settings {
                    segment,
                    puts,
                    lazy_acks,
                    read_mode,
                    memory_tail,
                    checkpoint_seconds,
                    capacity,
                }
            },
        )
        .boxed()
}

fn weighted_bool(probability: f64) -> impl Strategy<Value = bool> {
    proptest::bool::weighted(probability)
}

pub(crate) fn size() -> BoxedStrategy<Size> {
    prop_oneof![
        10 => any::<u8>().prop_map(Size::Small),
        1 => Just(Size::Empty),
        4 => any::<u8>().prop_map(Size::Medium),
        4 => any::<u8>().prop_map(Size::Large),
        1 => Just(Size::Huge),
    ]
    .boxed()
}

fn operation(theme: Theme) -> BoxedStrategy<Operation> {
    let reopenings = match theme {
        Theme::Peace => 2,
        Theme::Crashes => 6,
        Theme::Trouble => 8,
        Theme::Space => 2,
    };
    let troubles = match theme {
        Theme::Trouble => 4,
        Theme::Space => 1,
        _ => 0,
    };
    let limits = if theme == Theme::Space { 6 } else { 0 };
    let mut choices = vec![
        (24, transaction()),
        (22, open_put()),
        (22, open_take()),
        (6, upkeep()),
        (reopenings, reopening(theme)),
        (troubles, trouble(theme)),
        (limits, limit()),
    ];
    choices.retain(|(weight, _)| *weight > 0);
    proptest::strategy::Union::new_weighted(choices).boxed()
}

fn transaction() -> BoxedStrategy<Operation> {
    prop_oneof![
        (0..6u8, size()).prop_map(|(count, size)| Operation::PutAndCommit(count, size)),
        (0..12u8).prop_map(Operation::TakeAndCommit),
    ]
    .boxed()
}

fn open_put() -> BoxedStrategy<Operation> {
    let any_size = prop_oneof![40 => size(), 1 => Just(Size::TooLarge)];
    let count = prop_oneof![20 => 1..5u8, 1 => 60..70u8];
    prop_oneof![
        6 => (0..3u8, count, any_size).prop_map(|(at, count, size)| Operation::Put(at, count, size)),
        2 => (0..3u8, 0..4u8, of(any::<u8>()))
            .prop_map(|(at, name, value)| Operation::PutCursor(at, name, value)),
        4 => (0..3u8).prop_map(Operation::CommitPut),
        1 => (0..3u8).prop_map(Operation::RollBackPut),
        1 => (0..3u8).prop_map(Operation::DropPut),
    ]
    .boxed()
}

fn open_take() -> BoxedStrategy<Operation> {
    let count = prop_oneof![20 => 1..6u8, 1 => 60..70u8];
    prop_oneof![
        6 => (0..3u8, count).prop_map(|(at, count)| Operation::Take(at, count)),
        2 => (0..3u8, 0..4u8, of(any::<u8>()))
            .prop_map(|(at, name, value)| Operation::TakeCursor(at, name, value)),
        4 => (0..3u8).prop_map(Operation::CommitTake),
        1 => (0..3u8).prop_map(Operation::RollBackTake),
        1 => (0..3u8).prop_map(Operation::DropTake),
    ]
    .boxed()
}

fn upkeep() -> BoxedStrategy<Operation> {
    prop_oneof![
        Just(Operation::Checkpoint),
        Just(Operation::Maintain),
        Just(Operation::Sync),
        any::<u16>().prop_map(Operation::WriteBack),
    ]
    .boxed()
}

fn reopening(theme: Theme) -> BoxedStrategy<Operation> {
    let peaceful = prop_oneof![Just(Ending::Close), Just(Ending::Abandon)];
    let ending = match theme {
        Theme::Peace => peaceful.boxed(),
        _ => prop_oneof![
            3 => peaceful,
            1 => Just(Ending::LoseAll),
            1 => Just(Ending::KeepAll),
            2 => any::<u16>().prop_map(Ending::Random),
            2 => any::<u16>().prop_map(Ending::Hostile),
        ]
        .boxed(),
    };
    prop_oneof![
        20 => (ending, settings())
            .prop_map(|(ending, settings)| Operation::Reopen(ending, settings)),
        1 => Just(Operation::Close),
    ]
    .boxed()
}

fn trouble(theme: Theme) -> BoxedStrategy<Operation> {
    let soft = prop_oneof![
        Just(Trouble::ShortWrite),
        Just(Trouble::ShortRead),
        Just(Trouble::Interrupted),
        Just(Trouble::FailedRead),
        (0..4u8).prop_map(Trouble::NoRoom),
    ];
    let hard = prop_oneof![
        Just(Trouble::FailedWrite),
        Just(Trouble::FailedWriteAfter),
        Just(Trouble::FailedSync(FailedSync::Lost)),
        Just(Trouble::FailedSync(FailedSync::Reverted)),
        Just(Trouble::FailedSync(FailedSync::NoSpace)),
        Just(Trouble::FailedDirectorySync),
        Just(Trouble::FailedRename),
        Just(Trouble::FailedRemove),
        Just(Trouble::FailedCreate),
        Just(Trouble::FailedCall),
        Just(Trouble::StuckWrites),
        Just(Trouble::StuckSyncs),
        Just(Trouble::PowerLoss),
        Just(Trouble::PowerLossInRoll),
    ];
    let any_trouble = match theme {
        Theme::Space => soft.boxed(),
        _ => prop_oneof![1 => soft, 2 => hard].boxed(),
    };
    let calls = prop_oneof![3 => 0..6u8, 2 => 0..40u8, 1 => any::<u8>()];
    let arm = (any_trouble, calls).prop_map(|(trouble, calls)| Operation::Arm(trouble, calls));
    prop_oneof![6 => arm, 1 => Just(Operation::Disarm), 1 => Just(Operation::FailWriteBack)].boxed()
}

fn limit() -> BoxedStrategy<Operation> {
    prop_oneof![
        2 => (0..40u8).prop_map(Operation::Fill),
        1 => Just(Operation::Unfill),
    ]
    .boxed()
}
