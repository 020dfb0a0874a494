//! What is in the directories now.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::options::FileGroup;
use super::position::{Identity, birth};

/// Smallest number at the end of a name that is taken for a date or a time: nobody keeps a hundred
/// thousand rotated files.
const DATE_MIN: u64 = 100_000;

/// A file that matches a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) group: usize,
}

/// One look at all directories.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Matching files. A file with several names has the first.
    pub(super) found: BTreeMap<Identity, Found>,
    /// Facts for ordering and for noticing changes; not part of what makes two looks equal.
    pub(super) facts: BTreeMap<Identity, Facts>,
    /// Names by inode number of what does not match: where a renamed file may be.
    others: BTreeMap<u64, Vec<PathBuf>>,
    /// Directories that could not be read. What was in them is not gone.
    pub(super) failed: Vec<(PathBuf, io::Error)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) length: u64,
    pub(super) modified: SystemTime,
    /// As [`birth`].
    pub(super) born: u64,
}

impl Scan {
    pub(super) fn of(groups: &[FileGroup]) -> Scan {
        let mut scan = Scan::default();
        let mut directories: Vec<&Path> = Vec::new();
        for group in groups {
            if !directories.contains(&group.directory()) {
                directories.push(group.directory());
            }
        }
        for directory in directories {
            if let Err(error) = scan.read(directory, groups) {
                scan.failed.push((directory.to_path_buf(), error));
            }
        }
        scan
    }

    fn read(&mut self, directory: &Path, groups: &[FileGroup]) -> io::Result<()> {
        for name in fs::read_dir(directory)? {
            let name = name?;
            let path = name.path();
            match group_of(&name, directory, groups) {
                None => self.others.entry(name.ino()).or_default().push(path),
                Some(group) => {
                    // Follows symbolic links; a file that vanished since it was listed is not
                    // there.
                    let Ok(metadata) = fs::metadata(&path) else {
                        continue;
                    };
                    if metadata.is_file() {
                        self.add(Found { path, group }, &metadata);
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, found: Found, metadata: &Metadata) {
        let identity = Identity::of(metadata);
        let facts = Facts {
            length: metadata.len(),
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            born: birth(metadata),
        };
        self.facts.insert(identity, facts);
        let known = self.found.entry(identity).or_insert_with(|| found.clone());
        if found.path < known.path {
            *known = found;
        }
    }

    /// Whether both looks saw the same files under the same names. Only then is it certain that no
    /// file was renamed from under the look and so not seen at all.
    pub(super) fn agrees_with(&self, other: &Scan) -> bool {
        self.found == other.found
    }

    /// Where the file is now, under a name that does not match.
    pub(super) fn elsewhere(&self, identity: Identity) -> Option<PathBuf> {
        let paths = self.others.get(&identity.inode())?;
        let is_it = |path: &&PathBuf| {
            fs::metadata(path)
                .is_ok_and(|metadata| metadata.is_file() && Identity::of(&metadata) == identity)
        };
        paths.iter().find(is_it).cloned()
    }

    /// Whether the directory of `path` was read, so that the absence of a file means something.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let parent = path.parent();
        !self.failed.iter().any(|(failed, _)| Some(failed.as_path()) == parent)
    }
}

fn group_of(name: &DirEntry, directory: &Path, groups: &[FileGroup]) -> Option<usize> {
    let name = name.file_name();
    let name = name.to_string_lossy();
    groups.iter().position(|group| group.directory() == directory && group.pattern.is_match(&name))
}

/// Which of two files, last changed at the same moment, is the older one; a rotation can be quicker
/// than the file system's clock ticks. Numbers count the rotations since, as logrotate's do:
/// `log.2` is older than `log.1`, and that older than `log`. Numbers of many digits are dates or
/// times, and those grow.
pub(super) fn rotation_order(left: &Path, right: &Path) -> Ordering {
    let (left_stem, left_number) = split_number(left);
    let (right_stem, right_number) = split_number(right);
    let age = |number: Option<u64>| match number {
        Some(date) if date >= DATE_MIN => (1, u64::MAX - date),
        Some(count) => (1, count),
        None => (0, 0),
    };
    right_stem.cmp(&left_stem).then_with(|| age(right_number).cmp(&age(left_number)))
}

fn split_number(path: &Path) -> (String, Option<u64>) {
    let name = path.to_string_lossy().into_owned();
    let stem = name.trim_end_matches(|last: char| last.is_ascii_digit());
    let number = name[stem.len()..].parse().ok();
    (stem.to_string(), number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_numbers_are_older_and_the_bare_name_is_the_newest() {
        let mut names = ["log", "log.1", "log.10", "log.9"].map(PathBuf::from);
        names.sort_by(|left, right| rotation_order(left, right));
        assert_eq!(names, ["log.10", "log.9", "log.1", "log"].map(PathBuf::from));
    }
}
