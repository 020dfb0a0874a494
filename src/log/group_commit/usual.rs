//! How long something takes as a rule.

use std::time::Duration;

/// What the first time is taken for at most: it may be a slow one.
pub(super) const FIRST_MAX: Duration = Duration::from_millis(1);
/// What one time changes at least, so that it never stands still.
const STEP_MIN: Duration = Duration::from_micros(1);

/// About how long something takes: half of the times it takes longer. Nothing is known at first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usual(pub(super) Option<Duration>);

impl Usual {
    /// It took so long. By steps, so that one time in a hundred that takes a hundred times as long changes
    /// little. Says what is usual now.
    pub(super) fn note(&mut self, took: Duration) -> Duration {
        let now = self.0.map_or(took.min(FIRST_MAX), |usual| {
            let step = (usual / 8).max(STEP_MIN);
            took.clamp(usual.saturating_sub(step), usual + step)
        });
        self.0 = Some(now);
        now
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn one_slow_time_changes_little_and_slow_ones_much() {
        let (millisecond, hour) = (Duration::from_millis(1), Duration::from_secs(3600));
        let mut usual = Usual::default();
        assert_eq!(usual.note(Duration::from_secs(9)), FIRST_MAX);
        assert_eq!(usual.note(100 * millisecond), millisecond + millisecond / 8);
        assert_eq!(usual.note(millisecond), millisecond);
        assert_eq!(usual.note(Duration::ZERO), millisecond - millisecond / 8);
        assert_eq!((0..99).map(|_| usual.note(hour)).last(), Some(usual.note(hour) * 8 / 9));
        assert_eq!((0..999).map(|_| usual.note(Duration::ZERO)).last(), Some(Duration::ZERO));
        assert_eq!((0..99).map(|_| usual.note(millisecond)).last(), Some(millisecond));
    }
}
