//! Shared, immutable bytes: a slice of a buffer that many events may own together.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A cheap handle on a range of an immutable buffer.
///
/// Cloning and slicing copy a pointer, never the bytes. The buffer lives as long as any handle on it,
/// so a small slice kept for long pins its whole buffer; [`Bytes::detach`] makes a copy of its own.
#[derive(Clone, Default)]
pub struct Bytes {
    buffer: Option<Arc<Vec<u8>>>,
    start: usize,
    end: usize,
}

impl Bytes {
    /// No bytes. Does not allocate.
    pub const fn new() -> Bytes {
        Bytes { buffer: None, start: 0, end: 0 }
    }

    /// A handle on `range` of these bytes.
    ///
    /// # Panics
    /// When the range does not lie within `0..self.len()`, as slicing an array would.
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        assert!(
            range.start <= range.end && range.end <= self.len(),
            "slice {range:?} out of range"
        );
        if range.is_empty() {
            return Bytes::new();
        }
        Bytes {
            buffer: self.buffer.clone(),
            start: self.start + range.start,
            end: self.start + range.end,
        }
    }

    /// The same bytes in a buffer of their own.
    pub fn detach(&self) -> Bytes {
        Bytes::from(self.to_vec())
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.buffer {
            Some(buffer) => &buffer[self.start..self.end],
            None => &[],
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(buffer: Vec<u8>) -> Bytes {
        if buffer.is_empty() {
            return Bytes::new();
        }
        let end = buffer.len();
        Bytes { buffer: Some(Arc::new(buffer)), start: 0, end }
    }
}

impl From<Arc<Vec<u8>>> for Bytes {
    fn from(buffer: Arc<Vec<u8>>) -> Bytes {
        let end = buffer.len();
        Bytes { buffer: Some(buffer), start: 0, end }
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes::from(bytes.to_vec())
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }
}

impl From<String> for Bytes {
    fn from(text: String) -> Bytes {
        Bytes::from(text.into_bytes())
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Bytes) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl PartialEq<[u8]> for Bytes {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl PartialEq<&[u8]> for Bytes {
    fn eq(&self, other: &&[u8]) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_shares_the_buffer() {
        let whole = Bytes::from("hello world");
        let word = whole.slice(6..11);
        assert_eq!(&*word, b"world");
        assert_eq!(word.as_ptr(), whole[6..].as_ptr());
        assert_eq!(&*word.slice(1..3), b"or");
        assert_ne!(word.detach().as_ptr(), word.as_ptr());
    }

    #[test]
    fn empty_bytes_hold_no_buffer() {
        assert!(Bytes::from(Vec::new()).buffer.is_none());
        assert!(Bytes::from("abc").slice(2..2).buffer.is_none());
        assert_eq!(Bytes::new(), Bytes::default());
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn slicing_past_the_end_panics() {
        let _ = Bytes::from("abc").slice(2..4);
    }
}
