//! The operations of a history, the beginnings, and the model: a list of bodies.

use flumen::storage::sim::{Crash, SimDisk};
use flumen::{Channel, ChannelOptions, Event, FileChannel};

use crate::support::history;

/// One step of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Two events, whose record spans sectors.
    Put,
    PutRollback,
    Take,
    TakeRollback,
    /// Puts that fill the segment, and one that begins the next.
    Roll,
    Checkpoint,
    /// Takes everything, and gives back what nothing needs any more.
    Collect,
    /// Closes and opens.
    Reopen,
    /// Opens without having closed.
    Abandon,
}

use Operation::*;

pub(crate) const ALL: [Operation; 9] =
    [Put, PutRollback, Take, TakeRollback, Roll, Checkpoint, Collect, Reopen, Abandon];

impl Operation {
    pub(crate) fn letter(self) -> char {
        match self {
            Put => 'P',
            PutRollback => 'p',
            Take => 'T',
            TakeRollback => 't',
            Roll => 'R',
            Checkpoint => 'C',
            Collect => 'G',
            Reopen => 'O',
            Abandon => 'A',
        }
    }

    pub(crate) fn of(letter: char) -> Operation {
        let found = ALL.into_iter().find(|operation| operation.letter() == letter);
        found.unwrap_or_else(|| panic!("no operation is called {letter}"))
    }
}

/// A disk to begin with, and what is queued on it.
pub(crate) struct Beginning {
    pub(crate) name: &'static str,
    disk: SimDisk,
    queue: Vec<String>,
    next: u64,
}

pub(crate) fn options() -> ChannelOptions {
    history::options().segment_size(16 << 10).memory_tail(0)
}

pub(crate) fn open(disk: &SimDisk) -> Result<FileChannel, flumen::OpenError> {
    FileChannel::open_on(disk.storage(), options())
}

struct Running {
    disk: SimDisk,
    channel: Option<FileChannel>,
    queue: Vec<String>,
    next: u64,
}

impl Running {
    fn channel(&self) -> &FileChannel {
        self.channel.as_ref().expect("opened")
    }

    fn open(&mut self) {
        self.channel = None;
        self.channel = Some(open(&self.disk).expect("opens"));
    }

    fn put(&mut self, sizes: &[usize], commit: bool) {
        let mut put = self.channel().begin_put();
        let mut bodies = Vec::new();
        for size in sizes {
            let body = format!("{}:{}", self.next, "x".repeat(*size));
            self.next += 1;
            put.put(Event::new(body.as_str())).expect("there is room");
            bodies.push(body);
        }
        if commit {
            put.commit().expect("commits");
            self.queue.extend(bodies);
        }
    }

    fn take(&mut self, count: usize, commit: bool) {
        let mut take = self.channel().begin_take();
        for body in self.queue.iter().take(count) {
            let event = take.take().expect("readable").expect("there is one");
            assert_eq!(&*event.body, body.as_bytes(), "I3");
        }
        let taken = take.len();
        if commit {
            take.commit().expect("commits");
            self.queue.drain(..taken);
        }
    }

    /// The first part of an operation, whose data is too much for every subset.
    fn prepare(&mut self, operation: Operation) {
        if operation == Roll {
            self.put(&[7 << 10], true);
        }
    }

    fn act(&mut self, operation: Operation) {
        match operation {
            Put => self.put(&[250, 300], true),
            PutRollback => self.put(&[250, 300], false),
            Take => self.take(1, true),
            TakeRollback => self.take(1, false),
            Roll => self.put(&[8 << 10], true),
            Checkpoint => self.channel().checkpoint().expect("works"),
            Collect => {
                self.take(64, true);
                self.channel().checkpoint().expect("works");
            }
            Reopen => {
                self.channel().close().expect("closes");
                self.open();
            }
            Abandon => self.open(),
        }
    }
}

/// A history that was run, and every moment of its last operation.
pub(crate) struct Ran {
    pub(crate) moments: Vec<SimDisk>,
    /// The queue before the operation's first part, between the two, and after.
    queues: [Vec<String>; 3],
    /// The disk's call counter between the parts, and after.
    calls: [u64; 2],
}

impl Ran {
    /// What may be found at a moment.
    pub(crate) fn allowed(&self, moment: &SimDisk) -> Vec<&[String]> {
        let [before, between, after] = &self.queues;
        match moment.calls() {
            calls if calls < self.calls[0] => vec![before, between],
            calls if calls == self.calls[0] => vec![between],
            calls if calls < self.calls[1] => vec![between, after],
            _ => vec![after],
        }
    }

    /// Whether the moment is in the first part.
    pub(crate) fn is_coarse(&self, cut: usize) -> bool {
        self.moments[cut].calls() < self.calls[0]
    }

    /// Whether the moment before is looked at in the same way, with the same queues allowed.
    pub(crate) fn is_next(&self, cut: usize) -> bool {
        let Some(before) = cut.checked_sub(1) else { return false };
        self.is_coarse(before) == self.is_coarse(cut)
            && self.allowed(&self.moments[before]) == self.allowed(&self.moments[cut])
    }

    /// Another number for other queues.
    pub(crate) fn fingerprint(&self, moment: &SimDisk) -> u64 {
        let mut hash: u64 = 0;
        for queue in self.allowed(moment) {
            for body in queue {
                for byte in body.bytes().take_while(|byte| *byte != b':') {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
                }
                hash = hash.rotate_left(11);
            }
            hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        }
        hash
    }
}

/// Runs a history on a copy of the beginning.
pub(crate) fn run(beginning: &Beginning, history: &[Operation]) -> Ran {
    let mut running = Running {
        disk: beginning.disk.snapshot(),
        channel: None,
        queue: beginning.queue.clone(),
        next: beginning.next,
    };
    let Some((last, earlier)) = history.split_last() else {
        running.disk.record();
        running.open();
        let queues = [(); 3].map(|()| running.queue.clone());
        let calls = [0, running.disk.calls()];
        return Ran { moments: running.disk.take_recording(), queues, calls };
    };
    running.open();
    for operation in earlier {
        running.prepare(*operation);
        running.act(*operation);
    }
    running.disk.record();
    let before = running.queue.clone();
    running.prepare(*last);
    let (between, middle) = (running.queue.clone(), running.disk.calls());
    running.act(*last);
    let calls = [middle, running.disk.calls()];
    let moments = running.disk.take_recording();
    Ran { moments, queues: [before, between, running.queue.clone()], calls }
}

/// A new channel; one that has rolled and recycled, closed and abandoned; one with events acknowledged out of
/// order across segments.
pub(crate) fn beginnings() -> Vec<Beginning> {
    let begin = |name, seed, work: &dyn Fn(&mut Running)| {
        let disk = SimDisk::new(seed);
        let mut running = Running { disk, channel: None, queue: Vec::new(), next: 0 };
        running.open();
        work(&mut running);
        running.channel = None;
        let disk = running.disk.crash(&Crash::KeepAll);
        Beginning { name, disk, queue: running.queue, next: running.next }
    };
    let recycle = |running: &mut Running| {
        for operation in [Roll, Roll, Collect, Roll, Put, Take, Roll, Collect, Put] {
            running.prepare(operation);
            running.act(operation);
        }
    };
    vec![
        begin("new", 1, &|running| running.channel().close().expect("closes")),
        begin("recycled", 2, &|running| {
            recycle(running);
            running.channel().close().expect("closes");
        }),
        begin("abandoned", 3, &recycle),
        begin("ragged", 4, &|running| {
            recycle(running);
            let first = running.channel().begin_take();
            let mut held = running.channel().begin_take();
            held.take().expect("readable").expect("there is one");
            drop(first);
            let mut take = running.channel().begin_take();
            take.take().expect("readable").expect("there is one");
            take.commit().expect("works");
            running.queue.remove(1);
            drop(held);
            running.channel().close().expect("closes");
        }),
    ]
}
