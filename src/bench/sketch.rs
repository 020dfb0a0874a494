//! The group sketch: the least that commits of many threads can share one sync with. One buffer, a header
//! of 8 bytes with length and CRC-32 before each event; whoever finds no leader leads, writes the buffer and
//! syncs it, and wakes all others. It keeps no queue and recovers nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use super::form::Form;
use super::raw::FILL;

/// A file that threads commit to together.
pub(crate) struct Sketch {
    file: File,
    length: u64,
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    forming: Vec<u8>,
    /// The buffer of the group before, to be used again.
    spare: Vec<u8>,
    /// Number of the group that forms.
    group: u64,
    /// Groups that are written and synced.
    synced: u64,
    is_led: bool,
    offset: u64,
    failed: bool,
}

impl Sketch {
    /// Makes the file in `directory`, all of it written and synced.
    pub(crate) fn new(directory: &Path, form: Form) -> io::Result<Sketch> {
        let path = directory.join("sketch");
        let mut options = File::options();
        let file = options.create(true).truncate(false).read(true).write(true).open(path)?;
        let length = form.raw_file();
        for offset in (0..length).step_by(FILL) {
            file.write_all_at(&[1; FILL], offset)?;
        }
        file.sync_all()?;
        Ok(Sketch { file, length, state: Mutex::default(), done: Condvar::new() })
    }

    /// Returns when the event is on the disk.
    pub(crate) fn commit(&self, body: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forming.extend((body.len() as u32).to_le_bytes());
        state.forming.extend(crc32fast::hash(body).to_le_bytes());
        state.forming.extend(body);
        let mine = state.group;
        while state.synced <= mine && !state.failed {
            if state.is_led {
                state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_led = true;
            state.group += 1;
            let spare = std::mem::take(&mut state.spare);
            let mut buffer = std::mem::replace(&mut state.forming, spare);
            if state.offset + buffer.len() as u64 > self.length {
                state.offset = 0;
            }
            let offset = state.offset;
            state.offset += buffer.len() as u64;
            drop(state);
            let result =
                self.file.write_all_at(&buffer, offset).and_then(|()| self.file.sync_data());
            buffer.clear();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.spare = buffer;
            state.synced += 1;
            state.is_led = false;
            state.failed |= result.is_err();
            self.done.notify_all();
            result?;
        }
        match state.failed {
            true => Err(io::Error::other("the group sketch failed to write or sync")),
            false => Ok(()),
        }
    }
}
