//! Those who wait for news, in every interleaving: nobody sleeps through what it waits for.

use std::sync::Arc;
use std::time::Duration;

use super::Signal;
use crate::sync::model::{explore, spawn};
use crate::sync::{Mutex, lock};

const LONG: Duration = Duration::from_secs(3600);

/// A signal, and a number that it tells news of.
#[derive(Default)]
struct Board {
    number: Mutex<u64>,
    news: Signal,
}

impl Board {
    fn add(&self) {
        *lock(&self.number) += 1;
        self.news.raise();
    }

    /// Waits until the number is at least `least`.
    fn wait_for(&self, least: u64) -> u64 {
        let ready = || Some(*lock(&self.number)).filter(|number| *number >= least);
        self.news.wait_until(LONG, ready).expect("loom's waits end with news only")
    }
}

#[test]
fn news_reaches_all_who_wait() {
    let finished = explore("signal.two_waiters", Some(4), 1_800, |_| {
        let board = Arc::new(Board::default());
        let threads = [(); 2].map(|()| {
            let board = Arc::clone(&board);
            spawn(move || board.wait_for(1))
        });
        board.add();
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), 1);
        }
    });
    finished.reached(&["slept"]);
}

#[test]
fn news_that_is_not_enough_does_not_end_the_wait() {
    let finished = explore("signal.two_raises", Some(4), 1_800, |_| {
        let board = Arc::new(Board::default());
        let other = Arc::clone(&board);
        let thread = spawn(move || other.add());
        let other = Arc::clone(&board);
        let waiter = spawn(move || other.wait_for(2));
        board.add();
        assert_eq!(waiter.join().expect("no panic"), 2);
        thread.join().expect("no panic");
    });
    finished.reached(&["slept"]);
}

#[test]
fn waiting_past_a_count_ends_with_the_next_raise() {
    let finished = explore("signal.wait_past", None, 7, |_| {
        let signal = Arc::new(Signal::new());
        let seen = signal.current();
        let other = Arc::clone(&signal);
        let thread = spawn(move || other.raise());
        assert!(signal.wait_past(seen, LONG));
        assert_eq!(signal.current(), seen + 1);
        thread.join().expect("no panic");
    });
    finished.reached(&["slept"]);
}
