//! Recently committed puts, kept in memory so that a consumer that keeps up does not read the disk.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::event::{ALLOCATION, Event};
use crate::log::Lsn;

/// What a record costs in memory beside its events: itself, the list of its events, its place in the tail.
const RECORD: usize = size_of::<TailRecord>() + 3 * size_of::<usize>() + 2 * ALLOCATION;

/// A put record in memory.
pub(crate) struct TailRecord {
    pub(crate) lsn: Lsn,
    pub(crate) end: Lsn,
    pub(crate) first_sequence: u64,
    pub(crate) events: Vec<Event>,
    cost: u64,
}

impl TailRecord {
    /// One with these events, which take so much memory.
    pub(crate) fn new(
        at: Range<Lsn>,
        first_sequence: u64,
        events: Vec<Event>,
        memory: u64,
    ) -> Self {
        let spare = (events.capacity() - events.len()) * size_of::<Event>();
        let cost = memory + (RECORD + spare) as u64;
        TailRecord { lsn: at.start, end: at.end, first_sequence, events, cost }
    }
}

/// All put records with events from some position on, as far as they fit into a limit.
pub(crate) struct Tail {
    records: VecDeque<Arc<TailRecord>>,
    cost: u64,
    limit: u64,
    /// Every put record with events at or after this position is in `records`.
    covered_from: Lsn,
}

/// What the tail knows about a position.
pub(crate) enum Lookup {
    /// The first put record at or after it.
    Record(Arc<TailRecord>),
    /// There is no put record after it.
    Nothing,
    /// The position is too old: read the log.
    Older,
}

impl Tail {
    /// A tail that is empty, at the end of the log.
    pub(crate) fn new(limit: u64, end: Lsn) -> Tail {
        Tail { records: VecDeque::new(), cost: 0, limit, covered_from: end }
    }

    /// Adds the newest record, at the expense of the oldest ones, which it hands over: to give their memory
    /// back takes longer than the rest. One that sets cursors only is of no use to a consumer; it costs
    /// nothing by the count of events, so the limit would not bound how many are kept.
    pub(crate) fn push(&mut self, record: TailRecord, outdated: &mut Vec<Arc<TailRecord>>) {
        if record.events.is_empty() {
            return;
        }
        self.cost += record.cost;
        self.records.push_back(Arc::new(record));
        while self.cost > self.limit {
            let Some(oldest) = self.records.pop_front() else {
                break;
            };
            self.cost -= oldest.cost;
            self.covered_from = oldest.end;
            outdated.push(oldest);
        }
    }

    /// Forgets what lies before `position`, where the only reader now is, and looks there.
    pub(crate) fn advance(&mut self, position: Lsn) -> Lookup {
        while let Some(oldest) = self.records.front().filter(|record| record.lsn < position) {
            self.cost -= oldest.cost;
            self.covered_from = oldest.end;
            self.records.pop_front();
        }
        if position < self.covered_from {
            return Lookup::Older;
        }
        match self.records.front() {
            Some(record) => Lookup::Record(Arc::clone(record)),
            None => Lookup::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(tail: &mut Tail, record: TailRecord) {
        tail.push(record, &mut Vec::new());
    }

    fn record(lsn: u64, cost: u64) -> TailRecord {
        let events = vec![Event::new("")];
        TailRecord { lsn: Lsn(lsn), end: Lsn(lsn + 10), first_sequence: lsn, events, cost }
    }

    #[test]
    fn i9_records_without_events_are_not_kept() {
        let mut tail = Tail::new(100, Lsn(0));
        for index in 0..1000 {
            let at = Lsn(index * 10)..Lsn(index * 10 + 10);
            push(&mut tail, TailRecord::new(at, 0, Vec::new(), 0));
        }
        assert!(tail.records.is_empty());
        push(&mut tail, record(10_000, 1));
        assert_eq!(found(tail.advance(Lsn(0))), Some(10_000));
    }

    fn found(lookup: Lookup) -> Option<u64> {
        match lookup {
            Lookup::Record(record) => Some(record.lsn.0),
            Lookup::Nothing => None,
            Lookup::Older => Some(u64::MAX),
        }
    }

    #[test]
    fn i9_the_oldest_records_make_room() {
        let mut tail = Tail::new(100, Lsn(0));
        let mut outdated = Vec::new();
        for index in 0..5 {
            tail.push(record(index * 10, 40), &mut outdated);
        }
        assert!(outdated.iter().map(|record| record.lsn.0).eq([0, 10, 20]), "handed over");
        assert_eq!(found(tail.advance(Lsn(20))), Some(u64::MAX), "20 was dropped");
        assert_eq!(found(tail.advance(Lsn(30))), Some(30));
        assert_eq!(found(tail.advance(Lsn(40))), Some(40));
        assert_eq!(tail.cost, 40, "of the one that is left");
        assert_eq!(found(tail.advance(Lsn(50))), None);
        assert_eq!(tail.cost, 0);
    }

    #[test]
    fn a_record_above_the_limit_is_left_to_the_disk() {
        let mut tail = Tail::new(100, Lsn(0));
        push(&mut tail, record(0, 101));
        assert_eq!(found(tail.advance(Lsn(0))), Some(u64::MAX));
        assert_eq!(found(tail.advance(Lsn(10))), None);
    }
}
