//! How soon committers come back once their group has ended. They do so one after the other, since each costs
//! time to wake. The first half tells how soon, whether or not the rest are waited for.

use std::time::Duration;

use super::gathering::HAND_OVERS;
use super::usual::Usual;
use crate::sync::Moment;

/// More than so many times what is soon is as slow as that: so a few fast times make up for many very slow
/// ones.
const SLOW: u32 = 2;

/// How long half of them may take to be worth a wait for all, with syncs of `pace`: all in one group take a
/// sync and twice as long, two parts in turn two syncs for the same, and they hand over twice. (Where the
/// wait ends before the last are back, most are, and a wait in vain is tried less often.)
fn soon(pace: Duration) -> Duration {
    (pace + HAND_OVERS) / 2
}

/// Those of one kind.
#[derive(Default)]
pub(super) struct Returns {
    /// From the end of a group until half of those are back who are wanted in the next.
    usual: Usual,
    awaited: Option<Awaited>,
}

/// The first to come back.
struct Awaited {
    since: Moment,
    /// How many they are, and how many of them have not come yet.
    of: u32,
    left: u32,
    /// Half of those who are wanted.
    half: u32,
}

impl Returns {
    /// A group with `count` of them has ended, and `wanted` are wanted in the next; a sync takes `pace`.
    pub(super) fn note_end(&mut self, count: usize, wanted: usize, pace: Duration) {
        if self.awaited.take().is_some() {
            self.usual.note(SLOW * soon(pace));
        }
        // The first to come back is often the one that led, who did not have to be woken. Alone it tells
        // nothing; and what many took says nothing about two.
        let half = u32::try_from(wanted.div_ceil(2)).unwrap_or(u32::MAX);
        let of = half.min(u32::try_from(count).unwrap_or(u32::MAX));
        if half < 2 {
            self.usual = Usual::default();
        } else if of >= 2 {
            self.awaited = Some(Awaited { since: Moment::now(), of, left: of, half });
        }
    }

    /// One of them has come; a sync takes `pace`.
    pub(super) fn note_entry(&mut self, pace: Duration) {
        let Some(awaited) = &mut self.awaited else {
            return;
        };
        awaited.left -= 1;
        if awaited.left == 0 {
            let took = awaited.since.elapsed().saturating_mul(awaited.half) / awaited.of;
            self.usual.note(took.min(SLOW * soon(pace)));
            self.awaited = None;
        }
    }

    /// How long all of them usually take to come back; nothing where that is not known.
    pub(super) fn of_all(&self) -> Duration {
        2 * self.usual.0.unwrap_or_default()
    }

    /// Whether they come back so soon that all are worth a wait, with syncs of `pace`.
    pub(super) fn are_soon(&self, pace: Duration) -> bool {
        self.usual.0.is_none_or(|usual| usual <= soon(pace))
    }

    /// Those of whom this is known, and none of whom is awaited.
    #[cfg(all(test, not(shuttle)))]
    pub(super) fn usually(usual: Duration) -> Returns {
        Returns { usual: Usual(Some(usual)), awaited: None }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::usual::FIRST_MAX;
    use super::*;

    const SYNC: Duration = Duration::from_secs(3600);

    fn come(returns: &mut Returns, count: u32, pace: Duration) {
        (0..count).for_each(|_| returns.note_entry(pace));
    }

    #[test]
    fn they_are_soon_who_take_no_longer_than_a_sync_and_the_hand_overs() {
        assert!(Returns::default().are_soon(SYNC), "nothing is known");
        let (most, more) = ((SYNC + HAND_OVERS) / 2, Duration::from_nanos(1));
        for (half, are_soon) in [(most, true), (most + more, false), (10 * SYNC, false)] {
            let returns = Returns::usually(half);
            assert_eq!(returns.are_soon(SYNC), are_soon, "{half:?}");
            assert_eq!(returns.of_all(), 2 * half);
        }
    }

    #[test]
    fn how_soon_half_of_them_come_tell_the_first_ones() {
        let ago = Duration::from_micros(100);
        for (count, wanted, first, least) in [
            (8, 8, 4, ago),
            (5, 7, 4, ago),
            (3, 6, 3, ago),
            // Two of four or eight that are half.
            (2, 8, 2, 2 * ago),
            (2, 16, 2, 4 * ago),
        ] {
            let mut returns = Returns::default();
            returns.note_end(count, wanted, SYNC);
            returns.awaited.as_mut().expect("there are enough").since = Moment::ago(ago);
            come(&mut returns, first - 1, SYNC);
            assert_eq!(returns.usual, Usual(None), "{count} of {wanted}");
            come(&mut returns, 1, SYNC);
            let found = returns.usual.0.expect("all have come");
            assert!(found >= least, "{count} of {wanted}: {found:?}");
            come(&mut returns, 9, SYNC);
            assert_eq!(returns.usual.0, Some(found), "the first ones only");
        }
    }

    /// Else one who leads alone, and is back at once, would pass for a fast crowd; and two that are left of a
    /// slow one would be slow for ever.
    #[test]
    fn one_says_nothing_and_what_is_known_of_many_is_forgotten_with_two() {
        let mut returns = Returns::usually(SYNC);
        let known = Some(SYNC);
        for (count, wanted, is) in [(1, 8, known), (1, 3, known), (2, 2, None), (1, 1, None)] {
            returns.note_end(count, wanted, SYNC);
            come(&mut returns, 3, SYNC);
            assert_eq!(returns.usual.0, is, "{count} of {wanted}");
        }
    }

    /// Such times are the slow ones: without them the others would be all there is.
    #[test]
    fn who_is_not_back_at_the_end_of_the_next_group_is_slow() {
        let mut returns = Returns::default();
        returns.note_end(8, 8, SYNC);
        come(&mut returns, 3, SYNC);
        returns.note_end(8, 8, SYNC);
        assert_eq!(returns.usual.0, Some(FIRST_MAX));
    }

    #[test]
    fn a_few_fast_times_make_up_for_many_very_slow_ones() {
        let mut returns = Returns::default();
        let pace = Duration::from_millis(3);
        for _ in 0..99 {
            returns.note_end(8, 8, pace);
            returns.awaited.as_mut().expect("there are enough").since = Moment::ago(SYNC);
            come(&mut returns, 4, pace);
        }
        assert_eq!(returns.usual.0, Some(SLOW * soon(pace)));
        let fast = (0..99).take_while(|_| {
            returns.note_end(8, 8, pace);
            returns.awaited.as_mut().expect("there are enough").since = Moment::in_future(SYNC);
            come(&mut returns, 4, pace);
            !returns.are_soon(pace)
        });
        assert_eq!(fast.count(), 5);
    }
}
