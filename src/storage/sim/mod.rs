//! A simulated disk: a directory in memory which forgets in a crash what no sync has made durable, and
//! which fails on order.
//!
//! It is as weak as [`storage`](crate::storage) allows a file system to be, so what survives here
//! survives anywhere:
//! - A write is durable only after a sync of its file, a name only after a sync of the directory. Of the
//!   rest a crash keeps any part: each 512-byte sector, each length, each name by itself. A length may
//!   survive without its data and data without its length.
//! - Within one sector, one length and one name there is order: a later version has the earlier ones in
//!   it, since a disk writes what the cache holds.
//! - After a failed sync what was pending is lost, though reads may still show it ([`FailedSync`]).
//!
//! The same seed and the same calls give the same results; [`SimDisk::trace_hash`] tells whether two runs
//! were the same.
//!
//! ```
//! use flumen::storage::sim::{Crash, SimDisk};
//! use flumen::storage::write_all_at;
//!
//! let disk = SimDisk::new(1);
//! let storage = disk.storage();
//! let file = storage.create("a")?;
//! write_all_at(&*file, b"hello", 0)?;
//! file.sync_data()?;
//!
//! let image = disk.crash(&Crash::LoseAll);
//! assert_eq!(image.read_file("a"), None, "the name was not synced");
//! storage.sync_directory()?;
//! let image = disk.crash(&Crash::LoseAll);
//! assert_eq!(image.read_file("a").as_deref(), Some(&b"hello"[..]));
//! # Ok::<(), std::io::Error>(())
//! ```

mod calls;
mod content;
mod crash;
mod effect;
mod fault;
mod handle;
mod medium;
mod outside;
mod random;
mod state;

#[cfg(all(test, not(any(loom, shuttle))))]
mod fault_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
mod medium_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;

pub use self::crash::{Crash, Hostile};
pub use self::effect::{EffectKind, Fate, PendingEffect, SECTOR_SIZE};
use self::fault::failure;
pub use self::fault::{CallKind, FailedSync, Fault, FaultPlan, Strike};
use self::handle::SimStorage;
use self::random::{Random, Site, fingerprint, mix};
use self::state::State;
use super::Storage;
use crate::sync::disk::{Mutex, MutexGuard, lock, step};

/// A simulated disk with one directory. Clones are the same disk; see [`SimDisk::snapshot`] for a copy.
#[derive(Clone)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    state: State,
    calls: u64,
    trace: u64,
    is_off: bool,
    plans: Vec<FaultPlan>,
    strikes: Vec<Strike>,
    write_back: Option<WriteBack>,
    recording: Option<Vec<SimDisk>>,
}

/// Write-back that goes on by itself.
#[derive(Clone, Copy)]
struct WriteBack {
    seed: u64,
    percent: u64,
}

impl SimDisk {
    /// An empty disk without a limit to its space. The seed decides what the disk decides by itself: the
    /// order of [`Storage::list`], identities, what a failed allocation keeps.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::with_state(State::new(seed), 0, seed)
    }

    /// The directory.
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(SimStorage { disk: self.clone() })
    }

    /// Limits the space, in bytes (whole pages of 4096 count), or lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.inner().state.capacity = bytes;
    }

    /// Makes the disk as friendly as ext4: a sync of a new file makes its name durable too.
    pub fn set_friendly(&self, is_friendly: bool) {
        self.inner().state.is_friendly = is_friendly;
    }

    /// Makes [`Storage::chance`] random, as the seed decides. It is 0 otherwise: what is shown on such a disk
    /// does not rest on chance.
    pub fn set_chance(&self, has_chance: bool) {
        self.inner().state.has_chance = has_chance;
    }

    /// How many calls there have been. [`Storage::location`], [`Storage::unique_id`] and [`Storage::chance`]
    /// are none, nor are drops and the functions of this type.
    pub fn calls(&self) -> u64 {
        self.inner().calls
    }

    /// A fingerprint of all calls so far and of their outcomes.
    pub fn trace_hash(&self) -> u64 {
        self.inner().trace
    }

    // Faults.

    /// Sets a fault in place of all others. Its calls are counted from here on.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.inner().plans = vec![plan];
    }

    /// Sets one more fault. When several are due at one call, the first strikes.
    pub fn add_plan(&self, plan: FaultPlan) {
        self.inner().plans.push(plan);
    }

    /// Takes back all faults.
    pub fn clear_plans(&self) {
        self.inner().plans.clear();
    }

    /// Whether a fault is still to come. A test whose fault never struck has shown nothing.
    pub fn has_plan_left(&self) -> bool {
        self.inner().plans.iter().any(|plan| !plan.is_spent())
    }

    /// The faults that have struck, in order. A test counts them: one whose fault never struck has shown
    /// nothing.
    pub fn strikes(&self) -> Vec<Strike> {
        self.inner().strikes.clone()
    }

    /// Keeps from now on what each write overwrites, for [`Fault::StaleRead`].
    pub fn keep_versions(&self) {
        self.inner().state.keeps_versions = true;
    }

    /// Whether [`Fault::PowerLoss`] has struck.
    pub fn is_off(&self) -> bool {
        self.inner().is_off
    }

    /// Makes some of the pending effects durable, as a system does at any time without being asked.
    pub fn write_back(&self, seed: u64) {
        self.inner().write_back(seed);
    }

    /// Lets the system write back by itself from now on: after so many of a hundred calls, and then some of
    /// what is pending. The seed and the number of the call alone decide, so that nothing else that the disk
    /// decides is shifted by it. A recording has a snapshot after each. 0 percent ends it.
    pub fn write_back_between_calls(&self, seed: u64, percent: u64) {
        self.inner().write_back = (percent > 0).then_some(WriteBack { seed, percent });
    }

    /// Fails a write-back that nobody asked for: what is pending in the file is given up, though reads
    /// still show it, and each open description reports it at its next sync. False without such a file.
    pub fn fail_write_back(&self, name: &str) -> bool {
        let mut inner = self.inner();
        let found = inner.state.named(name);
        found.is_ok_and(|inode| {
            inner.state.fail_write_back(inode);
            true
        })
    }

    // Crashes and copies.

    /// The disk as it is found after a loss of power at this moment: nothing pending, nothing open,
    /// nothing locked, no faults set, no calls counted. This disk stays as it is.
    pub fn crash(&self, crash: &Crash<'_>) -> SimDisk {
        let state = self.inner().state.crash(crash);
        SimDisk::with_state(state, 0, 0)
    }

    /// A copy in which nobody has a file open or a lock: what is found after the death of the process,
    /// the system living on. What was pending is pending still.
    pub fn snapshot(&self) -> SimDisk {
        let inner = self.inner();
        SimDisk::with_state(inner.state.without_owners(), inner.calls, inner.trace)
    }

    /// From now on takes a snapshot after each call and each write-back, so that one run gives all moments
    /// for a crash. A crash *during* a call is among the crashes of the snapshot after it, for a sync of
    /// the one before.
    pub fn record(&self) {
        self.inner().recording = Some(Vec::new());
    }

    /// The snapshots since [`SimDisk::record`]; [`SimDisk::calls`] of each says after which call.
    pub fn take_recording(&self) -> Vec<SimDisk> {
        self.inner().recording.take().unwrap_or_default()
    }

    /// The pending effects, in the order of the calls.
    pub fn pending(&self) -> Vec<PendingEffect> {
        self.inner().state.describe()
    }

    /// How many effects are pending.
    pub fn pending_effects(&self) -> usize {
        self.inner().state.pending.len()
    }

    /// What to give [`Crash::Torn`] for all its different images: the others write, behind one of these,
    /// bytes that stand there already.
    pub fn torn_points(&self) -> Vec<u64> {
        self.inner().state.torn_points()
    }

    /// How many bytes the newest call wrote that are still pending: [`Crash::Torn`] takes 0 to this.
    pub fn bytes_in_flight(&self) -> u64 {
        let length = |effect: PendingEffect| match effect.kind {
            EffectKind::Data { length, .. } if effect.in_flight => length,
            _ => 0,
        };
        self.pending().into_iter().map(length).sum()
    }

    /// A fingerprint of what programs see: names and bytes. For images of crashes, equal fingerprints
    /// mean equal images.
    pub fn image_hash(&self) -> u64 {
        let inner = self.inner();
        let mut hash = 0;
        for (name, inode) in &inner.state.names {
            hash = mix(hash, fingerprint(name.as_bytes()));
            hash = mix(hash, inner.state.inodes[inode].cache.fingerprint());
        }
        hash
    }

    /// A fingerprint of all that crashes can leave of a snapshot: what is durable, what is pending, what of
    /// it is in flight. Snapshots with equal ones have the same images. Space, faults and what the medium
    /// did to reads count for nothing.
    pub fn moment_hash(&self) -> u64 {
        self.inner().state.fingerprint()
    }

    // Inside.

    fn with_state(state: State, calls: u64, trace: u64) -> SimDisk {
        SimDisk {
            inner: Arc::new(Mutex::new(Inner {
                state,
                calls,
                trace,
                is_off: false,
                plans: Vec::new(),
                strikes: Vec::new(),
                write_back: None,
                recording: None,
            })),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// One call: counts it, lets a fault strike, else or also does the work.
    fn call<T>(
        &self,
        kind: CallKind,
        name: &str,
        detail: u64,
        work: impl FnOnce(&mut State, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        step();
        let mut inner = self.inner();
        if inner.is_off {
            return Err(io::Error::other("the simulated machine is off"));
        }
        inner.calls += 1;
        inner.state.call += 1;
        inner.state.is_distorted = false;
        let mut strikes = inner.plans.iter_mut().filter_map(|plan| plan.strike(kind, name));
        let fault = strikes.next();
        let last_id = inner.state.next_id;
        let outcome = match fault {
            Some(Fault::Error(error)) => Err(failure(error)),
            Some(Fault::ErrorAfter(error)) => {
                let outcome = work(&mut inner.state, None);
                inner.state.close_since(last_id);
                outcome.and(Err(failure(error)))
            }
            Some(Fault::PowerLoss) => {
                if !kind.is_sync() {
                    // Whatever it would have reported: nobody is there to hear it.
                    let _ = work(&mut inner.state, None);
                }
                inner.state.close_since(last_id);
                inner.is_off = true;
                Err(io::Error::other("the simulated machine has lost power"))
            }
            _ => work(&mut inner.state, fault),
        };
        if let Some(fault) = fault {
            let has_effect = inner.state.is_distorted || !fault.is_distortion();
            let (call, file) = (inner.calls, name.to_owned());
            inner.strikes.push(Strike { call, kind, file, fault, has_effect });
        }
        inner.note(kind, name, detail, outcome.as_ref().err());
        inner.write_back_by_itself();
        outcome
    }

    fn chance(&self) -> u32 {
        if !self.inner().state.has_chance {
            return 0;
        }
        let mut number = [0; 4];
        self.streams_at(Site::Chance).fill(&mut number);
        u32::from_le_bytes(number)
    }

    fn streams_at(&self, site: Site) -> Random {
        self.inner().state.streams.at(site)
    }

    fn close(&self, handle: u64) {
        self.inner().state.close(handle);
    }

    fn unlock(&self, handle: u64) {
        self.inner().state.unlock(handle);
    }
}

impl Inner {
    fn note(&mut self, kind: CallKind, name: &str, detail: u64, error: Option<&io::Error>) {
        let outcome = error.map_or(0, |error| fingerprint(error.kind().to_string().as_bytes()));
        for part in [kind as u64, fingerprint(name.as_bytes()), detail, outcome] {
            self.trace = mix(self.trace, part);
        }
        self.take_snapshot();
    }

    fn write_back_by_itself(&mut self) {
        let Some(WriteBack { seed, percent }) = self.write_back.filter(|_| !self.is_off) else {
            return;
        };
        let mut random = Random::new(mix(seed, self.calls));
        if random.chance(percent) && !self.state.pending.is_empty() {
            self.write_back(random.next());
        }
    }

    fn write_back(&mut self, seed: u64) {
        let mut random = Random::new(seed);
        let bias = random.bias();
        let chosen: Vec<bool> = self.state.pending.iter().map(|_| random.chance(bias)).collect();
        for is_chosen in &chosen {
            self.trace = mix(self.trace, u64::from(*is_chosen));
        }
        self.state.settle_some(chosen);
        self.state.collect();
        self.take_snapshot();
    }

    fn take_snapshot(&mut self) {
        if let Some(recording) = &mut self.recording {
            let state = self.state.without_owners();
            recording.push(SimDisk::with_state(state, self.calls, self.trace));
        }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk")
            .field("files", &self.file_names())
            .field("calls", &self.calls())
            .field("pending", &self.pending())
            .finish()
    }
}
