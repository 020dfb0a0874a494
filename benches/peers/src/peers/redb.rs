//! redb: a B-tree written copy on write. The key is the event's number.

use std::path::Path;
use std::sync::Mutex;

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Need, Peer, Result, Setup};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "redb",
    package: Some("redb"),
    open: |directory, setup| Ok(Box::new(Redb::open(directory, setup)?)),
    owns: false,
    lacks: &[(Need::Unsynced, "what is not synced is in its own memory")],
    note: "the defaults; Durability::None for lazy acks and, before the last commit, for the backlog",
};

const QUEUE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("queue");

struct Redb {
    database: Database,
    next: Mutex<u64>,
    taken: Mutex<u64>,
    sync_puts: bool,
}

impl Redb {
    fn open(directory: &Path, setup: &Setup) -> Result<Redb> {
        let database = Database::create(directory.join("database"))?;
        let write = database.begin_write()?;
        let ends = {
            let table = write.open_table(QUEUE)?;
            let first = table.first()?.map(|(key, _)| key.value());
            let last = table.last()?.map(|(key, _)| key.value());
            (first.unwrap_or(0), last.map_or(0, |key| key + 1))
        };
        write.commit()?;
        Ok(Redb {
            database,
            next: Mutex::new(ends.1),
            taken: Mutex::new(ends.0),
            sync_puts: setup.sync_puts,
        })
    }

    fn begin(&self, sync: bool) -> Result<WriteTransaction> {
        let mut write = self.database.begin_write()?;
        write.set_durability(if sync { Durability::Immediate } else { Durability::None })?;
        Ok(write)
    }
}

impl Peer for Redb {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let write = self.begin(self.sync_puts)?;
        {
            let mut next = self.next.lock().expect("no panics");
            let mut table = write.open_table(QUEUE)?;
            for body in batch.bodies() {
                table.insert(*next, body)?;
                *next += 1;
            }
        }
        Ok(write.commit()?)
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut taken = self.taken.lock().expect("no panics");
        let (mut count, mut next) = (0, *taken);
        {
            let read = self.database.begin_read()?;
            for pair in read.open_table(QUEUE)?.range(next..)?.take(most) {
                let (key, body) = pair?;
                see(body.value());
                next = key.value() + 1;
                count += 1;
            }
        }
        if ack != Ack::Never && count > 0 {
            let write = self.begin(ack == Ack::Durable)?;
            {
                let mut table = write.open_table(QUEUE)?;
                for key in *taken..next {
                    table.remove(key)?;
                }
            }
            write.commit()?;
            *taken = next;
        }
        Ok(count)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.begin(true)?.commit()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}
