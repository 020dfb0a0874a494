//! Valid directories, with all that they held in their history.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use flumen::storage::sim::SimDisk;
use flumen::{Channel, ChannelOptions, FileChannel};

use crate::bodies::{Id, event};

/// The directory's files, without the lock.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What is in a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) queue: Vec<Id>,
    pub(crate) cursor: Vec<u8>,
}

/// See the module.
pub struct Sample {
    pub(crate) disk: SimDisk,
    /// The files as they are.
    pub files: Files,
    /// After each operation.
    pub(crate) past: Vec<Files>,
    /// After each commit.
    pub(crate) states: Vec<Held>,
    pub(crate) is_closed: bool,
}

impl Sample {
    /// The last segment.
    pub(crate) fn tail(&self) -> (&String, &Vec<u8>) {
        let mut segments = self.files.iter().filter(|(name, _)| name.ends_with(".seg"));
        segments.next_back().expect("a channel has a segment")
    }
}

pub(crate) fn options() -> ChannelOptions {
    ChannelOptions::new()
        .segment_size(64 << 10)
        .transaction_events(64)
        .put_wait(Duration::ZERO)
        .memory_tail(0)
        .background(false)
}

/// The samples: closed, stopped without a close, and one of another channel with the same history.
pub fn samples() -> &'static [Sample; 3] {
    static SAMPLES: OnceLock<[Sample; 3]> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        [Maker::new(1, 0).run(true), Maker::new(2, 1000).run(false), Maker::new(3, 2000).run(false)]
    })
}

pub(crate) fn files_of(disk: &SimDisk) -> Files {
    let names = disk.file_names().into_iter().filter(|name| name != "LOCK");
    names
        .map(|name| {
            let bytes = disk.read_file(&name).expect("it was listed");
            (name, bytes)
        })
        .collect()
}

struct Maker {
    disk: SimDisk,
    channel: Option<FileChannel>,
    next: Id,
    states: Vec<Held>,
    past: Vec<Files>,
}

impl Maker {
    fn new(seed: u64, next: Id) -> Maker {
        let disk = SimDisk::new(seed);
        let channel = FileChannel::open_on(disk.storage(), options()).expect("opens");
        let states = vec![Held::default()];
        Maker { disk, channel: Some(channel), next, states, past: Vec::new() }
    }

    /// Segments ended by their size and by unclean stops, with puts, moved puts, acks in and out of order,
    /// watermarks, and one without a queued event; ended by a close, or not.
    fn run(mut self, close: bool) -> Sample {
        self.put(&[2, 2]);
        self.put(&[3, 1]);
        self.take(0, 2);
        self.take(1, 1);
        self.reopen(false);
        self.put(&[5]);
        self.channel().maintain().expect("works");
        self.put(&[2, 0]);
        self.reopen(true);
        self.take(0, 2);
        self.put(&[7]);
        self.put(&[7]);
        self.put(&[7]);
        self.take(1, 1);
        self.reopen(false);
        self.put(&[3]);
        self.take(1, 1);
        self.channel().checkpoint().expect("works");
        self.put(&[2, 2]);
        self.put(&[1]);
        if close {
            self.channel().close().expect("closes");
        }
        let Maker { disk, channel, states, past, .. } = self;
        drop(channel);
        let disk = disk.snapshot();
        Sample { files: files_of(&disk), disk, past, states, is_closed: close }
    }

    fn channel(&self) -> &FileChannel {
        self.channel.as_ref().expect("it is open")
    }

    fn now(&self) -> Held {
        self.states.last().expect("there is the first").clone()
    }

    fn done(&mut self, held: Held) {
        self.states.push(held);
        self.past.push(files_of(&self.disk));
    }

    fn put(&mut self, sizes: &[usize]) {
        let mut held = self.now();
        let mut put = self.channel().begin_put();
        for (id, size) in (self.next..).zip(sizes) {
            put.put(event(id, *size)).expect("there is room");
            held.queue.push(id);
        }
        self.next += sizes.len() as Id;
        held.cursor = self.next.to_string().into_bytes();
        put.set_cursor("next", &held.cursor).expect("fits");
        put.commit().expect("works");
        self.done(held);
    }

    fn take(&mut self, skip: usize, count: usize) {
        let mut held = self.now();
        let mut skipped = self.channel().begin_take();
        let mut take = self.channel().begin_take();
        for index in 0..skip + count {
            let from = if index < skip { &mut skipped } else { &mut take };
            from.take().expect("readable").expect("there is one");
        }
        take.commit().expect("works");
        drop(skipped);
        held.queue.drain(skip..skip + count);
        self.done(held);
    }

    /// Opens again, which begins a segment unless the channel was closed.
    fn reopen(&mut self, close: bool) {
        if close {
            self.channel().close().expect("closes");
        }
        self.channel = None;
        self.channel = Some(FileChannel::open_on(self.disk.storage(), options()).expect("opens"));
    }
}
