//! News for those who wait for events.

use std::time::Duration;

use crate::sync::{Condvar, Moment, Mutex, lock, wait_timeout_while};

/// A counter that only grows, and a way to sleep until it has grown.
///
/// Who waits reads the counter *before* it looks at the state it waits for; so news that arrives
/// between the look and the sleep ends the sleep at once.
#[derive(Default)]
pub(crate) struct Signal {
    count: Mutex<Count>,
    raised: Condvar,
}

#[derive(Default)]
struct Count {
    raised: u64,
    /// Who sleeps. A call to wake nobody is a call into the kernel all the same.
    waiting: usize,
}

impl Signal {
    /// A signal that was never raised.
    pub(crate) fn new() -> Signal {
        Signal::default()
    }

    /// How often it was raised.
    pub(crate) fn current(&self) -> u64 {
        lock(&self.count).raised
    }

    /// Wakes everyone who waits.
    pub(crate) fn raise(&self) {
        let mut count = lock(&self.count);
        count.raised += 1;
        let is_awaited = count.waiting > 0;
        drop(count);
        if is_awaited {
            self.raised.notify_all();
        }
    }

    /// Sleeps until the counter is past `count` or `timeout` is over; true when it is past.
    pub(crate) fn wait_past(&self, count: u64, timeout: Duration) -> bool {
        let mut guard = lock(&self.count);
        guard.waiting += 1;
        let mut guard = wait_timeout_while(&self.raised, guard, timeout, |now| now.raised <= count);
        guard.waiting -= 1;
        guard.raised > count
    }

    /// Sleeps until `ready` gives an answer or `timeout` is over. `ready` is asked without any lock
    /// held, once at least and after each raise.
    pub(crate) fn wait_until<T>(
        &self,
        timeout: Duration,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let begin = Moment::now();
        loop {
            let count = self.current();
            if let Some(answer) = ready() {
                return Some(answer);
            }
            let rest = timeout.saturating_sub(begin.elapsed());
            if !self.wait_past(count, rest) {
                return ready();
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn a_raise_between_look_and_sleep_is_not_missed() {
        let signal = Signal::new();
        let seen = signal.current();
        signal.raise();
        assert!(signal.wait_past(seen, Duration::from_secs(3600)));
        assert!(!signal.wait_past(signal.current(), Duration::ZERO));
    }

    #[test]
    fn a_raise_wakes_a_sleeper() {
        let signal = Arc::new(Signal::new());
        let sleeper = {
            let signal = Arc::clone(&signal);
            thread::spawn(move || signal.wait_past(0, Duration::from_secs(3600)))
        };
        signal.raise();
        assert!(sleeper.join().expect("the sleeper does not panic"));
    }

    #[test]
    fn waiting_until_ends_with_an_answer_or_with_the_time() {
        let signal = Signal::new();
        assert_eq!(signal.wait_until(Duration::ZERO, || Some(1)), Some(1));
        assert_eq!(signal.wait_until(Duration::from_millis(1), || None::<u8>), None);
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
