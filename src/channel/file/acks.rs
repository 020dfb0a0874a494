//! Acknowledgements on their way to the log.

use std::collections::VecDeque;
use std::ops::Range;

use super::codec::{ack_size, cursors_size, encode_ack};
use crate::channel::CloseError;
use crate::channel::transaction::{Cursors, TakeBatch};
use crate::log::PendingRecord;

/// Lazy acks go together while they have no more ranges than this, and no more bytes of cursors: so they fit
/// into a reserve file, or a full disk would refuse what it takes one by one. One transaction with so many
/// cursors is no lazy one: who commits it is told when it is refused.
const RANGES_MAX: usize = 1000;
pub(crate) const CURSOR_BYTES_MAX: usize = 8 << 10;

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

    /// What the cursors take in a record.
    pub(crate) fn cursor_bytes(&self) -> usize {
        cursors_size(&self.cursors)
    }

    /// Whether these others go together with them.
    pub(crate) fn has_room_for(&self, others: &Acks) -> bool {
        self.transactions == 0
            || self.ranges.len() + others.ranges.len() <= RANGES_MAX
                && self.cursor_bytes() + others.cursor_bytes() <= CURSOR_BYTES_MAX
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

/// Lazy acks for which the disk had no room, until entries of the log take them. They are changed where
/// entries leave the queue of commits, and so in the order of the log: what is refused is older than all that
/// is in that queue, whenever it is asked for, and no older value of a cursor is written behind a later one.
#[derive(Default)]
pub(crate) struct Refused {
    /// The oldest first, together as far as they fit: what fits by itself is not to wait for room for more.
    parts: VecDeque<Acks>,
    /// An entry that takes the oldest is on its way.
    is_awaited: bool,
    /// How often something has left them.
    changes: u64,
}

impl Refused {
    /// An error if anything would be lost with them.
    pub(crate) fn check(&self) -> Result<(), CloseError> {
        if self.parts.iter().all(|part| part.ranges.is_empty() && part.cursors.is_empty()) {
            return Ok(());
        }
        Err(CloseError::NoSpace { events: self.parts.iter().map(|part| part.events).sum() })
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether an entry is wanted that takes the oldest.
    pub(crate) fn is_wanting(&self) -> bool {
        !self.parts.is_empty() && !self.is_awaited
    }

    /// Notes that such an entry is on its way, if one is wanted, and says whether it is.
    pub(crate) fn note_asked(&mut self) -> bool {
        let is_wanting = self.is_wanting();
        self.is_awaited |= is_wanting;
        is_wanting
    }

    /// Adds some that come later than these.
    pub(crate) fn add(&mut self, acks: Acks) {
        match self.parts.back_mut() {
            Some(last) if last.has_room_for(&acks) => last.merge(acks),
            _ => self.parts.push_back(acks),
        }
    }

    /// The entry that was to take the oldest leaves it where it is.
    pub(crate) fn stay(&mut self) {
        self.is_awaited = false;
    }

    /// Takes the oldest, if there are any.
    pub(crate) fn take(&mut self) -> Option<Acks> {
        self.is_awaited = false;
        self.changes += 1;
        self.parts.pop_front()
    }

    /// Of one cursor the later value must come last: what is set now is not set back.
    pub(crate) fn supersede(&mut self, later: &Cursors) {
        for part in &mut self.parts {
            let before = part.cursors.len();
            part.cursors.retain(|name, _| !later.contains_key(name));
            self.changes += u64::from(part.cursors.len() < before);
        }
    }

    /// Bytes of the oldest one's record.
    pub(crate) fn size(&self) -> u64 {
        self.parts.front().map_or(0, |part| ack_size(&part.ranges, &part.cursors))
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
    fn i2_of_one_cursor_the_later_value_comes_last() {
        let mut refused = Refused::default();
        refused.add(acks(&[("read", "1"), ("sent", "1")]));
        refused.supersede(&Cursors::new());
        assert_eq!(refused.changes(), 0);
        refused.supersede(&acks(&[("read", "2"), ("else", "2")]).cursors);
        assert_eq!(refused.changes(), 1);
        assert_eq!(refused.parts[0].cursors, acks(&[("sent", "1")]).cursors);
        refused.add(acks(&[("sent", "3")]));
        let taken = refused.take().expect("some were added");
        assert_eq!(taken.cursors, acks(&[("sent", "3")]).cursors, "the later one");
        assert_eq!((taken.transactions, refused.changes()), (2, 2));
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
        assert!(refused.check().is_ok(), "a transaction that is counted, and no more");
    }

    /// Else what fits one by one would wait for room for all of it.
    #[test]
    fn i8_what_was_refused_goes_together_as_far_as_it_fits() {
        let large = "x".repeat(CURSOR_BYTES_MAX / 2);
        let names = ["a", "b", "c"];
        let mut refused = Refused::default();
        for name in names {
            refused.add(acks(&[(name, &large)]));
            refused.add(acks(&[("d", name)]));
        }
        assert_eq!(refused.parts.len(), 3);
        let taken = std::iter::from_fn(|| refused.take()).map(|part| part.cursors);
        assert!(taken.zip(names).all(|(part, name)| part.contains_key(name) && part.len() == 2));
        let many = |from: u64| {
            let ranges = (from..).map(|start| 2 * start..2 * start + 1).take(RANGES_MAX / 2);
            Acks { ranges: ranges.collect(), transactions: 1, ..Acks::default() }
        };
        for from in [0, 1000, 2000] {
            refused.add(many(from));
        }
        let ranges: Vec<usize> = refused.parts.iter().map(|part| part.ranges.len()).collect();
        assert_eq!(ranges, [RANGES_MAX, RANGES_MAX / 2]);
    }
}
