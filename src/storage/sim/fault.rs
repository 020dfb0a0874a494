//! Faults on order: which call goes wrong, and how.

use std::io::{self, ErrorKind};

/// The calls of [`Storage`](crate::storage::Storage), [`File`](crate::storage::File) and
/// [`Lock`](crate::storage::Lock) that the disk counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the call of its name")]
pub enum CallKind {
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncDirectory,
    Lock,
    AvailableSpace,
    Size,
    Read,
    Write,
    SetSize,
    Allocate,
    SyncData,
    SyncAll,
    Map,
    WriteNote,
}

impl CallKind {
    pub(super) fn is_sync(self) -> bool {
        matches!(self, CallKind::SyncData | CallKind::SyncAll | CallKind::SyncDirectory)
    }
}

/// How a sync fails. In each case the pending effects of the file, or of the directory, are given up:
/// they will be gone after a crash, whatever later syncs say. Each *other* description of the file that is
/// open at that time reports the error at its next sync, once: so Linux does since version 4.13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedSync {
    /// The cache still shows what is lost, and the next sync through the same description succeeds (as on
    /// ext4).
    Lost,
    /// The cache shows the durable state again (as on file systems that drop the pages).
    Reverted,
    /// This sync succeeds; only the next one through each *other* open description of the file reports it. A
    /// program with one description cannot notice, so this is for those who open a second one. A
    /// directory has no descriptions here: for it the same as [`FailedSync::Lost`].
    Late,
    /// As [`FailedSync::Lost`], with `StorageFull` as the error: blocks are given out at write-back.
    NoSpace,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes during the call. Its effects are pending, in flight; a sync has done nothing. All
    /// later calls fail. See [`SimDisk::crash`](super::SimDisk::crash) for what is found afterwards.
    PowerLoss,
    /// The call fails and does nothing. `ErrorKind::Other` stands for an error of the medium (EIO).
    Error(ErrorKind),
    /// The call does its work and reports a failure all the same.
    ErrorAfter(ErrorKind),
    /// A read or a write handles at most so many bytes. Zero is no sensible number for a read: it means
    /// the end of the file.
    Short(usize),
    /// A sync fails.
    FailedSync(FailedSync),
    /// A read or a map delivers its bytes with this bit flipped (counted modulo their number).
    FlipBit(u64),
    /// A read or a map delivers one sector as it was so many writes ago, or as old as is known. Without an
    /// older version it delivers what it should. Needs
    /// [`SimDisk::keep_versions`](super::SimDisk::keep_versions).
    StaleRead {
        /// Which of the sectors that are read, modulo their number.
        sector: u64,
        /// How many writes ago.
        back: u64,
    },
    /// A read or a map delivers in place of one sector another one of any file.
    MisdirectedRead {
        /// Which of the sectors that are read, modulo their number.
        sector: u64,
        /// What is delivered: which of all sectors of all files, in order of the names, modulo their number.
        from: u64,
    },
    /// A write that never reaches the medium, though it is reported as done, reads show it as long as it
    /// is cached, and syncs succeed. See [`SimDisk::drop_caches`](super::SimDisk::drop_caches).
    DroppedWrite,
    /// A write that reaches the medium in the wrong place, at once: its sectors are dropped where they
    /// belong, and overwrite those from this one on, counted as in [`Fault::MisdirectedRead`]. The cache
    /// shows neither.
    MisdirectedWrite(u64),
}

impl Fault {
    /// Whether it delivers other bytes than it should.
    pub(super) fn is_distortion(self) -> bool {
        matches!(self, Fault::FlipBit(_) | Fault::StaleRead { .. } | Fault::MisdirectedRead { .. })
    }

    fn suits(self, call: CallKind) -> bool {
        match self {
            Fault::Short(_) => matches!(call, CallKind::Read | CallKind::Write),
            Fault::FlipBit(_) | Fault::StaleRead { .. } | Fault::MisdirectedRead { .. } => {
                matches!(call, CallKind::Read | CallKind::Map)
            }
            Fault::DroppedWrite | Fault::MisdirectedWrite(_) => call == CallKind::Write,
            Fault::FailedSync(_) => call.is_sync(),
            Fault::PowerLoss | Fault::Error(_) | Fault::ErrorAfter(_) => true,
        }
    }
}

/// A fault that struck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    /// The number of the call, see [`SimDisk::calls`](super::SimDisk::calls).
    pub call: u64,
    /// What was called.
    pub kind: CallKind,
    /// The file, or nothing for the directory.
    pub file: String,
    /// What went wrong.
    pub fault: Fault,
    /// False when a read fault happened to deliver the right bytes: no older version, or an equal one.
    pub has_effect: bool,
}

/// A fault and the call it strikes. Only calls that it can strike count: a short count passes over syncs.
///
/// ```
/// use flumen::storage::sim::{CallKind, Fault, FaultPlan};
///
/// // The third write to a segment fails, and every one after it.
/// let plan = FaultPlan::new(Fault::Error(std::io::ErrorKind::StorageFull))
///     .on(&[CallKind::Write])
///     .file("segment-")
///     .after(2)
///     .sticky();
/// # let _ = plan;
/// ```
#[derive(Clone, Debug)]
pub struct FaultPlan {
    fault: Fault,
    kinds: Vec<CallKind>,
    prefix: String,
    skip: u64,
    /// How many calls it still strikes.
    left: u64,
}

/// What [`FaultPlan::sticky`] stands for: more than any test has calls.
const FOR_EVER: u64 = u64::MAX;

impl FaultPlan {
    /// Strikes the first call that it can strike, once.
    pub fn new(fault: Fault) -> FaultPlan {
        FaultPlan { fault, kinds: Vec::new(), prefix: String::new(), skip: 0, left: 1 }
    }

    /// Only calls of these kinds.
    pub fn on(mut self, kinds: &[CallKind]) -> FaultPlan {
        self.kinds = kinds.to_vec();
        self
    }

    /// Only calls on files whose name begins so; for an open file, the name under which it was opened.
    pub fn file(mut self, prefix: &str) -> FaultPlan {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Lets so many calls pass first.
    pub fn after(mut self, calls: u64) -> FaultPlan {
        self.skip = calls;
        self
    }

    /// Strikes every call from then on.
    pub fn sticky(self) -> FaultPlan {
        self.times(FOR_EVER)
    }

    /// Strikes so many calls in a row that it can strike; then it has healed.
    pub fn times(mut self, calls: u64) -> FaultPlan {
        self.left = calls;
        self
    }

    /// The fault for this call, if it is its turn.
    pub(super) fn strike(&mut self, call: CallKind, name: &str) -> Option<Fault> {
        let is_meant = self.fault.suits(call)
            && (self.kinds.is_empty() || self.kinds.contains(&call))
            && name.starts_with(&self.prefix);
        if !is_meant || self.left == 0 {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        if self.left != FOR_EVER {
            self.left -= 1;
        }
        Some(self.fault)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }
}

/// An error as the simulated disk reports it.
pub(super) fn failure(kind: ErrorKind) -> io::Error {
    match kind {
        // An error without a text of ours, so that `Interrupted` and the like are what they are.
        ErrorKind::Interrupted | ErrorKind::WouldBlock => kind.into(),
        ErrorKind::Other => io::Error::other("input/output error (simulated)"),
        _ => io::Error::new(kind, format!("{kind} (simulated)")),
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn only_calls_that_are_meant_count() {
        let mut plan = FaultPlan::new(Fault::Short(1)).file("a").after(1);
        assert_eq!(plan.strike(CallKind::Write, "a1"), None, "the first passes");
        assert_eq!(plan.strike(CallKind::SyncData, "a1"), None, "not suited");
        assert_eq!(plan.strike(CallKind::Read, "b"), None, "another file");
        assert_eq!(plan.strike(CallKind::Read, "a2"), Some(Fault::Short(1)));
        assert!(plan.is_spent());
        assert_eq!(plan.strike(CallKind::Read, "a2"), None, "once");
    }

    #[test]
    fn a_sticky_fault_goes_on() {
        let fault = Fault::Error(ErrorKind::Other);
        let mut plan = FaultPlan::new(fault).on(&[CallKind::Size]).sticky();
        assert_eq!(plan.strike(CallKind::Read, ""), None);
        for _ in 0..3 {
            assert_eq!(plan.strike(CallKind::Size, ""), Some(fault));
        }
        assert!(!plan.is_spent());
    }

    #[test]
    fn a_fault_may_heal_after_some_calls() {
        let fault = Fault::Error(ErrorKind::Other);
        let mut plan = FaultPlan::new(fault).after(1).times(2);
        let strikes = [(); 5].map(|()| plan.strike(CallKind::Read, "").is_some());
        assert_eq!(strikes, [false, true, true, false, false]);
        assert!(plan.is_spent());
    }
}
