//! Reading the next block in a thread of its own, while this one is checked and handed out: so neither the
//! device nor the copy out of the page cache is waited for.
//!
//! What comes of it is only ever time. One block is asked for at a time, and it is taken only by who wants
//! what was asked for. A guess that was wrong is a read for nothing; an error is not told, since who then
//! reads meets it; and what the thread has not begun is taken back, so a thread that has died, or was not
//! given a processor yet, holds nobody up.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crate::storage::{File, read_full_at};
use crate::sync::{Condvar, Mutex, lock, wait};

/// What is to be read, and what into.
pub(super) struct Request {
    pub(super) file: Arc<dyn File>,
    pub(super) offset: u64,
    pub(super) size: usize,
    /// Nobody else's, and of `size` bytes at least.
    pub(super) block: Arc<Vec<u8>>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was not begun.
    TakenBack,
    Failed,
    /// So many bytes were read: fewer than asked for when the file ends there.
    Read(usize),
}

/// The thread; it ends when this is dropped.
pub(super) struct ReadAhead {
    exchange: Arc<Exchange>,
    thread: Option<JoinHandle<()>>,
}

impl ReadAhead {
    pub(super) fn start() -> io::Result<ReadAhead> {
        let exchange = Arc::new(Exchange::default());
        let own = Arc::clone(&exchange);
        let thread = Builder::new().name("flumen-ahead".into()).spawn(move || own.serve())?;
        Ok(ReadAhead { exchange, thread: Some(thread) })
    }

    /// Asks for a block. The one before was taken.
    pub(super) fn ask(&self, request: Request) {
        self.exchange.ask(request);
    }

    /// Takes back what was asked for, with what came of it; waits for the end of a read, but not for its
    /// beginning. `None` when nothing was asked.
    pub(super) fn take(&self) -> Option<(Request, Outcome)> {
        self.exchange.take()
    }

    /// Waits until nothing is left to be read.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn wait_for_read(&self) {
        while matches!(*lock(&self.exchange.turn), Turn::Asked(_) | Turn::Reading) {
            std::thread::yield_now();
        }
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.exchange.end();
        if let Some(thread) = self.thread.take() {
            // Had it panicked, nothing would be missing.
            let _ = thread.join();
        }
    }
}

/// Where a request and what came of it lie.
#[derive(Default)]
struct Exchange {
    turn: Mutex<Turn>,
    /// Only one of the two ever waits: the thread for a request, or the other for the end of a read.
    changed: Condvar,
}

#[derive(Default)]
enum Turn {
    #[default]
    Idle,
    Asked(Request),
    Reading,
    Done(Request, Outcome),
    Ended,
}

impl Exchange {
    fn ask(&self, request: Request) {
        let mut turn = lock(&self.turn);
        debug_assert!(matches!(*turn, Turn::Idle), "one at a time");
        *turn = Turn::Asked(request);
        drop(turn);
        self.changed.notify_one();
    }

    fn take(&self) -> Option<(Request, Outcome)> {
        let mut turn = lock(&self.turn);
        loop {
            match std::mem::take(&mut *turn) {
                Turn::Asked(request) => return Some((request, Outcome::TakenBack)),
                Turn::Done(request, outcome) => return Some((request, outcome)),
                Turn::Reading => {
                    *turn = Turn::Reading;
                    turn = wait(&self.changed, turn);
                }
                other => {
                    *turn = other;
                    return None;
                }
            }
        }
    }

    fn end(&self) {
        // Whose file is read must be closed when this returns: a segment on its way out holds its space.
        self.take();
        *lock(&self.turn) = Turn::Ended;
        self.changed.notify_one();
    }

    /// What the thread does.
    fn serve(&self) {
        while let Some(request) = self.next() {
            let mut reading = Reading { exchange: self, request: Some(request), count: None };
            if let Some(request) = &mut reading.request {
                reading.count = request.serve();
            }
        }
    }

    fn next(&self) -> Option<Request> {
        let mut turn = lock(&self.turn);
        loop {
            match std::mem::replace(&mut *turn, Turn::Reading) {
                Turn::Asked(request) => return Some(request),
                Turn::Ended => {
                    *turn = Turn::Ended;
                    return None;
                }
                other => {
                    *turn = other;
                    turn = wait(&self.changed, turn);
                }
            }
        }
    }
}

impl Request {
    fn serve(&mut self) -> Option<usize> {
        let block = Arc::get_mut(&mut self.block)?.get_mut(..self.size)?;
        read_full_at(&*self.file, block, self.offset).ok()
    }
}

/// A read under way. Should it panic, it ends all the same, as one that failed: somebody may be waiting for
/// it.
struct Reading<'a> {
    exchange: &'a Exchange,
    request: Option<Request>,
    count: Option<usize>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let outcome = self.count.map_or(Outcome::Failed, Outcome::Read);
        let request = self.request.take();
        *lock(&self.exchange.turn) =
            request.map_or(Turn::Idle, |request| Turn::Done(request, outcome));
        self.exchange.changed.notify_one();
    }
}

#[cfg(all(test, not(shuttle)))]
mod only_read;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
