//! Which files make up a log, told from their names; and storage calls that name the file in their errors.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::checkpoint::SLOTS;
use super::segment::segment_number;
use crate::storage::{Access, File, Storage, StorageError, write_all_at};

/// The lock file. It is never removed: a lock on a removed file excludes nobody.
pub(crate) const LOCK: &str = "LOCK";

/// What the name of a file begins with that is being allocated.
pub(crate) const DRAFT: &str = "draft-";

/// The names in a log's directory, sorted by what they are.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Segments by number.
    pub(crate) segments: BTreeMap<u64, String>,
    /// Preallocated files, waiting to become a segment that may hold puts.
    pub(crate) spares: Vec<String>,
    /// Preallocated files kept for acknowledgements when the disk is full.
    pub(crate) reserves: Vec<String>,
    /// Files that were being allocated when the process ended.
    pub(crate) drafts: Vec<String>,
    /// Whether any checkpoint slot is there, readable or not.
    pub(crate) slots: bool,
    /// Files that are not ours. They are left alone.
    pub(crate) foreign: Vec<String>,
}

/// Whether a file of this name would be a segment or a waiting file. Anything else is somebody else's, and is
/// neither used nor removed.
fn is_ours(name: &str) -> bool {
    segment_number(name).is_some() || Kept::Spare.owns(name) || Kept::Reserve.owns(name)
}

/// What a recycled file is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Spare,
    Reserve,
}

impl Kept {
    /// Whether `name` is one that this program gives to files it keeps.
    fn owns(self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(self.prefix()) else { return false };
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        rest.split('-').next().is_some_and(|number| number.len() == 20)
            && rest.split('-').all(is_number)
    }

    fn prefix(self) -> &'static str {
        match self {
            Kept::Spare => "spare-",
            Kept::Reserve => "reserve-",
        }
    }

    /// The number in a name of this kind: of the segment that the file last was, or of the newest one when it
    /// was made.
    pub(crate) fn number_in(self, name: &str) -> u64 {
        let rest = name.strip_prefix(self.prefix()).unwrap_or("");
        rest.split('-').next().and_then(|number| number.parse().ok()).unwrap_or(u64::MAX)
    }

    /// The name of a new file, made while segment `number` was the newest.
    pub(crate) fn new_name(self, number: u64, size: u64, turn: u64) -> String {
        format!("{}-{size}-{turn}", self.name(number))
    }

    /// The name of the file kept under `number`.
    pub(crate) fn name(self, number: u64) -> String {
        format!("{}{number:020}", self.prefix())
    }
}

/// A directory whose calls give errors that name the file.
#[derive(Clone)]
pub(crate) struct Directory {
    pub(crate) storage: Arc<dyn Storage>,
}

impl Directory {
    pub(crate) fn list(&self) -> Result<Listing, StorageError> {
        let names = self.storage.list().map_err(|error| self.error("", "list", error))?;
        let mut listing = Listing::default();
        for name in names {
            if let Some(number) = segment_number(&name) {
                listing.segments.insert(number, name);
            } else if SLOTS.contains(&name.as_str()) {
                listing.slots = true;
            } else if Kept::Spare.owns(&name) {
                listing.spares.push(name);
            } else if Kept::Reserve.owns(&name) {
                listing.reserves.push(name);
            } else if name.strip_prefix(DRAFT).is_some_and(is_ours) {
                listing.drafts.push(name);
            } else if name != LOCK {
                listing.foreign.push(name);
            }
        }
        listing.spares.sort();
        listing.reserves.sort();
        Ok(listing)
    }

    pub(crate) fn open(&self, name: &str, access: Access) -> Result<Arc<dyn File>, StorageError> {
        self.storage.open(name, access).map_err(|error| self.error(name, "open", error))
    }

    pub(crate) fn open_if_there(
        &self,
        name: &str,
        access: Access,
    ) -> Result<Option<Arc<dyn File>>, StorageError> {
        match self.storage.open(name, access) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(name, "open", error)),
        }
    }

    /// The length of a file, without opening it; `None` when it is not there.
    pub(crate) fn size_if_there(&self, name: &str) -> Result<Option<u64>, StorageError> {
        match self.storage.size_of(name) {
            Ok(size) => Ok(Some(size)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(name, "read the size of", error)),
        }
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        self.storage.rename(from, to).map_err(|error| self.error(from, "rename", error))
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), StorageError> {
        match self.storage.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.error(name, "remove", error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        self.storage.sync_directory().map_err(|error| self.error("", "sync directory", error))
    }

    pub(crate) fn size(&self, file: &dyn File, name: &str) -> Result<u64, StorageError> {
        file.size().map_err(|error| self.error(name, "read the size of", error))
    }

    pub(crate) fn write(
        &self,
        file: &dyn File,
        name: &str,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), StorageError> {
        let result = write_all_at(file, bytes, offset);
        let is_full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
        if planted!(FullDiskSwallowed) && result.as_ref().is_err_and(is_full) {
            return Ok(());
        }
        result.map_err(|error| self.error(name, "write", error))
    }

    pub(crate) fn sync_file(&self, file: &dyn File, name: &str) -> Result<(), StorageError> {
        file.sync_data().map_err(|error| self.error(name, "sync", error))
    }

    pub(crate) fn error(
        &self,
        name: &str,
        operation: &'static str,
        source: io::Error,
    ) -> StorageError {
        StorageError::new(&*self.storage, name, operation, source)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::storage::sim::{CallKind, Fault, FaultPlan, SimDisk};

    #[test]
    fn only_names_that_this_program_gives_are_its_own() {
        let number = "00000000000000000042";
        for name in [
            format!("{number}.seg"),
            format!("spare-{number}"),
            format!("reserve-{number}-4096-0"),
            Kept::Reserve.new_name(42, 4096, 1),
            Kept::Spare.name(42),
        ] {
            assert!(is_ours(&name), "{name}");
        }
        for name in [
            format!("{number}.sgm"),
            "spare-42".to_string(),
            format!("spare-{number}-"),
            format!("spare-{number}-copy"),
            format!("reserve-{number}x"),
            format!("reserve-0{number}"),
            "reserve-".to_string(),
        ] {
            assert!(!is_ours(&name), "{name}");
        }
        assert_eq!(Kept::Spare.number_in(&format!("spare-{number}")), 42);
        assert_eq!(Kept::Reserve.number_in(&format!("reserve-{number}-4096-0")), 42);
    }

    #[test]
    fn what_is_not_there_is_removed_already_and_has_no_size() {
        let disk = SimDisk::new(1);
        let directory = Directory { storage: disk.storage() };
        directory.remove("a").expect("is not there");
        assert_eq!(directory.size_if_there("a").expect("is not there"), None);
        assert!(directory.open_if_there("a", Access::Read).expect("is not there").is_none());
        disk.storage().create("a").expect("works").set_size(5).expect("works");
        assert_eq!(directory.size_if_there("a").expect("works"), Some(5));
        assert!(directory.open_if_there("a", Access::Read).expect("works").is_some());
        let fail = |kind| {
            disk.set_plan(FaultPlan::new(Fault::Error(io::ErrorKind::Other)).on(&[kind]));
        };
        fail(CallKind::Remove);
        assert!(directory.remove("a").is_err());
        fail(CallKind::Size);
        assert!(directory.size_if_there("a").is_err());
        fail(CallKind::Open);
        assert!(directory.open_if_there("a", Access::Read).is_err());
        directory.remove("a").expect("works");
        assert_eq!(directory.size_if_there("a").expect("is not there"), None);
    }
}
