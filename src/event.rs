//! The one value that travels from source to sink.

use std::collections::BTreeMap;

use crate::bytes::Bytes;

/// Bytes each event occupies in a record beside its headers and its body.
pub(crate) const EVENT_OVERHEAD: usize = 8;
/// Bytes each header occupies beside its key and its value.
pub(crate) const HEADER_OVERHEAD: usize = 8;

/// What the system's allocator needs for itself, for each piece of memory.
pub(crate) const ALLOCATION: usize = 16;
/// A body's shared buffer, beside its bytes: the count of its owners and where it is, and the buffer.
const BUFFER: usize = 5 * size_of::<usize>() + 2 * ALLOCATION;
/// A node of the standard library's tree of headers has room for eleven; of many headers it holds some six.
const NODE: usize = 11 * size_of::<(String, String)>() + 2 * size_of::<usize>() + ALLOCATION;
const HEADERS_OF_NODE: usize = 6;

/// What users put and take: headers (unique UTF-8 keys, in order of the keys) and an opaque body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Named values beside the body; most events have none, which allocates nothing.
    pub headers: BTreeMap<String, String>,
    /// The payload. The channel never looks into it.
    pub body: Bytes,
}

impl Event {
    /// An event without headers.
    pub fn new(body: impl Into<Bytes>) -> Event {
        Event { headers: BTreeMap::new(), body: body.into() }
    }

    /// The same event with one more header; an earlier value of the same key is replaced.
    #[must_use]
    pub fn with_header(mut self, key: impl Into<String>, value: impl Into<String>) -> Event {
        self.headers.insert(key.into(), value.into());
        self
    }

    /// Bytes this event occupies in the log, and counts against a capacity in bytes:
    /// body, keys and values, and a fixed overhead of 8 bytes for the event and for each header.
    pub fn size(&self) -> u64 {
        (EVENT_OVERHEAD + self.headers_size() + self.body.len()) as u64
    }

    /// Bytes of memory that this event takes beside its [`size`](Event::size), about, where its body has a
    /// buffer of its own.
    pub(crate) fn overhead(&self) -> u64 {
        let count = self.headers.len();
        let headers = match count {
            0 => 0,
            _ => count.div_ceil(HEADERS_OF_NODE) * NODE + count * 2 * ALLOCATION,
        };
        (size_of::<Event>() + BUFFER + headers) as u64
    }

    pub(crate) fn headers_size(&self) -> usize {
        // Most events have none, and an iterator over none is not free.
        if self.headers.is_empty() {
            return 0;
        }
        self.headers.iter().map(|(key, value)| HEADER_OVERHEAD + key.len() + value.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_counts_body_headers_and_overhead() {
        assert_eq!(Event::new("abc").size(), 8 + 3);
        assert_eq!(Event::new("").with_header("k", "vv").size(), 8 + 8 + 1 + 2);
        assert_eq!(Event::new("").with_header("k", "a").with_header("k", "bc").size(), 8 + 8 + 3);
    }
}
