//! W6: opening until the first event, with a backlog: after SIGKILL and after a clean end; then draining it in
//! batches of 1,000 with lazy acks, every body checked; and the memory that both take.
//!
//! Each step is a process of its own: one fills and is killed, one opens what is left and ends cleanly, one
//! opens that and drains it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::body::{Batch, Checker};
use crate::peer::{Ack, Contestant, Need, Peer, Result, Setup};
use crate::workload;

/// Events per commit, and per take.
const BATCH: usize = 1000;
const SIZE: usize = 512;
/// Filling ends after this long, with what is queued then.
const FILLING: Duration = Duration::from_secs(60);

const SETUP: Setup = Setup { sync_puts: false, acks: Ack::Lazy, steady: false, size: SIZE };

/// What one contestant did in one round.
pub(crate) struct Sample {
    pub(crate) events: u64,
    pub(crate) fill_rate: f64,
    pub(crate) killed_ms: f64,
    pub(crate) clean_ms: f64,
    pub(crate) drain_rate: f64,
    /// Most memory resident in the process that opens and drains, beyond what it had before.
    pub(crate) resident_mib: f64,
    /// The part of it that is no mapped file, at the end.
    pub(crate) anonymous_mib: f64,
}

pub(crate) fn refuses(contestant: &Contestant) -> Option<&'static str> {
    // Filling ends with a sync, so it does not matter where unsynced events are.
    let needs = [Need::Backlog, Need::Batches, Need::Takes];
    needs.into_iter().filter_map(|need| contestant.lacks(need)).next()
}

/// One round of one contestant.
pub(crate) fn round(contestant: &Contestant, directory: &Path, events: u64) -> Result<Sample> {
    let place = directory.join(contestant.name);
    std::fs::create_dir_all(&place)?;
    let filled = fill(contestant, &place, events)?;
    let number = |value: &Value, key: &str| value[key].as_f64().unwrap_or(f64::NAN);
    let killed = child(contestant, &place, "open", &[])?;
    let clean = child(contestant, &place, "drain", &[])?;
    std::fs::remove_dir_all(&place)?;
    let (events, drained) = (number(&filled, "events"), number(&clean, "events"));
    if events != drained {
        return Err(format!("WRONG DATA: {events} events were put, {drained} came out").into());
    }
    Ok(Sample {
        events: events as u64,
        fill_rate: events / number(&filled, "seconds"),
        killed_ms: number(&killed, "first_ms"),
        clean_ms: number(&clean, "first_ms"),
        drain_rate: drained / number(&clean, "seconds"),
        resident_mib: number(&clean, "resident_kib") / 1024.0,
        anonymous_mib: number(&clean, "anonymous_kib") / 1024.0,
    })
}

fn command(contestant: &Contestant, place: &Path, step: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["step", step, contestant.name]).arg(place).stdout(Stdio::piped());
    Ok(command)
}

/// Fills and kills.
fn fill(contestant: &Contestant, place: &Path, events: u64) -> Result<Value> {
    let mut child = command(contestant, place, "fill")?
        .arg("--events")
        .arg(events.to_string())
        .stdin(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    let read = BufReader::new(stdout).read_line(&mut line);
    child.kill()?;
    child.wait()?;
    read?;
    serde_json::from_str(&line).map_err(|_| format!("filling failed: {line}").into())
}

fn child(contestant: &Contestant, place: &Path, step: &str, more: &[&str]) -> Result<Value> {
    let output = command(contestant, place, step)?.args(more).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let value: Value = serde_json::from_str(&text)
        .map_err(|_| format!("{step} ended with {}: {text}", output.status))?;
    match value["error"].as_str() {
        Some(error) => Err(format!("{step}: {error}").into()),
        None => Ok(value),
    }
}

/// What a process of its own does, told on its standard output.
pub(crate) fn step(step: &str, contestant: &Contestant, place: &Path, events: u64) -> Value {
    let done = match step {
        "fill" => filling(contestant, place, events),
        "open" => opening(contestant, place, false),
        _ => opening(contestant, place, true),
    };
    done.unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

fn filling(contestant: &Contestant, place: &Path, events: u64) -> Result<Value> {
    let peer = workload::open(contestant, place, &SETUP)?;
    let mut batch = Batch::new(0, SIZE, BATCH, contestant.owns);
    let (begin, mut put) = (Instant::now(), 0);
    while put < events && begin.elapsed() < FILLING {
        batch.stamp();
        peer.put(0, &batch)?;
        put += BATCH as u64;
    }
    peer.sync()?;
    println!("{}", json!({ "events": put, "seconds": begin.elapsed().as_secs_f64() }));
    // To be killed here.
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing)?;
    Err("it was not killed".into())
}

fn opening(contestant: &Contestant, place: &Path, drain: bool) -> Result<Value> {
    let before = (memory_kib("VmRSS"), memory_kib("RssAnon"));
    let begin = Instant::now();
    let peer = workload::open(contestant, place, &SETUP)?;
    let mut first = Checker::default();
    if peer.take(1, Ack::Never, &mut |body| first.see(body))? != 1 {
        return Err("WRONG DATA: no event was there after opening".into());
    }
    let first_ms = begin.elapsed().as_secs_f64() * 1e3;
    first.verdict()?;
    let (mut events, mut seconds) = (0, 0.0);
    if drain {
        (events, seconds) = draining(&*peer)?;
    }
    let resident_kib = memory_kib("VmHWM").saturating_sub(before.0);
    let anonymous_kib = memory_kib("RssAnon").saturating_sub(before.1);
    peer.close()?;
    Ok(json!({
        "first_ms": first_ms,
        "events": events,
        "seconds": seconds,
        "resident_kib": resident_kib,
        "anonymous_kib": anonymous_kib,
    }))
}

fn draining(peer: &dyn Peer) -> Result<(u64, f64)> {
    let mut checker = Checker::default();
    let begin = Instant::now();
    while peer.take(BATCH, Ack::Lazy, &mut |body| checker.see(body))? > 0 {}
    let seconds = begin.elapsed().as_secs_f64();
    checker.verdict()?;
    Ok((checker.seen(), seconds))
}

/// A figure of `/proc/self/status`.
fn memory_kib(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
