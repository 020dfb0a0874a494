//! What a history is made of.

use std::time::Duration;

use flumen::storage::sim::{CallKind, FailedSync, Fault, FaultPlan};
use flumen::{AckDurability, ChannelOptions, Durability, ReadMode};
use std::io::ErrorKind;

/// Most events and bytes in a transaction. Not a setting: they decide how large the reserve on the disk is.
pub const TRANSACTION_EVENTS: usize = 64;
pub const TRANSACTION_BYTES: u64 = 200_000;

/// Transactions of each kind that may be open at once.
pub const SLOTS: usize = 3;

/// Longer than any test: the helper thread is off, so intervals end only by `maintain`.
const INTERVAL: Duration = Duration::from_secs(3600);

/// A channel from its first opening on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Of the disk, and of what each crash keeps.
    pub seed: u64,
    pub settings: Settings,
    pub operations: Vec<Operation>,
}

/// How a channel is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// 64 KiB times so many and one more.
    pub segment: u8,
    pub puts: Durability,
    pub lazy_acks: bool,
    pub read_mode: ReadMode,
    pub memory_tail: u16,
    pub checkpoint_seconds: u8,
    /// Most events, and most bytes in units of 1 KiB.
    pub capacity: Option<(u8, u8)>,
}

/// The size of an event's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Empty,
    /// So many bytes.
    Small(u8),
    /// So many times 64 bytes.
    Medium(u8),
    /// So many times 256 bytes.
    Large(u8),
    /// Larger than the smallest segment.
    Huge,
    /// Larger than a transaction may be.
    TooLarge,
}

/// One step. Slots and cursors count modulo what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// So many events in a transaction of their own.
    PutAndCommit(u8, Size),
    /// At most so many events in a transaction of their own.
    TakeAndCommit(u8),
    /// Puts into the transaction in this slot, which it begins where there is none.
    Put(u8, u8, Size),
    PutCursor(u8, u8, Option<u8>),
    CommitPut(u8),
    RollBackPut(u8),
    DropPut(u8),
    /// Takes at most so many into the transaction in this slot.
    Take(u8, u8),
    TakeCursor(u8, u8, Option<u8>),
    CommitTake(u8),
    RollBackTake(u8),
    DropTake(u8),
    Sync,
    Checkpoint,
    Maintain,
    /// Without reopening: what follows is refused.
    Close,
    /// Ends the channel, and opens it with other settings.
    Reopen(Ending, Settings),
    /// From now on calls of the disk fail, after so many.
    Arm(Trouble, u8),
    Disarm,
    /// The system writes some of what is pending, by this seed.
    WriteBack(u16),
    /// The system fails to write what is pending in the newest segment.
    FailWriteBack,
    /// The disk has room for so many pages more.
    Fill(u8),
    /// It has room without a limit again.
    Unfill,
}

/// How the use of a channel ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Close,
    /// The process dies.
    Abandon,
    /// The machine loses its power: nothing pending survives, all, any part, or noise in places.
    LoseAll,
    KeepAll,
    Random(u16),
    Hostile(u16),
}

/// What goes wrong at the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    ShortWrite,
    ShortRead,
    Interrupted,
    FailedRead,
    /// No file can be made or allocated, for so many calls.
    NoRoom(u8),
    FailedWrite,
    FailedWriteAfter,
    FailedSync(FailedSync),
    FailedDirectorySync,
    FailedRename,
    FailedRemove,
    FailedCreate,
    /// At the first call of any kind.
    FailedCall,
    StuckWrites,
    StuckSyncs,
    PowerLoss,
    /// In the middle of a new segment: at one of the calls that concern names, sizes and checkpoints.
    PowerLossInRoll,
}

impl Settings {
    pub fn options(&self) -> ChannelOptions {
        let options = ChannelOptions::new()
            .segment_size((64 << 10) * (1 + u64::from(self.segment)))
            .transaction_events(TRANSACTION_EVENTS)
            .transaction_bytes(TRANSACTION_BYTES)
            .put_wait(Duration::ZERO)
            .durability(self.puts)
            .read_mode(self.read_mode)
            .memory_tail(u64::from(self.memory_tail))
            .checkpoint_interval(Duration::from_secs(1 + u64::from(self.checkpoint_seconds)))
            .background(false);
        let options = match self.lazy_acks {
            true => options.ack_durability(AckDurability::Lazy(INTERVAL)),
            false => options,
        };
        match self.limits() {
            Some((events, bytes)) => options.capacity_events(events).capacity_bytes(bytes),
            None => options,
        }
    }

    /// The capacity in events and in bytes.
    pub fn limits(&self) -> Option<(u64, u64)> {
        let (events, kilobytes) = self.capacity?;
        Some((1 + u64::from(events), (1 + u64::from(kilobytes)) << 10))
    }
}

impl Size {
    pub fn bytes(self) -> usize {
        match self {
            Size::Empty => 0,
            Size::Small(count) => usize::from(count),
            Size::Medium(count) => usize::from(count) * 64,
            Size::Large(count) => usize::from(count) * 256,
            Size::Huge => 70_000,
            Size::TooLarge => 200_001,
        }
    }
}

impl Trouble {
    pub fn plan(self) -> FaultPlan {
        let error = |kind| FaultPlan::new(Fault::Error(kind));
        let medium = || error(ErrorKind::Other);
        let syncs = [CallKind::SyncData, CallKind::SyncAll];
        match self {
            Trouble::ShortWrite => {
                FaultPlan::new(Fault::Short(1000)).on(&[CallKind::Write]).sticky()
            }
            Trouble::ShortRead => FaultPlan::new(Fault::Short(1000)).on(&[CallKind::Read]).sticky(),
            Trouble::Interrupted => {
                error(ErrorKind::Interrupted).on(&[CallKind::Write, CallKind::Read]).times(3)
            }
            Trouble::FailedRead => medium().on(&[CallKind::Read, CallKind::Map]),
            Trouble::NoRoom(calls) => error(ErrorKind::StorageFull)
                .on(&[CallKind::Create, CallKind::Allocate])
                .times(1 + u64::from(calls)),
            Trouble::FailedWrite => medium().on(&[CallKind::Write]),
            Trouble::FailedWriteAfter => {
                FaultPlan::new(Fault::ErrorAfter(ErrorKind::Other)).on(&[CallKind::Write])
            }
            Trouble::FailedSync(how) => FaultPlan::new(Fault::FailedSync(how)).on(&syncs),
            Trouble::FailedDirectorySync => medium().on(&[CallKind::SyncDirectory]),
            Trouble::FailedRename => medium().on(&[CallKind::Rename]),
            Trouble::FailedRemove => medium().on(&[CallKind::Remove]),
            Trouble::FailedCreate => medium().on(&[CallKind::Create, CallKind::SetSize]),
            Trouble::FailedCall => medium(),
            Trouble::StuckWrites => medium().on(&[CallKind::Write]).sticky(),
            Trouble::StuckSyncs => {
                FaultPlan::new(Fault::FailedSync(FailedSync::Lost)).on(&syncs).sticky()
            }
            Trouble::PowerLoss => FaultPlan::new(Fault::PowerLoss),
            Trouble::PowerLossInRoll => FaultPlan::new(Fault::PowerLoss).on(&[
                CallKind::Rename,
                CallKind::SyncDirectory,
                CallKind::SyncAll,
                CallKind::Allocate,
                CallKind::Create,
                CallKind::Remove,
            ]),
        }
    }
}

/// Whether a channel may stop because of it. Short counts and interruptions are no errors, a failed read stops nothing,
/// and neither does a disk without room for a new file.
pub fn stops(fault: Fault, call: CallKind) -> bool {
    let makes = matches!(call, CallKind::Create | CallKind::Allocate);
    match fault {
        Fault::Short(_) | Fault::Error(ErrorKind::Interrupted) => false,
        Fault::Error(ErrorKind::StorageFull) => !makes,
        Fault::Error(_) => !matches!(call, CallKind::Read | CallKind::Map),
        _ => true,
    }
}
