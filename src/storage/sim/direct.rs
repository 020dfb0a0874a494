//! Direct writes: of whole blocks, and no more durable than others.

use std::io::{self, ErrorKind};

use super::effect::SECTOR_SIZE;
use super::fault::{Fault, failure};
use super::state::State;
use crate::storage::DIRECT_BLOCK;

const SECTOR: usize = SECTOR_SIZE as usize;

impl State {
    /// As [`State::write`], of whole blocks. A short one ends with a sector, and is not empty.
    pub(super) fn write_direct(
        &mut self,
        handle: u64,
        bytes: &[u8],
        offset: u64,
        fault: Option<Fault>,
    ) -> io::Result<usize> {
        self.check_whole(handle, bytes, offset)?;
        let wanted = match fault {
            Some(Fault::Short(count)) => bytes.len().min((count / SECTOR * SECTOR).max(SECTOR)),
            _ => bytes.len(),
        };
        let written = self.write_changed(handle, &bytes[..wanted], offset, fault)?;
        let short_end = (written < bytes.len()).then_some(offset + written as u64);
        if let Some(handle) = self.handles.get_mut(&handle) {
            handle.short_end = short_end;
        }
        Ok(written)
    }

    /// Offset, count and memory are multiples of a block; for what is left of a short write, of a sector.
    fn check_whole(&self, handle: u64, bytes: &[u8], offset: u64) -> io::Result<()> {
        let is_rest = self.handles.get(&handle).is_some_and(|h| h.short_end == Some(offset));
        let unit = if is_rest { SECTOR } else { DIRECT_BLOCK };
        let numbers = [offset as usize, bytes.len(), bytes.as_ptr().addr()];
        match numbers.into_iter().all(|number| number.is_multiple_of(unit)) {
            true => Ok(()),
            false => Err(failure(ErrorKind::InvalidInput)),
        }
    }

    /// What is written over itself, at the beginning and the end, counts as not written: to a device such a
    /// write is no more than the same change made in the cache, which gives it whole pages too.
    fn write_changed(
        &mut self,
        handle: u64,
        bytes: &[u8],
        offset: u64,
        fault: Option<Fault>,
    ) -> io::Result<usize> {
        let inode = self.inode_of(handle)?;
        // After a failed sync the cache may show what the medium does not hold.
        let [mut shown, mut held] = [(); 2].map(|()| vec![0; bytes.len()]);
        let shown_size = self.inodes[&inode].cache.read(&mut shown, offset);
        self.read_without_cache(inode, &mut held, offset);
        let is_new =
            |at: &usize| *at >= shown_size || shown[*at] != bytes[*at] || held[*at] != bytes[*at];
        let Some(first) = (0..bytes.len()).find(is_new) else {
            return Ok(bytes.len());
        };
        let last = (first..bytes.len()).rfind(is_new).unwrap_or(first);
        let written = self.write(handle, &bytes[first..=last], offset + first as u64, fault)?;
        if written <= last - first { Ok(first + written) } else { Ok(bytes.len()) }
    }
}
