//! Waiting for those who were woken a moment ago. When a group ends, its committers often come back with
//! their next commits at once. If the first of them led, the others would wait for its sync and then for
//! their own, and each group would hold half of them. So the first waits until as many are there as there
//! were when the last group ended: for a third of a sync, and again while each such time brings somebody,
//! but no longer than one and a half from that end on. To call many takes long, so the first of them may come
//! later than that third: nobody is late who comes while they usually do. The one that makes them complete
//! leads at once, and so does whoever comes when the time is over. Entries that wait for none are not made to
//! wait: with them the wait ends.
//!
//! A producer and a consumer come back together too, though they are of two kinds: who takes what a group
//! has put is woken by its end as its committer is. If one of them led, and the other beside it through the
//! second lane, two syncs of one file would be under way, and each take longer. So who comes in that first
//! third of a sync and finds the other's group under way waits for its end, and for the other to come back:
//! then both are in one group, and wake together. Whoever comes later comes at a time of its own, and does
//! not wait for a group of the other kind. (Where that group was there before, those who come early wait for
//! it too: it is their way to get into step.)
//!
//! Where they take longer to come back than a sync and [`HAND_OVERS`], twice as long as half of them take
//! ([`Returns`]), nearly half of them are waited for: the others come during the sync of those, in which the
//! processors have nothing else to do. So two parts take turns, which costs two syncs for one. (Were nobody
//! waited for, whoever comes back first would lead alone, or with the few that were there, and all others be
//! the other part: so it would stay, and while those are synced nobody comes.)
//!
//! Where they do not come back in that time, since they have something else to do, the wait was in vain, and
//! is tried less and less often. So it is where as many come while that group is synced: they come at any
//! time, and not since they were woken.

use std::collections::VecDeque;
use std::time::Duration;

use super::census::{Census, KINDS, UnderWay, WaitsFor};
use super::returns::Returns;
use super::usual::Usual;
use crate::sync::Moment;

/// A shorter wait is not made: to sleep costs as much.
const PATIENCE_MIN: Duration = Duration::from_micros(10);
/// However long a sync takes.
const PATIENCE_MAX: Duration = Duration::from_millis(10);
/// What two halves that take turns lose beside their syncs: a leader has to be woken for each, and comes back
/// from its sync to processors that are busy with the other half.
pub(super) const HAND_OVERS: Duration = Duration::from_micros(100);
/// Somebody must come in this part of a sync.
const SHARE: u32 = 3;
/// Most groups that are written at once after a wait in vain, before another is made.
const SKIPS_MAX: u32 = 63;

/// So many are as good as all.
fn nearly_all(wanted: usize) -> usize {
    wanted - wanted / 4
}

#[derive(Default)]
pub(super) struct Gathering {
    /// How many of each kind there were when the last group with one of them ended, or the last that was
    /// alone: in it, and forming.
    wanted: [usize; KINDS],
    /// When that was.
    ended: Option<Moment>,
    /// How long a sync takes.
    pace: Usual,
    returns: [Returns; KINDS],
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
    #[cfg(all(test, loom))]
    pub(super) all_are_early: bool,
    /// Groups that have ended: after every other one all are early.
    #[cfg(all(test, shuttle))]
    ends: u32,
}

impl Gathering {
    /// Notes that a group was synced in `took` and has ended, beside those under way and while others form.
    pub(super) fn note_end(
        &mut self,
        group: &UnderWay,
        under_way: &mut VecDeque<UnderWay>,
        forming: &Census,
        took: Duration,
    ) {
        let UnderWay { census: group, is_old, .. } = group;
        if group.of_any_kind() == 0 {
            return;
        }
        under_way.iter_mut().for_each(|other| other.is_old = true);
        let pace = self.pace.note(took);
        for kind in 0..KINDS {
            let count = group.of_kind(kind);
            // Beside another group it says nothing of who was in that.
            if count > 0 || !is_old {
                self.wanted[kind] = count + forming.of_kind(kind);
            }
            if count > 0 {
                self.returns[kind].note_end(count, self.wanted[kind], pace);
            }
        }
        if let Some(has_worked) = self.trial.take() {
            let is_all = |count: usize| count >= nearly_all(self.awaited());
            self.learn(has_worked && group.of_kinds_only().is_some_and(is_all));
        }
        self.ended = Some(Moment::now());
        #[cfg(all(test, shuttle))]
        {
            self.ends += 1;
        }
    }

    /// Notes that somebody has come.
    pub(super) fn note_entry(&mut self, waits_for: WaitsFor) {
        if let (WaitsFor::Kind(kind), Some(pace)) = (waits_for, self.pace.0) {
            self.returns[kind].note_entry(pace);
        }
    }

    /// How many are waited for: all who are wanted, or nearly half of them.
    fn awaited(&self) -> usize {
        let all: usize = self.wanted.iter().sum();
        if self.come_soon() { all } else { all * 3 / 8 }
    }

    /// Whether those who are wanted come back soon.
    fn come_soon(&self) -> bool {
        let Some(pace) = self.pace.0 else {
            return false;
        };
        (0..KINDS).all(|kind| self.wanted[kind] == 0 || self.returns[kind].are_soon(pace))
    }

    /// How long those of the kinds that form usually take until so many are back; nothing where that is not
    /// known.
    fn usual_return(&self, forming: &Census) -> Duration {
        let kinds = (0..KINDS).filter(|kind| forming.of_kind(*kind) > 0 && self.wanted[*kind] > 0);
        let all = kinds.map(|kind| self.returns[kind].of_all()).max().unwrap_or_default();
        if self.come_soon() { all } else { all / 2 }
    }

    /// Whether who comes now was woken by the end of the last group, as far as can be told.
    pub(super) fn is_early(&self) -> bool {
        // In a model no time goes by, so nobody or everybody is.
        #[cfg(all(test, loom))]
        if !self.all_are_early {
            return false;
        }
        #[cfg(all(test, shuttle))]
        if self.ends.is_multiple_of(2) {
            return false;
        }
        let since = self.ended.as_ref().map(Moment::elapsed);
        let part = self.pace.0.map(|pace| (pace / SHARE).min(PATIENCE_MAX));
        part.zip(since).is_some_and(|(part, since)| since < part)
    }

    /// How long these still wait for more to come; `None` when they do not. No group is under way.
    pub(super) fn patience(&self, forming: &Census) -> Option<Duration> {
        let count = forming.of_kinds_only()?;
        if count >= self.awaited() || self.is_over {
            return None;
        }
        self.patience_after(self.ended.as_ref()?.elapsed(), forming)
    }

    /// The same, so long after the last group's end.
    fn patience_after(&self, since: Duration, forming: &Census) -> Option<Duration> {
        let pace = self.pace.0?;
        let part = (pace / SHARE).min(PATIENCE_MAX);
        let total = (pace + pace / 2).min(PATIENCE_MAX);
        let until = if self.waits > 0 { total } else { part.max(self.usual_return(forming)) };
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
        match (std::mem::take(&mut self.waits), forming.of_kinds_only()) {
            (0, _) => {}
            (_, Some(count)) => self.trial = Some(count >= nearly_all(self.awaited())),
            // Whoever waits for none has cut the wait short. It says nothing, unless it was a long one.
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

    /// Makes this usual: of a sync, and of those who come back.
    #[cfg(all(test, loom))]
    pub(super) fn set_usual(&mut self, pace: Duration, return_pace: Duration) {
        self.pace = Usual(Some(pace));
        self.returns[0] = Returns::usually(return_pace);
    }

    #[cfg(all(test, loom))]
    pub(super) fn come_soon_now(&self) -> bool {
        self.come_soon()
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

    /// Whoever comes from now on comes late.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn let_time_pass(&mut self) {
        self.ended = Some(Moment::ago(Duration::from_secs(3600)));
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

    /// A group of these ends, alone, and so many of the second kind form.
    fn end(gathering: &mut Gathering, group: Census, forming: usize, took: Duration) {
        let group = UnderWay::new(0, group);
        gathering.note_end(&group, &mut VecDeque::new(), &of_kind(1, forming), took);
    }

    /// Three of a kind were in the last group, and two more formed when it ended.
    fn five_wanted() -> Gathering {
        let mut gathering = Gathering::default();
        end(&mut gathering, of_kind(1, 3), 2, SYNC);
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
        end(gathering, of_kind(1, count), forming, SYNC);
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
        assert!(waits(&gathering, &of_kind(0, 1)), "of whatever kind");
        assert!(!waits(&gathering, &Census::of([WaitsFor::Kind(1), WaitsFor::None])));
        for other in [WaitsFor::Kind(0), WaitsFor::All] {
            assert!(waits(&gathering, &Census::of([WaitsFor::Kind(1), other])), "{other:?}");
        }
        let four = [0, 1].map(WaitsFor::Kind).into_iter().cycle().take(4);
        assert!(waits(&gathering, &Census::of(four.clone())));
        assert!(!waits(&gathering, &Census::of(four.chain([WaitsFor::Kind(0)]))));
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
        let (pace, total) = (Usual(Some(SHARE * part)), SHARE * part * 3 / 2);
        let mut gathering = Gathering { pace, ..five_wanted() };
        let mut wait = |ended_ago: Duration, waits| {
            (gathering.ended, gathering.waits) = (Some(Moment::ago(ended_ago)), waits);
            gathering.patience(&of_kind(1, 1))
        };
        assert_eq!(wait(part, 0), None, "not begun so late");
        let begin = Moment::now();
        while wait(Duration::ZERO, 0).is_none() {}
        // Once begun it may go on for half a sync more.
        let rest = wait(total - part / 2, 1);
        assert!(rest.is_none_or(|rest| rest <= part / 2), "{rest:?}");
        assert_eq!(wait(total - PATIENCE_MIN, 1), None, "not for so little");
        gathering.ended = Some(begin);
        while waits(&gathering, &of_kind(1, 1)) {}
        let elapsed = gathering.ended.as_ref().map(Moment::elapsed);
        assert!(elapsed >= Some(total - PATIENCE_MIN), "{elapsed:?}");
    }

    /// The first of many may come late, since to call them takes long. However long this test takes.
    #[test]
    fn a_wait_begins_while_they_usually_come_back() {
        let (millisecond, sync) = (Duration::from_millis(1), Duration::from_millis(6));
        let mut gathering = five_wanted();
        gathering.pace = Usual(Some(sync));
        let mut wait = |half, ended| {
            gathering.returns[1] = Returns::usually(half);
            gathering.ended = Some(ended);
            gathering.patience(&of_kind(1, 1))
        };
        let most = (sync + HAND_OVERS) / 2;
        for half in [Duration::ZERO, millisecond, most] {
            assert_eq!(wait(half, Moment::in_future(SYNC)), Some(sync / SHARE), "{half:?}");
        }
        assert_eq!(wait(most + PATIENCE_MIN, Moment::in_future(SYNC)), None, "not soon");
        let late = || Moment::ago(sync / SHARE);
        for half in [Duration::ZERO, millisecond] {
            assert_eq!(wait(half, late()), None, "{half:?}");
        }
        while wait(most, late()).is_none() {}
        assert_eq!(wait(most, Moment::ago(2 * most)), None);
        // What is known of those does not matter who are wanted, and of whom none is here.
        gathering.wanted = [5, 5];
        gathering.returns = [Returns::usually(most), Returns::default()];
        let mut wait = |forming| {
            gathering.ended = Some(late());
            gathering.patience(&forming)
        };
        assert_eq!(wait(of_kind(1, 1)), None);
        while wait(of_kind(0, 1)).is_none() {}
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

    /// Two parts then take turns. A few of them too may be enough: then each group is led at once.
    #[test]
    fn of_those_who_take_long_to_come_back_half_are_waited_for() {
        let mut gathering = five_wanted();
        for (wanted, awaited) in [(1, 0), (2, 0), (5, 1), (6, 2), (8, 3), (64, 24), (1000, 375)] {
            gathering.wanted = [0, wanted];
            for (half, awaited) in [(SYNC, awaited), (Duration::ZERO, wanted)] {
                gathering.returns[1] = Returns::usually(half);
                let found = (1..).find(|count| !waits(&gathering, &of_kind(1, *count)));
                assert_eq!(found, Some(awaited.max(1)), "{wanted}");
            }
        }
    }

    /// When all of them usually are, or those who are waited for where half come back slowly: half of them.
    #[test]
    fn a_wait_begins_no_later_than_they_are_back() {
        let (mut gathering, sync) = (five_wanted(), Duration::from_millis(6));
        gathering.pace = Usual(Some(sync));
        for half in [sync / 2, sync] {
            gathering.returns[1] = Returns::usually(half);
            for (since, begins) in [(sync * 3 / 4, true), (sync * 5 / 4, false)] {
                let patience = gathering.patience_after(since, &of_kind(1, 1));
                assert_eq!(patience.is_some(), begins, "{half:?}, {since:?}");
            }
        }
    }

    /// Else it would be tried less and less often.
    #[test]
    fn a_wait_for_half_of_them_was_not_in_vain_when_those_came() {
        for (count, skipped) in [(17, 1), (18, 0), (24, 0), (40, 0)] {
            let mut gathering = five_wanted();
            gathering.wanted = [0, 64];
            gathering.returns[1] = Returns::usually(SYNC);
            gathering.keep_time(1);
            gathering.end(&of_kind(1, count));
            gathering.begin_anew();
            // The others wait meanwhile, and are no sign that all come at any time.
            end(&mut gathering, of_kind(1, count), 64 - count, SYNC);
            gathering.returns[1] = Returns::usually(SYNC);
            gathering.stop_clock();
            assert_eq!(skips(&mut gathering), skipped, "{count}");
        }
    }

    #[test]
    fn who_comes_back_is_counted_among_their_kind() {
        let mut gathering = five_wanted();
        let ended = Census::of([0, 1].map(WaitsFor::Kind).into_iter().cycle().take(8));
        gathering.returns[1] = Returns::usually(SYNC);
        // Half of six are three.
        end(&mut gathering, ended, 2, SYNC);
        let [other, own] = [0, 1].map(WaitsFor::Kind);
        for (entry, count, are_soon) in [
            (other, 9, false),
            (WaitsFor::None, 9, false),
            (WaitsFor::All, 9, false),
            (own, 2, false),
            (own, 1, true),
        ] {
            (0..count).for_each(|_| gathering.note_entry(entry));
            assert_eq!(gathering.returns[1].are_soon(SYNC * 15 / 8), are_soon, "{entry:?}");
        }
    }

    /// A group that ends behind another, beside which it was synced, says nothing of who was in that; one
    /// that was alone has all who can be woken.
    #[test]
    fn the_end_of_a_group_beside_another_leaves_what_is_known_of_that() {
        let mut under_way: VecDeque<UnderWay> =
            [of_kind(1, 1), of_kind(0, 2)].map(|census| UnderWay::new(0, census)).into();
        let mut gathering = five_wanted();
        let mut found = Vec::new();
        let crowd = UnderWay::new(0, of_kind(0, 64));
        gathering.note_end(&crowd, &mut under_way, &of_kind(1, 0), SYNC);
        found.push(gathering.wanted);
        while let Some(group) = under_way.pop_front() {
            assert!(group.is_old);
            gathering.note_end(&group, &mut under_way, &of_kind(0, 1), SYNC);
            found.push(gathering.wanted);
        }
        end(&mut gathering, of_kind(1, 3), 1, SYNC);
        found.push(gathering.wanted);
        assert_eq!(found, [[64, 0], [64, 1], [3, 1], [0, 4]]);
    }

    #[test]
    fn who_is_wanted_of_any_kind_must_come_soon() {
        let mut gathering = five_wanted();
        gathering.returns[0] = Returns::usually(SYNC);
        assert!(waits(&gathering, &of_kind(1, 4)), "none of them is wanted");
        gathering.wanted = [1, 5];
        assert!(!waits(&gathering, &of_kind(1, 4)));
    }

    /// However long this test takes.
    #[test]
    fn who_comes_within_a_third_of_a_sync_is_early() {
        let mut gathering = Gathering::default();
        assert!(!gathering.is_early(), "no group has ended");
        end(&mut gathering, of_kind(0, 1), 0, SYNC);
        gathering.pace = Usual(Some(SYNC));
        assert!(gathering.is_early());
        gathering.ended = Some(Moment::ago(SYNC / 3));
        assert!(!gathering.is_early());
        end(&mut gathering, Census::of([WaitsFor::None]), 0, SYNC);
        assert!(!gathering.is_early(), "nobody was woken who is waited for");
    }

    #[test]
    fn groups_that_wait_for_nobody_say_nothing() {
        let mut gathering = five_wanted();
        let none = Census::of([WaitsFor::None, WaitsFor::All]);
        end(&mut gathering, none, 0, Duration::ZERO);
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
        end(&mut gathering, of_kind(1, 4), 1, SYNC);
        gathering.stop_clock();
        assert!(!waits(&gathering, &of_kind(1, 1)));
        gathering.begin_anew();
        assert!(waits(&gathering, &of_kind(1, 1)));
    }

    /// That is no sign of what they do who were waited for, unless it took long.
    #[test]
    fn a_short_wait_that_is_cut_short_says_nothing() {
        for (waited, skipped) in [(1, 0), (2, 1), (3, 1)] {
            let mut gathering = five_wanted();
            for _ in 0..waited {
                gathering.keep_time(1);
                gathering.end_wait(1, true);
            }
            let both = Census::of([WaitsFor::Kind(1), WaitsFor::None]);
            gathering.end(&both);
            gathering.begin_anew();
            end(&mut gathering, both, 4, SYNC);
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
            end(&mut gathering, of_kind(1, 1), 4, SYNC);
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
