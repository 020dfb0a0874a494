//! SQLite with a write-ahead log. The key is the event's number.

use std::path::Path;
use std::sync::Mutex;

use rusqlite::Connection;

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Peer, Result, Setup};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "sqlite",
    package: Some("rusqlite"),
    open: |directory, setup| Ok(Box::new(Sqlite::open(directory, setup)?)),
    owns: false,
    lacks: &[],
    note: "bundled; WAL; synchronous FULL where a sync is asked for, else NORMAL; one connection writes, \
           a second one reads",
};

struct Sqlite {
    write: Mutex<Writer>,
    read: Mutex<Connection>,
    sync_puts: bool,
}

struct Writer {
    connection: Connection,
    /// Whether it is set to FULL.
    full: bool,
}

impl Sqlite {
    fn open(directory: &Path, setup: &Setup) -> Result<Sqlite> {
        let path = directory.join("database");
        let connection = Connection::open(&path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS queue (number INTEGER PRIMARY KEY, body BLOB NOT NULL)",
        )?;
        Ok(Sqlite {
            write: Mutex::new(Writer { connection, full: true }),
            read: Mutex::new(Connection::open(&path)?),
            sync_puts: setup.sync_puts,
        })
    }
}

impl Writer {
    fn transaction(
        &mut self,
        sync: bool,
        act: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<()> {
        if self.full != sync {
            let level = if sync { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.full = sync;
        }
        let transaction = self.connection.transaction()?;
        act(&transaction)?;
        Ok(transaction.commit()?)
    }
}

impl Peer for Sqlite {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        self.write.lock().expect("no panics").transaction(self.sync_puts, |connection| {
            // Without AUTOINCREMENT numbers begin anew when the queue is empty, which does no harm.
            let mut insert = connection.prepare_cached("INSERT INTO queue (body) VALUES (?1)")?;
            for body in batch.bodies() {
                insert.execute([body])?;
            }
            Ok(())
        })
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let connection = self.read.lock().expect("no panics");
        let (mut count, mut last) = (0, 0_i64);
        {
            let mut select = connection
                .prepare_cached("SELECT number, body FROM queue ORDER BY number LIMIT ?1")?;
            let mut rows = select.query([most as i64])?;
            while let Some(row) = rows.next()? {
                last = row.get(0)?;
                see(row.get_ref(1)?.as_blob()?);
                count += 1;
            }
        }
        if ack != Ack::Never && count > 0 {
            let mut write = self.write.lock().expect("no panics");
            write.transaction(ack == Ack::Durable, |connection| {
                let mut delete =
                    connection.prepare_cached("DELETE FROM queue WHERE number <= ?1")?;
                delete.execute([last]).map(|_| ())
            })?;
        }
        Ok(count)
    }

    fn sync(&self) -> Result<()> {
        let write = self.write.lock().expect("no panics");
        write.connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
