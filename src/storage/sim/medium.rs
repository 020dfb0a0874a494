//! What a medium does wrong: sectors that cannot be read for a while; and, without a word, other bytes than
//! were written in this place, or bytes written elsewhere or nowhere. No program can prevent that; it can
//! notice.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use super::content::Content;
use super::effect::{Fate, SECTOR_SIZE};
use super::fault::{Fault, failure};
use super::state::{State, Version};

const SECTOR: usize = SECTOR_SIZE as usize;

impl State {
    /// Reads as far as the file goes, with what the medium and `fault` make of it.
    pub(super) fn read(
        &mut self,
        handle: u64,
        buffer: &mut [u8],
        offset: u64,
        fault: Option<Fault>,
    ) -> io::Result<usize> {
        let inode = self.inode_of(handle)?;
        let count = self.inodes[&inode].cache.read(buffer, offset);
        self.try_bad_sectors(inode, sectors(offset..offset + count as u64))?;
        let bytes = &mut buffer[..count];
        if let Some(fault) = fault.filter(|_| count > 0) {
            let right = bytes.to_vec();
            self.distort(inode, bytes, offset, fault);
            self.is_distorted = right != bytes;
        }
        Ok(count)
    }

    /// Fails when one of these sectors cannot be read; each failed try brings it nearer to healing.
    fn try_bad_sectors(&mut self, inode: u64, sectors: Range<u64>) -> io::Result<()> {
        let bad_sectors = &mut self.inode_mut(inode).bad_sectors;
        let Some((sector, tries)) = bad_sectors.range_mut(sectors).next() else {
            return Ok(());
        };
        *tries = tries.saturating_sub(1);
        if *tries == 0 {
            let sector = *sector;
            bad_sectors.remove(&sector);
        }
        Err(failure(ErrorKind::Other))
    }

    fn distort(&self, inode: u64, bytes: &mut [u8], offset: u64, fault: Fault) {
        let sectors = sectors(offset..offset + bytes.len() as u64);
        let nth = |index: u64| sectors.start + index % (sectors.end - sectors.start);
        let (sector, other) = match fault {
            Fault::FlipBit(bit) => {
                let bit = bit % (bytes.len() as u64 * 8);
                bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
                return;
            }
            Fault::StaleRead { sector, back } => {
                let sector = nth(sector);
                (sector, self.version(inode, sector, back))
            }
            Fault::MisdirectedRead { sector, from } => {
                let mut other = [0; SECTOR];
                if let Some((inode, from)) = self.any_sector(from) {
                    self.inodes[&inode].cache.read_past_end(&mut other, from * SECTOR_SIZE);
                }
                (nth(sector), Some(other.to_vec()))
            }
            _ => return,
        };
        let Some(other) = other else {
            return;
        };
        let start = (sector * SECTOR_SIZE).max(offset);
        let end = ((sector + 1) * SECTOR_SIZE).min(offset + bytes.len() as u64);
        let within = (start - sector * SECTOR_SIZE) as usize..(end - sector * SECTOR_SIZE) as usize;
        bytes[(start - offset) as usize..(end - offset) as usize].copy_from_slice(&other[within]);
    }

    /// A sector as it was so many writes ago, or as old as is known.
    fn version(&self, inode: u64, sector: u64, back: u64) -> Option<Vec<u8>> {
        let versions = self.inodes[&inode].versions.iter().rev();
        let of_sector = versions.filter(|version| version.sector == sector);
        let back = usize::try_from(back).unwrap_or(usize::MAX);
        let found = of_sector.take(back.saturating_add(1)).last()?;
        Some(found.bytes[found.at..found.at + SECTOR].to_vec())
    }

    /// One of all sectors of all files, in order of the names.
    fn any_sector(&self, index: u64) -> Option<(u64, u64)> {
        let count = |inode: &u64| self.inodes[inode].cache.size().div_ceil(SECTOR_SIZE);
        let all: u64 = self.names.values().map(count).sum();
        let mut index = index.checked_rem(all)?;
        for inode in self.names.values() {
            if index < count(inode) {
                return Some((*inode, index));
            }
            index -= count(inode);
        }
        None
    }

    /// Whether the sectors of a write do not reach their place. Writes them where they go instead.
    pub(super) fn mislead(&mut self, bytes: &[u8], fault: Option<Fault>) -> bool {
        match fault {
            Some(Fault::DroppedWrite) => true,
            Some(Fault::MisdirectedWrite(to)) => {
                if let Some((inode, sector)) = self.any_sector(to) {
                    let durable = &mut self.inode_mut(inode).durable;
                    let left = durable.size().saturating_sub(sector * SECTOR_SIZE);
                    let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    durable.write(&bytes[..count], sector * SECTOR_SIZE);
                }
                true
            }
            _ => false,
        }
    }

    /// Keeps what is about to be overwritten for the first time.
    pub(super) fn keep_version_before(&mut self, inode: u64, changed: Range<u64>) {
        if !self.keeps_versions {
            return;
        }
        for sector in sectors(changed) {
            let file = self.inode_mut(inode);
            if file.versions.iter().all(|version| version.sector != sector) {
                let mut bytes = [0; SECTOR];
                file.cache.read_past_end(&mut bytes, sector * SECTOR_SIZE);
                let bytes: Arc<[u8]> = Arc::new(bytes);
                Arc::make_mut(&mut file.versions).push(Version { sector, bytes, at: 0 });
            }
        }
    }

    /// Keeps what was written: whole sectors, the first of them this one.
    pub(super) fn keep_versions(&mut self, inode: u64, first: u64, bytes: &Arc<[u8]>) {
        if !self.keeps_versions {
            return;
        }
        let versions = Arc::make_mut(&mut self.inode_mut(inode).versions);
        for at in (0..bytes.len()).step_by(SECTOR) {
            let sector = first + (at / SECTOR) as u64;
            versions.push(Version { sector, bytes: Arc::clone(bytes), at });
        }
    }

    /// Makes the cache of each file what its medium holds, with all that is pending on top. Lengths stay.
    pub(super) fn drop_caches(&mut self) {
        let inodes: Vec<u64> = self.inodes.keys().copied().collect();
        for inode in inodes {
            let mut fresh: Content = self.inodes[&inode].durable.clone();
            for effect in self.pending.iter() {
                if effect.change.inode() == Some(inode) {
                    effect.change.apply(&mut fresh, Fate::Kept);
                }
            }
            let cache = &mut self.inode_mut(inode).cache;
            fresh.cut(fresh.size().min(cache.size()));
            fresh.grow(cache.size());
            *cache = fresh;
        }
    }
}

/// The sectors that these bytes lie in.
fn sectors(bytes: Range<u64>) -> Range<u64> {
    bytes.start / SECTOR_SIZE..bytes.end.div_ceil(SECTOR_SIZE)
}
