//! Waiting for those who were woken a moment ago. When a group ends, its committers often come back with
//! their next commits at once. If the first of them led, the others would wait for its sync and then for
//! their own, and each group would hold half of them. So the first waits until as many are there as there
//! were when the last group ended: for a third of a sync, and again while each such time brings somebody,
//! but no longer than a sync from that end on. The one that makes them complete leads at once, and so does
//! whoever comes when the time is over. Entries of another kind are not made to wait: with them the wait
//! ends.
//!
//! They come back one after the other, since each costs time to wake. Where half of them take nearly as long as a
//! sync for that, nobody is waited for: whoever is there is led at once, and the others come during its
//! sync, in which the processors have nothing else to do. So two halves take turns.
//!
//! Where they do not come back in that time, since they have something else to do, the wait was in vain, and
//! is tried less and less often. So it is where as many come while that group is synced: they come at any
//! time, and not since they were woken.

use std::time::Duration;

use super::census::{Census, KINDS, WaitsFor};
use crate::sync::Moment;

/// A shorter wait is not made: to sleep costs as much.
const PATIENCE_MIN: Duration = Duration::from_micros(10);
/// However long a sync takes.
const PATIENCE_MAX: Duration = Duration::from_millis(10);
/// Somebody must come in this part of a sync.
const SHARE: u32 = 3;
/// What the first time of a [`Usual`] is taken for at most: it may be a slow one.
const FIRST_MAX: Duration = Duration::from_millis(1);
/// What a [`Usual`] changes by at least, so that it never stands still.
const STEP_MIN: Duration = Duration::from_micros(1);
/// Most groups that are written at once after a wait in vain, before another is made.
const SKIPS_MAX: u32 = 63;

/// Three of four are as good as all.
fn is_nearly_all(count: usize, wanted: usize) -> bool {
    count >= wanted - wanted / 4
}

/// About how long something takes: half of the times it takes longer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Usual(Option<Duration>);

impl Usual {
    /// It took so long. By steps, so that one time in a hundred that is a hundred times as long changes little.
    fn note(&mut self, took: Duration) {
        self.0 = Some(self.0.map_or(took.min(FIRST_MAX), |usual| {
            let step = (usual / 8).max(STEP_MIN);
            took.clamp(usual.saturating_sub(step), usual + step)
        }));
    }
}

/// Those of a kind who come back after a group has ended.
struct Returning {
    kind: usize,
    /// How many are looked at, and how many of them have not come yet.
    of: u32,
    left: u32,
    /// Half of those who are wanted.
    half: u32,
}

#[derive(Default)]
pub(super) struct Gathering {
    /// How many of each kind there were when the last group with one of them ended: in it, and forming.
    wanted: [usize; KINDS],
    /// When that was.
    ended: Option<Moment>,
    /// Of a sync.
    pace: Usual,
    returning: Option<Returning>,
    /// Of the time from the end of a group until half of those are back who are wanted in the next.
    return_pace: Usual,
    /// Nobody more is waited for, in the group that forms.
    is_over: bool,
    /// The ticket of the one committer that ends the wait when its time is over.
    timekeeper: Option<u64>,
    /// How often somebody began to wait for the group that forms.
    waits: u32,
    /// Whether all came for whom the group waited that was led last. Taken when that ends.
    trial: Option<bool>,
    /// Groups to be written without waiting, and how many it was after the last wait in vain.
    skips: u32,
    last_skips: u32,
    #[cfg(all(test, loom))]
    pub(super) completed: u32,
    /// Waits that went on, since somebody had come.
    #[cfg(all(test, loom))]
    pub(super) went_on: u32,
}

impl Gathering {
    /// Notes that a group was synced in `took` and has ended, while others form.
    pub(super) fn note_end(&mut self, group: &Census, forming: &Census, took: Duration) {
        if group.of_any_kind() == 0 {
            return;
        }
        for kind in (0..KINDS).filter(|kind| group.of_kind(*kind) > 0) {
            self.wanted[kind] = group.of_kind(kind) + forming.of_kind(kind);
        }
        if let Some(has_worked) = self.trial.take() {
            let is_all = |(kind, count): (usize, usize)| is_nearly_all(count, self.wanted[kind]);
            self.learn(has_worked && group.only_kind().is_some_and(is_all));
        }
        self.ended = Some(Moment::now());
        self.pace.note(took);
        self.returning = group.only_kind().map(|(kind, count)| {
            let half = self.wanted[kind].div_ceil(2) as u32;
            let of = half.min(count as u32);
            Returning { kind, of, left: of, half }
        });
    }

    /// Notes that somebody has come.
    pub(super) fn note_entry(&mut self, waits_for: WaitsFor) {
        let (Some(returning), Some(ended)) = (&mut self.returning, &self.ended) else {
            return;
        };
        if waits_for != WaitsFor::Kind(returning.kind) {
            return;
        }
        returning.left -= 1;
        if returning.left == 0 {
            self.return_pace.note(ended.elapsed().saturating_mul(returning.half) / returning.of);
            self.returning = None;
        }
    }

    /// Whether those who were woken come back so soon that all of them are worth a wait.
    fn come_soon(&self) -> bool {
        self.return_pace.0 <= self.pace.0.map(|pace| pace * 2 / 3)
    }

    /// How long these still wait for more to come; `None` when they do not. No group is under way.
    pub(super) fn patience(&self, forming: &Census) -> Option<Duration> {
        let is_few = |(kind, count): (usize, usize)| count < self.wanted[kind];
        if self.is_over || !self.come_soon() || !forming.only_kind().is_some_and(is_few) {
            return None;
        }
        let (pace, since) = (self.pace.0?, self.ended.as_ref()?.elapsed());
        let (part, total) = ((pace / SHARE).min(PATIENCE_MAX), pace.min(PATIENCE_MAX));
        let until = if self.waits > 0 { total } else { part };
        let patience = part.min(total.saturating_sub(since));
        (since < until && patience >= PATIENCE_MIN).then_some(patience)
    }

    pub(super) fn has_timekeeper(&self) -> bool {
        self.timekeeper.is_some()
    }

    /// Makes the committer with this ticket the one that ends the wait.
    pub(super) fn keep_time(&mut self, ticket: u64) {
        self.timekeeper = Some(ticket);
        self.waits += 1;
    }

    /// The wait of the committer with this ticket is over; where `somebody_came` meanwhile it may make
    /// another. It may have gone on, with it, for another group.
    pub(super) fn end_wait(&mut self, ticket: u64, somebody_came: bool) {
        if self.timekeeper == Some(ticket) {
            self.timekeeper = None;
            self.is_over = !somebody_came;
            #[cfg(all(test, loom))]
            {
                self.went_on += u32::from(somebody_came);
            }
        }
    }

    /// Those that form are led, as many as there are.
    pub(super) fn end(&mut self, forming: &Census) {
        self.timekeeper = None;
        self.is_over = true;
        match (std::mem::take(&mut self.waits), forming.only_kind()) {
            (0, _) => {}
            (_, Some((kind, count))) => {
                self.trial = Some(is_nearly_all(count, self.wanted[kind]));
            }
            // Whoever is of another kind has cut the wait short. It says nothing, unless it was a long one.
            (1, None) => {}
            (_, None) => self.trial = Some(false),
        }
    }

    fn learn(&mut self, has_worked: bool) {
        self.last_skips = match has_worked {
            true => self.last_skips / 2,
            false => (2 * self.last_skips + 1).min(SKIPS_MAX),
        };
        self.skips = self.last_skips;
        self.skip();
        #[cfg(all(test, loom))]
        {
            self.completed += u32::from(has_worked);
        }
    }

    fn skip(&mut self) {
        self.is_over |= self.skips > 0;
        self.skips = self.skips.saturating_sub(1);
    }

    #[cfg(all(test, loom))]
    pub(super) fn last_was_in_vain(&self) -> bool {
        self.last_skips > 0
    }

    /// Lets the wait that begins now last for ever.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn stop_clock(&mut self) {
        self.ended = Some(Moment::in_future(Duration::from_secs(3600)));
    }

    /// None is left of those that formed.
    pub(super) fn begin_anew(&mut self) {
        self.is_over = false;
        self.skip();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_secs(3600);

    fn of_kind(kind: usize, count: usize) -> Census {
        Census::of(std::iter::repeat_n(WaitsFor::Kind(kind), count))
    }

    /// Three of a kind were in the last group, and two more formed when it ended.
    fn five_wanted() -> Gathering {
        let mut gathering = Gathering::default();
        gathering.note_end(&of_kind(1, 3), &of_kind(1, 2), SYNC);
        gathering.stop_clock();
        gathering.pace = Usual(Some(SYNC));
        gathering
    }

    fn waits(gathering: &Gathering, forming: &Census) -> bool {
        gathering.patience(forming).is_some()
    }

    /// So many are led, by one who has waited for others, and when their group ends so many form.
    fn lead(gathering: &mut Gathering, count: usize, forming: usize) {
        gathering.keep_time(1);
        gathering.end(&of_kind(1, count));
        gathering.begin_anew();
        gathering.note_end(&of_kind(1, count), &of_kind(1, forming), SYNC);
        gathering.stop_clock();
    }

    /// Groups led before another wait.
    fn skips(gathering: &mut Gathering) -> usize {
        let mut led = 0;
        while !waits(gathering, &of_kind(1, 1)) {
            gathering.end(&of_kind(1, 1));
            gathering.begin_anew();
            led += 1;
        }
        led
    }

    #[test]
    fn as_many_are_waited_for_as_there_were() {
        let gathering = five_wanted();
        assert!(!waits(&Gathering::default(), &of_kind(1, 1)), "nobody was there");
        assert!((1..5).all(|count| waits(&gathering, &of_kind(1, count))));
        for count in [0, 5, 6] {
            assert!(!waits(&gathering, &of_kind(1, count)), "{count}");
        }
        assert!(!waits(&gathering, &of_kind(0, 1)), "of the other kind there were none");
        let gathering = Gathering { wanted: [5, 5], ..gathering };
        for other in [WaitsFor::None, WaitsFor::Kind(0)] {
            assert!(!waits(&gathering, &Census::of([WaitsFor::Kind(1), other])), "{other:?}");
        }
        assert!(waits(&gathering, &Census::of([WaitsFor::Kind(1), WaitsFor::All])));
    }

    #[test]
    fn a_wait_is_a_third_of_a_sync_and_neither_very_short_nor_long() {
        let wait = |pace| {
            let gathering = Gathering { pace: Usual(Some(pace)), ..five_wanted() };
            gathering.patience(&of_kind(1, 1))
        };
        let millisecond = Duration::from_millis(1);
        assert_eq!(wait(3 * millisecond), Some(millisecond));
        assert_eq!(wait(SYNC), Some(PATIENCE_MAX));
        assert_eq!(wait(3 * PATIENCE_MIN), Some(PATIENCE_MIN));
        assert_eq!(wait(3 * PATIENCE_MIN - Duration::from_nanos(3)), None);
    }

    /// However long this test takes.
    #[test]
    fn nobody_is_waited_for_long_after_the_last_group() {
        let part = Duration::from_millis(2);
        let pace = Usual(Some(SHARE * part));
        let mut gathering = Gathering { pace, ..five_wanted() };
        let mut wait = |ended_ago: Duration, waits| {
            (gathering.ended, gathering.waits) = (Some(Moment::ago(ended_ago)), waits);
            gathering.patience(&of_kind(1, 1))
        };
        assert_eq!(wait(part, 0), None, "not begun so late");
        let begin = Moment::now();
        while wait(Duration::ZERO, 0).is_none() {}
        // Once begun it may go on for the rest of a sync.
        let rest = wait(part * 5 / 2, 1);
        assert!(rest.is_none_or(|rest| rest <= part / 2), "{rest:?}");
        assert_eq!(wait(part * 3 - PATIENCE_MIN, 1), None, "not for so little");
        gathering.ended = Some(begin);
        while waits(&gathering, &of_kind(1, 1)) {}
        let elapsed = gathering.ended.as_ref().map(Moment::elapsed);
        assert!(elapsed >= Some(part * 3 - PATIENCE_MIN), "{elapsed:?}");
    }

    #[test]
    fn a_wait_goes_on_while_somebody_comes() {
        let mut gathering = five_wanted();
        for somebody_came in [true, true, false] {
            gathering.keep_time(1);
            assert!(gathering.has_timekeeper());
            gathering.end_wait(1, somebody_came);
            assert!(!gathering.has_timekeeper());
            assert_eq!(waits(&gathering, &of_kind(1, 4)), somebody_came);
        }
    }

    #[test]
    fn one_slow_sync_changes_little_and_a_slow_disk_much() {
        let millisecond = Duration::from_millis(1);
        let mut gathering = Gathering::default();
        let mut sync = |took| {
            gathering.note_end(&of_kind(1, 1), &of_kind(1, 0), took);
            gathering.pace.0.expect("known by now")
        };
        assert_eq!(sync(Duration::from_secs(9)), FIRST_MAX);
        assert_eq!(sync(100 * millisecond), millisecond + millisecond / 8);
        assert_eq!(sync(millisecond), millisecond);
        assert_eq!(sync(Duration::ZERO), millisecond - millisecond / 8);
        assert_eq!((0..99).map(|_| sync(SYNC)).last(), Some(sync(SYNC) * 8 / 9), "it grows on");
        assert_eq!((0..999).map(|_| sync(Duration::ZERO)).last(), Some(Duration::ZERO));
        assert_eq!((0..99).map(|_| sync(millisecond)).last(), Some(millisecond), "from zero too");
    }

    /// Two halves then take turns.
    #[test]
    fn who_takes_long_to_come_back_is_not_waited_for() {
        let mut gathering = five_wanted();
        for (ninths, is_waited_for) in [(0, true), (6, true), (7, false), (90, false)] {
            gathering.return_pace = Usual(Some(SYNC * ninths / 9));
            assert_eq!(waits(&gathering, &of_kind(1, 1)), is_waited_for, "{ninths}");
        }
    }

    #[test]
    fn how_fast_half_of_them_come_tells_the_first_ones() {
        let ago = Duration::from_micros(100);
        for (ended, forming, first, least) in [
            (8, 0, 4, ago),
            (5, 2, 4, ago),
            (3, 3, 3, ago),
            // One of two that are half.
            (1, 3, 1, 2 * ago),
            (2, 14, 2, 4 * ago),
        ] {
            let mut gathering = Gathering::default();
            gathering.note_end(&of_kind(1, ended), &of_kind(1, forming), SYNC);
            gathering.ended = Some(Moment::ago(ago));
            for kind in [WaitsFor::Kind(0), WaitsFor::None, WaitsFor::All] {
                (0..first).for_each(|_| gathering.note_entry(kind));
            }
            (1..first).for_each(|_| gathering.note_entry(WaitsFor::Kind(1)));
            assert_eq!(gathering.return_pace, Usual(None), "{ended} and {forming}");
            gathering.note_entry(WaitsFor::Kind(1));
            let found = gathering.return_pace;
            assert!(found.0.is_some_and(|pace| pace >= least), "{ended} and {forming}: {found:?}");
            gathering.ended = Some(Moment::ago(SYNC));
            gathering.note_entry(WaitsFor::Kind(1));
            assert_eq!(gathering.return_pace, found, "the first ones only");
        }
    }

    /// They may come for other reasons.
    #[test]
    fn after_a_group_of_several_kinds_nobody_is_looked_at() {
        let mut gathering = Gathering::default();
        let both = Census::of([WaitsFor::Kind(1), WaitsFor::Kind(0)]);
        gathering.note_end(&both, &Census::default(), SYNC);
        gathering.note_entry(WaitsFor::Kind(1));
        assert_eq!(gathering.return_pace, Usual(None));
    }

    #[test]
    fn groups_that_wait_for_nobody_say_nothing() {
        let mut gathering = five_wanted();
        let none = Census::of([WaitsFor::None, WaitsFor::All]);
        gathering.note_end(&none, &of_kind(1, 0), Duration::ZERO);
        assert_eq!((gathering.pace, gathering.wanted), (Usual(Some(SYNC)), [0, 5]));
    }

    #[test]
    fn after_waits_in_vain_more_and_more_groups_are_led_at_once() {
        let mut gathering = five_wanted();
        let mut found = Vec::new();
        for count in [3, 3, 3, 3, 3, 3, 3, 4, 5, 4, 4, 4, 5, 3] {
            lead(&mut gathering, count, 5 - count);
            found.push(skips(&mut gathering));
        }
        // Nearly all is all.
        assert_eq!(found, [1, 3, 7, 15, 31, 63, 63, 31, 15, 7, 3, 1, 0, 1]);
    }

    /// A wait for those who come at any time would find as many in each sync, and never end.
    #[test]
    fn a_wait_was_in_vain_where_as_many_come_while_the_group_is_synced() {
        for (forming, skipped) in [(0, 0), (1, 0), (2, 1), (5, 1)] {
            let mut gathering = five_wanted();
            lead(&mut gathering, 5, forming);
            assert_eq!(skips(&mut gathering), skipped, "{forming}");
        }
    }

    #[test]
    fn who_did_not_fit_is_not_kept_waiting() {
        let mut gathering = five_wanted();
        gathering.keep_time(1);
        gathering.end(&of_kind(1, 5));
        gathering.note_end(&of_kind(1, 4), &of_kind(1, 1), SYNC);
        gathering.stop_clock();
        assert!(!waits(&gathering, &of_kind(1, 1)));
        gathering.begin_anew();
        assert!(waits(&gathering, &of_kind(1, 1)));
    }

    /// That is no sign of what they do who were waited for, unless it took long.
    #[test]
    fn a_short_wait_that_another_kind_ends_says_nothing() {
        for (waited, skipped) in [(1, 0), (2, 1), (3, 1)] {
            let mut gathering = five_wanted();
            for _ in 0..waited {
                gathering.keep_time(1);
                gathering.end_wait(1, true);
            }
            let both = Census::of([WaitsFor::Kind(1), WaitsFor::Kind(0)]);
            gathering.end(&both);
            gathering.begin_anew();
            gathering.note_end(&both, &of_kind(1, 4), SYNC);
            gathering.stop_clock();
            assert_eq!(skips(&mut gathering), skipped, "{waited}");
        }
    }

    /// Nor does a group that nobody was waited for.
    #[test]
    fn only_waits_say_anything() {
        let mut gathering = five_wanted();
        lead(&mut gathering, 3, 2);
        for _ in 0..9 {
            gathering.end(&of_kind(1, 1));
            gathering.begin_anew();
            gathering.note_end(&of_kind(1, 1), &of_kind(1, 4), SYNC);
        }
        assert_eq!((gathering.last_skips, gathering.skips), (1, 0));
    }

    #[test]
    fn a_wait_ends_with_its_own_keeper_or_when_the_group_is_led() {
        let mut gathering = five_wanted();
        gathering.keep_time(7);
        gathering.end_wait(6, false);
        assert!(waits(&gathering, &of_kind(1, 1)) && gathering.has_timekeeper());
        gathering.end_wait(7, false);
        assert!(!waits(&gathering, &of_kind(1, 1)));
        gathering.end(&of_kind(1, 5));
        assert!(!gathering.has_timekeeper());
        assert!(!waits(&gathering, &of_kind(1, 1)), "some may be left of those that formed");
        gathering.begin_anew();
        assert!(waits(&gathering, &of_kind(1, 1)));
        gathering.end(&of_kind(1, 1));
        assert!(!waits(&gathering, &of_kind(1, 1)), "nobody kept the time");
    }
}
