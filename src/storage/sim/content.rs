//! What a file holds: sparse, and cheap to copy.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::random::{fingerprint, mix};

/// Unit of sharing and of space.
pub(super) const PAGE_SIZE: u64 = 4096;

#[derive(Clone)]
struct Page {
    bytes: [u8; PAGE_SIZE as usize],
    /// Of the bytes, once somebody has asked; 0 when they are all zero. Shared with the page, so that
    /// hashing the next of many like images costs only what differs.
    fingerprint: OnceLock<u64>,
}

impl Page {
    fn zeros() -> Page {
        Page { bytes: [0; PAGE_SIZE as usize], fingerprint: OnceLock::new() }
    }

    /// The bytes, for writing.
    fn own(page: &mut Arc<Page>) -> &mut [u8; PAGE_SIZE as usize] {
        let page = Arc::make_mut(page);
        page.fingerprint = OnceLock::new();
        &mut page.bytes
    }

    fn fingerprint(&self) -> u64 {
        *self.fingerprint.get_or_init(|| {
            if self.bytes == [0; PAGE_SIZE as usize] {
                return 0;
            }
            fingerprint(&self.bytes)
        })
    }
}

/// The bytes of a file. A page that is not there reads as zeros. A clone shares all pages.
///
/// The content that programs see holds zeros after its end. The content on the medium may hold bytes there,
/// whose length is still to come; [`Content::cut`] removes them.
#[derive(Clone, Default)]
pub(super) struct Content {
    pages: Arc<BTreeMap<u64, Arc<Page>>>,
    size: u64,
    /// Blocks are reserved for the pages below this one, whether they are there or not.
    reserved_pages: u64,
}

impl Content {
    pub(super) fn from_bytes(bytes: &[u8]) -> Content {
        let mut content = Content::default();
        content.grow(bytes.len() as u64);
        content.write(bytes, 0);
        content
    }

    /// Copies `bytes` in, without changing the size.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut bytes = bytes;
        let mut offset = offset;
        let pages = Arc::make_mut(&mut self.pages);
        while !bytes.is_empty() {
            let within = (offset % PAGE_SIZE) as usize;
            let count = bytes.len().min(PAGE_SIZE as usize - within);
            let page = pages.entry(offset / PAGE_SIZE).or_insert_with(|| Arc::new(Page::zeros()));
            Page::own(page)[within..within + count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            offset += count as u64;
        }
    }

    /// Grows the file, with a hole.
    pub(super) fn grow(&mut self, size: u64) {
        self.size = self.size.max(size);
    }

    /// Makes the file end at `size`, with nothing behind, and gives blocks back.
    pub(super) fn cut(&mut self, size: u64) {
        let pages_kept = size.div_ceil(PAGE_SIZE);
        let is_clean = self.pages.last_key_value().is_none_or(|(last, _)| last + 1 < pages_kept);
        if !is_clean {
            let pages = Arc::make_mut(&mut self.pages);
            pages.split_off(&pages_kept);
            if let Some(page) = pages.get_mut(&(size / PAGE_SIZE)) {
                Page::own(page)[(size % PAGE_SIZE) as usize..].fill(0);
            }
        }
        self.reserved_pages = self.reserved_pages.min(pages_kept);
        self.size = size;
    }

    /// Reserves blocks for the bytes below `size`.
    pub(super) fn reserve(&mut self, size: u64) {
        self.reserved_pages = self.reserved_pages.max(size.div_ceil(PAGE_SIZE));
    }

    pub(super) fn flip_bit(&mut self, bit: u64) {
        let mut byte = [0];
        if self.read(&mut byte, bit / 8) == 1 {
            self.write(&[byte[0] ^ (1 << (bit % 8))], bit / 8);
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` from `offset` on as far as the file goes, and says how far that is.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        self.read_past_end(&mut buffer[..count], offset);
        count
    }

    /// As [`Content::read`], but goes on with zeros after the end.
    pub(super) fn read_past_end(&self, buffer: &mut [u8], offset: u64) {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let within = (at % PAGE_SIZE) as usize;
            let count = (buffer.len() - done).min(PAGE_SIZE as usize - within);
            let part = &mut buffer[done..done + count];
            match self.pages.get(&(at / PAGE_SIZE)) {
                Some(page) => part.copy_from_slice(&page.bytes[within..within + count]),
                None => part.fill(0),
            }
            done += count;
        }
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.size).unwrap_or(usize::MAX)];
        self.read(&mut bytes, 0);
        bytes
    }

    pub(super) fn reserved_pages(&self) -> u64 {
        self.reserved_pages
    }

    /// How many pages take space on the disk.
    pub(super) fn held_pages(&self) -> u64 {
        self.reserved_pages + self.pages.range(self.reserved_pages..).count() as u64
    }

    /// Whether a write to page `index` needs a new block.
    pub(super) fn is_hole(&self, index: u64) -> bool {
        index >= self.reserved_pages && !self.pages.contains_key(&index)
    }

    /// How many more pages [`Content::reserve`] would take.
    pub(super) fn pages_missing(&self, size: u64) -> u64 {
        let pages = size.div_ceil(PAGE_SIZE);
        if pages <= self.reserved_pages {
            return 0;
        }
        pages - self.reserved_pages - self.pages.range(self.reserved_pages..pages).count() as u64
    }

    /// A fingerprint of the bytes; a hole and a page of zeros give the same.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hash = self.size;
        for (index, page) in self.pages.iter() {
            if page.fingerprint() != 0 {
                hash = mix(mix(hash, *index), page.fingerprint());
            }
        }
        hash
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_sparse_and_a_clone_shares() {
        let mut content = Content::default();
        content.grow(1 << 40);
        content.write(b"abc", (1 << 39) - 1);
        assert_eq!(content.held_pages(), 2, "one byte in one page, two in the next");
        let clone = content.clone();
        content.write(b"xyz", (1 << 39) - 1);
        let mut bytes = [0; 5];
        clone.read(&mut bytes, (1 << 39) - 2);
        assert_eq!(&bytes, b"\0abc\0");
        content.read(&mut bytes, (1 << 39) - 2);
        assert_eq!(&bytes, b"\0xyz\0");
    }

    #[test]
    fn what_was_cut_does_not_come_back() {
        let mut content = Content::from_bytes(&[7; 10_000]);
        content.cut(5_000);
        content.grow(10_000);
        let bytes = content.to_vec();
        assert_eq!(bytes[4_999], 7);
        assert!(bytes[5_000..].iter().all(|byte| *byte == 0));
        assert_eq!(content.held_pages(), 2);
    }

    #[test]
    fn a_reservation_counts_once() {
        let mut content = Content::from_bytes(&[7; 3]);
        assert_eq!(content.pages_missing(64 << 20), (64 << 20) / PAGE_SIZE - 1);
        content.reserve(64 << 20);
        assert_eq!(content.held_pages(), (64 << 20) / PAGE_SIZE);
        assert_eq!(content.pages_missing(64 << 20), 0);
        assert!(!content.is_hole(100));
        content.grow(64 << 20);
        content.cut(3);
        assert_eq!(content.held_pages(), 1, "cutting gives the blocks back");
    }

    #[test]
    fn a_hole_has_the_fingerprint_of_zeros() {
        let mut hole = Content::default();
        hole.grow(9_000);
        let zeros = Content::from_bytes(&[0; 9_000]).fingerprint();
        assert_eq!(hole.fingerprint(), zeros);
        hole.flip_bit(8 * 8_999 + 7);
        assert_eq!(hole.to_vec()[8_999], 0x80);
        assert_ne!(hole.fingerprint(), zeros);
        let hash = hole.fingerprint();
        hole.flip_bit(8 * 8_999);
        assert_ne!(hole.fingerprint(), hash, "not the remembered one");
        hole.cut(8_999);
        hole.grow(9_000);
        assert_eq!(hole.fingerprint(), zeros, "nor here");
        hole.flip_bit(8 * 9_000);
        assert_eq!(hole.size(), 9_000, "past the end nothing is flipped");
    }
}
