//! What each call does to the state of the disk.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::content::{Content, PAGE_SIZE};
use super::effect::{Change, Fate, SECTOR_SIZE};
use super::fault::{FailedSync, Fault, failure};
use super::random::Site;
use super::state::{Handle, Inode, State, apply_to_names};

impl State {
    // The directory.

    pub(super) fn list(&mut self) -> Vec<String> {
        let mut names: Vec<String> = self.names.keys().map(|name| name.to_string()).collect();
        self.streams.at(Site::List).shuffle(&mut names);
        names
    }

    /// Creates a file and opens it; gives the handle.
    pub(super) fn create(&mut self, name: &str) -> io::Result<u64> {
        if self.names.contains_key(name) {
            return Err(failure(ErrorKind::AlreadyExists));
        }
        let name: Arc<str> = name.into();
        let inode = self.new_id();
        self.inodes.insert(inode, Inode::new(&name, Content::default()));
        self.names.insert(name.clone(), inode);
        self.push(Change::Create { name, inode });
        self.open_inode(inode)
    }

    pub(super) fn open(&mut self, name: &str) -> io::Result<u64> {
        let inode = self.named(name)?;
        self.open_inode(inode)
    }

    pub(super) fn size_of(&self, name: &str) -> io::Result<u64> {
        Ok(self.inodes[&self.named(name)?].cache.size())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inode = self.named(from)?;
        if from == to {
            return Ok(());
        }
        let (from, to): (Arc<str>, Arc<str>) = (from.into(), to.into());
        self.inode_mut(inode).name = to.clone();
        let change = Change::Rename { from, to, inode };
        apply_to_names(&mut self.names, &change, Fate::Kept);
        self.push(change);
        self.collect();
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.named(name)?;
        let change = Change::Remove { name: name.into() };
        apply_to_names(&mut self.names, &change, Fate::Kept);
        self.push(change);
        self.collect();
        Ok(())
    }

    pub(super) fn sync_directory(&mut self, fault: Option<Fault>) -> io::Result<()> {
        let is_name = |change: &Change| change.inode().is_none();
        match fault {
            Some(Fault::FailedSync(how)) => {
                self.retain(|effect| !is_name(&effect.change));
                if how == FailedSync::Reverted {
                    self.names = self.durable_names.clone();
                }
                self.collect();
                Err(failure(match how {
                    FailedSync::NoSpace => ErrorKind::StorageFull,
                    _ => ErrorKind::Other,
                }))
            }
            _ => {
                self.settle(is_name);
                self.collect();
                Ok(())
            }
        }
    }

    /// Locks the file and gives a handle of it.
    pub(super) fn lock(&mut self, name: &str, create: bool) -> io::Result<u64> {
        let handle = match self.open(name) {
            Err(error) if create && error.kind() == ErrorKind::NotFound => self.create(name)?,
            outcome => outcome?,
        };
        if self.locks.insert(self.inode_of(handle)?) {
            return Ok(handle);
        }
        self.close(handle);
        Err(failure(ErrorKind::WouldBlock))
    }

    pub(super) fn unlock(&mut self, handle: u64) {
        if let Some(handle) = self.handles.get(&handle) {
            self.locks.remove(&handle.inode);
        }
        self.close(handle);
    }

    /// Bytes left.
    pub(super) fn available(&self) -> u64 {
        self.pages_left() * PAGE_SIZE
    }

    // An open file.

    pub(super) fn close(&mut self, handle: u64) {
        self.handles.remove(&handle);
        self.collect();
    }

    /// What programs see of an open file.
    pub(super) fn content(&self, handle: u64) -> io::Result<&Content> {
        let inode = self.inode_of(handle)?;
        Ok(&self.inodes[&inode].cache)
    }

    /// Writes; `fault` says where the bytes really go.
    pub(super) fn write(
        &mut self,
        handle: u64,
        bytes: &[u8],
        offset: u64,
        fault: Option<Fault>,
    ) -> io::Result<usize> {
        let inode = self.inode_of(handle)?;
        let count = self.writable(inode, bytes.len(), offset)?;
        if count == 0 {
            return Ok(0);
        }
        let bytes = &bytes[..count];
        let end = offset + count as u64;
        self.keep_version_before(inode, offset..end);
        let cache = &mut self.inode_mut(inode).cache;
        let from = cache.size();
        cache.grow(end);
        cache.write(bytes, offset);

        let first = offset / SECTOR_SIZE;
        let start = first * SECTOR_SIZE;
        let last = (end - 1) / SECTOR_SIZE;
        let mut sectors = vec![0; ((last - first + 1) * SECTOR_SIZE) as usize];
        cache.read_past_end(&mut sectors, start);
        let sectors: Arc<[u8]> = sectors.into();
        self.keep_versions(inode, first, &sectors);
        let is_misled = self.mislead(&sectors, fault);
        for sector in first..=last {
            self.inode_mut(inode).bad_sectors.remove(&sector);
            if is_misled {
                continue;
            }
            let begin = sector * SECTOR_SIZE;
            let changed = offset.max(begin) - begin..end.min(begin + SECTOR_SIZE) - begin;
            self.push(Change::Data {
                inode,
                sector,
                bytes: sectors.clone(),
                at: (begin - start) as usize,
                changed: changed.start as usize..changed.end as usize,
            });
        }
        if end > from {
            let to = end;
            self.push(Change::Length { inode, from, to });
        }
        Ok(count)
    }

    pub(super) fn set_size(&mut self, handle: u64, to: u64) -> io::Result<()> {
        let inode = self.inode_of(handle)?;
        let left = self.pages_left();
        let cache = &mut self.inode_mut(inode).cache;
        let from = cache.size();
        if to > from && (to - from).div_ceil(PAGE_SIZE) > left {
            return Err(failure(ErrorKind::StorageFull));
        }
        if to == from {
            return Ok(());
        }
        if to < from {
            cache.cut(to);
        } else {
            cache.grow(to);
        }
        self.push(Change::Length { inode, from, to });
        Ok(())
    }

    pub(super) fn allocate(&mut self, handle: u64, size: u64) -> io::Result<()> {
        let inode = self.inode_of(handle)?;
        let left = self.pages_left();
        let cache = &self.inode_mut(inode).cache;
        if cache.pages_missing(size) <= left {
            self.reserve(inode, size);
            return Ok(());
        }
        // The contract allows a failed call to keep what it got, so every other time it does.
        let reached = (cache.reserved_pages() + left) * PAGE_SIZE;
        if self.capacity.is_some() && self.streams.at(Site::AllocateFailure).chance(50) {
            self.reserve(inode, reached);
        }
        Err(failure(ErrorKind::StorageFull))
    }

    pub(super) fn sync_file(&mut self, handle: u64, fault: Option<Fault>) -> io::Result<()> {
        let inode = self.inode_of(handle)?;
        let error = match fault {
            Some(Fault::FailedSync(FailedSync::Late)) => {
                self.fail_write_back(inode);
                self.inode_mut(inode).is_error_told = false;
                self.tell(handle);
                return Ok(());
            }
            Some(Fault::FailedSync(FailedSync::NoSpace)) => ErrorKind::StorageFull,
            Some(Fault::FailedSync(_)) => ErrorKind::Other,
            // What is pending stays so: a sync that reports an error promises nothing.
            _ if self.tell(handle) => {
                self.inode_mut(inode).is_error_told = true;
                return Err(failure(ErrorKind::Other));
            }
            _ => {
                self.settle(|change| change.inode() == Some(inode));
                if self.is_friendly {
                    self.settle_creation(inode);
                }
                return Ok(());
            }
        };
        self.fail_write_back(inode);
        self.inode_mut(inode).is_error_told = true;
        self.tell(handle);
        if fault == Some(Fault::FailedSync(FailedSync::Reverted)) {
            let inode = self.inode_mut(inode);
            inode.cache = inode.durable.clone();
            inode.cache.cut(inode.durable.size());
        }
        Err(failure(error))
    }

    fn open_inode(&mut self, inode: u64) -> io::Result<u64> {
        let handle = self.new_id();
        let file = self.inode_mut(inode);
        // An error nobody was told of is told to those who open the file later as well.
        let errors_told = file.errors - u64::from(!file.is_error_told);
        let description = Handle { inode, errors_told };
        self.handles.insert(handle, description);
        Ok(handle)
    }

    /// Whether the description had not been told of an error; now it is.
    fn tell(&mut self, handle: u64) -> bool {
        let Some(handle) = self.handles.get_mut(&handle) else {
            return false;
        };
        let errors = self.inodes[&handle.inode].errors;
        std::mem::replace(&mut handle.errors_told, errors) < errors
    }

    fn reserve(&mut self, inode: u64, size: u64) {
        let cache = &mut self.inode_mut(inode).cache;
        let (from, to) = (cache.size(), size.max(cache.size()));
        cache.reserve(size);
        cache.grow(to);
        self.push(Change::Reservation { inode, to: size });
        if to > from {
            self.push(Change::Length { inode, from, to });
        }
    }

    /// How many of `count` bytes fit on the disk.
    fn writable(&mut self, inode: u64, count: usize, offset: u64) -> io::Result<usize> {
        let end = offset.checked_add(count as u64);
        let end = end.ok_or_else(|| failure(ErrorKind::FileTooLarge))?;
        if self.capacity.is_none() || count == 0 {
            return Ok(count);
        }
        let mut left = self.pages_left();
        let cache = &self.inode_mut(inode).cache;
        for page in offset / PAGE_SIZE..end.div_ceil(PAGE_SIZE) {
            if !cache.is_hole(page) {
                continue;
            }
            if left == 0 {
                return match (page * PAGE_SIZE).checked_sub(offset) {
                    Some(fits) if fits > 0 => Ok(fits as usize),
                    _ => Err(failure(ErrorKind::StorageFull)),
                };
            }
            left -= 1;
        }
        Ok(count)
    }
}
