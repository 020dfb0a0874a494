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

impl Rounds {
    fn new(now: Instant) -> Rounds {
        Rounds { lazy: now, sync: now, checkpoint: now, seen: 0, idle_since: now }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "intervals need a clock; nothing durable depends on it"
)]
fn run(inner: &Weak<Inner>, shutdown: &Shutdown, alarm: &Signal) {
    let mut rounds = Rounds::new(Instant::now());
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

#[cfg(all(test, not(any(loom, shuttle))))]
#[allow(clippy::disallowed_methods, reason = "a clock to count from; nothing waits for it")]
mod tests {
    use super::*;
    use crate::channel::file::FileChannel;
    use crate::channel::{Channel, ChannelOptions};
    use crate::event::Event;
    use crate::storage::sim::{Crash, SimDisk};

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);

    /// A channel whose rounds are made by hand, at times that are made up.
    struct Bench {
        disk: SimDisk,
        channel: FileChannel,
        begin: Instant,
        rounds: Rounds,
    }

    fn options() -> ChannelOptions {
        ChannelOptions::new().background(false).segment_size(64 << 10).checkpoint_interval(HOUR)
    }

    impl Bench {
        fn new(options: ChannelOptions) -> Bench {
            let disk = SimDisk::new(1);
            let channel = FileChannel::open_on(disk.storage(), options).expect("opens");
            let now = Instant::now();
            Bench { disk, channel, begin: now, rounds: Rounds::new(now) }
        }

        /// Whether a round at so many milliseconds makes a call.
        fn acts(&mut self, at: u64) -> bool {
            let calls = self.disk.calls();
            let now = self.begin + Duration::from_millis(at);
            round(self.channel.inner(), &mut self.rounds, now).expect("works");
            self.disk.calls() > calls
        }

        fn put(&self) {
            let mut put = self.channel.begin_put();
            put.put(Event::new("an event")).expect("there is room");
            put.commit().expect("works");
        }

        /// Events that are left after a loss of power.
        fn durable(&self) -> u64 {
            let image = self.disk.crash(&Crash::LoseAll);
            let channel = FileChannel::open_on(image.storage(), options()).expect("opens");
            channel.stats().events
        }
    }

    #[test]
    fn the_pause_is_the_shortest_interval() {
        let pause_of = |options| pause(Bench::new(options).channel.inner());
        assert_eq!(pause_of(options()), IDLE / 2);
        let short = Duration::from_millis(7);
        assert_eq!(pause_of(options().checkpoint_interval(short)), short);
        assert_eq!(pause_of(options().durability(Durability::Interval(short))), short);
        assert_eq!(pause_of(options().ack_durability(AckDurability::Lazy(short))), short);
        let none = Duration::from_nanos(1);
        assert_eq!(pause_of(options().checkpoint_interval(none)), Duration::from_millis(1));
    }

    /// I1 under `Interval`: what was put is durable when the interval has passed, and then nothing is done.
    #[test]
    fn i1_an_interval_syncs_what_was_put() {
        let mut bench = Bench::new(options().durability(Durability::Interval(SECOND)));
        bench.put();
        assert!(!bench.acts(10), "not due yet");
        assert_eq!(bench.durable(), 0);
        // By the next round it would be late.
        assert!(bench.acts(751));
        assert_eq!(bench.durable(), 1);
        bench.put();
        assert!(!bench.acts(1501), "it counts from the last time");
        assert!(bench.acts(1502));
        assert_eq!(bench.durable(), 2);
        assert!(!bench.acts(9000), "nothing was put");
    }

    /// Lazy acks are durable when their window has passed, and cost no sync where puts have none.
    #[test]
    fn lazy_acks_are_committed_in_their_window() {
        for (durability, left) in [(Durability::Sync, 0), (Durability::Os, 1)] {
            let lazy = AckDurability::Lazy(SECOND);
            let mut bench = Bench::new(options().durability(durability).ack_durability(lazy));
            bench.put();
            bench.channel.sync().expect("works");
            let mut take = bench.channel.begin_take();
            assert!(take.take().expect("readable").is_some());
            take.commit().expect("works");
            assert!(!bench.acts(10), "not due yet");
            assert!(bench.acts(751));
            assert_eq!(bench.durable(), left, "{durability:?}");
        }
    }

    /// Once, half a second after the last commit: that all before was synced is on the disk then.
    #[test]
    fn an_idle_channel_is_witnessed_once() {
        let mut bench = Bench::new(options());
        assert!(!bench.acts(0) && !bench.acts(600), "nothing was put");
        bench.put();
        assert!(!bench.acts(1000), "news");
        assert!(!bench.acts(1499));
        assert!(bench.acts(1500));
        assert!(!bench.acts(2000) && !bench.acts(9000), "once");
        let mut bench = Bench::new(options().durability(Durability::Os));
        bench.put();
        assert!(!bench.acts(1000) && !bench.acts(9000), "it would witness nothing");
    }

    #[test]
    fn a_checkpoint_is_made_when_its_interval_has_passed() {
        let mut bench =
            Bench::new(options().durability(Durability::Os).checkpoint_interval(SECOND));
        bench.put();
        assert!(!bench.acts(999));
        assert_eq!(bench.durable(), 0);
        assert!(bench.acts(1000));
        assert_eq!(bench.durable(), 1);
        bench.put();
        assert!(!bench.acts(1999), "it counts from the last time");
        assert!(bench.acts(2000));
    }
}
