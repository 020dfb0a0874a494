//! What a contestant must be able to do.

use std::path::Path;

use crate::body::Batch;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// When an ack returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ack {
    /// After the peer's own sync: what was taken never comes back.
    Durable,
    /// At once; what was taken may come back after a loss of power.
    Lazy,
    /// Not at all: what was taken is given out again after the next opening.
    Never,
}

/// How a contestant is to be opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Whether a put returns after a sync.
    pub(crate) sync_puts: bool,
    /// The acks that will be asked for.
    pub(crate) acks: Ack,
    /// Whether little is queued at any time, so that files may be prepared and used again. False where a
    /// backlog is built.
    pub(crate) steady: bool,
    /// Size of a body.
    pub(crate) size: usize,
}

/// A queue, or what can be used as one.
pub(crate) trait Peer: Send + Sync {
    /// Puts all of the batch with one commit.
    fn put(&self, producer: usize, batch: &Batch) -> Result<()>;

    /// Shows up to `most` of the oldest bodies and acks them with one commit. There is one consumer. Not asked
    /// of who lacks [`Need::Takes`].
    fn take(&self, _most: usize, _ack: Ack, _see: &mut dyn FnMut(&[u8])) -> Result<usize> {
        Err("it has no reader".into())
    }

    /// Makes all that was put durable; nothing to do where every put is.
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// The clean way to end.
    fn close(self: Box<Self>) -> Result<()>;
}

/// What a workload may ask of a contestant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A put that returns after a sync. Who lacks it is run, marked, and not compared.
    Sync,
    /// Many events in one commit.
    Batches,
    /// Puts that are in the kernel's hands, so that they survive the process, but without a sync.
    Unsynced,
    /// Events can be taken and acked.
    Takes,
    /// Acks that are synced.
    DurableAcks,
    /// Acks that are not synced.
    LazyAcks,
    /// Holds a large backlog, and finds it again.
    Backlog,
}

/// How a contestant is opened.
pub(crate) type Open = fn(&Path, &Setup) -> Result<Box<dyn Peer>>;

/// A peer with what is known of it.
#[derive(Clone, Copy)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// Its package in the registry; none for what is made here.
    pub(crate) package: Option<&'static str>,
    pub(crate) open: Open,
    /// Whether a put takes bodies that it may keep, and not ones that it only looks at.
    pub(crate) owns: bool,
    /// What it cannot do, with the reason.
    pub(crate) lacks: &'static [(Need, &'static str)],
    /// What a reader of its numbers has to know.
    pub(crate) note: &'static str,
}

impl Contestant {
    pub(crate) fn lacks(&self, need: Need) -> Option<&'static str> {
        self.lacks.iter().find(|(lacked, _)| *lacked == need).map(|(_, reason)| *reason)
    }

    /// The version that was built, out of the lock file.
    pub(crate) fn version(&self) -> &'static str {
        let Some(package) = self.package else { return "" };
        let start = format!("name = \"{package}\"\nversion = \"");
        let lock = include_str!("../Cargo.lock");
        let rest = lock.find(&start).map(|at| &lock[at + start.len()..]);
        rest.and_then(|rest| rest.split('"').next()).unwrap_or("?")
    }
}
