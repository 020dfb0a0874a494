//! Reference directories, and the judge: what a damage may lead to. The judge reads segments and slots by
//! `docs/FORMAT.md` alone, with no code of the engine.

use std::collections::BTreeMap;

use flumen::storage::sim::SimDisk;
use flumen::{Channel, ChannelOptions, Event, FileChannel, OpenError, TakeError};

use crate::support::history::{brief, options};

const PAGE: usize = 4096;
const HEADER: usize = 40;

pub(crate) fn unread() -> ChannelOptions {
    options().memory_tail(0)
}

/// What is in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) queue: Vec<String>,
    pub(crate) cursor: Vec<u8>,
}

/// What came of a damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// An error that names the file. What was delivered before it was right.
    Refused,
    /// Everything is as it should be.
    Same,
    /// The last commits are missing, and nothing that is left witnesses them: the residual window.
    Residual,
}

/// A channel's directory, and what every state of its history held.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) disk: SimDisk,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// After each commit.
    pub(crate) states: Vec<Held>,
    /// The directory after each operation.
    pub(crate) past: Vec<SimDisk>,
    is_closed: bool,
}

/// How a history is made: the steps that the samples have in common.
pub(crate) struct Maker {
    pub(crate) disk: SimDisk,
    pub(crate) channel: FileChannel,
    pub(crate) states: Vec<Held>,
    past: Vec<SimDisk>,
    next: u64,
}

impl Maker {
    pub(crate) fn new(disk: &SimDisk) -> Maker {
        let channel = FileChannel::open_on(disk.storage(), unread()).expect("opens");
        let states = vec![Held { queue: Vec::new(), cursor: Vec::new() }];
        Maker { disk: disk.clone(), channel, states, past: Vec::new(), next: 100 }
    }

    fn done(&mut self, held: Option<Held>) {
        self.states.extend(held);
        self.past.push(self.disk.snapshot());
    }

    pub(crate) fn now(&self) -> Held {
        self.states.last().expect("there is the first").clone()
    }

    pub(crate) fn put(&mut self, count: usize, size: usize) {
        let mut held = self.now();
        let mut put = self.channel.begin_put();
        for part in 0..count {
            let body = format!("{}:{}", self.next, "x".repeat(size));
            self.next += 1;
            put.put(Event::new(body.as_str()).with_header("part", part.to_string()))
                .expect("there is room");
            held.queue.push(body);
        }
        held.cursor = self.next.to_string().into_bytes();
        put.set_cursor("source", &held.cursor).expect("fits");
        put.commit().expect("works");
        self.done(Some(held));
    }

    pub(crate) fn take(&mut self, skip: usize, count: usize) {
        let mut held = self.now();
        let mut skipped = self.channel.begin_take();
        let mut take = self.channel.begin_take();
        for index in 0..skip + count {
            let from = if index < skip { &mut skipped } else { &mut take };
            from.take().expect("readable").expect("there is one");
        }
        take.commit().expect("works");
        drop(skipped);
        held.queue.drain(skip..skip + count);
        self.done(Some(held));
    }

    pub(crate) fn maintain(&mut self) {
        self.channel.maintain().expect("works");
        self.done(None);
    }

    /// Opens again, which begins a segment unless the channel was closed.
    pub(crate) fn reopen(self, close: bool) -> Maker {
        let Maker { disk, channel, states, past, next } = self;
        if close {
            channel.close().expect("closes");
        }
        drop(channel);
        let again = Maker::new(&disk);
        Maker { states, past, next, ..again }
    }
}

impl Sample {
    /// Four segments, one of them full, with puts, moved puts, acks in and out of order, watermarks, and one
    /// segment without a queued event; ended by a close, or not.
    pub(crate) fn new(name: &'static str, seed: u64, close: bool) -> Sample {
        let mut maker = Maker::new(&SimDisk::new(seed));
        for _ in 0..3 {
            maker.put(2, 30);
        }
        maker.take(0, 2);
        maker.take(1, 2);
        maker = maker.reopen(false);
        maker.put(1, 300);
        maker.put(1, 300);
        maker.maintain();
        maker.put(2, 30);
        maker = maker.reopen(true);
        maker.take(0, 3);
        maker.put(2, 30);
        maker = maker.reopen(false);
        maker.put(1, 300);
        maker.take(1, 1);
        maker.put(2, 30);
        maker.put(2, 30);
        if close {
            maker.channel.close().expect("closes");
        }
        let Maker { disk, channel, states, past, .. } = maker;
        drop(channel);
        let disk = disk.snapshot();
        let read = |name: String| (name.clone(), disk.read_file(&name).expect("listed"));
        let files = disk.file_names().into_iter().map(read).collect();
        Sample { name, files, disk, states, past, is_closed: close }
    }

    pub(crate) fn held(&self) -> &Held {
        self.states.last().expect("there is the first")
    }

    fn tail(&self) -> &str {
        let mut names = self.files.keys().filter(|name| name.ends_with(".seg"));
        names.next_back().expect("there are segments")
    }

    /// How much of a file's beginning is in use: up to its last byte that is not zero.
    pub(crate) fn used(&self, name: &str) -> usize {
        let last = self.files[name].iter().rposition(|byte| *byte != 0);
        last.map_or(0, |last| last + 1)
    }

    pub(crate) fn is_live(name: &str) -> bool {
        name.ends_with(".seg") || name.starts_with("checkpoint")
    }

    /// A copy with this file changed; `None` when the change changes nothing.
    pub(crate) fn damaged(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Option<SimDisk> {
        let mut bytes = self.files[name].clone();
        change(&mut bytes);
        if bytes == self.files[name] {
            return None;
        }
        let image = self.disk.snapshot();
        image.write_file(name, &bytes);
        Some(image)
    }

    /// Opens a damaged copy, takes everything, and says what came of it. Panics when it was silent.
    pub(crate) fn judge(&self, image: &SimDisk, what: &str) -> Outcome {
        // Before the opening, which may change it.
        let tail = image.read_file(self.tail());
        let residual = tail.and_then(|tail| self.residual(&tail, image));
        let right = [Some(self.held()), residual].into_iter().flatten();
        let right: Vec<&Held> = right.collect();
        let Some(found) = open_and_take(image, &right, what) else {
            return Outcome::Refused;
        };
        if found == *self.held() {
            return Outcome::Same;
        }
        if residual == Some(&found) {
            return Outcome::Residual;
        }
        panic!(
            "{}, {what}: SILENT: found {:?} with cursor {:?}, held {:?}",
            self.name,
            brief(&found.queue),
            String::from_utf8_lossy(&found.cursor),
            brief(&self.held().queue)
        );
    }

    /// What the channel holds when its log ends before the first record of the last segment, of those behind
    /// the state in the slots, that is not as it was; `None` when there is none, or when a record that is
    /// left witnesses it.
    fn residual(&self, now: &[u8], image: &SimDisk) -> Option<&Held> {
        if self.is_closed {
            return None;
        }
        let was = &self.files[self.tail()];
        let differs = |from: usize, size: usize| {
            now.len() < from + size || now[from..from + size] != was[from..from + size]
        };
        let begin = self.slots_witness(image);
        let records: Vec<_> =
            records(was).into_iter().filter(|record| record.at >= begin).collect();
        let first = records.iter().position(|record| differs(record.at, record.size))?;
        if records[first + 1..].iter().any(|record| !differs(record.at, HEADER)) {
            return None;
        }
        let lost = records[first..].iter().filter(|record| matches!(record.kind, 1 | 2)).count();
        self.states.get(self.states.len() - 1 - lost)
    }

    /// How far into the last segment the slots that are as they were witness it.
    fn slots_witness(&self, image: &SimDisk) -> usize {
        let number: u64 = self.tail()[..20].parse().expect("a segment's number");
        let slots = ["checkpoint-a", "checkpoint-b"].into_iter().filter(|name| {
            let used = self.used(name);
            let now = image.read_file(name).unwrap_or_default();
            now.get(..used) == self.files[*name].get(..used)
        });
        let field = |name: &str, at: usize| u64_at(&self.files[name], at);
        let offsets = slots.filter(|name| field(name, 56) == number).map(|name| {
            let offset = field(name, 80) - field(name, 64);
            PAGE + usize::try_from(offset).expect("within a segment")
        });
        offsets.max().unwrap_or(0)
    }
}

/// A record in a segment.
pub(crate) struct Record {
    pub(crate) at: usize,
    pub(crate) size: usize,
    pub(crate) kind: u8,
}

/// The records of a segment that is intact, to the first place where none can be.
pub(crate) fn records(segment: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    let mut at = PAGE;
    let mut lsn = u64_at(segment, at + 16);
    while at + HEADER <= segment.len() {
        let kind = segment[at + 4];
        let payload = u64_at(segment, at + 12) & 0xffff_ffff;
        if !(1..=6).contains(&kind) || u64_at(segment, at + 16) != lsn {
            break;
        }
        let size = (HEADER + payload as usize).next_multiple_of(8);
        if at + size > segment.len() {
            break;
        }
        found.push(Record { at, size, kind });
        at += size;
        lsn += size as u64;
    }
    found
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// Everything that is delivered; `None` when the damage is reported. What is delivered before that must be
/// right.
pub(crate) fn open_and_take(image: &SimDisk, right: &[&Held], what: &str) -> Option<Held> {
    let channel = match FileChannel::open_on(image.storage(), unread().create(false)) {
        Ok(channel) => channel,
        Err(OpenError::Corrupt(corruption)) => {
            assert!(!corruption.file.is_empty(), "{what}: damage without a place");
            return None;
        }
        Err(OpenError::Unsupported { file, .. }) => {
            assert!(!file.is_empty(), "{what}: damage without a place");
            return None;
        }
        Err(OpenError::NotAChannel { .. }) => return None,
        Err(error) => panic!("{what}: {error}"),
    };
    let cursor = channel.cursor("source").unwrap_or_default();
    let mut queue = Vec::new();
    let mut take = channel.begin_take();
    loop {
        match take.take() {
            Ok(Some(event)) => queue.push(String::from_utf8_lossy(&event.body).into_owned()),
            Ok(None) => return Some(Held { queue, cursor }),
            Err(TakeError::Corrupt(corruption)) => {
                assert!(!corruption.file.is_empty(), "{what}: damage without a place");
                let is_right = right.iter().any(|held| held.queue.starts_with(&queue));
                assert!(is_right, "{what}: altered events before the damage");
                return None;
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
}
