//! The helper thread: what is done at intervals, so that no commit has to.

use std::io;
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::inner::Inner;
use crate::channel::signal::Signal;
use crate::channel::{AckDurability, CloseError, Durability};
use crate::shutdown::Shutdown;
use crate::sync::lock;

/// How long a channel is idle before a record states that everything before it was synced. Until then the
/// last group cannot be told from a torn one, should it be damaged after a crash.
const IDLE: Duration = Duration::from_millis(500);

/// The running thread; dropping it ends the thread.
pub(super) struct Maintenance {
    shutdown: Shutdown,
    alarm: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Maintenance {
    pub(super) fn start(inner: &Arc<Inner>) -> io::Result<Maintenance> {
        let shutdown = Shutdown::new();
        let stop = shutdown.clone();
        let alarm = Arc::clone(&inner.core().alarm);
        let sleep = Arc::clone(&alarm);
        let inner = Arc::downgrade(inner);
        let thread = Builder::new().name("flumen".into());
        let thread = thread.spawn(move || run(&inner, &stop, &sleep))?;
        Ok(Maintenance { shutdown, alarm, thread: Some(thread) })
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.shutdown.stop();
        self.alarm.raise();
        if let Some(thread) = self.thread.take() {
            // The thread never panics; if it did, the channel has stopped and says so to every caller.
            let _ = thread.join();
        }
    }
}

/// When what was done last.
struct Rounds {
    lazy: Instant,
    sync: Instant,
    checkpoint: Instant,
    /// What the log's end was a round ago.
    seen: u64,
    idle_since: Instant,
}

#[allow(
    clippy::disallowed_methods,
    reason = "intervals need a clock; nothing durable depends on it"
)]
fn run(inner: &Weak<Inner>, shutdown: &Shutdown, alarm: &Signal) {
    let now = Instant::now();
    let mut rounds = Rounds { lazy: now, sync: now, checkpoint: now, seen: 0, idle_since: now };
    loop {
        // Read before the rest: what comes after it ends the sleep at once.
        let seen = alarm.current();
        if shutdown.is_stopped() {
            return;
        }
        let Some(inner) = inner.upgrade() else { return };
        let pause = pause(&inner);
        // An error has stopped the channel, and every caller gets it; there is nothing left to do here.
        if round(&inner, &mut rounds, Instant::now()).is_err() {
            return;
        }
        drop(inner);
        alarm.wait_past(seen, pause);
    }
}

/// The shortest of the intervals.
fn pause(inner: &Inner) -> Duration {
    let options = &inner.options;
    let mut pause = (IDLE / 2).min(options.checkpoint_interval);
    if let Durability::Interval(interval) = options.durability {
        pause = pause.min(interval);
    }
    if let AckDurability::Lazy(window) = options.ack_durability {
        pause = pause.min(window);
    }
    pause.max(Duration::from_millis(1))
}

fn round(inner: &Inner, rounds: &mut Rounds, now: Instant) -> Result<(), CloseError> {
    let options = &inner.options;
    inner.sync_behind()?;
    // Due is what would be late by the next round.
    let due = |last: Instant, interval| now.duration_since(last) + pause(inner) > interval;
    if let AckDurability::Lazy(window) = options.ack_durability
        && due(rounds.lazy, window)
    {
        rounds.lazy = now;
        inner.push_lazy()?;
    }
    if let Durability::Interval(interval) = options.durability
        && due(rounds.sync, interval)
    {
        rounds.sync = now;
        inner.sync_if_needed()?;
    }
    let (end, unwitnessed) = {
        let shown = lock(&inner.core().shown);
        (shown.visible.0, shown.unwitnessed)
    };
    if end != rounds.seen {
        rounds.seen = end;
        rounds.idle_since = now;
    } else if unwitnessed
        && options.durability == Durability::Sync
        && now.duration_since(rounds.idle_since) >= IDLE
    {
        inner.witness()?;
    }
    if now.duration_since(rounds.checkpoint) >= options.checkpoint_interval {
        rounds.checkpoint = now;
        inner.checkpoint()?;
    }
    Ok(())
}
