//! S6, S7, S10: channels with a backlog: opened, killed and opened, drained, checked, salvaged.

use super::child::Running;
use super::error::BenchError;
use super::row::{Row, Unit};
use super::schedule::Bench;
use super::stock;
use super::work::{Outcome, Work};

const NAME: &str = "backlog";
const SALVAGED: &str = "salvaged";
/// Bytes a second that replay, `verify` and `salvage` shall reach.
const REPLAY: f64 = 1.5e9;

/// The smallest backlog: opening.
pub(crate) fn small(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let [small, _, _] = bench.form.backlogs();
    build(bench, small)?;
    openings(bench, small)?;
    remove(bench, NAME)
}

/// The middle one: opening, salvage, draining from the page cache.
pub(crate) fn middle(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let [_, middle, _] = bench.form.backlogs();
    build(bench, middle)?;
    openings(bench, middle)?;
    salvages(bench, middle)?;
    drain(bench, middle, false)?;
    remove(bench, NAME)
}

/// The large one: opening, replay, verification, draining from the page cache and from the disk.
pub(crate) fn large(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let [_, _, large] = bench.form.backlogs();
    build(bench, large)?;
    openings(bench, large)?;
    growth(bench);
    checks(bench, large)?;
    drain(bench, large, false)?;
    remove(bench, NAME)?;
    if stock::CAN_FORGET {
        build(bench, large)?;
        drain(bench, large, true)?;
        remove(bench, NAME)?;
    }
    Ok(())
}

fn name() -> String {
    NAME.into()
}

fn build(bench: &mut Bench<'_>, bytes: u64) -> Result<Outcome, BenchError> {
    bench.child(Work::Build { name: name(), bytes }, None)
}

fn remove(bench: &Bench<'_>, name: &str) -> Result<(), BenchError> {
    Ok(std::fs::remove_dir_all(bench.place.join(name))?)
}

/// S6: opening until the first event, after a clean stop and after a kill in the middle of commits.
fn openings(bench: &mut Bench<'_>, bytes: u64) -> Result<(), BenchError> {
    let size = size(bytes);
    let mut clean = Vec::new();
    // The first opening is not counted: it comes right after the building.
    bench.child(Work::Open { name: name() }, None)?;
    for _ in 0..bench.form.rounds() {
        clean.push(bench.child(Work::Open { name: name() }, None)?);
    }
    let mut killed = Vec::new();
    for _ in 0..bench.form.rounds() {
        let work = Work::Rotate { name: name() };
        let mut running = Running::start(&work, bench.place, bench.form)?;
        running.wait_for("ready", bench.shutdown)?;
        running.kill()?;
        killed.push(bench.child(Work::Open { name: name() }, None)?);
    }
    for (id, what, outcomes, most) in
        [("clean", "clean", &clean, 10_000.0), ("killed", "after SIGKILL", &killed, 50_000.0)]
    {
        let micros = outcomes.iter().map(|outcome| outcome.get("first") * 1e6).collect();
        let what = format!("open to the first event, {size}, {what}");
        let row = Row::new(format!("S6/{id}/{size}"), what, Unit::Microseconds, micros);
        bench.rows.push(row.at_most(most));
    }
    let all: Vec<&Outcome> = clean.iter().chain(&killed).collect();
    bench.note_memory(&format!("open/{size}"), &format!("opening {size}"), &all);
    Ok(())
}

/// S6, S8: how much more time and memory the opening of the largest backlog takes than of the smallest.
fn growth(bench: &mut Bench<'_>) {
    for (id, what) in [("clean", "clean"), ("killed", "after SIGKILL")] {
        let row = growth_of(&bench.rows, &format!("S6/{id}/"), &format!("S6/growth/{id}"), what);
        bench.rows.extend(row.map(|row| row.at_most(2.0)));
    }
    let row = growth_of(&bench.memory, "S8/open/", "S8/growth", "memory of an opening");
    bench.memory.extend(row.map(|row| row.at_most(1.25)));
}

/// How many times as much the last of the rows is whose names begin so as the first of them.
fn growth_of(rows: &[Row], prefix: &str, id: &str, what: &str) -> Option<Row> {
    let of = |row: &Row| row.id.starts_with(prefix).then_some(row.value);
    let values: Vec<f64> = rows.iter().filter_map(of).collect();
    let [smallest, .., largest] = values[..] else {
        return None;
    };
    let what = format!("growth from the smallest backlog to the largest, {what}");
    let factor = vec![largest / smallest.max(1e-9)];
    Some(Row::new(id, what, Unit::Times, factor).less_is_better())
}

/// S7: draining.
fn drain(bench: &mut Bench<'_>, bytes: u64, cold: bool) -> Result<(), BenchError> {
    let size = size(bytes);
    let (id, from) = if cold { ("cold", "the disk") } else { ("cached", "the page cache") };
    let memory = (format!("drain/{id}/{size}"), format!("draining {size} from {from}"));
    let outcome = bench.child(Work::Drain { name: name(), cold }, Some((&memory.0, &memory.1)))?;
    let what = format!("drain {size}, batches of 1,000, from {from}");
    let drained = outcome.all("drained");
    let note = match (drained.first(), drained.last()) {
        (Some(first), Some(last)) => {
            let show = |value: &f64| Unit::BytesPerSecond.show(*value);
            format!("first part {}, last part {}", show(first), show(last))
        }
        _ => String::new(),
    };
    let row = Row::new(format!("S7/{id}/{size}"), what, Unit::BytesPerSecond, drained)
        .beside("sequential read", outcome.all("read"))
        .note(note);
    bench.rows.push(if cold { row.ratio_at_least(0.9) } else { row.at_least(2e9) });
    Ok(())
}

/// S10: opening without checkpoint slots, and `verify`, beside a sequential read.
fn checks(bench: &mut Bench<'_>, bytes: u64) -> Result<(), BenchError> {
    let size = size(bytes);
    let (mut reads, mut replayed, mut verified) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.form.rounds() {
        reads.push(bench.child(Work::Read { name: name() }, None)?);
        replayed.push(bench.child(Work::Replay { name: name() }, None)?);
        verified.push(bench.child(Work::Verify { name: name() }, None)?);
    }
    let micros = |outcomes: &[Outcome]| -> Vec<f64> {
        outcomes.iter().map(|outcome| outcome.get("seconds") * 1e6).collect()
    };
    let rates = |outcomes: &[Outcome]| -> Vec<f64> { outcomes.iter().map(rate).collect() };
    let what = format!("open without checkpoint slots, {size}");
    let id = format!("S10/replay/{size}");
    let row = Row::new(id, what, Unit::Microseconds, micros(&replayed))
        .beside("sequential read", micros(&reads))
        .note(
            "a segment begins with the queue's state, so one segment is replayed, not the backlog",
        );
    let met = bytes as f64 / (row.value / 1e6).max(1e-9) >= REPLAY;
    bench.rows.push(row.target("<= backlog at 1.5 GB/s", met));
    let (id, what) = (format!("S10/verify/{size}"), format!("verify, {size}"));
    let row = Row::new(id, what, Unit::BytesPerSecond, rates(&verified));
    bench.rows.push(row.beside("sequential read", rates(&reads)).at_least(REPLAY));
    let all: Vec<&Outcome> = replayed.iter().collect();
    bench.note_memory(&format!("replay/{size}"), "opening without checkpoint slots", &all);
    let all: Vec<&Outcome> = verified.iter().collect();
    bench.note_memory(&format!("verify/{size}"), &format!("verify of {size}"), &all);
    Ok(())
}

/// S10: `salvage`, beside a plain copy of the files, which is not its limit: it syncs at its end only.
fn salvages(bench: &mut Bench<'_>, bytes: u64) -> Result<(), BenchError> {
    let size = size(bytes);
    let (mut copies, mut salvages, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.form.rounds() {
        let to = || String::from(SALVAGED);
        copies.push(rate(&bench.child(Work::Copy { name: name(), to: to() }, None)?));
        remove(bench, SALVAGED)?;
        let outcome = bench.child(Work::Salvage { name: name(), to: to() }, None)?;
        remove(bench, SALVAGED)?;
        salvages.push(rate(&outcome));
        outcomes.push(outcome);
    }
    let what = format!("salvage into a new channel, {size}");
    let row = Row::new(format!("S10/salvage/{size}"), what, Unit::BytesPerSecond, salvages);
    bench.rows.push(row.beside("copy", copies).at_least(REPLAY));
    let all: Vec<&Outcome> = outcomes.iter().collect();
    bench.note_memory(&format!("salvage/{size}"), &format!("salvage of {size}"), &all);
    Ok(())
}

fn rate(outcome: &Outcome) -> f64 {
    outcome.get("bytes") / outcome.get("seconds").max(1e-9)
}

/// `5 GB`, `100 MB`, `1 KB`.
fn size(bytes: u64) -> String {
    match bytes {
        b if b >= 1_000_000_000 => format!("{} GB", b / 1_000_000_000),
        b if b >= 1_000_000 => format!("{} MB", b / 1_000_000),
        b => format!("{} KB", b / 1000),
    }
}
