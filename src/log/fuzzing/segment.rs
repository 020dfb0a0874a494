//! A segment's file out of a fuzzer's bytes: scanned in blocks as the log does, and held against a walk over
//! all of its bytes.

use crate::log::lsn::Lsn;
use crate::log::record::{
    ALIGNMENT, HEADER_SIZE, RecordHeader, Seed, check_payload, decode_header, u64_at,
};
use crate::log::scan::{Origin, Scanner};
use crate::log::segment::{PAGE, STATED_MAX, SegmentHeader};

const PAGE_SIZE: usize = PAGE as usize;
/// What a scanner reads at once.
const BLOCK: usize = 256 << 10;
/// Bytes of the header page that are not zero, and where its checksum is.
const HEAD: usize = 80;
const CRC_AT: usize = PAGE_SIZE - 4;
/// The input's bytes before the records: where they begin, the header page's head, its checksum.
const RECORDS_AT: usize = 1 + HEAD + 4;

/// The file that the input stands for, and where in it the records begin: behind the header page, or so
/// near the end of a block that one reaches over it.
fn unfold(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (head, records) = input.split_at_checked(RECORDS_AT)?;
    let start = match usize::from(head[0]) {
        0 => PAGE_SIZE,
        steps => PAGE_SIZE + BLOCK - steps * ALIGNMENT,
    };
    let mut file = vec![0; start];
    file[..HEAD].copy_from_slice(&head[1..=HEAD]);
    file[CRC_AT..PAGE_SIZE].copy_from_slice(&head[1 + HEAD..]);
    file.extend_from_slice(records);
    Some((file, start))
}

/// Seals the file that the input stands for.
pub(crate) fn seal(input: &mut [u8], place: bool) {
    let Some((mut file, start)) = unfold(input) else {
        return;
    };
    super::seal::segment(&mut file, start, place);
    input[1 + HEAD..RECORDS_AT].copy_from_slice(&file[CRC_AT..PAGE_SIZE]);
    input[RECORDS_AT..].copy_from_slice(&file[start..]);
}

/// The input of a segment's file as the log writes it.
pub(crate) fn fold(file: &[u8]) -> Vec<u8> {
    let used = file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let used = used.next_multiple_of(ALIGNMENT).clamp(PAGE_SIZE, file.len());
    [&[0], &file[..HEAD], &file[CRC_AT..used]].concat()
}

/// Reads a segment's file in every way that there is.
pub(crate) fn scan(input: &[u8]) {
    let Some((file, start)) = unfold(input) else {
        return;
    };
    let mut limit = file.len() as u64;
    if let Ok(header) = SegmentHeader::decode(&file) {
        assert_eq!(SegmentHeader::decode(&header.encode()).as_ref(), Ok(&header));
        limit = limit.min(header.capacity + start as u64 - PAGE);
    }
    let bytes = Plain::new(&file[..limit as usize]);
    let end = follow(&bytes, start as u64);
    list(bytes.scanner().with_any_lsn(), &bytes, &bytes.headers(true));
    let headers = bytes.headers(false);
    list(bytes.scanner(), &bytes, &headers);
    behind(&bytes, &headers, end);
    behind(&bytes, &headers, start as u64);
    // From here the end of a block falls among the records.
    behind(&bytes, &headers, PAGE);
}

/// The records one behind the other; returns where they end.
fn follow(bytes: &Plain<'_>, start: u64) -> u64 {
    let (mut offset, limit) = (start, bytes.file.len() as u64);
    let mut scanner = bytes.scanner();
    loop {
        let expected = bytes.record(offset);
        let found = scanner.record_at(offset, limit);
        let (Some((header, payload)), Ok(found)) = (expected, &found) else {
            assert_eq!(expected.is_some(), found.is_ok(), "the record at {offset}");
            return offset;
        };
        assert_eq!((found.offset, &found.header), (offset, &header));
        assert_eq!(&*found.payload, payload, "the payload at {offset}");
        offset += header.record_size();
    }
}

/// Every header wherever it stands.
fn list(mut scanner: Scanner, bytes: &Plain<'_>, headers: &[(u64, RecordHeader)]) {
    let (mut offset, limit) = (PAGE, bytes.file.len() as u64);
    for (expected, header) in headers {
        let found = scanner.next_header(offset, limit).expect("memory can be read");
        assert_eq!(found, Some((*expected, *header)), "the first header from {offset} on");
        offset = expected + ALIGNMENT as u64;
    }
    let found = scanner.next_header(offset, limit).expect("memory can be read");
    assert_eq!(found, None, "no header from {offset} on");
}

fn behind(bytes: &Plain<'_>, headers: &[(u64, RecordHeader)], from: u64) {
    let limit = bytes.file.len() as u64;
    let found = bytes.scanner().look_behind(from, limit).expect("memory can be read");
    let behind = headers.iter().filter(|(at, _)| *at >= from);
    let watermark = behind.map(|(_, header)| header.watermark).max();
    assert_eq!(found.watermark, watermark, "the witnesses behind {from}");
    let rest = bytes.file.get(from as usize..).unwrap_or_default();
    assert_eq!(found.is_blank, rest.iter().all(|byte| *byte == 0), "zeros behind {from}");
}

/// The file without blocks: every place is looked at by itself.
struct Plain<'a> {
    file: &'a [u8],
    seed: Seed,
    base: Lsn,
}

impl Plain<'_> {
    fn new(file: &[u8]) -> Plain<'_> {
        let head = |at: usize| file.get(at..at + 8).map_or(0, |bytes| u64_at(bytes, 0));
        let mut id = [0; 16];
        id[..8].copy_from_slice(&head(24).to_le_bytes());
        id[8..].copy_from_slice(&head(32).to_le_bytes());
        Plain { file, seed: Seed::new(&id, head(40)), base: Lsn(head(48).min(STATED_MAX)) }
    }

    fn scanner(&self) -> Scanner {
        Scanner::new(Origin::Map(Box::new(self.file.to_vec())), self.seed.clone(), self.base)
    }

    fn record(&self, offset: u64) -> Option<(RecordHeader, &[u8])> {
        let bytes = self.file.get(offset as usize..)?;
        let lsn = self.base.plus(offset - PAGE);
        let header = decode_header(&self.seed, bytes, offset, lsn).ok()?;
        let record = bytes.get(..usize::try_from(header.record_size()).ok()?)?;
        Some((header, check_payload(&header, record).ok()?))
    }

    /// All headers behind the header page. The kind is among the first eight bytes of one: never all zero.
    fn headers(&self, any_lsn: bool) -> Vec<(u64, RecordHeader)> {
        let places = (PAGE_SIZE..self.file.len()).step_by(ALIGNMENT);
        let header = |at: usize| {
            let bytes = self.file.get(at..at + HEADER_SIZE)?;
            if bytes[..ALIGNMENT] == [0; ALIGNMENT] {
                return None;
            }
            let lsn = match any_lsn {
                true => Lsn(u64_at(bytes, 16)),
                false => self.base.plus(at as u64 - PAGE),
            };
            Some((at as u64, decode_header(&self.seed, bytes, at as u64, lsn).ok()?))
        };
        places.filter_map(header).collect()
    }
}
