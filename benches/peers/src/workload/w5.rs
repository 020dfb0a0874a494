//! W5: one producer commits durably, one consumer takes, checks and acks, 100 events each; at most 10,000 apart.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::body::Batch;
use crate::peer::{Ack, Need, Peer, Result};
use crate::workload::{Cell, Sample, Steady};

/// Events that the producer may be ahead.
const AHEAD: u64 = 10_000;

pub(crate) fn cells() -> Vec<Cell> {
    let cell = |acks, needs, title| Cell {
        workload: "W5",
        title,
        reference: "sketch",
        sync_puts: true,
        acks,
        size: 512,
        batch: 100,
        producers: 1,
        needs,
        run,
    };
    vec![
        cell(
            Ack::Lazy,
            &[Need::Sync, Need::Batches, Need::Takes, Need::LazyAcks],
            "W5: one producer and one consumer, 100 events of 512 B per durable put and lazy ack",
        ),
        cell(
            Ack::Durable,
            &[Need::Sync, Need::Batches, Need::Takes, Need::DurableAcks],
            "W5: one producer and one consumer, 100 events of 512 B per durable put and durable ack",
        ),
    ]
}

/// How far both are.
#[derive(Default)]
struct Progress {
    put: u64,
    acked: u64,
    stopped: bool,
}

#[derive(Default)]
struct Gate {
    progress: Mutex<Progress>,
    moved: Condvar,
}

impl Gate {
    /// Waits until `ready` or the stop, changes the progress, and says whether to go on.
    fn pass(&self, ready: impl Fn(&Progress) -> bool, change: impl FnOnce(&mut Progress)) -> bool {
        let progress = self.progress.lock().expect("no panics");
        let mut progress = self
            .moved
            .wait_while(progress, |progress| !progress.stopped && !ready(progress))
            .expect("no panics");
        change(&mut progress);
        self.moved.notify_all();
        !progress.stopped
    }
}

fn run(cell: &Cell, steady: &mut Steady<'_>, time: Duration) -> Result<Sample> {
    let gate = Gate::default();
    let mut sample = Sample::default();
    let (peer, batch) = (steady.peer, &mut steady.batches[0]);
    let checker = &mut steady.checker;
    let (produced, consumed) = std::thread::scope(|scope| {
        let producer = scope.spawn(|| produce(peer, batch, &gate));
        let begin = Instant::now();
        let mut consume = || -> Result<u64> {
            let mut acked = 0;
            while begin.elapsed() < time {
                if !gate.pass(|progress| progress.put > acked, |_| {}) {
                    break;
                }
                let count = peer.take(cell.batch, cell.acks, &mut |body| checker.see(body))?;
                if count == 0 {
                    return Err("WRONG DATA: an event that was committed is not there".into());
                }
                acked += count as u64;
                gate.pass(|_| true, |progress| progress.acked = acked);
            }
            Ok(acked)
        };
        let consumed = consume();
        sample.time = begin.elapsed();
        gate.pass(|_| true, |progress| progress.stopped = true);
        (producer.join().expect("no panics"), consumed)
    });
    sample.commits = produced?;
    sample.events = consumed?;
    steady.put += gate.progress.into_inner().expect("no panics").put;
    steady.empty()?;
    Ok(sample)
}

/// What the producer does; how long its commits took.
fn produce(peer: &dyn Peer, batch: &mut Batch, gate: &Gate) -> Result<Vec<u64>> {
    let mut commits = Vec::new();
    let events = batch.len() as u64;
    while gate.pass(|progress| progress.put + events <= progress.acked + AHEAD, |_| {}) {
        batch.stamp();
        let begin = Instant::now();
        if let Err(error) = peer.put(0, batch) {
            gate.pass(|_| true, |progress| progress.stopped = true);
            return Err(error);
        }
        commits.push(begin.elapsed().as_nanos() as u64);
        gate.pass(|_| true, |progress| progress.put += events);
    }
    Ok(commits)
}
