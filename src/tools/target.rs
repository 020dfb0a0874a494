//! The new channel that salvaged events go into.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::salvage::SalvageError;
use super::walk::Visitor;
use crate::channel::parts::{Events, RangeSet};
use crate::channel::{
    Channel, ChannelOptions, Durability, FileChannel, PutError, PutTransaction,
    TRANSACTION_BYTES_MAX,
};
use crate::event::Event;
use crate::log::Lsn;
use crate::storage::Storage;

/// Cursors set in one transaction.
const CURSORS: usize = 1000;

/// The device rests while a segment is begun. So a large copy has large segments, unless the options ask for
/// others than usual: this part of it, in whole MiB,
const SHARE: u64 = 8;
/// and no larger. Their files are not used again.
const SEGMENT_MAX: u64 = 128 << 20;

fn segment_size(own: u64, copied: u64) -> u64 {
    match own == ChannelOptions::new().segment_size {
        true => ((copied / SHARE) >> 20 << 20).min(SEGMENT_MAX).max(own),
        false => own,
    }
}

/// The new channel, and what was put into it.
pub(super) struct Target<'a> {
    channel: FileChannel,
    acked: &'a RangeSet,
    /// Events below may have been acknowledged.
    doubt_below: u64,
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) transactions: u64,
    pub(super) possibly_again: u64,
    /// Sequences that are neither there nor acknowledged, and where the log is broken.
    pub(super) gaps: Vec<(Range<u64>, Lsn)>,
}

impl<'a> Target<'a> {
    /// Makes a channel in an empty directory, for up to `bytes` bytes. It is synced when it is closed, as far
    /// as the helper thread has not done so while it was written.
    pub(super) fn create(
        storage: Arc<dyn Storage>,
        options: ChannelOptions,
        bytes: u64,
        acked: &'a RangeSet,
        doubt_below: u64,
    ) -> Result<Target<'a>, SalvageError> {
        let size = segment_size(options.segment_size, bytes);
        let options = options
            .segment_size(size)
            .create(true)
            .capacity_events(u64::MAX)
            .capacity_bytes(u64::MAX)
            .transaction_bytes(TRANSACTION_BYTES_MAX)
            // Nobody takes from it, and what is held is read into no second time.
            .memory_tail(0)
            .durability(Durability::Os);
        let channel = FileChannel::open_on(storage, options).map_err(SalvageError::Create)?;
        Ok(Target {
            channel,
            acked,
            doubt_below,
            events: 0,
            bytes: 0,
            transactions: 0,
            possibly_again: 0,
            gaps: Vec::new(),
        })
    }

    /// Sets the cursors and closes the channel: from then on everything in it is durable. The cursors come
    /// last, since they vouch for the events.
    pub(super) fn finish(
        &mut self,
        cursors: &BTreeMap<String, Vec<u8>>,
    ) -> Result<(), SalvageError> {
        self.channel.sync().map_err(SalvageError::Close)?;
        let all: Vec<_> = cursors.iter().collect();
        for part in all.chunks(CURSORS) {
            let mut put = self.channel.begin_put();
            for (name, value) in part {
                put.set_cursor(name, value).map_err(SalvageError::Cursor)?;
            }
            put.commit().map_err(SalvageError::Commit)?;
        }
        self.channel.close().map_err(SalvageError::Close)
    }

    fn commit(&mut self, put: PutTransaction) -> Result<(), SalvageError> {
        if !put.is_empty() {
            put.commit().map_err(SalvageError::Commit)?;
            self.transactions += 1;
        }
        Ok(())
    }

    /// Adds an event to a transaction, beginning another when that is full.
    fn put(
        &mut self,
        transaction: PutTransaction,
        event: Event,
    ) -> Result<PutTransaction, SalvageError> {
        let mut transaction = transaction;
        let size = event.size();
        match transaction.put(event) {
            Ok(()) => {}
            Err(PutError::TransactionFull(event)) => {
                self.commit(transaction)?;
                transaction = self.channel.begin_put();
                transaction.put(event).map_err(SalvageError::Put)?;
            }
            Err(error) => return Err(SalvageError::Put(error)),
        }
        self.events += 1;
        self.bytes += size;
        Ok(transaction)
    }
}

impl Visitor for Target<'_> {
    type Error = SalvageError;

    fn gap(&mut self, sequences: Range<u64>, lsn: Lsn) {
        self.gaps.push((sequences, lsn));
    }

    fn events(&mut self, sequence: u64, mut events: Events) -> Result<(), SalvageError> {
        let mut sequence = sequence;
        let mut transaction = self.channel.begin_put();
        // What does not decode was found before the events came here.
        while let Ok(Some(event)) = events.next() {
            if !self.acked.contains_all(sequence..sequence + 1) {
                transaction = self.put(transaction, event)?;
                self.possibly_again += u64::from(sequence < self.doubt_below);
            }
            sequence += 1;
        }
        self.commit(transaction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_copy_has_large_segments_unless_others_are_asked_for() {
        let mib = 1 << 20;
        for (own, copied, size) in [
            (32 * mib, 0, 32 * mib),
            (32 * mib, 255 * mib, 32 * mib),
            (32 * mib, 264 * mib + 5, 33 * mib),
            (32 * mib, 100_000 * mib, SEGMENT_MAX),
            (16 << 10, 100_000 * mib, 16 << 10),
            (512 * mib, 100_000 * mib, 512 * mib),
            (0, 100_000 * mib, 0),
        ] {
            assert_eq!(segment_size(own, copied), size, "{own} and {copied}");
        }
    }
}
