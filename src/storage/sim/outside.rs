//! The disk from outside: no calls, never failing, and durable at once.

use std::sync::Arc;

use super::SimDisk;
use super::content::Content;
use super::effect::SECTOR_SIZE;
use super::state::{Inode, State};

impl SimDisk {
    /// The names, sorted.
    pub fn file_names(&self) -> Vec<String> {
        let inner = self.inner();
        inner.state.names.keys().map(|name| name.to_string()).collect()
    }

    /// What a program would read.
    pub fn read_file(&self, name: &str) -> Option<Vec<u8>> {
        let inner = self.inner();
        let inode = inner.state.named(name).ok()?;
        Some(inner.state.inodes[&inode].cache.to_vec())
    }

    /// Puts a new file in the place of the one of this name, if any. Who has that open keeps the old one.
    pub fn write_file(&self, name: &str, bytes: &[u8]) {
        self.edit_names(|state| {
            let inode = state.new_id();
            let name: Arc<str> = name.into();
            let file = Inode::new(&name, Content::from_bytes(bytes));
            state.inodes.insert(inode, file);
            state.durable_names.insert(name, inode);
            true
        });
    }

    /// Removes a name; false without such a file.
    pub fn remove_file(&self, name: &str) -> bool {
        self.edit_names(|state| state.durable_names.remove(name).is_some())
    }

    /// Renames a file, replacing `to` when it exists; false without such a file.
    pub fn rename(&self, from: &str, to: &str) -> bool {
        self.edit_names(|state| {
            let Some(inode) = state.durable_names.remove(from) else {
                return false;
            };
            state.durable_names.insert(to.into(), inode);
            true
        })
    }

    /// Flips a bit, in the cache and on the medium; false past the end or without such a file. A pending
    /// write to the same sector still holds what it held.
    pub fn flip_bit(&self, name: &str, bit: u64) -> bool {
        let mut inner = self.inner();
        let Ok(inode) = inner.state.named(name) else {
            return false;
        };
        let file = inner.state.inode_mut(inode);
        file.durable.flip_bit(bit);
        file.cache.flip_bit(bit);
        bit / 8 < file.cache.size()
    }

    /// Makes the sector that holds byte `offset` unreadable: so many reads that touch it fail, or all until
    /// it is written. False without such a file.
    pub fn spoil_sector(&self, name: &str, offset: u64, reads: u64) -> bool {
        let mut inner = self.inner();
        let Ok(inode) = inner.state.named(name) else {
            return false;
        };
        inner.state.inode_mut(inode).bad_sectors.insert(offset / SECTOR_SIZE, reads.max(1));
        true
    }

    /// Lets the system forget what it has cached: reads show what the medium holds, and what is pending on
    /// top of it. After a failed sync, or a write that went astray, that is not what they showed before.
    pub fn drop_caches(&self) {
        self.inner().state.drop_caches();
    }

    /// Makes all names durable and then changes them from outside.
    fn edit_names(&self, edit: impl FnOnce(&mut State) -> bool) -> bool {
        let mut inner = self.inner();
        let state = &mut inner.state;
        state.retain(|effect| effect.change.inode().is_some());
        state.durable_names = state.names.clone();
        let outcome = edit(state);
        state.names = state.durable_names.clone();
        state.collect();
        outcome
    }
}
