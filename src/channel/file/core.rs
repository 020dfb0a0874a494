//! What a file channel is beneath its handles: the log, the queue it explains, and the commits that change
//! both.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::acks::{Acks, Refused};
use super::buffers::Buffers;
use super::codec::encode_put;
use super::queue::{Change, Queue};
use super::tail::{Tail, TailRecord};
use crate::channel::Stopped;
use crate::channel::signal::Signal;
use crate::channel::transaction::PutBatch;
use crate::log::{
    Appended, Claim, Form, Groups, Kind, Log, Lsn, Outgoing, Payload, PendingRecord, View,
    WaitsFor, filled_max, record_size,
};
use crate::storage::StorageError;
use crate::sync::{AtomicBool, Mutex, lock};

/// Bytes one group may have at most, one record excepted: what waits behind a group waits for all of it.
const GROUP_SIZE_MAX: u64 = 8 << 20;

/// Records of puts from so many bytes on, and those that are written in pieces, wait for none: to write them
/// takes a good part of a sync, and goes on beside it. Nor does what no transaction commits, which is rare.
const LARGE: u64 = 128 << 10;

/// Puts that need a sync wait for each other, to go together, and so do acks. Puts and acks go together when
/// the same end of a group has set them off.
const PUTS: WaitsFor = WaitsFor::Kind(0);
const ACKS: WaitsFor = WaitsFor::Kind(1);

/// What everybody may see: the state at the end of the last group that counts.
pub(crate) struct Shown {
    pub(crate) queue: Queue,
    pub(crate) tail: Tail,
    /// Records before this may be read.
    pub(crate) visible: Lsn,
    /// Something was written since the last record that states a watermark and nothing else.
    pub(crate) unwitnessed: bool,
    pub(crate) counts: Counts,
}

/// Counts since the opening.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) events_put: u64,
    pub(crate) events_taken: u64,
    pub(crate) puts_committed: u64,
    pub(crate) takes_committed: u64,
}

/// Why a commit was not taken.
#[derive(Clone)]
pub(crate) enum Ended {
    Stopped(Stopped),
    Closed,
}

/// What a commit writes.
enum Record {
    None,
    Encoded(PendingRecord),
    /// A put of so many bytes, encoded when it is written, in the form that is best for so many.
    Gathered(u64),
    InPieces(u64),
}

/// One commit on its way to the log.
pub(crate) struct Entry {
    record: Record,
    effect: Effect,
    /// Its group is to be synced before it counts.
    sync: bool,
    waits_for: WaitsFor,
}

/// What a commit does when it counts.
pub(crate) enum Effect {
    Put(PutBatch),
    Ack(Acks),
    /// An ack of whatever is refused when this is written.
    Refused,
    Nothing,
}

impl Entry {
    /// A put whose record gets into the log in the form that `form_of` has for its size.
    pub(crate) fn put(
        buffers: &Buffers,
        form_of: impl FnOnce(usize) -> Form,
        batch: PutBatch,
        sync: bool,
    ) -> Entry {
        let size = record_size(Payload::size(&batch));
        let form = form_of(size);
        let record = match form {
            Form::Gathered => Record::Gathered(size as u64),
            Form::Encoded => Record::Encoded(encode_put(buffers.take(filled_max(size)), &batch)),
            Form::InPieces => Record::InPieces(size as u64),
        };
        let is_large = size as u64 >= LARGE || form == Form::InPieces;
        let waits_for = if sync && !is_large { PUTS } else { WaitsFor::None };
        Entry { record, effect: Effect::Put(batch), sync, waits_for }
    }

    pub(crate) fn ack(acks: Acks, sync: bool) -> Entry {
        Entry::of_acks(acks, sync, if sync { ACKS } else { WaitsFor::None })
    }

    /// As [`Entry::ack`], with nobody waiting for it.
    pub(crate) fn lazy_ack(acks: Acks, sync: bool) -> Entry {
        Entry::of_acks(acks, sync, WaitsFor::All)
    }

    fn of_acks(acks: Acks, sync: bool, waits_for: WaitsFor) -> Entry {
        let record = Record::Encoded(acks.encode());
        Entry { record, effect: Effect::Ack(acks), sync, waits_for }
    }

    /// What was [`Refused`], once more, with nobody waiting for it.
    pub(crate) fn refused(sync: bool) -> Entry {
        let (record, effect) = (Record::None, Effect::Refused);
        Entry { record, effect, sync, waits_for: WaitsFor::All }
    }

    /// A record that says nothing but what its header says.
    pub(crate) fn bare(kind: Kind) -> Entry {
        let record = Record::Encoded(PendingRecord::new(kind, 0, |_| {}));
        Entry { record, effect: Effect::Nothing, sync: true, waits_for: WaitsFor::None }
    }

    /// No record: only a sync of all that was written before.
    pub(crate) fn sync_only() -> Entry {
        let (effect, waits_for) = (Effect::Nothing, WaitsFor::None);
        Entry { record: Record::None, effect, sync: true, waits_for }
    }

    /// The put that it was to be, if it was one; to be committed again, or its events given back.
    pub(crate) fn into_put(self) -> Option<PutBatch> {
        match self.effect {
            Effect::Put(batch) => Some(batch),
            Effect::Ack(_) | Effect::Refused | Effect::Nothing => None,
        }
    }

    fn size(&self) -> u64 {
        match &self.record {
            Record::None => 0,
            Record::Encoded(record) => record.size(),
            Record::Gathered(size) | Record::InPieces(size) => *size,
        }
    }

    fn outgoing(&mut self) -> Option<Outgoing<'_, PutBatch>> {
        match (&mut self.record, &self.effect) {
            (Record::Encoded(record), _) => Some(Outgoing::Encoded(record)),
            (Record::Gathered(_), Effect::Put(batch)) => Some(Outgoing::Gathered(batch)),
            (Record::InPieces(_), Effect::Put(batch)) => Some(Outgoing::InPieces(batch)),
            (Record::Gathered(_) | Record::InPieces(_) | Record::None, _) => None,
        }
    }

    fn is_put(&self) -> bool {
        matches!(self.effect, Effect::Put(_))
    }

    /// Sequences the record uses up.
    fn events(&self) -> u64 {
        match &self.effect {
            Effect::Put(batch) => batch.events.len() as u64,
            Effect::Ack(_) | Effect::Refused | Effect::Nothing => 0,
        }
    }
}

/// Entries that were written together.
pub(crate) struct Group {
    entries: Vec<Entry>,
    appended: Appended,
    sync: bool,
}

/// Memory that a group leaves which counts, held for its drop.
pub(crate) struct Remains {
    _records: Vec<Vec<u8>>,
    _outdated: Vec<Arc<TailRecord>>,
}

/// Log and queue, and how a group of commits changes them.
pub(crate) struct Core {
    pub(crate) log: Arc<Log>,
    pub(crate) shown: Mutex<Shown>,
    pub(crate) news: Signal,
    /// Wakes the helper thread before its time.
    pub(crate) alarm: Arc<Signal>,
    pub(crate) refused: Mutex<Refused>,
    /// Whether acks may wait for the next commit: refused ones, or the channel's lazy ones. Set and cleared
    /// where those are locked.
    pub(crate) acks_wait: AtomicBool,
    pub(crate) buffers: Buffers,
}

impl Core {
    pub(crate) fn new(log: Log, queue: Queue, end: Lsn, memory_tail: u64) -> Core {
        let shown = Shown {
            queue,
            tail: Tail::new(memory_tail, end),
            visible: end,
            unwitnessed: false,
            counts: Counts::default(),
        };
        Core {
            log: Arc::new(log),
            shown: Mutex::new(shown),
            news: Signal::new(),
            alarm: Arc::default(),
            refused: Mutex::default(),
            acks_wait: AtomicBool::new(false),
            buffers: Buffers::default(),
        }
    }

    /// Calls `act` with the present state.
    pub(crate) fn with_view<T>(&self, act: impl FnOnce(&View<'_>) -> T) -> T {
        let (upper, lsn, next_sequence, acked) = {
            let shown = lock(&self.shown);
            let queue = &shown.queue;
            (queue.encode(), shown.visible, queue.next_sequence(), queue.acked().clone())
        };
        let is_done = |sequences: Range<u64>| acked.contains_all(sequences);
        act(&View { upper, lsn, next_sequence, is_done: &is_done })
    }

    /// Makes room by all means there are; false when there are none.
    fn find_room(&self, entry: &Entry) -> Result<bool, StorageError> {
        let (size, is_put) = (self.size_of(entry), entry.is_put());
        let claim = if is_put { Claim::Put } else { Claim::Ack };
        let usable = || !is_put || self.log.accepts_puts();
        if usable() && self.log.fits(0, size) {
            return Ok(true);
        }
        if usable() && self.roll(size, claim)? {
            return Ok(usable());
        }
        // The disk is full. What can be given back is given back, then once more.
        let end = self.log.end_group(0);
        self.log.sync(&end)?;
        self.log.raise_watermark(end.end);
        self.with_view(|view| self.log.regain(view))?;
        if usable() && (self.log.fits(0, size) || self.roll(size, claim)?) {
            return Ok(usable());
        }
        Ok(is_put && self.change_places(size)?)
    }

    /// Begins a new segment, at the end of which nothing is in flight. It begins with a state, which is
    /// synced: what is looked at from now on is as far.
    fn roll(&self, needed: u64, claim: Claim) -> Result<bool, StorageError> {
        let rolled = self.with_view(|view| self.log.roll(needed, claim, view))?;
        let mut shown = lock(&self.shown);
        shown.visible = shown.visible.max(self.log.end());
        drop(shown);
        self.alarm.raise();
        Ok(rolled)
    }

    /// The last means of a put on a full disk: when all is acknowledged, what stands in the way is the
    /// segment being written, which is never given back. It changes places with a file of the reserve. A
    /// crash in between is one while an ack begins a segment: the opening finds what nothing needs, and
    /// recycles it.
    fn change_places(&self, size: u64) -> Result<bool, StorageError> {
        // A segment that a reader has open would not come back. The put tries again without.
        if self.log.is_tail_pinned() {
            return Ok(false);
        }
        let is_good = || self.log.accepts_puts() && self.log.fits(0, size);
        if self.swap(size)? {
            self.with_view(|view| self.log.regain(view))?;
            if is_good() {
                return Ok(true);
            }
        } else if !self.log.would_fit(size) || !self.swap(0)? {
            return Ok(false);
        }
        // The file that went is the better one: too small for the reserve, or the only one that is large
        // enough. It comes back, empty.
        if self.swap(size)? {
            self.with_view(|view| self.log.regain(view))?;
        }
        Ok(is_good())
    }

    /// Whether the segment being written has changed places with a file of at least `needed` bytes more.
    fn swap(&self, needed: u64) -> Result<bool, StorageError> {
        let all_done = self.with_view(|view| (view.is_done)(0..view.next_sequence));
        Ok(all_done && self.roll(needed, Claim::Swap)?)
    }

    /// Bytes of the record that `entry` would have now.
    fn size_of(&self, entry: &Entry) -> u64 {
        match &entry.effect {
            Effect::Refused => lock(&self.refused).size(),
            _ => entry.size(),
        }
    }

    /// What `entry` does to the acks that were refused, when it is written: it takes them, or sets a cursor
    /// that they would set back. (Most set none, and take no lock here.)
    fn settle_refused(&self, entry: &mut Entry) {
        match &entry.effect {
            Effect::Refused => {
                let mut refused = lock(&self.refused);
                if let Some(acks) = refused.take() {
                    *entry = Entry::lazy_ack(acks, entry.sync);
                }
                if refused.is_wanting() {
                    self.acks_wait.store(true, Ordering::Release);
                }
            }
            Effect::Put(PutBatch { cursors, .. }) | Effect::Ack(Acks { cursors, .. }) => {
                if !cursors.is_empty() {
                    lock(&self.refused).supersede(cursors);
                }
            }
            Effect::Nothing => {}
        }
    }

    /// Makes a commit count whose record is at this place.
    fn apply_effect(
        &self,
        shown: &mut Shown,
        effect: Effect,
        (at, first_sequence): (Range<Lsn>, u64),
        outdated: &mut Vec<Arc<TailRecord>>,
    ) {
        shown.unwitnessed |= !matches!(effect, Effect::Nothing) && !planted!(NoIdleWatermark);
        let fits = "the log gave this record the next sequence";
        let lent = "only what was put is lent, and to one transaction at a time";
        match effect {
            Effect::Put(PutBatch { events, size, overhead, cursors }) => {
                let count = events.len() as u64;
                let cursors = &cursors;
                let change = Change::Put { first_sequence, events: count, bytes: size, cursors };
                shown.queue.apply(&change).expect(fits);
                shown.counts.events_put += count;
                shown.counts.puts_committed += 1;
                let record = TailRecord::new(at, first_sequence, events, size + overhead);
                shown.tail.push(record, outdated);
            }
            Effect::Ack(acks) => {
                let (ranges, bytes, cursors) = (&acks.ranges, acks.size, &acks.cursors);
                shown.queue.apply(&Change::Ack { ranges, bytes, cursors }).expect(lent);
                shown.counts.events_taken += acks.events;
                shown.counts.takes_committed += acks.transactions;
            }
            Effect::Refused | Effect::Nothing => {}
        }
    }
}

impl Groups for Core {
    type Entry = Entry;
    type Group = Group;
    type Remains = Remains;
    type Error = Ended;

    fn waits_for(&self, entry: &Entry) -> WaitsFor {
        entry.waits_for
    }

    fn fits(&self, entries: &VecDeque<Entry>) -> usize {
        let accepts_puts = self.log.accepts_puts();
        let mut total = 0;
        let mut count = 0;
        for entry in entries {
            let size = self.size_of(entry);
            let refused = entry.is_put() && !accepts_puts;
            let too_much = count > 0 && total + size > GROUP_SIZE_MAX;
            if refused || too_much || !self.log.fits(total, size) {
                break;
            }
            total += size;
            count += 1;
        }
        count
    }

    fn make_room(&self, entry: &Entry) -> Result<bool, Ended> {
        self.find_room(entry).map_err(Ended::from)
    }

    fn refuse(&self, entry: Entry) {
        let mut refused = lock(&self.refused);
        match entry.effect {
            Effect::Ack(acks) => refused.add(acks),
            Effect::Refused => refused.stay(),
            Effect::Put(_) | Effect::Nothing => return,
        }
        self.acks_wait.store(true, Ordering::Release);
    }

    fn write(&self, mut entries: Vec<Entry>, lane: usize) -> Result<Group, Ended> {
        let sync = entries.iter().any(|entry| entry.sync);
        let mut records = Vec::with_capacity(entries.len());
        for entry in &mut entries {
            self.settle_refused(entry);
            let events = entry.events();
            records.extend(entry.outgoing().map(|record| (record, events)));
        }
        let is_ahead = || {
            if sync {
                self.alarm.raise();
            }
        };
        let appended = match records.is_empty() {
            true => self.log.end_group(lane),
            false => self.log.append(records.into_iter(), lane, &is_ahead)?,
        };
        if !sync && self.log.is_far_ahead() {
            self.alarm.raise();
        }
        Ok(Group { entries, appended, sync })
    }

    fn sync(&self, group: &Group) -> Result<(), Ended> {
        if group.sync {
            self.log.sync(&group.appended)?;
        }
        Ok(())
    }

    /// Who sees the new state may rely on its being synced; and the next records state it.
    fn note_synced(&self, group: &Group) {
        if group.sync {
            self.log.raise_watermark(group.appended.end);
        }
    }

    fn apply(&self, group: Group) -> Remains {
        let mut places = group.appended.places.iter();
        let (mut records, mut outdated) = (Vec::new(), Vec::new());
        let mut shown = lock(&self.shown);
        for entry in group.entries {
            let size = entry.size();
            match entry.record {
                Record::None => continue,
                Record::Encoded(record) if matches!(entry.effect, Effect::Put(_)) => {
                    records.push(record.into_bytes());
                }
                Record::Encoded(_) | Record::Gathered(_) | Record::InPieces(_) => {}
            }
            if let Some((lsn, sequence)) = places.next() {
                let place = (*lsn..lsn.plus(size), *sequence);
                self.apply_effect(&mut shown, entry.effect, place, &mut outdated);
            }
        }
        shown.visible = shown.visible.max(group.appended.end);
        drop(shown);
        self.news.raise();
        Remains { _records: self.buffers.give_back(records), _outdated: outdated }
    }

    fn broken(&self) -> Ended {
        let kind = std::io::Error::other("a thread panicked while it was writing the log");
        Ended::from(self.log.error("write", kind))
    }

    fn closed(&self) -> Ended {
        Ended::Closed
    }
}

impl From<StorageError> for Ended {
    fn from(error: StorageError) -> Ended {
        Ended::Stopped(Stopped { cause: Arc::new(error) })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::channel::transaction::Cursors;
    use crate::event::Event;
    use crate::log::{Directory, LogOptions};
    use crate::storage::sim::SimDisk;

    fn core(segment_size: u64) -> Core {
        core_on(&SimDisk::new(1), segment_size)
    }

    fn core_on(disk: &SimDisk, segment_size: u64) -> Core {
        let directory = Directory { storage: disk.storage() };
        let options = LogOptions { segment_size, ack_size_max: 4096 };
        let log = Log::create(directory, &options, Queue::default().encode()).expect("works");
        Core::new(log.expect("there is room"), Queue::default(), Lsn(0), 0)
    }

    fn put(size: usize) -> Entry {
        let batch = PutBatch::new(vec![Event::new(vec![7; size])], Cursors::new());
        Entry::put(&Buffers::default(), |_| Form::Encoded, batch, true)
    }

    #[test]
    fn puts_wait_for_puts_and_acks_for_acks_unless_they_are_large_or_need_no_sync() {
        let core = core(64 * 1024);
        let put = |size, sync, form| {
            let batch = PutBatch::new(vec![Event::new(vec![7; size])], Cursors::new());
            Entry::put(&Buffers::default(), |_| form, batch, sync)
        };
        let ack = |sync| Entry::ack(Acks::default(), sync);
        let head = put(LARGE as usize, true, Form::Encoded).size() as usize - LARGE as usize;
        let (most, large) = (LARGE as usize - head - 8, LARGE as usize - head);
        for form in [Form::Gathered, Form::Encoded] {
            let [most, large] = [most, large].map(|size| put(size, true, form));
            assert_eq!((most.size(), large.size()), (LARGE - 8, LARGE));
            let [small, unsynced] = [true, false].map(|sync| put(1, sync, form));
            let in_pieces = put(1, true, Form::InPieces);
            let entries = [small, most, large, unsynced, in_pieces];
            let waits = entries.map(|entry| core.waits_for(&entry));
            let none = WaitsFor::None;
            assert_eq!(waits, [PUTS, PUTS, none, none, none]);
        }
        assert_eq!(core.waits_for(&ack(true)), ACKS);
        assert_ne!(PUTS, ACKS);
        for entry in [ack(false), Entry::sync_only(), Entry::bare(Kind::Close)] {
            assert_eq!(core.waits_for(&entry), WaitsFor::None);
        }
        for sync in [true, false] {
            assert_eq!(core.waits_for(&Entry::lazy_ack(Acks::default(), sync)), WaitsFor::All);
        }
    }

    /// What waits behind a group waits for no more than its due; a record that is larger goes alone.
    #[test]
    fn a_group_is_of_so_many_bytes_or_one_record() {
        let core = core(64 << 20);
        let count = |sizes: &[usize]| core.fits(&sizes.iter().map(|size| put(*size)).collect());
        let head = put(1 << 20).size() as usize - (1 << 20);
        let half = GROUP_SIZE_MAX as usize / 2 - head;
        assert_eq!(put(half).size() * 2, GROUP_SIZE_MAX);
        assert_eq!(count(&[half, half]), 2);
        assert_eq!(count(&[half, half + 8]), 1);
        assert_eq!(count(&[half, half / 2, half / 4, half]), 3);
        assert_eq!(count(&[3 * half, 10]), 1);
        assert_eq!(count(&[10, 3 * half]), 1);
    }

    /// However its records share the room.
    #[test]
    fn a_group_ends_with_its_segment() {
        let core = core(64 << 10);
        for sizes in [[1000, 1000, 1000], [30_000, 10, 4_000], [10, 40_000, 0]] {
            let entries: VecDeque<Entry> =
                (0..100).map(|index| put(sizes[index % sizes.len()])).collect();
            let count = core.fits(&entries);
            let size = |count: usize| entries.iter().take(count).map(Entry::size).sum();
            assert!(core.log.fits(0, size(count)), "{sizes:?}: {count} are too many");
            assert!(!core.log.fits(0, size(count + 1)), "{sizes:?}: more than {count} fit");
        }
        assert_eq!(core.fits(&VecDeque::from([put(70_000)])), 0);
    }

    /// S3: what many producers share. That all who wait are in one group is shown where groups are formed.
    #[test]
    fn a_group_is_one_write_and_one_sync_however_many_commits_it_holds() {
        let disk = SimDisk::new(1);
        let core = core_on(&disk, 1 << 20);
        let calls = [1, 1, 8, 64].map(|count| {
            let before = disk.calls();
            let group = write(&core, (0..count).map(|_| put(512)).collect());
            core.sync(&group).unwrap_or_else(|_| panic!("the disk is sound"));
            core.note_synced(&group);
            drop(core.apply(group));
            disk.calls() - before
        });
        assert_eq!(calls[1..], [2, 2, 2]);
    }

    const PLACE: &str = "place";

    fn cursors(value: &str) -> Cursors {
        Cursors::from([(PLACE.to_string(), Some(value.as_bytes().to_vec()))])
    }

    fn acks(value: &str) -> Acks {
        Acks { cursors: cursors(value), transactions: 1, ..Acks::default() }
    }

    fn write(core: &Core, entries: Vec<Entry>) -> Group {
        core.write(entries, 0).unwrap_or_else(|_| panic!("the disk is sound"))
    }

    /// Wherever a commit is that sets the same cursor when an ack is asked for once more that a full disk has
    /// refused: before it, in its group, written and not yet counting, or behind it.
    #[test]
    fn i2_what_a_commit_sets_a_refused_ack_does_not_set_back() {
        let put = || {
            let batch = PutBatch::new(Vec::new(), cursors("2"));
            Entry::put(&Buffers::default(), |_| Form::Encoded, batch, true)
        };
        let refused = || Entry::refused(true);
        for later in [put, || Entry::ack(acks("2"), true), || Entry::lazy_ack(acks("2"), true)] {
            let orders = [
                vec![vec![later(), refused()]],
                vec![vec![later()], vec![refused()]],
                vec![vec![refused(), later()]],
                vec![vec![refused()], vec![later()]],
            ];
            for groups in orders {
                let core = core(64 << 10);
                core.refuse(Entry::lazy_ack(acks("1"), true));
                assert!(core.acks_wait.load(Ordering::Acquire), "the next put takes it along");
                // All are written before the first of them counts.
                let written = groups.into_iter().map(|entries| write(&core, entries));
                for group in written.collect::<Vec<_>>() {
                    drop(core.apply(group));
                }
                let shown = lock(&core.shown);
                assert_eq!(
                    shown.queue.cursors().get(PLACE).map(|value| &value[..]),
                    Some(&b"2"[..])
                );
                assert!(lock(&core.refused).check().is_ok());
            }
        }
    }

    /// It is as long as what it takes then, and nothing where there is nothing any more.
    #[test]
    fn i2_an_entry_that_takes_what_was_refused_has_the_size_of_that() {
        let core = core(64 << 10);
        let entries = VecDeque::from([Entry::refused(true)]);
        assert_eq!((core.size_of(&entries[0]), core.fits(&entries)), (0, 1));
        let end = core.log.end();
        drop(core.apply(write(&core, vec![Entry::refused(true)])));
        assert_eq!(core.log.end(), end, "no record");
        for size in [10, 9_000, 40_000] {
            core.refuse(Entry::lazy_ack(acks(&"x".repeat(size)), true));
        }
        for _ in 0..2 {
            let size = core.size_of(&entries[0]);
            let group = write(&core, vec![Entry::refused(true), Entry::ack(acks("1"), true)]);
            let [(first, _), (second, _)] = group.appended.places[..] else {
                panic!("two records")
            };
            assert_eq!(first.plus(size), second);
            drop(core.apply(group));
            assert!(core.acks_wait.swap(false, Ordering::AcqRel), "there are more");
        }
        // The cursors of what is left have been set since.
        assert!(core.size_of(&entries[0]) < 100);
        drop(core.apply(write(&core, vec![Entry::refused(true)])));
        assert!(!core.acks_wait.load(Ordering::Acquire), "there are none any more");
        core.refuse(Entry::lazy_ack(acks(&"x".repeat(65_000)), true));
        assert_eq!(core.fits(&entries), 0, "the segment has no room for so much");
    }
}
