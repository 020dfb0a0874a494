//! The capacity of a channel: who may put, who must wait, and who wakes them.

use std::time::Duration;

use super::error::Stopped;
use super::transaction::Refusal;
use crate::sync::{Condvar, Mutex, lock, wait_timeout_while};

/// Room for events, counted in events and in bytes.
///
/// Room is reserved for events before it is known whether their transaction commits, and
/// released when the put rolls back or when the take of the event commits. So what is used is never
/// less than what the channel holds, and a commit can never fail for want of room.
pub(crate) struct Room {
    state: Mutex<State>,
    freed: Condvar,
    capacity_events: u64,
    capacity_bytes: u64,
}

struct State {
    used_events: u64,
    used_bytes: u64,
    /// Who waits. A call to wake nobody is a call into the kernel all the same.
    waiting: usize,
    end: Option<End>,
}

enum End {
    Closed,
    Stopped(Stopped),
}

impl Room {
    /// Room of which some is used already. That may be more than the capacity, when an opening
    /// lowered it: then puts wait until takes have brought the depth below it.
    pub(crate) fn new(
        capacity_events: u64,
        capacity_bytes: u64,
        used_events: u64,
        used_bytes: u64,
    ) -> Room {
        Room {
            state: Mutex::new(State { used_events, used_bytes, waiting: 0, end: None }),
            freed: Condvar::new(),
            capacity_events,
            capacity_bytes,
        }
    }

    /// Reserves room for so many events, of `size` bytes together, waiting at most `wait` for all of it.
    pub(crate) fn reserve(&self, events: u64, size: u64, wait: Duration) -> Result<(), Refusal> {
        let blocked = |state: &mut State| state.end.is_none() && !self.fits(state, events, size);
        let fits_ever = events <= self.capacity_events && size <= self.capacity_bytes;
        let mut state = lock(&self.state);
        if fits_ever && blocked(&mut state) {
            state.waiting += 1;
            state = wait_timeout_while(&self.freed, state, wait, blocked);
            state.waiting -= 1;
        }
        match &state.end {
            Some(End::Closed) => Err(Refusal::Closed),
            Some(End::Stopped(stopped)) => Err(Refusal::Stopped(stopped.clone())),
            None if !fits_ever => Err(Refusal::TooLarge),
            None if !self.fits(&state, events, size) => Err(Refusal::Full),
            None => {
                state.used_events += events;
                state.used_bytes += size;
                Ok(())
            }
        }
    }

    /// Gives room back and wakes those who wait for it. All of them: the first to wake may be the
    /// one whose event is too large for what came free.
    pub(crate) fn release(&self, events: u64, size: u64) {
        let mut state = lock(&self.state);
        // Not so of bytes: a forged state may count too few.
        debug_assert!(events <= state.used_events || planted!(RoomGivenTwice));
        state.used_events = state.used_events.saturating_sub(events);
        state.used_bytes = state.used_bytes.saturating_sub(size);
        let is_awaited = state.waiting > 0;
        drop(state);
        if !is_awaited {
            return;
        }
        if planted!(WakeOneOnly) {
            self.freed.notify_one();
            return;
        }
        self.freed.notify_all();
    }

    /// Refuses all puts from now on, waiting ones included.
    pub(crate) fn close(&self) {
        self.end(End::Closed);
    }

    /// As [`close`](Self::close), naming why the channel stopped itself.
    #[allow(dead_code, reason = "only a channel with a disk stops itself")]
    pub(crate) fn stop(&self, stopped: Stopped) {
        self.end(End::Stopped(stopped));
    }

    fn end(&self, end: End) {
        lock(&self.state).end.get_or_insert(end);
        self.freed.notify_all();
    }

    fn fits(&self, state: &State, events: u64, size: u64) -> bool {
        let fits = |used: u64, more: u64, capacity: u64| {
            used.checked_add(more).is_some_and(|sum| sum <= capacity)
        };
        fits(state.used_events, events, self.capacity_events)
            && fits(state.used_bytes, size, self.capacity_bytes)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::storage::StorageError;
    use crate::storage::sim::SimDisk;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn events_and_bytes_both_limit() {
        let room = Room::new(2, 100, 0, 0);
        assert!(room.reserve(1, 60, Duration::ZERO).is_ok());
        assert!(matches!(room.reserve(1, 41, Duration::ZERO), Err(Refusal::Full)));
        assert!(room.reserve(1, 40, Duration::ZERO).is_ok());
        room.release(0, 100);
        assert!(matches!(room.reserve(1, 1, Duration::ZERO), Err(Refusal::Full)));
        room.release(1, 0);
        assert!(room.reserve(1, 1, Duration::ZERO).is_ok());
        room.release(2, 1);
        assert!(matches!(room.reserve(3, 0, LONG), Err(Refusal::TooLarge)), "never");
        assert!(room.reserve(2, 100, Duration::ZERO).is_ok());
        assert!(matches!(room.reserve(2, 0, Duration::ZERO), Err(Refusal::Full)));
    }

    #[test]
    fn what_never_fits_is_refused_without_waiting() {
        let room = Room::new(2, 100, 2, 100);
        assert!(matches!(room.reserve(1, 101, LONG), Err(Refusal::TooLarge)));
    }

    #[test]
    fn a_depth_above_the_capacity_makes_puts_wait_until_it_is_below() {
        let room = Room::new(2, 100, 3, 150);
        room.release(1, 60);
        assert!(matches!(room.reserve(1, 1, Duration::ZERO), Err(Refusal::Full)));
        room.release(1, 60);
        assert!(room.reserve(1, 1, Duration::ZERO).is_ok());
    }

    /// I7: not even where there is room, or where none comes for long.
    #[test]
    fn i7_after_a_stop_nobody_gets_room_or_waits_for_it() {
        for used in [0, 1] {
            let room = Room::new(1, 100, used, 1);
            let error = std::io::Error::other("a fault");
            let error = StorageError::new(&*SimDisk::new(1).storage(), "", "sync", error);
            room.stop(Stopped { cause: Arc::new(error) });
            assert!(matches!(
                room.reserve(1, 1, LONG * (1 - used as u32)),
                Err(Refusal::Stopped(_))
            ));
        }
    }

    #[test]
    fn a_waiter_is_woken_by_room_and_by_the_end() {
        let room = Arc::new(Room::new(1, 100, 1, 1));
        let waiter = {
            let room = Arc::clone(&room);
            thread::spawn(move || room.reserve(1, 1, LONG).is_ok())
        };
        room.release(1, 1);
        assert!(waiter.join().expect("the waiter does not panic"));
        let waiter = {
            let room = Arc::clone(&room);
            thread::spawn(move || matches!(room.reserve(1, 1, LONG), Err(Refusal::Closed)))
        };
        room.close();
        assert!(waiter.join().expect("the waiter does not panic"));
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
