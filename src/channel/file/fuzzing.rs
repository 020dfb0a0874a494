//! The channel's decoders, for fuzzers.

use super::codec::{Events, decode_ack, decode_put_head, encode_ack, encode_put};
use super::queue::Queue;
use crate::bytes::Bytes;
use crate::channel::transaction::{Cursors, PutBatch, check_cursor};
use crate::event::Event;
use crate::log::Payload;

/// Decodes bytes as the payload of each kind of record.
pub(crate) fn payloads(bytes: &[u8]) {
    put(bytes);
    if let Ok(ack) = decode_ack(bytes) {
        let again = encode_ack(&ack.ranges, ack.bytes, &ack.cursors);
        assert_eq!(again.payload(), bytes, "a second encoding of an ack");
        assert!(ack.ranges.iter().all(|range| range.start < range.end), "an empty range");
        let mut pairs = ack.ranges.windows(2);
        assert!(pairs.all(|pair| pair[0].end < pair[1].start), "ranges that touch or descend");
    }
    if let Some(queue) = Queue::decode(bytes) {
        let encoded = queue.encode();
        let again = Queue::decode(&encoded).map(|queue| queue.encode());
        assert_eq!(again, Some(encoded), "a state that does not survive its encoding");
    }
}

/// Makes a transaction out of bytes, encodes it, and decodes it again: as it is, and with one byte changed.
pub(crate) fn transaction(bytes: &[u8]) {
    let mut input = Cut(bytes);
    let (at, change) = (input.number(), input.number() as u8);
    let (name, value) = (String::from_utf8_lossy(input.part()).into_owned(), input.part().to_vec());
    let mut cursors = Cursors::from([("gone".to_string(), None)]);
    if check_cursor(&name, Some(&value)).is_ok() {
        cursors.insert(name, Some(value));
    }
    let mut events = Vec::new();
    while !input.0.is_empty() {
        let mut event = Event::new(input.part().to_vec());
        for _ in 0..input.number() % 4 {
            let [key, value] = [input.part(), input.part()].map(String::from_utf8_lossy);
            event.headers.insert(key.into_owned(), value.into_owned());
        }
        events.push(event);
    }
    let batch = PutBatch::new(events, cursors);
    let mut payload = encode_put(Vec::new(), &batch).payload().to_vec();
    assert_eq!(payload.len(), batch.size(), "the size of a put");
    assert_eq!(decode_put(&payload), Some(batch));
    let at = at % payload.len();
    payload[at] ^= change;
    put(&payload);
}

/// Cuts parts off the front.
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn number(&mut self) -> usize {
        self.bytes(2).iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
    }

    fn part(&mut self) -> &'a [u8] {
        let size = self.number();
        self.bytes(if size < 1 << 12 { size } else { size & 15 })
    }

    fn bytes(&mut self, size: usize) -> &'a [u8] {
        let (part, rest) = self.0.split_at(size.min(self.0.len()));
        self.0 = rest;
        part
    }
}

fn decode_put(payload: &[u8]) -> Option<PutBatch> {
    let head = decode_put_head(payload).ok()?;
    let mut events = Events::new(Bytes::from(payload.to_vec()), &head);
    let mut decoded = Vec::new();
    while let Some(event) = events.next().ok()? {
        decoded.push(event);
    }
    assert_eq!(decoded.len() as u64, head.count);
    Some(PutBatch::new(decoded, head.cursors))
}

fn put(bytes: &[u8]) {
    let Some(batch) = decode_put(bytes) else {
        return;
    };
    let again = encode_put(Vec::new(), &batch);
    assert_eq!(again.payload(), bytes, "a second encoding of a put");
}
