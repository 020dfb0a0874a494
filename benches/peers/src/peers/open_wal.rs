//! open-wal: a log for one writer, read from its beginning only.

use std::path::Path;
use std::sync::Mutex;

use open_wal::{Wal, WalConfig};

use crate::body::Batch;
use crate::peer::{Contestant, Need, Peer, Result, Setup};

const NO_READER: &str = "reads only from its oldest segment on";

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "open-wal",
    package: Some("open-wal"),
    open: |directory, setup| Ok(Box::new(OpenWal(Mutex::new(open(directory, setup)?)))),
    owns: false,
    lacks: &[
        (Need::Takes, NO_READER),
        (Need::Backlog, NO_READER),
        (Need::Unsynced, "what is not synced is in its own memory"),
    ],
    note: "the defaults; one writer by type, so producers wait for each other at a lock of this bench",
};

struct OpenWal(Mutex<Wal>);

fn open(directory: &Path, _setup: &Setup) -> Result<Wal> {
    let directory = directory.join("log");
    std::fs::create_dir_all(&directory)?;
    Ok(Wal::open(&directory, WalConfig::default())?.0)
}

impl Peer for OpenWal {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let mut wal = self.0.lock().expect("no panics");
        for body in batch.bodies() {
            wal.append(body)?;
        }
        wal.commit()?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
