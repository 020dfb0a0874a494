//! What the faults that struck excuse, and nothing else.

use std::io::ErrorKind;

use flumen::storage::sim::{Fault, Strike};

use super::history::stops;
use super::player::Player;

impl Player {
    fn strikes(&self) -> Vec<Strike> {
        let mut strikes = self.disk.strikes();
        strikes.split_off(self.strikes_before.min(strikes.len()))
    }

    /// Whether anything has gone wrong at the disk since the channel was opened.
    pub(super) fn has_trouble(&self) -> bool {
        self.has_lost_writes || self.disk.is_off() || !self.strikes().is_empty()
    }

    /// I7: whether the channel has a reason to stop.
    pub(super) fn may_stop(&self) -> bool {
        let has_struck = || self.strikes().iter().any(|strike| stops(strike.fault, strike.kind));
        self.has_lost_writes || self.disk.is_off() || has_struck()
    }

    /// I8: whether a commit has a reason to say that the disk has no room.
    pub(super) fn may_lack_room(&self) -> bool {
        let is_full = |strike: &Strike| strike.fault == Fault::Error(ErrorKind::StorageFull);
        self.is_limited || self.strikes().iter().any(is_full)
    }
}
