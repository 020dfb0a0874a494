//! The engine: what it holds in memory, and which calls it makes in which order. The order is that of
//! `docs/CRASH_SAFETY.md` and of `src/log/{begin,open,writer}.rs`.

use std::sync::Arc;

use crate::disk::{Call, Disk, Header, Kind, Known, Name, PLACES, Record, Sealed, Slot};
use crate::survey::Survey;
use crate::{Fault, Faults};

/// A record that is written and not synced yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Written {
    Put { sequence: u8, id: u8 },
    Ack { sequence: u8, id: u8 },
}

/// What happens when the calls under way have been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Then {
    Nothing,
    /// The opening has ended: what it found is served.
    Served,
    /// The close has ended, and the process with it.
    Closed,
}

/// A running process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Engine {
    pub(crate) number: u8,
    pub(crate) file: u8,
    pub(crate) base: u8,
    first_sequence: u8,
    /// The next place of the segment.
    pub(crate) place: u8,
    /// Everything that counts; records in flight are not in it.
    pub(crate) known: Known,
    pub(crate) flight: Vec<Written>,
    generation: u8,
    next_slot: u8,
    numbers_used: u8,
    /// The Lsn of the last checkpoint.
    checkpoint: u8,
    /// Calls still to be made, and what then.
    pub(crate) calls: Vec<Call>,
    pub(crate) then: Then,
}

/// A new channel: segment 1 has begun, both slots name it.
pub(crate) fn created(disk: &mut Disk) -> Engine {
    let known = Known { next: 0, acked: 0, sealed: Vec::new() };
    let mut engine = Engine {
        number: 0,
        file: 0,
        base: 0,
        first_sequence: 0,
        place: 0,
        known,
        flight: Vec::new(),
        generation: 0,
        next_slot: 0,
        numbers_used: 0,
        checkpoint: 0,
        calls: Vec::new(),
        then: Then::Nothing,
    };
    engine.begin(disk, 0, Vec::new(), Vec::new(), Vec::new(), Faults::none());
    let calls = std::mem::take(&mut engine.calls);
    calls.iter().for_each(|call| disk.apply(call));
    engine
}

impl Engine {
    pub(crate) fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        (self.place as usize) < PLACES
    }

    /// Everything below is synced and counts.
    fn watermark(&self) -> u8 {
        self.base + self.place - self.flight.len() as u8
    }

    /// The sequence of the next put.
    pub(crate) fn next_sequence(&self) -> u8 {
        let puts = self.flight.iter().filter(|written| matches!(written, Written::Put { .. }));
        self.known.next + puts.count() as u8
    }

    /// The call that writes a record at the end of the log.
    pub(crate) fn append(&mut self, written: Written) -> Call {
        let kind = match written {
            Written::Put { sequence, id } => Kind::Put { sequence, id },
            Written::Ack { sequence, .. } => Kind::Ack { sequence },
        };
        let record = Record { segment: self.number, watermark: self.watermark(), kind };
        let call = Call::WriteRecord(self.file, self.place, record);
        self.place += 1;
        self.flight.push(written);
        call
    }

    /// The groups in flight count.
    pub(crate) fn count(&mut self) -> Vec<Written> {
        for written in &self.flight {
            match written {
                Written::Put { .. } => self.known.next += 1,
                Written::Ack { sequence, .. } => self.known.acked |= 1 << sequence,
            }
        }
        std::mem::take(&mut self.flight)
    }

    fn slot(&mut self, lsn: u8, clean: bool, numbers_used: u8) -> [Call; 2] {
        self.generation += 1;
        let slot = Slot {
            generation: self.generation,
            clean,
            tail: self.number,
            base: self.base,
            lsn,
            numbers_used,
            known: Arc::new(self.known.clone()),
        };
        let index = self.next_slot;
        self.next_slot = 1 - index;
        [Call::WriteSlot(index, slot), Call::SyncSlot(index)]
    }

    fn end(&self) -> u8 {
        self.base + self.place
    }

    /// Complete segments without a queued event are let go; says which.
    fn sort_out(&mut self) -> Vec<u8> {
        let known = self.known.clone();
        let is_done = |sealed: &Sealed| !known.wants(sealed.first_sequence, sealed.events);
        let done = known.sealed.iter().filter(|sealed| is_done(sealed)).map(|sealed| sealed.number);
        let done = done.collect();
        self.known.sealed.retain(|sealed| !is_done(sealed));
        done
    }

    fn recycle(disk: &Disk, numbers: &[u8]) -> Vec<Call> {
        let files = numbers.iter().filter_map(|number| disk.file_of(*number));
        files.map(|file| Call::Rename(file as u8, Name::Spare)).collect()
    }

    /// A file for the next segment: a waiting one, or a new one. Files in `going` are about to be waiting
    /// ones.
    fn free_file(disk: &Disk) -> Option<u8> {
        let named = |name: Name| disk.files.iter().position(|file| file.name.cache == name);
        named(Name::Spare).or_else(|| named(Name::None)).map(|file| file as u8)
    }

    /// The next segment begins. `moved` are events that go with it, `released` segments whose files are free
    /// when it counts. `first` are calls to be made before.
    fn begin(
        &mut self,
        disk: &Disk,
        first_sequence: u8,
        first: Vec<Call>,
        moved: Vec<(u8, u8)>,
        released: Vec<u8>,
        faults: Faults,
    ) -> bool {
        let Some(file) = Engine::free_file(disk) else {
            return false;
        };
        self.number = self.numbers_used + 1;
        self.numbers_used = self.number;
        let number = self.number;
        self.file = file;
        self.first_sequence = first_sequence;
        self.place = 1 + moved.len() as u8;
        let state = Kind::State(Arc::new(self.known.clone()));
        let record = |kind: Kind| Record { segment: number, watermark: self.base, kind };
        let mut states = vec![Call::WriteRecord(file, 0, record(state))];
        for (place, (sequence, id)) in moved.into_iter().enumerate() {
            let kind = Kind::Moved { sequence, id };
            states.push(Call::WriteRecord(file, place as u8 + 1, record(kind)));
        }
        states.push(Call::SyncFile(file));
        let header = Header { number, base: self.base, first_sequence };
        let header = vec![Call::WriteHeader(file, header), Call::SyncFile(file)];
        let (lsn, used) = (self.end(), self.numbers_used);
        let mut slots = self.slot(lsn, false, used).to_vec();
        if !faults.has(Fault::OneSlotNames) {
            slots.extend(self.slot(lsn, false, used));
        }
        self.checkpoint = lsn;
        let recycled = Engine::recycle(disk, &released);
        let named = vec![Call::Rename(file, Name::Segment(number)), Call::SyncDirectory];
        let parts = if faults.has(Fault::SlotsBeforeHeader) {
            [first, named, states, slots, header, recycled]
        } else if faults.has(Fault::RecycleFirst) {
            [first, recycled, named, states, header, slots]
        } else if faults.has(Fault::NameNotSynced) {
            [first, named[..1].to_vec(), states, header, slots, recycled]
        } else if faults.has(Fault::StateNotSynced) {
            states.pop();
            // The slots are synced before the state is.
            let mut late = header.clone();
            late.pop();
            [first, named, states, late, slots, vec![Call::SyncFile(file)]]
        } else {
            [first, named, states, header, slots, recycled]
        };
        self.calls.extend(parts.into_iter().flatten());
        true
    }

    /// The segment is complete. False when there is no file for another.
    pub(crate) fn roll(&mut self, disk: &Disk, faults: Faults) -> bool {
        let sealed = Sealed {
            number: self.number,
            size: self.place,
            first_sequence: self.first_sequence,
            events: self.known.next - self.first_sequence,
        };
        self.base = self.end();
        self.known.sealed.push(sealed);
        let released = self.sort_out();
        let next = self.known.next;
        self.begin(disk, next, Vec::new(), Vec::new(), released, faults)
    }

    pub(crate) fn take_checkpoint(&mut self, disk: &Disk, faults: Faults) -> bool {
        let lsn = self.end();
        let before = self.known.sealed.len();
        let released = self.sort_out();
        if lsn == self.checkpoint && self.known.sealed.len() == before {
            return false;
        }
        let recycled = Engine::recycle(disk, &released);
        let used = self.numbers_used;
        let slot = self.slot(lsn, false, used);
        self.checkpoint = lsn;
        if faults.has(Fault::RecycleFirst) {
            self.calls.extend(recycled);
            self.calls.extend(slot);
        } else {
            self.calls.extend(slot);
            self.calls.extend(recycled);
        }
        true
    }

    pub(crate) fn close(&mut self, disk: &Disk) {
        let lsn = self.end();
        let released = self.sort_out();
        let used = self.numbers_used;
        for _ in 0..2 {
            let slot = self.slot(lsn, true, used);
            self.calls.extend(slot);
        }
        self.calls.extend(Engine::recycle(disk, &released));
        self.then = Then::Closed;
    }

    /// An opening, with what it found. `None` when there is no file for the segment that it would begin.
    pub(crate) fn open(disk: &Disk, survey: &Survey, faults: Faults) -> Option<Engine> {
        let segments = || {
            disk.files.iter().filter_map(|file| match file.name.cache {
                Name::Segment(number) => Some(number),
                _ => None,
            })
        };
        let newest = segments().max().unwrap_or(0);
        let numbers_used = match faults.has(Fault::NumberReused) {
            true => survey.numbers_used,
            false => survey.numbers_used.max(newest),
        };
        let mut engine = Engine {
            number: survey.header.number,
            file: survey.file,
            base: survey.header.base,
            first_sequence: survey.header.first_sequence,
            place: survey.end,
            known: survey.known.clone(),
            flight: Vec::new(),
            generation: survey.generation,
            next_slot: survey.next_slot,
            numbers_used,
            checkpoint: 0,
            calls: Vec::new(),
            then: Then::Served,
        };
        let set_aside = match faults.has(Fault::NumberReused) {
            true => numbers_used,
            false => numbers_used + 1,
        };
        // The state and the position that the survey began with would do; those at the end say the same.
        let lsn = engine.base + survey.proven;
        let mut calls = engine.opening_slot(disk, survey, lsn, set_aside).to_vec();
        let one_only = [Fault::OlderSlotFirst, Fault::OneOpeningSlot, Fault::CleanByOneSlot];
        if !one_only.into_iter().any(|fault| faults.has(fault)) {
            calls.extend(engine.opening_slot(disk, survey, lsn, set_aside));
        }
        calls.push(Call::SyncDirectory);
        let listed = |number: u8| {
            number == engine.number || survey.known.sealed.iter().any(|one| one.number == number)
        };
        let unlisted: Vec<u8> = segments().filter(|number| !listed(*number)).collect();
        calls.extend(Engine::recycle(disk, &unlisted));
        if survey.clean || faults.has(Fault::AppendBehindTornEnd) {
            engine.calls = calls;
            return Some(engine);
        }
        // The files that the first calls make free are free for the segment too.
        let mut later = disk.clone();
        calls.iter().for_each(|call| later.apply(call));
        engine.supersede(&later, survey, calls, faults).then_some(engine)
    }

    /// A slot as every opening writes it: what it read, no longer marked closed, a number set aside.
    fn opening_slot(&mut self, disk: &Disk, survey: &Survey, lsn: u8, used: u8) -> [Call; 2] {
        let read = disk.slots.iter().filter_map(|slot| slot.cache.as_ref());
        let read = read.max_by_key(|slot| slot.generation);
        let mut calls = self.slot(lsn, false, used);
        let Call::WriteSlot(_, slot) = &mut calls[0] else {
            return calls;
        };
        match read.filter(|read| read.tail == survey.header.number) {
            Some(read) => {
                slot.lsn = read.lsn;
                slot.known = Arc::clone(&read.known);
            }
            None => {
                // Begun with the segment's own state.
                let file = &disk.files[survey.file as usize];
                if let Some(Kind::State(known)) = file.records[0].cache.as_ref().map(|r| &r.kind) {
                    slot.lsn = self.base + 1;
                    slot.known = Arc::clone(known);
                }
            }
        }
        calls
    }

    /// The old end counts up to where it is proven; a new segment begins with the rest.
    fn supersede(
        &mut self,
        disk: &Disk,
        survey: &Survey,
        calls: Vec<Call>,
        faults: Faults,
    ) -> bool {
        let records = &disk.files[survey.file as usize].records;
        let unproven = (survey.proven..survey.end)
            .filter_map(|place| records[place as usize].cache.as_ref())
            .filter_map(|record| match record.kind {
                Kind::Put { sequence, id } | Kind::Moved { sequence, id } => Some((sequence, id)),
                Kind::State(_) | Kind::Ack { .. } => None,
            });
        let mut moved: Vec<(u8, u8)> = unproven.collect();
        let mut size = survey.proven;
        if faults.has(Fault::NothingCarriedOver) {
            moved.clear();
            size = survey.end;
        }
        if 1 + moved.len() > PLACES {
            return false;
        }
        let first_sequence = moved.first().map_or(self.known.next, |(sequence, _)| *sequence);
        let sealed = Sealed {
            number: self.number,
            size,
            first_sequence: self.first_sequence,
            events: first_sequence - self.first_sequence,
        };
        self.base += size;
        self.known.sealed.push(sealed);
        let released = self.sort_out();
        self.begin(disk, first_sequence, calls, moved, released, faults)
    }
}
