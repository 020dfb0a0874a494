//! What an opening finds: the rules of `docs/FORMAT.md`, "Reading a channel", on the model's disk. It reads
//! what a program reads: the cache.

use std::sync::Arc;

use crate::disk::{Disk, Header, Kind, Known, Name, PLACES, Record, Slot};
use crate::{Fault, Faults};

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Survey {
    pub(crate) header: Header,
    pub(crate) file: u8,
    pub(crate) clean: bool,
    /// Places of the last segment that hold records.
    pub(crate) end: u8,
    /// Places of it that a witness calls synced.
    pub(crate) proven: u8,
    pub(crate) known: Known,
    pub(crate) generation: u8,
    pub(crate) next_slot: u8,
    pub(crate) numbers_used: u8,
    /// What is queued, in order.
    pub(crate) queued: Vec<u8>,
}

/// Refused as damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) &'static str);

struct Reader<'a> {
    disk: &'a Disk,
    faults: Faults,
}

impl Reader<'_> {
    /// The record at a place, if its checksum is right.
    fn record(&self, file: usize, number: u8, place: u8) -> Option<&Record> {
        let record = self.disk.files[file].records.get(place as usize)?.cache.as_ref()?;
        (record.segment == number || self.faults.has(Fault::Unseeded)).then_some(record)
    }

    fn header(&self, file: usize, number: u8) -> Option<&Header> {
        self.disk.files[file].header.cache.as_ref().filter(|header| header.number == number)
    }

    fn segments(&self) -> Vec<(u8, usize)> {
        let files = self.disk.files.iter().enumerate();
        let mut found: Vec<_> = files
            .filter_map(|(index, file)| match file.name.cache {
                Name::Segment(number) => Some((number, index)),
                _ => None,
            })
            .collect();
        found.sort();
        found
    }

    /// The checkpoint that a segment's first record stands for.
    fn first_state(&self, file: usize, number: u8) -> Result<Slot, Damage> {
        let Some(header) = self.header(file, number) else {
            return Err(Damage("no header"));
        };
        match self.record(file, number, 0).map(|record| &record.kind) {
            Some(Kind::State(known)) => Ok(Slot {
                generation: 0,
                clean: false,
                tail: number,
                base: header.base,
                lsn: header.base + 1,
                numbers_used: number,
                known: Arc::clone(known),
            }),
            _ => Err(Damage("no state")),
        }
    }

    fn holds(&self, file: usize, number: u8, is_harmless: fn(&Kind) -> bool) -> bool {
        let records = (0..PLACES as u8).filter_map(|place| self.record(file, number, place));
        records.into_iter().any(|record| !is_harmless(&record.kind))
    }

    /// Rows T3 to T9b.
    fn start(&self) -> Result<Slot, Damage> {
        let valid = self.disk.slots.iter().filter_map(|slot| slot.cache.as_ref());
        let Some(slot) = valid.max_by_key(|slot| slot.generation) else {
            for (number, file) in self.segments().into_iter().rev() {
                if self.header(file, number).is_some() {
                    return self.first_state(file, number);
                }
                if self.holds(file, number, |kind| matches!(kind, Kind::State(_))) {
                    return Err(Damage("no slot, and records in a segment without a header"));
                }
            }
            return Err(Damage("no slot and no segment"));
        };
        for (number, file) in self.segments().into_iter().rev() {
            if number <= slot.tail {
                break;
            }
            let begins = |kind: &Kind| matches!(kind, Kind::State(_) | Kind::Moved { .. });
            if self.holds(file, number, begins) {
                return self.first_state(file, number);
            }
            if number > slot.numbers_used + 1 {
                return Err(Damage("a number that was not set aside"));
            }
        }
        Ok(slot.clone())
    }

    /// Rows T5, T11 to T17.
    fn survey(&self) -> Result<Survey, Damage> {
        let start = self.start()?;
        let number = start.tail;
        let file = self.disk.file_of(number).ok_or(Damage("the last segment is missing"))?;
        let header = self.header(file, number).ok_or(Damage("the last segment has no header"))?;
        if header.base != start.base {
            return Err(Damage("the last segment has another base"));
        }
        let mut known = Known::clone(&start.known);
        let mut place = start.lsn - start.base;
        let mut watermark = start.lsn;
        while let Some(record) = self.record(file, number, place) {
            match &record.kind {
                Kind::Put { sequence, .. } if *sequence == known.next => known.next += 1,
                Kind::Ack { sequence } if known.is_queued(*sequence) => {
                    known.acked |= 1 << sequence;
                }
                Kind::Moved { sequence, .. } if *sequence < known.next => {}
                _ => return Err(Damage("a record that does not follow")),
            }
            watermark = watermark.max(record.watermark);
            place += 1;
        }
        let end_lsn = header.base + place;
        let clean_here = |slot: &Option<Slot>| {
            slot.as_ref().is_some_and(|slot| slot.clean && slot.lsn == end_lsn)
        };
        let mut marks = self.disk.slots.iter().map(|slot| clean_here(&slot.cache));
        let clean = match self.faults.has(Fault::CleanByOneSlot) {
            true => marks.any(|mark| mark),
            false => marks.all(|mark| mark),
        };
        if !clean {
            let behind = place..PLACES as u8;
            let behind = behind.filter_map(|place| self.record(file, number, place));
            let promised = behind.map(|record| record.watermark).max().unwrap_or(0);
            if promised.max(watermark) > end_lsn {
                return Err(Damage("what a witness calls synced is not there"));
            }
        }
        let valid = self.disk.slots.each_ref().map(|slot| slot.cache.as_ref());
        let generations = valid.map(|slot| slot.map(|slot| slot.generation));
        let mut survey = Survey {
            header: header.clone(),
            file: file as u8,
            clean,
            end: place,
            proven: (watermark.saturating_sub(header.base)).min(place),
            known,
            generation: generations[0].max(generations[1]).unwrap_or(0),
            next_slot: match generations {
                _ if self.faults.has(Fault::OlderSlotFirst) => {
                    u8::from(generations[1] < generations[0])
                }
                [None, _] => 0,
                [_, None] => 1,
                [a, b] => u8::from(a < b),
            },
            numbers_used: start.numbers_used,
            queued: Vec::new(),
        };
        self.read_queue(&mut survey)?;
        Ok(survey)
    }

    /// The events of a segment, up to place `end`.
    fn events(&self, file: usize, number: u8, end: u8) -> Vec<(u8, u8)> {
        let records = (0..end).filter_map(|place| self.record(file, number, place));
        let events = records.filter_map(|record| match record.kind {
            Kind::Put { sequence, id } | Kind::Moved { sequence, id } => Some((sequence, id)),
            Kind::State(_) | Kind::Ack { .. } => None,
        });
        events.collect()
    }

    fn read_queue(&self, survey: &mut Survey) -> Result<(), Damage> {
        let mut events = Vec::new();
        for sealed in &survey.known.sealed {
            if !survey.known.wants(sealed.first_sequence, sealed.events) {
                continue;
            }
            let file = self.disk.file_of(sealed.number).ok_or(Damage("a segment is missing"))?;
            if self.header(file, sealed.number).is_none() {
                return Err(Damage("a complete segment has no header"));
            }
            events.extend(self.events(file, sealed.number, sealed.size));
        }
        events.extend(self.events(survey.file as usize, survey.header.number, survey.end));
        for sequence in (0..survey.known.next).filter(|next| survey.known.is_queued(*next)) {
            let mut found = events.iter().filter(|(known, _)| *known == sequence);
            match (found.next(), found.next()) {
                (Some((_, id)), None) => survey.queued.push(*id),
                (None, _) => return Err(Damage("a queued event is missing")),
                _ => return Err(Damage("a queued event is there twice")),
            }
        }
        Ok(())
    }
}

pub(crate) fn survey(disk: &Disk, faults: Faults) -> Result<Survey, Damage> {
    Reader { disk, faults }.survey()
}
