//! yaque: a queue that calls no sync at all.

use std::path::Path;
use std::sync::Mutex;

use yaque::{Receiver, ReceiverBuilder, Sender, SenderBuilder, TryRecvError, TrySendError};

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Need, Peer, Result, Setup};

const NO_SYNC: &str = "calls no sync at all";

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "yaque",
    package: Some("yaque"),
    open: |directory, setup| Ok(Box::new(Yaque::open(directory, setup)?)),
    owns: false,
    lacks: &[(Need::Sync, NO_SYNC), (Need::DurableAcks, NO_SYNC)],
    note: "segments of 64 MiB; a commit is a write(2): what a loss of power leaves is not promised",
};

struct Yaque {
    sender: Mutex<Sender>,
    receiver: Mutex<Receiver>,
}

impl Yaque {
    fn open(directory: &Path, _setup: &Setup) -> Result<Yaque> {
        let queue = directory.join("queue");
        if queue.exists() {
            // Lock files of a process that was killed.
            yaque::recovery::recover(&queue)?;
        }
        let sender =
            SenderBuilder::new().segment_size(64 << 20).max_queue_size(None).open(&queue)?;
        let receiver = ReceiverBuilder::new().save_every_nth(None).save_every(None).open(&queue)?;
        Ok(Yaque { sender: Mutex::new(sender), receiver: Mutex::new(receiver) })
    }
}

impl Peer for Yaque {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let mut sender = self.sender.lock().expect("no panics");
        match sender.try_send_batch(batch.bodies()) {
            Ok(()) => Ok(()),
            Err(TrySendError::Io(error)) => Err(error.into()),
            Err(TrySendError::QueueFull { .. }) => Err("the queue is full".into()),
        }
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut receiver = self.receiver.lock().expect("no panics");
        let bodies = match receiver.try_recv_batch_up_to(most) {
            Ok(bodies) => bodies,
            Err(TryRecvError::QueueEmpty) => return Ok(0),
            Err(error) => return Err(format!("{error:?}").into()),
        };
        bodies.iter().for_each(|body| see(body));
        let count = bodies.len();
        match ack {
            Ack::Never => bodies.rollback()?,
            Ack::Durable | Ack::Lazy => {
                bodies.commit()?;
                receiver.save()?;
            }
        }
        Ok(count)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.receiver.lock().expect("no panics").save()?;
        Ok(())
    }
}
