//! A file that can be read, as a test says, and nothing else.

use std::io;

use crate::storage::{File, Map};

pub(super) struct OnlyRead<R> {
    pub(super) read: R,
}

impl<R> File for OnlyRead<R>
where
    R: Fn(&mut [u8], u64) -> io::Result<usize> + Send + Sync,
{
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (self.read)(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        unreachable!("only read")
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        unreachable!("only read")
    }

    fn set_size(&self, _: u64) -> io::Result<()> {
        unreachable!("only read")
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        unreachable!("only read")
    }

    fn sync_data(&self) -> io::Result<()> {
        unreachable!("only read")
    }

    fn sync_all(&self) -> io::Result<()> {
        unreachable!("only read")
    }

    fn map(&self, _: u64) -> io::Result<Box<dyn Map>> {
        unreachable!("only read")
    }
}

/// Bytes that are their offsets.
pub(super) fn numbers(buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    buffer.iter_mut().zip(offset..).for_each(|(byte, at)| *byte = at as u8);
    Ok(buffer.len())
}
