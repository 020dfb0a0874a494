//! The decision table of `docs/CRASH_SAFETY.md`, row by row: for each row (T1 to T17) evidence is put on a simulated
//! disk, and the opening must give the row's verdict *by that row*; for each thing that is done with files (P1 to P27)
//! a history that makes it happen. The rows are counted in the engine (`src/marks.rs`), named in the document, and
//! tried here: the three must agree. Proves I6 (nothing is taken for what it is not) as far as evidence can be built,
//! and that no way to a verdict is without a row: whatever is done to a directory, an opening ends in exactly one.
//!
//! In one process the counters are shared, so tests that look at them take turns.

#![allow(clippy::disallowed_types, reason = "tests take turns with a plain lock")]

#[path = "decision_table/bytes.rs"]
mod bytes;
#[path = "decision_table/delivered.rs"]
mod delivered;
#[path = "decision_table/evidence.rs"]
mod evidence;
#[path = "decision_table/files.rs"]
mod files;
mod support;
#[path = "decision_table/sweep.rs"]
mod sweep;

use std::collections::BTreeSet;
use std::fmt;
use std::io::ErrorKind;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flumen::marks::{ROWS, Row};
use flumen::storage::sim::{CallKind, Fault, FaultPlan, SimDisk};
use flumen::{Channel, ChannelOptions, FileChannel, OpenError};
use support::effort::figure;
use support::history::options;

/// What an opening says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// A read failed.
    Error,
    Unsupported,
    Damage,
    /// No channel, and none was asked for.
    Absent,
    Created,
    Clean,
    Unclean,
}

/// The rows that end in a verdict, and in which.
const FINAL: [(Row, Verdict); 20] = [
    (Row::T1, Verdict::Error),
    (Row::T2, Verdict::Unsupported),
    (Row::T3, Verdict::Damage),
    (Row::T4, Verdict::Absent),
    (Row::T4a, Verdict::Damage),
    (Row::T5, Verdict::Damage),
    (Row::T5a, Verdict::Damage),
    (Row::T7, Verdict::Damage),
    (Row::T9a, Verdict::Damage),
    (Row::T9b, Verdict::Damage),
    (Row::T10, Verdict::Created),
    (Row::T11, Verdict::Damage),
    (Row::T12, Verdict::Damage),
    (Row::T12a, Verdict::Damage),
    (Row::T13, Verdict::Clean),
    (Row::T14, Verdict::Damage),
    (Row::T14a, Verdict::Damage),
    (Row::T15, Verdict::Unclean),
    (Row::T16, Verdict::Unclean),
    (Row::T17, Verdict::Damage),
];

/// How often each row was taken since some moment.
struct Taken(Vec<(Row, u64)>);

impl Taken {
    fn now() -> Taken {
        Taken(ROWS.iter().map(|row| (*row, row.taken())).collect())
    }

    fn since(&self) -> Taken {
        Taken(self.0.iter().map(|(row, before)| (*row, row.taken() - before)).collect())
    }

    fn of(&self, row: Row) -> u64 {
        self.0.iter().find(|(known, _)| *known == row).map_or(0, |(_, count)| *count)
    }

    fn has(&self, row: Row) -> bool {
        self.of(row) > 0
    }

    /// The rows taken that end in a verdict. A missing complete segment is looked for when the end of the log has its
    /// verdict already, and the sizes of files too: what refuses stands above what does not.
    fn verdict(&self) -> Result<(Row, Verdict), Vec<Row>> {
        let taken: Vec<_> = FINAL.iter().filter(|(row, _)| self.has(*row)).copied().collect();
        let opens =
            |verdict| matches!(verdict, Verdict::Clean | Verdict::Unclean | Verdict::Created);
        let (open, refused): (Vec<_>, Vec<_>) =
            taken.iter().copied().partition(|(_, verdict)| opens(*verdict));
        match (&refused[..], &open[..]) {
            ([one], [] | [_]) | ([], [one]) => Ok(*one),
            _ => Err(taken.into_iter().map(|(row, _)| row).collect()),
        }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (row, count) in self.0.iter().filter(|(_, count)| *count > 0) {
            write!(f, "{row:?} x{count} ")?;
        }
        Ok(())
    }
}

/// Nobody else in this process opens a channel meanwhile.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the channel in `disk` and says what came of it.
fn open(disk: &SimDisk, options: ChannelOptions) -> (Verdict, Option<FileChannel>) {
    match FileChannel::open_on(disk.storage(), options) {
        Ok(channel) => {
            let recovery = channel.recovery();
            let verdict = match (recovery.created, recovery.clean) {
                (true, _) => Verdict::Created,
                (false, true) => Verdict::Clean,
                (false, false) => Verdict::Unclean,
            };
            (verdict, Some(channel))
        }
        Err(OpenError::Corrupt(_)) => (Verdict::Damage, None),
        Err(OpenError::Unsupported { .. }) => (Verdict::Unsupported, None),
        Err(OpenError::NotAChannel { .. }) => (Verdict::Absent, None),
        Err(OpenError::Storage(_)) => (Verdict::Error, None),
        Err(other) => panic!("no evidence on a disk leads to this: {other}"),
    }
}

/// A row, what else it is taken with, and the evidence for it.
struct Case {
    row: Row,
    name: &'static str,
    verdict: Verdict,
    create: bool,
    disk: SimDisk,
    events: Option<u64>,
    /// The call, of this kind and on this file, that fails.
    fault: Option<(CallKind, String)>,
}

impl Case {
    fn new(row: Row, name: &'static str, verdict: Verdict, disk: SimDisk) -> Case {
        Case { row, name, verdict, create: false, disk, events: None, fault: None }
    }

    /// What must be queued after the opening.
    fn events(mut self, events: u64) -> Case {
        self.events = Some(events);
        self
    }

    fn failing(mut self, kind: CallKind, file: &str) -> Case {
        self.fault = Some((kind, file.to_string()));
        self
    }

    fn create(mut self) -> Case {
        self.create = true;
        self
    }

    fn run(&self) {
        let what = format!("{:?}, {}", self.row, self.name);
        let disk = self.disk.snapshot();
        if let Some((kind, file)) = &self.fault {
            // The names are looked at before the survey too.
            let skip = u64::from(*kind == CallKind::List);
            let plan = FaultPlan::new(Fault::Error(ErrorKind::Other));
            disk.set_plan(plan.on(&[*kind]).file(file).after(skip));
        }
        let before = Taken::now();
        let (verdict, channel) = open(&disk, options().create(self.create));
        let taken = before.since();
        assert_eq!(verdict, self.verdict, "{what}: taken {taken}");
        assert!(taken.has(self.row), "{what}: taken {taken}");
        let (row, by) = taken.verdict().unwrap_or_else(|rows| panic!("{what}: {rows:?}"));
        if self.row != Row::T4 {
            assert_eq!(by, verdict, "{what}: by {row:?}");
        }
        if let Some((row_wanted, _)) = FINAL.iter().find(|(row, _)| *row == self.row) {
            assert_eq!(row, *row_wanted, "{what}: taken {taken}");
        }
        let refused = channel.is_none();
        // The note in LOCK is no part of the channel.
        let image = |disk: &SimDisk| {
            let disk = disk.snapshot();
            disk.remove_file("LOCK");
            disk.image_hash()
        };
        if refused {
            assert_eq!(image(&disk), image(&self.disk), "{what}: a refusal changed something");
        }
        if let (Some(events), Some(channel)) = (self.events, channel) {
            assert_eq!(channel.stats().events, events, "{what}");
            let found = support::history::drain(&channel).expect("readable");
            assert_eq!(found.len() as u64, events, "{what}");
        }
    }
}

/// The rows that the document has: a line of a table that begins with `| T1 |` or the like.
fn documented() -> BTreeSet<String> {
    let is_row = |name: &str| {
        let digits = name.strip_prefix(['T', 'P']).unwrap_or_default();
        digits.starts_with(|char: char| char.is_ascii_digit())
    };
    let lines = include_str!("../docs/CRASH_SAFETY.md").lines();
    let names: Vec<String> = lines
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next().map(str::to_string))
        .filter(|name| is_row(name))
        .collect();
    let set: BTreeSet<String> = names.iter().cloned().collect();
    assert_eq!(set.len(), names.len(), "a row stands twice in the document");
    set
}

#[test]
fn the_document_and_the_engine_have_the_same_rows() {
    let counted: BTreeSet<String> = ROWS.iter().map(|row| format!("{row:?}")).collect();
    assert_eq!(documented(), counted);
}

#[test]
fn i6_every_row_has_its_evidence_and_every_action_its_history() {
    let _alone = alone();
    let before = Taken::now();
    let cases = evidence::cases();
    for case in &cases {
        case.run();
    }
    let histories = files::histories();
    for (row, history) in &histories {
        let before = Taken::now();
        history();
        let taken = before.since();
        assert!(taken.has(*row), "{row:?} was not taken by its history, but {taken}");
    }
    let tried: BTreeSet<Row> =
        cases.iter().map(|case| case.row).chain(histories.iter().map(|(row, _)| *row)).collect();
    let taken = before.since();
    for row in ROWS {
        assert!(tried.contains(row), "{row:?} has no test of its own");
        figure(&format!("row.{row:?}").to_lowercase(), taken.of(*row), 1);
    }
    figure("row.rows", ROWS.len() as u64, 47);
    figure("row.evidence", cases.len() as u64, 50);
}
