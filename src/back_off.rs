//! How long to wait before trying again.

use std::time::Duration;

use crate::shutdown::Shutdown;

/// Waits that grow by a step with every failure in a row, up to a limit, as Flume's runners do.
#[derive(Clone, Debug)]
pub(crate) struct BackOff {
    step: Duration,
    limit: Duration,
    failures: u32,
}

impl BackOff {
    /// The first wait is `step`, the second twice that, and none is longer than `limit`.
    pub(crate) fn new(step: Duration, limit: Duration) -> BackOff {
        BackOff { step, limit, failures: 0 }
    }

    /// The next wait begins at one step again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Sleeps until it is time to try again; true when the stop signal came first.
    pub(crate) fn wait(&mut self, shutdown: &Shutdown) -> bool {
        self.failures = self.failures.saturating_add(1);
        shutdown.sleep(self.step.saturating_mul(self.failures).min(self.limit))
    }
}

impl Default for BackOff {
    /// Flume's: steps of one second, five at most.
    fn default() -> BackOff {
        BackOff::new(Duration::from_secs(1), Duration::from_secs(5))
    }
}
