//! The queue's state: what was put, what of it was acknowledged, and the cursors. It does not grow with the
//! depth of the queue. The live path and the replay of the log change it through [`Queue::apply`] alone.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::codec::{Malformed, decode_ack, decode_put_head};
use super::ranges::RangeSet;
use crate::bytes::Bytes;
use crate::channel::transaction::{Cursors, check_cursor};
use crate::log::{Kind, Lsn, RecordHeader, Replay, STATED_MAX, put_varint, take_varint};

/// Marks kept at most; beyond that every second one is dropped.
const MARKS_MAX: usize = 1024;

/// What one record does to the queue.
pub(crate) enum Change<'a> {
    Put { first_sequence: u64, events: u64, bytes: u64, cursors: &'a Cursors },
    Ack { ranges: &'a [Range<u64>], bytes: u64, cursors: &'a Cursors },
}

/// The state at a position of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    next_sequence: u64,
    acked: RangeSet,
    /// Size of all events that are not acknowledged.
    bytes: u64,
    cursors: BTreeMap<String, Vec<u8>>,
    marks: Marks,
}

impl Queue {
    /// Applies one record. An error says what does not fit; then the state is of no use any more.
    pub(crate) fn apply(&mut self, change: &Change<'_>) -> Result<(), String> {
        let cursors = match change {
            Change::Put { first_sequence, events, bytes, cursors } => {
                if *first_sequence != self.next_sequence {
                    return Err(format!("first sequence {first_sequence}"));
                }
                self.next_sequence = first_sequence
                    .checked_add(*events)
                    .ok_or("more events than there are sequences")?;
                self.bytes = self.bytes.saturating_add(*bytes);
                cursors
            }
            Change::Ack { ranges, bytes, cursors } => {
                self.apply_ack(ranges, *bytes)?;
                cursors
            }
        };
        for (name, value) in *cursors {
            match value {
                Some(value) => self.cursors.insert(name.clone(), value.clone()),
                None => self.cursors.remove(name),
            };
        }
        Ok(())
    }

    fn apply_ack(&mut self, ranges: &[Range<u64>], bytes: u64) -> Result<(), String> {
        if ranges.last().is_some_and(|last| last.end > self.next_sequence) {
            return Err("an ack of events that were never put".to_string());
        }
        for range in ranges {
            if !self.acked.insert(range.clone()) {
                let (start, end) = (range.start, range.end);
                return Err(format!("an ack of {start}..{end}, some of which is acknowledged"));
            }
        }
        // Of a state that was forged: the size is for limits and statistics alone.
        self.bytes = self.bytes.saturating_sub(bytes);
        self.marks.forget_below(self.acked.low());
        Ok(())
    }

    /// The sequence the next put gets.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Events put and not acknowledged.
    pub(crate) fn events(&self) -> u64 {
        self.next_sequence - self.acked.low() - self.acked.above_count()
    }

    /// Their size.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The acknowledged sequences.
    pub(crate) fn acked(&self) -> &RangeSet {
        &self.acked
    }

    pub(crate) fn cursors(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.cursors
    }

    /// Notes that the record at `lsn` begins with `sequence`.
    pub(crate) fn mark(&mut self, lsn: Lsn, sequence: u64) {
        self.marks.push(lsn, sequence);
    }

    /// Keeps only the mark that reading begins at. Replay marks records up to the end of the log; delivery
    /// begins far before it and marks them again. What lay at or behind `proven_end` is found there,
    /// beginning with `proven_sequence`.
    pub(crate) fn settle(&mut self, proven_end: Lsn, proven_sequence: u64) {
        let (lsn, sequence) = match self.read_from() {
            (lsn, _) if lsn >= proven_end => (proven_end, proven_sequence),
            before => before,
        };
        self.marks = Marks::default();
        self.marks.push(lsn, sequence);
    }

    /// Where to begin to read: a record at or before the one that holds the oldest event not acknowledged,
    /// and the sequence that record begins with.
    pub(crate) fn read_from(&self) -> (Lsn, u64) {
        self.marks.floor(self.acked.low())
    }

    /// The state as bytes, a few for each range and each cursor. The prose twin is `docs/FORMAT.md`.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.next_sequence);
        put_varint(&mut out, self.bytes);
        let (lsn, sequence) = self.read_from();
        put_varint(&mut out, lsn.0);
        put_varint(&mut out, sequence);
        put_varint(&mut out, self.acked.low());
        let forgotten = if planted!(RangesForgotten) { usize::MAX } else { 0 };
        let above = self.acked.above().skip(forgotten);
        put_varint(&mut out, above.len() as u64);
        let mut end = self.acked.low();
        for range in above {
            put_varint(&mut out, range.start - end);
            put_varint(&mut out, range.end - range.start);
            end = range.end;
        }
        put_varint(&mut out, self.cursors.len() as u64);
        for (name, value) in &self.cursors {
            put_varint(&mut out, name.len() as u64);
            out.extend_from_slice(name.as_bytes());
            put_varint(&mut out, value.len() as u64);
            out.extend_from_slice(value);
        }
        out
    }

    /// Decodes what [`Queue::encode`] made; `None` for anything else.
    pub(crate) fn decode(mut input: &[u8]) -> Option<Queue> {
        let input = &mut input;
        let next_sequence = take_varint(input)?;
        let bytes = take_varint(input)?;
        let (lsn, sequence) = (Lsn(take_varint(input)?), take_varint(input)?);
        let low = take_varint(input)?;
        let mut acked = RangeSet::below(low);
        let mut end = low;
        for _ in 0..take_varint(input)? {
            let before = end;
            let start = end.checked_add(take_varint(input)?)?;
            end = start.checked_add(take_varint(input)?)?;
            if start <= before || !acked.insert(start..end) {
                return None;
            }
        }
        let is_wild = next_sequence.max(bytes).max(lsn.0) > STATED_MAX;
        if is_wild || acked.end() > next_sequence || sequence > low {
            return None;
        }
        let mut cursors: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for _ in 0..take_varint(input)? {
            let name = String::from_utf8(take_bytes(input)?.to_vec()).ok()?;
            let value = take_bytes(input)?.to_vec();
            let follows = cursors.last_key_value().is_none_or(|(last, _)| *last < name);
            if !follows || check_cursor(&name, Some(&value)).is_err() {
                return None;
            }
            cursors.insert(name, value);
        }
        let mut marks = Marks::default();
        marks.push(lsn, sequence);
        input.is_empty().then_some(Queue { next_sequence, acked, bytes, cursors, marks })
    }
}

fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let size = usize::try_from(take_varint(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(size)?;
    *input = rest;
    Some(bytes)
}

impl Replay for Queue {
    fn restore(&mut self, upper: &[u8]) -> Result<(), String> {
        *self = Queue::decode(upper).ok_or("another encoding")?;
        Ok(())
    }

    fn apply(&mut self, header: &RecordHeader, payload: &Bytes) -> Result<(), String> {
        let malformed = |Malformed(problem)| problem.to_string();
        if header.kind == Kind::Ack {
            let mut ack = decode_ack(payload).map_err(malformed)?;
            if planted!(CursorsForgotten) {
                ack.cursors.clear();
            }
            let (ranges, bytes, cursors) = (&ack.ranges, ack.bytes, &ack.cursors);
            return Queue::apply(self, &Change::Ack { ranges, bytes, cursors });
        }
        let head = decode_put_head(payload).map_err(malformed)?;
        self.mark(header.lsn, header.sequence);
        Queue::apply(
            self,
            &Change::Put {
                first_sequence: header.sequence,
                events: head.count,
                bytes: (payload.len() - head.events_at) as u64,
                cursors: &head.cursors,
            },
        )
    }

    fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    fn wants(&self, sequences: Range<u64>) -> bool {
        !self.acked.contains_all(sequences)
    }
}

/// Where some records begin, ascending: so that reading can begin near a sequence.
///
/// Records are marked as they are delivered or replayed, and forgotten once everything in them is
/// acknowledged, so the number of marks follows what is in flight, not what is queued; thinning bounds it
/// even then, at the price of a beginning that is a little early.
#[derive(Clone, Debug, Default)]
struct Marks(VecDeque<(Lsn, u64)>);

impl Marks {
    fn push(&mut self, lsn: Lsn, sequence: u64) {
        if self.0.back().is_some_and(|(last, _)| *last >= lsn) {
            return;
        }
        self.0.push_back((lsn, sequence));
        if self.0.len() > MARKS_MAX {
            // The first stays: it is what everything not acknowledged lies behind.
            let mut index = 0;
            self.0.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
    }

    fn forget_below(&mut self, low: u64) {
        while self.0.get(1).is_some_and(|(_, sequence)| *sequence <= low) {
            self.0.pop_front();
        }
    }

    fn floor(&self, low: u64) -> (Lsn, u64) {
        let index = self.0.partition_point(|(_, sequence)| *sequence <= low);
        match index.checked_sub(1).and_then(|index| self.0.get(index)) {
            Some(mark) => *mark,
            None => (Lsn(0), 0),
        }
    }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::single_range_in_vec_init, reason = "one range is meant, not its numbers")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(first_sequence: u64, events: u64) -> Change<'static> {
        static NONE: Cursors = Cursors::new();
        Change::Put { first_sequence, events, bytes: events * 10, cursors: &NONE }
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        let none = Cursors::new();
        let mut queue = Queue::default();
        queue.apply(&put(0, 4)).expect("fits");
        assert!(queue.apply(&put(5, 1)).is_err(), "a gap");
        let bad = [vec![3..5], vec![0..0]];
        for ranges in &bad {
            let change = Change::Ack { ranges, bytes: 0, cursors: &none };
            assert!(queue.apply(&change).is_err(), "{ranges:?}");
        }
        assert_eq!((queue.events(), queue.bytes(), queue.next_sequence()), (4, 40, 4));
        let change = Change::Ack { ranges: &[1..2], bytes: 41, cursors: &none };
        queue
            .apply(&change)
            .expect("only a forged state counts too few bytes, and sizes are no promise");
        assert_eq!((queue.events(), queue.bytes()), (3, 0));
    }

    #[test]
    fn cursors_are_set_and_forgotten() {
        let mut queue = Queue::default();
        let mut cursors = Cursors::new();
        cursors.insert("a".into(), Some(b"1".to_vec()));
        let change = Change::Put { first_sequence: 0, events: 0, bytes: 0, cursors: &cursors };
        queue.apply(&change).expect("fits");
        assert_eq!(queue.cursors().get("a").map(Vec::as_slice), Some(&b"1"[..]));
        cursors.insert("a".into(), None);
        let change = Change::Ack { ranges: &[], bytes: 0, cursors: &cursors };
        queue.apply(&change).expect("fits");
        assert!(queue.cursors().is_empty());
    }

    #[test]
    fn i9_marks_are_bounded_and_never_late() {
        let mut marks = Marks::default();
        for index in 0..100_000 {
            marks.push(Lsn(index * 8), index * 2);
        }
        assert!(marks.0.len() <= MARKS_MAX);
        for low in [0, 1, 999, 77_777, 199_999] {
            let (lsn, sequence) = marks.floor(low);
            assert!(sequence <= low && lsn.0 == sequence / 2 * 8);
        }
        marks.forget_below(150_000);
        assert!(marks.floor(150_000).1 <= 150_000);
    }

    #[test]
    fn i9_marks_are_thinned_and_forgotten() {
        let mut marks = Marks::default();
        assert_eq!(marks.floor(7), (Lsn(0), 0));
        let count = MARKS_MAX as u64;
        (1..=count).for_each(|index| marks.push(Lsn(8 * index), 10 * index));
        for old in [1, count] {
            marks.push(Lsn(8 * old), 0);
        }
        assert_eq!(marks.0.len(), MARKS_MAX);
        let floors = [9, 10, 29, 30].map(|low| marks.floor(low).1);
        assert_eq!(floors, [0, 10, 20, 30]);
        marks.push(Lsn(8 * count + 8), 10 * count + 10);
        let kept: Vec<u64> = marks.0.iter().map(|(_, sequence)| sequence / 10).collect();
        let expected: Vec<u64> = (1..=count + 1).step_by(2).collect();
        assert_eq!(kept, expected, "every second one, and the first");
        marks.forget_below(50);
        assert_eq!(marks.0.front(), Some(&(Lsn(40), 50)));
    }

    /// I6: behind the proven part nothing is read by a mark made before.
    #[test]
    fn i6_reading_begins_where_the_proven_part_ends_at_the_latest() {
        let mut queue = Queue::default();
        queue.apply(&put(0, 30)).expect("fits");
        for (lsn, sequence) in [(8, 0), (80, 10), (160, 20)] {
            queue.mark(Lsn(lsn), sequence);
        }
        let ack = Change::Ack { ranges: &[0..15], bytes: 0, cursors: &Cursors::new() };
        queue.apply(&ack).expect("fits");
        assert_eq!(queue.read_from(), (Lsn(80), 10));
        for (proven_end, expected) in [(72, (72, 7)), (80, (80, 7)), (81, (80, 10))] {
            let mut queue = queue.clone();
            queue.settle(Lsn(proven_end), 7);
            assert_eq!(queue.read_from(), (Lsn(expected.0), expected.1), "{proven_end}");
            assert_eq!(queue.marks.0.len(), 1);
        }
    }

    #[test]
    fn i6_states_that_contradict_themselves_are_refused() {
        let decodes = |numbers: [u64; 5]| {
            let mut encoded = Vec::new();
            numbers.into_iter().chain([0, 0]).for_each(|number| put_varint(&mut encoded, number));
            Queue::decode(&encoded).is_some()
        };
        // The next sequence, bytes, where reading begins, and up to where all is acknowledged.
        assert!(decodes([STATED_MAX, STATED_MAX, STATED_MAX, 0, 0]));
        assert!(!decodes([STATED_MAX + 1, 0, 0, 0, 0]));
        assert!(!decodes([0, STATED_MAX + 1, 0, 0, 0]));
        assert!(!decodes([0, 0, STATED_MAX + 1, 0, 0]));
        assert!(decodes([5, 0, 0, 5, 5]));
        assert!(!decodes([5, 0, 0, 0, 6]), "acknowledged, and never put");
        assert!(!decodes([6, 0, 0, 6, 5]), "reading begins behind what is wanted");
    }

    /// The fuzzer's find: a state with a cursor without a name opened, and could not be salvaged.
    #[test]
    fn i6_states_with_cursors_that_nobody_can_set_are_refused() {
        let cases = [(0, 1, false), (1, 4096, true), (256, 1, false), (1, 4097, false)];
        for (name, value, is_right) in cases {
            let mut queue = Queue::default();
            queue.cursors.insert("n".repeat(name), vec![7; value]);
            assert_eq!(
                Queue::decode(&queue.encode()).is_some(),
                is_right,
                "{name} and {value} bytes"
            );
        }
    }

    proptest! {
        #[test]
        fn the_state_survives_its_encoding(
            acks in prop::collection::vec((0u64..50, 1u64..5), 0..12),
            names in prop::collection::btree_map(".{1,5}", prop::collection::vec(any::<u8>(), 0..5), 0..4),
        ) {
            let none = Cursors::new();
            let mut queue = Queue::default();
            queue.apply(&put(0, 60)).expect("fits");
            for (start, length) in acks {
                let ranges = &[start..start + length];
                let _ = queue.apply(&Change::Ack { ranges, bytes: 1, cursors: &none });
            }
            queue.cursors = names;
            let encoded = queue.encode();
            let decoded = Queue::decode(&encoded).expect("valid");
            prop_assert_eq!(decoded.encode(), encoded);
            prop_assert_eq!(decoded.acked(), queue.acked());
            prop_assert_eq!(decoded.cursors(), queue.cursors());
            prop_assert_eq!((decoded.events(), decoded.bytes()), (queue.events(), queue.bytes()));
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Queue::decode(&bytes);
        }
    }
}
