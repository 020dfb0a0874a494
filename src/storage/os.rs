//! The operating system's file system.
//!
//! The only file that calls `std::fs`, and the only one with an `unsafe` block ([`OsFile::map`]).
#![allow(
    clippy::disallowed_methods,
    reason = "the one door to the file system and, for `unique_id`, to the clock"
)]

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use memmap2::MmapOptions;

use super::{Access, File, Lock, Map, Storage, StorageError};

/// `O_NOFOLLOW | O_NONBLOCK` where their values are known (the C library is no direct dependency). They
/// close the gap between looking at a name and opening it: a link put there meanwhile is refused, a FIFO
/// does not block. Elsewhere the two checks around the opening stand alone.
const OPEN_FLAGS: i32 = if cfg!(not(target_os = "linux")) {
    0
} else if cfg!(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "riscv64",
    target_arch = "s390x"
)) {
    0o400_000 | 0o4_000
} else if cfg!(any(target_arch = "arm", target_arch = "aarch64")) {
    0o100_000 | 0o4_000
} else {
    0
};

/// How often [`OsStorage::lock`] starts over because the file was replaced while it was being locked.
const LOCK_ATTEMPTS_MAX: u32 = 100;

/// The unit in which [`OsFile`] writes zeros where the file system cannot reserve blocks.
const ZEROS_SIZE: usize = 64 * 1024;

/// A directory of the operating system.
#[derive(Debug)]
pub struct OsStorage {
    /// Absolute, so that a later change of the working directory does not move the queue.
    path: PathBuf,
    /// The path as the caller gave it.
    location: String,
    /// Held open for [`Storage::sync_directory`]: a description opened after a write-back error may
    /// never be told of it.
    directory: fs::File,
}

impl OsStorage {
    /// Opens the directory `path`; with `create`, makes it and its missing parents first and makes their
    /// names durable. Fails when `path` is anything but a directory or a link to one.
    pub fn new(path: impl AsRef<Path>, create: bool) -> Result<OsStorage, StorageError> {
        let given = path.as_ref();
        let location = given.display().to_string();
        let failed = |operation| {
            let path = location.clone();
            move |error| StorageError { operation, path, source: Arc::new(error) }
        };
        if create {
            create_directory(given).map_err(failed("create directory"))?;
        }
        // Looked at before it is opened: opening a FIFO would wait for a writer.
        check_directory(given).map_err(failed("open directory"))?;
        let path = fs::canonicalize(given).map_err(failed("open directory"))?;
        let directory = fs::File::open(&path).map_err(failed("open directory"))?;
        Ok(OsStorage { path, location, directory })
    }

    fn path_of(&self, name: &str) -> io::Result<PathBuf> {
        let mut components = Path::new(name).components();
        match (components.next(), components.next()) {
            (Some(Component::Normal(only)), None) if only == name => Ok(self.path.join(name)),
            _ => Err(io::Error::new(
                ErrorKind::InvalidInput,
                "not the name of a file in a directory",
            )),
        }
    }

    fn file(&self, file: fs::File) -> OsFile {
        OsFile { file, directory: self.path.clone() }
    }
}

impl Storage for OsStorage {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                // A name that is not UTF-8 comes out with a replacement character in it, so it is seen
                // to be foreign and is never taken for one of ours.
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path_of(name)?)?;
        Ok(Arc::new(self.file(file)))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let path = self.path_of(name)?;
        check_plain(&fs::symlink_metadata(&path)?)?;
        let file = fs::OpenOptions::new()
            .read(true)
            .write(access == Access::ReadWrite)
            .custom_flags(OPEN_FLAGS)
            .open(path)?;
        check_plain(&file.metadata()?)?;
        Ok(Arc::new(self.file(file)))
    }

    fn size_of(&self, name: &str) -> io::Result<u64> {
        let found = fs::symlink_metadata(self.path_of(name)?)?;
        check_plain(&found)?;
        Ok(found.len())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path_of(from)?, self.path_of(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path_of(name)?)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn lock(&self, name: &str, create: bool) -> io::Result<Box<dyn Lock>> {
        let path = self.path_of(name)?;
        for _ in 0..LOCK_ATTEMPTS_MAX {
            if planted!(LockNotTaken) {
                return Ok(Box::new(OsLock { file: open_lock(&path, create)?, writable: create }));
            }
            if let Some(file) = hold(&path, open_lock(&path, create)?)? {
                return Ok(Box::new(OsLock { file, writable: create }));
            }
        }
        Err(io::Error::new(
            ErrorKind::WouldBlock,
            "the lock file is being replaced again and again",
        ))
    }

    fn available_space(&self) -> io::Result<u64> {
        fs2::available_space(&self.path)
    }

    fn unique_id(&self) -> [u8; 16] {
        // Each hasher has keys of its own, which come from the system's randomness. What is hashed
        // tells machines apart that were cloned with the same state of it.
        let here = (
            std::process::id(),
            SystemTime::now(),
            std::thread::current().id(),
            std::ptr::from_ref(self).addr(),
        );
        let halves = [RandomState::new().hash_one(here), RandomState::new().hash_one(here)];
        let mut id = [0; 16];
        id[..8].copy_from_slice(&halves[0].to_le_bytes());
        id[8..].copy_from_slice(&halves[1].to_le_bytes());

        let mut random = [0; 16];
        let source = fs::File::open("/dev/urandom");
        if source.is_ok_and(|mut source| source.read_exact(&mut random).is_ok()) {
            id.iter_mut().zip(random).for_each(|(byte, other)| *byte ^= other);
        }
        id
    }

    fn chance(&self) -> u32 {
        let [a, b, c, d, ..] = self.unique_id();
        u32::from_le_bytes([a, b, c, d])
    }
}

/// An open plain file of the operating system.
struct OsFile {
    file: fs::File,
    directory: PathBuf,
}

impl OsFile {
    /// Grows the file to `size` by writing zeros, which takes the blocks on file systems that cannot
    /// reserve them. Bytes below `from` stay as they are, and holes there stay holes.
    fn write_zeros(&self, from: u64, size: u64) -> io::Result<()> {
        let zeros = [0; ZEROS_SIZE];
        let mut offset = from;
        while offset < size {
            let count = usize::try_from(size - offset).map_or(ZEROS_SIZE, |n| n.min(ZEROS_SIZE));
            match self.file.write_at(&zeros[..count], offset) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => offset += written as u64,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The second try of [`File::allocate`], once the system has refused.
    fn allocate_by_writing(&self, former: u64, size: u64) -> io::Result<()> {
        let held = self.file.metadata()?.blocks().saturating_mul(512);
        let missing = size.saturating_sub(held);
        if fs2::available_space(&self.directory).is_ok_and(|left| left < missing) {
            return Err(ErrorKind::StorageFull.into());
        }
        self.write_zeros(former, size).map_err(|error| match error.kind() {
            ErrorKind::QuotaExceeded => io::Error::new(ErrorKind::StorageFull, error),
            _ => error,
        })
    }
}

impl File for OsFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        if size == 0 {
            return Ok(());
        }
        let former = self.size()?;
        if fs2::FileExt::allocate(&self.file, size).is_ok() {
            return Ok(());
        }
        // The error says nothing: the system returns the reason, and fs2 reads it from where it is not
        // (a full disk comes out as code 0, or as the thread's previous error). So look at the space that
        // is left, and otherwise let plain writes succeed or find the true reason.
        let outcome = self.allocate_by_writing(former, size);
        if outcome.is_err() {
            // Gives back the blocks that either attempt got. Should this fail too, the file stays longer,
            // which the contract allows.
            let _ = self.file.set_len(former);
        }
        outcome
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    #[allow(unsafe_code, reason = "mapping a file is unsafe by nature; see below")]
    fn map(&self, size: u64) -> io::Result<Box<dyn Map>> {
        if size == 0 {
            return Ok(Box::new(Vec::new()));
        }
        if size > self.size()? {
            // Touching a page past the end would kill the process.
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let size = usize::try_from(size).map_err(|_| ErrorKind::FileTooLarge)?;
        // SAFETY: a shared map is sound as long as nobody changes or cuts the file under it. The
        // contract of `File::map` demands this of the caller: only sealed segments are mapped, which
        // this process never writes again, and the directory's lock keeps other owners out. The size
        // was just seen to lie within the file. What remains is an outsider who ignores the lock and may
        // write to the directory: every program that maps a file accepts that. `Channel` therefore reads
        // through maps only when asked to, and verifies a copy of the bytes, never the map.
        let map = unsafe { MmapOptions::new().len(size).map(&self.file) }?;
        Ok(Box::new(map))
    }
}

/// A held `flock`, which belongs to the open description: unlike a record lock it also keeps out a second
/// owner in this process, and closing some other handle of the file does not free it.
struct OsLock {
    file: fs::File,
    writable: bool,
}

impl Lock for OsLock {
    fn write_note(&self, note: &str) -> io::Result<()> {
        if !self.writable {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        self.file.set_len(0)?;
        self.file.write_all_at(note.as_bytes(), 0)
    }
}

impl Drop for OsLock {
    fn drop(&mut self) {
        // Closing alone would free it later when another thread is just starting a program: between
        // fork and exec the child holds the description too.
        let _ = fs2::FileExt::unlock(&self.file);
    }
}

/// Opens the lock file without locking it. Not creating it means reading only, so that the lock can be
/// taken on a medium that cannot be written.
fn open_lock(path: &Path, create: bool) -> io::Result<fs::File> {
    match fs::symlink_metadata(path) {
        Ok(found) => check_plain(&found)?,
        Err(error) if create && error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = fs::OpenOptions::new()
        .read(true)
        .write(create)
        .create(create)
        .truncate(false)
        .custom_flags(OPEN_FLAGS)
        .open(path)?;
    check_plain(&file.metadata()?)?;
    Ok(file)
}

/// Locks an open lock file; `None` when the path no longer leads to it. Between the opening and the locking
/// somebody may have removed the file and made a new one, which a second owner could lock as well. So the
/// lock counts only while the path leads to the file; no owner ever removes it.
fn hold(path: &Path, file: fs::File) -> io::Result<Option<fs::File>> {
    fs2::FileExt::try_lock_exclusive(&file)?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok(same_file(&named, &file.metadata()?).then_some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn check_plain(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::InvalidInput,
        "not a plain file (a link, a pipe, a device or a directory)",
    ))
}

fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn check_directory(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => {
            Err(io::Error::new(ErrorKind::NotADirectory, "it is there, but it is not a directory"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_ok() => {
            Err(io::Error::new(
                ErrorKind::NotADirectory,
                "it is a symbolic link that leads nowhere",
            ))
        }
        Err(error) => Err(error),
    }
}

/// Makes `path` with its missing parents. Each name is durable before anything is made inside it, so a
/// directory that an earlier run made just before a crash has parents that are durable: only its own name
/// may be in doubt, and that is why it is synced again although it is there.
fn create_directory(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    let is_new = match check_directory(path) {
        Ok(()) => false,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create_directory(parent)?;
            match fs::create_dir(path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => check_directory(path)?,
                outcome => outcome?,
            }
            true
        }
        Err(error) => return Err(error),
    };
    match fs::File::open(parent).and_then(|directory| directory.sync_all()) {
        // Who may not read the parent did not make the directory: its name is somebody else's care.
        Err(error) if !is_new && error.kind() == ErrorKind::PermissionDenied => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests;
