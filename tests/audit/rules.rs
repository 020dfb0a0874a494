//! The order of calls that docs/CRASH_SAFETY.md promises, held against a trace. A sync counts for what had been
//! written when it began, and from when it has ended.

use std::collections::HashMap;

use super::bytes::{Record, Says, Slot, records, slot};
use super::trace::{Call, Step, Trace};

type Checked = Result<(), String>;
type Event = (u64, u64);

fn must(holds: bool, why: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(why()) }
}

#[derive(Debug)]
struct Write {
    file: usize,
    segment: u64,
    life: u64,
    end: u64,
    done: Option<u64>,
    is_synced: bool,
}

/// A file, whatever its name is.
#[derive(Debug, Default)]
struct File {
    segment: Option<u64>,
    header: Option<usize>,
    state: Option<usize>,
    sized: Option<u64>,
    is_size_synced: bool,
    named: u64,
    is_name_synced: bool,
    was_renamed: bool,
    was_used: bool,
    /// Where the next record goes.
    end: u64,
    /// The rest of a large record, whose first piece, with the header, comes last.
    rest: Vec<u8>,
    rest_at: u64,
}

impl File {
    /// The records of which this write is the last; none when it is a piece of a record to come.
    fn whole(&mut self, offset: u64, bytes: &[u8]) -> Result<Vec<Record>, String> {
        let first = 4096;
        let rest_end = self.rest_at + self.rest.len() as u64;
        if offset > self.end.max(first) {
            must(self.rest.is_empty() || offset == rest_end, || {
                format!("a piece at {offset}, where the one before ends at {rest_end}")
            })?;
            if self.rest.is_empty() {
                self.rest_at = offset;
            }
            self.rest.extend_from_slice(bytes);
            return Ok(Vec::new());
        }
        must(offset == self.end.max(first), || {
            format!("a record at {offset}, over others that end at {}", self.end)
        })?;
        let end = offset + bytes.len() as u64;
        must(self.rest.is_empty() || self.rest_at == end, || {
            format!("a first piece up to {end}, and the others from {}", self.rest_at)
        })?;
        let whole = [bytes, &std::mem::take(&mut self.rest)].concat();
        self.end = offset + whole.len() as u64;
        Ok(records(offset, &whole))
    }
}

/// Where the log says that something happened.
#[derive(Clone, Copy, Debug)]
struct Place {
    write: usize,
    sequence: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub acks: u64,
    pub segments: u64,
    pub removals: u64,
    pub slots: u64,
    pub deliveries: u64,
}

#[derive(Default)]
pub struct Audit {
    pub counts: Counts,
    directory: String,
    life: u64,
    /// Acknowledged puts are synced ones, and so is what is delivered.
    is_sync: bool,
    clock: u64,
    writes: Vec<Write>,
    files: Vec<File>,
    names: HashMap<String, usize>,
    events: HashMap<Event, Place>,
    of_segment: HashMap<u64, Vec<Event>>,
    acks: HashMap<u64, Place>,
    /// What was written to each slot, and by which write.
    slots: HashMap<String, Vec<(usize, Slot)>>,
    putting: HashMap<u64, (u64, u64)>,
    taking: HashMap<u64, Vec<Event>>,
}

impl Audit {
    pub fn new(directory: String) -> Audit {
        Audit { directory, ..Audit::default() }
    }

    /// Audits one life of the channel; `names` are the files that it leaves. Without `is_sync` puts may be told
    /// and delivered before they are synced; acks and everything else may not.
    pub fn life(&mut self, trace: &Trace, is_sync: bool, names: &[String]) -> Checked {
        self.life += 1;
        self.is_sync = is_sync;
        self.putting.clear();
        self.taking.clear();
        let mut begun: HashMap<usize, (u64, Option<usize>)> = HashMap::new();
        for step in &trace.steps {
            self.clock += 1;
            match *step {
                Step::Begin(index) => {
                    let write = self.begin(&trace.calls[index])?;
                    begun.insert(index, (self.clock, write));
                }
                Step::End(index) => {
                    let (began, write) = begun[&index];
                    self.end(&trace.calls[index], began, write)?;
                }
            }
        }
        self.settle(names)
    }

    /// What was under way when the process vanished was done or not: the files tell.
    fn settle(&mut self, names: &[String]) -> Checked {
        for (name, slots) in &mut self.slots {
            let Some((write, last)) = slots.last() else { continue };
            if self.writes[*write].done.is_none() {
                let bytes = std::fs::read(format!("{}/{name}", self.directory));
                let found = slot(&bytes.map_err(|error| error.to_string())?);
                match found.generation == last.generation {
                    true => self.writes[*write].done = Some(self.clock),
                    false => drop(slots.pop()),
                }
            }
        }
        self.names.retain(|name, _| names.contains(name));
        for name in names {
            if !self.names.contains_key(name) {
                let file = self.add(name, true);
                self.files[file].sized = Some(self.clock);
            }
        }
        Ok(())
    }

    fn name<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&self.directory)?.strip_prefix('/')
    }

    fn add(&mut self, name: &str, was_renamed: bool) -> usize {
        let file = self.files.len();
        let segment = segment_of(name);
        self.files.push(File { segment, named: self.clock, was_renamed, ..File::default() });
        self.names.insert(name.to_string(), file);
        file
    }

    fn begin(&mut self, call: &Call) -> Result<Option<usize>, String> {
        match call.name.as_str() {
            // What never got out was told to nobody, and strace may read it wrongly while the process ends.
            "write" if call.descriptor == 2 && call.result.is_some() => {
                let text = call.name_of(0);
                text.lines()
                    .try_for_each(|line| self.told(line).map_err(|why| format!("{line}: {why}")))?;
            }
            "pwrite64" => {
                if let Some(name) = self.name(&call.path).filter(|name| *name != "LOCK") {
                    let write = self.write(name, call.last, &call.strings[0]);
                    return write.map(Some).map_err(|why| format!("writing {name}: {why}"));
                }
            }
            "ftruncate" => {
                if let Some(segment) = self.name(&call.path).and_then(segment_of) {
                    let is_past =
                        self.slots.values().all(|slots| self.synced(slots).segment > segment);
                    must(is_past, || format!("segment {segment} is cut while a slot names it"))?;
                }
            }
            "rename" => self.begin_rename(call)?,
            "unlink" => {
                let path = call.name_of(0);
                if let Some(segment) = self.name(&path).and_then(segment_of) {
                    self.begin_removal(segment)?;
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn begin_rename(&mut self, call: &Call) -> Checked {
        let from = call.name_of(0);
        let Some(name) = self.name(&from) else { return Ok(()) };
        let file = &self.files[self.names[name]];
        must(!file.was_renamed || file.is_name_synced, || {
            format!("{name} is renamed again before the directory was synced")
        })?;
        must(!name.starts_with("draft-") || file.is_size_synced, || {
            format!("{name} gets its name before its size was synced")
        })?;
        segment_of(name).map_or(Ok(()), |segment| self.begin_removal(segment))
    }

    /// A segment's file is renamed or removed.
    fn begin_removal(&mut self, segment: u64) -> Checked {
        self.counts.removals += 1;
        let newest = self.slots.values().map(|slots| self.synced(slots));
        let newest = newest.max_by_key(|slot| slot.generation).unwrap_or_default();
        must(newest.segment != segment && !newest.listed.contains(&segment), || {
            format!("segment {segment} goes while the newest synced slot wants it: {newest:?}")
        })?;
        for event in self.of_segment.get(&segment).map_or(&[][..], Vec::as_slice) {
            let place = self.events[event];
            let write = &self.writes[place.write];
            // Copied elsewhere, or never wholly written.
            if write.segment != segment || write.done.is_none() {
                continue;
            }
            let ack = self.acks.get(&place.sequence);
            let is_synced = ack.is_some_and(|ack| self.writes[ack.write].is_synced);
            let is_stated = newest.acked.iter().any(|range| range.contains(&place.sequence));
            must(is_synced || is_stated, || {
                format!("segment {segment} goes with {event:?}, of which no ack was synced")
            })?;
        }
        Ok(())
    }

    /// The newest content of a slot that was synced.
    fn synced(&self, slots: &[(usize, Slot)]) -> Slot {
        let synced = slots.iter().rev().find(|(write, _)| self.writes[*write].is_synced);
        synced.map(|(_, slot)| slot.clone()).unwrap_or_default()
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<usize, String> {
        let file = *self.names.get(name).ok_or("it was never created")?;
        let segment = segment_of(name).unwrap_or(0);
        let end = offset + bytes.len() as u64;
        let write = self.writes.len();
        let added = Write { file, segment, life: self.life, end, done: None, is_synced: false };
        if name.starts_with("checkpoint-") {
            self.write_slot(name, &slot(bytes))?;
            self.slots.entry(name.to_string()).or_default().push((write, slot(bytes)));
        } else if bytes.starts_with(b"FLUMENSG") {
            let place = &self.files[file];
            must(place.is_name_synced, || "the header comes before its name was synced".into())?;
            must(self.is_synced(place.state), || {
                "the header comes before the state behind it was synced".into()
            })?;
            self.files[file].header = Some(write);
        } else if segment != 0 {
            for record in self.files[file].whole(offset, bytes)? {
                self.write_record(file, segment, write, &record)?;
            }
        }
        self.writes.push(added);
        Ok(write)
    }

    fn is_synced(&self, write: Option<usize>) -> bool {
        write.is_some_and(|write| self.writes[write].is_synced)
    }

    /// All that this life has written to a segment before an offset was synced.
    fn all_synced_before(&self, segment: u64, offset: u64) -> bool {
        let here = |write: &&Write| write.segment == segment && write.life == self.life;
        self.writes.iter().filter(here).all(|write| write.end > offset || write.is_synced)
    }

    fn write_slot(&mut self, name: &str, new: &Slot) -> Checked {
        self.counts.slots += 1;
        let is_named = self.names.get(name).is_some_and(|file| self.files[*file].is_name_synced);
        must(is_named, || "its name is not synced".into())?;
        for (other, slots) in self.slots.iter().filter(|(other, _)| *other != name) {
            let Some((write, last)) = slots.last() else { continue };
            let write = &self.writes[*write];
            must(write.is_synced, || {
                format!("{other} was not synced: a crash could leave neither")
            })?;
            must(new.generation > last.generation, || format!("{other} is newer: {last:?}"))?;
            let own = self.slots.get(name).and_then(|slots| slots.last());
            // An opening begins with the newest, which may stand in the cache only; see CRASH_SAFETY.md.
            let may = |(write, own): &(usize, Slot)| {
                own.generation < last.generation || self.writes[*write].life != self.life
            };
            must(own.is_none_or(may), || {
                format!("the newest slot is overwritten, {other} is older")
            })?;
        }
        if new.segment == 0 {
            return Ok(());
        }
        let file = self.names.get(&format!("{:020}.seg", new.segment));
        let file = &self.files[*file.ok_or("it names a segment that is not there")?];
        must(file.is_name_synced && self.is_synced(file.header), || {
            format!("it names segment {}, whose name and header are not synced", new.segment)
        })?;
        let end = 4096 + (new.lsn - new.base);
        must(self.all_synced_before(new.segment, end), || {
            format!("it states what stands before {end} in {}: not synced", new.segment)
        })
    }

    fn write_record(
        &mut self,
        file: usize,
        segment: u64,
        write: usize,
        record: &Record,
    ) -> Checked {
        let base = record.lsn - (record.offset - 4096);
        if record.watermark > base {
            let end = 4096 + (record.watermark - base);
            must(self.all_synced_before(segment, end), || {
                format!("the watermark of the record at {} is early", record.offset)
            })?;
        }
        match &record.says {
            Says::Events { first_sequence, events } => {
                for (sequence, event) in (*first_sequence..).zip(events) {
                    self.events.insert(*event, Place { write, sequence });
                    self.of_segment.entry(segment).or_default().push(*event);
                }
            }
            Says::Acks(ranges) => {
                for sequence in ranges.iter().cloned().flatten() {
                    self.acks.insert(sequence, Place { write, sequence });
                }
            }
            Says::State if record.offset == 4096 => self.files[file].state = Some(write),
            Says::State | Says::Other => {}
        }
        Ok(())
    }

    fn end(&mut self, call: &Call, began: u64, write: Option<usize>) -> Checked {
        let clock = self.clock;
        let is_good = call.result.is_some_and(|result| result >= 0);
        if let Some(write) = write {
            // A short one is not done, and never will be: the end of the process cut it off.
            let is_whole = call.result == Some(call.strings[0].len() as i64);
            self.writes[write].done = is_whole.then_some(clock);
            return Ok(());
        }
        if !is_good {
            return Ok(());
        }
        match call.name.as_str() {
            "fsync" | "fdatasync" if call.path == self.directory => {
                for file in self.files.iter_mut().filter(|file| file.named < began) {
                    file.is_name_synced = true;
                }
            }
            "fsync" | "fdatasync" => {
                let Some(file) = self.name(&call.path).and_then(|name| self.names.get(name)) else {
                    return Ok(());
                };
                let place = &mut self.files[*file];
                place.is_size_synced |= place.sized.is_some_and(|sized| sized < began);
                for write in self.writes.iter_mut().filter(|write| write.file == *file) {
                    write.is_synced |= write.done.is_some_and(|done| done < began);
                }
            }
            "fallocate" | "ftruncate" => {
                if let Some(file) = self.name(&call.path).and_then(|name| self.names.get(name)) {
                    self.files[*file].sized = Some(clock);
                    self.files[*file].is_size_synced = false;
                }
            }
            "openat" if call.creates => {
                let path = call.name_of(0);
                match self.name(&path) {
                    Some(name) if !self.names.contains_key(name) => _ = self.add(name, false),
                    _ => {}
                }
            }
            "rename" => {
                let (from, to) = (call.name_of(0), call.name_of(1));
                let (Some(from), Some(to)) = (self.name(&from), self.name(&to)) else {
                    return Ok(());
                };
                let file = self.names.remove(from).ok_or("renamed, but never created")?;
                let former = std::mem::take(&mut self.files[file]);
                self.files[file] = File {
                    segment: segment_of(to),
                    named: clock,
                    was_renamed: true,
                    sized: former.sized,
                    is_size_synced: former.is_size_synced,
                    ..File::default()
                };
                self.names.insert(to.to_string(), file);
            }
            "unlink" => {
                let path = call.name_of(0);
                if let Some(name) = self.name(&path) {
                    self.names.remove(name);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The child is about to say something: all that makes it true must have ended.
    fn told(&mut self, line: &str) -> Checked {
        let mut words = line.split(' ');
        let word = words.next().unwrap_or_default();
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        match word {
            "B" => {
                let (producer, first, count) = (number(), number(), number());
                let all = producer.zip(first.zip(count)).ok_or("three numbers")?;
                self.putting.insert(all.0, all.1);
            }
            "P" => {
                let producer = number().ok_or("a producer")?;
                let (first, count) = self.putting.remove(&producer).ok_or("it put nothing")?;
                if !self.is_sync {
                    return Ok(());
                }
                for event in first..first + count {
                    let place = self.events.get(&(producer, event));
                    let place = *place.ok_or_else(|| format!("{event} was never written"))?;
                    self.acknowledged(place)?;
                }
                self.counts.acks += 1;
            }
            "D" => {
                let consumer = number().ok_or("a consumer")?;
                let events = words.map(|name| {
                    let (producer, number) = name.split_once(':')?;
                    producer.parse().ok().zip(number.parse().ok())
                });
                let events: Vec<Event> = events.collect::<Option<_>>().ok_or("names")?;
                for event in &events {
                    let place = self.events.get(event).ok_or("never written")?;
                    let is_synced = self.writes[place.write].is_synced;
                    must(is_synced || !self.is_sync, || {
                        format!("{event:?} is delivered from what is not synced")
                    })?;
                    self.counts.deliveries += 1;
                }
                self.taking.insert(consumer, events);
            }
            "A" => {
                let consumer = number().ok_or("a consumer")?;
                for event in self.taking.remove(&consumer).ok_or("it took nothing")? {
                    let sequence = self.events[&event].sequence;
                    let place = self.acks.get(&sequence);
                    let place = *place.ok_or_else(|| format!("no ack of {event:?} was written"))?;
                    self.acknowledged(place)?;
                }
                self.counts.acks += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn acknowledged(&mut self, place: Place) -> Checked {
        let write = &self.writes[place.write];
        let segment = write.segment;
        must(write.is_synced, || {
            format!("what was written before {} in segment {segment} is not synced", write.end)
        })?;
        let file = &self.files[write.file];
        if file.segment != Some(segment) {
            // Told late: everything in the segment has been taken since, and its file let go.
            return Ok(());
        }
        must(file.is_name_synced, || format!("the name of segment {segment} is not synced"))?;
        must(file.is_size_synced, || format!("the size of segment {segment} is not synced"))?;
        must(self.is_synced(file.header) && self.is_synced(file.state), || {
            format!("the header or the first state of segment {segment} is not synced")
        })?;
        must(self.slots.len() == 2, || "there are not two slots".into())?;
        for (name, slots) in &self.slots {
            let is_named = self.files[self.names[name]].is_name_synced;
            must(is_named, || format!("the name of {name} is not synced"))?;
            let named = self.synced(slots).segment;
            must(named >= segment, || {
                format!("{name} names segment {named}, and {segment} is in use")
            })?;
        }
        let first =
            !std::mem::replace(&mut self.files[self.writes[place.write].file].was_used, true);
        self.counts.segments += u64::from(first);
        Ok(())
    }
}

fn segment_of(name: &str) -> Option<u64> {
    name.strip_suffix(".seg").filter(|digits| digits.len() == 20)?.parse().ok()
}
