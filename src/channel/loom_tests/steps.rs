//! A storage in which loom may switch threads before each call, and knows which calls concern the same file.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};

use crate::storage::{Access, File, Lock, Map, Storage};
use crate::sync::disk::{Mutex, lock};

/// A value that every call on one file changes. Loom tries both orders of two threads' calls where they
/// change the same value, and only there: so it follows the file through its names, since a reader may have a
/// segment open under the one name and a writer its recycled file under the other.
type Step = Arc<AtomicUsize>;

fn take(step: &Step) {
    step.fetch_add(1, Ordering::Relaxed);
}

/// The storage of one execution.
pub(super) struct Steps {
    storage: Arc<dyn Storage>,
    /// For names by themselves: what is created, renamed, removed, listed.
    names: Step,
    files: Mutex<BTreeMap<String, Step>>,
}

impl Steps {
    pub(super) fn new(storage: Arc<dyn Storage>) -> Steps {
        let steps = Steps { storage, names: Step::default(), files: Mutex::default() };
        // Loom wants a value to be made before two threads can reach it.
        for name in steps.storage.list().expect("a simulated disk without faults") {
            steps.of(&name);
        }
        steps
    }

    /// The value of the file that has this name now.
    fn of(&self, name: &str) -> Step {
        Arc::clone(lock(&self.files).entry(name.to_string()).or_default())
    }
}

impl Storage for Steps {
    fn location(&self) -> String {
        self.storage.location()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        take(&self.names);
        self.storage.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        take(&self.names);
        let step = Step::default();
        let file = self.storage.create(name)?;
        lock(&self.files).insert(name.to_string(), Arc::clone(&step));
        Ok(Arc::new(StepFile { file, step }))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        // A rename changes this value too, so both orders of the two are tried.
        take(&self.of(name));
        let step = self.of(name);
        Ok(Arc::new(StepFile { file: self.storage.open(name, access)?, step }))
    }

    fn size_of(&self, name: &str) -> io::Result<u64> {
        take(&self.of(name));
        self.storage.size_of(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        take(&self.names);
        take(&self.of(to));
        take(&self.of(from));
        self.storage.rename(from, to)?;
        let mut files = lock(&self.files);
        if let Some(step) = files.remove(from) {
            files.insert(to.to_string(), step);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        take(&self.names);
        take(&self.of(name));
        self.storage.remove(name)?;
        lock(&self.files).remove(name);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        take(&self.names);
        self.storage.sync_directory()
    }

    fn lock(&self, name: &str, create: bool) -> io::Result<Box<dyn Lock>> {
        let step = self.of(name);
        // Whoever gets the lock sees all that the one before it did.
        step.fetch_add(1, Ordering::AcqRel);
        Ok(Box::new(StepLock { held: Some(self.storage.lock(name, create)?), step }))
    }

    fn available_space(&self) -> io::Result<u64> {
        self.storage.available_space()
    }

    fn unique_id(&self) -> [u8; 16] {
        self.storage.unique_id()
    }

    fn chance(&self) -> u32 {
        self.storage.chance()
    }
}

struct StepFile {
    file: Arc<dyn File>,
    step: Step,
}

impl File for StepFile {
    fn size(&self) -> io::Result<u64> {
        take(&self.step);
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        take(&self.step);
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        take(&self.step);
        self.file.write_at(bytes, offset)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        take(&self.step);
        self.file.set_size(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        take(&self.step);
        self.file.allocate(size)
    }

    fn sync_data(&self) -> io::Result<()> {
        take(&self.step);
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        take(&self.step);
        self.file.sync_all()
    }

    fn map(&self, size: u64) -> io::Result<Box<dyn Map>> {
        take(&self.step);
        self.file.map(size)
    }
}

struct StepLock {
    held: Option<Box<dyn Lock>>,
    step: Step,
}

impl Lock for StepLock {
    fn write_note(&self, note: &str) -> io::Result<()> {
        take(&self.step);
        self.held.as_ref().expect("held until the drop").write_note(note)
    }
}

impl Drop for StepLock {
    fn drop(&mut self) {
        self.step.fetch_add(1, Ordering::AcqRel);
        self.held = None;
    }
}
