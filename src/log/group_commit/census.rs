//! Who waits for whom before a group is written: entries that form, against the groups under way.

/// Which groups under way an entry waits for before the next group is written for its sake. Those that came
/// before it go first, and so with it, or in a group of their own before it where not all fit into one.
///
/// Two syncs of one file at once cost more than one of a larger group. So entries of one kind wait for each
/// other. Those of another kind do not queue behind them, unless they have come so early that all of them
/// will soon go together ([`Gathering::is_early`](super::gathering::Gathering::is_early)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum WaitsFor {
    /// None.
    None,
    /// Those with entries of the same kind: a number below `KINDS`.
    Kind(usize),
    /// All. Nobody waits for the entry itself, or who does pushes it.
    All,
}

pub(super) const KINDS: usize = 2;

/// How many entries wait for what.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Census {
    for_none: usize,
    of_kind: [usize; KINDS],
}

/// A group on its way.
pub(super) struct UnderWay {
    /// The ticket after its last entry.
    pub(super) until: u64,
    pub(super) census: Census,
    /// Another group has ended since it was written.
    pub(super) is_old: bool,
}

impl UnderWay {
    /// One that was written just now.
    pub(super) fn new(until: u64, census: Census) -> UnderWay {
        UnderWay { until, census, is_old: false }
    }
}

impl Census {
    pub(super) fn of(entries: impl IntoIterator<Item = WaitsFor>) -> Census {
        let mut census = Census::default();
        entries.into_iter().for_each(|waits| census.add(waits));
        census
    }

    pub(super) fn of_kind(&self, kind: usize) -> usize {
        self.of_kind[kind]
    }

    /// Entries of any kind.
    pub(super) fn of_any_kind(&self) -> usize {
        self.of_kind.iter().sum()
    }

    /// How many entries there are; `None` where some wait for none, or none for any kind.
    pub(super) fn of_kinds_only(&self) -> Option<usize> {
        let count = self.of_any_kind();
        (self.for_none == 0 && count > 0).then_some(count)
    }

    pub(super) fn add(&mut self, waits: WaitsFor) {
        match waits {
            WaitsFor::None => self.for_none += 1,
            WaitsFor::Kind(kind) => self.of_kind[kind] += 1,
            WaitsFor::All => {}
        }
    }

    pub(super) fn subtract(&mut self, other: &Census) {
        self.for_none -= other.for_none;
        for (count, other) in self.of_kind.iter_mut().zip(other.of_kind) {
            *count -= other;
        }
    }

    /// Whether one of these entries waits for none of the groups under way. Where they are `early`, they wait
    /// for those of other kinds too.
    pub(super) fn is_due<'a>(
        &self,
        under_way: impl Iterator<Item = &'a Census> + Clone,
        early: bool,
    ) -> bool {
        let is_idle = |kind: usize| under_way.clone().all(|group| group.of_kind[kind] == 0);
        let waits_for = |own: usize| if early { 0..KINDS } else { own..own + 1 };
        let is_due = |kind: usize| self.of_kind[kind] > 0 && waits_for(kind).all(is_idle);
        under_way.clone().count() == 0 || self.for_none > 0 || (0..KINDS).any(is_due)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn census(entries: &[WaitsFor]) -> Census {
        Census::of(entries.iter().copied())
    }

    /// What is under way, what comes next, and whether that may be written now: where it has come late, and
    /// early.
    type Case<'a> = (&'a [&'a [WaitsFor]], &'a [WaitsFor], [bool; 2]);

    #[test]
    fn a_group_is_due_when_an_entry_waits_for_none_under_way() {
        let [a, b] = [0, 1].map(WaitsFor::Kind);
        let (none, all) = (WaitsFor::None, WaitsFor::All);
        let cases: [Case; 11] = [
            (&[], &[a], [true; 2]),
            (&[], &[all], [true; 2]),
            (&[&[a]], &[a], [false; 2]),
            (&[&[a]], &[b], [true, false]),
            (&[&[a]], &[a, all, b], [true, false]),
            (&[&[a]], &[all], [false; 2]),
            (&[&[none]], &[all], [false; 2]),
            (&[&[none, all]], &[a], [true; 2]),
            (&[&[a, b]], &[none], [true; 2]),
            (&[&[a, b]], &[a, b], [false; 2]),
            (&[&[a], &[b]], &[a, b], [false; 2]),
        ];
        for (under_way, next, due) in cases {
            let groups: Vec<_> = under_way.iter().map(|entries| census(entries)).collect();
            let found = [false, true].map(|early| census(next).is_due(groups.iter(), early));
            assert_eq!(found, due, "{next:?} while {under_way:?} are under way");
        }
    }

    #[test]
    fn what_has_left_is_not_counted() {
        let [a, b] = [0, 1].map(WaitsFor::Kind);
        let mut forming = census(&[a, b, WaitsFor::All, WaitsFor::None, a]);
        forming.subtract(&census(&[a, WaitsFor::All, WaitsFor::None]));
        assert_eq!((forming.for_none, forming.of_kind), (0, [1, 1]));
    }
}
