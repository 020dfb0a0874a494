//! An ordered, durable sequence of records, addressed by [`Lsn`]; knows nothing of queues.
//!
//! A log is a directory of segment files and two checkpoint slots. [`survey`] finds out what is in it,
//! [`Log::open`] makes it ready to be written, [`GroupCommit`] lets many threads write it, and
//! [`LogReader`] reads it back.

mod begin;
mod behind;
mod blocks;
mod checkpoint;
mod directory;
mod error;
mod filler;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod group_commit;
mod lsn;
mod moving;
mod open;
mod pool;
mod read_ahead;
mod reader;
mod record;
mod scan;
mod segment;
mod slots;
mod start;
mod stream;
mod survey;
mod varint;
mod writer;

pub(crate) use begin::Claim;
pub(crate) use directory::{Directory, LOCK};
pub(crate) use error::{Damage, LogError};
pub(crate) use filler::filled_max;
pub(crate) use group_commit::{GroupCommit, Groups, WaitsFor};
pub(crate) use lsn::Lsn;
pub(crate) use open::LogOptions;
pub(crate) use reader::LogReader;
pub(crate) use record::{Flaw, Kind, PendingRecord, RecordHeader, record_size};
pub(crate) use segment::STATED_MAX;
pub(crate) use start::{LostSlot, lost_slots};
pub(crate) use stream::{Form, Out, Outgoing, Payload};
pub(crate) use survey::{End, Replay, survey};
pub(crate) use varint::{put as put_varint, take as take_varint};
pub(crate) use writer::{Appended, Log, View};

pub(crate) mod raw {
    //! The parts of a log, for the offline tools, which must also read what a survey refuses.

    pub(crate) use super::blocks::Blocks;
    pub(crate) use super::checkpoint::{Checkpoint, SLOTS, Sealed, State};
    pub(crate) use super::directory::Listing;
    pub(crate) use super::record::{ALIGNMENT, Seed};
    pub(crate) use super::scan::{Found, Origin, ScanError, Scanner};
    pub(crate) use super::segment::{HeaderFlaw, PAGE, SegmentHeader, VERSION, segment_name};
    pub(crate) use super::start::{Slot, hex, read_page, read_slot, read_slot_bytes};
    pub(crate) use super::survey::Survey;
}

#[cfg(all(test, not(loom)))]
pub(crate) mod testing {
    //! What tests of the layer above need to see of a record.

    pub(crate) use super::record::payload_of;
}
