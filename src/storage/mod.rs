//! The door to the file system: one directory of files, and the durability contract of each call.
//!
//! Everything the engine reads or writes passes through [`Storage`] and [`File`]. Each call is one small
//! step, in most cases one system call, short counts included: loops that finish a short write live *above*
//! this trait ([`read_full_at`], [`write_all_at`]), so that a simulated disk can crash or fail between
//! any two parts.
//!
//! The contract, the weakest that a file system may give and the engine still be right:
//! - Nothing is durable unless a sync says so; anything may be, at any time.
//! - [`File::sync_data`] makes the file's bytes durable, and its length as far as needed to read them.
//! - A name (created, renamed, removed) is durable after [`Storage::sync_directory`].
//! - After a failed sync nothing is known of the bytes written since the last good one, and a later
//!   success of the same file does not make up for it.

mod os;
#[cfg(feature = "sim")]
pub mod sim;

use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

pub use os::OsStorage;

/// A directory: the only way for the engine to reach files.
pub trait Storage: Send + Sync {
    /// What to call this directory in an error text, mostly its path.
    fn location(&self) -> String;

    /// Names of the plain files in the directory, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates `name`, empty, for reading and writing; fails with `AlreadyExists` when it is there.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Opens an existing plain file. Each call gives an open file description of its own, so that a
    /// write-back error is reported to each. Fails for anything but a plain file (a FIFO, a link).
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>>;

    /// The length in bytes of a plain file, without opening it. Fails for anything but a plain file.
    fn size_of(&self, name: &str) -> io::Result<u64>;

    /// Renames a file, replacing `to` when it exists. Durable after [`Storage::sync_directory`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name. Durable after [`Storage::sync_directory`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every name created, renamed or removed so far durable.
    fn sync_directory(&self) -> io::Result<()>;

    /// Takes the exclusive lock on `name` without waiting, creating the file when `create` is set; it is
    /// held until the returned value is dropped, and freed by the system when the process dies.
    /// `WouldBlock` when another owner holds it, in this process or in another.
    fn lock(&self, name: &str, create: bool) -> io::Result<Box<dyn Lock>>;

    /// Bytes that the file system has left for new files.
    fn available_space(&self) -> io::Result<u64>;

    /// Sixteen bytes that no other call on any machine is likely to return: a new channel's identity.
    fn unique_id(&self) -> [u8; 16];

    /// A number by chance, which tells two histories of one directory apart.
    fn chance(&self) -> u32;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// An open plain file. Reads and writes are positional: a handle has no cursor to leave in a wrong place.
pub trait File: Send + Sync {
    /// The file's length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads some bytes at `offset`; fewer than asked for is no error, 0 means the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some of `bytes` at `offset` and says how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file, or grows it with zeros.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Reserves disk blocks for `0..size` and makes the file at least that long, so that later writes there
    /// do not run out of space. An error (of kind `StorageFull` when the space is not there) may leave the
    /// file longer and holding some of the blocks.
    fn allocate(&self, size: u64) -> io::Result<()>;

    /// Makes the file's bytes durable; see the module's contract.
    fn sync_data(&self) -> io::Result<()>;

    /// As [`File::sync_data`], and everything else about the file but its name.
    fn sync_all(&self) -> io::Result<()>;

    /// Maps the first `size` bytes for reading. Only for a file that nobody writes or cuts while it is
    /// mapped.
    fn map(&self, size: u64) -> io::Result<Box<dyn Map>>;
}

/// A mapped file: its bytes.
pub trait Map: Deref<Target = [u8]> + Send + Sync {}

impl<T: Deref<Target = [u8]> + Send + Sync> Map for T {}

/// A held lock; dropping it releases it.
pub trait Lock: Send + Sync {
    /// A note for people, written by the holder ("pid 42"); never used to decide anything.
    fn write_note(&self, note: &str) -> io::Result<()>;
}

/// What went wrong with which file: every I/O error in the engine has this form.
#[derive(Debug, Clone)]
pub struct StorageError {
    /// What was tried, as a verb phrase: "write", "sync directory".
    pub operation: &'static str,
    /// The file or directory.
    pub path: String,
    /// The system's answer.
    pub source: Arc<io::Error>,
}

impl StorageError {
    pub(crate) fn new(
        storage: &dyn Storage,
        name: &str,
        operation: &'static str,
        source: io::Error,
    ) -> StorageError {
        let mut path = storage.location();
        if !name.is_empty() {
            path.push('/');
            path.push_str(name);
        }
        StorageError { operation, path, source: Arc::new(source) }
    }

    /// The kind of the system's answer.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.operation, self.path, self.source)
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

/// Reads until `buffer` is full or the file ends, and says how much was read.
pub fn read_full_at(file: &dyn File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
pub fn write_all_at(file: &dyn File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], offset + done as u64) {
            Ok(_) if planted!(ShortWriteIgnored) => break,
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
