//! What a directory's files say of the channel, however damaged: slots, header pages, the newest intact
//! state. A witness that is broken is noted and the next one asked.

use std::collections::BTreeMap;

use super::finding::Findings;
use super::records::{Item, Records, probe_base};
use crate::channel::OpenError;
use crate::channel::parts::{Queue, open_error};
use crate::log::raw::{
    ALIGNMENT, Checkpoint, HeaderFlaw, Listing, Origin, PAGE, SLOTS, Scanner, Sealed, Seed,
    SegmentHeader, Slot, State, VERSION, hex, read_page, read_slot_bytes,
};
use crate::log::{Damage, Directory, Flaw, Kind, LogError, Lsn};
use crate::storage::{Access, StorageError};

/// A segment file.
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) name: String,
    /// The header, if the page is intact.
    pub(super) header: Option<SegmentHeader>,
    /// Why it is not.
    pub(super) flaw: Option<Flaw>,
    /// Where its records begin in the log, if anything tells.
    pub(super) base: Option<Lsn>,
    /// Offset where its records end, as far as anything tells; else the end of the file.
    pub(super) limit: u64,
    /// Whether [`Segment::limit`] is where the records end, not only where they may.
    pub(super) is_limit_known: bool,
    file_size: u64,
}

/// The newest intact state.
pub(super) struct Witness {
    /// Where it stands.
    pub(super) file: String,
    pub(super) checkpoint: Checkpoint,
    pub(super) queue: Queue,
}

/// What the files say.
pub(super) struct Evidence {
    pub(super) directory: Directory,
    pub(super) listing: Listing,
    pub(super) slots: [Slot; 2],
    pub(super) channel_id: [u8; 16],
    /// By number; files of other channels are not among them.
    pub(super) segments: Vec<Segment>,
    pub(super) witness: Option<Witness>,
    /// Both slots say that the channel was closed, and nothing says that it was opened since.
    pub(super) is_clean: bool,
}

impl Evidence {
    /// Reads slots, header pages and the newest state. Findings are about whole files only.
    pub(super) fn gather(
        directory: Directory,
        findings: &mut Findings,
    ) -> Result<Evidence, OpenError> {
        let listing = directory.list()?;
        let wrap = |error| open_error(&directory, error);
        let slots = [
            read_slot(&directory, SLOTS[0]).map_err(wrap)?,
            read_slot(&directory, SLOTS[1]).map_err(wrap)?,
        ];
        let is_valid = |slot: &Slot| matches!(slot, Slot::Valid(_));
        let was_channel = matches!(slots, [Slot::Invalid { .. }, Slot::Invalid { .. }]);
        if listing.segments.is_empty() && !slots.iter().any(is_valid) && !was_channel {
            // As opening sees it: the process ended while it made a channel here, or there never was one.
            let reason = "it holds no segment and no readable checkpoint".to_string();
            return Err(OpenError::NotAChannel { path: directory.storage.location(), reason });
        }
        let mut segments = Vec::new();
        for (number, name) in &listing.segments {
            segments.push(read_segment(&directory, *number, name).map_err(wrap)?);
        }
        let channel_id = identify(&directory, &slots, &segments).map_err(wrap)?;
        segments.retain(|segment| is_ours(segment, &channel_id, findings));
        let is_clean = closed_at(&slots, &channel_id).is_some();
        let mut evidence =
            Evidence { directory, listing, slots, channel_id, segments, witness: None, is_clean };
        evidence.witness = evidence.newest_state()?;
        evidence.place()?;
        Ok(evidence)
    }

    /// Leaves out segments that are not wanted, and looks for the newest state among the others: the first
    /// record of one that was only being prepared is a state, too.
    pub(super) fn keep(&mut self, is_wanted: impl Fn(&Segment) -> bool) -> Result<(), OpenError> {
        self.segments.retain(is_wanted);
        self.witness = self.newest_state()?;
        Ok(())
    }

    /// The complete segments that the newest state lists.
    pub(super) fn sealed(&self) -> &[Sealed] {
        self.witness.as_ref().map_or(&[], |witness| &witness.checkpoint.state.sealed)
    }

    /// Whether a slot is intact: it names the last segment.
    pub(super) fn has_slot(&self) -> bool {
        self.slots.iter().any(|slot| match slot {
            Slot::Valid(found) => found.channel_id == self.channel_id,
            _ => false,
        })
    }

    pub(super) fn sealed_entry(&self, number: u64) -> Option<&Sealed> {
        let sealed = self.sealed();
        sealed.binary_search_by_key(&number, |entry| entry.number).ok().map(|at| &sealed[at])
    }

    /// The number of the tail segment as the newest state knows it; 0 when there is none.
    pub(super) fn tail(&self) -> u64 {
        self.witness.as_ref().map_or(0, |witness| witness.checkpoint.tail)
    }

    /// Whether anything in a segment may be wanted: the newest state lists it or is older than it.
    pub(super) fn is_live(&self, number: u64) -> bool {
        number >= self.tail() || self.sealed_entry(number).is_some()
    }

    /// Bytes of all segments, up to where their records end.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.limit).sum()
    }

    /// Everything below was synced, say slots, states and header pages.
    pub(super) fn promise(&self) -> Lsn {
        let slots = self.slots.iter().map(|slot| match slot {
            Slot::Valid(checkpoint) if checkpoint.channel_id == self.channel_id => {
                checkpoint.watermark
            }
            _ => Lsn(0),
        });
        let headers =
            self.segments.iter().filter_map(|segment| Some(segment.header.as_ref()?.base));
        let witness = self.witness.as_ref().map(|witness| witness.checkpoint.watermark);
        slots.chain(headers).chain(witness).max().unwrap_or_default()
    }

    /// The sequence behind the highest that slots, states and header pages know.
    pub(super) fn next_sequence(&self) -> u64 {
        let headers = self.segments.iter().filter_map(|segment| segment.header.as_ref());
        let headers = headers.map(|header| header.first_sequence);
        let witness = self.witness.iter().map(|witness| witness.queue.next_sequence());
        headers.chain(witness).max().unwrap_or(0)
    }

    /// The valid slot or state record with the highest Lsn. Older states tell nothing more.
    fn newest_state(&self) -> Result<Option<Witness>, OpenError> {
        let mut best: Option<Witness> = None;
        for (slot, name) in self.slots.iter().zip(SLOTS) {
            let Slot::Valid(checkpoint) = slot else { continue };
            if checkpoint.channel_id != self.channel_id {
                continue;
            }
            let queue = match checkpoint.is_unborn() {
                true => Some(Queue::default()),
                false => Queue::decode(&checkpoint.state.upper),
            };
            let newer = |best: &Witness| best.checkpoint.generation < checkpoint.generation;
            if let Some(queue) = queue.filter(|_| best.as_ref().is_none_or(newer)) {
                let (file, checkpoint) = (name.to_string(), checkpoint.clone());
                best = Some(Witness { file, checkpoint, queue });
            }
        }
        for segment in self.segments.iter().rev() {
            if best.as_ref().is_some_and(|best| segment.number <= best.checkpoint.tail) {
                break;
            }
            // One that was being prepared does not count: what it begins with may not be complete.
            let may_be_prepared = best.is_some() || segment.header.is_none();
            if may_be_prepared && !self.is_used(segment, best.is_some())? {
                continue;
            }
            if let Some(witness) = self.state_of(segment)? {
                return Ok(Some(witness));
            }
        }
        Ok(best)
    }

    /// Whether a segment holds a record that is not written while a segment is being prepared.
    /// Without a slot to say which one is the last, moved events may stand nowhere else any more.
    fn is_used(&self, segment: &Segment, by_slot: bool) -> Result<bool, StorageError> {
        let file = self.directory.open(&segment.name, Access::Read)?;
        let seed = Seed::new(&self.channel_id, segment.number);
        let mut scanner = Scanner::new(Origin::File(file), seed, Lsn(0)).with_any_lsn();
        let mut from = PAGE;
        while let Some((at, header)) = scanner
            .next_header(from, segment.file_size)
            .map_err(|error| self.directory.error(&segment.name, "read", error))?
        {
            let harmless =
                if by_slot { header.kind.begins_segment() } else { header.kind == Kind::State };
            if !harmless {
                return Ok(true);
            }
            from = at + ALIGNMENT as u64;
        }
        Ok(false)
    }

    /// The state that a segment begins with.
    fn state_of(&self, segment: &Segment) -> Result<Option<Witness>, StorageError> {
        let header = segment.header.as_ref();
        let base = match header {
            Some(header) => Some(header.base),
            None => probe_base(&self.directory, &self.channel_id, segment.number, &segment.name)?,
        };
        let Some(base) = base else { return Ok(None) };
        let placed = Segment {
            number: segment.number,
            name: segment.name.clone(),
            header: None,
            flaw: None,
            base: Some(base),
            limit: segment.file_size,
            is_limit_known: false,
            file_size: segment.file_size,
        };
        let mut records = Records::open(&self.directory, &self.channel_id, &placed, PAGE)?;
        let Some(Item::Record { found, .. }) = records.next()? else { return Ok(None) };
        if found.header.kind != Kind::State {
            return Ok(None);
        }
        let Some(state) = State::decode(&found.payload) else { return Ok(None) };
        let Some(queue) = Queue::decode(&state.upper) else { return Ok(None) };
        let checkpoint = Checkpoint {
            channel_id: self.channel_id,
            generation: 0,
            epoch: header.map_or(0, |header| header.epoch),
            clean: false,
            tail: segment.number,
            tail_base: base,
            numbers_used: segment.number,
            lsn: found.header.end(),
            watermark: if header.is_some() { found.header.end() } else { base },
            state,
        };
        Ok(Some(Witness { file: segment.name.clone(), checkpoint, queue }))
    }

    /// Finds out where each segment's records begin and end.
    fn place(&mut self) -> Result<(), StorageError> {
        let tail = self.witness.as_ref().map(|w| (w.checkpoint.tail, w.checkpoint.tail_base));
        let mut bases = Vec::new();
        for segment in &self.segments {
            let stated = segment.header.as_ref().map(|header| header.base);
            let listed = self.sealed_entry(segment.number).map(|entry| entry.base);
            let of_tail =
                tail.filter(|(number, _)| *number == segment.number).map(|(_, base)| base);
            let base = match stated.or(listed).or(of_tail) {
                Some(base) => Some(base),
                None => {
                    probe_base(&self.directory, &self.channel_id, segment.number, &segment.name)?
                }
            };
            bases.push(base);
        }
        let closed = closed_at(&self.slots, &self.channel_id);
        for index in 0..self.segments.len() {
            let segment = &self.segments[index];
            // Without an entry in a state: at most up to where the next segment begins.
            let apart = bases.get(index + 1).and_then(|next| Some((*next)?.since(bases[index]?)));
            let listed = self.sealed_entry(segment.number).map(|entry| entry.size);
            let size = listed.or_else(|| {
                let (number, end) = closed?;
                (number == segment.number).then_some(end.since(bases[index]?))
            });
            let most = apart.filter(|_| segment.number != self.tail()).unwrap_or(u64::MAX - PAGE);
            let capacity = segment.header.as_ref().map_or(u64::MAX, |header| header.capacity);
            let segment = &mut self.segments[index];
            segment.base = bases[index];
            segment.is_limit_known = size.is_some();
            segment.limit = match size {
                Some(size) => PAGE.saturating_add(size),
                None => segment.file_size.min(capacity).min(PAGE.saturating_add(most)),
            };
        }
        Ok(())
    }
}

/// Where a channel was closed, by the word of both slots: one alone proves nothing.
fn closed_at(slots: &[Slot; 2], channel_id: &[u8; 16]) -> Option<(u64, Lsn)> {
    let [Slot::Valid(a), Slot::Valid(b)] = slots else { return None };
    let agree = a.clean && b.clean && a.lsn == b.lsn && a.tail == b.tail;
    let ours = a.channel_id == *channel_id && b.channel_id == *channel_id;
    (agree && ours).then_some((a.tail, a.lsn))
}

fn is_ours(segment: &Segment, channel_id: &[u8; 16], findings: &mut Findings) -> bool {
    match &segment.header {
        Some(header) if header.channel_id != *channel_id => {
            let expected = format!("a segment of channel {}", hex(channel_id));
            let found = format!("one of channel {}", hex(&header.channel_id));
            findings.damage(&segment.name, 0, Flaw::new(expected, found));
            false
        }
        _ => true,
    }
}

fn read_slot(directory: &Directory, name: &str) -> Result<Slot, LogError> {
    let Some(file) = directory.open_if_there(name, Access::Read)? else {
        return Ok(Slot::Absent);
    };
    let bytes = read_slot_bytes(directory, &*file, name)?;
    let flaw = match Checkpoint::decode(&bytes) {
        Ok(checkpoint) => return Ok(Slot::Valid(checkpoint)),
        Err(HeaderFlaw::Invalid(flaw)) => flaw,
        Err(HeaderFlaw::Unsupported(reason)) => {
            let restored = known_format(&bytes);
            if Checkpoint::decode(&restored).is_err() {
                return Err(LogError::Unsupported { file: name.into(), reason });
            }
            Flaw::new(format!("format version {VERSION}, as the checksum says"), reason)
        }
    };
    Ok(Slot::Invalid { flaw, torn: Checkpoint::is_torn(&bytes) })
}

fn read_segment(directory: &Directory, number: u64, name: &str) -> Result<Segment, LogError> {
    let file = directory.open(name, Access::Read)?;
    let file_size = directory.size(&*file, name)?;
    let page = read_page(directory, name)?;
    let (header, flaw) = match SegmentHeader::decode(&page) {
        Ok(header) if header.number == number => (Some(header), None),
        Ok(header) => {
            let found = format!("segment {}", header.number);
            (None, Some(Flaw::new(format!("segment {number}"), found)))
        }
        Err(HeaderFlaw::Invalid(flaw)) => (None, Some(flaw)),
        Err(HeaderFlaw::Unsupported(reason)) => {
            let restored = SegmentHeader::decode(&known_format(&page));
            let Some(header) = restored.ok().filter(|header| header.number == number) else {
                return Err(LogError::Unsupported { file: name.into(), reason });
            };
            let expected = format!("format version {VERSION}, as the checksum says");
            (Some(header), Some(Flaw::new(expected, reason)))
        }
    };
    let name = name.to_string();
    let (base, limit, is_limit_known) = (None, file_size, false);
    Ok(Segment { number, name, header, flaw, base, limit, is_limit_known, file_size })
}

/// The bytes with the version and the features that are known here. If the checksum then fits, these fields
/// were altered; if not, another program wrote the file.
fn known_format(bytes: &[u8]) -> Vec<u8> {
    let mut restored = bytes.to_vec();
    if let Some(fields) = restored.get_mut(8..16) {
        fields[..4].copy_from_slice(&VERSION.to_le_bytes());
        fields[4..].fill(0);
    }
    restored
}

/// The channel's id: what most intact slots and header pages say. When none is intact, the bytes that stand
/// in the id's place are tried: the right ones make checksums of records fit.
fn identify(
    directory: &Directory,
    slots: &[Slot; 2],
    segments: &[Segment],
) -> Result<[u8; 16], LogError> {
    let mut votes: BTreeMap<[u8; 16], u32> = BTreeMap::new();
    for slot in slots {
        if let Slot::Valid(checkpoint) = slot {
            *votes.entry(checkpoint.channel_id).or_default() += 1;
        }
    }
    for header in segments.iter().filter_map(|segment| segment.header.as_ref()) {
        *votes.entry(header.channel_id).or_default() += 1;
    }
    if let Some((id, _)) = votes.into_iter().max_by_key(|(_, count)| *count) {
        return Ok(id);
    }
    for name in SLOTS.into_iter().chain(segments.iter().map(|segment| segment.name.as_str())) {
        let Some(_) = directory.open_if_there(name, Access::Read)? else { continue };
        let page = read_page(directory, name)?;
        let Some(id) = page.get(24..40).and_then(|id| id.first_chunk::<16>()) else { continue };
        for segment in segments {
            let file = directory.open(&segment.name, Access::Read)?;
            let seed = Seed::new(id, segment.number);
            let mut scanner = Scanner::new(Origin::File(file), seed, Lsn(0)).with_any_lsn();
            let failed = |error| directory.error(&segment.name, "read", error);
            if scanner.next_header(PAGE, segment.file_size).map_err(failed)?.is_some() {
                return Ok(*id);
            }
        }
    }
    let flaw = Flaw::new("a checkpoint or a segment that names its channel", "none");
    Err(Damage { file: SLOTS[0].to_string(), offset: 0, flaw, sequences: None }.into())
}
