//! Producers that wait for room, in every interleaving: whoever frees room, closes or stops wakes those it
//! concerns (loom ends a model in which somebody sleeps for ever), and what is held never exceeds the
//! capacity.
#![allow(clippy::disallowed_types, reason = "what the model remembers must be invisible to loom")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Room;
use crate::channel::error::Stopped;
use crate::channel::transaction::Refusal;
use crate::storage::StorageError;
use crate::sync::model::{Seen, explore, spawn};

const LONG: Duration = Duration::from_secs(3600);

/// A room, and what those who reserved in it hold by their own count.
struct Held {
    room: Room,
    bytes: AtomicU64,
    capacity_bytes: u64,
}

impl Held {
    /// Room for so many events of one byte, or fewer larger ones, all of it held by the model itself.
    fn full(capacity: u64) -> Arc<Held> {
        let room = Room::new(capacity, capacity, capacity, capacity);
        Arc::new(Held { room, bytes: AtomicU64::new(capacity), capacity_bytes: capacity })
    }

    /// Waits for room and takes it.
    fn reserve(&self, size: u64) -> Result<(), Refusal> {
        self.room.reserve(1, size, LONG)?;
        let held = self.bytes.fetch_add(size, Ordering::Relaxed) + size;
        assert!(held <= self.capacity_bytes, "{held} bytes in a room of {}", self.capacity_bytes);
        Ok(())
    }

    fn release(&self, events: u64, size: u64) {
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        self.room.release(events, size);
    }

    /// Waits for room, takes it and gives it back.
    fn pass(&self, size: u64) -> Result<(), Refusal> {
        self.reserve(size)?;
        self.release(1, size);
        Ok(())
    }

    /// All room came back, once: so much can be taken at once, and no more.
    fn assert_empty(&self) {
        assert_eq!(self.bytes.load(Ordering::Relaxed), 0);
        for _ in 0..self.capacity_bytes {
            assert!(self.room.reserve(1, 1, Duration::ZERO).is_ok(), "room was lost");
        }
        assert!(
            matches!(self.room.reserve(1, 1, Duration::ZERO), Err(Refusal::Full)),
            "too much room"
        );
    }
}

fn stopped() -> Stopped {
    let source = Arc::new(std::io::Error::other("a failed sync"));
    Stopped { cause: Arc::new(StorageError { operation: "sync", path: "segment".into(), source }) }
}

fn name(result: &Result<(), Refusal>) -> &'static str {
    match result {
        Ok(()) => "got room",
        Err(Refusal::Closed) => "closed",
        Err(Refusal::Stopped(_)) => "stopped",
        Err(Refusal::Full | Refusal::TransactionFull | Refusal::TooLarge) => "refused",
    }
}

#[test]
fn room_that_comes_free_goes_from_one_waiter_to_the_next() {
    let finished = explore("room.two_waiters", None, 530, |_| {
        let held = Held::full(1);
        let threads = [(); 2].map(|()| {
            let held = Arc::clone(&held);
            spawn(move || held.pass(1).is_ok())
        });
        held.release(1, 1);
        assert!(threads.into_iter().all(|thread| thread.join().expect("no panic")));
        held.assert_empty();
    });
    finished.reached(&["slept"]);
}

#[test]
fn a_waiter_whose_event_is_too_large_does_not_keep_the_wake_up_to_itself() {
    let finished = explore("room.large_and_small", None, 1_200, |_| {
        let held = Held::full(2);
        let others = [Arc::clone(&held), Arc::clone(&held)];
        let [for_large, for_small] = others;
        let large = spawn(move || for_large.pass(2).is_ok());
        let small = spawn(move || for_small.pass(1).is_ok());
        held.release(1, 1);
        // The small one gets through although the large one, which may have waited longer, does not fit.
        assert!(small.join().expect("no panic"));
        held.release(1, 1);
        assert!(large.join().expect("no panic"));
        held.assert_empty();
    });
    finished.reached(&["slept"]);
}

#[test]
fn more_producers_than_room_all_get_through() {
    let finished = explore("room.three_producers", Some(4), 4_000, |_| {
        let held = Held::full(2);
        held.release(2, 2);
        let threads = [1, 2].map(|size| {
            let held = Arc::clone(&held);
            spawn(move || held.pass(size).is_ok() && held.pass(1).is_ok())
        });
        assert!(held.pass(2).is_ok());
        assert!(threads.into_iter().all(|thread| thread.join().expect("no panic")));
        held.assert_empty();
    });
    finished.reached(&["slept"]);
}

#[test]
fn a_close_and_a_stop_release_all_waiters() {
    type End = fn(&Room);
    let ends: [(&str, &str, End); 2] = [
        ("room.close", "closed", Room::close),
        ("room.stop", "stopped", |room| room.stop(stopped())),
    ];
    for (model, expected, end) in ends {
        let finished = explore(model, None, 20, move |_| {
            let held = Held::full(1);
            let threads = [(); 2].map(|()| {
                let held = Arc::clone(&held);
                spawn(move || name(&held.reserve(1)))
            });
            end(&held.room);
            for thread in threads {
                assert_eq!(thread.join().expect("no panic"), expected);
            }
            assert_eq!(name(&held.reserve(1)), expected, "and everybody later");
        });
        finished.reached(&["slept"]);
    }
}

#[test]
fn room_against_the_end() {
    let body = |seen: &Seen| {
        let held = Held::full(1);
        let waiter = {
            let held = Arc::clone(&held);
            spawn(move || name(&held.reserve(1)))
        };
        let releaser = {
            let held = Arc::clone(&held);
            spawn(move || held.release(1, 1))
        };
        held.room.close();
        seen.note(waiter.join().expect("no panic"));
        releaser.join().expect("no panic");
        assert_eq!(name(&held.reserve(1)), "closed");
    };
    explore("room.release_and_close", None, 180, body).reached(&["got room", "closed", "slept"]);
}

#[test]
fn the_first_end_is_the_one_that_is_told() {
    let body = |seen: &Seen| {
        let held = Held::full(1);
        let waiter = {
            let held = Arc::clone(&held);
            spawn(move || name(&held.reserve(1)))
        };
        let stopper = {
            let held = Arc::clone(&held);
            spawn(move || held.room.stop(stopped()))
        };
        held.room.close();
        let told = waiter.join().expect("no panic");
        seen.note(told);
        stopper.join().expect("no panic");
        assert_eq!(name(&held.reserve(1)), told);
    };
    explore("room.stop_and_close", None, 280, body).reached(&["closed", "stopped", "slept"]);
}
