//! What a group commit commits.

use std::collections::VecDeque;

use super::census::WaitsFor;

/// What is committed, and how.
pub(crate) trait Groups {
    /// One commit.
    type Entry;
    /// Commits that were written together.
    type Group;
    /// What is left of a group that counts.
    type Remains;
    /// Why the log stopped.
    type Error: Clone;

    /// What `entry` waits for; always the same for the same entry.
    fn waits_for(&self, entry: &Self::Entry) -> WaitsFor;

    /// How many entries from the front can be written as they are; 0 when room must be made first.
    fn fits(&self, entries: &VecDeque<Self::Entry>) -> usize;

    /// Makes room for `entry`. Nothing is being written or synced meanwhile, and all earlier groups have
    /// been applied. False when there can be none.
    fn make_room(&self, entry: &Self::Entry) -> Result<bool, Self::Error>;

    /// Takes back an entry for which there is no room, and which nobody waits for.
    fn refuse(&self, entry: Self::Entry);

    /// Writes. Calls never overlap and come in the order of the log.
    fn write(&self, entries: Vec<Self::Entry>, lane: usize) -> Result<Self::Group, Self::Error>;

    /// Makes a group durable, if it needs to be. Calls overlap, one for each lane.
    fn sync(&self, group: &Self::Group) -> Result<(), Self::Error>;

    /// Notes that a group is durable, and all before it: calls come in the order of the log. The next may be
    /// written from then on.
    fn note_synced(&self, group: &Self::Group);

    /// Makes a group count. Calls never overlap and come in the order of the log. What it returns is dropped
    /// when the committers have been woken and the next leader is called: to give memory back takes as long
    /// as the rest.
    fn apply(&self, group: Self::Group) -> Self::Remains;

    /// The error everybody gets when one of the calls above has panicked.
    fn broken(&self) -> Self::Error;

    /// The error of an entry that comes after the last.
    fn closed(&self) -> Self::Error;
}
