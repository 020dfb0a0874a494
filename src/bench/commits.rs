//! S1, S2, S3, S9: durable commits.

use std::path::Path;
use std::time::Duration;

use flumen::Channel;

use super::error::BenchError;
use super::form::{BODY, Form};
use super::machine;
use super::queue::{Queue, in_threads, lazy};
use super::raw::Raw;
use super::row::{Row, Unit};
use super::sketch::Sketch;
use super::stats::{Latency, Side, Times};
use super::work::Outcome;

/// Turns that each side of a round has.
const TURNS: u32 = 10;
/// The same where each turn starts threads.
const GROUP_TURNS: u32 = 4;

/// S1: one producer, one event per commit.
pub(crate) fn one(directory: &Path, form: Form) -> Result<Outcome, BenchError> {
    let mut raw = Raw::new(directory, "raw", form)?;
    let mut direct = Raw::direct(directory, form)?;
    let queue = Queue::open(directory, "one", form.options())?.warmed(form)?;
    let mut sides = Sides::default();
    for _ in 0..form.rounds() {
        sides.round(
            form.slice(),
            |time, times| Ok(raw.synced(BODY, time, times)?),
            |time, times| past_the_cache(&mut direct, BODY, time, times),
            |time, times| queue.singles(time, times),
        )?;
    }
    queue.channel.close()?;
    let held = raw.held() + direct.map_or(0, |direct| direct.held()) + sides.held();
    let direct_row = sides.direct_row("S1", 1.0);
    let row = sides.row("S1", "1 producer, 1 event per durable commit", 1.0).ratio_at_least(0.95);
    Ok(Outcome::new([Some(row), direct_row].into_iter().flatten().collect(), held))
}

/// S2: one producer, many events per commit. S9: what that writes to the device.
pub(crate) fn batches(directory: &Path, form: Form) -> Result<Outcome, BenchError> {
    let mut raw = Raw::new(directory, "raw", form)?.reserve(10_000 * BODY);
    let mut direct = Raw::direct(directory, form)?.map(|direct| direct.reserve(10_000 * BODY));
    let options = form.options().ack_durability(lazy());
    let queue = Queue::open(directory, "batches", options)?.warmed(form)?;
    let cases = [(100, "100", 0.90), (1000, "1,000", 0.90), (10_000, "10,000", 0.80)];
    let mut all = cases.map(|_| Sides::default());
    for _ in 0..form.rounds() {
        for ((events, _, _), sides) in cases.iter().zip(&mut all) {
            sides.round(
                form.slice(),
                |time, times| Ok(raw.synced(events * BODY, time, times)?),
                |time, times| past_the_cache(&mut direct, events * BODY, time, times),
                |time, times| queue.slice(*events, time, u64::MAX, times),
            )?;
        }
    }
    let mut held = raw.held() + direct.map_or(0, |direct| direct.held());
    let mut rows = Vec::new();
    for ((events, name, target), mut sides) in cases.into_iter().zip(all) {
        held += sides.held();
        let what = format!("1 producer, {name} events per durable commit");
        let id = format!("S2/{events}");
        let direct_row = sides.direct_row(&id, events as f64);
        rows.push(sides.row(&id, &what, events as f64).ratio_at_least(target));
        rows.extend(direct_row);
    }
    rows.extend(written(directory, form, &mut raw, &queue)?);
    queue.channel.close()?;
    Ok(Outcome::new(rows, held))
}

/// S9; none where the device does not count what is written to it.
fn written(
    directory: &Path,
    form: Form,
    raw: &mut Raw,
    queue: &Queue,
) -> Result<Option<Row>, BenchError> {
    const EVENTS: usize = 100;
    let count = || machine::bytes_written(directory);
    let (mut ours, mut raws) = (Vec::new(), Vec::new());
    for _ in 0..form.rounds() {
        let mut times = Times::new();
        let Some(before) = count() else {
            return Ok(None);
        };
        raw.synced(EVENTS * BODY, form.slice(), &mut times)?;
        let Some(between) = count() else {
            return Ok(None);
        };
        let puts = times.len();
        queue.slice(EVENTS, form.slice(), u64::MAX, &mut times)?;
        queue.channel.sync()?;
        let Some(after) = count() else {
            return Ok(None);
        };
        let payload = |commits: usize| (commits.max(1) * EVENTS * BODY) as f64;
        raws.push((between - before) as f64 / payload(puts));
        ours.push((after - between) as f64 / payload(times.len() - puts));
    }
    let row = Row::new("S9", "device bytes written per payload byte, at 100", Unit::Times, ours)
        .less_is_better()
        .beside("raw", raws);
    // Raw rounds up to whole pages. What it shows beyond that was written by others.
    let is_disturbed = row.limit.as_ref().is_some_and(|limit| limit.value > 1.25);
    let others = "whatever else wrote to the device at that time is counted too";
    Ok(Some(match is_disturbed {
        true => row.note(format!("{others}, and it was too much for a verdict")),
        false => row.at_most(1.10).note(others),
    }))
}

/// S3: many producers, one event per commit.
pub(crate) fn producers(
    directory: &Path,
    form: Form,
    threads: usize,
) -> Result<Outcome, BenchError> {
    let mut raw = Raw::new(directory, "raw", form)?;
    let sketch = Sketch::new(directory, form)?;
    let queue = Queue::open(directory, "one", form.options())?.warmed(form)?;
    let (mut raw_times, mut times, mut sketch_times) = (Times::new(), Times::new(), Times::new());
    let mut single_times = Times::new();
    let (mut ours, mut sketches, mut singles) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..form.rounds() {
        let (single_from, turn) = (single_times.len(), form.slice() / GROUP_TURNS);
        let mut rates = [0.0; 2];
        for _ in 0..GROUP_TURNS {
            raw.synced(BODY, turn / 2, &mut raw_times)?;
            queue.singles(turn / 2, &mut single_times)?;
            let commit = || Ok(sketch.commit(queue.body())?);
            rates[0] += in_threads(threads, turn, &mut sketch_times, commit)?;
            rates[1] += in_threads(threads, turn, &mut times, || queue.put(1))?;
            queue.drain()?;
        }
        singles.push(single_times.rate_from(single_from));
        sketches.push(rates[0] / f64::from(GROUP_TURNS));
        ours.push(rates[1] / f64::from(GROUP_TURNS));
    }
    queue.channel.close()?;
    let held = raw.held() + times.held() + sketch_times.held() + raw_times.held();
    let [raw_sync, ours_latency, sketch_latency] =
        [raw_times, times, sketch_times].map(Times::latency);
    let scaling: Vec<f64> = ours.iter().zip(&singles).map(|(many, one)| many / one).collect();
    let least = if threads == 8 { 5.0 } else { 20.0 };
    let id = format!("S3/{threads}");
    let what = format!("{threads} producers, 1 event per durable commit");
    let p99 = p99(&id, threads, &ours_latency, [&raw_sync, &sketch_latency]);
    let rows = vec![
        Row::new(&id, what, Unit::EventsPerSecond, ours)
            .beside("group sketch", sketches)
            .with_latency(ours_latency, Some(sketch_latency))
            .ratio_at_least(1.0),
        Row::new(
            format!("{id}/S1"),
            format!("{threads} producers against one"),
            Unit::Times,
            scaling,
        )
        .at_least(least),
        p99,
    ];
    Ok(Outcome::new(rows, held))
}

/// Beside those of the raw disk and of the sketch: what a noisy machine makes of them no channel can mend.
fn p99(id: &str, threads: usize, ours: &Latency, [raw, sketch]: [&Latency; 2]) -> Row {
    let what = format!("{threads} producers: p99 of a commit");
    let [alone, bare] = [raw, sketch].map(|latency| latency.p99 / raw.p50);
    let row = Row::new(format!("{id}/p99"), what, Unit::Microseconds, vec![ours.p99])
        .beside("raw sync", vec![raw.p50])
        .note(format!("p99 of raw alone {alone:.1} of its syncs, of the sketch {bare:.1}"));
    let met = ours.p99 < 4.0 * raw.p50;
    row.target("< 4 raw syncs (p50)", met)
}

/// A turn of the disk past the cache, where the file system allows that.
fn past_the_cache(
    direct: &mut Option<Raw>,
    bytes: usize,
    time: Duration,
    times: &mut Times,
) -> Result<(), BenchError> {
    match direct {
        Some(direct) => Ok(direct.synced(bytes, time, times)?),
        None => Ok(()),
    }
}

/// The raw limit, the same past the cache, and the channel, taking turns.
#[derive(Default)]
pub(crate) struct Sides {
    raw: Side,
    direct: Side,
    ours: Side,
}

impl Sides {
    /// A round, in which each side has `time`. They take many short turns, so that what else happens on the
    /// machine happens to all.
    pub(crate) fn round(
        &mut self,
        time: Duration,
        mut raw: impl FnMut(Duration, &mut Times) -> Result<(), BenchError>,
        mut direct: impl FnMut(Duration, &mut Times) -> Result<(), BenchError>,
        mut ours: impl FnMut(Duration, &mut Times) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        for _ in 0..TURNS {
            raw(time / TURNS, &mut self.raw.times)?;
            direct(time / TURNS, &mut self.direct.times)?;
            ours(time / TURNS, &mut self.ours.times)?;
        }
        for side in [&mut self.raw, &mut self.direct, &mut self.ours] {
            side.end_round();
        }
        Ok(())
    }

    /// Bytes of memory for the times.
    pub(crate) fn held(&self) -> u64 {
        [&self.raw, &self.direct, &self.ours].iter().map(|side| side.times.held()).sum()
    }

    /// The row; rounds are commits a second until here.
    pub(crate) fn row(self, id: &str, what: &str, events: f64) -> Row {
        Row::new(id, what, Unit::EventsPerSecond, scaled(&self.ours.rates, events))
            .beside("raw", scaled(&self.raw.rates, events))
            .with_latency(self.ours.times.latency(), Some(self.raw.times.latency()))
    }

    /// The row of the disk past the cache, beside the same limit; none where it had no turns.
    fn direct_row(&mut self, id: &str, events: f64) -> Option<Row> {
        let Side { rates, times, .. } = std::mem::take(&mut self.direct);
        let what = "the disk alone, past the cache, at the same bytes";
        let row =
            Row::new(format!("{id}/direct"), what, Unit::EventsPerSecond, scaled(&rates, events));
        let row = row.beside("raw", scaled(&self.raw.rates, events));
        (times.len() > 0).then(|| row.with_latency(times.latency(), None))
    }
}

/// Commits a second as events a second.
fn scaled(rates: &[f64], events: f64) -> Vec<f64> {
    rates.iter().map(|rate| rate * events).collect()
}
