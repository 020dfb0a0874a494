//! The traits of [`storage`](crate::storage) on the simulated disk.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::SimDisk;
use super::fault::{CallKind, Fault, failure};
use super::random::{Site, fingerprint, mix};
use crate::storage::{Access, File, Lock, Map, Storage};

pub(super) struct SimStorage {
    pub(super) disk: SimDisk,
}

struct SimFile {
    disk: SimDisk,
    handle: u64,
    /// The name under which it was opened.
    name: Arc<str>,
    access: Access,
}

struct SimLock {
    disk: SimDisk,
    handle: u64,
    name: Arc<str>,
    writable: bool,
}

impl SimStorage {
    fn file(&self, name: &str, handle: u64, access: Access) -> Arc<dyn File> {
        Arc::new(SimFile { disk: self.disk.clone(), handle, name: name.into(), access })
    }
}

impl Storage for SimStorage {
    fn location(&self) -> String {
        "simulated disk".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.call(CallKind::List, "", 0, |state, _| Ok(state.list()))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let handle = self.disk.call(CallKind::Create, name, 0, |state, _| {
            check_name(name)?;
            state.create(name)
        })?;
        Ok(self.file(name, handle, Access::ReadWrite))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let detail = u64::from(access == Access::Read);
        let handle = self.disk.call(CallKind::Open, name, detail, |state, _| {
            check_name(name)?;
            state.open(name)
        })?;
        Ok(self.file(name, handle, access))
    }

    fn size_of(&self, name: &str) -> io::Result<u64> {
        self.disk.call(CallKind::Size, name, 1, |state, _| state.size_of(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let detail = fingerprint(to.as_bytes());
        self.disk.call(CallKind::Rename, from, detail, |state, _| {
            check_name(from)?;
            check_name(to)?;
            state.rename(from, to)
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.call(CallKind::Remove, name, 0, |state, _| state.remove(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.call(CallKind::SyncDirectory, "", 0, |state, fault| state.sync_directory(fault))
    }

    fn lock(&self, name: &str, create: bool) -> io::Result<Box<dyn Lock>> {
        let handle = self.disk.call(CallKind::Lock, name, u64::from(create), |state, _| {
            check_name(name)?;
            state.lock(name, create)
        })?;
        Ok(Box::new(SimLock {
            disk: self.disk.clone(),
            handle,
            name: name.into(),
            writable: create,
        }))
    }

    fn available_space(&self) -> io::Result<u64> {
        self.disk.call(CallKind::AvailableSpace, "", 0, |state, _| Ok(state.available()))
    }

    fn unique_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        self.disk.streams_at(Site::UniqueId).fill(&mut id);
        id
    }

    fn chance(&self) -> u32 {
        self.disk.chance()
    }
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::Read => Err(failure(ErrorKind::PermissionDenied)),
        }
    }
}

impl File for SimFile {
    fn size(&self) -> io::Result<u64> {
        self.disk
            .call(CallKind::Size, &self.name, 0, |state, _| Ok(state.content(self.handle)?.size()))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let detail = mix(offset, buffer.len() as u64);
        self.disk.call(CallKind::Read, &self.name, detail, |state, fault| {
            let wanted = match fault {
                Some(Fault::Short(count)) => buffer.len().min(count),
                _ => buffer.len(),
            };
            state.read(self.handle, &mut buffer[..wanted], offset, fault)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let detail = mix(offset, fingerprint(bytes));
        self.disk.call(CallKind::Write, &self.name, detail, |state, fault| {
            self.check_writable()?;
            let wanted = match fault {
                Some(Fault::Short(count)) => bytes.len().min(count),
                _ => bytes.len(),
            };
            state.write(self.handle, &bytes[..wanted], offset, fault)
        })
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.disk.call(CallKind::SetSize, &self.name, size, |state, _| {
            self.check_writable()?;
            state.set_size(self.handle, size)
        })
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.disk.call(CallKind::Allocate, &self.name, size, |state, _| {
            self.check_writable()?;
            state.allocate(self.handle, size)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.call(CallKind::SyncData, &self.name, 0, |state, fault| {
            state.sync_file(self.handle, fault)
        })
    }

    fn sync_all(&self) -> io::Result<()> {
        self.disk.call(CallKind::SyncAll, &self.name, 0, |state, fault| {
            state.sync_file(self.handle, fault)
        })
    }

    /// A copy: equal to a real map as long as the contract of [`File::map`] is kept.
    fn map(&self, size: u64) -> io::Result<Box<dyn Map>> {
        self.disk.call(CallKind::Map, &self.name, size, |state, fault| {
            if size > state.content(self.handle)?.size() {
                return Err(failure(ErrorKind::UnexpectedEof));
            }
            let mut bytes = vec![0; usize::try_from(size).map_err(|_| ErrorKind::FileTooLarge)?];
            state.read(self.handle, &mut bytes, 0, fault)?;
            Ok(Box::new(bytes) as Box<dyn Map>)
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.close(self.handle);
    }
}

impl Lock for SimLock {
    fn write_note(&self, note: &str) -> io::Result<()> {
        let detail = fingerprint(note.as_bytes());
        self.disk.call(CallKind::WriteNote, &self.name, detail, |state, _| {
            if !self.writable {
                return Err(failure(ErrorKind::ReadOnlyFilesystem));
            }
            state.set_size(self.handle, 0)?;
            state.write(self.handle, note.as_bytes(), 0, None)?;
            Ok(())
        })
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.unlock(self.handle);
    }
}

fn check_name(name: &str) -> io::Result<()> {
    if matches!(name, "" | "." | "..") || name.bytes().any(|byte| matches!(byte, b'/' | b'\0')) {
        return Err(failure(ErrorKind::InvalidInput));
    }
    Ok(())
}
