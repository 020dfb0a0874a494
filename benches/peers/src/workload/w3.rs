//! W3: many producers, one event per durable commit.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::body::Batch;
use crate::peer::{Ack, Need, Peer, Result};
use crate::workload::{Cell, Sample, Steady};

pub(crate) fn cells() -> Vec<Cell> {
    let cell = |producers, title| Cell {
        workload: "W3",
        title,
        reference: "sketch",
        sync_puts: true,
        acks: Ack::Lazy,
        size: 512,
        batch: 1,
        producers,
        needs: &[Need::Sync],
        run,
    };
    vec![
        cell(8, "W3: 8 producers, 1 event of 512 B per durable commit"),
        cell(64, "W3: 64 producers, 1 event of 512 B per durable commit"),
    ]
}

/// When a producer is to stop, and what all have put.
struct Shared<'a> {
    peer: &'a dyn Peer,
    start: Barrier,
    stop: AtomicBool,
    put: AtomicU64,
    room: u64,
}

fn run(cell: &Cell, steady: &mut Steady<'_>, time: Duration) -> Result<Sample> {
    let mut sample = Sample::default();
    while sample.time < time {
        let left = time - sample.time;
        slice(cell, steady, left, &mut sample)?;
        steady.empty()?;
    }
    Ok(sample)
}

/// All producers at once, until the time is over or the queue is to be emptied.
fn slice(cell: &Cell, steady: &mut Steady<'_>, time: Duration, sample: &mut Sample) -> Result<()> {
    let shared = Shared {
        peer: steady.peer,
        start: Barrier::new(cell.producers + 1),
        stop: AtomicBool::new(false),
        put: AtomicU64::new(0),
        room: steady.room(),
    };
    let batches = &mut steady.batches[..cell.producers];
    let (results, elapsed) = std::thread::scope(|scope| {
        let shared = &shared;
        let threads: Vec<_> = batches
            .iter_mut()
            .enumerate()
            .map(|(producer, batch)| scope.spawn(move || produce(producer, batch, shared, time)))
            .collect();
        shared.start.wait();
        let begin = Instant::now();
        let results: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("no panics")).collect();
        (results, begin.elapsed())
    });
    for commits in results {
        sample.commits.extend(commits?);
    }
    let put = shared.put.into_inner();
    sample.time += elapsed;
    sample.events += put;
    steady.put += put;
    Ok(())
}

/// What one thread does; how long its commits took.
fn produce(
    producer: usize,
    batch: &mut Batch,
    shared: &Shared<'_>,
    time: Duration,
) -> Result<Vec<u64>> {
    let mut commits = Vec::new();
    shared.start.wait();
    let begin = Instant::now();
    let mut last = begin;
    while !shared.stop.load(Ordering::Relaxed) {
        batch.stamp();
        let done = shared.peer.put(producer, batch);
        let now = Instant::now();
        commits.push((now - last).as_nanos() as u64);
        last = now;
        let put = shared.put.fetch_add(batch.len() as u64, Ordering::Relaxed);
        if put >= shared.room || now - begin >= time || done.is_err() {
            shared.stop.store(true, Ordering::Relaxed);
        }
        done?;
    }
    Ok(commits)
}
