//! One file of the log: its name and its header page. The prose twin is `docs/FORMAT.md`.
//!
//! The header page is the last part of a new segment to be written, after everything behind it is synced;
//! then the checkpoint slots name it. A segment newer than the one the slots name was being prepared when the
//! process ended, and nothing in it was ever acknowledged.

use super::lsn::Lsn;
use super::record::{Flaw, Seed, u32_at, u64_at};

/// Bytes of the header page; records begin behind it. A page of its own, so that writing the header cannot
/// tear a record.
pub(crate) const PAGE: u64 = 4096;
/// The first bytes of a segment.
const MAGIC: &[u8; 8] = b"FLUMENSG";
/// The version of the format of segments and checkpoints.
pub(crate) const VERSION: u32 = 1;

/// Beyond any capacity that a segment can have, with the largest record in it. A forged one would have an
/// opening make a file of that size, and read it.
pub(super) const CAPACITY_MAX: u64 = 1 << 34;

/// Versions that may come; a higher number, and 0, is no version.
const VERSION_MAX: u32 = 1000;
/// The highest number, position or sequence that a header, a slot or a state may state. No log comes near
/// it, and sums of a few such need no care. More is what a faulty or a hostile program wrote.
pub(crate) const STATED_MAX: u64 = u64::MAX / 8;

const CRC_AT: usize = PAGE as usize - 4;

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) channel_id: [u8; 16],
    /// Numbers ascend from 1, with gaps; none is ever used twice.
    pub(crate) number: u64,
    /// Where its records begin in the log.
    pub(crate) base: Lsn,
    /// The sequence of the first event put into it.
    pub(crate) first_sequence: u64,
    /// Bytes the file has room for, header page included.
    pub(crate) capacity: u64,
    /// The opening of the channel that began it.
    pub(crate) epoch: u64,
}

/// Why a page is no valid header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderFlaw {
    /// Not a header, or a damaged one.
    Invalid(Flaw),
    /// A header of a version or with features that are not known here.
    Unsupported(String),
}

impl SegmentHeader {
    pub(crate) fn seed(&self) -> Seed {
        Seed::new(&self.channel_id, self.number)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; PAGE as usize];
        page[..8].copy_from_slice(MAGIC);
        page[8..12].copy_from_slice(&VERSION.to_le_bytes());
        // 12..16 required features and 16..20 optional ones: none yet.
        page[24..40].copy_from_slice(&self.channel_id);
        let numbers = [self.number, self.base.0, self.first_sequence, self.capacity, self.epoch];
        for (index, number) in numbers.into_iter().enumerate() {
            page[40 + index * 8..48 + index * 8].copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc32fast::hash(&page[..CRC_AT]);
        page[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        page
    }

    pub(crate) fn decode(page: &[u8]) -> Result<SegmentHeader, HeaderFlaw> {
        check_preamble(page, MAGIC, "a segment")?;
        if page.len() < PAGE as usize {
            let flaw = Flaw::new("a header page of 4096 bytes", format!("{} bytes", page.len()));
            return Err(HeaderFlaw::Invalid(flaw));
        }
        let crc = crc32fast::hash(&page[..CRC_AT]);
        check_crc(crc, u32_at(page, CRC_AT), "a segment header")?;
        check_features(page)?;
        let mut channel_id = [0; 16];
        channel_id.copy_from_slice(&page[24..40]);
        let number = |index: usize| u64_at(page, 40 + index * 8);
        check_numbers((0..5).map(number), "a segment header")?;
        if number(3) > CAPACITY_MAX {
            let expected = format!("a segment header with a capacity up to {CAPACITY_MAX}");
            return Err(HeaderFlaw::Invalid(Flaw::new(expected, number(3).to_string())));
        }
        Ok(SegmentHeader {
            channel_id,
            number: number(0),
            base: Lsn(number(1)),
            first_sequence: number(2),
            capacity: number(3),
            epoch: number(4),
        })
    }
}

/// Checks magic and version, in this order and before any checksum: a later version may keep its
/// checksum elsewhere, and must still be told from damage.
pub(crate) fn check_preamble(bytes: &[u8], magic: &[u8; 8], what: &str) -> Result<(), HeaderFlaw> {
    if bytes.len() < 20 || bytes[..8] != magic[..] {
        let found = &bytes[..bytes.len().min(8)];
        let found = if found.iter().all(|byte| *byte == 0) {
            "zeros".to_string()
        } else {
            format!("\"{}\"", found.escape_ascii())
        };
        let expected = format!("{what} beginning with \"{}\"", magic.escape_ascii());
        return Err(HeaderFlaw::Invalid(Flaw::new(expected, found)));
    }
    let version = u32_at(bytes, 8);
    match version {
        VERSION => Ok(()),
        _ if (1..VERSION_MAX).contains(&version) => {
            let known = format!("format version {version}, known is {VERSION}");
            Err(HeaderFlaw::Unsupported(known))
        }
        // Noise, or a write torn behind the magic: in the slot or segment that does not count it must not
        // keep a channel from opening.
        _ => Err(HeaderFlaw::Invalid(Flaw::new("a format version", version.to_string()))),
    }
}

/// Checks the features, once the checksum has proven them.
pub(crate) fn check_features(bytes: &[u8]) -> Result<(), HeaderFlaw> {
    match u32_at(bytes, 12) {
        0 => Ok(()),
        features => Err(HeaderFlaw::Unsupported(format!("required features {features:#x}"))),
    }
}

pub(crate) fn check_crc(computed: u32, stored: u32, what: &str) -> Result<(), HeaderFlaw> {
    if computed == stored {
        return Ok(());
    }
    let expected = format!("{what} with checksum {computed:08x}");
    Err(HeaderFlaw::Invalid(Flaw::new(expected, format!("{stored:08x}"))))
}

/// Refuses numbers that no channel comes near.
pub(crate) fn check_numbers(
    mut numbers: impl Iterator<Item = u64>,
    what: &str,
) -> Result<(), HeaderFlaw> {
    match numbers.find(|number| *number > STATED_MAX) {
        None => Ok(()),
        Some(wild) => {
            let expected = format!("{what} with numbers up to {STATED_MAX}");
            Err(HeaderFlaw::Invalid(Flaw::new(expected, wild.to_string())))
        }
    }
}

/// The name of segment `number`.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:020}.seg")
}

/// The number in a segment's name; `None` for any other name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let is_ours = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_ours.then(|| digits.parse().ok()).flatten()?;
    (number <= STATED_MAX).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SegmentHeader {
        SegmentHeader {
            channel_id: [9; 16],
            number: 3,
            base: Lsn(77_000),
            first_sequence: 12,
            capacity: 65_536,
            epoch: 2,
        }
    }

    #[test]
    fn a_header_survives_its_encoding() {
        assert_eq!(SegmentHeader::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn i6_every_flipped_bit_of_the_page_is_noticed() {
        let page = sample().encode();
        for bit in 0..page.len() * 8 {
            let mut flipped = page.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let mut page = sample().encode();
        page[8] = 2;
        assert!(matches!(SegmentHeader::decode(&page), Err(HeaderFlaw::Unsupported(_))));
        let mut page = sample().encode();
        page[12] = 1;
        assert!(matches!(SegmentHeader::decode(&page), Err(HeaderFlaw::Invalid(_))), "a bit flip");
        let crc = crc32fast::hash(&page[..CRC_AT]);
        page[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(SegmentHeader::decode(&page), Err(HeaderFlaw::Unsupported(_))));
        let mut page = sample().encode();
        page[10] = 1;
        assert!(matches!(SegmentHeader::decode(&page), Err(HeaderFlaw::Invalid(_))), "noise");
        let mut page = sample().encode();
        page[8..].fill(0);
        assert!(matches!(SegmentHeader::decode(&page), Err(HeaderFlaw::Invalid(_))), "torn");
    }

    #[test]
    fn i6_a_page_of_any_other_size_and_numbers_that_cannot_be_are_refused() {
        let page = sample().encode();
        for size in [0, 7, 8, 19, 20, 40, 4095] {
            let found = SegmentHeader::decode(&page[..size]);
            assert!(matches!(found, Err(HeaderFlaw::Invalid(_))), "{size}");
        }
        let longer = [&page[..], &[1; 100]].concat();
        assert_eq!(SegmentHeader::decode(&longer), Ok(sample()), "records follow");
        assert!(check_preamble(&page[..20], MAGIC, "it").is_ok());
        let HeaderFlaw::Invalid(flaw) = SegmentHeader::decode(&[0; 4096]).expect_err("no header")
        else {
            panic!("zeros are no version");
        };
        assert_eq!(flaw.found, "zeros");
        for wild in [STATED_MAX, STATED_MAX + 1] {
            let headers = [
                SegmentHeader { number: wild, ..sample() },
                SegmentHeader { base: Lsn(wild), ..sample() },
                SegmentHeader { first_sequence: wild, ..sample() },
                SegmentHeader { capacity: CAPACITY_MAX + wild - STATED_MAX, ..sample() },
                SegmentHeader { epoch: wild, ..sample() },
            ];
            for header in headers {
                let decoded = SegmentHeader::decode(&header.encode());
                assert_eq!(decoded.is_ok(), wild == STATED_MAX, "{header:?}");
            }
        }
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(segment_name(42), "00000000000000000042.seg");
        assert_eq!(segment_number("00000000000000000042.seg"), Some(42));
        for other in ["42.seg", "+0000000000000000042.seg", "spare-1", "00000000000000000042"] {
            assert_eq!(segment_number(other), None, "{other}");
        }
    }
}
