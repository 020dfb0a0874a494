//! Which events were acknowledged, and the cursors: the newest intact state and every record behind it that
//! can be read. Acks are facts that stay true, so those behind damage count as well.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::records::{Hole, Item, Records};
use crate::channel::parts::{RangeSet, decode_ack, decode_put_head};
use crate::log::raw::{Found, PAGE};
use crate::log::{Kind, Lsn};
use crate::storage::StorageError;

/// What is known of acks and cursors.
#[derive(Default)]
pub(super) struct Replayed {
    pub(super) acked: RangeSet,
    pub(super) cursors: BTreeMap<String, Vec<u8>>,
    /// Events below may have been acknowledged by a record that is lost; 0 when none is.
    pub(super) doubt_below: u64,
    /// A record that set a cursor may be lost.
    pub(super) are_cursors_in_doubt: bool,
    /// The sequence behind the highest any witness knows.
    pub(super) next_sequence: u64,
    /// Everything below was synced.
    pub(super) promise: Lsn,
    /// No slot names the last segment and the log read does not end with a close: newer segments may be
    /// missing.
    pub(super) is_end_unknown: bool,
    /// Where acks may have been lost, until the next intact record says which events they can concern.
    pending: Option<Lsn>,
}

impl Replayed {
    pub(super) fn read(evidence: &Evidence) -> Result<Replayed, StorageError> {
        let mut replayed = Replayed {
            next_sequence: evidence.next_sequence(),
            promise: evidence.promise(),
            ..Replayed::default()
        };
        let mut start = None;
        match &evidence.witness {
            Some(witness) => {
                replayed.acked = witness.queue.acked().clone();
                replayed.cursors = witness.queue.cursors().clone();
                start = Some((witness.checkpoint.tail, witness.checkpoint.lsn));
            }
            // Every state is lost: any ack may be.
            None => replayed.pending = Some(Lsn(0)),
        }
        let witness = evidence.witness.as_ref();
        let mut has_tail = witness.is_none_or(|witness| witness.checkpoint.is_unborn());
        let mut is_closed = false;
        let mut end = start.map_or(Lsn(0), |(_, lsn)| lsn);
        for segment in &evidence.segments {
            let Some(base) = segment.base else { continue };
            if start.is_some_and(|(tail, _)| segment.number < tail) {
                continue;
            }
            has_tail |= start.is_some_and(|(tail, _)| tail == segment.number);
            if base > end {
                // A segment between this one and the last may be missing.
                replayed.pending = Some(replayed.pending.unwrap_or(end));
            }
            let from = match start {
                Some((tail, lsn)) if tail == segment.number => PAGE + lsn.since(base),
                _ => PAGE,
            };
            let id = &evidence.channel_id;
            let mut records = Records::open(&evidence.directory, id, segment, from)?;
            while let Some(item) = records.next()? {
                match item {
                    Item::Record { found, .. } => {
                        end = end.max(found.header.end());
                        is_closed = found.header.kind == Kind::Close;
                        replayed.apply(&found);
                    }
                    Item::Flaw(hole) => {
                        end = end.max(hole.lsn.plus(hole.range.end - hole.range.start));
                        replayed.pass(&hole);
                    }
                }
            }
        }
        if !has_tail && !evidence.is_clean {
            replayed.pending = Some(Lsn(0));
        }
        replayed.settle();
        replayed.is_end_unknown = !evidence.has_slot() && !is_closed;
        if replayed.is_end_unknown {
            replayed.doubt_below = replayed.next_sequence;
            replayed.are_cursors_in_doubt = true;
        }
        Ok(replayed)
    }

    fn apply(&mut self, found: &Found) {
        let header = &found.header;
        self.promise = self.promise.max(header.watermark);
        if self.pending.take().is_some() {
            self.doubt_below = self.doubt_below.max(header.sequence);
            self.are_cursors_in_doubt = true;
        }
        let mut next = header.sequence;
        let cursors = match header.kind {
            Kind::Put => match decode_put_head(&found.payload) {
                Ok(head) => {
                    next = next.saturating_add(head.count);
                    head.cursors
                }
                Err(_) => return,
            },
            Kind::Ack => match decode_ack(&found.payload) {
                Ok(ack) => {
                    for range in ack.ranges {
                        next = next.max(range.end);
                        self.acked.add(range);
                    }
                    ack.cursors
                }
                Err(_) => return,
            },
            // What a moved record says is in the state before it.
            Kind::State | Kind::Watermark | Kind::Close | Kind::Moved => BTreeMap::new(),
        };
        for (name, value) in cursors {
            match value {
                Some(value) => self.cursors.insert(name, value),
                None => self.cursors.remove(&name),
            };
        }
        self.next_sequence = self.next_sequence.max(next);
    }

    /// A broken stretch: what may have stood there?
    fn pass(&mut self, hole: &Hole) {
        if let Some(header) = &hole.header {
            self.promise = self.promise.max(header.watermark);
            self.next_sequence = self.next_sequence.max(header.sequence);
        }
        match hole.header.map(|header| (header.kind, header.sequence)) {
            Some((Kind::Ack, sequence)) => {
                self.doubt_below = self.doubt_below.max(sequence);
                self.are_cursors_in_doubt = true;
            }
            Some((Kind::Put, _)) => self.are_cursors_in_doubt = true,
            Some((Kind::State | Kind::Watermark | Kind::Close | Kind::Moved, _)) => {}
            None => self.pending = Some(self.pending.unwrap_or(hole.lsn).min(hole.lsn)),
        }
    }

    /// No intact record follows. What stood above every promise was never acknowledged.
    fn settle(&mut self) {
        if self.pending.take().is_some_and(|lsn| lsn < self.promise) {
            self.doubt_below = self.next_sequence;
            self.are_cursors_in_doubt = true;
        }
    }
}
