//! S5: producers and consumers at once.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use flumen::{Channel, ChannelOptions};

use super::error::BenchError;
use super::form::{BODY, Form};
use super::queue::{Queue, lazy};
use super::row::{Row, Unit};
use super::stats::Times;
use super::work::Outcome;

const EVENTS: usize = 100;
/// Turns that each side of a round has.
const TURNS: u32 = 3;
/// Most events that wait: in a steady state consumers keep up, whoever is faster.
const WAITING: u64 = 20_000;
/// How long a consumer waits before it looks whether it is over.
const WAIT: Duration = Duration::from_millis(5);

/// S5: batches of 100 through a channel, beside S2 at 100 in the same round.
pub(crate) fn pipeline(directory: &Path, form: Form) -> Result<Outcome, BenchError> {
    let options = || -> ChannelOptions { form.options().capacity_events(WAITING) };
    let alone = Queue::open(directory, "alone", options().ack_durability(lazy()))?.warmed(form)?;
    let loose = Queue::open(directory, "lazy", options().ack_durability(lazy()))?.warmed(form)?;
    let durable = Queue::open(directory, "durable", options())?.warmed(form)?;
    let mut times = Times::new();
    let mut rates: [Vec<f64>; 5] = Default::default();
    for _ in 0..form.rounds() {
        let (turn, from) = (form.slice() / TURNS, times.len());
        let mut sums = [0.0; 4];
        for _ in 0..TURNS {
            alone.slice(EVENTS, turn, u64::MAX, &mut times)?;
            sums[0] += flow(&loose, 1, turn)?;
            sums[1] += flow(&durable, 1, turn)?;
            sums[2] += flow(&loose, 4, turn)?;
            sums[3] += flow(&durable, 4, turn)?;
        }
        rates[0].push(times.rate_from(from) * EVENTS as f64);
        for (rounds, sum) in rates[1..].iter_mut().zip(sums) {
            rounds.push(sum / f64::from(TURNS));
        }
    }
    for queue in [alone, loose, durable] {
        queue.channel.close()?;
    }
    let [alone, loose, durable, loose4, durable4] = rates;
    let row = |id: &str, what: &str, rounds: &[f64]| {
        let what = format!("{what}, batches of 100");
        Row::new(id, what, Unit::EventsPerSecond, rounds.to_vec())
    };
    let beside = "S2 at 100";
    let rows = vec![
        row("S5/lazy", "1 producer + 1 consumer, lazy acks", &loose)
            .beside(beside, alone.clone())
            .ratio_at_least(0.85),
        row("S5/durable", "1 producer + 1 consumer, durable acks", &durable)
            .beside(beside, alone)
            .ratio_at_least(0.75),
        row("S5/lazy/4", "4 producers + 4 consumers, lazy acks", &loose4)
            .beside("one pair", loose)
            .ratio_at_least(1.0),
        row("S5/durable/4", "4 producers + 4 consumers, durable acks", &durable4)
            .beside("one pair", durable)
            .ratio_at_least(1.0),
    ];
    // In the channels may wait what the capacity allows; the channel holds 4 MiB of it in memory, not all.
    Ok(Outcome::new(rows, times.held() + (2 * EVENTS * BODY) as u64))
}

/// Lets `pairs` producers and as many consumers work; gives the events a second that were taken for good.
fn flow(queue: &Queue, pairs: usize, time: Duration) -> Result<f64, BenchError> {
    let (is_over, no_more) = (AtomicBool::new(false), AtomicBool::new(false));
    let taken = AtomicU64::new(0);
    let produce = || -> Result<(), BenchError> {
        while !is_over.load(Relaxed) {
            queue.put(EVENTS)?;
        }
        Ok(())
    };
    // Consumers go on until producers have ended: one may wait for room.
    let consume = || -> Result<(), BenchError> {
        while !no_more.load(Relaxed) {
            if queue.channel.wait(WAIT) {
                taken.fetch_add(queue.take(EVENTS)? as u64, Relaxed);
            }
        }
        Ok(())
    };
    let rate = std::thread::scope(|scope| {
        let producers: Vec<_> = (0..pairs).map(|_| scope.spawn(produce)).collect();
        let consumers: Vec<_> = (0..pairs).map(|_| scope.spawn(consume)).collect();
        std::thread::sleep(time / 10);
        let (begin, before) = (Instant::now(), taken.load(Relaxed));
        std::thread::sleep(time);
        let rate = (taken.load(Relaxed) - before) as f64 / begin.elapsed().as_secs_f64();
        is_over.store(true, Relaxed);
        let ends = producers.into_iter().map(|thread| thread.join()).collect::<Vec<_>>();
        no_more.store(true, Relaxed);
        let ends = ends.into_iter().chain(consumers.into_iter().map(|thread| thread.join()));
        let panicked = |_| BenchError::Failed("a thread panicked".into());
        ends.map(|end| end.map_err(panicked)?).collect::<Result<Vec<()>, BenchError>>()?;
        Ok::<f64, BenchError>(rate)
    })?;
    queue.drain()?;
    Ok(rate)
}
