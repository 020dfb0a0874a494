//! The state of the disk, and how pending effects become durable.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::content::{Content, PAGE_SIZE};
use super::effect::{Change, Effect, Fate};
use super::fault::failure;
use super::random::Streams;

/// Space on a disk without a set capacity.
const PAGES_UNLIMITED: u64 = 1 << 40;

pub(super) type Names = BTreeMap<Arc<str>, u64>;

#[derive(Clone)]
pub(super) struct State {
    pub(super) inodes: BTreeMap<u64, Inode>,
    /// The directory as programs see it.
    pub(super) names: Names,
    pub(super) durable_names: Names,
    /// In the order of the calls. What programs see is the durable state with all of these on top,
    /// except where a sync has failed.
    pub(super) pending: Arc<Vec<Effect>>,
    /// The number of the newest call.
    pub(super) call: u64,
    pub(super) streams: Streams,
    pub(super) capacity: Option<u64>,
    pub(super) is_friendly: bool,
    pub(super) has_chance: bool,
    pub(super) keeps_versions: bool,
    /// Whether the read of the newest call delivered other bytes than it should have.
    pub(super) is_distorted: bool,
    pub(super) next_id: u64,
    pub(super) handles: BTreeMap<u64, Handle>,
    /// Locked inodes.
    pub(super) locks: BTreeSet<u64>,
}

#[derive(Clone)]
pub(super) struct Inode {
    /// One of its names, or the last one.
    pub(super) name: Arc<str>,
    pub(super) cache: Content,
    pub(super) durable: Content,
    /// How many write-back errors the file has had.
    pub(super) errors: u64,
    /// Whether some description was told of the last of them.
    pub(super) is_error_told: bool,
    /// Sectors that cannot be read, and how many more tries fail.
    pub(super) bad_sectors: BTreeMap<u64, u64>,
    /// All that was ever written, by sector, where the disk keeps it.
    pub(super) versions: Arc<Vec<Version>>,
}

/// What a sector was once.
#[derive(Clone)]
pub(super) struct Version {
    pub(super) sector: u64,
    /// Whole sectors.
    pub(super) bytes: Arc<[u8]>,
    /// Where in `bytes` this one begins.
    pub(super) at: usize,
}

/// An open file description.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) inode: u64,
    /// How many of the file's write-back errors it knows.
    pub(super) errors_told: u64,
}

impl Inode {
    pub(super) fn new(name: &Arc<str>, durable: Content) -> Inode {
        Inode {
            name: name.clone(),
            cache: durable.clone(),
            durable,
            errors: 0,
            is_error_told: true,
            bad_sectors: BTreeMap::new(),
            versions: Arc::default(),
        }
    }
}

impl State {
    pub(super) fn new(seed: u64) -> State {
        State {
            inodes: BTreeMap::new(),
            names: Names::new(),
            durable_names: Names::new(),
            pending: Arc::default(),
            call: 0,
            streams: Streams::new(seed),
            capacity: None,
            is_friendly: false,
            has_chance: false,
            keeps_versions: false,
            is_distorted: false,
            next_id: 1,
            handles: BTreeMap::new(),
            locks: BTreeSet::new(),
        }
    }

    /// The state as a program finds it that starts after the death of all others.
    pub(super) fn without_owners(&self) -> State {
        let mut state = self.clone();
        state.handles.clear();
        state.locks.clear();
        state.collect();
        state
    }

    /// A write-back in the background fails: what is pending in the file is given up though the cache
    /// still shows it, and every open description is told at its next sync.
    pub(super) fn fail_write_back(&mut self, inode: u64) {
        self.retain(|effect| effect.change.inode() != Some(inode));
        let inode = self.inode_mut(inode);
        inode.errors += 1;
        inode.is_error_told = false;
    }

    /// Makes the chosen effects durable, and those that they rest on.
    pub(super) fn settle_some(&mut self, mut chosen: Vec<bool>) {
        for later in (0..chosen.len()).rev() {
            if !chosen[later] {
                continue;
            }
            let change = &self.pending[later].change;
            for (earlier, chosen) in chosen[..later].iter_mut().enumerate() {
                *chosen |= change.rests_on(&self.pending[earlier].change);
            }
        }
        let mut chosen = chosen.into_iter();
        self.settle_where(|_| chosen.next() == Some(true));
    }

    /// Closes what was opened and locked since the identity `last` was given out.
    pub(super) fn close_since(&mut self, last: u64) {
        let new: Vec<u64> = self.handles.range(last + 1..).map(|(handle, _)| *handle).collect();
        for handle in new {
            self.unlock(handle);
        }
    }

    /// Drops what nobody can reach any more, neither now nor after a crash.
    pub(super) fn collect(&mut self) {
        if self.inodes.len() <= self.names.len() {
            return;
        }
        let mut live: BTreeSet<u64> = self.names.values().copied().collect();
        live.extend(self.durable_names.values());
        live.extend(self.handles.values().map(|handle| handle.inode));
        for effect in self.pending.iter() {
            if let Change::Create { inode, .. } | Change::Rename { inode, .. } = &effect.change {
                live.insert(*inode);
            }
        }
        let before = self.inodes.len();
        self.inodes.retain(|inode, _| live.contains(inode));
        if self.inodes.len() < before {
            self.retain(|effect| effect.change.inode().is_none_or(|inode| live.contains(&inode)));
        }
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn named(&self, name: &str) -> io::Result<u64> {
        let inode = self.names.get(name);
        inode.copied().ok_or_else(|| failure(ErrorKind::NotFound))
    }

    pub(super) fn settle(&mut self, chosen: impl Fn(&Change) -> bool) {
        self.settle_where(|effect| chosen(&effect.change));
    }

    fn settle_where(&mut self, mut chosen: impl FnMut(&Effect) -> bool) {
        let effects = Arc::unwrap_or_clone(std::mem::take(&mut self.pending));
        let mut rest = Vec::new();
        for effect in effects {
            if !chosen(&effect) {
                rest.push(effect);
                continue;
            }
            match effect.change.inode() {
                Some(inode) => {
                    let durable = &mut self.inode_mut(inode).durable;
                    effect.change.apply(durable, Fate::Kept);
                }
                None => apply_to_names(&mut self.durable_names, &effect.change, Fate::Kept),
            }
        }
        self.pending = Arc::new(rest);
    }

    /// Makes the name durable under which the file was created.
    pub(super) fn settle_creation(&mut self, file: u64) {
        let is_creation =
            |change: &Change| matches!(change, Change::Create { inode, .. } if *inode == file);
        let chosen = self.pending.iter().map(|effect| is_creation(&effect.change));
        self.settle_some(chosen.collect());
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Effect) -> bool) {
        if !self.pending.iter().all(&keep) {
            Arc::make_mut(&mut self.pending).retain(keep);
        }
    }

    pub(super) fn push(&mut self, change: Change) {
        let call = self.call;
        Arc::make_mut(&mut self.pending).push(Effect { call, change });
    }

    pub(super) fn inode_of(&self, handle: u64) -> io::Result<u64> {
        let handle = self.handles.get(&handle);
        handle.map(|handle| handle.inode).ok_or_else(|| failure(ErrorKind::NotFound))
    }

    pub(super) fn inode_mut(&mut self, inode: u64) -> &mut Inode {
        self.inodes
            .get_mut(&inode)
            .expect("an inode lives while a name, a handle or a pending effect refers to it")
    }

    pub(super) fn pages_left(&self) -> u64 {
        let Some(capacity) = self.capacity else {
            return PAGES_UNLIMITED;
        };
        let mut live: BTreeSet<u64> = self.names.values().copied().collect();
        live.extend(self.handles.values().map(|handle| handle.inode));
        let held = live.iter().map(|inode| self.inodes[inode].cache.held_pages());
        (capacity / PAGE_SIZE).saturating_sub(held.sum())
    }
}

/// Changes a directory as `fate` says.
pub(super) fn apply_to_names(names: &mut Names, change: &Change, fate: Fate) {
    match (change, fate) {
        (_, Fate::Lost) => {}
        (Change::Create { name, inode }, _) => {
            names.insert(name.clone(), *inode);
        }
        (Change::Remove { name }, _) => {
            names.remove(name);
        }
        (Change::Rename { from, to, inode }, _) => {
            // Without the creation of `from`, an older file may still have that name.
            if fate != Fate::BothNames && names.get(from) == Some(inode) {
                names.remove(from);
            }
            if fate != Fate::NeitherName {
                names.insert(to.clone(), *inode);
            }
        }
        _ => {}
    }
}
