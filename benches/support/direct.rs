//! A log that is written past the system's cache, as an engine would do it: whole blocks, writes one after
//! another, syncs beside each other. What ends inside a block is written again with what comes next.
#![allow(clippy::disallowed_types, reason = "who writes has a lock of its own")]

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

/// What asks for such writes; none where the name of it is not at hand.
#[cfg(all(feature = "cli", target_os = "linux"))]
const DIRECT: Option<i32> = Some(rustix::fs::OFlags::DIRECT.bits().cast_signed());
#[cfg(not(all(feature = "cli", target_os = "linux")))]
const DIRECT: Option<i32> = None;

const DIRECT_BLOCK: usize = 4096;

/// Bytes of a write when the file is made.
const FILL: usize = 1 << 20;

/// The log, and a description of its file that is this one's own.
pub(crate) struct Direct {
    file: File,
    tail: Arc<Mutex<Tail>>,
    directory: Arc<TempDir>,
}

/// Where it ends, and the memory of what is written next.
struct Tail {
    memory: Vec<u8>,
    /// Where in the memory it begins: at an address that is a multiple of a block.
    start: usize,
    /// Where in the file it goes, a multiple of a block.
    at: u64,
    /// Bytes of the block there that were written before.
    written: usize,
}

impl Direct {
    const SIZE: u64 = 64 << 20;

    /// For records of up to `most` bytes; none where the file system takes no such writes.
    pub(crate) fn new(most: usize) -> Option<Direct> {
        let directory = super::directory();
        // A record may begin within a block, end within another, and memory begins anywhere.
        let memory = vec![1; (most + 2 * DIRECT_BLOCK).max(FILL) + DIRECT_BLOCK];
        let start = memory.as_ptr().align_offset(DIRECT_BLOCK);
        let filled = open(&directory).and_then(|file| {
            for offset in (0..Direct::SIZE).step_by(FILL) {
                file.write_all_at(&memory[start..start + FILL], offset)?;
            }
            file.sync_all()?;
            Ok(file)
        });
        let file = match filled {
            Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
                return None;
            }
            filled => filled.expect("writable, and there is room"),
        };
        let tail = Arc::new(Mutex::new(Tail { memory, start, at: 0, written: 0 }));
        Some(Direct { file, tail, directory: Arc::new(directory) })
    }

    /// The same log by another description.
    pub(crate) fn again(&self) -> Direct {
        Direct {
            file: open(&self.directory).expect("it was opened before"),
            tail: Arc::clone(&self.tail),
            directory: Arc::clone(&self.directory),
        }
    }

    /// Writes a record of so many bytes, which `fill` may set, behind the last one, and syncs it.
    pub(crate) fn commit(&self, size: usize, fill: impl FnOnce(&mut [u8])) {
        self.tail.lock().expect("no panic").write(&self.file, size, fill);
        self.file.sync_data().expect("works");
    }
}

impl Tail {
    fn write(&mut self, file: &File, size: usize, fill: impl FnOnce(&mut [u8])) {
        let mut end = self.written + size;
        if self.at + end as u64 > Direct::SIZE {
            (self.at, self.written, end) = (0, 0, size);
        }
        let memory = &mut self.memory[self.start..];
        fill(&mut memory[self.written..end]);
        file.write_all_at(&memory[..end.next_multiple_of(DIRECT_BLOCK)], self.at).expect("works");
        let whole = end / DIRECT_BLOCK * DIRECT_BLOCK;
        memory.copy_within(whole..end, 0);
        self.at += whole as u64;
        self.written = end - whole;
    }
}

fn open(directory: &TempDir) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    options.custom_flags(DIRECT.ok_or(ErrorKind::Unsupported)?);
    options.open(directory.path().join("direct"))
}
