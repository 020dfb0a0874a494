//! Histories of operations on one channel, and a model that says what must be found after a crash.
//!
//! The model shares no code with the engine: it is a list of bodies. One thread runs the history, so at any
//! moment at most one operation is in doubt, and what is found is the state before it or the one after.

use flumen::storage::sim::SimDisk;
use flumen::{Channel, ChannelOptions, Event, FileChannel};
use std::time::Duration;

/// One step of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Commits so many small events.
    Put(usize),
    /// Commits one event of so many kilobytes.
    PutLarge(usize),
    /// Puts, then rolls back.
    PutRollback(usize),
    /// Takes so many and commits.
    Take(usize),
    /// Takes so many and rolls back.
    TakeRollback(usize),
    /// Takes so many, gives back the first, and commits the others: an ack out of order.
    TakeLater(usize),
    Checkpoint,
    /// Everything that the helper thread does at intervals.
    Maintain,
    /// Closes and opens.
    Reopen,
    /// Opens again without having closed.
    Abandon,
}

/// What happened during one step: the calls it took, and the queue before and after it.
#[derive(Clone, Debug)]
pub struct Span {
    pub step: Step,
    /// The disk's call counter when the step began, and when it was acknowledged.
    pub calls: (u64, u64),
    pub before: Vec<String>,
    pub after: Vec<String>,
}

pub fn options() -> ChannelOptions {
    ChannelOptions::new()
        .segment_size(64 << 10)
        .transaction_events(64)
        .put_wait(Duration::ZERO)
        .background(false)
}

pub fn open(disk: &SimDisk) -> Result<FileChannel, flumen::OpenError> {
    FileChannel::open_on(disk.storage(), options())
}

/// Runs a history on a channel of the model's.
pub struct Runner {
    pub disk: SimDisk,
    pub channel: Option<FileChannel>,
    pub queue: Vec<String>,
    pub spans: Vec<Span>,
    next: u64,
}

impl Runner {
    /// A new disk, recording every moment.
    pub fn new(seed: u64) -> Runner {
        let disk = SimDisk::new(seed);
        disk.record();
        Runner { disk, channel: None, queue: Vec::new(), spans: Vec::new(), next: 0 }
    }

    pub fn run(&mut self, steps: &[Step]) {
        self.span(Step::Reopen, |runner| runner.channel = Some(open(&runner.disk).expect("opens")));
        for step in steps {
            self.span(*step, |runner| runner.step(*step));
        }
    }

    fn span(&mut self, step: Step, act: impl FnOnce(&mut Runner)) {
        let (begin, before) = (self.disk.calls(), self.queue.clone());
        act(self);
        let calls = (begin, self.disk.calls());
        self.spans.push(Span { step, calls, before, after: self.queue.clone() });
    }

    fn channel(&self) -> &FileChannel {
        self.channel.as_ref().expect("opened")
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put(count) => self.put(count, 0, true),
            Step::PutLarge(size) => self.put(1, size << 10, true),
            Step::PutRollback(count) => self.put(count, 0, false),
            Step::Take(count) => self.take(count, 0, true),
            Step::TakeRollback(count) => self.take(count, 0, false),
            Step::TakeLater(count) => self.take(count, 1, true),
            Step::Checkpoint => self.channel().checkpoint().expect("works"),
            Step::Maintain => self.channel().maintain().expect("works"),
            Step::Reopen => {
                self.channel().close().expect("closes");
                self.channel = None;
                self.channel = Some(open(&self.disk).expect("opens"));
            }
            Step::Abandon => {
                self.channel = None;
                self.channel = Some(open(&self.disk).expect("opens"));
            }
        }
    }

    fn put(&mut self, count: usize, size: usize, commit: bool) {
        let mut put = self.channel().begin_put();
        let mut bodies = Vec::new();
        for _ in 0..count {
            let body = format!("{}:{}", self.next, "x".repeat(size));
            self.next += 1;
            put.put(Event::new(body.as_str())).expect("there is room");
            bodies.push(body);
        }
        if commit {
            put.commit().expect("commits");
            self.queue.extend(bodies);
        }
    }

    fn take(&mut self, count: usize, skip: usize, commit: bool) {
        let mut first = self.channel().begin_take();
        let mut take = self.channel().begin_take();
        let mut taken = 0;
        for index in 0..count {
            let transaction = if index < skip { &mut first } else { &mut take };
            let Some(event) = transaction.take().expect("readable") else {
                break;
            };
            assert_eq!(&*event.body, self.queue[index].as_bytes(), "I3");
            taken += 1;
        }
        if commit {
            take.commit().expect("commits");
            self.queue.drain(skip.min(taken)..taken);
        }
    }
}

/// All events, in order; nothing is committed.
pub fn drain(channel: &FileChannel) -> Result<Vec<String>, String> {
    let mut bodies = Vec::new();
    let mut transactions = Vec::new();
    loop {
        let mut take = channel.begin_take();
        for _ in 0..64 {
            match take.take() {
                Ok(Some(event)) => {
                    bodies.push(String::from_utf8_lossy(&event.body).into_owned());
                }
                Ok(None) => return Ok(bodies),
                Err(error) => return Err(error.to_string()),
            }
        }
        transactions.push(take);
    }
}

/// What may be found after a crash when the disk's call counter stood at `calls`.
pub fn allowed(spans: &[Span], calls: u64) -> Vec<Vec<String>> {
    let in_doubt = spans.iter().find(|span| span.calls.0 < calls && calls < span.calls.1);
    if let Some(span) = in_doubt {
        return vec![span.before.clone(), span.after.clone()];
    }
    let last = spans.iter().rev().find(|span| span.calls.1 <= calls);
    vec![last.map(|span| span.after.clone()).unwrap_or_default()]
}

/// Says an image's queue in few words.
pub fn brief(queue: &[String]) -> Vec<&str> {
    queue.iter().map(|body| body.split(':').next().unwrap_or("?")).collect()
}
