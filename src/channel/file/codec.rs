//! Payloads of put and ack records: events, ranges of sequences, and cursors, as bytes. Pure.
//!
//! Decoding never allocates by a length it has not checked against the bytes that are there, and accepts one
//! encoding of a value only: what decodes, encodes to the same bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::bytes::Bytes;
use crate::channel::transaction::{Cursors, PutBatch, check_cursor};
use crate::event::{EVENT_OVERHEAD, Event, HEADER_OVERHEAD};
use crate::log::{Kind, Out, Payload, PendingRecord, record_size};

/// A payload that its checksum proves and that makes no sense: written by a faulty program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Marks a cursor that is forgotten, where another's length stands.
const CLEARED: u16 = u16::MAX;

/// Encodes the puts of one transaction, in the memory of `buffer`, which is empty.
pub(crate) fn encode_put(buffer: Vec<u8>, batch: &PutBatch) -> PendingRecord {
    PendingRecord::new_in(buffer, Kind::Put, batch.size(), |out| batch.encode(out))
}

impl Payload for PutBatch {
    fn kind(&self) -> Kind {
        Kind::Put
    }

    fn size(&self) -> usize {
        4 + cursors_size(&self.cursors) + self.size as usize
    }

    fn encode(&self, out: &mut impl Out) {
        put_u32(out, self.events.len());
        encode_cursors(out, &self.cursors);
        for event in &self.events {
            put_pair(out, event.headers_size(), event.body.len());
            for (key, value) in &event.headers {
                put_pair(out, key.len(), value.len());
                out.put(key.as_bytes());
                out.put(value.as_bytes());
            }
            out.put(&event.body);
        }
    }
}

/// Bytes of a record that [`encode_ack`] makes.
pub(crate) fn ack_size(ranges: &[Range<u64>], cursors: &Cursors) -> u64 {
    record_size(ack_payload_size(ranges, cursors)) as u64
}

fn ack_payload_size(ranges: &[Range<u64>], cursors: &Cursors) -> usize {
    12 + cursors_size(cursors) + ranges.len() * 16
}

/// Encodes the takes of one transaction: which sequences, and how many bytes they were in the channel.
pub(crate) fn encode_ack(ranges: &[Range<u64>], bytes: u64, cursors: &Cursors) -> PendingRecord {
    PendingRecord::new(Kind::Ack, ack_payload_size(ranges, cursors), |out| {
        out.extend_from_slice(&bytes.to_le_bytes());
        put_u32(out, ranges.len());
        encode_cursors(out, cursors);
        for range in ranges {
            out.extend_from_slice(&range.start.to_le_bytes());
            out.extend_from_slice(&(range.end - range.start).to_le_bytes());
        }
    })
}

/// Bytes that [`encode_cursors`] writes.
pub(crate) fn cursors_size(cursors: &Cursors) -> usize {
    let size = |(name, value): (&String, &Option<Vec<u8>>)| {
        4 + name.len() + value.as_ref().map_or(0, Vec::len)
    };
    4 + cursors.iter().map(size).sum::<usize>()
}

fn encode_cursors(out: &mut impl Out, cursors: &Cursors) {
    put_u32(out, cursors.len());
    for (name, value) in cursors {
        out.put(&(name.len() as u16).to_le_bytes());
        let size = value.as_ref().map_or(CLEARED, |value| value.len() as u16);
        out.put(&size.to_le_bytes());
        out.put(name.as_bytes());
        out.put(value.as_deref().unwrap_or_default());
    }
}

/// Two numbers in one go.
fn put_pair(out: &mut impl Out, first: usize, second: usize) {
    let pair = first as u32 as u64 | (second as u32 as u64) << 32;
    out.put(&pair.to_le_bytes());
}

fn put_u32(out: &mut impl Out, number: usize) {
    out.put(&(number as u32).to_le_bytes());
}

/// The start of a put's payload; the events follow and are decoded one by one by [`Events`].
#[derive(Debug)]
pub(crate) struct PutHead {
    pub(crate) count: u64,
    pub(crate) cursors: Cursors,
    /// Where in the payload the events begin. They end with it, so their size in the channel is the rest.
    pub(crate) events_at: usize,
}

/// Decodes the start of a put's payload.
pub(crate) fn decode_put_head(payload: &[u8]) -> Result<PutHead, Malformed> {
    let mut input = Input { bytes: payload, at: 0 };
    let count = u64::from(input.u32()?);
    let cursors = decode_cursors(&mut input)?;
    if count > (payload.len() - input.at) as u64 / EVENT_OVERHEAD as u64 {
        return Err(Malformed("more events than the payload can hold"));
    }
    Ok(PutHead { count, cursors, events_at: input.at })
}

/// An ack's payload.
#[derive(Debug)]
pub(crate) struct Ack {
    pub(crate) ranges: Vec<Range<u64>>,
    pub(crate) bytes: u64,
    pub(crate) cursors: Cursors,
}

/// Decodes an ack's payload.
pub(crate) fn decode_ack(payload: &[u8]) -> Result<Ack, Malformed> {
    let mut input = Input { bytes: payload, at: 0 };
    let bytes = input.u64()?;
    let count = input.u32()? as usize;
    let cursors = decode_cursors(&mut input)?;
    if (payload.len() - input.at) != count.saturating_mul(16) {
        return Err(Malformed("ranges do not fill the payload"));
    }
    let mut ranges: Vec<Range<u64>> = Vec::with_capacity(count);
    for _ in 0..count {
        let start = input.u64()?;
        let end =
            start.checked_add(input.u64()?).ok_or(Malformed("a range past the last sequence"))?;
        let follows = ranges.last().is_none_or(|last| start > last.end);
        if start >= end || !follows {
            return Err(Malformed("ranges that are empty, touch or do not ascend"));
        }
        ranges.push(start..end);
    }
    Ok(Ack { ranges, bytes, cursors })
}

fn decode_cursors(input: &mut Input<'_>) -> Result<Cursors, Malformed> {
    let count = input.u32()?;
    let mut cursors = Cursors::new();
    for _ in 0..count {
        let name_size = input.u16()? as usize;
        let value_size = input.u16()?;
        let name = input.text(name_size)?.to_string();
        let value = match value_size {
            CLEARED => None,
            size => Some(input.take(size as usize)?.to_vec()),
        };
        if check_cursor(&name, value.as_deref()).is_err() {
            return Err(Malformed("a cursor that nobody can set"));
        }
        if cursors.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(Malformed("cursors that do not ascend"));
        }
        cursors.insert(name, value);
    }
    Ok(cursors)
}

/// The events of a put's payload, decoded as they are asked for; bodies are slices of the payload.
pub(crate) struct Events {
    payload: Bytes,
    at: usize,
    left: u64,
}

impl Events {
    pub(crate) fn new(payload: Bytes, head: &PutHead) -> Events {
        Events { payload, at: head.events_at, left: head.count }
    }

    /// The next event; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, Malformed> {
        if self.left == 0 {
            if self.at != self.payload.len() {
                return Err(Malformed("bytes after the last event"));
            }
            return Ok(None);
        }
        let mut input = Input { bytes: &self.payload, at: self.at };
        let headers_size = input.u32()? as usize;
        let body_size = input.u32()? as usize;
        let headers = decode_headers(input.take(headers_size)?)?;
        let body_at = input.at;
        input.take(body_size)?;
        self.at = body_at + body_size;
        self.left -= 1;
        let body = self.payload.slice(body_at..self.at);
        Ok(Some(Event { headers, body }))
    }
}

fn decode_headers(bytes: &[u8]) -> Result<BTreeMap<String, String>, Malformed> {
    let mut headers = BTreeMap::new();
    let mut input = Input { bytes, at: 0 };
    while input.at < bytes.len() {
        let key_size = input.u32()? as usize;
        let value_size = input.u32()? as usize;
        let key = input.text(key_size)?.to_string();
        let value = input.text(value_size)?.to_string();
        if headers.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(Malformed("headers that do not ascend"));
        }
        headers.insert(key, value);
    }
    Ok(headers)
}

const _: () = assert!(HEADER_OVERHEAD == 8 && EVENT_OVERHEAD == 8);

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8], Malformed> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..size).ok_or(Malformed("a length past the payload's end"))?;
        self.at += size;
        Ok(taken)
    }

    fn text(&mut self, size: usize) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.take(size)?).map_err(|_| Malformed("text that is not UTF-8"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::single_range_in_vec_init, reason = "one range is meant, not its numbers")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::testing::payload_of;

    fn decode_put(payload: Vec<u8>) -> Result<PutBatch, Malformed> {
        let head = decode_put_head(&payload)?;
        let mut events = Events::new(Bytes::from(payload), &head);
        let mut decoded = Vec::new();
        while let Some(event) = events.next()? {
            decoded.push(event);
        }
        Ok(PutBatch::new(decoded, head.cursors))
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let headers = prop::collection::btree_map(".{0,6}", ".{0,6}", 0..4);
        (headers, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(headers, body)| Event { headers, body: Bytes::from(body) })
    }

    fn any_cursors() -> impl Strategy<Value = Cursors> {
        let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..9));
        prop::collection::btree_map(".{1,6}", value, 0..4)
    }

    #[test]
    fn i6_cursors_that_nobody_can_set_are_malformed() {
        let cases =
            [(0, 1, false), (1, 0, true), (255, 4096, true), (256, 1, false), (1, 4097, false)];
        for (name, value, is_right) in cases {
            let cursors = Cursors::from([("n".repeat(name), Some(vec![7; value]))]);
            let payload = payload_of(&encode_ack(&[3..5], 0, &cursors));
            assert_eq!(decode_ack(&payload).is_ok(), is_right, "{name} and {value} bytes");
        }
    }

    #[test]
    fn i6_acks_that_no_queue_writes_are_malformed() {
        let payload = |ranges: &[Range<u64>]| payload_of(&encode_ack(ranges, 0, &Cursors::new()));
        assert!(decode_ack(&payload(&[3..5, 6..7])).is_ok());
        for ranges in [vec![3..3], vec![3..5, 5..7], vec![5..7, 3..4], vec![3..6, 5..9]] {
            assert!(decode_ack(&payload(&ranges)).is_err(), "{ranges:?}");
        }
    }

    proptest! {
        #[test]
        fn a_put_survives_its_encoding(
            events in prop::collection::vec(any_event(), 0..6),
            cursors in any_cursors(),
        ) {
            let batch = PutBatch::new(events, cursors);
            let payload = payload_of(&encode_put(Vec::new(), &batch));
            let head = decode_put_head(&payload).expect("valid");
            prop_assert_eq!((payload.len() - head.events_at) as u64, batch.size);
            prop_assert_eq!(payload.len(), batch.size());
            prop_assert_eq!(decode_put(payload).expect("valid"), batch);
        }

        #[test]
        fn an_ack_survives_its_encoding(
            steps in prop::collection::vec((1u64..9, 1u64..9), 0..6),
            bytes: u64,
            cursors in any_cursors(),
        ) {
            let mut at = 0;
            let ranges: Vec<Range<u64>> = steps
                .iter()
                .map(|(gap, length)| {
                    let start = at + gap;
                    at = start + length;
                    start..at
                })
                .collect();
            let ack = decode_ack(&payload_of(&encode_ack(&ranges, bytes, &cursors))).expect("valid");
            prop_assert_eq!((ack.ranges, ack.bytes, ack.cursors), (ranges, bytes, cursors));
        }

        #[test]
        fn any_bytes_decode_without_panic_and_canonically(
            bytes in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            if let Ok(batch) = decode_put(bytes.clone()) {
                let again = encode_put(Vec::new(), &batch);
                prop_assert_eq!(payload_of(&again), bytes.clone());
            }
            if let Ok(ack) = decode_ack(&bytes) {
                prop_assert_eq!(payload_of(&encode_ack(&ack.ranges, ack.bytes, &ack.cursors)), bytes);
            }
        }
    }

    #[test]
    fn bodies_are_slices_of_the_payload() {
        let events = vec![Event::new("abc"), Event::new("defg")];
        let batch = PutBatch::new(events, Cursors::new());
        let payload = Bytes::from(payload_of(&encode_put(Vec::new(), &batch)));
        let head = decode_put_head(&payload).expect("valid");
        let mut decoded = Events::new(payload.clone(), &head);
        let first = decoded.next().expect("valid").expect("there are two");
        let inside = payload.as_ptr_range();
        assert!(inside.contains(&first.body.as_ptr()));
    }
}
