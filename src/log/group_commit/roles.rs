//! What a leader has while it leads.

use super::{GroupCommit, Groups};
use crate::sync::lock;

/// The leader's roles. Dropping it gives them back, whatever happened: a role that stayed taken after an
/// error or a panic would let all others wait for ever.
pub(super) struct Roles<'a, G: Groups> {
    pub(super) commit: &'a GroupCommit<G>,
    pub(super) lane: usize,
    pub(super) writing: bool,
    /// Its group counts, and is being applied.
    pub(super) applying: bool,
    /// Nothing panicked on the way. (Committing may be what a thread does while it unwinds.)
    pub(super) finished: bool,
}

impl<G: Groups> Drop for Roles<'_, G> {
    fn drop(&mut self) {
        let mut state = lock(&self.commit.state);
        state.free_lanes.push_back(self.lane);
        if self.writing {
            state.writing = false;
        }
        if !self.finished {
            self.commit.note_failure(&mut state, self.commit.groups.broken());
            // What was being applied never will be done. But it may be another leader's, which will.
            if self.applying {
                state.counting = 0;
            }
        }
        if state.failed.is_some() {
            self.commit.wake_everybody(state);
        } else {
            self.commit.call_leader(state);
        }
    }
}
