//! Waiting for those who were woken a moment ago. When a group ends, its committers often come back with
//! their next commits at once. If the first of them led, the others would wait for its sync and then for
//! their own, and each group would hold half of them. So the first waits, for a third of a sync at most,
//! until as many are there as there were when the last group ended. The one that makes them complete leads,
//! and nobody is woken for it. Entries of another kind are not made to wait: with them the wait is over.
//!
//! Where not all come back in that time, since they have something else to do, or since to wake them takes
//! about as long as a sync, the wait was in vain, and is tried less and less often.

use std::time::Duration;

use super::census::{Census, KINDS};

/// A shorter wait is not made: to sleep costs as much.
const PATIENCE_MIN: Duration = Duration::from_micros(10);
/// However long a sync takes.
const PATIENCE_MAX: Duration = Duration::from_millis(10);
/// What the pace changes by at least, so that it never stands still.
const PACE_STEP_MIN: Duration = Duration::from_micros(1);
/// Most groups that are written at once after a wait in vain, before another is made.
const SKIPS_MAX: u32 = 63;

#[derive(Default)]
pub(super) struct Gathering {
    /// How many of each kind there were when the last group with one of them ended: in it, and forming.
    wanted: [usize; KINDS],
    /// About how long a sync takes: half of them take longer.
    pace: Duration,
    /// Nobody more is waited for, in the group that forms.
    is_over: bool,
    /// The ticket of the one committer that ends the wait when its time is over.
    timekeeper: Option<u64>,
    /// Groups to be written without waiting, and how many it was after the last wait in vain.
    skips: u32,
    last_skips: u32,
}

impl Gathering {
    /// Notes that a group was synced in `took` and has ended, while others form.
    pub(super) fn note_end(&mut self, group: &Census, forming: &Census, took: Duration) {
        for kind in (0..KINDS).filter(|kind| group.of_kind(*kind) > 0) {
            self.wanted[kind] = group.of_kind(kind) + forming.of_kind(kind);
            // By steps, so that one sync in a hundred that takes a hundred times as long changes little.
            let step = (self.pace / 8).max(PACE_STEP_MIN);
            self.pace = match self.pace {
                Duration::ZERO => took,
                pace => took.clamp(pace.saturating_sub(step), pace + step),
            };
        }
    }

    /// Whether these wait for more to come. No group is under way.
    pub(super) fn lacks(&self, forming: &Census) -> bool {
        let is_few = |(kind, count): (usize, usize)| count < self.wanted[kind];
        !self.is_over && self.patience() >= PATIENCE_MIN && forming.only_kind().is_some_and(is_few)
    }

    fn patience(&self) -> Duration {
        (self.pace / 3).min(PATIENCE_MAX)
    }

    pub(super) fn has_timekeeper(&self) -> bool {
        self.timekeeper.is_some()
    }

    /// Makes the committer with this ticket the one that ends the wait; says how long it is to be.
    pub(super) fn keep_time(&mut self, ticket: u64) -> Duration {
        self.timekeeper = Some(ticket);
        self.patience()
    }

    /// The wait of the committer with this ticket is over. It may have gone on, with it, for another group.
    pub(super) fn end_wait(&mut self, ticket: u64) {
        self.is_over |= self.timekeeper == Some(ticket);
    }

    /// Those that form are led, as many as there are.
    pub(super) fn end(&mut self, forming: &Census) {
        if self.timekeeper.take().is_some() {
            let is_complete = |(kind, count): (usize, usize)| count >= self.wanted[kind];
            self.last_skips = match forming.only_kind().is_some_and(is_complete) {
                true => 0,
                false => (2 * self.last_skips + 1).min(SKIPS_MAX),
            };
            self.skips = self.last_skips;
        }
        self.is_over = true;
    }

    #[cfg(all(test, loom))]
    pub(super) fn last_was_in_vain(&self) -> bool {
        self.last_skips > 0
    }

    /// None is left of those that formed.
    pub(super) fn begin_anew(&mut self) {
        self.is_over = self.skips > 0;
        self.skips = self.skips.saturating_sub(1);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::census::WaitsFor;
    use super::*;

    const SYNC: Duration = Duration::from_millis(3);

    fn of_kind(kind: usize, count: usize) -> Census {
        Census::of(std::iter::repeat_n(WaitsFor::Kind(kind), count))
    }

    /// Three of a kind were in the last group, and two more formed when it ended.
    fn five_wanted(took: Duration) -> Gathering {
        let mut gathering = Gathering::default();
        gathering.note_end(&of_kind(1, 3), &of_kind(1, 2), took);
        gathering
    }

    /// The group that forms is led, by one who has waited for others, and another begins to form.
    fn lead(gathering: &mut Gathering, count: usize) {
        gathering.keep_time(1);
        gathering.end(&of_kind(1, count));
        gathering.begin_anew();
    }

    /// Groups led before another wait.
    fn skips(gathering: &mut Gathering) -> usize {
        let mut led = 0;
        while !gathering.lacks(&of_kind(1, 1)) {
            gathering.end(&of_kind(1, 1));
            gathering.begin_anew();
            led += 1;
        }
        led
    }

    #[test]
    fn as_many_are_waited_for_as_there_were() {
        let gathering = five_wanted(SYNC);
        assert!(!Gathering::default().lacks(&of_kind(1, 1)), "nobody was there");
        assert!((1..5).all(|count| gathering.lacks(&of_kind(1, count))));
        for count in [0, 5, 6] {
            assert!(!gathering.lacks(&of_kind(1, count)), "{count}");
        }
        assert!(!gathering.lacks(&of_kind(0, 1)), "of the other kind there were none");
        for other in [WaitsFor::None, WaitsFor::Kind(0)] {
            assert!(!gathering.lacks(&Census::of([WaitsFor::Kind(1), other])), "{other:?}");
        }
        assert!(gathering.lacks(&Census::of([WaitsFor::Kind(1), WaitsFor::All])));
    }

    #[test]
    fn a_wait_is_a_third_of_a_sync_and_neither_very_short_nor_long() {
        assert_eq!(five_wanted(SYNC).keep_time(1), SYNC / 3);
        assert_eq!(five_wanted(Duration::from_secs(60)).keep_time(1), PATIENCE_MAX);
        assert!(five_wanted(3 * PATIENCE_MIN).lacks(&of_kind(1, 1)));
        assert!(!five_wanted(3 * PATIENCE_MIN - Duration::from_nanos(3)).lacks(&of_kind(1, 1)));
    }

    #[test]
    fn one_slow_sync_changes_little_and_a_slow_disk_much() {
        let mut gathering = five_wanted(SYNC);
        let mut sync = |took| {
            gathering.note_end(&of_kind(1, 1), &of_kind(1, 0), took);
            gathering.pace
        };
        assert_eq!(sync(100 * SYNC), SYNC + SYNC / 8);
        assert_eq!(sync(SYNC), SYNC);
        assert_eq!(sync(Duration::ZERO), SYNC - SYNC / 8);
        assert_eq!((0..99).map(|_| sync(100 * SYNC)).last(), Some(100 * SYNC));
        assert_eq!((0..999).map(|_| sync(Duration::ZERO)).last(), Some(Duration::ZERO));
        assert_eq!((0..9999).map(|_| sync(SYNC)).last(), Some(SYNC), "it does not stand still");
    }

    #[test]
    fn after_waits_in_vain_more_and_more_groups_are_led_at_once() {
        let mut gathering = five_wanted(SYNC);
        let found: Vec<usize> = (0..8)
            .map(|_| {
                lead(&mut gathering, 4);
                skips(&mut gathering)
            })
            .collect();
        assert_eq!(found, [1, 3, 7, 15, 31, 63, 63, 63]);
        lead(&mut gathering, 5);
        assert_eq!(skips(&mut gathering), 0);
        lead(&mut gathering, 4);
        assert_eq!(skips(&mut gathering), 1, "from the beginning");
    }

    #[test]
    fn a_wait_ends_with_its_own_keeper_or_when_the_group_is_led() {
        let mut gathering = five_wanted(SYNC);
        gathering.keep_time(7);
        gathering.end_wait(6);
        assert!(gathering.lacks(&of_kind(1, 1)) && gathering.has_timekeeper());
        gathering.end_wait(7);
        assert!(!gathering.lacks(&of_kind(1, 1)));
        gathering.end(&of_kind(1, 5));
        assert!(!gathering.has_timekeeper());
        assert!(!gathering.lacks(&of_kind(1, 1)), "some may be left of those that formed");
        gathering.begin_anew();
        assert!(gathering.lacks(&of_kind(1, 1)));
    }
}
