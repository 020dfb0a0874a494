//! All files of a source, in the order in which they are read.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::file::TailedFile;
use super::options::FileGroup;
use super::position::{Identity, Position};
use super::scan::{Facts, Found, Scan, rotation_order};

/// Looks in a row at directories that keep changing before the last look is taken as it is.
const SCANS_MAX: usize = 8;
/// Handles kept open on files that have nothing to read.
const HANDLES_MAX: usize = 256;

/// The files, in the order in which they were first seen; those first seen together by their time
/// of change.
///
/// So a file that was renamed is always read before the one made under its old name, even when a
/// clock was set back or does not tell the two apart; it has been seen earlier, or in the same look
/// and is older.
#[derive(Default)]
pub(super) struct Files {
    pub(super) list: Vec<TailedFile>,
    /// What the last look at the directories told, by identity.
    pub(super) facts: BTreeMap<Identity, Facts>,
    /// Positions of an earlier run whose files were not met yet.
    remembered: BTreeMap<Identity, Position>,
    /// Identities whose positions are needed no more, unless other files have them by now.
    pub(super) forgotten: Vec<Identity>,
    /// What could not be read, so that it is said once and not at each look.
    refused: BTreeSet<PathBuf>,
}

impl Files {
    pub(super) fn new(remembered: BTreeMap<Identity, Position>) -> Files {
        Files { remembered, ..Files::default() }
    }

    /// Looks at the directories. Returns the ones that could not be read, and how many files are
    /// new (they are the last of the list).
    pub(super) fn discover(&mut self, groups: &[FileGroup]) -> (Vec<(PathBuf, io::Error)>, usize) {
        let mut scan = Scan::of(groups);
        for _ in 1..SCANS_MAX {
            // A listing is no snapshot: a file renamed meanwhile may be missing from it while its
            // successor is in it. Before anything new is read, two looks must agree.
            if !self.is_surprised_by(&scan) {
                break;
            }
            let previous = std::mem::replace(&mut scan, Scan::of(groups));
            if scan.agrees_with(&previous) {
                break;
            }
        }
        self.update_known(&scan);
        self.find_remembered(&scan, groups);
        let new = self.add_new(&scan);
        self.facts = scan.facts;
        (scan.failed, new)
    }

    fn is_surprised_by(&self, scan: &Scan) -> bool {
        let known: BTreeSet<Identity> = self.list.iter().map(|file| file.identity).collect();
        scan.found.keys().any(|identity| !known.contains(identity))
            || self.list.iter().any(|file| {
                (file.listed || !file.is_open()) && !scan.found.contains_key(&file.identity)
            })
            || !self.remembered.is_empty()
    }

    /// Notes new names of the files that are followed already, and which of them are gone.
    fn update_known(&mut self, scan: &Scan) {
        let mut kept = Vec::with_capacity(self.list.len());
        for mut file in std::mem::take(&mut self.list) {
            let replaced = |facts: &Facts| file.is_replaced_by(facts);
            let found = match scan.facts.get(&file.identity).is_some_and(replaced) {
                true => None,
                false => scan.found.get(&file.identity),
            };
            if let Some(found) = found {
                file.rotated |= file.found.path != found.path;
                file.found = found.clone();
                file.listed = true;
            } else if scan.covers(&file.found.path) {
                file.listed = false;
                if !file.is_open() && !self.find_elsewhere(&mut file, scan) {
                    self.say_gone(&file.found.path, file.offset(), file.unread());
                    self.forgotten.push(file.identity);
                    continue;
                }
            }
            kept.push(file);
        }
        self.list = kept;
    }

    fn find_elsewhere(&mut self, file: &mut TailedFile, scan: &Scan) -> bool {
        let Some(path) = scan.elsewhere(file.identity) else {
            return false;
        };
        file.rotated = true;
        file.reopen(&path).unwrap_or_else(|error| {
            self.say_refused(&path, &error);
            false
        })
    }

    /// Files an earlier run has read from and that match no longer: rotated while nobody looked.
    /// They are the oldest, so they are added first.
    /// A pattern with a mistake in it looks like one whose files are still to come.
    pub(super) fn say_unmatched(&self, groups: &[FileGroup]) {
        for (index, group) in groups.iter().enumerate() {
            if self.list.iter().all(|file| file.found.group != index) {
                tracing::warn!(
                    "no file in {} matches {} yet",
                    group.directory().display(),
                    group.pattern()
                );
            }
        }
    }

    fn find_remembered(&mut self, scan: &Scan, groups: &[FileGroup]) {
        let missing: Vec<Identity> = self
            .remembered
            .iter()
            .filter(|(identity, position)| {
                !scan.found.contains_key(identity) && scan.covers(&position.path)
            })
            .map(|(identity, _)| *identity)
            .collect();
        for identity in missing {
            let Some(position) = self.remembered.remove(&identity) else {
                continue;
            };
            let Some(group) = groups.iter().position(|group| position.is_in(group.directory()))
            else {
                // No group reads this directory any more. The position stays, for the day one does
                // again.
                continue;
            };
            match scan.elsewhere(identity) {
                // Under its old name, which the pattern now leaves out on purpose.
                Some(path) if path == position.path => {}
                Some(path) => self.finish_renamed(identity, group, &path, position),
                None => {
                    let unread = position.length.saturating_sub(position.offset);
                    self.say_gone(&position.path, position.offset, unread);
                    self.forgotten.push(identity);
                }
            }
        }
    }

    /// The identities whose positions are needed no more. Where a file was made that has the inode number of
    /// one that is gone, the position is its own by now; or it is still the old one, and the next start sees
    /// by it that the file is another, which is read from its start.
    pub(super) fn take_forgotten(&mut self) -> Vec<Identity> {
        let mut forgotten = std::mem::take(&mut self.forgotten);
        forgotten.retain(|identity| !self.facts.contains_key(identity));
        forgotten
    }

    fn finish_renamed(&mut self, identity: Identity, group: usize, path: &Path, at: Position) {
        let found = Found { path: at.path.clone(), group };
        match self.open(identity, found, path, Some(&at)) {
            // Its inode number belongs to a file nobody asked for.
            Some(file) if file.is_restarted() => {
                self.say_gone(&at.path, at.offset, at.length.saturating_sub(at.offset));
                self.forgotten.push(identity);
            }
            Some(mut file) => {
                tracing::info!(
                    "{} is now {}: its rest is read first",
                    at.path.display(),
                    path.display()
                );
                file.listed = false;
                file.rotated = true;
                self.list.push(file);
            }
            None => {
                self.remembered.insert(identity, at);
            }
        }
    }

    fn add_new(&mut self, scan: &Scan) -> usize {
        let known: BTreeSet<Identity> = self.list.iter().map(|file| file.identity).collect();
        let mut new: Vec<(Identity, &Found)> = scan
            .found
            .iter()
            .filter(|(identity, _)| !known.contains(identity))
            .map(|(identity, found)| (*identity, found))
            .collect();
        new.sort_by(|(left, left_found), (right, right_found)| {
            let key = |identity| {
                let modified = scan.facts.get(identity).map(|facts| facts.modified);
                (!self.remembered.contains_key(identity), modified)
            };
            key(left)
                .cmp(&key(right))
                .then_with(|| rotation_order(&left_found.path, &right_found.path))
        });
        let mut added = 0;
        for (identity, found) in new {
            let position = self.remembered.remove(&identity);
            match self.open(identity, found.clone(), &found.path, position.as_ref()) {
                Some(file) => {
                    added += usize::from(position.is_none());
                    self.list.push(file);
                }
                None => {
                    position.and_then(|position| self.remembered.insert(identity, position));
                }
            }
        }
        added
    }

    fn open(
        &mut self,
        identity: Identity,
        found: Found,
        path: &Path,
        position: Option<&Position>,
    ) -> Option<TailedFile> {
        let opened = TailedFile::open(identity, found, path).and_then(|file| {
            let Some(mut file) = file else {
                return Ok(None);
            };
            if let Some(position) = position {
                file.resume(position)?;
            }
            Ok(Some(file))
        });
        opened.unwrap_or_else(|error| {
            self.say_refused(path, &error);
            None
        })
    }

    /// Closes files that have nothing to read and still match. Should one be renamed, it is found
    /// by its identity.
    pub(super) fn close_surplus(&mut self) {
        let open = self.list.iter().filter(|file| file.is_open()).count();
        let spare = |file: &&mut TailedFile| {
            file.is_open() && file.listed && file.is_exhausted() && file.unread() == 0
        };
        self.list
            .iter_mut()
            .filter(spare)
            .take(open.saturating_sub(HANDLES_MAX))
            .for_each(TailedFile::close);
    }

    fn say_gone(&self, path: &Path, offset: u64, unread: u64) {
        if unread == 0 {
            tracing::info!("{} is gone; all of it that was seen was read", path.display());
        } else {
            tracing::warn!(
                "{} is gone, and at least {unread} bytes from offset {offset} on were not read: \
                 they are lost to this source. \
                 Rotate by renaming within the directory, delete later",
                path.display()
            );
        }
    }

    /// Says that `path` cannot be read, once.
    pub(super) fn say_refused(&mut self, path: &Path, error: &io::Error) {
        if self.refused.insert(path.to_path_buf()) {
            tracing::warn!("cannot read {}: {error}; trying again", path.display());
        }
    }

    /// The path can be read (again).
    pub(super) fn say_readable(&mut self, path: &Path) {
        if self.refused.remove(path) {
            tracing::info!("{} can be read again", path.display());
        }
    }
}
