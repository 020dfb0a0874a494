//! The two checkpoint slots on disk, written in turn.

use std::sync::Arc;

use super::checkpoint::{Checkpoint, SLOTS};
use super::directory::Directory;
use super::pool::is_full;
use super::segment::PAGE;
use super::start::Slot;
use crate::storage::{Access, File, StorageError};

/// Slots are allocated at least this large, so that a state that grows a little needs no new blocks.
const SIZE_MIN: u64 = 64 << 10;

struct SlotFile {
    file: Arc<dyn File>,
    size: u64,
}

/// Writes checkpoints.
pub(crate) struct Slots {
    directory: Directory,
    files: [Option<SlotFile>; 2],
    /// The generation last written or read.
    generation: u64,
    /// The slot to write next: the older, once this opening has written both.
    next: usize,
}

impl Slots {
    /// Takes over the slots as the survey found them. `is_new` when the log has no segment yet.
    ///
    /// The newest slot may stand in the page cache only: its process may have been killed before it was
    /// synced, or its sync may have failed. What is certain to be durable is the older one, since it was
    /// synced before the newest was written. So an opening writes over a slot that is not valid or, when both
    /// are, over the newest; over the other one only when that is synced.
    pub(crate) fn open(
        directory: Directory,
        found: &[Slot; 2],
        is_new: bool,
    ) -> Result<Slots, StorageError> {
        let generation = |slot: &Slot| match slot {
            Slot::Valid(checkpoint) => Some(checkpoint.generation),
            Slot::Absent | Slot::Invalid { .. } => None,
        };
        let (a, b) = (generation(&found[0]), generation(&found[1]));
        let next = match (a, b) {
            _ if planted!(OlderSlotFirst) => usize::from(b < a),
            (None, _) => 0,
            (_, None) => 1,
            (a, b) => usize::from(a < b),
        };
        let mut slots =
            Slots { directory, files: [None, None], generation: a.max(b).unwrap_or(0), next };
        for (index, name) in SLOTS.iter().enumerate() {
            if let Some(file) = slots.directory.open_if_there(name, Access::ReadWrite)? {
                let mut size = slots.directory.size(&*file, name)?;
                // A slot that holds nothing may show a size whose sync has failed, so that nothing written
                // within it would last. Later there is always the other slot.
                if is_new && size > 0 && !matches!(found[index], Slot::Valid(_)) {
                    file.set_size(0).map_err(|error| slots.directory.error(name, "cut", error))?;
                    size = 0;
                }
                slots.files[index] = Some(SlotFile { file, size });
            }
        }
        Ok(slots)
    }

    /// Of a log that has no segment yet: where only one slot is there, it is the next to be written. It may
    /// have been read from a cache that a failed sync left behind, and it must be durable before there is
    /// another: two slots of which neither is valid say that this was a channel.
    pub(crate) fn renew_the_only_one(&mut self) {
        if self.files[self.next].is_none() && self.files[1 - self.next].is_some() {
            self.next = 1 - self.next;
        }
    }

    /// Writes `checkpoint` to the older slot, with the next generation, and syncs it. False, and nothing is
    /// changed, when the state has outgrown the slot and the disk is full.
    ///
    /// A crash in here tears at most the slot that is being written; the other stays valid. An error leaves
    /// the slot unknown.
    pub(crate) fn write(&mut self, checkpoint: &mut Checkpoint) -> Result<bool, StorageError> {
        checkpoint.generation = self.generation + 1;
        let bytes = checkpoint.encode();
        let name = SLOTS[self.next];
        if !self.make_room(self.next, bytes.len() as u64)? {
            return Ok(false);
        }
        let Some(slot) = &self.files[self.next] else {
            return Ok(false);
        };
        self.directory.write(&*slot.file, name, &bytes, 0)?;
        self.directory.sync_file(&*slot.file, name)?;
        if !planted!(GenerationReused) {
            self.generation += 1;
        }
        if !planted!(SameSlotAlways) {
            self.next = 1 - self.next;
        }
        Ok(true)
    }

    /// Whether both slots have room for `checkpoint`, now or after growing.
    pub(crate) fn make_room_for(&mut self, checkpoint: &Checkpoint) -> Result<bool, StorageError> {
        let needed = checkpoint.encode().len() as u64;
        Ok(self.make_room(0, needed)? && self.make_room(1, needed)?)
    }

    /// Grows a slot before it is too small: when less than half is free. On a full disk that may fail for a
    /// long time before it matters; then just what is needed will do.
    fn make_room(&mut self, index: usize, needed: u64) -> Result<bool, StorageError> {
        let held = self.files[index].as_ref().map_or(0, |slot| slot.size);
        if held >= needed * 2 {
            return Ok(true);
        }
        let name = SLOTS[index];
        let (file, created) = match &self.files[index] {
            Some(slot) => (Arc::clone(&slot.file), false),
            None => match self.directory.storage.create(name) {
                Ok(file) => (file, true),
                Err(error) if is_full(&error) => return Ok(false),
                Err(error) => return Err(self.directory.error(name, "create", error)),
            },
        };
        let wanted = (needed * 4).max(SIZE_MIN);
        let mut size = held;
        for target in [wanted, needed].map(|size| size.next_multiple_of(PAGE)) {
            match file.allocate(target) {
                Ok(()) => size = target,
                Err(error) if is_full(&error) => {}
                Err(error) => return Err(self.directory.error(name, "allocate", error)),
            }
            if size >= needed {
                break;
            }
        }
        self.files[index] = Some(SlotFile { file: Arc::clone(&file), size });
        if created || size > held {
            file.sync_all().map_err(|error| self.directory.error(name, "sync", error))?;
            self.directory.sync()?;
        }
        Ok(size >= needed)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::io;

    use super::*;
    use crate::log::checkpoint::State;
    use crate::log::record::Flaw;
    use crate::storage::sim::{CallKind, Fault, FaultPlan, SimDisk};

    fn checkpoint(generation: u64, state: usize) -> Checkpoint {
        let state = State { sealed: Vec::new(), upper: vec![7; state] };
        Checkpoint { generation, state, ..Checkpoint::unborn([1; 16]) }
    }

    fn found(generation: Option<u64>) -> Slot {
        generation.map_or(Slot::Absent, |generation| Slot::Valid(checkpoint(generation, 0)))
    }

    fn open(disk: &SimDisk, found: &[Slot; 2], is_new: bool) -> Slots {
        Slots::open(Directory { storage: disk.storage() }, found, is_new).expect("works")
    }

    fn size(disk: &SimDisk, slot: usize) -> Option<usize> {
        disk.read_file(SLOTS[slot]).map(|bytes| bytes.len())
    }

    /// The generation that a slot holds.
    fn held(disk: &SimDisk, slot: usize) -> Option<u64> {
        let bytes = disk.read_file(SLOTS[slot])?;
        Checkpoint::decode(&bytes).ok().map(|checkpoint| checkpoint.generation)
    }

    #[test]
    fn i7_an_opening_writes_over_what_is_not_valid_or_else_over_the_newest() {
        for (a, b, first) in [
            (None, None, 0),
            (None, Some(3), 0),
            (Some(3), None, 1),
            (Some(3), Some(5), 1),
            (Some(5), Some(3), 0),
            (Some(5), Some(5), 0),
        ] {
            let disk = SimDisk::new(1);
            let mut slots = open(&disk, &[found(a), found(b)], false);
            let newest = a.max(b).unwrap_or(0);
            for (turn, slot) in [first, 1 - first, first].into_iter().enumerate() {
                let generation = newest + 1 + turn as u64;
                let mut next = checkpoint(0, 0);
                assert!(slots.write(&mut next).expect("works"));
                assert_eq!(next.generation, generation);
                assert_eq!(held(&disk, slot), Some(generation), "{a:?} {b:?}, turn {turn}");
            }
        }
    }

    #[test]
    fn i8_slots_grow_early_and_far_and_on_a_full_disk_as_far_as_they_must() {
        let disk = SimDisk::new(1);
        let mut slots = open(&disk, &[Slot::Absent, Slot::Absent], true);
        let write = |slots: &mut Slots, state: usize| {
            let mut next = checkpoint(0, state);
            slots.write(&mut next).expect("works")
        };
        let head = checkpoint(0, 0).encode().len();
        assert!(write(&mut slots, 0));
        assert_eq!((size(&disk, 0), size(&disk, 1)), (Some(64 << 10), None));
        assert!(write(&mut slots, 0));
        // Just half is not too much; a byte more is.
        assert!(write(&mut slots, (32 << 10) - head));
        assert_eq!(size(&disk, 0), Some(64 << 10));
        assert!(write(&mut slots, (32 << 10) - head + 1));
        assert_eq!(size(&disk, 1), Some((128 << 10) + 4096), "four times, in whole pages");
        disk.set_capacity(Some(0));
        assert!(write(&mut slots, (64 << 10) - head), "what there is will do");
        assert!(!write(&mut slots, (132 << 10) - head + 1), "slot b is not large enough");
        assert_eq!(held(&disk, 1), Some(4), "and is as it was");
        assert!(write(&mut slots, 0), "and is the next still");
        assert_eq!(held(&disk, 1), Some(6));
        let is_enough_for = |slots: &mut Slots, size: usize| {
            slots.make_room_for(&checkpoint(0, size - head)).expect("works")
        };
        assert!(!is_enough_for(&mut slots, 100 << 10), "for slot b it would be");
        // There is room for a page more, and not for four times as much.
        disk.set_capacity(Some(208 << 10));
        assert!(is_enough_for(&mut slots, 68 << 10));
        let held = slots.files[0].as_ref().map(|slot| slot.size);
        assert_eq!(held, Some(68 << 10), "just what is needed");
        assert!(!is_enough_for(&mut slots, 136 << 10));
    }

    #[test]
    fn a_slot_that_cannot_be_made_is_refused_on_a_full_disk_and_else_an_error() {
        for (kind, error, is_refused) in [
            (CallKind::Create, io::ErrorKind::StorageFull, true),
            (CallKind::Create, io::ErrorKind::Other, false),
            (CallKind::Allocate, io::ErrorKind::StorageFull, true),
            (CallKind::Allocate, io::ErrorKind::Other, false),
        ] {
            let disk = SimDisk::new(1);
            let mut slots = open(&disk, &[Slot::Absent, Slot::Absent], true);
            disk.set_plan(FaultPlan::new(Fault::Error(error)).on(&[kind]).sticky());
            let outcome = slots.write(&mut checkpoint(0, 0));
            assert_eq!(outcome.is_ok_and(|written| !written), is_refused, "{kind:?} {error:?}");
        }
    }

    #[test]
    fn i7_a_new_slot_is_durable_with_its_name_and_size() {
        let disk = SimDisk::new(1);
        let mut slots = open(&disk, &[Slot::Absent, Slot::Absent], true);
        assert!(slots.write(&mut checkpoint(0, 10)).expect("works"));
        let left = disk.crash(&crate::storage::sim::Crash::LoseAll);
        assert_eq!((held(&left, 0), size(&left, 0)), (Some(1), Some(64 << 10)));
        assert!(slots.write(&mut checkpoint(0, 10)).expect("works"));
        assert!(slots.write(&mut checkpoint(0, 30_000)).expect("works"));
        let left = disk.crash(&crate::storage::sim::Crash::LoseAll);
        assert_eq!((held(&left, 0), held(&left, 1)), (Some(3), Some(2)));
        assert!(slots.make_room_for(&checkpoint(0, 100_000)).expect("works"));
        let left = disk.crash(&crate::storage::sim::Crash::LoseAll);
        assert!(size(&left, 0).min(size(&left, 1)) >= Some(400_000), "grown is grown");
    }

    #[test]
    fn of_a_new_log_what_is_not_valid_is_cut_and_the_only_slot_is_renewed() {
        let invalid = || Slot::Invalid { flaw: Flaw::new("a slot", "noise"), torn: false };
        for (slot, is_new, left) in [
            (invalid(), true, 0),
            (invalid(), false, 100),
            (Slot::Valid(checkpoint(1, 0)), true, 100),
        ] {
            let disk = SimDisk::new(1);
            disk.storage().create(SLOTS[0]).expect("works").set_size(100).expect("works");
            let mut slots = open(&disk, &[slot, Slot::Absent], is_new);
            assert_eq!(size(&disk, 0), Some(left));
            slots.renew_the_only_one();
            assert!(slots.write(&mut checkpoint(0, 0)).expect("works"));
            assert!(held(&disk, 0).is_some(), "the only one comes first");
        }
        let disk = SimDisk::new(1);
        disk.storage().create(SLOTS[1]).expect("works");
        let mut slots = open(&disk, &[Slot::Absent, invalid()], true);
        slots.renew_the_only_one();
        assert!(slots.write(&mut checkpoint(0, 0)).expect("works"));
        assert!(held(&disk, 1).is_some());
        let disk = SimDisk::new(1);
        for name in SLOTS {
            disk.storage().create(name).expect("works");
        }
        let mut slots = open(&disk, &[found(Some(1)), found(Some(2))], true);
        slots.renew_the_only_one();
        assert!(slots.write(&mut checkpoint(0, 0)).expect("works"));
        assert!(held(&disk, 1).is_some(), "with both there it is the newest's turn");
    }
}
