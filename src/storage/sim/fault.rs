//! Faults on order: which call goes wrong, and how.

use std::io::{self, ErrorKind};

/// The calls of [`Storage`](crate::storage::Storage), [`File`](crate::storage::File) and
/// [`Lock`](crate::storage::Lock) that the disk counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
/// they will be gone after a crash, whatever later syncs say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedSync {
    /// Reported once; the cache still shows what is lost, and the next sync succeeds (as on ext4).
    Lost,
    /// Reported once; the cache shows the durable state again (as on file systems that drop the pages).
    Reverted,
    /// This sync succeeds; the next one through each *other* open description of the file reports it. A
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
}

impl Fault {
    fn suits(self, call: CallKind) -> bool {
        match self {
            Fault::Short(_) => matches!(call, CallKind::Read | CallKind::Write),
            Fault::FlipBit(_) => matches!(call, CallKind::Read | CallKind::Map),
            Fault::FailedSync(_) => call.is_sync(),
            Fault::PowerLoss | Fault::Error(_) | Fault::ErrorAfter(_) => true,
        }
    }
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
    is_sticky: bool,
    is_spent: bool,
}

impl FaultPlan {
    /// Strikes the first call that it can strike, once.
    pub fn new(fault: Fault) -> FaultPlan {
        FaultPlan {
            fault,
            kinds: Vec::new(),
            prefix: String::new(),
            skip: 0,
            is_sticky: false,
            is_spent: false,
        }
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
    pub fn sticky(mut self) -> FaultPlan {
        self.is_sticky = true;
        self
    }

    /// The fault for this call, if it is its turn.
    pub(super) fn strike(&mut self, call: CallKind, name: &str) -> Option<Fault> {
        let is_meant = self.fault.suits(call)
            && (self.kinds.is_empty() || self.kinds.contains(&call))
            && name.starts_with(&self.prefix);
        if !is_meant || self.is_spent {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.is_spent = !self.is_sticky;
        Some(self.fault)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
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

#[cfg(all(test, not(loom)))]
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
}
