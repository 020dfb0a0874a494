use std::sync::{Arc, OnceLock, Weak};

use super::*;

/// A full disk, with a crowd: whenever one entry is refused the next is already there.
#[derive(Default)]
struct Crowd {
    commit: OnceLock<Weak<GroupCommit<Crowd>>>,
    refused: Mutex<usize>,
}

const CROWD_MAX: usize = 1_000;

impl Groups for Crowd {
    type Entry = WaitsFor;
    type Group = ();
    type Remains = ();
    type Error = &'static str;

    fn waits_for(&self, entry: &WaitsFor) -> WaitsFor {
        *entry
    }

    fn fits(&self, _: &VecDeque<WaitsFor>) -> usize {
        0
    }

    fn make_room(&self, _: &WaitsFor) -> Result<bool, &'static str> {
        let commit = self.commit.get().and_then(Weak::upgrade).expect("set when it was made");
        if *lock(&self.refused) < CROWD_MAX {
            assert!(commit.submit(WaitsFor::All).is_ok(), "it has not stopped");
        }
        Ok(false)
    }

    fn refuse(&self, _: WaitsFor) {
        *lock(&self.refused) += 1;
    }

    fn write(&self, _: Vec<WaitsFor>, _: usize) -> Result<(), &'static str> {
        unreachable!("nothing fits")
    }

    fn sync(&self, (): &()) -> Result<(), &'static str> {
        unreachable!("nothing is written")
    }

    fn note_synced(&self, (): &()) {
        unreachable!("nothing is written")
    }

    fn apply(&self, (): ()) {
        unreachable!("nothing is written")
    }

    fn broken(&self) -> &'static str {
        "broken"
    }

    fn closed(&self) -> &'static str {
        "closed"
    }
}

#[test]
fn i8_a_refused_committer_does_not_serve_those_who_come_after_it() {
    let commit = Arc::new(GroupCommit::new(Crowd::default()));
    let set = commit.groups().commit.set(Arc::downgrade(&commit));
    set.expect("not set before");
    assert_eq!(commit.commit(WaitsFor::None).ok(), Some(Some(WaitsFor::None)), "it comes back");
    assert_eq!(*lock(&commit.groups().refused), 0, "those that nobody waits for");
    // Those left are not forgotten.
    assert!(commit.push().is_ok(), "nothing stops it");
    assert!(*lock(&commit.groups().refused) > 0);
}

/// Else a commit that was written would be written again, and another be lost that was not.
#[test]
fn i1_who_was_refused_gets_its_own_entry_back_and_nobody_else_gets_one() {
    let commit = GroupCommit::new(Crowd::default());
    let mut state = lock(&commit.state);
    state.refused = vec![(3, WaitsFor::Kind(0)), (6, WaitsFor::None), (7, WaitsFor::Kind(1))];
    let taken = [5, 6, 6, 7, 3, 3].map(|ticket| state.take_refused(ticket));
    let [first, second, third] = [WaitsFor::None, WaitsFor::Kind(1), WaitsFor::Kind(0)].map(Some);
    assert_eq!(taken, [None, first, None, second, third, None]);
}

/// A leader called in the seat of another group would not come; the end of a group would wake those of
/// another.
#[test]
fn groups_that_are_there_at_once_have_seats_of_their_own_and_none_has_the_last() {
    for first in 0..3 * SEATS as u64 {
        let mut seats: Vec<usize> = (first..=first + LANES as u64).map(seat_of_group).collect();
        seats.push(TURN);
        seats.sort_unstable();
        assert_eq!(seats, (0..SEATS).collect::<Vec<_>>(), "from group {first} on");
    }
}

#[test]
fn a_committer_waits_in_the_seat_of_its_group() {
    let commit = GroupCommit::new(Crowd::default());
    let mut state = lock(&commit.state);
    state.under_way = [3, 5].map(|until| UnderWay::new(until, Census::default())).into();
    for applied in 0..2 * SEATS as u64 {
        state.groups_applied = applied;
        let [first, second, next] = [0, 1, 2].map(|behind| seat_of_group(applied + behind));
        let seats = [0, 2, 3, 4, 5, 9].map(|ticket| state.seat_of(ticket));
        assert_eq!(seats, [first, first, second, second, next, next]);
    }
    // Of these groups the first is being applied.
    state.under_way.pop_front();
    (state.done, state.counting, state.groups_applied) = (1, 3, 7);
    let seats = [1, 2, 3, 4, 5, 9].map(|ticket| state.seat_of(ticket));
    assert_eq!(seats, [7, 7, 8, 8, 9, 9].map(seat_of_group));
    (state.done, state.groups_applied) = (3, 8);
    let seats = [3, 4, 5, 9].map(|ticket| state.seat_of(ticket));
    assert_eq!(seats, [8, 8, 9, 9].map(seat_of_group));
}

/// One group is under way, and the next forms: in the seat after that of the first, where one waits.
fn forming() -> GroupCommit<Crowd> {
    let commit = GroupCommit::new(Crowd::default());
    {
        let mut state = lock(&commit.state);
        state.under_way.push_back(UnderWay::new(1, Census::of([WaitsFor::Kind(0)])));
        (state.submitted, state.written) = (2, 1);
        state.forming.push_back(WaitsFor::Kind(1));
        state.census = Census::of([WaitsFor::Kind(1)]);
        state.waiting = [1, 1, 0, 1];
    }
    commit
}

/// What keeps anybody from leading.
type Change = fn(&mut State<Crowd>);
const HINDRANCES: [Change; 4] = [
    |state| state.writing = true,
    |state| state.census = Census::of([WaitsFor::Kind(0)]),
    |state| state.free_lanes.clear(),
    |state| state.failed = Some("failed"),
];
const NOTHING_TO_WRITE: Change = |state| state.forming.clear();
const NOBODY_THERE: Change = |state| state.waiting = [1, 0, 1, 1];

#[test]
fn nobody_leads_beside_a_writer_or_without_a_lane_or_after_a_failure() {
    assert_eq!(lock(&forming().state).readiness(), Readiness::Due);
    for hinder in HINDRANCES {
        let commit = forming();
        let mut state = lock(&commit.state);
        hinder(&mut state);
        assert_eq!(state.readiness(), Readiness::NotDue);
    }
}

/// Anybody else would be woken for nothing.
#[test]
fn who_is_called_to_lead_waits_for_the_next_group_and_can_lead_it() {
    assert_eq!(lock(&forming().state).next_to_lead(), Some(1));
    for change in HINDRANCES.into_iter().chain([NOTHING_TO_WRITE, NOBODY_THERE]) {
        let commit = forming();
        let mut state = lock(&commit.state);
        change(&mut state);
        assert_eq!(state.next_to_lead(), None);
    }
}

/// Puts, of which two were together in the last group, and one is there.
fn gathering() -> GroupCommit<Crowd> {
    let commit = forming();
    {
        let mut state = lock(&commit.state);
        state.under_way.clear();
        let [ended, forming] = [0, 1].map(|_| Census::of([WaitsFor::Kind(1)]));
        let ended = UnderWay::new(1, ended);
        let State { gathering, under_way, .. } = &mut *state;
        gathering.note_end(&ended, under_way, &forming, Duration::from_secs(1));
        state.gathering.stop_clock();
        state.waiting = [1; SEATS];
    }
    commit
}

#[test]
fn one_is_called_to_wait_for_others_unless_somebody_does() {
    let commit = gathering();
    let mut state = lock(&commit.state);
    assert!(matches!(state.readiness(), Readiness::Lacking(_)));
    assert_eq!(state.next_to_lead(), Some(0));
    state.gathering.keep_time(1);
    assert!(matches!(state.readiness(), Readiness::Lacking(_)));
    assert_eq!(state.next_to_lead(), None);
    state.gathering.end_wait(1, false);
    assert_eq!(state.readiness(), Readiness::Due);
    assert_eq!(state.next_to_lead(), Some(0));
}

#[test]
fn nobody_waits_for_others_while_a_group_is_under_way_or_what_hinders_is_something_else() {
    let commit = gathering();
    let mut state = lock(&commit.state);
    state.under_way.push_back(UnderWay::new(1, Census::of([WaitsFor::Kind(0)])));
    assert_eq!(state.readiness(), Readiness::NotDue, "they will go together");
    state.gathering.let_time_pass();
    assert_eq!(state.readiness(), Readiness::Due, "of another kind");
    // Where none is under way, what is of another kind waits as well.
    let [writing, _, no_lane, failed] = HINDRANCES;
    for hinder in [writing, no_lane, failed] {
        let commit = gathering();
        let mut state = lock(&commit.state);
        hinder(&mut state);
        assert!(!matches!(state.readiness(), Readiness::Lacking(_)));
    }
}

/// Those of a group that is being applied are told that it counts, whoever else breaks down meanwhile.
#[test]
fn i7_a_panic_takes_back_what_its_own_thread_applies_and_nothing_else() {
    for (applying, counting) in [(true, 0), (false, 5)] {
        let commit = GroupCommit::new(Crowd::default());
        lock(&commit.state).counting = 5;
        drop(Roles { commit: &commit, lane: 0, writing: false, applying, finished: false });
        assert_eq!(lock(&commit.state).counting, counting);
        assert_eq!(commit.failure(), Some("broken"));
    }
}

/// A disk whose first sync ends when it is told to.
#[derive(Default)]
struct Held {
    is_held: Mutex<bool>,
    released: Condvar,
    groups: Mutex<Vec<usize>>,
}

impl Groups for Held {
    type Entry = ();
    type Group = usize;
    type Remains = ();
    type Error = &'static str;

    fn waits_for(&self, (): &()) -> WaitsFor {
        WaitsFor::Kind(0)
    }

    fn fits(&self, entries: &VecDeque<()>) -> usize {
        entries.len()
    }

    fn make_room(&self, (): &()) -> Result<bool, &'static str> {
        unreachable!("all fit")
    }

    fn refuse(&self, (): ()) {
        unreachable!("all fit")
    }

    fn write(&self, entries: Vec<()>, _: usize) -> Result<usize, &'static str> {
        Ok(entries.len())
    }

    fn sync(&self, group: &usize) -> Result<(), &'static str> {
        lock(&self.groups).push(*group);
        let mut is_held = lock(&self.is_held);
        while *is_held {
            is_held = wait(&self.released, is_held);
        }
        Ok(())
    }

    fn note_synced(&self, _: &usize) {}

    fn apply(&self, _: usize) {}

    fn broken(&self) -> &'static str {
        "broken"
    }

    fn closed(&self) -> &'static str {
        "closed"
    }
}

/// S3: 64 producers behind a sync need one more, not 64.
#[test]
fn all_who_wait_behind_a_sync_share_the_next() {
    const CROWD: usize = 64;
    let held = Held { is_held: Mutex::new(true), ..Held::default() };
    let commit = GroupCommit::new(held);
    let put = || assert!(commit.commit(()).is_ok(), "nothing fails");
    std::thread::scope(|scope| {
        scope.spawn(put);
        while lock(&commit.groups().groups).is_empty() {
            std::thread::yield_now();
        }
        for _ in 0..CROWD {
            scope.spawn(put);
        }
        while lock(&commit.state).forming.len() < CROWD {
            std::thread::yield_now();
        }
        *lock(&commit.groups().is_held) = false;
        commit.groups().released.notify_all();
    });
    assert_eq!(*lock(&commit.groups().groups), [1, CROWD]);
}
