//! TestFlumeEventQueue (§3.6). We have no queue of pointers; what its tests say of order, capacity and of
//! transactions in flight holds for a channel.

use flumen::storage::sim::SimDisk;
use flumen::{Channel, FileChannel, OpenError, PutError};

use crate::queue::*;

#[test]
fn test_capacity_of_one() {
    let history = |channel: &FileChannel| {
        put(channel, &events(0..1));
        let refused = channel.begin_put().put(event(1));
        assert!(matches!(refused, Err(PutError::Full(_))));
    };
    after_each_end(&options().capacity_events(1), history, |channel, how| {
        assert_eq!(drain(channel), events(0..1), "{how}");
        put(channel, &events(1..2));
    });
}

#[test]
fn test_invalid_capacity_zero() {
    let disk = SimDisk::new(1);
    let opened = try_open(&disk, &options().capacity_events(0));
    assert!(matches!(opened, Err(OpenError::Option(_))));
}

#[test]
fn test_queue_is_empty_after_creation() {
    let channel = open(&SimDisk::new(1), &options());
    assert!(channel.recovery().created);
    let taken = channel.begin_take().take();
    assert!(taken.expect("nothing fails").is_none());
}

/// testAddTail1, 2, Large: first in, first out.
#[test]
fn test_add_tail_large() {
    for count in [1, 2, 100] {
        let history = |channel: &FileChannel| put_batches(channel, &events(0..count), 1);
        after_each_end(&options(), history, |channel, how| {
            for number in 0..count {
                assert_eq!(consume(channel, 1), events(number..number + 1), "{how}");
            }
            assert_eq!(drain(channel), [], "{how}");
        });
    }
}

/// testAddHead1, 2, Large: what comes back comes back before the rest, in its old order, whatever the order of
/// the rollbacks.
#[test]
fn test_add_head_large() {
    let history = |channel: &FileChannel| {
        put_batches(channel, &events(0..500), 50);
        let mut open: Vec<_> = (0..40).map(|_| take(channel, 10).0).collect();
        while open.len() > 1 {
            let middle = open.len() / 2;
            open.swap_remove(middle).rollback();
        }
        open
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(0..500), "{how}");
    });
    let channel = open(&SimDisk::new(1), &options());
    let last = history(&channel).pop().expect("one is left");
    last.rollback();
    assert_eq!(drain(&channel), events(0..500), "without a restart");
}

/// testAddTailRemove, testAddHeadRemove: events go from the middle.
#[test]
fn test_remove_from_the_middle() {
    let history = |channel: &FileChannel| {
        put(channel, &events(0..10));
        let (first, _) = take(channel, 3);
        let (second, taken) = take(channel, 4);
        assert_eq!(taken, events(3..7));
        second.commit().expect("the disk works");
        first
    };
    after_each_end(&options(), history, |channel, how| {
        let left: Vec<u64> = (0..3).chain(7..10).collect();
        assert_eq!(channel.stats().events, 6, "{how}");
        assert_eq!(drain(channel), events(left), "{how}");
    });
}

/// A small capacity gone round many times, with half of it removed each time.
#[test]
fn test_wrapping_correctly() {
    let options = options().capacity_events(10);
    let history = |channel: &FileChannel| {
        put(channel, &events(0..10));
        for round in 0..60 {
            let first = round * 5;
            let (transaction, _) = take(channel, 7);
            transaction.rollback();
            assert_eq!(consume(channel, 5), events(first..first + 5));
            put(channel, &events(first + 10..first + 15));
            assert!(channel.begin_put().put(event(0)).is_err(), "full again");
        }
    };
    after_each_end(&options, history, |channel, how| {
        assert_eq!(drain(channel), events(300..310), "{how}");
    });
}

/// In flight at a checkpoint: puts are gone, takes are back.
#[test]
fn test_inflight_puts_and_takes() {
    let history = |channel: &FileChannel| {
        put(channel, &events(0..20));
        let takes = [take(channel, 6).0, take(channel, 6).0];
        let puts = [100, 200].map(|first| {
            let mut transaction = channel.begin_put();
            for event in events(first..first + 5) {
                transaction.put(event).expect("there is room");
            }
            transaction
        });
        channel.checkpoint().expect("the disk works");
        (takes, puts)
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(0..20), "{how}");
    });
}
