//! The yardstick for many producers: a bare group commit. One buffer under one lock; the first who finds nobody
//! writing leads, and writes and syncs for all. 8 bytes of header with a CRC-32 per event; acks are records in
//! the same log. No segments, no recovery, no bounds.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard};

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Need, Peer, Result, Setup};
use crate::peers::raw::{RING, prepared};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "sketch",
    package: None,
    open: |directory, setup| Ok(Box::new(Sketch::open(directory, setup)?)),
    owns: false,
    lacks: &[(Need::Backlog, "a sketch without recovery")],
    note: "a bare leader-based group commit over one buffer, overwriting, fdatasync",
};

const HEADER: usize = 8;
const ACK: u32 = 1 << 31;

struct Sketch {
    log: File,
    sync_puts: bool,
    state: Mutex<State>,
    done: Condvar,
    reader: Mutex<Reader>,
}

#[derive(Default)]
struct State {
    /// What waits to be written, and the one before, whose memory is used again.
    pending: Vec<u8>,
    spare: Vec<u8>,
    /// The group that gathers, and how many groups are written.
    gathering: u64,
    written: u64,
    /// Somebody writes.
    led: bool,
    /// Where the next group goes.
    at: u64,
    /// Where the groups not read yet lie.
    groups: VecDeque<(u64, usize)>,
}

#[derive(Default)]
struct Reader {
    buffer: Vec<u8>,
    at: usize,
    taken: u64,
}

impl Sketch {
    fn open(directory: &Path, setup: &Setup) -> Result<Sketch> {
        Ok(Sketch {
            log: prepared(&directory.join("log"), RING)?,
            sync_puts: setup.sync_puts,
            state: Mutex::default(),
            done: Condvar::new(),
            reader: Mutex::default(),
        })
    }

    /// Returns when the group that gathers now is written.
    fn commit<'a>(&'a self, mut state: MutexGuard<'a, State>, sync: bool) -> Result<()> {
        let mine = state.gathering;
        loop {
            if state.written > mine {
                return Ok(());
            }
            if state.led {
                state = self.done.wait(state).expect("no panics");
                continue;
            }
            state.led = true;
            let spare = std::mem::take(&mut state.spare);
            let mut group = std::mem::replace(&mut state.pending, spare);
            if state.at + group.len() as u64 > RING {
                state.at = 0;
            }
            let at = state.at;
            state.at += group.len() as u64;
            state.gathering += 1;
            drop(state);
            self.log.write_all_at(&group, at)?;
            if sync {
                self.log.sync_data()?;
            }
            state = self.state.lock().expect("no panics");
            state.groups.push_back((at, group.len()));
            group.clear();
            state.spare = group;
            state.written += 1;
            state.led = false;
            self.done.notify_all();
        }
    }
}

fn append(pending: &mut Vec<u8>, body: &[u8], flag: u32) {
    pending.extend_from_slice(&(body.len() as u32 | flag).to_le_bytes());
    pending.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    pending.extend_from_slice(body);
}

impl Reader {
    /// The next body that is an event; none when all groups are read.
    fn next(&mut self, sketch: &Sketch) -> Result<Option<(usize, usize)>> {
        loop {
            if self.at == self.buffer.len() {
                let next = sketch.state.lock().expect("no panics").groups.pop_front();
                let Some((at, length)) = next else { return Ok(None) };
                self.buffer.resize(length, 0);
                sketch.log.read_exact_at(&mut self.buffer, at)?;
                self.at = 0;
            }
            let word = |at: usize| {
                u32::from_le_bytes(self.buffer[at..at + 4].try_into().expect("4 bytes"))
            };
            let (length, checksum) = (word(self.at), word(self.at + 4));
            let start = self.at + HEADER;
            let end = start + (length & !ACK) as usize;
            if crc32fast::hash(&self.buffer[start..end]) != checksum {
                return Err("a checksum does not hold".into());
            }
            self.at = end;
            if length & ACK == 0 {
                return Ok(Some((start, end)));
            }
        }
    }
}

impl Peer for Sketch {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let mut state = self.state.lock().expect("no panics");
        for body in batch.bodies() {
            append(&mut state.pending, body, 0);
        }
        self.commit(state, self.sync_puts)
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut reader = self.reader.lock().expect("no panics");
        let mut count = 0;
        while count < most {
            let Some((start, end)) = reader.next(self)? else { break };
            see(&reader.buffer[start..end]);
            count += 1;
        }
        if count > 0 {
            reader.taken += count as u64;
            let mut state = self.state.lock().expect("no panics");
            append(&mut state.pending, &reader.taken.to_le_bytes(), ACK);
            if ack == Ack::Durable {
                self.commit(state, true)?;
            }
        }
        Ok(count)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.log.sync_data()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.log.sync_all()?)
    }
}
