//! Stdin that a signal can end. A read blocks for as long as the other side is silent, and only another
//! thread can look at anything else meanwhile.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use flumen::Shutdown;

/// How much is asked of the kernel at once.
const BLOCK: usize = 256 << 10;
/// How long a signal, or the end of a wait, may go unnoticed.
const LOOK: Duration = Duration::from_millis(50);

/// What a read fails with once the end was asked for.
pub(crate) const STOPPED: ErrorKind = ErrorKind::ConnectionAborted;
/// What a read fails with when nothing has come for a moment. Nothing is lost by it: reading again goes on.
pub(crate) const NOTHING_YET: ErrorKind = ErrorKind::WouldBlock;

/// Whether a read has failed with [`STOPPED`] or [`NOTHING_YET`]. An error of the system has a number, and
/// is never taken for one of these.
pub(crate) fn is(error: &io::Error, kind: ErrorKind) -> bool {
    error.raw_os_error().is_none() && error.kind() == kind
}

/// A stream read ahead by a thread of its own, one block at most.
pub(crate) struct Input {
    blocks: Receiver<io::Result<Vec<u8>>>,
    shutdown: Shutdown,
    block: Vec<u8>,
    used: usize,
}

impl Input {
    /// Reads `file` until it ends or `shutdown` is stopped.
    pub(crate) fn new(file: File, shutdown: Shutdown) -> io::Result<Input> {
        let (sender, blocks) = sync_channel(1);
        // Nobody waits for this thread: at the end it may still be in a read that never returns.
        thread::Builder::new().name("stdin".into()).spawn(move || read_ahead(file, &sender))?;
        Ok(Input { blocks, shutdown, block: Vec::new(), used: 0 })
    }
}

fn read_ahead(mut file: File, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut block = vec![0; BLOCK];
        let read = file.read(&mut block).map(|count| {
            block.truncate(count);
            block
        });
        let is_last = read.as_ref().is_ok_and(Vec::is_empty);
        let is_retried = read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted);
        if !is_retried && (sender.send(read).is_err() || is_last) {
            return;
        }
    }
}

impl Read for Input {
    /// Fails with [`STOPPED`] when the end was asked for, and with [`NOTHING_YET`] when nothing comes.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.block.len() {
            if self.shutdown.is_stopped() {
                return Err(STOPPED.into());
            }
            match self.blocks.recv_timeout(LOOK) {
                Ok(block) => {
                    (self.block, self.used) = (block?, 0);
                    if self.block.is_empty() {
                        return Ok(0);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(NOTHING_YET.into()),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.block.len() - self.used);
        buffer[..count].copy_from_slice(&self.block[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}
