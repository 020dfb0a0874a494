//! segment-buffer: every commit is a file of its own, compressed and renamed into place.

use std::path::Path;
use std::sync::Mutex;

use segment_buffer::{DurabilityPolicy, SegmentBuffer, SegmentConfig};
use serde_bytes::ByteBuf;

use crate::body::Batch;
use crate::peer::{Ack, Contestant, Need, Peer, Result, Setup};

pub(crate) const CONTESTANT: Contestant = Contestant {
    name: "segment-buffer",
    package: Some("segment-buffer"),
    open: |directory, setup| Ok(Box::new(Segments::open(directory, setup)?)),
    owns: false,
    lacks: &[(Need::DurableAcks, "an ack removes files and syncs nothing")],
    note: "DurabilityPolicy::Maximal or ::Throughput, zstd at 1; two flushes at once would let one of them \
           return before its events are synced, so this bench makes producers wait for each other",
};

struct Segments {
    buffer: SegmentBuffer<ByteBuf>,
    /// A flush that finds its events in another thread's hands returns at once, before they are synced.
    put: Mutex<()>,
    taken: Mutex<u64>,
}

impl Segments {
    fn open(directory: &Path, setup: &Setup) -> Result<Segments> {
        let durability = match setup.sync_puts {
            true => DurabilityPolicy::Maximal,
            false => DurabilityPolicy::Throughput,
        };
        let config = SegmentConfig::builder()
            .flush_manually()
            .compression_level(1)
            .max_size_bytes(1 << 40)
            .durability(durability)
            .build();
        let buffer = SegmentBuffer::open(directory.join("segments"), config)?;
        let taken = Mutex::new(buffer.stats().head_sequence);
        Ok(Segments { buffer, put: Mutex::new(()), taken })
    }
}

impl Peer for Segments {
    fn put(&self, _producer: usize, batch: &Batch) -> Result<()> {
        let _alone = self.put.lock().expect("no panics");
        self.buffer.append_all(batch.bodies().map(|body| ByteBuf::from(body.to_vec())))?;
        Ok(self.buffer.flush()?)
    }

    fn take(&self, most: usize, ack: Ack, see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut taken = self.taken.lock().expect("no panics");
        let bodies = self.buffer.read_from(*taken, most)?;
        bodies.iter().for_each(|body| see(body));
        if ack != Ack::Never && !bodies.is_empty() {
            *taken += bodies.len() as u64;
            self.buffer.delete_acked(*taken - 1)?;
        }
        Ok(bodies.len())
    }

    fn sync(&self) -> Result<()> {
        Ok(self.buffer.flush()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}
