//! Puts right checksums over what a fuzzer made, so that what lies behind them is reached.

use crate::log::record::{ALIGNMENT, HEADER_SIZE, Seed, record_size, u32_at, u64_at};
use crate::log::segment::PAGE;

const PAGE_SIZE: usize = PAGE as usize;
const SLOT_HEADER_SIZE: usize = 112;

/// Seals a segment file: its header page, and from `start` on all that looks like a record, in its place or
/// behind garbage. With `place` each record is given the Lsn of its place too.
pub(crate) fn segment(file: &mut [u8], start: usize, place: bool) {
    if file.len() < PAGE_SIZE {
        return;
    }
    let crc = crc32fast::hash(&file[..PAGE_SIZE - 4]);
    put_u32(file, PAGE_SIZE - 4, crc);
    let mut id = [0; 16];
    id.copy_from_slice(&file[24..40]);
    let seed = Seed::new(&id, u64_at(file, 40));
    let base = u64_at(file, 48);
    let mut at = start;
    while at + HEADER_SIZE <= file.len() {
        let is_record = (1..=6).contains(&file[at + 4]) && file[at + 5..at + 8] == [0; 3];
        at += match is_record {
            true => {
                let lsn = base.wrapping_add((at - PAGE_SIZE) as u64);
                record(&seed, file, at, place.then_some(lsn))
            }
            false => ALIGNMENT,
        };
    }
}

/// Seals the record at `at`, and says how far the next one is: behind it when its length fits.
pub(crate) fn record(seed: &Seed, file: &mut [u8], at: usize, lsn: Option<u64>) -> usize {
    if let Some(lsn) = lsn {
        file[at + 16..at + 24].copy_from_slice(&lsn.to_le_bytes());
        let watermark = u64_at(file, at + 24).min(lsn);
        file[at + 24..at + 32].copy_from_slice(&watermark.to_le_bytes());
    }
    let payload_size = u32_at(file, at + 12) as usize;
    let size = record_size(payload_size);
    let fits = size <= file.len() - at;
    if fits {
        let payload = at + HEADER_SIZE..at + HEADER_SIZE + payload_size;
        let crc = crc32fast::hash(&file[payload.clone()]);
        put_u32(file, at + 8, crc);
        file[payload.end..at + size].fill(0);
    }
    seed.seal(&mut file[at..], at as u64);
    if fits { size } else { ALIGNMENT }
}

/// Seals a checkpoint slot. A state that is said to be longer than what is there ends with it.
pub(crate) fn slot(file: &mut [u8]) {
    if file.len() < SLOT_HEADER_SIZE {
        return;
    }
    let state = SLOT_HEADER_SIZE..file.len();
    let size = (u32_at(file, 96) as usize).min(state.len());
    put_u32(file, 96, size as u32);
    let crc = crc32fast::hash(&file[state][..size]);
    put_u32(file, 100, crc);
    let crc = crc32fast::hash(&file[..108]);
    put_u32(file, 108, crc);
}

fn put_u32(file: &mut [u8], at: usize, number: u32) {
    file[at..at + 4].copy_from_slice(&number.to_le_bytes());
}
