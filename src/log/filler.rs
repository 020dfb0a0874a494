//! A group that ends close to the end of a page is filled up to there, with a record that says nothing. The
//! next group begins on a page of its own then: it does not write this one's last page to the device again,
//! and no write after this group's sync touches a page of it.
//!
//! What fills is in the same write, behind the group's records: it is there with them, or, after a crash, in
//! part or not at all, as a record of theirs may be.

use std::ops::Range;

use super::record::{HEADER_SIZE, Kind, Place, Seed, append_blank, seal};
use super::segment::PAGE;

/// A group is filled up by no more than this part of it: so much longer a log gets at most, and so much more
/// there is to read.
const SHARE: u64 = 16;

/// The most bytes that a group of `size` bytes is filled up by.
fn filler_max(size: u64) -> u64 {
    (size / SHARE).min(PAGE)
}

/// Bytes of memory for a record of `size` bytes and what may be behind it.
pub(crate) fn filled_max(size: usize) -> usize {
    size + filler_max(size as u64) as usize
}

/// What fills up a group; nothing where the group ends too far from a page's end.
pub(super) struct Filler {
    size: u64,
    offset: u64,
    place: Place,
}

impl Filler {
    /// Behind a group in these bytes of a file of `capacity` bytes.
    pub(super) fn new(group: Range<u64>, capacity: u64, place: Place) -> Filler {
        let end = group.end.next_multiple_of(PAGE);
        let left = end - group.end;
        let fills = (HEADER_SIZE as u64..=filler_max(group.end - group.start)).contains(&left);
        let size = if fills && end <= capacity { left } else { 0 };
        Filler { size, offset: group.end, place }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Appends it to the bytes of the group.
    pub(super) fn append(&self, bytes: &mut Vec<u8>, seed: &Seed) {
        if self.size == 0 {
            return;
        }
        let at = bytes.len();
        let payload_size = self.size as usize - HEADER_SIZE;
        let sum = append_blank(bytes, |bytes| bytes.resize(bytes.len() + payload_size, 0));
        let header = &mut bytes[at..at + HEADER_SIZE];
        seal(header, Kind::Watermark, sum, seed, (self.offset, self.place));
    }
}
