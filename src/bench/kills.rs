//! A channel that is killed at work, again and again: what was lost, what came twice.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use flumen::{Channel, Event, FileChannel};

use super::child::Running;
use super::error::BenchError;
use super::form::{BODY, Form};
use super::ledger::Ledger;
use super::row::{Row, Unit};
use super::schedule::Bench;
use super::work::{Outcome, Work};
use crate::random::Random;

const NAME: &str = "killed";
const PRODUCERS: u64 = 2;
/// Most events of a transaction of the child's.
const BATCH: u64 = 50;

/// The rounds of SIGKILL, and the account of them.
pub(crate) fn rounds(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (form, mut random) = (bench.form, Random::new(Random::any_seed()));
    let mut ledger = Ledger::default();
    let [least, most] = form.life();
    for life in 0..form.kills() as u64 {
        let work = Work::Live { name: NAME.into(), life, last: false };
        let child = Running::start(&work, bench.place, form)?;
        let agony = random.below((most - least).as_micros() as u64);
        if bench.shutdown.sleep(least + Duration::from_micros(agony)) {
            return Err(BenchError::Interrupted);
        }
        ledger.live(&child.kill()?);
        bench.tick();
    }
    let life = form.kills() as u64;
    let last = Work::Live { name: NAME.into(), life, last: true };
    let (_, lines) =
        Running::start(&last, bench.place, form)?.finish(bench.shutdown, &mut || {})?;
    ledger.live(&lines);
    ledger.end();
    for (id, what, count) in [
        ("kill/lost", "SIGKILL at work: events lost", ledger.lost),
        ("kill/duplicated", "SIGKILL at work: events duplicated", ledger.duplicated),
        ("kill/reordered", "SIGKILL at work: events out of order", ledger.reordered),
    ] {
        let row = Row::new(id, what, Unit::Count, vec![count as f64]);
        bench.rows.push(row.at_most(0.0));
    }
    if let Some(row) = bench.rows.last_mut() {
        let fault = ledger.first_fault.map_or(String::new(), |fault| format!("; first: {fault}"));
        let kills = form.kills();
        row.note = Some(format!("{kills} kills, {} events delivered{fault}", ledger.delivered));
    }
    Ok(())
}

/// A life of the channel in a child process: producers and a consumer that tell what they do, until a kill;
/// in the last one only a consumer, until nothing is left.
pub(crate) fn live(
    directory: &Path,
    form: Form,
    life: u64,
    is_last: bool,
) -> Result<Outcome, BenchError> {
    // Small segments, so that kills meet the ends of many.
    let channel = FileChannel::open(directory, form.options().segment_size(256 << 10))?;
    let out = Mutex::new(io::stdout());
    let tell = |line: &str| -> io::Result<()> {
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(line.as_bytes())?;
        out.flush()
    };
    if is_last {
        while consume(&channel, &tell)? {}
        channel.close()?;
        return Ok(Outcome::new(Vec::new(), 0));
    }
    std::thread::scope(|scope| {
        let produce = |producer| {
            let channel = &channel;
            let tell = &tell;
            move || produce(channel, producer, tell)
        };
        let producers: Vec<_> =
            (0..PRODUCERS).map(|n| scope.spawn(produce(life * PRODUCERS + n))).collect();
        while producers.iter().all(|producer| !producer.is_finished()) {
            if channel.wait(Duration::from_millis(10)) {
                consume(&channel, &tell)?;
            }
        }
        Err(BenchError::Failed("a producer ended by itself".into()))
    })
}

/// Puts numbered events until the process ends.
fn produce(
    channel: &FileChannel,
    producer: u64,
    tell: &impl Fn(&str) -> io::Result<()>,
) -> Result<(), BenchError> {
    let mut random = Random::new(producer);
    let padding = random.bytes(BODY - 16);
    let mut next: u64 = 0;
    loop {
        let mut put = channel.begin_put();
        for _ in 0..1 + random.below(BATCH) {
            let mut body = Vec::with_capacity(BODY);
            body.extend(producer.to_le_bytes());
            body.extend(next.to_le_bytes());
            body.extend(&padding);
            put.put(Event::new(body))?;
            next += 1;
        }
        put.commit()?;
        tell(&format!("P {producer} {next}\n"))?;
    }
}

/// Takes a transaction of events and tells of it; false when there are none.
fn consume(
    channel: &FileChannel,
    tell: &impl Fn(&str) -> io::Result<()>,
) -> Result<bool, BenchError> {
    let mut runs: Vec<(u64, u64, u64)> = Vec::new();
    let mut take = channel.begin_take();
    while take.len() < BATCH as usize {
        let Some(event) = take.take()? else {
            break;
        };
        let (producer, number) = names(&event)?;
        match runs.last_mut() {
            Some((last, _, end)) if *last == producer && *end == number => *end += 1,
            _ => runs.push((producer, number, number + 1)),
        }
    }
    let mut line = String::from("t");
    for (producer, first, end) in &runs {
        line.push_str(&format!(" {producer}:{first}-{end}"));
    }
    line.push('\n');
    tell(&line)?;
    take.commit()?;
    tell("T\n")?;
    Ok(!runs.is_empty())
}

/// Producer and number of an event; an error when its body is not what was put.
fn names(event: &Event) -> Result<(u64, u64), BenchError> {
    let altered = || BenchError::Failed("an event came back altered".into());
    let (words, padding) = event.body.as_chunks::<8>();
    let [producer, number, rest @ ..] = words else {
        return Err(altered());
    };
    let (producer, number) = (u64::from_le_bytes(*producer), u64::from_le_bytes(*number));
    let expected = Random::new(producer).bytes(BODY - 16);
    match padding.is_empty() && rest.as_flattened() == expected {
        true => Ok((producer, number)),
        false => Err(altered()),
    }
}
