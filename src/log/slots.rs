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
    /// The slot to write next: the older, or the one that is not valid.
    next: usize,
}

impl Slots {
    /// Takes over the slots as the survey found them.
    pub(crate) fn open(directory: Directory, found: &[Slot; 2]) -> Result<Slots, StorageError> {
        let generation = |slot: &Slot| match slot {
            Slot::Valid(checkpoint) => Some(checkpoint.generation),
            Slot::Absent | Slot::Invalid(_) => None,
        };
        let (a, b) = (generation(&found[0]), generation(&found[1]));
        let mut slots = Slots {
            directory,
            files: [None, None],
            generation: a.max(b).unwrap_or(0),
            next: usize::from(b < a),
        };
        for (index, name) in SLOTS.iter().enumerate() {
            if let Some(file) = slots.directory.open_if_there(name, Access::ReadWrite)? {
                let size = slots.directory.size(&*file, name)?;
                slots.files[index] = Some(SlotFile { file, size });
            }
        }
        Ok(slots)
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
        self.generation += 1;
        self.next = 1 - self.next;
        Ok(true)
    }

    /// Whether both slots have room for `checkpoint`, now or after growing.
    pub(crate) fn make_room_for(&mut self, checkpoint: &Checkpoint) -> Result<bool, StorageError> {
        let needed = checkpoint.encode().len() as u64;
        Ok(self.make_room(0, needed)? && self.make_room(1, needed)?)
    }

    /// Grows a slot before it is too small: when less than half is free. On a full disk that may fail for a
    /// long time before it matters.
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
        let wanted = (needed * 4).max(SIZE_MIN).next_multiple_of(PAGE);
        let size = match file.allocate(wanted) {
            Ok(()) => wanted,
            Err(error) if is_full(&error) => held,
            Err(error) => return Err(self.directory.error(name, "allocate", error)),
        };
        self.files[index] = Some(SlotFile { file: Arc::clone(&file), size });
        if created || size > held {
            file.sync_all().map_err(|error| self.directory.error(name, "sync", error))?;
            self.directory.sync()?;
        }
        Ok(size >= needed)
    }
}
