//! S11: the slowest commits, while segments roll, checkpoints are written and space is collected.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use flumen::Channel;

use super::error::BenchError;
use super::form::{BODY, Form};
use super::queue::{Queue, lazy};
use super::raw::Raw;
use super::row::{Row, Unit};
use super::stats::Times;
use super::work::Outcome;

const EVENTS: usize = 100;
/// No stall above this, unless the raw disk shows it too, in microseconds.
const STALL: f64 = 20_000.0;

/// S11: a producer's commits of 100 events with a consumer beside it, and the raw disk's in slices between.
pub(crate) fn tail(directory: &Path, form: Form) -> Result<Outcome, BenchError> {
    let mut raw = Raw::new(directory, "raw", form)?;
    let options = form.options().ack_durability(lazy());
    let options = options.checkpoint_interval(form.tail() / 10).segment_size(form.tail_segment());
    let queue = Queue::open(directory, "tail", options)?.warmed(form)?;
    let (mut raw_times, mut times) = (Times::new(), Times::new());
    let is_over = AtomicBool::new(false);
    let consume = || -> Result<(), BenchError> {
        while !is_over.load(Relaxed) {
            if queue.channel.wait(Duration::from_millis(5)) {
                queue.take(EVENTS)?;
            }
        }
        Ok(())
    };
    let mut measure = |raw_times: &mut Times, times: &mut Times| -> Result<(), BenchError> {
        let slice = (form.tail() / 8).min(Duration::from_millis(500));
        let mut spent = Duration::ZERO;
        while spent < form.tail() {
            raw.synced(EVENTS * BODY, slice, raw_times)?;
            let begin = Instant::now();
            while begin.elapsed() < slice {
                let before = Instant::now();
                queue.put(EVENTS)?;
                times.add(before.elapsed());
            }
            spent += slice;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let consumer = scope.spawn(consume);
        let measured = measure(&mut raw_times, &mut times);
        is_over.store(true, Relaxed);
        let consumed = consumer.join().map_err(|_| BenchError::Failed("a thread panicked".into()));
        measured.and(consumed?)
    })?;
    queue.drain()?;
    queue.channel.close()?;
    let held = raw.held() + raw_times.held() + times.held();
    let rolls = times.len() as u64 * (EVENTS * BODY) as u64 / form.tail_segment();
    let (raw_latency, latency) = (raw_times.latency(), times.latency());
    let met = latency.max <= STALL.max(raw_latency.max);
    let micros = Unit::Microseconds;
    let text = format!("max {} (raw {})", micros.show(latency.max), micros.show(raw_latency.max));
    let row = Row::new(
        "S11",
        "p99.9 of a commit of 100, a consumer beside it",
        micros,
        vec![latency.p999],
    )
    .beside("raw", vec![raw_latency.p999])
    .with_latency(latency, Some(raw_latency))
    .target("max <= 20 ms or raw's", met)
    .note(format!("{text}; about {rolls} segments rolled"));
    Ok(Outcome::new(vec![row], held))
}
