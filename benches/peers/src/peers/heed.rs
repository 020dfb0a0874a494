//! heed, which is LMDB: a mapped B-tree. The key is the event's number.

use std::path::Path;
use std::sync::Mutex;

use heed::byteorder::BigEndian;
use heed::types::{Bytes, U64};
use heed::{CommitOrAbort, Env, EnvFlags, EnvOpenOptions, FlagSetMode, PutFlags};

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Peer, Result, Setup};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "heed",
    package: Some("heed"),
    open: |directory, setup| Ok(Box::new(Heed::open(directory, setup)?)),
    owns: false,
    lacks: &[],
    note: "LMDB; a map of 64 GiB, PutFlags::APPEND; NO_SYNC set for a commit that asks for no sync",
};

type Database = heed::Database<'static, U64<BigEndian>, Bytes>;

struct Heed {
    env: Env,
    queue: Database,
    writer: Mutex<Writer>,
    taken: Mutex<u64>,
    sync_puts: bool,
}

struct Writer {
    next: u64,
    /// Whether commits sync at present.
    sync: bool,
}

impl Heed {
    fn open(directory: &Path, setup: &Setup) -> Result<Heed> {
        let directory = directory.join("database");
        std::fs::create_dir_all(&directory)?;
        // SAFETY: nobody else opens, let alone changes, these files.
        let env = unsafe { EnvOpenOptions::new().map_size(64 << 30).open(&directory)? };
        let queue: Database = env
            .create_databases_and_commit(env.write_txn()?, |opener, write| -> heed::Result<_> {
                let queue = opener.create_database(write, None)?;
                Ok(CommitOrAbort::<_, ()>::Commit(queue))
            })?
            .unwrap_commit();
        let (first, last) = {
            let read = env.read_txn()?;
            let first = queue.first(&read)?.map(|(key, _)| key);
            (first, queue.last(&read)?.map(|(key, _)| key))
        };
        Ok(Heed {
            env,
            queue,
            writer: Mutex::new(Writer { next: last.map_or(0, |key| key + 1), sync: true }),
            taken: Mutex::new(first.unwrap_or(0)),
            sync_puts: setup.sync_puts,
        })
    }

    /// Called with the writer's lock held, so by one thread at a time.
    fn set_sync(&self, writer: &mut Writer, sync: bool) -> Result<()> {
        if writer.sync != sync {
            let mode = if sync { FlagSetMode::Disable } else { FlagSetMode::Enable };
            // SAFETY: the lock sees to one caller at a time, and a crash of the machine is not simulated.
            unsafe { self.env.set_flags(EnvFlags::NO_SYNC, mode)? };
            writer.sync = sync;
        }
        Ok(())
    }
}

impl Peer for Heed {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let mut writer = self.writer.lock().expect("no panics");
        self.set_sync(&mut writer, self.sync_puts)?;
        let mut write = self.env.write_txn()?;
        for body in batch.bodies() {
            self.queue.put_with_flags(&mut write, PutFlags::APPEND, &writer.next, body)?;
            writer.next += 1;
        }
        Ok(write.commit()?)
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut taken = self.taken.lock().expect("no panics");
        let (mut count, mut next) = (0, *taken);
        {
            let read = self.env.read_txn()?;
            for pair in self.queue.range(&read, &(next..))?.take(most) {
                let (key, body) = pair?;
                see(body);
                next = key + 1;
                count += 1;
            }
        }
        if ack != Ack::Never && count > 0 {
            let mut writer = self.writer.lock().expect("no panics");
            self.set_sync(&mut writer, ack == Ack::Durable)?;
            let mut write = self.env.write_txn()?;
            self.queue.delete_range(&mut write, &(*taken..next))?;
            write.commit()?;
            *taken = next;
        }
        Ok(count)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.env.force_sync()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()?;
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}
