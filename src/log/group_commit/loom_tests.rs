//! Every interleaving of the group commit, within the bounds each model names. The code that runs is the real
//! one, on loom's locks; only the disk behind [`Groups`] is made of plain values.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test --release --lib --no-default-features --features sim \
//!     --target-dir target/loom -- loom --nocapture
//! ```
//!
//! Tests that use our locks outside of a model are not compiled then. `src/sync/model.rs` says why a model
//! that returns was finished.
#![allow(clippy::disallowed_types, reason = "what the model remembers must be invisible to loom")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom::sync::atomic::AtomicUsize as Step;
use loom::thread;

use super::roles::Roles;
use super::{
    Census, GroupCommit, Groups, LANES, Rejected, SEATS, State, UnderWay, WaitsFor, Written,
};
use crate::sync::{Condvar, Mutex, lock, model, wait};

/// An entry for which the disk never has room, and one for which it must be made.
const TOO_LARGE: u32 = 1000;
const NEEDS_ROOM: u32 = 100;
/// Entries from here on are of one kind, of another, and wait for all; those before wait for none. The same
/// with one of the above added.
const OF_ONE_KIND: u32 = 10;
const OF_ANOTHER: u32 = 20;
const FOR_ALL: u32 = 30;

/// What a model is about.
#[derive(Clone, Copy, Default)]
struct Faults {
    /// The first sync to begin fails.
    sync: bool,
    /// The first write fails.
    write: bool,
    /// Making room fails.
    room: bool,
    /// The syncs of so many groups from the first on take until the next group is written.
    slow_syncs: usize,
    /// Only one entry fits into a group.
    one_by_one: bool,
    /// Who comes after the end of a group was woken by it.
    all_are_early: bool,
}

/// What happened, in all executions of a model. Loom does not see it.
#[derive(Default)]
struct Seen {
    executions: AtomicUsize,
    /// Most syncs under way at once.
    syncs_at_once: AtomicUsize,
    /// Groups of entries that wait for others, written while another group was being applied.
    writes_beside_apply: AtomicUsize,
    /// Most entries in one group.
    entries_at_once: AtomicUsize,
    /// Executions in which some commit failed.
    failures: AtomicUsize,
    rooms: AtomicUsize,
    /// Executions in which the last wait for others was in vain, and in which one was not.
    waits_in_vain: AtomicUsize,
    waits_completed: AtomicUsize,
    /// Waits that went on, since somebody had come.
    waits_gone_on: AtomicUsize,
}

/// A disk of plain values, which checks the contract of [`Groups`].
struct Disk {
    faults: Faults,
    seen: Arc<Seen>,
    /// A place where loom may switch threads in the middle of a call.
    step: Step,
    /// Groups written, for those who wait for one.
    written: Mutex<usize>,
    more_written: Condvar,
    state: std::sync::Mutex<DiskState>,
}

#[derive(Default)]
struct DiskState {
    log: Vec<u32>,
    /// Which positions of the log a good sync has covered.
    synced: Vec<bool>,
    /// Positions before this count.
    applied: usize,
    writing: bool,
    applying: bool,
    /// Groups written, of which the sync has not ended.
    lanes: [bool; LANES],
    syncs_begun: usize,
    syncing: usize,
    /// Groups ever written.
    groups: usize,
    /// Groups written and neither applied nor failed.
    open_groups: usize,
    /// What formed when it was last asked what fits.
    formed: Vec<u32>,
    /// The entries of each group between its write and the end of its sync.
    under_way: VecDeque<Vec<u32>>,
    has_room: bool,
    /// A call has failed that holds up all others.
    stopped: bool,
}

struct Group {
    /// Its place among all groups.
    order: usize,
    from: usize,
    until: usize,
    lane: usize,
}

type Error = &'static str;

impl Disk {
    fn new(faults: Faults, seen: &Arc<Seen>) -> GroupCommit<Disk> {
        let commits = GroupCommit::new(Disk {
            faults,
            seen: Arc::clone(seen),
            step: Step::new(0),
            written: Mutex::new(0),
            more_written: Condvar::new(),
            state: std::sync::Mutex::default(),
        });
        lock(&commits.state).gathering.all_are_early = faults.all_are_early;
        commits
    }

    /// Never held where loom may switch threads.
    fn state(&self) -> std::sync::MutexGuard<'_, DiskState> {
        self.state.lock().expect("a failed model ends")
    }

    fn step(&self) {
        self.step.fetch_add(1, loom::sync::atomic::Ordering::Relaxed);
    }

    fn note_write(&self) {
        *lock(&self.written) += 1;
        self.more_written.notify_all();
    }

    fn wait_for_writes(&self, count: usize) {
        let mut written = lock(&self.written);
        while *written < count {
            written = wait(&self.more_written, written);
        }
    }

    /// The rule of [`WaitsFor`], word by word.
    fn is_due(&self, entries: &[u32], under_way: &VecDeque<Vec<u32>>) -> bool {
        let waits = |entry: &u32| match self.waits_for(entry) {
            WaitsFor::None => false,
            WaitsFor::All => !under_way.is_empty(),
            kind @ WaitsFor::Kind(_) => {
                under_way.iter().flatten().any(|other| self.waits_for(other) == kind)
            }
        };
        !entries.iter().all(waits)
    }
}

impl Groups for Disk {
    type Entry = u32;
    type Group = Group;
    type Remains = ();
    type Error = Error;

    fn waits_for(&self, entry: &u32) -> WaitsFor {
        match *entry % NEEDS_ROOM {
            FOR_ALL..40 => WaitsFor::All,
            OF_ANOTHER..FOR_ALL => WaitsFor::Kind(1),
            OF_ONE_KIND..OF_ANOTHER => WaitsFor::Kind(0),
            _ => WaitsFor::None,
        }
    }

    fn fits(&self, entries: &VecDeque<u32>) -> usize {
        self.state().formed = entries.iter().copied().collect();
        let has_room = self.state().has_room;
        let fits = |entry: &&u32| **entry < NEEDS_ROOM || (has_room && **entry < TOO_LARGE);
        let most = if self.faults.one_by_one { 1 } else { entries.len() };
        entries.iter().take(most).take_while(fits).count()
    }

    fn make_room(&self, entry: &u32) -> Result<bool, Error> {
        {
            let state = self.state();
            assert!(!state.stopped, "room is made after a failure");
            assert!(!state.writing && !state.applying && state.syncing == 0, "not alone");
            assert_eq!(state.open_groups, 0, "a group is under way");
            assert_eq!(state.applied, state.log.len());
        }
        self.step();
        self.seen.rooms.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        assert!(!state.writing && !state.applying && state.open_groups == 0, "not alone any more");
        if self.faults.room {
            state.stopped = true;
            return Err("no room");
        }
        state.has_room = *entry < TOO_LARGE;
        Ok(state.has_room)
    }

    fn refuse(&self, entry: u32) {
        unreachable!("somebody waits for {entry}");
    }

    fn write(&self, entries: Vec<u32>, lane: usize) -> Result<Group, Error> {
        let (order, from) = {
            let mut state = self.state();
            assert!(!state.stopped, "written after a failure");
            assert!(!state.writing, "two writes at once");
            assert!(!state.lanes[lane], "a lane for two");
            assert!(!entries.is_empty());
            assert!(self.is_due(&state.formed, &state.under_way), "{entries:?} did not wait");
            state.under_way.push_back(entries.clone());
            let is_beside = state.applying && self.waits_for(&entries[0]) != WaitsFor::None;
            self.seen.writes_beside_apply.fetch_add(usize::from(is_beside), Ordering::Relaxed);
            state.writing = true;
            state.lanes[lane] = true;
            state.open_groups += 1;
            state.groups += 1;
            (state.groups - 1, state.log.len())
        };
        self.seen.entries_at_once.fetch_max(entries.len(), Ordering::Relaxed);
        self.step();
        if self.faults.slow_syncs > 0 {
            self.note_write();
        }
        let mut state = self.state();
        state.writing = false;
        if self.faults.write {
            state.stopped = true;
            state.lanes[lane] = false;
            state.open_groups -= 1;
            return Err("write");
        }
        assert_eq!(state.log.len(), from);
        state.log.extend(&entries);
        let until = state.log.len();
        state.synced.resize(until, false);
        Ok(Group { order, from, until, lane })
    }

    fn sync(&self, group: &Group) -> Result<(), Error> {
        let first = {
            let mut state = self.state();
            state.syncs_begun += 1;
            state.syncing += 1;
            self.seen.syncs_at_once.fetch_max(state.syncing, Ordering::Relaxed);
            state.syncs_begun == 1
        };
        self.step();
        if group.order < self.faults.slow_syncs {
            self.wait_for_writes(group.order + 2);
        }
        let mut state = self.state();
        state.syncing -= 1;
        state.lanes[group.lane] = false;
        if self.faults.sync && first {
            state.open_groups -= 1;
            return Err("sync");
        }
        state.synced[group.from..group.until].fill(true);
        Ok(())
    }

    fn note_synced(&self, group: &Group) {
        let mut state = self.state();
        assert_eq!(state.applied, group.from, "out of order");
        assert!(state.synced[..group.until].iter().all(|synced| *synced), "noted unsynced");
        state.under_way.pop_front();
    }

    fn apply(&self, group: Group) {
        {
            let mut state = self.state();
            assert!(!state.applying, "two at once");
            assert_eq!(state.applied, group.from, "out of order");
            assert!(state.synced[..group.until].iter().all(|synced| *synced), "applied unsynced");
            state.applying = true;
        }
        self.step();
        let mut state = self.state();
        state.applying = false;
        state.applied = group.until;
        state.open_groups -= 1;
    }

    fn broken(&self) -> Error {
        "broken"
    }

    fn closed(&self) -> Error {
        "closed"
    }
}

/// Commits, and holds the answer against what the disk has by then.
fn commit(commits: &GroupCommit<Disk>, entry: u32) -> Result<(), Error> {
    let result = commits.commit(entry);
    match result {
        Ok(Some(refused)) => assert!(refused == entry && entry >= TOO_LARGE, "{refused} came back"),
        Ok(None) => acknowledged(commits, entry),
        Err(_) => {}
    }
    result.map(|_| ()).map_err(|Rejected { error, entry: returned }| {
        let state = commits.groups().state();
        assert!(returned.is_none() || !state.log.contains(&entry), "handed back and written");
        error
    })
}

/// What was acknowledged counts, and everything before it is synced.
fn acknowledged(commits: &GroupCommit<Disk>, entry: u32) {
    let state = commits.groups().state();
    let at = state.log.iter().position(|other| *other == entry).expect("acknowledged, not written");
    assert!(state.synced[..=at].iter().all(|synced| *synced), "acknowledged before its sync");
    assert!(at < state.applied, "acknowledged before it counts");
}

/// Explores `body`, which gets a new group commit each time; `bound` limits how often a thread is interrupted
/// where it could go on, `None` being no limit.
fn explore(
    name: &'static str,
    bound: Option<usize>,
    floor: u64,
    faults: Faults,
    body: impl Fn(Arc<GroupCommit<Disk>>) + Send + Sync + 'static,
) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let inner = Arc::clone(&seen);
    model::explore(name, bound, floor, move |_| {
        inner.executions.fetch_add(1, Ordering::Relaxed);
        body(Arc::new(Disk::new(faults, &inner)));
    });
    seen
}

/// Lets one thread commit each of `entries`, the last on this one; returns the answers.
fn race(commits: &Arc<GroupCommit<Disk>>, entries: &[u32]) -> Vec<Result<(), Error>> {
    let (last, others) = entries.split_last().expect("there is something to commit");
    let spawn = |entry: u32| {
        let commits = Arc::clone(commits);
        thread::spawn(move || commit(&commits, entry))
    };
    let threads: Vec<_> = others.iter().map(|entry| spawn(*entry)).collect();
    let mine = commit(commits, *last);
    let mut results: Vec<_> =
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
    results.push(mine);
    results
}

/// All that was committed is there, once, and nothing is left.
fn complete(commits: &GroupCommit<Disk>, entries: &[u32]) {
    assert_eq!(lock(&commits.state).census, Census::default(), "who has left is counted");
    let state = commits.groups().state();
    let mut log = state.log.clone();
    log.sort_unstable();
    assert_eq!(log, entries);
    assert_eq!((state.applied, state.open_groups), (entries.len(), 0));
}

#[test]
fn two_commits() {
    let seen = explore("group_commit.two_commits", None, 28_000, Faults::default(), |commits| {
        assert_eq!(race(&commits, &[1, 2]), [Ok(()), Ok(())]);
        complete(&commits, &[1, 2]);
    });
    assert_eq!(seen.syncs_at_once.load(Ordering::Relaxed), 2, "no second lane was used");
}

/// Each call is a call into the kernel, whether anybody sleeps there or not.
#[test]
fn a_lone_committer_calls_nobody_though_others_were_there_before() {
    let faults = Faults::default();
    explore("group_commit.lone", Some(3), 250, faults, |commits| {
        assert_eq!(race(&commits, &[1, 2]), [Ok(()), Ok(())]);
        assert_eq!(lock(&commits.state).waiting, [0; SEATS], "who is gone does not wait");
        let before = model::calls();
        commits.submit(33).map_err(|rejected| rejected.error).expect("nothing fails");
        assert_eq!(commit(&commits, 4), Ok(()));
        assert_eq!(model::calls(), before);
        complete(&commits, &[1, 2, 4, 33]);
    });
}

#[test]
fn three_commits() {
    let seen =
        explore("group_commit.three_commits", Some(3), 12_000, Faults::default(), |commits| {
            assert_eq!(race(&commits, &[1, 2, 3]), [Ok(()); 3]);
            complete(&commits, &[1, 2, 3]);
        });
    assert_eq!(seen.syncs_at_once.load(Ordering::Relaxed), LANES, "no second lane was used");
    assert!(seen.entries_at_once.load(Ordering::Relaxed) >= 2, "no group was formed");
}

#[test]
fn a_failed_sync_fails_its_group_and_all_later_ones() {
    let faults = Faults { sync: true, ..Faults::default() };
    let seen = explore("group_commit.failed_sync", Some(3), 2_700, faults, |commits| {
        let results = race(&commits, &[1, 2, 3]);
        let inner = &commits.groups().seen;
        inner.failures.fetch_add(usize::from(results.contains(&Err("sync"))), Ordering::Relaxed);
        assert!(results.iter().all(|result| matches!(result, Ok(()) | Err("sync"))));
        assert_eq!(commits.failure(), Some("sync"));
        assert_eq!(commit(&commits, 4), Err("sync"), "after a failure nothing is taken");
        assert!(!commits.groups().state().log.contains(&4));
    });
    let executions = seen.executions.load(Ordering::Relaxed);
    assert_eq!(seen.failures.load(Ordering::Relaxed), executions, "a failed sync went unnoticed");
}

#[test]
fn i1_i7_what_counts_is_acknowledged_though_a_failure_from_elsewhere_comes_meanwhile() {
    let seen =
        explore("group_commit.failure_beside", Some(3), 11_000, Faults::default(), |commits| {
            // Three, so that two of them are in one group and one of these follows.
            let threads = [1, 2, 3].map(|entry| {
                let other = Arc::clone(&commits);
                thread::spawn(move || commit(&other, entry))
            });
            commits.fail("elsewhere");
            let results = threads.map(|thread| thread.join().expect("no panic"));
            let acknowledged = results.iter().filter(|result| result.is_ok()).count();
            assert_eq!(commits.groups().state().applied, acknowledged, "{results:?}");
            let seen = &commits.groups().seen;
            seen.failures.fetch_add(usize::from(acknowledged < 3), Ordering::Relaxed);
        });
    let failures = seen.failures.load(Ordering::Relaxed);
    assert!(failures > 0 && failures < seen.executions.load(Ordering::Relaxed));
}

#[test]
fn a_failed_write_fails_everything() {
    let faults = Faults { write: true, ..Faults::default() };
    explore("group_commit.failed_write", None, 30, faults, |commits| {
        assert_eq!(race(&commits, &[1, 2]), [Err("write"); 2]);
    });
}

#[test]
fn two_syncs_in_flight_are_acknowledged_in_order() {
    // Four groups, so that each lane is used again after it was given back.
    let seen =
        explore("group_commit.two_syncs_in_flight", Some(3), 2_100, Faults::default(), |commits| {
            let other = Arc::clone(&commits);
            let thread = thread::spawn(move || {
                commit(&other, 1).expect("nothing fails");
                commit(&other, 2).expect("nothing fails");
            });
            commit(&commits, 3).expect("nothing fails");
            commit(&commits, 4).expect("nothing fails");
            thread.join().expect("no panic");
            complete(&commits, &[1, 2, 3, 4]);
        });
    assert_eq!(seen.syncs_at_once.load(Ordering::Relaxed), LANES);
}

#[test]
fn a_slow_sync_does_not_hold_up_the_next_write() {
    let faults = Faults { slow_syncs: 1, ..Faults::default() };
    explore("group_commit.slow_sync", Some(4), 1_100, faults, |commits| {
        assert_eq!(race(&commits, &[1, 2]), [Ok(()), Ok(())]);
        complete(&commits, &[1, 2]);
    });
}

/// Where not all that wait go into one group, those left are called for the next.
#[test]
fn a_slow_sync_does_not_hold_up_those_who_did_not_fit() {
    let faults = Faults { slow_syncs: 2, one_by_one: true, ..Faults::default() };
    explore("group_commit.left_over", Some(2), 89_000, faults, |commits| {
        // Four, since one of those who wait may lead for another.
        assert_eq!(race(&commits, &[1, 2, 3, 4]), [Ok(()); 4]);
        complete(&commits, &[1, 2, 3, 4]);
    });
}

#[test]
fn entries_of_one_kind_wait_for_each_other() {
    let seen = explore("group_commit.one_kind", Some(3), 3_250, Faults::default(), |commits| {
        assert_eq!(race(&commits, &[10, 11, 12]), [Ok(()); 3]);
        complete(&commits, &[10, 11, 12]);
    });
    assert_eq!(seen.syncs_at_once.load(Ordering::Relaxed), 1);
    assert!(seen.entries_at_once.load(Ordering::Relaxed) >= 2, "no group was formed");
    // But not until a group counts that is synced.
    assert!(seen.writes_beside_apply.load(Ordering::Relaxed) > 0);
}

#[test]
fn an_entry_of_another_kind_does_not_queue_behind_a_slow_sync() {
    let faults = Faults { slow_syncs: 1, ..Faults::default() };
    explore("group_commit.another_kind", Some(4), 1_220, faults, |commits| {
        assert_eq!(race(&commits, &[10, 20]), [Ok(()), Ok(())]);
        complete(&commits, &[10, 20]);
    });
}

#[test]
fn who_waits_for_its_kind_goes_with_another_or_after_it() {
    let seen = explore("group_commit.two_kinds", Some(3), 7_000, Faults::default(), |commits| {
        assert_eq!(race(&commits, &[10, 11, 20]), [Ok(()); 3]);
        complete(&commits, &[10, 11, 20]);
    });
    assert_eq!(seen.syncs_at_once.load(Ordering::Relaxed), LANES, "no second lane was used");
}

fn note_waits(commits: &GroupCommit<Disk>) {
    let (seen, state) = (&commits.groups().seen, lock(&commits.state));
    let (in_vain, completed) = (state.gathering.last_was_in_vain(), state.gathering.completed > 0);
    seen.waits_gone_on.fetch_add(state.gathering.went_on as usize, Ordering::Relaxed);
    seen.waits_in_vain.fetch_add(usize::from(in_vain), Ordering::Relaxed);
    seen.waits_completed.fetch_add(usize::from(completed), Ordering::Relaxed);
}

/// Two threads commit in turn what they are given. So when a group ends, who was in it may come back or not,
/// and whoever comes first may wait for the other, in vain or not.
fn gather(
    name: &'static str,
    floor: u64,
    faults: Faults,
    entries: [&'static [u32]; 2],
) -> Arc<Seen> {
    let seen = explore(name, Some(4), floor, faults, move |commits| {
        let other = Arc::clone(&commits);
        let commit_all = |commits: &GroupCommit<Disk>, entries: &[u32]| {
            entries.iter().for_each(|entry| commit(commits, *entry).expect("nothing fails"));
        };
        let thread = thread::spawn(move || commit_all(&other, entries[0]));
        commit_all(&commits, entries[1]);
        thread.join().expect("no panic");
        let is_taken = |entry: &u32| *entry < TOO_LARGE;
        let mut taken: Vec<u32> = entries.concat().into_iter().filter(is_taken).collect();
        taken.sort_unstable();
        complete(&commits, &taken);
        note_waits(&commits);
    });
    let waits = [&seen.waits_in_vain, &seen.waits_completed];
    let [in_vain, completed] = waits.map(|count| count.load(Ordering::Relaxed) > 0);
    // Where only one fits into a group, those who came are left out.
    assert!(in_vain && completed != faults.one_by_one, "{name}: {in_vain} {completed}");
    seen
}

#[test]
fn who_was_woken_is_waited_for_and_nobody_waits_for_ever() {
    let seen = gather("group_commit.gather", 5_300, Faults::default(), [&[10, 11, 12], &[13, 14]]);
    assert_eq!(seen.entries_at_once.load(Ordering::Relaxed), 2, "no group was formed");
}

/// A group of three has ended, which took a second.
fn end_of_three(state: &mut State<Disk>) {
    let ended = UnderWay::new(0, Census::of([WaitsFor::Kind(0); 3]));
    let State { gathering, under_way, .. } = state;
    gathering.note_end(&ended, under_way, &Census::default(), Duration::from_secs(1));
}

/// Three are wanted, and come by and by.
#[test]
fn a_wait_goes_on_while_somebody_comes() {
    let seen = explore("group_commit.gather_on", Some(3), 3_850, Faults::default(), |commits| {
        end_of_three(&mut lock(&commits.state));
        assert_eq!(race(&commits, &[10, 11, 12]), [Ok(()); 3]);
        complete(&commits, &[10, 11, 12]);
        note_waits(&commits);
    });
    let waits = [&seen.waits_gone_on, &seen.waits_in_vain, &seen.waits_completed];
    let counts = waits.map(|count| count.load(Ordering::Relaxed));
    assert!(counts.iter().all(|count| *count > 0), "gone on, in vain, completed: {counts:?}");
    assert_eq!(seen.entries_at_once.load(Ordering::Relaxed), 3);
}

/// A committer of a group that is being applied may wake early. If it kept the time for the next group it
/// would be gone when that is over, and nobody would lead.
#[test]
fn who_is_about_to_be_called_does_not_keep_the_time_for_the_next_group() {
    let seen =
        explore("group_commit.gather_applying", Some(4), 11_000, Faults::default(), |commits| {
            // A group of one whose sync has just ended.
            let lane = {
                let mut state = lock(&commits.state);
                state.gathering.set_usual(Duration::from_secs(1), Duration::ZERO);
                state.under_way.push_back(UnderWay::new(1, Census::of([WaitsFor::Kind(0); 3])));
                (state.submitted, state.written, state.groups_written) = (1, 1, 1);
                commits.groups().state().open_groups = 1;
                state.free_lanes.pop_front().expect("all are free")
            };
            let (early, next) = (Arc::clone(&commits), Arc::clone(&commits));
            let early = thread::spawn(move || early.follow(lock(&early.state), 0));
            let next = thread::spawn(move || commit(&next, 10));
            let (writing, applying, finished) = (false, false, true);
            let mut roles = Roles { commit: &commits, lane, writing, applying, finished };
            let group = Group { order: 0, from: 0, until: 0, lane };
            let written = Written { group, order: 0, until: 1 };
            commits.apply_in_order(written, Duration::from_secs(1), &mut roles);
            drop(roles);
            assert_eq!(early.join().expect("no panic"), Ok(None));
            next.join().expect("no panic").expect("nothing fails");
            complete(&commits, &[10]);
            note_waits(&commits);
        });
    assert!(seen.waits_in_vain.load(Ordering::Relaxed) > 0, "nobody waited for others");
}

/// Whether a wait is worth it changes meanwhile: since somebody has come, or since a group has ended.
#[test]
fn who_comes_back_sooner_or_later_than_before_is_waited_for_or_not() {
    let second = Duration::from_secs(1);
    // A time of zero and a sync of one second are all that the models know; both change what is usual by an
    // eighth.
    for (name, floor, pace, return_pace, are_soon, entries) in [
        ("group_commit.gather_sooner", 3_500, second, second * 11 / 20, false, vec![10, 11, 12]),
        (
            "group_commit.gather_later",
            105_000,
            second * 2,
            second * 15 / 16,
            true,
            vec![10, 11, 12, 13],
        ),
    ] {
        let seen = explore(name, Some(3), floor, Faults::default(), move |commits| {
            let mut state = lock(&commits.state);
            state.gathering.set_usual(pace, return_pace);
            end_of_three(&mut state);
            if are_soon {
                // Those who come say nothing, and the next group that ends does.
                state.gathering.set_usual(pace, return_pace);
            }
            assert_eq!(state.gathering.come_soon_now(), are_soon);
            drop(state);
            assert_eq!(race(&commits, &entries), vec![Ok(()); entries.len()]);
            complete(&commits, &entries);
            let (seen, state) = (&commits.groups().seen, lock(&commits.state));
            let has_changed = state.gathering.come_soon_now() != are_soon;
            seen.waits_completed.fetch_add(usize::from(has_changed), Ordering::Relaxed);
        });
        let changed = seen.waits_completed.load(Ordering::Relaxed);
        assert!(changed > 0, "{name}: it never changed");
    }
}

#[test]
fn who_is_waited_for_may_not_fit_or_be_refused() {
    let one_by_one = Faults { one_by_one: true, ..Faults::default() };
    gather("group_commit.gather_split", 8_100, one_by_one, [&[10, 11, 12], &[13, 14]]);
    gather("group_commit.gather_room", 7_700, Faults::default(), [&[10, 111, 12], &[13, 14]]);
    gather("group_commit.gather_refused", 5_100, Faults::default(), [&[10, 1011, 12], &[13, 14]]);
}

/// Those who were woken together go together, of whatever kind; those who come later do not wait for another
/// kind that is under way.
#[test]
fn who_was_woken_is_waited_for_by_another_kind() {
    for (name, floor, all_are_early, syncs) in [
        ("group_commit.gather_kinds", 5_300, true, 1),
        ("group_commit.gather_late_kinds", 7_200, false, LANES),
    ] {
        let faults = Faults { all_are_early, ..Faults::default() };
        let seen = gather(name, floor, faults, [&[10, 20, 12], &[11, 13]]);
        assert_eq!(seen.syncs_at_once.load(Ordering::Relaxed), syncs, "{name}");
        assert_eq!(seen.entries_at_once.load(Ordering::Relaxed), 2, "{name}: no group was formed");
    }
}

/// An entry that waits for none is not made to wait for them.
#[test]
fn who_waits_for_none_ends_the_wait() {
    let seen =
        gather("group_commit.gather_none", 6_900, Faults::default(), [&[10, 11, 1], &[12, 13]]);
    assert_eq!(seen.syncs_at_once.load(Ordering::Relaxed), LANES);
}

#[test]
fn a_push_a_failure_or_the_close_ends_the_wait() {
    for (name, floor) in [
        ("group_commit.gather_push", 11_300),
        ("group_commit.gather_failure", 620),
        ("group_commit.gather_close", 2_000),
    ] {
        let seen = explore(name, Some(3), floor, Faults::default(), move |commits| {
            let threads = [&[10, 11][..], &[12]].map(|entries| {
                let other = Arc::clone(&commits);
                thread::spawn(move || entries.iter().all(|entry| commit(&other, *entry).is_ok()))
            });
            match name {
                "group_commit.gather_push" => {
                    commits.submit(30).map_err(|rejected| rejected.error).expect("nothing fails");
                    commits.push().expect("nothing fails");
                    assert!(commits.groups().state().log.contains(&30), "pushed, not written");
                }
                "group_commit.gather_failure" => commits.fail("elsewhere"),
                _ => commits.close(2).expect("nothing fails"),
            }
            for thread in threads {
                let _ = thread.join().expect("no panic");
            }
            note_waits(&commits);
        });
        assert!(seen.waits_in_vain.load(Ordering::Relaxed) > 0, "{name}: nobody waited");
    }
}

#[test]
fn a_failure_reaches_who_waits_for_its_kind() {
    let faults = Faults { sync: true, ..Faults::default() };
    explore("group_commit.failed_kind", Some(3), 990, faults, |commits| {
        let results = race(&commits, &[10, 11, 12]);
        assert_eq!(results, [Err("sync"); 3]);
    });
}

/// Some of those that form fit and others do not.
#[test]
fn room_is_made_for_who_waits_for_its_kind() {
    let models =
        [("group_commit.room_one_kind", 110, 6_200), ("group_commit.room_two_kinds", 120, 10_000)];
    for (name, other, floor) in models {
        let seen = explore(name, Some(3), floor, Faults::default(), move |commits| {
            assert_eq!(race(&commits, &[10, 11, other]), [Ok(()); 3]);
            complete(&commits, &[10, 11, other]);
        });
        let executions = seen.executions.load(Ordering::Relaxed);
        assert_eq!(seen.rooms.load(Ordering::Relaxed), executions);
    }
}

#[test]
fn a_refused_entry_of_their_kind_holds_nobody_up() {
    explore("group_commit.refused_kind", Some(3), 2_700, Faults::default(), |commits| {
        assert_eq!(race(&commits, &[10, 11, TOO_LARGE + 10]), [Ok(()); 3]);
        complete(&commits, &[10, 11]);
    });
}

#[test]
fn what_waits_for_all_goes_with_the_next_group_or_a_push() {
    explore("group_commit.for_all", Some(4), 870, Faults::default(), |commits| {
        let other = Arc::clone(&commits);
        let thread = thread::spawn(move || commit(&other, 10));
        commits.submit(30).map_err(|rejected| rejected.error).expect("nothing fails");
        commits.push().expect("nothing fails");
        assert!(commits.groups().state().log.contains(&30), "pushed, not written");
        thread.join().expect("no panic").expect("nothing fails");
        complete(&commits, &[10, 30]);
    });
}

#[test]
fn room_is_made_while_nothing_is_in_flight() {
    let seen = explore("group_commit.make_room", Some(3), 15_000, Faults::default(), |commits| {
        assert_eq!(race(&commits, &[1, 2, NEEDS_ROOM]), [Ok(()); 3]);
        complete(&commits, &[1, 2, NEEDS_ROOM]);
    });
    let executions = seen.executions.load(Ordering::Relaxed);
    assert_eq!(seen.rooms.load(Ordering::Relaxed), executions, "room was not made once each time");
}

#[test]
fn an_entry_without_room_is_refused_and_holds_nobody_up() {
    explore("group_commit.refused", Some(3), 3_900, Faults::default(), |commits| {
        assert_eq!(race(&commits, &[1, 2, TOO_LARGE]), [Ok(()); 3]);
        complete(&commits, &[1, 2]);
    });
}

#[test]
fn a_failure_to_make_room_fails_what_waits() {
    let faults = Faults { room: true, ..Faults::default() };
    explore("group_commit.failed_room", None, 280, faults, |commits| {
        let results = race(&commits, &[1, NEEDS_ROOM]);
        assert_eq!(results[1], Err("no room"));
        assert_eq!(commits.failure(), Some("no room"));
    });
}

#[test]
fn a_commit_against_the_close() {
    let seen = explore("group_commit.close", Some(4), 230, Faults::default(), |commits| {
        let other = Arc::clone(&commits);
        let thread = thread::spawn(move || commit(&other, 1));
        commits.close(2).expect("nothing fails");
        acknowledged(&commits, 2);
        let result = thread.join().expect("no panic");
        assert!(matches!(result, Ok(()) | Err("closed")));
        let seen = &commits.groups().seen;
        seen.failures.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
        complete(&commits, if result.is_ok() { &[1, 2] } else { &[2] });
        assert_eq!(commits.groups().state().log.last(), Some(&2), "written after the close");
        assert_eq!(commit(&commits, 3), Err("closed"));
    });
    let closed = seen.failures.load(Ordering::Relaxed);
    assert!(closed > 0 && closed < seen.executions.load(Ordering::Relaxed));
}

#[test]
fn what_was_submitted_goes_with_a_push_or_a_commit() {
    explore("group_commit.submit_and_push", Some(4), 970, Faults::default(), |commits| {
        let other = Arc::clone(&commits);
        let thread = thread::spawn(move || commit(&other, 1));
        commits.submit(32).map_err(|rejected| rejected.error).expect("nothing fails");
        commits.push().expect("nothing fails");
        assert!(commits.groups().state().log.contains(&32), "pushed, not written");
        thread.join().expect("no panic").expect("nothing fails");
    });
}
