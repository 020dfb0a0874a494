//! The disk: files with a name, a header and places for records, and two slots. What is not synced may be
//! lost, each part by itself.

use std::sync::Arc;

/// Places for records in a file.
pub(crate) const PLACES: usize = 5;

/// What was written to one place: what is durable, what a program reads, and what was written since the last
/// sync, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cell<T> {
    pub(crate) durable: T,
    pub(crate) cache: T,
    pending: Vec<T>,
}

impl<T: Clone> Cell<T> {
    pub(crate) fn new(value: T) -> Cell<T> {
        Cell { durable: value.clone(), cache: value, pending: Vec::new() }
    }

    pub(crate) fn write(&mut self, value: T) {
        self.cache = value.clone();
        self.pending.push(value);
    }

    fn sync(&mut self) {
        if let Some(last) = self.pending.pop() {
            self.durable = last;
            self.pending.clear();
        }
    }

    /// After a failed sync.
    pub(crate) fn shows_what_is_lost(&self) -> bool
    where
        T: PartialEq,
    {
        self.pending.is_empty() && self.cache != self.durable
    }

    /// How many outcomes a crash has here.
    fn outcomes(&self) -> usize {
        1 + self.pending.len()
    }

    fn settle(&mut self, outcome: usize) {
        if outcome > 0 {
            self.durable = self.pending[outcome - 1].clone();
        }
        self.pending.clear();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Name {
    /// Not created yet.
    None,
    Spare,
    Segment(u8),
}

/// A complete segment that is still needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sealed {
    pub(crate) number: u8,
    /// Places that count.
    pub(crate) size: u8,
    pub(crate) first_sequence: u8,
    pub(crate) events: u8,
}

/// What is known at a position of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Known {
    pub(crate) next: u8,
    /// A bit for each sequence that is acknowledged.
    pub(crate) acked: u16,
    pub(crate) sealed: Vec<Sealed>,
}

impl Known {
    pub(crate) fn wants(&self, first: u8, count: u8) -> bool {
        (first..first + count).any(|sequence| self.is_queued(sequence))
    }

    pub(crate) fn is_queued(&self, sequence: u8) -> bool {
        sequence < self.next && self.acked & 1 << sequence == 0
    }
}

/// What a record says. Events have an identity: a sequence may be given again after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    State(Arc<Known>),
    Put { sequence: u8, id: u8 },
    Moved { sequence: u8, id: u8 },
    Ack { sequence: u8 },
}

/// A record. Its checksum is bound to the segment's number and to its place: the place is that of the cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) segment: u8,
    pub(crate) watermark: u8,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Header {
    pub(crate) number: u8,
    pub(crate) base: u8,
    pub(crate) first_sequence: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct File {
    pub(crate) name: Cell<Name>,
    pub(crate) header: Cell<Option<Header>>,
    pub(crate) records: Vec<Cell<Option<Record>>>,
}

impl File {
    pub(crate) fn new() -> File {
        File {
            name: Cell::new(Name::None),
            header: Cell::new(None),
            records: vec![Cell::new(None); PLACES],
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    pub(crate) generation: u8,
    pub(crate) clean: bool,
    pub(crate) tail: u8,
    pub(crate) base: u8,
    pub(crate) lsn: u8,
    pub(crate) numbers_used: u8,
    pub(crate) known: Arc<Known>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    pub(crate) files: Vec<File>,
    /// `None` is a torn slot.
    pub(crate) slots: [Cell<Option<Slot>>; 2],
}

/// One call to the file system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Rename(u8, Name),
    SyncDirectory,
    WriteRecord(u8, u8, Record),
    WriteHeader(u8, Header),
    SyncFile(u8),
    WriteSlot(u8, Slot),
    SyncSlot(u8),
}

impl Call {
    pub(crate) fn is_sync(&self) -> bool {
        matches!(self, Call::SyncDirectory | Call::SyncFile(_) | Call::SyncSlot(_))
    }
}

impl Disk {
    pub(crate) fn apply(&mut self, call: &Call) {
        match call {
            Call::Rename(file, name) => self.files[*file as usize].name.write(*name),
            Call::SyncDirectory => self.files.iter_mut().for_each(|file| file.name.sync()),
            Call::WriteRecord(file, place, record) => {
                self.files[*file as usize].records[*place as usize].write(Some(record.clone()));
            }
            Call::WriteHeader(file, header) => {
                self.files[*file as usize].header.write(Some(header.clone()));
            }
            Call::SyncFile(file) => {
                let file = &mut self.files[*file as usize];
                file.header.sync();
                file.records.iter_mut().for_each(Cell::sync);
            }
            Call::WriteSlot(slot, content) => {
                let slot = &mut self.slots[*slot as usize];
                // Cut short, a slot is neither the old one nor the new one.
                slot.pending.push(None);
                slot.write(Some(content.clone()));
            }
            Call::SyncSlot(slot) => self.slots[*slot as usize].sync(),
        }
    }

    /// Calls `visit` with the number of outcomes of each place that a failed sync of this kind, or with
    /// `None` a loss of power, leaves open.
    fn open_places(&self, call: Option<&Call>) -> Vec<usize> {
        let mut copy = self.clone();
        let mut outcomes = Vec::new();
        copy.settle_places(call, &mut |count| {
            outcomes.push(count);
            0
        });
        outcomes
    }

    fn settle_places(&mut self, call: Option<&Call>, choose: &mut dyn FnMut(usize) -> usize) {
        for (index, file) in self.files.iter_mut().enumerate() {
            if matches!(call, None | Some(Call::SyncDirectory)) && file.name.outcomes() > 1 {
                let outcome = choose(file.name.outcomes());
                file.name.settle(outcome);
            }
            if call.is_none_or(|call| *call == Call::SyncFile(index as u8)) {
                if file.header.outcomes() > 1 {
                    let outcome = choose(file.header.outcomes());
                    file.header.settle(outcome);
                }
                for record in file.records.iter_mut().filter(|record| record.outcomes() > 1) {
                    let outcome = choose(record.outcomes());
                    record.settle(outcome);
                }
            }
        }
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let is_meant = call.is_none_or(|call| *call == Call::SyncSlot(index as u8));
            if is_meant && slot.outcomes() > 1 {
                let outcome = choose(slot.outcomes());
                slot.settle(outcome);
            }
        }
    }

    /// How many different disks a loss of power leaves, or a failed sync.
    pub(crate) fn outcomes(&self, call: Option<&Call>) -> usize {
        self.open_places(call).iter().product()
    }

    /// What is pending is durable or lost, as outcome number `outcome` says.
    fn settle(&mut self, call: Option<&Call>, outcome: usize) {
        let mut rest = outcome;
        self.settle_places(call, &mut |count| {
            let chosen = rest % count;
            rest /= count;
            chosen
        });
    }

    /// A sync that failed: reads still show what may be lost, and no later sync writes it.
    pub(crate) fn fail_sync(&mut self, call: &Call, outcome: usize) {
        self.settle(Some(call), outcome);
    }

    /// A loss of power: reads show what is durable.
    pub(crate) fn crash(&mut self, outcome: usize) {
        self.settle(None, outcome);
        for file in &mut self.files {
            file.name.cache = file.name.durable;
            file.header.cache = file.header.durable.clone();
            file.records.iter_mut().for_each(|record| record.cache = record.durable.clone());
        }
        self.slots.iter_mut().for_each(|slot| slot.cache = slot.durable.clone());
    }

    pub(crate) fn lose_slot(&mut self, slot: usize) {
        self.slots[slot] = Cell::new(None);
    }

    /// The file of a segment, as a program finds it.
    pub(crate) fn file_of(&self, number: u8) -> Option<usize> {
        self.files.iter().position(|file| file.name.cache == Name::Segment(number))
    }
}
