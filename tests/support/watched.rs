//! A storage that counts what passes through it and can hold back syncs: to see how much is written, and
//! what goes on while a sync is under way, without asking a clock.
#![allow(clippy::disallowed_types, reason = "not the engine: loom models none of this")]

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use flumen::storage::{Access, File, Lock, Map, Storage};

/// How long a test waits for what must happen, before it says that it does not.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What has passed through, and which syncs are held back.
#[derive(Default)]
pub struct Watch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Default)]
struct State {
    reads: u64,
    writes: u64,
    bytes_written: u64,
    /// Syncs of files whose names end so are held back.
    held: Option<String>,
    waiting: u64,
}

impl Watch {
    /// Calls of read so far.
    pub fn reads(&self) -> u64 {
        self.lock().reads
    }

    /// Calls of write so far.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Bytes given to write so far.
    pub fn bytes_written(&self) -> u64 {
        self.lock().bytes_written
    }

    /// From now on holds back each sync of a file whose name ends so.
    pub fn hold_syncs(&self, suffix: &str) {
        self.lock().held = Some(suffix.to_string());
    }

    /// Lets all syncs go.
    pub fn release_syncs(&self) {
        self.lock().held = None;
        self.changed.notify_all();
    }

    /// Waits until so many syncs are held back at once; false when that does not happen.
    pub fn has_held(&self, count: u64) -> bool {
        self.wait_for(|state| state.waiting >= count)
    }

    /// Waits until there have been so many writes; false when that does not happen.
    pub fn has_written(&self, count: u64) -> bool {
        self.wait_for(|state| state.writes >= count)
    }

    fn wait_for(&self, is_so: impl Fn(&State) -> bool) -> bool {
        let guard = self.lock();
        let wait = self.changed.wait_timeout_while(guard, PATIENCE, |state| !is_so(state));
        let (guard, _) = wait.expect("no test panics while it holds this lock");
        is_so(&guard)
    }

    fn hold(&self, name: &str) {
        let mut state = self.lock();
        state.waiting += 1;
        self.changed.notify_all();
        while state.held.as_ref().is_some_and(|end| name.ends_with(end)) {
            let wait = self.changed.wait(state);
            state = wait.expect("no test panics while it holds this lock");
        }
        state.waiting -= 1;
    }

    fn count(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let guard = self.state.lock();
        guard.expect("no test panics while it holds this lock")
    }
}

/// `storage`, watched.
pub fn watched(storage: Arc<dyn Storage>) -> (Arc<dyn Storage>, Arc<Watch>) {
    let watch = Arc::new(Watch::default());
    let watched = Watched { storage, watch: Arc::clone(&watch) };
    (Arc::new(watched), watch)
}

struct Watched {
    storage: Arc<dyn Storage>,
    watch: Arc<Watch>,
}

struct WatchedFile {
    name: String,
    file: Arc<dyn File>,
    watch: Arc<Watch>,
}

impl Watched {
    fn wrap(&self, name: &str, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(WatchedFile { name: name.to_string(), file, watch: Arc::clone(&self.watch) })
    }
}

impl Storage for Watched {
    fn location(&self) -> String {
        self.storage.location()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.storage.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(name, self.storage.create(name)?))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(name, self.storage.open(name, access)?))
    }

    fn size_of(&self, name: &str) -> io::Result<u64> {
        self.storage.size_of(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.storage.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.storage.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.storage.sync_directory()
    }

    fn lock(&self, name: &str, create: bool) -> io::Result<Box<dyn Lock>> {
        self.storage.lock(name, create)
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

impl File for WatchedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.watch.count(|state| state.reads += 1);
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let count = self.file.write_at(bytes, offset)?;
        self.watch.count(|state| {
            state.writes += 1;
            state.bytes_written += count as u64;
        });
        Ok(count)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_size(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.file.allocate(size)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.watch.hold(&self.name);
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.watch.hold(&self.name);
        self.file.sync_all()
    }

    fn map(&self, size: u64) -> io::Result<Box<dyn Map>> {
        self.file.map(size)
    }
}
