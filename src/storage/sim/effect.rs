//! Pending effects: what a program has done and no sync has made durable.
//!
//! Three things make up the state of a disk, and each of them survives a crash in one of its versions:
//! a sector (its bytes after some write), the inode of a file (its length), a name (which file it means).
//! A pending effect is one new version.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::content::Content;
use super::random::{Random, fingerprint, mix};

/// What a disk writes whole, as far as it keeps its word.
pub const SECTOR_SIZE: u64 = 512;

/// A pending effect, described for those who choose its fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEffect {
    /// The file's name, or its last one.
    pub file: String,
    /// What it changes.
    pub kind: EffectKind,
    /// Whether it belongs to the newest call.
    pub in_flight: bool,
}

/// What a pending effect changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectKind {
    /// Bytes of one sector.
    Data {
        /// Where in the file the write began to change this sector.
        offset: u64,
        /// How many bytes of the sector it changed.
        length: u64,
    },
    /// The file's length. One version of it implies the earlier ones of the same file: what a cut has
    /// taken away does not come back when a later growth survives.
    Length {
        /// Before the call.
        from: u64,
        /// After the call.
        to: u64,
    },
    /// Reserved blocks.
    Reservation {
        /// For the bytes below.
        to: u64,
    },
    /// The name of a new file.
    Create,
    /// A removed name.
    Remove,
    /// A name given to another file.
    Rename {
        /// The new name.
        to: String,
    },
}

impl fmt::Display for PendingEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        match &self.kind {
            EffectKind::Data { offset, length } => write!(f, "{length} bytes at {offset}")?,
            EffectKind::Length { from, to } => write!(f, "length {from} -> {to}")?,
            EffectKind::Reservation { to } => write!(f, "blocks below {to}")?,
            EffectKind::Create => write!(f, "created")?,
            EffectKind::Remove => write!(f, "removed")?,
            EffectKind::Rename { to } => write!(f, "renamed to {to}")?,
        }
        if self.in_flight {
            write!(f, " (in flight)")?;
        }
        Ok(())
    }
}

/// What becomes of a pending effect in a crash. A fate that does not fit the kind of effect counts as
/// [`Fate::Kept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never happened.
    Lost,
    /// It is durable.
    Kept,
    /// Data: only so many of the changed bytes of the sector are new, the rest is as it was.
    Torn(u64),
    /// Data: the changed bytes are noise from this seed. Bytes that no program could foresee, or what
    /// the blocks held for a former owner.
    Garbage(u64),
    /// Data: the whole sector is noise from this seed, with the bytes that were durable before.
    GarbageSector(u64),
    /// Length: a growth stopped here. Values outside the growth count as its nearer end.
    Length(u64),
    /// Length: a growth survived, and where nothing was written behind the old end there is noise from this
    /// seed: what the blocks held before, on file systems that do not clear them.
    NoisyLength(u64),
    /// Rename: the file has the new name and the old one as well.
    BothNames,
    /// Rename: the file has lost the old name and not got the new one.
    NeitherName,
}

/// A pending effect as the disk keeps it.
#[derive(Clone)]
pub(super) struct Effect {
    /// Which call it belongs to.
    pub(super) call: u64,
    pub(super) change: Change,
}

#[derive(Clone)]
pub(super) enum Change {
    Data {
        inode: u64,
        /// The sector's number in the file.
        sector: u64,
        /// Whole sectors, as the cache held them after the write: a disk writes the cache's sector, and
        /// so the earlier changes to it as well.
        bytes: Arc<[u8]>,
        /// Where in `bytes` this sector begins.
        at: usize,
        /// Which bytes of the sector the write changed.
        changed: Range<usize>,
    },
    Length {
        inode: u64,
        from: u64,
        to: u64,
    },
    Reservation {
        inode: u64,
        to: u64,
    },
    Create {
        name: Arc<str>,
        inode: u64,
    },
    Remove {
        name: Arc<str>,
    },
    Rename {
        from: Arc<str>,
        to: Arc<str>,
        inode: u64,
    },
}

impl Change {
    /// The file whose inside changes.
    pub(super) fn inode(&self) -> Option<u64> {
        match self {
            Change::Data { inode, .. }
            | Change::Length { inode, .. }
            | Change::Reservation { inode, .. } => Some(*inode),
            _ => None,
        }
    }

    /// A fingerprint; `rank` gives an inode's number among those that there are.
    pub(super) fn fingerprint(&self, rank: impl Fn(u64) -> u64) -> u64 {
        let name = |name: &Arc<str>| fingerprint(name.as_bytes());
        let parts = match self {
            Change::Data { inode, sector, bytes, at, changed } => {
                let bytes = fingerprint(&bytes[*at..*at + SECTOR_SIZE as usize]);
                [1, rank(*inode), *sector, bytes, (changed.start << 16 | changed.end) as u64]
            }
            Change::Length { inode, from, to } => [2, rank(*inode), *from, *to, 0],
            Change::Reservation { inode, to } => [3, rank(*inode), *to, 0, 0],
            Change::Create { name: created, inode } => [4, rank(*inode), name(created), 0, 0],
            Change::Remove { name: removed } => [5, name(removed), 0, 0, 0],
            Change::Rename { from, to, inode } => [6, rank(*inode), name(from), name(to), 0],
        };
        parts.into_iter().fold(0, mix)
    }

    /// The names that change: one, or two for a rename.
    pub(super) fn names(&self) -> [Option<&str>; 2] {
        match self {
            Change::Create { name, .. } | Change::Remove { name } => [Some(name), None],
            Change::Rename { from, to, .. } => [Some(from), Some(to)],
            _ => [None, None],
        }
    }

    /// Whether this change can only be durable together with the `earlier` one, or on top of it. A crash
    /// may tear such a pair apart, since nothing follows; a write-back may not, since the sync that
    /// follows would put the earlier version over the later one.
    pub(super) fn rests_on(&self, earlier: &Change) -> bool {
        if self.inode().is_some() {
            return self.inode() == earlier.inode() && self.overlaps(earlier);
        }
        let earlier = earlier.names();
        self.names().iter().any(|name| name.is_some() && earlier.contains(name))
    }

    fn overlaps(&self, earlier: &Change) -> bool {
        let past = |sector: u64, size: u64| (sector + 1) * SECTOR_SIZE > size;
        match (self, earlier) {
            (Change::Data { sector: one, .. }, Change::Data { sector: other, .. }) => one == other,
            (Change::Data { sector, .. }, Change::Length { from, to, .. })
            | (Change::Length { from, to, .. }, Change::Data { sector, .. }) => {
                to < from && past(*sector, *to)
            }
            (Change::Length { .. } | Change::Reservation { .. }, Change::Length { .. }) => true,
            (Change::Length { .. }, Change::Reservation { .. }) => true,
            _ => false,
        }
    }

    /// Changes the inside of a file as `fate` says.
    pub(super) fn apply(&self, content: &mut Content, fate: Fate) {
        match self {
            Change::Data { sector, bytes, at, changed, .. } => {
                let new = &bytes[*at..*at + SECTOR_SIZE as usize];
                apply_data(content, *sector * SECTOR_SIZE, new, changed.clone(), fate);
            }
            Change::Length { from, to, .. } if to < from => match fate {
                Fate::Lost => {}
                _ => content.cut(*to),
            },
            Change::Length { from, to, .. } => match fate {
                Fate::Lost => {}
                Fate::Length(size) => content.grow(size.clamp(*from, *to)),
                _ => content.grow(*to),
            },
            Change::Reservation { to, .. } => match fate {
                Fate::Lost => {}
                _ => content.reserve(*to),
            },
            _ => {}
        }
    }
}

fn apply_data(content: &mut Content, start: u64, new: &[u8], changed: Range<usize>, fate: Fate) {
    let mut sector = [0; SECTOR_SIZE as usize];
    match fate {
        Fate::Lost => return,
        Fate::Torn(count) => {
            content.read_past_end(&mut sector, start);
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let end = changed.end.min(changed.start.saturating_add(count));
            sector[changed.start..end].copy_from_slice(&new[changed.start..end]);
        }
        Fate::Garbage(seed) => {
            sector.copy_from_slice(new);
            Random::new(seed).fill(&mut sector[changed]);
        }
        Fate::GarbageSector(seed) => Random::new(seed).fill(&mut sector),
        _ => sector.copy_from_slice(new),
    }
    content.write(&sector, start);
}
