//! queue-file: a ring in one file, with its ends in a header.

use std::path::Path;
use std::sync::Mutex;

use queue_file::QueueFile;

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Peer, Result, Setup};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "queue-file",
    package: Some("queue-file"),
    open: |directory, setup| Ok(Box::new(Queue::open(directory, setup)?)),
    owns: false,
    lacks: &[],
    note: "set_overwrite_on_remove(false), set_sync_writes as asked; one lock for all",
};

struct Queue {
    file: Mutex<QueueFile>,
    sync_puts: bool,
}

impl Queue {
    fn open(directory: &Path, setup: &Setup) -> Result<Queue> {
        let mut file = QueueFile::open(directory.join("queue"))?;
        file.set_overwrite_on_remove(false);
        Ok(Queue { file: Mutex::new(file), sync_puts: setup.sync_puts })
    }
}

impl Peer for Queue {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let mut file = self.file.lock().expect("no panics");
        file.set_sync_writes(self.sync_puts);
        Ok(file.add_n(batch.bodies())?)
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut file = self.file.lock().expect("no panics");
        let mut count = 0;
        {
            let mut bodies = file.iter();
            while count < most
                && let Some(body) = bodies.borrowed_next()
            {
                see(body);
                count += 1;
            }
        }
        if ack != Ack::Never && count > 0 {
            file.set_sync_writes(ack == Ack::Durable);
            file.remove_n(count)?;
        }
        Ok(count)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.file.lock().expect("no panics").sync_all()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}
