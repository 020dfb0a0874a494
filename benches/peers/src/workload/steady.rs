//! A queue in steady state: what is put is taken again. Where only puts are timed, the clock stands still while
//! the queue is emptied.

use std::time::{Duration, Instant};

use crate::body::{Batch, Checker};
use crate::peer::{Ack, Contestant, Need, Peer, Result};
use crate::workload::{Cell, Sample};

/// Bytes that may be queued before the clock is stopped and the queue is emptied.
const QUEUED: usize = 8 << 20;
/// Warming up ends after this many bytes, or this long.
const WARM_BYTES: usize = 192 << 20;
const WARM_TIME: Duration = Duration::from_millis(1500);
const WARM_BATCH: usize = 1000;
/// Events per take where it is not timed.
const EMPTYING: usize = 1000;

/// A contestant with what was put and taken so far.
pub(crate) struct Steady<'a> {
    pub(crate) peer: &'a dyn Peer,
    /// By producer.
    pub(crate) batches: Vec<Batch>,
    pub(crate) checker: Checker,
    pub(crate) put: u64,
    size: usize,
    takes: bool,
    acks: Ack,
}

impl<'a> Steady<'a> {
    pub(crate) fn new(peer: &'a dyn Peer, cell: &Cell, contestant: &Contestant) -> Steady<'a> {
        // An extra producer puts what warms up.
        let mut batches: Vec<Batch> = (0..cell.producers)
            .map(|producer| Batch::new(producer, cell.size, cell.batch, contestant.owns))
            .collect();
        batches.push(Batch::new(cell.producers, cell.size, WARM_BATCH, contestant.owns));
        Steady {
            peer,
            batches,
            checker: Checker::default(),
            put: 0,
            size: cell.size,
            takes: contestant.lacks(Need::Takes).is_none(),
            acks: cell.acks,
        }
    }

    /// Fills and empties until files are used again, as far as the time allows.
    pub(crate) fn warm_up(&mut self) -> Result<()> {
        let begin = Instant::now();
        let producer = self.batches.len() - 1;
        let mut bytes = 0;
        while bytes < WARM_BYTES && begin.elapsed() < WARM_TIME {
            self.commit(producer)?;
            bytes += WARM_BATCH * self.size;
            if self.full() {
                self.empty()?;
            }
        }
        self.empty()
    }

    /// Puts the next batch of the producer, and says how long the put took.
    pub(crate) fn commit(&mut self, producer: usize) -> Result<Duration> {
        let batch = &mut self.batches[producer];
        batch.stamp();
        let begin = Instant::now();
        self.peer.put(producer, batch)?;
        let time = begin.elapsed();
        self.put += batch.len() as u64;
        Ok(time)
    }

    pub(crate) fn full(&self) -> bool {
        (self.put - self.checker.seen()) as usize * self.size >= QUEUED
    }

    /// Events that may be put before the queue is to be emptied.
    pub(crate) fn room(&self) -> u64 {
        (QUEUED / self.size) as u64
    }

    /// Takes all that is queued, and checks it.
    pub(crate) fn empty(&mut self) -> Result<()> {
        if !self.takes {
            return Ok(());
        }
        let ack = if self.acks == Ack::Never { Ack::Lazy } else { self.acks };
        while self.checker.seen() < self.put {
            let checker = &mut self.checker;
            if self.peer.take(EMPTYING, ack, &mut |body| checker.see(body))? == 0 {
                let lost = self.put - self.checker.seen();
                return Err(format!("WRONG DATA: {lost} events of {} are gone", self.put).into());
            }
        }
        Ok(self.checker.verdict()?)
    }
}

/// One producer, until its commits have taken `time`; nothing between them is timed.
pub(crate) fn produce(_cell: &Cell, steady: &mut Steady<'_>, time: Duration) -> Result<Sample> {
    let mut sample = Sample::default();
    let before = steady.put;
    while sample.time < time {
        let commit = steady.commit(0)?;
        sample.commits.push(commit.as_nanos() as u64);
        sample.time += commit;
        if steady.full() {
            steady.empty()?;
        }
    }
    sample.events = steady.put - before;
    steady.empty()?;
    Ok(sample)
}
