//! The transitions: a user's operations, the engine's calls, and whatever may go wrong; and the oracle, which
//! is told of acknowledgements only.

use stateright::{Model, Property};

use crate::disk::{Call, Cell, Disk, File, Kind};
use crate::engine::{self, Engine, Then, Written};
use crate::survey::survey;
use crate::{Bounds, Fault, Faults, properties};

/// What the user knows of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Put {
    /// Its commit has not returned.
    InDoubt,
    /// It has, or the event was served by an opening.
    Promised,
    /// An opening ended without it.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Take {
    None,
    InDoubt,
    Promised,
}

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wrong {
    /// An acknowledged event is not there.
    Lost,
    /// An event whose take was acknowledged is there.
    Returned,
    /// An event is there that an earlier opening had not found.
    Revived,
    /// The order is another one.
    Order,
    /// A segment's number was used twice.
    NumberReused,
    /// A mere crash is called damage.
    Damage(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) disk: Disk,
    /// `None`: no process runs.
    pub(crate) engine: Option<Engine>,
    pub(crate) events: Vec<(Put, Take)>,
    /// Numbers of segments that have begun.
    numbers: u16,
    pub(crate) left: Bounds,
    pub(crate) wrong: Option<Wrong>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Put,
    Take(u8),
    /// A group is synced and counts.
    Sync,
    Roll,
    Checkpoint,
    Close,
    /// The next call of what is under way.
    Call,
    /// The call is a sync and fails; which part of it reached the disk.
    FailedSync(usize),
    Kill,
    Crash(usize),
    LoseSlot(usize),
    Open,
}

pub(crate) struct Protocol {
    pub(crate) bounds: Bounds,
    pub(crate) faults: Faults,
}

impl State {
    /// The sync that is due, if any.
    fn due_sync(&self) -> Option<Call> {
        let engine = self.engine.as_ref()?;
        match engine.calls.first() {
            Some(call) => call.is_sync().then(|| call.clone()),
            None => (!engine.flight.is_empty()).then_some(Call::SyncFile(engine.file)),
        }
    }

    /// The call that is due, for people.
    pub(crate) fn due(&self) -> String {
        let call = self.engine.as_ref().and_then(|engine| engine.calls.first().cloned());
        call.or_else(|| self.due_sync()).map_or(String::new(), |call| format!("{call:?}"))
    }

    fn apply(&mut self, call: &Call) {
        if let Call::WriteRecord(_, 0, record) = call
            && matches!(record.kind, Kind::State(_))
        {
            let bit = 1 << record.segment;
            if self.numbers & bit != 0 {
                self.wrong = Some(Wrong::NumberReused);
            }
            self.numbers |= bit;
        }
        self.disk.apply(call);
    }

    fn acknowledge(&mut self, written: &[Written]) {
        for one in written {
            match *one {
                Written::Put { id, .. } => self.events[id as usize].0 = Put::Promised,
                Written::Ack { id, .. } => self.events[id as usize].1 = Take::Promised,
            }
        }
    }

    /// Holds what an opening found against what was promised.
    fn check(&mut self, queued: &[u8]) {
        let wrong = self.events.iter().enumerate().find_map(|(id, event)| {
            match (event, queued.contains(&(id as u8))) {
                ((Put::Promised, Take::None), false) => Some(Wrong::Lost),
                ((Put::Gone, _), true) => Some(Wrong::Revived),
                ((_, Take::Promised), true) => Some(Wrong::Returned),
                _ => None,
            }
        });
        let in_order = queued.windows(2).all(|pair| pair[0] < pair[1]);
        self.wrong = wrong.or((!in_order).then_some(Wrong::Order));
    }

    /// An opening has ended: what it found is so from now on.
    fn serve(&mut self, queued: &[u8]) {
        for (id, (put, take)) in self.events.iter_mut().enumerate() {
            match (queued.contains(&(id as u8)), *put, *take) {
                (true, ..) => (*put, *take) = (Put::Promised, Take::None),
                (false, Put::InDoubt, _) => *put = Put::Gone,
                (false, _, Take::InDoubt) => *take = Take::Promised,
                _ => {}
            }
        }
    }

    /// False when there is nothing to go on with, and nothing wrong. `is_spoiled` when a slot has been lost.
    fn open(&mut self, faults: Faults, is_spoiled: bool) -> bool {
        let may_refuse = is_spoiled && self.disk.slots.iter().all(|slot| slot.cache.is_none());
        match survey(&self.disk, faults) {
            // With both slots gone, one of them not by a crash, a segment that was being prepared by an
            // opening looks like one that was in use and has lost its header (row T7): that may be refused.
            Err(_) if may_refuse => return false,
            Err(damage) => self.wrong = Some(Wrong::Damage(damage.0)),
            Ok(found) => {
                self.check(&found.queued);
                let Some(engine) = Engine::open(&self.disk, &found, faults) else {
                    return self.wrong.is_some();
                };
                self.engine = Some(engine);
            }
        }
        true
    }

    fn call(&mut self, faults: Faults) {
        let Some(mut engine) = self.engine.take() else { return };
        let call = engine.calls.remove(0);
        self.apply(&call);
        let then = engine.then;
        if engine.calls.is_empty() {
            engine.then = Then::Nothing;
            match then {
                Then::Nothing => {}
                // Memory says what is served: the survey is of the moment when the opening began, and nobody
                // has written since but the opening.
                Then::Served => match survey(&self.disk, faults) {
                    Ok(found) => self.serve(&found.queued),
                    Err(damage) => self.wrong = Some(Wrong::Damage(damage.0)),
                },
                Then::Closed => return,
            }
        }
        self.engine = Some(engine);
    }

    /// What may go wrong now.
    fn mishaps(&self, actions: &mut Vec<Action>) {
        if let Some(call) = self.due_sync()
            && self.left.failed_syncs > 0
        {
            actions.extend((0..self.disk.outcomes(Some(&call))).map(Action::FailedSync));
        }
        if self.engine.is_some() && self.left.kills > 0 {
            actions.push(Action::Kill);
        }
        let outcomes = self.disk.outcomes(None);
        if self.left.crashes > 0 && (self.engine.is_some() || outcomes > 1) {
            actions.extend((0..outcomes).map(Action::Crash));
        }
        if self.engine.is_none() && self.left.lost_slots > 0 {
            actions.extend((0..2).map(Action::LoseSlot));
        }
    }

    /// What a user may do now.
    fn operations(&self, engine: &Engine, actions: &mut Vec<Action>) {
        if !engine.flight.is_empty() {
            actions.push(Action::Sync);
        }
        if engine.has_room() && engine.flight.len() < 2 {
            if self.left.puts > 0 {
                actions.push(Action::Put);
            }
            let is_taken = |sequence: u8| {
                engine.flight.iter().any(
                    |written| matches!(written, Written::Ack { sequence: other, .. } if *other == sequence),
                )
            };
            let queued = (0..engine.known.next)
                .filter(|sequence| engine.known.is_queued(*sequence) && !is_taken(*sequence));
            if self.left.takes > 0 {
                actions.extend(queued.map(Action::Take));
            }
        }
        if engine.flight.is_empty() {
            if self.left.rolls > 0 && engine.place > 1 {
                actions.push(Action::Roll);
            }
            if self.left.checkpoints > 0 {
                actions.push(Action::Checkpoint);
            }
            if self.left.closes > 0 {
                actions.push(Action::Close);
            }
        }
    }

    /// The event with a sequence: the one that was put last with it and is not gone.
    fn identity(&self, engine: &Engine, sequence: u8) -> Option<u8> {
        let numbers = engine.known.sealed.iter().map(|sealed| sealed.number);
        let files = numbers.filter_map(|number| Some((number, self.disk.file_of(number)?)));
        let all = files.chain([(engine.number, engine.file as usize)]);
        let mut ids = all.flat_map(|(number, file)| {
            let records = self.disk.files[file].records.iter().filter_map(|r| r.cache.as_ref());
            records.filter(move |record| record.segment == number)
        });
        ids.find_map(|record| match record.kind {
            Kind::Put { sequence: other, id } | Kind::Moved { sequence: other, id } => {
                let is_gone = self.events[id as usize].0 == Put::Gone;
                (other == sequence && !is_gone).then_some(id)
            }
            Kind::State(_) | Kind::Ack { .. } => None,
        })
    }

    fn operate(&mut self, action: &Action, faults: Faults) -> bool {
        let Some(mut engine) = self.engine.take() else { return false };
        let mut done = true;
        match action {
            Action::Put | Action::Take(_) => {
                let written = match action {
                    Action::Take(sequence) => {
                        self.left.takes -= 1;
                        let Some(id) = self.identity(&engine, *sequence) else { return false };
                        self.events[id as usize].1 = Take::InDoubt;
                        Written::Ack { sequence: *sequence, id }
                    }
                    _ => {
                        self.left.puts -= 1;
                        self.events.push((Put::InDoubt, Take::None));
                        let id = self.events.len() as u8 - 1;
                        Written::Put { sequence: engine.next_sequence(), id }
                    }
                };
                let call = engine.append(written);
                self.apply(&call);
                if faults.has(Fault::AckBeforeSync) {
                    self.acknowledge(&[written]);
                }
            }
            Action::Sync => {
                self.apply(&Call::SyncFile(engine.file));
                let counted = engine.count();
                self.acknowledge(&counted);
            }
            Action::Roll => {
                self.left.rolls -= 1;
                done = engine.roll(&self.disk, faults);
            }
            Action::Checkpoint => {
                self.left.checkpoints -= 1;
                done = engine.take_checkpoint(&self.disk, faults);
            }
            _ => {
                self.left.closes -= 1;
                engine.close(&self.disk);
            }
        }
        self.engine = Some(engine);
        done
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let files = vec![File::new(); self.bounds.files as usize];
        let mut disk = Disk { files, slots: [Cell::new(None), Cell::new(None)] };
        let engine = engine::created(&mut disk);
        let (events, left) = (Vec::new(), self.bounds);
        vec![State { disk, engine: Some(engine), events, numbers: 1 << 1, left, wrong: None }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.wrong.is_some() {
            return;
        }
        state.mishaps(actions);
        match &state.engine {
            None => actions.push(Action::Open),
            Some(engine) if engine.is_idle() => state.operations(engine, actions),
            Some(_) => actions.push(Action::Call),
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match &action {
            Action::Call => next.call(self.faults),
            Action::FailedSync(outcome) => {
                let call = next.due_sync()?;
                next.disk.fail_sync(&call, *outcome);
                next.left.failed_syncs -= 1;
                // The channel stops; what is left for its process is to end.
                next.engine = None;
            }
            Action::Kill => {
                next.left.kills -= 1;
                next.engine = None;
            }
            Action::Crash(outcome) => {
                next.left.crashes -= 1;
                next.engine = None;
                next.disk.crash(*outcome);
            }
            Action::LoseSlot(slot) => {
                next.left.lost_slots -= 1;
                next.disk.lose_slot(*slot);
            }
            Action::Open => {
                let is_spoiled = next.left.lost_slots < self.bounds.lost_slots;
                return next.open(self.faults, is_spoiled).then_some(next);
            }
            operation => return next.operate(operation, self.faults).then_some(next),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        let mut all = properties::promises();
        all.extend(properties::situations());
        all
    }
}
