//! Acknowledgements on their way to the log.

use std::ops::Range;

use super::codec::encode_ack;
use crate::channel::transaction::{Cursors, TakeBatch};
use crate::log::PendingRecord;

/// Acknowledgements of one or more take transactions.
#[derive(Default)]
pub(crate) struct Acks {
    /// Ascending, not touching.
    pub(crate) ranges: Vec<Range<u64>>,
    pub(crate) events: u64,
    pub(crate) size: u64,
    pub(crate) cursors: Cursors,
    pub(crate) transactions: u64,
}

impl Acks {
    pub(crate) fn of(batch: &TakeBatch) -> Acks {
        let mut sequences = batch.loan.sequences.clone();
        sequences.sort_unstable();
        let mut acks = Acks {
            events: sequences.len() as u64,
            size: batch.loan.size,
            cursors: batch.cursors.clone(),
            transactions: 1,
            ..Acks::default()
        };
        for sequence in sequences {
            match acks.ranges.last_mut() {
                Some(last) if last.end == sequence => last.end += 1,
                _ => acks.ranges.push(sequence..sequence + 1),
            }
        }
        acks
    }

    /// About what the cursors take in a record.
    pub(crate) fn cursor_bytes(&self) -> usize {
        let value_size = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        self.cursors.iter().map(|(name, value)| name.len() + value_size(value)).sum()
    }

    /// Adds the acks of other transactions, which happened later.
    pub(crate) fn merge(&mut self, later: Acks) {
        self.events += later.events;
        self.size += later.size;
        self.transactions += later.transactions;
        self.cursors.extend(later.cursors);
        self.ranges.extend(later.ranges);
        self.ranges.sort_unstable_by_key(|range| range.start);
        self.ranges.dedup_by(|later, earlier| {
            let touch = earlier.end == later.start;
            if touch {
                earlier.end = later.end;
            }
            touch
        });
    }

    pub(crate) fn encode(&self) -> PendingRecord {
        encode_ack(&self.ranges, self.size, &self.cursors)
    }
}

/// Lazy acks for which the disk had no room, until an entry of the log takes them. They are changed where
/// entries leave the queue of commits, and so in the order of the log: what is refused is older than
/// all that is in that queue, whenever it is asked for, and no older value of a cursor is written behind a
/// later one.
#[derive(Default)]
pub(crate) struct Refused {
    acks: Acks,
    /// An entry that takes them is on its way.
    is_awaited: bool,
}

impl Refused {
    pub(crate) fn is_empty(&self) -> bool {
        self.acks.transactions == 0
    }

    pub(crate) fn events(&self) -> u64 {
        self.acks.events
    }

    /// Whether an entry is wanted that takes them.
    pub(crate) fn is_wanting(&self) -> bool {
        !self.is_empty() && !self.is_awaited
    }

    /// Notes that such an entry is on its way, if one is wanted, and says whether it is.
    pub(crate) fn note_asked(&mut self) -> bool {
        let is_wanting = self.is_wanting();
        self.is_awaited |= is_wanting;
        is_wanting
    }

    /// Adds some that come later than these.
    pub(crate) fn add(&mut self, acks: Acks) {
        self.acks.merge(acks);
    }

    /// The entry that was to take them leaves them where they are.
    pub(crate) fn stay(&mut self) {
        self.is_awaited = false;
    }

    /// Takes them, if there are any.
    pub(crate) fn take(&mut self) -> Option<Acks> {
        self.is_awaited = false;
        let acks = std::mem::take(&mut self.acks);
        (acks.transactions > 0).then_some(acks)
    }

    /// Of one cursor the later value must come last: what is set now is not set back.
    pub(crate) fn supersede(&mut self, later: &Cursors) {
        self.acks.cursors.retain(|name, _| !later.contains_key(name));
    }

    /// Bytes of their record.
    pub(crate) fn size(&self) -> u64 {
        if self.is_empty() { 0 } else { self.acks.encode().size() }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn acks(values: &[(&str, &str)]) -> Acks {
        let set =
            |(name, value): &(&str, &str)| (name.to_string(), Some(value.as_bytes().to_vec()));
        Acks { cursors: values.iter().map(set).collect(), transactions: 1, ..Acks::default() }
    }

    /// An ack that waits for room does not set a cursor back that moved on while it waited.
    #[test]
    fn of_one_cursor_the_later_value_comes_last() {
        let mut refused = Refused::default();
        refused.add(acks(&[("read", "1"), ("sent", "1")]));
        refused.supersede(&Cursors::new());
        refused.supersede(&acks(&[("read", "2"), ("else", "2")]).cursors);
        assert_eq!(refused.acks.cursors, acks(&[("sent", "1")]).cursors);
        assert_eq!(refused.acks.cursor_bytes(), 5);
        refused.add(acks(&[("sent", "3")]));
        let taken = refused.take().expect("some were added");
        assert_eq!(taken.cursors, acks(&[("sent", "3")]).cursors, "the later one");
        assert_eq!(taken.transactions, 2);
    }

    #[test]
    fn one_entry_at_a_time_is_asked_to_take_what_was_refused() {
        let mut refused = Refused::default();
        assert!(!refused.note_asked() && refused.size() == 0, "there is nothing");
        refused.add(acks(&[("read", "1")]));
        assert_eq!(refused.size(), acks(&[("read", "1")]).encode().size());
        assert!(refused.note_asked());
        assert!(!refused.is_wanting() && !refused.note_asked(), "it is on its way");
        refused.add(acks(&[("read", "2")]));
        refused.stay();
        assert!(refused.is_wanting() && refused.note_asked());
        assert!(refused.take().is_some());
        assert!(refused.take().is_none() && !refused.is_wanting());
        refused.add(acks(&[]));
        assert!(refused.note_asked());
    }
}
