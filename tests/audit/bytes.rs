//! As much of docs/FORMAT.md as the audit needs to see what a write says; none of the engine's code.

use std::ops::Range;

fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    bytes[at..at + size].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A record, as far as it says what somebody is told.
#[derive(Debug)]
pub struct Record {
    pub offset: u64,
    pub lsn: u64,
    pub watermark: u64,
    pub says: Says,
}

#[derive(Debug)]
pub enum Says {
    /// Producer and number of each event.
    Events {
        first_sequence: u64,
        events: Vec<(u64, u64)>,
    },
    Acks(Vec<Range<u64>>),
    State,
    Other,
}

/// The records of one write to a segment, behind its header page.
pub fn records(offset: u64, bytes: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let payload_size = number(bytes, at + 12, 4) as usize;
        let payload = &bytes[at + 40..at + 40 + payload_size];
        let size = (40 + payload_size).next_multiple_of(8);
        let says = match bytes[at + 4] {
            1 | 6 => events(number(bytes, at + 32, 8), payload),
            2 => acks(payload),
            3 => Says::State,
            _ => Says::Other,
        };
        found.push(Record {
            offset: offset + at as u64,
            lsn: number(bytes, at + 16, 8),
            watermark: number(bytes, at + 24, 8),
            says,
        });
        at += size;
    }
    assert_eq!(at, bytes.len(), "a write holds whole records");
    found
}

fn events(first_sequence: u64, payload: &[u8]) -> Says {
    assert_eq!(number(payload, 4, 4), 0, "the child sets no cursors");
    let mut events = Vec::new();
    let mut at = 8;
    while at < payload.len() {
        let (headers, body) =
            (number(payload, at, 4) as usize, number(payload, at + 4, 4) as usize);
        let body = &payload[at + 8 + headers..][..body];
        at += 8 + headers + body.len();
        let mut parts = body.split(|byte| *byte == b':');
        let mut part = || std::str::from_utf8(parts.next()?).ok()?.parse().ok();
        events.push(part().zip(part()).expect("events begin with their names"));
    }
    assert_eq!(events.len() as u64, number(payload, 0, 4), "as the record says");
    Says::Events { first_sequence, events }
}

fn acks(payload: &[u8]) -> Says {
    assert_eq!(number(payload, 12, 4), 0, "the child sets no cursors");
    let ranges = payload[16..].chunks_exact(16).map(|range| {
        let first = number(range, 0, 8);
        first..first + number(range, 8, 8)
    });
    Says::Acks(ranges.collect())
}

/// What a slot says.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    pub generation: u64,
    pub segment: u64,
    pub base: u64,
    pub lsn: u64,
    /// The complete segments that are still wanted.
    pub listed: Vec<u64>,
    /// The sequences that are acknowledged.
    pub acked: Vec<Range<u64>>,
}

pub fn slot(bytes: &[u8]) -> Slot {
    assert!(bytes.starts_with(b"FLUMENCP"), "a slot is written from its head on");
    let segment = number(bytes, 56, 8);
    let mut state = &bytes[112..112 + number(bytes, 96, 4) as usize];
    let mut listed = Vec::new();
    let mut last = 0;
    for _ in 0..varint(&mut state) {
        last += varint(&mut state);
        listed.push(last);
        // Base, bytes, first sequence, events.
        for _ in 0..4 {
            varint(&mut state);
        }
    }
    let mut acked = Vec::new();
    if segment != 0 {
        // Next sequence, bytes, and the hint.
        for _ in 0..4 {
            varint(&mut state);
        }
        let mut end = varint(&mut state);
        acked.push(0..end);
        for _ in 0..varint(&mut state) {
            let first = end + varint(&mut state);
            end = first + varint(&mut state);
            acked.push(first..end);
        }
    }
    Slot {
        generation: number(bytes, 40, 8),
        segment,
        base: number(bytes, 64, 8),
        lsn: number(bytes, 72, 8),
        listed,
        acked,
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a state is whole");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
