//! The limit: the bodies alone, written over a file written before, and synced. No format, no checksum.
//!
//! The ack is 8 bytes written over a second file, with a sync of its own. With a backlog the file grows.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Peer, Result, Setup};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "raw",
    package: None,
    open: |directory, setup| Ok(Box::new(Raw::open(directory, setup)?)),
    owns: false,
    lacks: &[],
    note: "the limit: the bodies alone, overwriting, fdatasync; each thread syncs for itself",
};

/// Bytes that are written again and again.
pub(crate) const RING: u64 = 128 << 20;

struct Raw {
    log: File,
    cursor: File,
    sync_puts: bool,
    size: u64,
    /// Where the log begins anew; no end for a backlog.
    ring: u64,
    put: AtomicU64,
    taken: Mutex<(u64, Vec<u8>)>,
}

/// A file whose first `length` bytes have been written and synced, in pieces of 64 KiB: larger ones make
/// larger pages in the system's cache, of which each small sync looks at every block (`src/bench/raw.rs`).
pub(crate) fn prepared(path: &Path, length: u64) -> Result<File> {
    let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
    let zeros = [0; 64 << 10];
    let mut at = file.metadata()?.len();
    while at < length {
        let step = (length - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..step as usize], at)?;
        at += step;
    }
    file.sync_all()?;
    Ok(file)
}

impl Raw {
    fn open(directory: &Path, setup: &Setup) -> Result<Raw> {
        let size = setup.size as u64;
        let ring = if setup.steady { RING } else { u64::MAX };
        let log = prepared(&directory.join("log"), if setup.steady { RING } else { 0 })?;
        let cursor = prepared(&directory.join("cursor"), 8)?;
        let mut taken = [0; 8];
        cursor.read_exact_at(&mut taken, 0)?;
        let put = if setup.steady { 0 } else { log.metadata()?.len() };
        Ok(Raw {
            log,
            cursor,
            sync_puts: setup.sync_puts,
            size,
            ring: ring - ring % size,
            put: AtomicU64::new(put),
            taken: Mutex::new((u64::from_le_bytes(taken), Vec::new())),
        })
    }
}

impl Peer for Raw {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let bytes = batch.bytes();
        let at = self.put.fetch_add(bytes.len() as u64, Ordering::Relaxed) % self.ring;
        let first = bytes.len().min((self.ring - at).min(usize::MAX as u64) as usize);
        self.log.write_all_at(&bytes[..first], at)?;
        if first < bytes.len() {
            self.log.write_all_at(&bytes[first..], 0)?;
        }
        if self.sync_puts {
            self.log.sync_data()?;
        }
        Ok(())
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut guard = self.taken.lock().expect("no panics");
        let (taken, buffer) = &mut *guard;
        let queued = (self.put.load(Ordering::Relaxed) - *taken) / self.size;
        let count = queued.min(most as u64);
        buffer.resize((count * self.size) as usize, 0);
        let at = *taken % self.ring;
        let first = buffer.len().min((self.ring - at).min(usize::MAX as u64) as usize);
        self.log.read_exact_at(&mut buffer[..first], at)?;
        self.log.read_exact_at(&mut buffer[first..], 0)?;
        buffer.chunks_exact(self.size as usize).for_each(see);
        if ack != Ack::Never && count > 0 {
            *taken += count * self.size;
            self.cursor.write_all_at(&taken.to_le_bytes(), 0)?;
            if ack == Ack::Durable {
                self.cursor.sync_data()?;
            }
        }
        Ok(count as usize)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.log.sync_data()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.log.sync_all()?)
    }
}
