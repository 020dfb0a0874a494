//! Which file is which, and how far it was read: what the source records in the channel.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Bytes at a file's start that tell it from another one which got its inode number later.
pub(super) const HEAD_MAX: usize = 256;
/// A cursor's value may have 4,096 bytes; the path is for messages only and is cut to what is left.
const PATH_MAX: usize = 3900;

/// What stays the same when a file is renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Identity {
        Identity { device: metadata.dev(), inode: metadata.ino() }
    }

    pub(super) fn inode(&self) -> u64 {
        self.inode
    }

    /// The name of the cursor that holds this file's position.
    pub(super) fn cursor(&self, source: &str) -> String {
        format!("{}{}:{}", cursor_prefix(source), self.device, self.inode)
    }

    /// The identity in a cursor's name from which [`cursor_prefix`] was cut off.
    pub(super) fn from_cursor(rest: &str) -> Option<Identity> {
        let (device, inode) = rest.split_once(':')?;
        Some(Identity { device: device.parse().ok()?, inode: inode.parse().ok()? })
    }
}

/// What the names of all cursors of the source `source` begin with.
pub(super) fn cursor_prefix(source: &str) -> String {
    format!("taildir/{source}/")
}

/// When the file was made, in nanoseconds since 1970; 0 where the file system does not say.
pub(super) fn birth(metadata: &Metadata) -> u64 {
    let born = metadata.created().ok();
    let since = born.and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// How far a file was read, and what it takes to know the file again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Bytes delivered.
    pub(super) offset: u64,
    /// Length of the file when this was recorded, so that a file that has vanished can be reported
    /// with the number of bytes lost.
    pub(super) length: u64,
    /// As [`birth`].
    pub(super) born: u64,
    /// How many of the first bytes `checksum` covers: those delivered, up to [`HEAD_MAX`].
    /// Delivered bytes of a log do not change, so a short file that grows still matches.
    pub(super) head: usize,
    /// CRC-32 of these bytes.
    pub(super) checksum: u32,
    /// The last name under which the file matched its group.
    pub(super) path: PathBuf,
}

impl Position {
    /// Text for people who look at a channel's cursors: a version, the numbers, then the path to
    /// the end.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = format!(
            "1 {} {} {} {} {:08x} ",
            self.offset, self.length, self.born, self.head, self.checksum
        )
        .into_bytes();
        let path = self.path.as_os_str().as_bytes();
        bytes.extend_from_slice(&path[..path.len().min(PATH_MAX)]);
        bytes
    }

    /// `None` when another version wrote it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Position> {
        let mut parts = bytes.splitn(7, |byte| *byte == b' ');
        let mut text = || std::str::from_utf8(parts.next()?).ok();
        if text()? != "1" {
            return None;
        }
        Some(Position {
            offset: text()?.parse().ok()?,
            length: text()?.parse().ok()?,
            born: text()?.parse().ok()?,
            head: text()?.parse().ok().filter(|head| *head <= HEAD_MAX)?,
            checksum: u32::from_str_radix(text()?, 16).ok()?,
            path: PathBuf::from(std::ffi::OsString::from_vec(parts.next()?.to_vec())),
        })
    }

    /// Whether `file` is the one this was recorded for and still holds what was delivered.
    pub(super) fn fits(&self, file: &File, metadata: &Metadata) -> io::Result<bool> {
        let born = birth(metadata);
        if (self.born != 0 && born != 0 && self.born != born) || metadata.len() < self.offset {
            return Ok(false);
        }
        let head = read_head(file, self.head)?;
        Ok(head.len() == self.head && crc32fast::hash(&head) == self.checksum)
    }

    /// Whether the file was in `directory` when it last matched.
    pub(super) fn is_in(&self, directory: &Path) -> bool {
        self.path.parent() == Some(directory)
    }
}

/// The first `length` bytes, or all there are.
pub(super) fn read_head(file: &File, length: usize) -> io::Result<Vec<u8>> {
    let mut head = vec![0; length];
    let count = read_at(file, &mut head, 0)?;
    head.truncate(count);
    Ok(head)
}

/// Reads until `buffer` is full or the file ends, and says how much was read.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_encoding_whatever_its_path() {
        let position = Position {
            offset: 12,
            length: 34,
            born: 56,
            head: 12,
            checksum: 0xabc,
            path: PathBuf::from(std::ffi::OsString::from_vec(b"/a b/\xff 1\n".to_vec())),
        };
        assert_eq!(Position::decode(&position.encode()), Some(position));
    }

    #[test]
    fn what_another_version_wrote_is_not_guessed_at() {
        for bytes in [&b""[..], b"2 0 0 0 0 0 /a", b"1 x 0 0 0 0 /a", b"1 0 0 0 999 0 /a", b"1 0 0"]
        {
            assert_eq!(Position::decode(bytes), None);
        }
    }

    #[test]
    fn a_cursor_name_holds_the_identity() {
        let identity = Identity { device: 7, inode: 9 };
        assert_eq!(identity.cursor("s"), "taildir/s/7:9");
        assert_eq!(Identity::from_cursor("7:9"), Some(identity));
        assert_eq!(Identity::from_cursor("7"), None);
    }
}
