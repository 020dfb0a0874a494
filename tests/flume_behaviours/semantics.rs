//! The memory channel and the semantics of every channel (§3.11), on both kinds.

use std::sync::Arc;
use std::thread;

use flumen::storage::sim::SimDisk;
use flumen::{Channel, ChannelOptions, Event, MemoryChannel, PutError, TakeError};

use crate::queue::*;

/// One of each kind.
fn both(options: &ChannelOptions) -> [Arc<dyn Channel>; 2] {
    let memory = MemoryChannel::open(options.clone()).expect("the options are good");
    [Arc::new(memory), Arc::new(open(&SimDisk::new(1), options))]
}

#[test]
fn test_put_take() {
    for channel in both(&options()) {
        put(&*channel, &events(0..1));
        assert_eq!(drain(&*channel), events(0..1));
        assert_eq!(drain(&*channel), []);
    }
}

#[test]
fn test_empty_body_and_headers() {
    for channel in both(&options()) {
        let odd = [
            Event::new(""),
            Event::default(),
            Event::new(vec![0; 3]).with_header("", ""),
            Event::new("\u{0}\n\u{fffd}").with_header("ключ", "значение"),
        ];
        put(&*channel, &odd);
        assert_eq!(drain(&*channel), odd);
    }
}

#[test]
fn test_transaction_put_capacity_overload() {
    for channel in both(&options().transaction_events(5)) {
        let mut transaction = channel.begin_put();
        for event in events(0..5) {
            transaction.put(event).expect("five fit");
        }
        match transaction.put(event(5)) {
            Err(PutError::TransactionFull(back)) => assert_eq!(back, event(5)),
            other => panic!("{other:?}"),
        }
        assert_eq!(transaction.len(), 5, "the transaction is as it was");
        transaction.commit().expect("and can be committed");
        assert_eq!(drain(&*channel), events(0..5));
    }
}

#[test]
fn test_capacity_overload_and_space_free_again_after_take_commit() {
    for channel in both(&options().capacity_events(3)) {
        put(&*channel, &events(0..3));
        assert!(channel.begin_put().put(event(3)).is_err());
        let (transaction, _) = take(&*channel, 2);
        assert!(channel.begin_put().put(event(3)).is_err(), "taken is not gone");
        transaction.commit().expect("the disk works");
        put(&*channel, &events(3..5));
        assert!(channel.begin_put().put(event(5)).is_err());
        assert_eq!(drain(&*channel), events(2..5));
    }
}

/// In Flume a put beyond the capacity fails at commit; here at the put, so that a commit cannot fail for room.
#[test]
fn test_room_is_reserved_by_the_put() {
    for channel in both(&options().capacity_events(3)) {
        let mut first = channel.begin_put();
        let mut second = channel.begin_put();
        first.put(event(0)).expect("there is room");
        second.put(event(1)).expect("there is room");
        first.put(event(2)).expect("there is room");
        assert!(matches!(second.put(event(3)), Err(PutError::Full(_))));
        second.commit().expect("reserved");
        first.commit().expect("reserved");
        assert_eq!(drain(&*channel), events([1, 0, 2]));
    }
}

#[test]
fn test_rollback_of_puts_frees_space() {
    for channel in both(&options().capacity_events(3)) {
        for _ in 0..5 {
            let mut transaction = channel.begin_put();
            for event in events(0..3) {
                transaction.put(event).expect("free again");
            }
            transaction.rollback();
        }
        put(&*channel, &events(0..3));
        assert_eq!(drain(&*channel), events(0..3));
    }
}

#[test]
fn test_byte_capacity() {
    let size = large(10, 100).size();
    for channel in both(&options().capacity_bytes(3 * size)) {
        put(&*channel, &larges(10..13, 100));
        let refused = channel.begin_put().put(Event::new(""));
        assert!(matches!(refused, Err(PutError::Full(_))));
        let (transaction, _) = take(&*channel, 1);
        transaction.rollback();
        assert!(channel.begin_put().put(large(13, 100)).is_err());
        assert_eq!(consume(&*channel, 1), larges(10..11, 100));
        let mut transaction = channel.begin_put();
        transaction.put(large(13, 100)).expect("room for one");
        assert!(transaction.put(large(14, 100)).is_err());
        transaction.rollback();
        put(&*channel, &larges(13..14, 100));
        assert_eq!(drain(&*channel), larges(11..14, 100));
        assert_eq!(channel.stats().bytes, 0);
    }
}

/// Resized while in use: by the next opening. Below the depth is fine, as is back again.
#[test]
fn test_byte_capacity_raised_and_lowered() {
    let disk = SimDisk::new(1);
    let size = large(10, 100).size();
    put(&open(&disk, &options()), &larges(10..20, 100));
    for (capacity, has_room) in [(20, true), (10, false), (5, false), (11, true)] {
        let options = options().capacity_bytes(capacity * size);
        let channel = open(&disk, &options);
        let result = channel.begin_put().put(large(20, 100));
        assert_eq!(result.is_ok(), has_room, "room for {capacity}");
    }
    assert_eq!(drain(&open(&disk, &options())), larges(10..20, 100));
}

#[test]
fn test_fifo_after_commit_and_order_at_head_after_rollback() {
    for channel in both(&options()) {
        put_batches(&*channel, &events(0..30), 4);
        let open = [5, 1, 7].map(|count| take(&*channel, count).0);
        let [first, second, third] = open;
        third.rollback();
        first.rollback();
        assert_eq!(consume(&*channel, 3), events(0..3));
        second.rollback();
        assert_eq!(drain(&*channel), events(3..30));
    }
}

/// Flume's states OPEN, COMMITTED, CLOSED and their illegal orders are types here: a commit consumes. What is
/// left is dropping, which rolls back.
#[test]
fn test_a_dropped_transaction_is_rolled_back() {
    for channel in both(&options()) {
        put(&*channel, &events(0..3));
        drop(take(&*channel, 2));
        let mut transaction = channel.begin_put();
        transaction.put(event(9)).expect("there is room");
        drop(transaction);
        assert_eq!(drain(&*channel), events(0..3));
    }
}

/// The same after a panic in the middle of a transaction.
#[test]
fn test_a_panic_rolls_back() {
    for channel in both(&options()) {
        put(&*channel, &events(0..3));
        let thread = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                let (_take, _) = take(&*channel, 2);
                let mut put = channel.begin_put();
                put.put(event(9)).expect("there is room");
                panic!("of the consumer");
            })
        };
        assert!(thread.join().is_err());
        assert_eq!(drain(&*channel), events(0..3));
    }
}

/// Errors of put and take leave a transaction that can be committed or rolled back.
#[test]
fn test_an_error_leaves_the_transaction_usable() {
    for channel in both(&options().transaction_events(2)) {
        for commits in [true, false] {
            put(&*channel, &events(0..2));
            let (mut transaction, _) = take(&*channel, 2);
            for _ in 0..2 {
                let error = transaction.take();
                assert!(matches!(error, Err(TakeError::TransactionFull)));
            }
            match commits {
                true => transaction.commit().expect("the disk works"),
                false => transaction.rollback(),
            }
            let left = if commits { 0..0 } else { 0..2 };
            assert_eq!(drain(&*channel), events(left));
        }
    }
}

/// Transactions belong to values, not to threads: several in one thread, and one moved to another.
#[test]
fn test_transactions_are_independent_and_move_between_threads() {
    for channel in both(&options()) {
        let mut first = channel.begin_put();
        let mut second = channel.begin_put();
        first.put(event(0)).expect("there is room");
        second.put(event(1)).expect("there is room");
        let committed = thread::spawn(move || second.commit());
        let committed = committed.join().expect("no panic");
        committed.expect("the disk works");
        first.commit().expect("the disk works");
        assert_eq!(drain(&*channel), events([1, 0]));
    }
}

#[test]
fn test_an_event_that_never_fits_is_refused_at_once() {
    for channel in both(&options().put_wait(LONG).capacity_bytes(1000)) {
        match channel.begin_put().put(large(1, 2000)) {
            Err(PutError::TooLarge(back)) => assert_eq!(back, large(1, 2000)),
            other => panic!("{other:?}"),
        }
    }
}
