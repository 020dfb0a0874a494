//! okaywal: segments that are filled with zeros first and used again; a log without a reader.

use std::io;
use std::path::Path;

use okaywal::{Configuration, Entry, EntryId, LogManager, SegmentReader, WriteAheadLog};

use crate::body::Batch;
use crate::peer::{Contestant, Need, Peer, Result, Setup};

const NO_READER: &str = "a log that hands its segments to a callback; no consumer";

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "okaywal",
    package: Some("okaywal"),
    open: |directory, setup| Ok(Box::new(OkayWal(open(directory, setup)?))),
    owns: false,
    lacks: &[
        (Need::Takes, NO_READER),
        (Need::Backlog, NO_READER),
        (Need::Unsynced, "every commit syncs"),
    ],
    note: "segments of 64 MiB, buffer of 128 KiB, a manager that drops what is checkpointed",
};

const SEGMENT: u32 = 64 << 20;

struct OkayWal(WriteAheadLog);

/// Drops everything: the fastest consumer there is.
#[derive(Debug)]
struct Drop;

impl LogManager for Drop {
    fn recover(&mut self, _entry: &mut Entry<'_>) -> io::Result<()> {
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _last: EntryId,
        _entries: &mut SegmentReader,
        _log: &WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}

fn open(directory: &Path, _setup: &Setup) -> Result<WriteAheadLog> {
    let configuration = Configuration::default_for(directory.join("log"))
        .preallocate_bytes(SEGMENT)
        .checkpoint_after_bytes(u64::from(SEGMENT) / 4 * 3)
        .buffer_bytes(128 << 10);
    Ok(configuration.open(Drop)?)
}

impl Peer for OkayWal {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let mut entry = self.0.begin_entry()?;
        for body in batch.bodies() {
            entry.write_chunk(body)?;
        }
        entry.commit()?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.0.shutdown()?)
    }
}
