//! One stop signal, shared by everything that runs until it is told to stop.

use std::time::Duration;

use std::sync::Arc;

use crate::sync::{Condvar, Mutex, lock, wait_timeout_while};

/// A signal that goes from "run" to "stop" once. Clones share it.
#[derive(Clone, Default)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Shutdown {
    /// A signal that says "run".
    pub fn new() -> Shutdown {
        Shutdown::default()
    }

    /// Says "stop" and wakes every sleeper. Saying it again changes nothing.
    pub fn stop(&self) {
        *lock(&self.inner.stopped) = true;
        self.inner.changed.notify_all();
    }

    /// Whether "stop" was said.
    pub fn is_stopped(&self) -> bool {
        *lock(&self.inner.stopped)
    }

    /// Sleeps for `timeout` or until "stop" is said, whichever comes first; true when stopped.
    pub fn sleep(&self, timeout: Duration) -> bool {
        let guard = lock(&self.inner.stopped);
        *wait_timeout_while(&self.inner.changed, guard, timeout, |stopped| !*stopped)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_sleeper_wakes_when_stopped() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_stopped());
        assert!(!shutdown.sleep(Duration::from_millis(1)));
        let sleeper = shutdown.clone();
        let thread = std::thread::spawn(move || sleeper.sleep(Duration::from_secs(3600)));
        shutdown.stop();
        assert!(thread.join().expect("the sleeper does not panic"));
        assert!(shutdown.is_stopped());
    }
}
