//! persistent-queue, over redb: events one by one, with a group commit between producers.

use std::path::Path;
use std::sync::Mutex;

use persistent_queue::{Builder, Consumer, Durability, Producer, RedbStore};

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Need, Peer, Result, Setup};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "persistent-queue",
    package: Some("persistent-queue"),
    open: |directory, setup| Ok(Box::new(Queue::open(directory, setup)?)),
    owns: false,
    lacks: &[
        (Need::Batches, "puts and acks one event at a time"),
        (Need::Unsynced, "what is not synced is in its own memory"),
        (Need::Backlog, "a backlog of this size takes minutes to build, one sync after the other"),
    ],
    note: "over redb; Durability::Group",
};

struct Queue {
    producer: Producer<RedbStore>,
    consumer: Mutex<Consumer<RedbStore>>,
}

impl Queue {
    fn open(directory: &Path, setup: &Setup) -> Result<Queue> {
        let store = RedbStore::open(directory.join("queue"))?;
        let (producer, consumer) = Builder::new(store)
            .capacity(usize::MAX)
            .durability(if setup.sync_puts { Durability::Group } else { Durability::None })
            .durable_acks(setup.acks == Ack::Durable)
            .open()?;
        Ok(Queue { producer, consumer: Mutex::new(consumer) })
    }
}

impl Peer for Queue {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        for body in batch.bodies() {
            self.producer.push(body)?;
        }
        Ok(())
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let consumer = self.consumer.lock().expect("no panics");
        let mut kept = Vec::new();
        let mut count = 0;
        while count < most
            && let Some(body) = consumer.reserve()?
        {
            see(&body);
            count += 1;
            match ack {
                Ack::Never => kept.push(body),
                Ack::Durable | Ack::Lazy => body.ack()?,
            }
        }
        Ok(count)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.producer.close();
        Ok(())
    }
}
