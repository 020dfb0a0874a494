//! What tests that damage a channel's files know of their format: `docs/FORMAT.md` in as few lines.
#![allow(dead_code, reason = "each test binary uses its own part")]

use flumen::storage::sim::SimDisk;

/// Where records begin in a segment.
pub const RECORDS_AT: usize = 4096;
/// Bytes of a record's header; the kind is its byte 4, the payload's size its bytes 12 to 16.
pub const HEADER_SIZE: usize = 40;
/// The two checkpoint slots.
pub const SLOTS: [&str; 2] = ["checkpoint-a", "checkpoint-b"];

/// The kinds of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Put,
    Ack,
    State,
    Watermark,
    Close,
}

/// A record as it lies in a segment file.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub kind: Kind,
    pub offset: usize,
    pub size: usize,
}

/// The records of a segment, up to the first bytes that are none.
pub fn records(segment: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    let mut offset = RECORDS_AT;
    while let Some(header) = segment.get(offset..offset + HEADER_SIZE) {
        let kind = match header[4] {
            1 => Kind::Put,
            2 => Kind::Ack,
            3 => Kind::State,
            4 => Kind::Watermark,
            5 => Kind::Close,
            _ => break,
        };
        let mut payload = [0; 4];
        payload.copy_from_slice(&header[12..16]);
        let size = (HEADER_SIZE + u32::from_le_bytes(payload) as usize).next_multiple_of(8);
        found.push(Record { kind, offset, size });
        offset += size;
    }
    found
}

/// The names of the segments, oldest first.
pub fn segments(disk: &SimDisk) -> Vec<String> {
    let names = disk.file_names();
    names.into_iter().filter(|name| name.ends_with(".seg")).collect()
}

/// The newest segment: the one that was being written.
pub fn tail(disk: &SimDisk) -> String {
    segments(disk).pop().expect("a channel has a segment")
}

/// The bytes of a file.
pub fn read(disk: &SimDisk, name: &str) -> Vec<u8> {
    disk.read_file(name).expect("the file is there")
}

/// Changes a file from outside.
pub fn edit(disk: &SimDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = read(disk, name);
    let before = bytes.clone();
    change(&mut bytes);
    assert_ne!(before, bytes, "a damage that changes nothing shows nothing");
    disk.write_file(name, &bytes);
}

/// Inverts one byte of a file.
pub fn flip(disk: &SimDisk, name: &str, offset: usize) {
    edit(disk, name, |bytes| bytes[offset] ^= 0xff);
}

/// Cuts a file.
pub fn cut(disk: &SimDisk, name: &str, size: usize) {
    edit(disk, name, |bytes| bytes.truncate(size));
}

/// Removes a file.
pub fn remove(disk: &SimDisk, name: &str) {
    assert!(disk.remove_file(name), "{name} is there");
}

/// All names and bytes of the disk, the lock's note excepted: to see that a refusal has changed nothing.
pub fn contents(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let names = disk.file_names().into_iter();
    names
        .filter(|name| name != "LOCK")
        .map(|name| {
            let bytes = read(disk, &name);
            (name, bytes)
        })
        .collect()
}
