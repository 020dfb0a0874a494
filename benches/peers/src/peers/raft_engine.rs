//! raft-engine: the log of TiKV. A region for each producer, since the entries of a region must be contiguous;
//! so there is no order between producers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use protobuf::well_known_types::BytesValue;
use raft_engine::{Command, Config, Engine, LogBatch, MessageExt, ReadableSize};

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Peer, Result, Setup};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "raft-engine",
    package: Some("raft-engine"),
    open: |directory, setup| Ok(Box::new(RaftEngine::open(directory, setup)?)),
    owns: false,
    lacks: &[],
    note: "compression off, purged above 128 MiB; a region per producer: no order between producers",
};

/// Bytes taken between two calls that let old files go.
const PURGE_EVERY: usize = 32 << 20;

struct RaftEngine {
    engine: Engine,
    sync_puts: bool,
    size: usize,
    /// By region, the next index.
    next: Mutex<BTreeMap<u64, u64>>,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: BTreeMap<u64, u64>,
    unpurged: usize,
}

/// The index, 8 bytes, stands before the body.
struct Bodies;

impl MessageExt for Bodies {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        u64::from_le_bytes(entry.value[..8].try_into().expect("8 bytes"))
    }
}

impl RaftEngine {
    fn open(directory: &Path, setup: &Setup) -> Result<RaftEngine> {
        let config = Config {
            dir: directory.join("log").to_string_lossy().into_owned(),
            batch_compression_threshold: ReadableSize::kb(0),
            purge_threshold: ReadableSize::mb(128),
            ..Config::default()
        };
        let engine = Engine::open(config)?;
        let ends = engine.raft_groups().into_iter();
        let next = ends
            .map(|region| (region, engine.last_index(region).map_or(1, |last| last + 1)))
            .collect();
        Ok(RaftEngine {
            engine,
            sync_puts: setup.sync_puts,
            size: setup.size,
            next: Mutex::new(next),
            taken: Mutex::default(),
        })
    }

    fn purge(&self, taken: &mut Taken, count: usize) -> Result<()> {
        taken.unpurged += count * self.size;
        if taken.unpurged >= PURGE_EVERY {
            taken.unpurged = 0;
            self.engine.purge_expired_files()?;
        }
        Ok(())
    }
}

impl Peer for RaftEngine {
    fn put(&self, producer: usize, batch: &Batch) -> Result<()> {
        let region = producer as u64 + 1;
        let first = {
            let mut next = self.next.lock().expect("no panics");
            let next = next.entry(region).or_insert(1);
            let first = *next;
            *next += batch.len() as u64;
            first
        };
        let entries: Vec<BytesValue> = (first..)
            .zip(batch.bodies())
            .map(|(index, body)| {
                let mut value = Vec::with_capacity(8 + body.len());
                value.extend_from_slice(&index.to_le_bytes());
                value.extend_from_slice(body);
                BytesValue { value, ..BytesValue::default() }
            })
            .collect();
        let mut log = LogBatch::with_capacity(entries.len());
        log.add_entries::<Bodies>(region, &entries)?;
        self.engine.write(&mut log, self.sync_puts)?;
        Ok(())
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut taken = self.taken.lock().expect("no panics");
        let (mut count, mut acks) = (0, LogBatch::default());
        let mut entries = Vec::new();
        for region in self.engine.raft_groups() {
            let Some(last) = self.engine.last_index(region) else { continue };
            let known = taken.next.get(&region).copied();
            let Some(begin) = known.or_else(|| self.engine.first_index(region)) else { continue };
            let end = (last + 1).min(begin + (most - count) as u64);
            if begin >= end {
                continue;
            }
            entries.clear();
            self.engine.fetch_entries_to::<Bodies>(region, begin, end, None, &mut entries)?;
            entries.iter().for_each(|entry| see(&entry.value[8..]));
            count += entries.len();
            if ack != Ack::Never {
                taken.next.insert(region, end);
                acks.add_command(region, Command::Compact { index: end });
            }
        }
        if ack != Ack::Never && count > 0 {
            self.engine.write(&mut acks, ack == Ack::Durable)?;
            self.purge(&mut taken, count)?;
        }
        Ok(count)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.engine.sync()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}
