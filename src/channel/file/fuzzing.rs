//! The channel's decoders, for fuzzers.

use super::codec::{Events, decode_ack, decode_put_head, encode_ack, encode_put};
use super::queue::Queue;
use crate::bytes::Bytes;
use crate::event::Event;

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

fn put(bytes: &[u8]) {
    let Ok(head) = decode_put_head(bytes) else {
        return;
    };
    let mut events = Events::new(Bytes::from(bytes.to_vec()), &head);
    let mut decoded: Vec<Event> = Vec::new();
    loop {
        match events.next() {
            Ok(Some(event)) => decoded.push(event),
            Ok(None) => break,
            Err(_) => return,
        }
    }
    assert_eq!(decoded.len() as u64, head.count);
    let size = decoded.iter().map(Event::size).sum();
    assert_eq!(size, (bytes.len() - head.events_at) as u64, "events of another size");
    let again = encode_put(&decoded, size, &head.cursors);
    assert_eq!(again.payload(), bytes, "a second encoding of a put");
}
