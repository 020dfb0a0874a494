//! Many committers, one sync: whoever finds nobody writing leads, writes all that waits in one go, syncs, and
//! wakes the rest. A single committer pays no hand-off between threads.
//!
//! While one group's sync is under way the next group forms. It may be written, and be synced through
//! another *lane*, as soon as one entry has come that waits for none under way ([`WaitsFor`]). When none is
//! under way, it may wait a little for those who were just woken ([`Gathering`]). Two rules keep that honest.
//! Groups are acknowledged in the order they were written, so an acknowledgement covers everything before
//! it, though the next may be led as soon as a group is synced, while it is applied and its committers are
//! called. And a failure fails every group not yet acknowledged, and everything later: the log stops for
//! good.
//!
//! This file knows no disk: what a group is, is the business of [`Groups`], and loom runs this very code.

mod census;
mod gathering;
mod groups;
mod returns;
mod roles;
mod usual;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) use census::WaitsFor;
pub(crate) use groups::Groups;

use census::{Census, UnderWay};
use gathering::Gathering;
use roles::Roles;

use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, lock, timed, wait, wait_timeout};

/// Syncs that may be under way at once. Each goes through an open file description of its own, because
/// the kernel reports a failed write-back once per description.
pub(crate) const LANES: usize = 2;

/// Where committers wait: each group in a seat of its own, those of the next group in another, and in the
/// last whoever waits for anything but the end of its own group. So the end of a group wakes its committers
/// and nobody else.
const SEATS: usize = TURN + 1;
/// The last seat. A group has a lane until its committers have been called, so as many groups are on their
/// way as there are lanes, and one more forms: so many seats are before it. (They follow one another, unless
/// the system puts a leader aside that is about to call its committers, and others go round meanwhile. Then
/// the call of a leader may reach one of those, who leaves: the next group is led when that call goes on.)
const TURN: usize = LANES + 1;

/// A group on its way from the write to its end.
struct Written<G: Groups> {
    group: G::Group,
    /// Its place among all groups.
    order: u64,
    /// The ticket after its last entry.
    until: u64,
}

/// An entry that was not taken, and why.
pub(crate) struct Rejected<G: Groups> {
    pub(crate) error: G::Error,
    /// The entry, when it is certain that it was not written.
    pub(crate) entry: Option<G::Entry>,
}

/// The meeting point of committers.
pub(crate) struct GroupCommit<G: Groups> {
    groups: G,
    state: Mutex<State<G>>,
    seats: [Condvar; SEATS],
    /// Whether `failed` of the state is set: so who only asks takes no lock.
    has_failed: AtomicBool,
}

struct State<G: Groups> {
    forming: VecDeque<G::Entry>,
    /// Of `forming`.
    census: Census,
    gathering: Gathering,
    /// Entries ever submitted; the next one's ticket.
    submitted: u64,
    /// Entries with a lower ticket have left `forming`.
    written: u64,
    /// Entries with a lower ticket are done.
    done: u64,
    /// Somebody is between taking entries and having written them.
    writing: bool,
    /// Lanes take turns, so that an error which the kernel reports to another description than the one whose
    /// sync met it is noticed by the next sync.
    free_lanes: VecDeque<usize>,
    /// The groups between their write's beginning and the end of their sync, in order.
    under_way: VecDeque<UnderWay>,
    groups_written: u64,
    groups_applied: u64,
    /// Entries for which there was no room, with their tickets, until their committers take them back.
    refused: Vec<(u64, G::Entry)>,
    /// Who waits in each seat, so that nobody is called who is not there.
    waiting: [usize; SEATS],
    /// Entries with a lower ticket count, though some may not be done: their group is being applied. A
    /// failure that comes now is not theirs.
    counting: u64,
    failed: Option<G::Error>,
    /// The last entry has been submitted.
    closed: bool,
}

/// Whether the next group may be led.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Readiness {
    NotDue,
    /// It waits for those who were just woken, for so long until somebody looks again.
    Lacking(Duration),
    Due,
}

impl<G: Groups> GroupCommit<G> {
    pub(crate) fn new(groups: G) -> GroupCommit<G> {
        let state = State {
            forming: VecDeque::new(),
            census: Census::default(),
            gathering: Gathering::default(),
            submitted: 0,
            written: 0,
            done: 0,
            writing: false,
            free_lanes: (0..LANES).collect(),
            under_way: VecDeque::with_capacity(LANES),
            groups_written: 0,
            groups_applied: 0,
            refused: Vec::new(),
            waiting: [0; SEATS],
            counting: 0,
            failed: None,
            closed: false,
        };
        let seats = std::array::from_fn(|_| Condvar::new());
        GroupCommit { groups, state: Mutex::new(state), seats, has_failed: AtomicBool::new(false) }
    }

    pub(crate) fn groups(&self) -> &G {
        &self.groups
    }

    /// Why the log stopped, if it has.
    pub(crate) fn failure(&self) -> Option<G::Error> {
        if !self.has_failed.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.state).failed.clone()
    }

    /// Notes why the log stops, unless it has stopped before.
    fn note_failure(&self, state: &mut State<G>, error: G::Error) {
        state.failed.get_or_insert(error);
        self.has_failed.store(true, Ordering::Release);
    }

    /// Stops the log: everything not yet acknowledged fails, and everything later.
    pub(crate) fn fail(&self, error: G::Error) {
        let mut state = lock(&self.state);
        self.note_failure(&mut state, error);
        self.wake_everybody(state);
    }

    /// Commits `entry` and returns when its group counts; or returns the entry, when there is no room for it.
    pub(crate) fn commit(&self, entry: G::Entry) -> Result<Option<G::Entry>, Rejected<G>> {
        let mut state = lock(&self.state);
        let ticket = self.enter(&mut state, entry)?;
        self.follow(state, ticket).map_err(|error| Rejected { error, entry: None })
    }

    /// Commits `entry` as the last one: whatever comes later is rejected.
    pub(crate) fn close(&self, entry: G::Entry) -> Result<(), G::Error> {
        let mut state = lock(&self.state);
        let ticket = self.enter(&mut state, entry).map_err(|rejected| rejected.error)?;
        state.closed = true;
        self.follow(state, ticket).map(|_| ())
    }

    /// Leaves `entry`, one that waits for all, for the next group, without waiting for it. Nobody is called
    /// to lead for its sake: see [`GroupCommit::push`].
    pub(crate) fn submit(&self, entry: G::Entry) -> Result<(), Rejected<G>> {
        debug_assert_eq!(self.groups.waits_for(&entry), WaitsFor::All, "nobody would take it back");
        self.enter(&mut lock(&self.state), entry).map(|_| ())
    }

    fn enter(&self, state: &mut State<G>, entry: G::Entry) -> Result<u64, Rejected<G>> {
        let error = match &state.failed {
            Some(error) => error.clone(),
            None if state.closed => self.groups.closed(),
            None => {
                let waits_for = self.groups.waits_for(&entry);
                state.census.add(waits_for);
                state.gathering.note_entry(waits_for);
                state.forming.push_back(entry);
                state.submitted += 1;
                return Ok(state.submitted - 1);
            }
        };
        Err(Rejected { error, entry: Some(entry) })
    }

    /// Waits until the entry with `ticket` is done, leading whenever nobody else does; returns it, if it was
    /// refused.
    fn follow<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<G>>,
        ticket: u64,
    ) -> Result<Option<G::Entry>, G::Error> {
        loop {
            if state.done > ticket {
                return Ok(state.take_refused(ticket));
            }
            if let Some(error) = &state.failed
                && (ticket >= state.counting || planted!(CountedAndFailed))
            {
                return Err(error.clone());
            }
            state = match state.readiness() {
                Readiness::Due if ticket >= state.written => self.lead(state),
                // Not those of a group that is being applied: they will be gone when the time is over, and
                // nobody else would be called.
                Readiness::Lacking(patience)
                    if ticket >= state.written && !state.gathering.has_timekeeper() =>
                {
                    self.keep_time(ticket, patience, state)
                }
                _ => {
                    let seat = state.seat_of(ticket);
                    self.wait_in(seat, state)
                }
            };
        }
    }

    /// Waits for others to come before the group with `ticket` is led, no longer than `patience`.
    fn keep_time<'a>(
        &'a self,
        ticket: u64,
        patience: Duration,
        mut state: MutexGuard<'a, State<G>>,
    ) -> MutexGuard<'a, State<G>> {
        let seat = state.seat_of(ticket);
        let before = state.census.of_any_kind();
        state.gathering.keep_time(ticket);
        state.waiting[seat] += 1;
        state = wait_timeout(&self.state, &self.seats[seat], state, patience);
        state.waiting[seat] -= 1;
        let somebody_came = state.census.of_any_kind() > before;
        state.gathering.end_wait(ticket, somebody_came);
        state
    }

    fn wait_in<'a>(
        &'a self,
        seat: usize,
        mut state: MutexGuard<'a, State<G>>,
    ) -> MutexGuard<'a, State<G>> {
        state.waiting[seat] += 1;
        state = wait(&self.seats[seat], state);
        state.waiting[seat] -= 1;
        state
    }

    /// Wakes all in the seats. With the lock given back first, so that they do not wake only to wait for it.
    fn wake(&self, state: MutexGuard<'_, State<G>>, seats: &[usize]) {
        let are_there = state.waiting.map(|count| count > 0);
        drop(state);
        for seat in seats {
            if are_there[*seat] {
                self.seats[*seat].notify_all();
            }
        }
    }

    fn wake_everybody(&self, state: MutexGuard<'_, State<G>>) {
        self.wake(state, &std::array::from_fn::<usize, SEATS, _>(|seat| seat));
    }

    /// Wakes one committer to lead the next group, if one is wanted and waits; and those who wait for
    /// something else, to look. One is enough: whoever leads before it is awake calls the next in turn.
    fn call_leader(&self, state: MutexGuard<'_, State<G>>) {
        let called = state.next_to_lead();
        self.wake(state, &[TURN]);
        if let Some(seat) = called
            && !planted!(NobodyCalled)
        {
            self.seats[seat].notify_one();
        }
    }

    /// Commits what was left by [`GroupCommit::submit`] and is not on its way yet.
    pub(crate) fn push(&self) -> Result<(), G::Error> {
        let mut state = lock(&self.state);
        let until = state.submitted;
        loop {
            // Looked at after leading too: when nobody waits for what was left, nobody else learns of it.
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if state.written >= until {
                return Ok(());
            }
            // It waits for a group that is under way, perhaps, but not for those to come who were just woken.
            state = if state.is_due() { self.lead(state) } else { self.wait_in(TURN, state) };
        }
    }

    /// Takes a lane, and brings one group from `forming` to its end.
    fn lead<'a>(&'a self, mut state: MutexGuard<'a, State<G>>) -> MutexGuard<'a, State<G>> {
        let State { census, gathering, .. } = &mut *state;
        gathering.end(census);
        let Some(lane) = state.free_lanes.pop_front() else {
            return state;
        };
        state.writing = true;
        let mut roles =
            Roles { commit: self, lane, writing: true, applying: false, finished: false };
        let mut remains = None;
        let written = self.write_group(state, &mut roles);
        if let Some(written) = written {
            let (synced, took) = timed(|| self.groups.sync(&written.group));
            match synced {
                Ok(()) => remains = self.apply_in_order(written, took, &mut roles),
                Err(error) => self.fail(error),
            }
        }
        roles.finished = true;
        drop(roles);
        drop(remains);
        lock(&self.state)
    }

    /// Writes as many entries as fit; returns the group, its place in the order, and the ticket after it.
    /// Where none fits, makes room instead.
    fn write_group<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<G>>,
        roles: &mut Roles<'a, G>,
    ) -> Option<Written<G>> {
        let count = self.groups.fits(&state.forming);
        if count == 0 {
            // Whoever leads next writes into the room, this one too if it still waits. It does not go on by
            // itself: refused entries may come without end, and whoever served them would never get away.
            self.make_room(state);
            return None;
        }
        let entries: Vec<_> = state.forming.drain(..count).collect();
        // Whoever is left sits in the seat of this group, and is wanted in the next one's, to be called.
        let is_split = !state.forming.is_empty();
        if !is_split {
            state.gathering.begin_anew();
        }
        let census = Census::of(entries.iter().map(|entry| self.groups.waits_for(entry)));
        state.census.subtract(&census);
        state.written += count as u64;
        let until = state.written;
        let order = state.groups_written;
        state.groups_written += 1;
        state.under_way.push_back(UnderWay::new(until, census));
        drop(state);
        let group = self.groups.write(entries, roles.lane);
        let mut state = lock(&self.state);
        match group {
            Ok(group) => {
                if is_split {
                    self.seats[seat_of_group(order)].notify_all();
                }
                state.writing = false;
                roles.writing = false;
                if planted!(AckBeforeSync) {
                    state.done = until;
                }
                self.call_leader(state);
                Some(Written { group, order, until })
            }
            Err(error) => {
                self.note_failure(&mut state, error);
                None
            }
        }
    }

    /// Makes room for the first entry, or has it refused, when all earlier groups have been applied.
    fn make_room<'a>(&'a self, mut state: MutexGuard<'a, State<G>>) {
        while state.groups_applied < state.groups_written && state.failed.is_none() {
            state = self.wait_in(TURN, state);
        }
        if state.failed.is_some() {
            return;
        }
        let Some(first) = state.forming.pop_front() else {
            return;
        };
        drop(state);
        let made = self.groups.make_room(&first);
        let mut state = lock(&self.state);
        match made {
            Ok(true) => state.forming.push_front(first),
            Ok(false) => {
                let waits_for = self.groups.waits_for(&first);
                state.census.subtract(&Census::of([waits_for]));
                let ticket = state.written;
                match waits_for {
                    WaitsFor::All => self.groups.refuse(first),
                    _ => state.refused.push((ticket, first)),
                }
                // Everything before it is done, so it may be done out of any group.
                state.written += 1;
                state.done = state.written;
                self.wake_everybody(state);
            }
            Err(error) => self.note_failure(&mut state, error),
        }
    }

    fn apply_in_order(
        &self,
        written: Written<G>,
        sync_took: Duration,
        roles: &mut Roles<'_, G>,
    ) -> Option<G::Remains> {
        let Written { group, order, until } = written;
        let mut state = lock(&self.state);
        while state.groups_applied != order && state.failed.is_none() {
            state = self.wait_in(TURN, state);
        }
        // An earlier group failed, so this one is in doubt too, although its own sync went well.
        if state.failed.is_some() && !planted!(FailureOfOwnGroupOnly) {
            return None;
        }
        roles.applying = true;
        state.counting = until;
        self.groups.note_synced(&group);
        let State { under_way, census, gathering, .. } = &mut *state;
        if let Some(ended) = under_way.pop_front() {
            gathering.note_end(&ended, under_way, census, sync_took);
        }
        // The next group is led meanwhile, if enough of it are there. Else the disk would rest until those of
        // this one have been called.
        self.call_leader(state);
        let remains = self.groups.apply(group);
        roles.applying = false;
        let mut state = lock(&self.state);
        state.groups_applied += 1;
        state.done = if planted!(AckOneGroupEarly) { state.written } else { until };
        self.wake(state, &[seat_of_group(order), TURN]);
        Some(remains)
    }
}

impl<G: Groups> State<G> {
    fn readiness(&self) -> Readiness {
        if !self.is_due() {
            return Readiness::NotDue;
        }
        let patience = self.gathering.patience(&self.census);
        match patience.filter(|_| self.under_way.is_empty()) {
            Some(patience) => Readiness::Lacking(patience),
            None => Readiness::Due,
        }
    }

    /// Whether the next group may be led, be it without some that are waited for.
    fn is_due(&self) -> bool {
        let is_free = !self.writing && !self.free_lanes.is_empty();
        let early = !self.under_way.is_empty() && self.gathering.is_early();
        is_free
            && self.failed.is_none()
            && self.census.is_due(self.under_way.iter().map(|group| &group.census), early)
    }

    /// The seat of those who wait for the next group, if one is wanted to lead it, or to wait for more.
    fn next_to_lead(&self) -> Option<usize> {
        let seat = self.seat_of(self.written);
        let is_wanted = match self.readiness() {
            Readiness::NotDue => false,
            Readiness::Lacking(_) => !self.gathering.has_timekeeper(),
            Readiness::Due => !self.forming.is_empty(),
        };
        (is_wanted && self.waiting[seat] > 0).then_some(seat)
    }

    /// The entry with this ticket, which is done, if it was refused.
    fn take_refused(&mut self, ticket: u64) -> Option<G::Entry> {
        let index = self.refused.iter().position(|(refused, _)| *refused == ticket)?;
        Some(self.refused.swap_remove(index).1)
    }

    /// Where the committer with a ticket that is not done waits.
    fn seat_of(&self, ticket: u64) -> usize {
        let is_behind_applying = self.counting > self.done && self.counting <= ticket;
        let before = self.under_way.partition_point(|group| group.until <= ticket);
        seat_of_group(self.groups_applied + u64::from(is_behind_applying) + before as u64)
    }
}

fn seat_of_group(order: u64) -> usize {
    (order % TURN as u64) as usize
}

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
