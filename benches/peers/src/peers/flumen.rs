//! Flumen itself, with its defaults.

use std::path::Path;
use std::time::Duration;

use flumen::{AckDurability, Channel, ChannelOptions, Durability, Event, FileChannel};

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Peer, Result, Setup};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "flumen",
    package: Some("flumen"),
    open: |directory, setup| Ok(Box::new(Flumen(open(directory, setup)?))),
    owns: true,
    lacks: &[],
    note: "the defaults; lazy acks within 100 ms; bodies are given to it, as it may keep them",
};

struct Flumen(FileChannel);

fn open(directory: &Path, setup: &Setup) -> Result<FileChannel> {
    let durability = if setup.sync_puts { Durability::Sync } else { Durability::Os };
    let acks = match setup.acks {
        Ack::Durable => AckDurability::Sync,
        Ack::Lazy | Ack::Never => AckDurability::Lazy(Duration::from_millis(100)),
    };
    let options = ChannelOptions::new().durability(durability).ack_durability(acks);
    Ok(FileChannel::open(directory.join("channel"), options)?)
}

impl Peer for Flumen {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let bytes = batch.owned();
        let mut put = self.0.begin_put();
        let starts = (0..bytes.len()).step_by(batch.size());
        let event = |start| Event::new(bytes.slice(start..start + batch.size()));
        put.put_all(starts.map(event).collect())?;
        Ok(put.commit()?)
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut take = self.0.begin_take();
        let mut count = 0;
        while count < most {
            let events = take.take_up_to(most - count)?;
            if events.is_empty() {
                break;
            }
            events.iter().for_each(|event| see(&event.body));
            count += events.len();
        }
        match ack {
            Ack::Never => take.rollback(),
            Ack::Durable | Ack::Lazy => take.commit()?,
        }
        Ok(count)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.0.sync()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.0.close()?)
    }
}
