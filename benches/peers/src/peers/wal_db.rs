//! wal-db: a log with group commit and no consumer of its own. The cursor is 8 bytes in a file beside it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, RwLock};

use wal_db::{Lsn, SegmentedStore, Wal};

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Peer, Result, Setup};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "wal-db",
    package: Some("wal-db"),
    open: |directory, setup| Ok(Box::new(WalDb::open(directory, setup)?)),
    owns: false,
    lacks: &[],
    note: "segments of 64 MiB; the cursor is an 8-byte file of this bench, truncate_before behind it",
};

const SEGMENT: u64 = 64 << 20;
/// Checksum and length before each record.
const HEADER: u64 = 8;

struct WalDb {
    /// Truncation wants the log for itself.
    wal: RwLock<Wal<SegmentedStore>>,
    cursor: File,
    /// Where to read on, and how far the log was truncated.
    taken: Mutex<(u64, u64)>,
    sync_puts: bool,
}

impl WalDb {
    fn open(directory: &Path, setup: &Setup) -> Result<WalDb> {
        let wal = Wal::open_segmented(directory.join("log"), SEGMENT)?;
        let cursor = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(directory.join("cursor"))?;
        let mut taken = [0; 8];
        if cursor.metadata()?.len() == 8 {
            cursor.read_exact_at(&mut taken, 0)?;
        } else {
            cursor.write_all_at(&taken, 0)?;
            cursor.sync_all()?;
        }
        let taken = u64::from_le_bytes(taken);
        Ok(WalDb {
            wal: RwLock::new(wal),
            cursor,
            taken: Mutex::new((taken, taken)),
            sync_puts: setup.sync_puts,
        })
    }
}

impl Peer for WalDb {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let wal = self.wal.read().expect("no panics");
        for body in batch.bodies() {
            let _lsn = wal.append(body)?;
        }
        if self.sync_puts {
            wal.sync()?;
        }
        Ok(())
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut guard = self.taken.lock().expect("no panics");
        let (taken, truncated) = &mut *guard;
        let (mut next, mut count) = (*taken, 0);
        {
            let wal = self.wal.read().expect("no panics");
            for record in wal.iter_from(Lsn::new(next))?.take(most) {
                let record = record?;
                see(record.data());
                next = record.lsn().get() + HEADER + record.len() as u64;
                count += 1;
            }
        }
        if ack == Ack::Never || count == 0 {
            return Ok(count);
        }
        *taken = next;
        self.cursor.write_all_at(&next.to_le_bytes(), 0)?;
        if ack == Ack::Durable {
            self.cursor.sync_data()?;
        }
        if *taken - *truncated > SEGMENT {
            // Never past what a crash could ask for again.
            self.cursor.sync_data()?;
            let head = self.wal.write().expect("no panics").truncate_before(Lsn::new(next))?;
            *truncated = head.get();
        }
        Ok(count)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.wal.read().expect("no panics").sync()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}
