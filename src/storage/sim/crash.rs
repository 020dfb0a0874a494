//! Crashes: what is found on the disk after a loss of power.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::effect::{Change, Effect, EffectKind, Fate, PendingEffect, SECTOR_SIZE};
use super::random::{Random, fingerprint, mix};
use super::state::{Inode, State, apply_to_names};

/// Which of the pending effects survive a loss of power. Effects are numbered in the order of the calls,
/// see [`SimDisk::pending`](super::SimDisk::pending).
#[derive(Clone, Copy)]
pub enum Crash<'a> {
    /// None.
    LoseAll,
    /// All.
    KeepAll,
    /// The first so many.
    Prefix(usize),
    /// All but this one.
    Drop(usize),
    /// This one only.
    OnlyKeep(usize),
    /// Effect *i* when bit *i* is set, those from the 64th on never: for trying all subsets.
    Bits(u64),
    /// All of the calls before the newest one, and of its write the first so many bytes.
    Torn(u64),
    /// Those for which the function says so; it is given the effect's number too.
    Subset(&'a dyn Fn(usize, &PendingEffect) -> bool),
    /// Each as the function says.
    Choose(&'a dyn Fn(usize, &PendingEffect) -> Fate),
    /// Any, by this seed: each sector, each length (or a value on the way to it), each name by itself.
    Random(u64),
    /// As [`Crash::Random`], and worse.
    Hostile(u64, Hostile),
}

impl fmt::Debug for Crash<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Crash::LoseAll => write!(f, "LoseAll"),
            Crash::KeepAll => write!(f, "KeepAll"),
            Crash::Prefix(count) => write!(f, "Prefix({count})"),
            Crash::Drop(number) => write!(f, "Drop({number})"),
            Crash::OnlyKeep(number) => write!(f, "OnlyKeep({number})"),
            Crash::Bits(bits) => write!(f, "Bits({bits:#b})"),
            Crash::Torn(count) => write!(f, "Torn({count})"),
            Crash::Subset(_) => write!(f, "Subset(..)"),
            Crash::Choose(_) => write!(f, "Choose(..)"),
            Crash::Random(seed) => write!(f, "Random({seed})"),
            Crash::Hostile(seed, hostile) => write!(f, "Hostile({seed}, {hostile:?})"),
        }
    }
}

/// What a disk may do beyond forgetting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hostile {
    /// Only the first bytes of what a write changed in a sector are new.
    pub torn_sectors: bool,
    /// What a write changed in a sector is noise: also what a file shows whose new length survived and
    /// whose data did not, where blocks are not cleared.
    pub garbage: bool,
    /// No power-safe overwrite: a sector that was being written is noise as a whole, together with the
    /// bytes in it that had been durable before.
    pub unsafe_overwrite: bool,
    /// A file whose new length survived shows noise where its data did not, or where none was written:
    /// blocks of a former owner.
    pub stale_blocks: bool,
    /// A rename leaves both names, or none.
    pub split_renames: bool,
}

impl Hostile {
    /// Everything.
    pub const ALL: Hostile = Hostile {
        torn_sectors: true,
        garbage: true,
        unsafe_overwrite: true,
        stale_blocks: true,
        split_renames: true,
    };

    /// Everything that a program can stand which relies on power-safe overwrite and on atomic renames,
    /// as most do.
    pub const USUAL: Hostile = Hostile {
        torn_sectors: true,
        garbage: true,
        unsafe_overwrite: false,
        stale_blocks: true,
        split_renames: false,
    };
}

/// In how many of a hundred cases a hostile disk does each of the things that it may.
const HOSTILE_PERCENT: u64 = 10;

/// In how many of a hundred cases a growth stops on the way.
const BETWEEN_PERCENT: u64 = 20;

impl State {
    /// The pending effects, in the order of the calls.
    pub(super) fn describe(&self) -> Vec<PendingEffect> {
        self.pending.iter().map(|effect| self.describe_one(effect)).collect()
    }

    /// See [`SimDisk::moment_hash`](super::SimDisk::moment_hash).
    pub(super) fn fingerprint(&self) -> u64 {
        let rank = |inode: u64| self.inodes.range(..inode).count() as u64;
        let mut hash = 0;
        for names in [&self.names, &self.durable_names] {
            for (name, inode) in names {
                hash = mix(mix(hash, fingerprint(name.as_bytes())), rank(*inode));
            }
            hash = mix(hash, names.len() as u64);
        }
        for inode in self.inodes.values() {
            hash = mix(mix(hash, inode.cache.fingerprint()), inode.durable.fingerprint());
        }
        for effect in self.pending.iter() {
            let is_in_flight = u64::from(effect.call == self.call);
            hash = mix(mix(hash, effect.change.fingerprint(rank)), is_in_flight);
        }
        hash
    }

    /// The disk after a loss of power.
    pub(super) fn crash(&self, crash: &Crash<'_>) -> State {
        let mut fates = self.fates(crash);
        self.imply_lengths(&mut fates);

        let mut state = self.clone();
        state.handles.clear();
        state.locks.clear();
        state.pending = Arc::default();
        state.call = 0;
        self.show_stale_blocks(&fates, &mut state);
        for (effect, fate) in self.pending.iter().zip(fates) {
            match effect.change.inode() {
                Some(inode) => effect.change.apply(&mut state.inode_mut(inode).durable, fate),
                None => apply_to_names(&mut state.durable_names, &effect.change, fate),
            }
        }
        state.names = state.durable_names.clone();
        let inodes = std::mem::take(&mut state.inodes);
        for (name, number) in &state.names {
            if let Some(inode) = inodes.get(number) {
                let mut durable = inode.durable.clone();
                durable.cut(durable.size());
                let found = Inode {
                    bad_sectors: inode.bad_sectors.clone(),
                    versions: inode.versions.clone(),
                    ..Inode::new(name, durable)
                };
                state.inodes.insert(*number, found);
            }
        }
        state
    }

    fn fates(&self, crash: &Crash<'_>) -> Vec<Fate> {
        let kept = |is_kept| if is_kept { Fate::Kept } else { Fate::Lost };
        let by_number = |choose: &dyn Fn(usize) -> bool| {
            let numbers = 0..self.pending.len();
            numbers.map(|number| kept(choose(number))).collect()
        };
        match crash {
            Crash::LoseAll => by_number(&|_| false),
            Crash::KeepAll => by_number(&|_| true),
            Crash::Prefix(count) => by_number(&|number| number < *count),
            Crash::Drop(dropped) => by_number(&|number| number != *dropped),
            Crash::OnlyKeep(only) => by_number(&|number| number == *only),
            Crash::Bits(bits) => by_number(&|number| number < 64 && bits >> number & 1 == 1),
            Crash::Torn(count) => self.torn(*count),
            Crash::Subset(choose) => {
                let effects = self.describe().into_iter().enumerate();
                effects.map(|(number, effect)| kept(choose(number, &effect))).collect()
            }
            Crash::Choose(choose) => {
                let effects = self.describe().into_iter().enumerate();
                effects.map(|(number, effect)| choose(number, &effect)).collect()
            }
            Crash::Random(seed) => self.random_fates(*seed),
            Crash::Hostile(seed, hostile) => {
                let mut fates = self.random_fates(*seed);
                self.make_worse(&mut fates, *seed, *hostile);
                fates
            }
        }
    }

    /// The write in flight ends within its bytes, and what else the call does with them.
    fn torn(&self, count: u64) -> Vec<Fate> {
        let mut left = count;
        let mut end = None;
        let fate = |effect: &Effect| {
            if effect.call != self.call {
                return Fate::Kept;
            }
            match &effect.change {
                Change::Data { sector, changed, .. } => {
                    let length = (changed.end - changed.start) as u64;
                    let written = length.min(left);
                    left -= written;
                    if written == 0 {
                        return Fate::Lost;
                    }
                    end = Some(sector * SECTOR_SIZE + changed.start as u64 + written);
                    if written == length { Fate::Kept } else { Fate::Torn(written) }
                }
                Change::Length { .. } => end.map_or(Fate::Lost, Fate::Length),
                _ => Fate::Lost,
            }
        };
        self.pending.iter().map(fate).collect()
    }

    /// See [`SimDisk::torn_points`](super::SimDisk::torn_points).
    pub(super) fn torn_points(&self) -> Vec<u64> {
        let before = self.crash(&Crash::Torn(0));
        let is_in_flight = |effect: &&Effect| effect.call == self.call;
        let in_flight = || self.pending.iter().filter(is_in_flight);
        let grows = in_flight().any(|effect| matches!(effect.change, Change::Length { .. }));
        let (mut points, mut count) = (vec![0], 0);
        for effect in in_flight() {
            let Change::Data { inode, sector, bytes, at, changed } = &effect.change else {
                continue;
            };
            let new = &bytes[at + changed.start..at + changed.end];
            let mut old = new.to_vec();
            if let Some(inode) = before.inodes.get(inode) {
                inode.durable.read_past_end(&mut old, sector * SECTOR_SIZE + changed.start as u64);
            }
            for (old, new) in old.iter().zip(new) {
                count += 1;
                if grows || old != new {
                    points.push(count);
                }
            }
        }
        points
    }

    fn random_fates(&self, seed: u64) -> Vec<Fate> {
        // A stream for each class: one more pending name does not change what happens to the data.
        let [mut data, mut inner, mut names] = [1, 2, 3].map(|class| Random::new(mix(seed, class)));
        let biases = [data.bias(), inner.bias(), names.bias()];
        let fate = |effect: &Effect| {
            let is_kept = match &effect.change {
                Change::Data { .. } => data.chance(biases[0]),
                Change::Length { from, to, .. } if from < to => {
                    if inner.chance(BETWEEN_PERCENT) {
                        return Fate::Length(between(*from, *to, &mut inner));
                    }
                    inner.chance(biases[1])
                }
                Change::Length { .. } | Change::Reservation { .. } => inner.chance(biases[1]),
                _ => names.chance(biases[2]),
            };
            if is_kept { Fate::Kept } else { Fate::Lost }
        };
        self.pending.iter().map(fate).collect()
    }

    fn make_worse(&self, fates: &mut [Fate], seed: u64, hostile: Hostile) {
        let [mut random, mut blocks] = [4, 5].map(|class| Random::new(mix(seed, class)));
        for (effect, fate) in self.pending.iter().zip(fates) {
            match &effect.change {
                Change::Data { changed, .. } => {
                    let length = (changed.end - changed.start) as u64;
                    let [torn, count] = [random.chance(HOSTILE_PERCENT), random.chance(50)];
                    let count = if count { random.below(length + 1) } else { length / 2 };
                    let [garbage, sector] = [(); 2].map(|()| random.chance(HOSTILE_PERCENT));
                    let noise = random.next();
                    if hostile.torn_sectors && torn {
                        *fate = Fate::Torn(count);
                    }
                    if hostile.garbage && garbage {
                        *fate = Fate::Garbage(noise);
                    }
                    if hostile.unsafe_overwrite && sector {
                        *fate = Fate::GarbageSector(noise);
                    }
                }
                Change::Length { from, to, .. } if from < to => {
                    let [stale, noise] = [blocks.below(100), blocks.next()];
                    if hostile.stale_blocks && stale < HOSTILE_PERCENT && *fate != Fate::Lost {
                        *fate = Fate::NoisyLength(noise);
                    }
                }
                Change::Rename { .. } => {
                    let [split, both] = [random.chance(2 * HOSTILE_PERCENT), random.chance(50)];
                    if hostile.split_renames && split {
                        *fate = if both { Fate::BothNames } else { Fate::NeitherName };
                    }
                }
                _ => {}
            }
        }
    }

    /// Puts noise behind the ends of the files whose growth survives with it. What was written there, and
    /// survives, comes on top.
    fn show_stale_blocks(&self, fates: &[Fate], state: &mut State) {
        for (effect, fate) in self.pending.iter().zip(fates) {
            if let (Change::Length { inode, from, to }, Fate::NoisyLength(seed)) =
                (&effect.change, fate)
            {
                let durable = &mut state.inode_mut(*inode).durable;
                let from = durable.size().max(*from);
                let mut noise = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
                Random::new(*seed).fill(&mut noise);
                durable.write(&noise, from);
            }
        }
    }

    /// A file has one length: when a later version of it survives, the earlier ones have gone into it.
    fn imply_lengths(&self, fates: &mut [Fate]) {
        let mut survivors = BTreeSet::new();
        for (effect, fate) in self.pending.iter().zip(fates).rev() {
            if let Change::Length { inode, .. } = effect.change {
                if survivors.contains(&inode) {
                    *fate = Fate::Kept;
                } else if *fate != Fate::Lost {
                    survivors.insert(inode);
                }
            }
        }
    }

    fn describe_one(&self, effect: &Effect) -> PendingEffect {
        let (file, kind) = match &effect.change {
            Change::Data { sector, changed, .. } => (
                None,
                EffectKind::Data {
                    offset: sector * SECTOR_SIZE + changed.start as u64,
                    length: (changed.end - changed.start) as u64,
                },
            ),
            Change::Length { from, to, .. } => {
                let (from, to) = (*from, *to);
                (None, EffectKind::Length { from, to })
            }
            Change::Reservation { to, .. } => (None, EffectKind::Reservation { to: *to }),
            Change::Create { name, .. } => (Some(name), EffectKind::Create),
            Change::Remove { name } => (Some(name), EffectKind::Remove),
            Change::Rename { from, to, .. } => {
                let to = to.to_string();
                (Some(from), EffectKind::Rename { to })
            }
        };
        let inside = || {
            let inode = effect.change.inode()?;
            Some(&self.inodes.get(&inode)?.name)
        };
        PendingEffect {
            file: file.or_else(inside).map(|name| name.to_string()).unwrap_or_default(),
            kind,
            in_flight: effect.call == self.call,
        }
    }
}

/// A length on the way from one to the other; every second time the end of a sector.
fn between(from: u64, to: u64, random: &mut Random) -> u64 {
    let size = from + random.below(to - from + 1);
    if random.chance(50) {
        return size;
    }
    (size / SECTOR_SIZE * SECTOR_SIZE).max(from)
}
