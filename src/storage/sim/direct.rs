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
        let written = self.write(handle, &bytes[..wanted], offset, fault)?;
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
}
