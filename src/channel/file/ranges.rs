//! The set of acknowledged sequences: everything below a mark, and ranges above it.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of sequences that costs memory only for its gaps, never for its members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    /// All sequences below are in the set.
    low: u64,
    /// Start to end of each range above `low`; they neither touch one another nor `low`.
    above: BTreeMap<u64, u64>,
    /// Sequences in `above`.
    above_count: u64,
}

impl RangeSet {
    /// The set of all sequences below `low`.
    pub(crate) fn below(low: u64) -> RangeSet {
        RangeSet { low, above: BTreeMap::new(), above_count: 0 }
    }

    /// The mark below which everything is in the set.
    pub(crate) fn low(&self) -> u64 {
        self.low
    }

    /// Members at or above the mark.
    pub(crate) fn above_count(&self) -> u64 {
        self.above_count
    }

    /// The ranges above the mark, ascending.
    pub(crate) fn above(&self) -> impl ExactSizeIterator<Item = Range<u64>> + '_ {
        self.above.iter().map(|(start, end)| *start..*end)
    }

    /// The end of the last range: no member is at or above it.
    pub(crate) fn end(&self) -> u64 {
        self.above.last_key_value().map_or(self.low, |(_, end)| *end)
    }

    /// Adds a range. False, and nothing changed, when any of it is in the set or it is empty.
    pub(crate) fn insert(&mut self, range: Range<u64>) -> bool {
        if range.is_empty() || range.start < self.low {
            return false;
        }
        let before =
            self.above.range(..=range.start).next_back().map(|(start, end)| (*start, *end));
        let after = self.above.range(range.start..).next().map(|(start, end)| (*start, *end));
        if before.is_some_and(|(_, end)| end > range.start)
            || after.is_some_and(|(start, _)| start < range.end)
        {
            return false;
        }
        let (mut start, mut end) = (range.start, range.end);
        self.above_count += end - start;
        if let Some((before_start, before_end)) = before
            && before_end == start
        {
            self.above.remove(&before_start);
            start = before_start;
        }
        if let Some((after_start, after_end)) = after
            && after_start == end
        {
            self.above.remove(&after_start);
            end = after_end;
        }
        if start == self.low {
            self.above_count -= end - start;
            self.low = end;
        } else {
            self.above.insert(start, end);
        }
        true
    }

    /// Whether the whole range is in the set; an empty range always is.
    pub(crate) fn contains_all(&self, range: Range<u64>) -> bool {
        let start = range.start.max(self.low);
        start >= range.end || self.run_end(start) >= range.end
    }

    /// The first sequence at or above `from` that is not in the set.
    pub(crate) fn next_absent(&self, from: u64) -> u64 {
        let from = from.max(self.low);
        self.run_end(from).max(from)
    }

    /// The parts of `within` that are not in the set, ascending.
    pub(crate) fn absent(&self, within: Range<u64>) -> Vec<Range<u64>> {
        let mut parts = Vec::new();
        let mut from = self.next_absent(within.start);
        while from < within.end {
            let next = self.above.range(from..).next().map_or(u64::MAX, |(start, _)| *start);
            parts.push(from..next.min(within.end));
            from = self.next_absent(next);
        }
        parts
    }

    /// Adds a range, any part of which may be in the set.
    pub(crate) fn add(&mut self, range: Range<u64>) {
        for part in self.absent(range) {
            self.insert(part);
        }
    }

    /// The end of the range that holds `sequence`; when none does, something at or below it.
    fn run_end(&self, sequence: u64) -> u64 {
        self.above.range(..=sequence).next_back().map_or(0, |(_, end)| *end)
    }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::single_range_in_vec_init, reason = "one range is meant, not its numbers")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_added_may_be_there_in_part() {
        let mut set = RangeSet::below(2);
        set.add(5..8);
        set.add(3..10);
        assert_eq!(set.above().collect::<Vec<_>>(), [3..10]);
        set.add(20..22);
        set.add(9..21);
        assert_eq!((set.above().collect::<Vec<_>>(), set.above_count()), (vec![3..22], 19));
        set.add(0..4);
        assert_eq!((set.low(), set.above_count()), (22, 0));
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let mut set = RangeSet::below(10);
        assert!(set.insert(12..14));
        assert!(set.insert(16..18));
        assert!(set.insert(14..16));
        assert_eq!(set.above().collect::<Vec<_>>(), [12..18]);
        assert!(set.insert(10..12));
        assert_eq!((set.low(), set.above_count()), (18, 0));
        assert!(!set.insert(17..19), "17 is in the set");
        assert!(!set.insert(20..20), "empty");
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(ranges in prop::collection::vec((0u64..60, 0u64..8), 0..40)) {
            let mut set = RangeSet::default();
            let mut model: BTreeSet<u64> = BTreeSet::new();
            for (start, length) in ranges {
                let range = start..start + length;
                let fresh = length > 0 && range.clone().all(|sequence| !model.contains(&sequence));
                prop_assert_eq!(set.insert(range.clone()), fresh);
                if fresh {
                    model.extend(range);
                }
                let members: u64 = set.low() + set.above_count();
                prop_assert_eq!(members, model.len() as u64);
            }
            for from in 0..70 {
                let absent = (from..).find(|s| !model.contains(s)).expect("the model is finite");
                prop_assert_eq!(set.next_absent(from), absent);
                for end in from..70 {
                    let gaps: Vec<u64> = set.absent(from..end).into_iter().flatten().collect();
                    let wanted: Vec<u64> = (from..end).filter(|s| !model.contains(s)).collect();
                    prop_assert_eq!(gaps, wanted);
                    let all = (from..end).all(|sequence| model.contains(&sequence));
                    prop_assert_eq!(set.contains_all(from..end), all);
                }
            }
        }
    }
}
