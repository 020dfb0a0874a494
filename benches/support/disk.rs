//! A disk that differs from the operating system's in how it writes and syncs.

use std::io;
use std::path::Path;
use std::sync::Arc;

use flumen::storage::{Access, File, Lock, Map, OsStorage, Storage};

/// What differs.
pub(crate) trait Differs: Send + Sync + 'static {
    fn write(&self, file: &dyn File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    fn sync(&self, act: &dyn Fn() -> io::Result<()>) -> io::Result<()>;
}

struct Disk<D>(OsStorage, Arc<D>);

struct DiskFile<D>(Arc<dyn File>, Arc<D>);

/// A disk in `directory`, which is made.
pub(crate) fn disk(directory: &Path, differs: impl Differs) -> Arc<dyn Storage> {
    let storage = OsStorage::new(directory, true).expect("writable");
    Arc::new(Disk(storage, Arc::new(differs)))
}

impl<D: Differs> Disk<D> {
    fn file(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(DiskFile(file, Arc::clone(&self.1)))
    }
}

impl<D: Differs> Storage for Disk<D> {
    fn location(&self) -> String {
        self.0.location()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.0.create(name)?))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.0.open(name, access)?))
    }

    fn size_of(&self, name: &str) -> io::Result<u64> {
        self.0.size_of(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.1.sync(&|| self.0.sync_directory())
    }

    fn lock(&self, name: &str, create: bool) -> io::Result<Box<dyn Lock>> {
        self.0.lock(name, create)
    }

    fn available_space(&self) -> io::Result<u64> {
        self.0.available_space()
    }

    fn unique_id(&self) -> [u8; 16] {
        self.0.unique_id()
    }

    fn chance(&self) -> u32 {
        self.0.chance()
    }
}

impl<D: Differs> File for DiskFile<D> {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.1.write(&*self.0, bytes, offset)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_size(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.0.allocate(size)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.sync(&|| self.0.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.1.sync(&|| self.0.sync_all())
    }

    fn map(&self, size: u64) -> io::Result<Box<dyn Map>> {
        self.0.map(size)
    }
}
