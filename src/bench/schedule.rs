//! The order of the measuring, and how far it is.

use std::path::Path;
use std::time::{Duration, Instant};

use flumen::Shutdown;

use super::backlog;
use super::child::Running;
use super::error::BenchError;
use super::form::Form;
use super::kills;
use super::row::{Row, Unit};
use super::work::{Outcome, Work};

/// Most resident memory, beyond the benchmark's own.
const MEMORY: f64 = 32.0 * 1_048_576.0;

/// What shall be measured, and where.
pub(crate) struct Plan<'a> {
    pub(crate) form: Form,
    pub(crate) place: &'a Path,
    pub(crate) shutdown: &'a Shutdown,
    /// Told what is under way, how much is done and of how much, in milliseconds that were guessed.
    pub(crate) progress: &'a mut dyn FnMut(&str, u64, u64),
}

/// A benchmark under way.
pub(crate) struct Bench<'a> {
    pub(crate) form: Form,
    pub(crate) place: &'a Path,
    pub(crate) shutdown: &'a Shutdown,
    pub(crate) rows: Vec<Row>,
    pub(crate) memory: Vec<Row>,
    progress: &'a mut dyn FnMut(&str, u64, u64),
    task: &'static str,
    task_begun: Instant,
    done: Duration,
    expected: Duration,
    total: Duration,
}

/// A part of the schedule.
struct Task {
    name: &'static str,
    /// How long it will take, as a guess: slices of time, and bytes that go through the disk.
    expected: Duration,
    run: fn(&mut Bench<'_>) -> Result<(), BenchError>,
}

fn tasks(form: Form) -> Vec<Task> {
    let round = form.slice() * form.rounds() as u32;
    let [_, middle, large] = form.backlogs();
    let bytes = |bytes: u64| Duration::from_secs_f64(bytes as f64 / 7e8);
    let rounds = form.rounds() as u64;
    let task = |name, expected, run| Task { name, expected, run };
    let life = form.life()[1] * form.kills() as u32;
    vec![
        task("the disk's sync latency", round * 7 / 3, |bench| {
            bench.child(Work::SyncLatency, None).map(drop)
        }),
        task("S1: single commits", round * 4, |bench| {
            bench.child(Work::One, Some(("S1", "1 producer"))).map(drop)
        }),
        task("S2: batches", round * 12, |bench| {
            bench.child(Work::Batches, Some(("S2", "batches of up to 10,000"))).map(drop)
        }),
        task("S3: 8 producers", round * 4, |bench| {
            bench.child(Work::Producers { threads: 8 }, Some(("S3/8", "8 producers"))).map(drop)
        }),
        task("S3: 64 producers", round * 4, |bench| {
            bench.child(Work::Producers { threads: 64 }, Some(("S3/64", "64 producers"))).map(drop)
        }),
        task("S4: without sync", round * 4, |bench| {
            bench.child(Work::Unsynced, Some(("S4", "without sync"))).map(drop)
        }),
        task("S5: producers and consumers", round * 7, |bench| {
            bench.child(Work::Pipeline, Some(("S5", "producers and consumers"))).map(drop)
        }),
        task("S11: tail latency", form.tail() * 2, |bench| {
            bench.child(Work::Tail, Some(("S11", "tail latency"))).map(drop)
        }),
        task("S6: a small backlog", Duration::from_millis(200 * rounds), backlog::small),
        task("S6, S7, S10: a backlog", bytes(middle * (2 + 2 * rounds)), backlog::middle),
        task("S6, S7, S10: a large backlog", bytes(large * (4 + rounds)), backlog::large),
        task("SIGKILL", life, kills::rounds),
    ]
}

/// Runs the benchmark. With the rows there may be why there are no more of them.
pub(crate) fn run(plan: Plan<'_>) -> (Vec<Row>, Option<BenchError>) {
    let tasks = tasks(plan.form);
    let mut bench = Bench {
        form: plan.form,
        place: plan.place,
        shutdown: plan.shutdown,
        rows: Vec::new(),
        memory: Vec::new(),
        progress: plan.progress,
        task: "",
        task_begun: Instant::now(),
        done: Duration::ZERO,
        expected: Duration::ZERO,
        total: tasks.iter().map(|task| task.expected).sum(),
    };
    let mut ended = None;
    for task in tasks {
        bench.task = task.name;
        bench.task_begun = Instant::now();
        bench.expected = task.expected;
        bench.tick();
        if let Err(error) = (task.run)(&mut bench) {
            ended = Some(error.during(task.name));
            break;
        }
        bench.done += task.expected;
    }
    let Bench { mut rows, memory, .. } = bench;
    rows.extend(memory);
    rows.sort_by_key(|row| order(&row.id));
    (rows, ended)
}

/// The disk first, then S1 to S11, then the kills; what is of one number stays in its order.
fn order(id: &str) -> u32 {
    let name = id.split('/').next().unwrap_or(id);
    match name.strip_prefix('S').and_then(|number| number.parse().ok()) {
        Some(number) => number,
        None if name == "sync" => 0,
        None => 100,
    }
}

impl Bench<'_> {
    /// Lets a child do `work`. Its rows are kept, and its memory too, under the name and words of `memory`.
    pub(crate) fn child(
        &mut self,
        work: Work,
        memory: Option<(&str, &str)>,
    ) -> Result<Outcome, BenchError> {
        let running = Running::start(&work, self.place, self.form)?;
        let shutdown = self.shutdown;
        let (mut outcome, _) = running.finish(shutdown, &mut || self.tick())?;
        self.rows.append(&mut outcome.rows);
        if let Some((id, what)) = memory {
            self.note_memory(id, what, &[&outcome]);
        }
        Ok(outcome)
    }

    /// A row of S8: the peaks of these children.
    pub(crate) fn note_memory(&mut self, id: &str, what: &str, outcomes: &[&Outcome]) {
        let beyond = |outcome: &&Outcome| {
            let memory = outcome.memory?;
            Some(memory.peak.saturating_sub(outcome.held) as f64)
        };
        let peaks: Vec<f64> = outcomes.iter().filter_map(beyond).collect();
        let largest = peaks.iter().copied().fold(0.0, f64::max);
        let memory = outcomes.iter().filter_map(|outcome| outcome.memory);
        let anonymous = memory.map(|memory| memory.anonymous).max().unwrap_or(0);
        if largest > 0.0 {
            let row = Row::new(
                format!("S8/{id}"),
                format!("most resident memory: {what}"),
                Unit::Bytes,
                vec![largest],
            );
            let note = format!("at the end {} of its own", Unit::Bytes.show(anonymous as f64));
            self.memory.push(row.at_most(MEMORY).note(note));
        }
    }

    /// Tells how far it is.
    pub(crate) fn tick(&mut self) {
        let done = self.done + self.task_begun.elapsed().min(self.expected);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        (self.progress)(self.task, millis(done), millis(self.total));
    }
}
