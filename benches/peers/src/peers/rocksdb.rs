//! RocksDB, the system's library. The key is the event's number.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::{DB, Direction, IteratorMode, Options, WriteBatch, WriteOptions};

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Peer, Result, Setup};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "rocksdb",
    package: Some("rocksdb"),
    open: |directory, setup| Ok(Box::new(RocksDb::open(directory, setup)?)),
    owns: false,
    lacks: &[],
    note: "the system's library; the defaults without compression; key = number, ack = a DeleteRange",
};

struct RocksDb {
    database: DB,
    next: AtomicU64,
    taken: Mutex<u64>,
    sync_puts: bool,
}

impl RocksDb {
    fn open(directory: &Path, setup: &Setup) -> Result<RocksDb> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_compression_type(rocksdb::DBCompressionType::None);
        let database = DB::open(&options, directory.join("database"))?;
        let end = |mode| -> Result<Option<u64>> {
            let pair = database.iterator(mode).next().transpose()?;
            pair.map(|(key, _)| number(&key)).transpose()
        };
        let (first, last) = (end(IteratorMode::Start)?, end(IteratorMode::End)?);
        Ok(RocksDb {
            database,
            next: AtomicU64::new(last.map_or(0, |key| key + 1)),
            taken: Mutex::new(first.unwrap_or(0)),
            sync_puts: setup.sync_puts,
        })
    }

    fn write(&self, batch: WriteBatch, sync: bool) -> Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        Ok(self.database.write_opt(batch, &options)?)
    }
}

fn number(key: &[u8]) -> Result<u64> {
    Ok(u64::from_be_bytes(key.try_into()?))
}

impl Peer for RocksDb {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let first = self.next.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let mut write = WriteBatch::default();
        for (key, body) in (first..).zip(batch.bodies()) {
            write.put(key.to_be_bytes(), body);
        }
        self.write(write, self.sync_puts)
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut taken = self.taken.lock().expect("no panics");
        let (mut count, mut next) = (0, *taken);
        let from = taken.to_be_bytes();
        for pair in self.database.iterator(IteratorMode::From(&from, Direction::Forward)).take(most)
        {
            let (key, body) = pair?;
            see(&body);
            next = number(&key)? + 1;
            count += 1;
        }
        if ack != Ack::Never && count > 0 {
            let mut write = WriteBatch::default();
            write.delete_range(from, next.to_be_bytes());
            self.write(write, ack == Ack::Durable)?;
            *taken = next;
        }
        Ok(count)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.database.flush_wal(true)?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}
