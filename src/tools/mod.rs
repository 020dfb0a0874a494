//! Looking at a channel from outside, and saving what can be saved of a damaged one.
//!
//! [`inspect`] says what a channel holds, beside a running owner too. [`verify`] reads every byte that counts
//! and lists all damage. [`salvage`] copies everything intact into a new channel and says exactly what is
//! lost. [`dump`] tells the records of the log one by one. None of them writes a byte into the channel it
//! looks at.
//!
//! ```
//! use flumen::{Channel, ChannelOptions, Event, FileChannel, tools};
//!
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path().join("queue");
//! let channel = FileChannel::open(&directory, ChannelOptions::new())?;
//! let mut put = channel.begin_put();
//! put.put(Event::new("hello"))?;
//! put.commit()?;
//! assert!(tools::inspect(&directory)?.in_use);
//! channel.close()?;
//! drop(channel);
//! assert_eq!(tools::inspect(&directory)?.events, 1);
//! assert!(tools::verify(&directory, &mut |_, _| {})?.is_intact());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dump;
mod evidence;
mod finding;
mod inspect;
mod records;
mod replay;
mod salvage;
mod target;
mod verify;
mod walk;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

pub use dump::{DumpedRecord, RecordContent, dump, dump_on};
pub use finding::{Finding, FindingKind};
pub use inspect::{Inspection, SegmentInspection, inspect, inspect_on};
pub use salvage::{Salvage, SalvageError, salvage, salvage_on};
pub use verify::{Verification, verify, verify_on};

use crate::channel::OpenError;
use crate::channel::parts::lock_channel;
use crate::storage::{Lock, OsStorage, Storage};

/// The directory at `path`, which must be there.
fn storage_at(path: &Path) -> Result<Arc<dyn Storage>, OpenError> {
    match OsStorage::new(path, false) {
        Ok(storage) => Ok(Arc::new(storage)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(OpenError::NotAChannel {
            path: path.display().to_string(),
            reason: "there is no such directory".into(),
        }),
        Err(error) => Err(OpenError::Storage(error)),
    }
}

/// Keeps owners out for as long as the value lives. A directory without a lock file, such as a copy, has no
/// owner, and gets no lock file either: nothing is written.
fn keep_owners_out(storage: &Arc<dyn Storage>) -> Result<Option<Box<dyn Lock>>, OpenError> {
    match lock_channel(storage, false) {
        Ok(lock) => Ok(Some(lock)),
        Err(OpenError::Storage(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
