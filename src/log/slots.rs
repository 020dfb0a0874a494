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
            Slot::Absent | Slot::Invalid(_) => None,
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
