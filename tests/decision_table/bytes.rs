//! Altering the bytes of a channel so that its checksums stay right: written from `docs/FORMAT.md`.

use flumen::storage::sim::SimDisk;

pub(crate) const SLOTS: [&str; 2] = ["checkpoint-a", "checkpoint-b"];
pub(crate) const PAGE: usize = 4096;

pub(crate) fn segment(number: u64) -> String {
    format!("{number:020}.seg")
}

/// The numbers of the segments that are there.
pub(crate) fn segments(disk: &SimDisk) -> Vec<u64> {
    let names = disk.file_names().into_iter();
    names.filter_map(|name| name.strip_suffix(".seg")?.parse().ok()).collect()
}

pub(crate) fn last_segment(disk: &SimDisk) -> u64 {
    segments(disk).into_iter().max().expect("there is a segment")
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn set_u64(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

fn seal(bytes: &mut [u8], at: usize) {
    let crc = crc32fast::hash(&bytes[..at]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Alters a file, checksums and all.
pub(crate) fn alter(disk: &SimDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = disk.read_file(name).expect("the file is there");
    change(&mut bytes);
    disk.write_file(name, &bytes);
}

/// Alters a slot's header, and seals it again.
pub(crate) fn alter_slot(disk: &SimDisk, name: &str, change: impl FnOnce(&mut [u8])) {
    alter(disk, name, |bytes| {
        change(bytes);
        seal(bytes, 108);
    });
}

/// Gives a slot another state.
pub(crate) fn set_state(disk: &SimDisk, name: &str, state: &[u8]) {
    alter_slot(disk, name, |bytes| {
        bytes[112..112 + state.len()].copy_from_slice(state);
        bytes[96..100].copy_from_slice(&(state.len() as u32).to_le_bytes());
        bytes[100..104].copy_from_slice(&crc32fast::hash(state).to_le_bytes());
    });
}

/// Alters a segment's header, and seals it again.
pub(crate) fn alter_header(disk: &SimDisk, number: u64, change: impl FnOnce(&mut [u8])) {
    alter(disk, &segment(number), |bytes| {
        change(bytes);
        seal(bytes, PAGE - 4);
    });
}

/// A record as it stands in a segment.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) offset: usize,
    pub(crate) size: usize,
    pub(crate) kind: u8,
    pub(crate) sequence: u64,
}

/// The records of a segment that is intact.
pub(crate) fn records(disk: &SimDisk, number: u64) -> Vec<Record> {
    let bytes = disk.read_file(&segment(number)).expect("the segment is there");
    let mut records = Vec::new();
    let mut offset = PAGE;
    while offset + 40 <= bytes.len() && header_crc(&bytes, offset) == u32_at(&bytes, offset) {
        let size = (40 + u32_at(&bytes, offset + 12) as usize).next_multiple_of(8);
        let sequence = u64_at(&bytes, offset + 32);
        records.push(Record { offset, size, kind: bytes[offset + 4], sequence });
        offset += size;
    }
    records
}

/// Where the records of a segment end.
pub(crate) fn end_of(disk: &SimDisk, number: u64) -> usize {
    records(disk, number).last().map_or(PAGE, |last| last.offset + last.size)
}

fn header_crc(file: &[u8], offset: usize) -> u32 {
    let mut seeded = file[24..48].to_vec();
    seeded.extend_from_slice(&(offset as u64).to_le_bytes());
    seeded.extend_from_slice(&file[offset + 4..offset + 40]);
    crc32fast::hash(&seeded)
}

fn seal_record(file: &mut [u8], offset: usize) {
    let crc = header_crc(file, offset);
    file[offset..offset + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Writes a record with right checksums into a segment.
pub(crate) fn write_record(
    disk: &SimDisk,
    number: u64,
    offset: usize,
    (kind, sequence, watermark): (u8, u64, u64),
    payload: &[u8],
) {
    alter(disk, &segment(number), |bytes| {
        let lsn = u64_at(bytes, 48) + (offset - PAGE) as u64;
        let record = &mut bytes[offset..];
        record[..40].fill(0);
        record[4] = kind;
        record[8..12].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
        record[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        set_u64(record, 16, lsn);
        set_u64(record, 24, watermark);
        set_u64(record, 32, sequence);
        record[40..40 + payload.len()].copy_from_slice(payload);
        record[40 + payload.len()..(40 + payload.len()).next_multiple_of(8)].fill(0);
        seal_record(bytes, offset);
    });
}

/// Gives a record another first sequence, and a checksum that is right for it.
pub(crate) fn renumber(disk: &SimDisk, number: u64, offset: usize, sequence: u64) {
    alter(disk, &segment(number), |bytes| {
        set_u64(bytes, offset + 32, sequence);
        seal_record(bytes, offset);
    });
}

/// Fills a range with noise.
pub(crate) fn spoil(disk: &SimDisk, name: &str, range: std::ops::Range<usize>) {
    alter(disk, name, |bytes| bytes[range].fill(0xa5));
}
