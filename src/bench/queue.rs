//! A channel as the measures use it.

use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use flumen::{AckDurability, Bytes, Channel, ChannelOptions, Event, FileChannel};

use super::error::BenchError;
use super::form::{BODY, Form};
use super::stats::Times;
use crate::random::Random;

/// The window of lazy acks.
const WINDOW: Duration = Duration::from_millis(100);
/// Events of a transaction when a channel is filled or emptied.
const BATCH: usize = 1000;

/// Acks that the log learns of with the next commit.
pub(crate) fn lazy() -> AckDurability {
    AckDurability::Lazy(WINDOW)
}

/// A channel, and the body that is put into it.
pub(crate) struct Queue {
    pub(crate) channel: FileChannel,
    body: Bytes,
}

impl Queue {
    /// Opens or makes the channel `name` in `directory`.
    pub(crate) fn open(
        directory: &Path,
        name: &str,
        options: ChannelOptions,
    ) -> Result<Queue, BenchError> {
        let channel = FileChannel::open(directory.join(name), options)?;
        Ok(Queue { channel, body: Bytes::from(Random::new(2).bytes(BODY)) })
    }

    /// With bodies of so many bytes.
    pub(crate) fn with_body(mut self, bytes: usize) -> Queue {
        self.body = Bytes::from(Random::new(2).bytes(bytes));
        self
    }

    /// The same with segments that were used before, as in steady state.
    pub(crate) fn warmed(self, form: Form) -> Result<Queue, BenchError> {
        let commits = form.warm_up() / (BATCH * (self.body.len() + 8)) as u64;
        for _ in 0..commits.max(1) {
            self.put(BATCH)?;
            self.take(BATCH)?;
        }
        self.channel.checkpoint()?;
        Ok(self)
    }

    /// Puts and commits so many events.
    pub(crate) fn put(&self, events: usize) -> Result<(), BenchError> {
        let mut put = self.channel.begin_put();
        put.put_all((0..events).map(|_| Event::new(self.body.clone())).collect())?;
        Ok(put.commit()?)
    }

    /// Takes and commits at most so many events; gives how many.
    pub(crate) fn take(&self, most: usize) -> Result<usize, BenchError> {
        take(&self.channel, most)
    }

    /// Takes all there is.
    pub(crate) fn drain(&self) -> Result<(), BenchError> {
        while self.take(BATCH)? > 0 {}
        Ok(())
    }

    /// Puts batches for `time`, or until so many bytes of bodies are put. What was put is taken between
    /// the commits, so that segments go round; that time does not count.
    pub(crate) fn slice(
        &self,
        events: usize,
        time: Duration,
        most: u64,
        times: &mut Times,
    ) -> Result<(), BenchError> {
        let begin = Instant::now();
        let mut written = 0;
        while begin.elapsed() < time && written < most {
            let before = Instant::now();
            self.put(events)?;
            times.add(before.elapsed());
            written += (events * self.body.len()) as u64;
            self.take(events)?;
        }
        Ok(())
    }

    /// Puts events one by one for `time`, and takes them when that is over.
    pub(crate) fn singles(&self, time: Duration, times: &mut Times) -> Result<(), BenchError> {
        let begin = Instant::now();
        while begin.elapsed() < time {
            let before = Instant::now();
            self.put(1)?;
            times.add(before.elapsed());
        }
        self.drain()
    }

    /// The body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Takes and commits at most so many events; gives how many.
pub(crate) fn take(channel: &FileChannel, most: usize) -> Result<usize, BenchError> {
    let mut take = channel.begin_take();
    while take.len() < most && !take.take_up_to(most - take.len())?.is_empty() {}
    let taken = take.len();
    take.commit()?;
    Ok(taken)
}

/// Lets `threads` do `operation` again and again for `time`; gives the operations a second.
pub(crate) fn in_threads(
    threads: usize,
    time: Duration,
    times: &mut Times,
    operation: impl Fn() -> Result<(), BenchError> + Sync,
) -> Result<f64, BenchError> {
    let start = Barrier::new(threads + 1);
    let one = || -> Result<Times, BenchError> {
        let mut times = Times::new();
        start.wait();
        let begin = Instant::now();
        while begin.elapsed() < time {
            let before = Instant::now();
            operation()?;
            times.add(before.elapsed());
        }
        Ok(times)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        start.wait();
        let begin = Instant::now();
        let mut operations = 0;
        for worker in workers {
            let panicked = |_| BenchError::Failed("a thread panicked".into());
            let some = worker.join().map_err(panicked)??;
            operations += some.len();
            times.append(some);
        }
        Ok(operations as f64 / begin.elapsed().as_secs_f64())
    })
}
