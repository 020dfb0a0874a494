//! fjall: an LSM tree. The key is the event's number.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Peer, Result, Setup};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "fjall",
    package: Some("fjall"),
    open: |directory, setup| Ok(Box::new(Fjall::open(directory, setup)?)),
    owns: false,
    lacks: &[],
    note: "the defaults; PersistMode::SyncData, or ::Buffer where no sync is asked for; key = number, ack = a batch of removals",
};

struct Fjall {
    database: Database,
    queue: Keyspace,
    next: AtomicU64,
    /// Smallest key that can be there.
    taken: Mutex<u64>,
    sync_puts: bool,
}

impl Fjall {
    fn open(directory: &Path, setup: &Setup) -> Result<Fjall> {
        let database = Database::builder(directory.join("database")).open()?;
        let queue = database.keyspace("queue", KeyspaceCreateOptions::default)?;
        let first = queue.first_key_value().map(|pair| pair.key()).transpose()?;
        let last = queue.last_key_value().map(|pair| pair.key()).transpose()?;
        Ok(Fjall {
            database,
            queue,
            next: AtomicU64::new(last.map(|key| number(&key)).transpose()?.map_or(0, |at| at + 1)),
            taken: Mutex::new(first.map(|key| number(&key)).transpose()?.unwrap_or(0)),
            sync_puts: setup.sync_puts,
        })
    }
}

fn number(key: &[u8]) -> Result<u64> {
    Ok(u64::from_be_bytes(key.try_into()?))
}

/// `Buffer` hands over to the kernel; without any mode the data would stay in the process.
fn persist(sync: bool) -> Option<PersistMode> {
    Some(if sync { PersistMode::SyncData } else { PersistMode::Buffer })
}

impl Peer for Fjall {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let mut write = self.database.batch().durability(persist(self.sync_puts));
        let first = self.next.fetch_add(batch.len() as u64, Ordering::Relaxed);
        for (key, body) in (first..).zip(batch.bodies()) {
            write.insert(&self.queue, key.to_be_bytes(), body);
        }
        Ok(write.commit()?)
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut taken = self.taken.lock().expect("no panics");
        let mut write = self.database.batch().durability(persist(ack == Ack::Durable));
        let mut count = 0;
        let mut next = *taken;
        for pair in self.queue.range(taken.to_be_bytes()..).take(most) {
            let (key, body) = pair.into_inner()?;
            see(&body);
            count += 1;
            next = number(&key)? + 1;
            if ack != Ack::Never {
                write.remove(&self.queue, key);
            }
        }
        if ack != Ack::Never && count > 0 {
            write.commit()?;
            *taken = next;
        }
        Ok(count)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}
