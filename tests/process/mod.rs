//! What the tests with real processes share: a child that works on a channel and reports what it did, and a
//! ledger that holds the reports against the promises.
//!
//! The child is the test program itself, started again. It writes one line to its stderr, a pipe to the
//! parent, *after* each commit has returned, and one before each; a line is one call of write of at most
//! 4,096 bytes, so it is there whole or not at all, whatever becomes of the child.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]
#![allow(clippy::disallowed_types, reason = "not the engine: no model looks at it")]

pub mod child;
pub mod event;
pub mod ledger;
pub mod mount;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use event::Random;
use flumen::{AckDurability, ChannelOptions, Durability, ReadMode};
use ledger::{Ledger, Told};

/// Producers of a child.
pub const PRODUCERS: usize = 4;
/// Consumers of a child.
pub const CONSUMERS: usize = 3;
/// The smallest there is, so that new segments and recycling are frequent.
pub const SEGMENT_SIZE: u64 = 64 << 10;

const PLAN: &str = "FLUMEN_CHILD_PLAN";
const DIRECTORY: &str = "FLUMEN_CHILD_DIRECTORY";

/// When a child is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Never: it is killed.
    Storm,
    /// When each producer has committed so many transactions and the channel is empty; it closes the channel.
    Finish(u64),
    /// When so many commits were acknowledged: all at once and without closing, as if it were killed.
    Vanish(u64),
}

/// What a child is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    pub goal: Goal,
    /// What its choices follow from.
    pub seed: u64,
    pub lazy_acks: bool,
    /// 0: synced, 1: at an interval, 2: left to the system.
    pub durability: u64,
    pub read_map: bool,
    pub memory_tail: u64,
    pub checkpoint_ms: u64,
    pub capacity: u64,
    /// The reserve is made for the acks of the largest transaction: this decides how small a disk may be.
    pub transaction_events: usize,
    /// Producers and consumers that work.
    pub threads: [usize; 2],
    /// The number of each producer's next event.
    pub next: [u64; PRODUCERS],
}

impl Plan {
    /// One with everything at its safest, of all threads.
    pub fn new(goal: Goal, seed: u64, next: [u64; PRODUCERS]) -> Plan {
        Plan {
            goal,
            seed,
            lazy_acks: false,
            durability: 0,
            read_map: false,
            memory_tail: 4 << 20,
            checkpoint_ms: 30_000,
            capacity: 600,
            transaction_events: 1_000,
            threads: [PRODUCERS, CONSUMERS],
            next,
        }
    }

    /// The same with random ways of reading and acknowledging, all of which keep what was acknowledged safe
    /// from a power cut.
    pub fn mixed(mut self, random: &mut Random) -> Plan {
        self.lazy_acks = random.one_in(3);
        self.read_map = random.one_in(4);
        self.memory_tail = if random.one_in(2) { 0 } else { self.memory_tail };
        self.checkpoint_ms = if random.one_in(3) { 5 } else { self.checkpoint_ms };
        self.capacity = [40, 600, 5_000][random.below(3) as usize];
        self
    }

    pub fn options(&self) -> ChannelOptions {
        let durability = match self.durability {
            0 => Durability::Sync,
            1 => Durability::Interval(Duration::from_millis(20)),
            _ => Durability::Os,
        };
        let acks = match self.lazy_acks {
            true => AckDurability::Lazy(Duration::from_millis(50)),
            false => AckDurability::Sync,
        };
        ChannelOptions::new()
            .segment_size(SEGMENT_SIZE)
            .durability(durability)
            .ack_durability(acks)
            .read_mode(if self.read_map { ReadMode::Map } else { ReadMode::Pread })
            .memory_tail(self.memory_tail)
            .checkpoint_interval(Duration::from_millis(self.checkpoint_ms))
            .capacity_events(self.capacity)
            .transaction_events(self.transaction_events)
            .put_wait(Duration::from_millis(20))
    }

    fn to_text(&self) -> String {
        let (goal, count) = match self.goal {
            Goal::Storm => (0, 0),
            Goal::Finish(count) => (1, count),
            Goal::Vanish(count) => (2, count),
        };
        let mut words = vec![goal, count, self.seed, u64::from(self.lazy_acks), self.durability];
        words.extend([u64::from(self.read_map), self.memory_tail, self.checkpoint_ms]);
        words.extend([self.capacity, self.transaction_events as u64]);
        words.extend([self.threads[0] as u64, self.threads[1] as u64]);
        words.extend(self.next);
        let words: Vec<String> = words.iter().map(u64::to_string).collect();
        words.join(" ")
    }

    fn from_text(text: &str) -> Plan {
        let words = text.split(' ').map(|word| word.parse().expect("a number of `to_text`"));
        let words: Vec<u64> = words.collect();
        Plan {
            goal: match words[0] {
                0 => Goal::Storm,
                1 => Goal::Finish(words[1]),
                _ => Goal::Vanish(words[1]),
            },
            seed: words[2],
            lazy_acks: words[3] == 1,
            durability: words[4],
            read_map: words[5] == 1,
            memory_tail: words[6],
            checkpoint_ms: words[7],
            capacity: words[8],
            transaction_events: words[9] as usize,
            threads: [words[10] as usize, words[11] as usize],
            next: words[12..].try_into().expect("one for each producer"),
        }
    }
}

/// What a started child is to do and where; `None` in the parent.
pub fn asked() -> Option<(PathBuf, Plan)> {
    let plan = std::env::var(PLAN).ok()?;
    let directory = std::env::var_os(DIRECTORY).expect("the parent sets both");
    Some((PathBuf::from(directory), Plan::from_text(&plan)))
}

/// The call of this test program that does what `plan` says; `before` are words to put in front of it.
pub fn command(before: &[&str], directory: &Path, plan: &Plan) -> Command {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = match before.split_first() {
        None => Command::new(program),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    command.args(["--ignored", "--exact", "child", "--nocapture", "--test-threads", "1"]);
    command.env(PLAN, plan.to_text()).env(DIRECTORY, directory);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A running child; killed when it is dropped.
pub struct Process {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Process {
    pub fn start(mut command: Command) -> Process {
        let mut child = command.spawn().expect("it can be started");
        let stderr = child.stderr.take().expect("it was piped");
        Process { child, lines: BufReader::new(stderr) }
    }

    /// The next line; `None` when the child has ended and all was read.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a pipe can be read, and lines are text");
        // A last line without its end was never told: that is how a panic message may be cut off.
        line.ends_with('\n').then(|| line.trim_end().to_string())
    }

    /// SIGKILL. What it wrote before can still be read. Killing it again does nothing.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it is ours")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Empties the channel with a last child, which closes it, and closes the books.
pub fn drain(directory: &Path, ledger: &mut Ledger) -> Result<(), String> {
    ledger.begin_life(false);
    let plan = Plan::new(Goal::Finish(3), 0, ledger.next());
    let mut process = Process::start(command(&[], directory, &plan));
    let mut is_closed = false;
    while let Some(line) = process.line() {
        match ledger.hear(&line, &mut process)? {
            Told::Stopped(_) | Told::Failed(_) | Told::Refused => return Err(line),
            told => is_closed |= told == Told::Closed,
        }
    }
    match is_closed {
        true => ledger.finish(),
        false => Err("the last child did not close the channel".into()),
    }
}

/// Says loudly that nothing was shown. Where `FLUMEN_REQUIRE` names `what`, that is a failure.
#[allow(clippy::print_stdout, reason = "says loudly what is skipped")]
pub fn skip(what: &str, why: &str) {
    println!("SKIPPED: {why}");
    let required = std::env::var("FLUMEN_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|word| word == what);
    assert!(!is_required, "FLUMEN_REQUIRE says that {what} must be possible here: {why}");
}
