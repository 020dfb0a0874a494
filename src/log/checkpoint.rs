//! The state of the log and of whatever is built on it, at an Lsn: as the payload of the state record that
//! begins every segment, and in two slots beside the log, written in turn. Pure; the prose twin is
//! `docs/FORMAT.md`.
//!
//! A slot shortens replay and, because both name the tail segment before anything in it is acknowledged,
//! makes a lost tail noticeable. Losing one slot costs nothing; losing both, the replay of one segment, since
//! that segment begins with a state of its own.

use super::lsn::Lsn;
use super::record::{Flaw, u32_at, u64_at};
use super::segment::{
    HeaderFlaw, STATED_MAX, VERSION, check_crc, check_features, check_numbers, check_preamble,
};
use super::varint;

const MAGIC: &[u8; 8] = b"FLUMENCP";
const HEADER_SIZE: usize = 112;

/// The names of the two slots.
pub(crate) const SLOTS: [&str; 2] = ["checkpoint-a", "checkpoint-b"];

/// A complete segment whose events are not all acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) number: u64,
    pub(crate) base: Lsn,
    /// Bytes of records.
    pub(crate) size: u64,
    pub(crate) first_sequence: u64,
    /// Events put in it.
    pub(crate) events: u64,
}

impl Sealed {
    pub(crate) fn end(&self) -> Lsn {
        self.base.plus(self.size)
    }

    pub(crate) fn end_sequence(&self) -> u64 {
        self.first_sequence + self.events
    }
}

/// What is known at an Lsn: the complete segments still needed, and the state of the layer above as opaque
/// bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) sealed: Vec<Sealed>,
    pub(crate) upper: Vec<u8>,
}

impl State {
    /// Seven bytes or so a segment, three more for the first of an opening: each is told as a difference
    /// to the one before.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.sealed.len() * 8 + self.upper.len() + 8);
        varint::put(&mut out, self.sealed.len() as u64);
        let mut before = Sealed { number: 0, base: Lsn(0), size: 0, first_sequence: 0, events: 0 };
        for segment in &self.sealed {
            varint::put(&mut out, segment.number - before.number);
            varint::put(&mut out, segment.base.since(before.end()));
            varint::put(&mut out, segment.size);
            varint::put(&mut out, segment.first_sequence - before.end_sequence());
            varint::put(&mut out, segment.events);
            before = *segment;
        }
        out.extend_from_slice(&self.upper);
        out
    }

    /// Decodes what [`State::encode`] made; `None` for anything else.
    pub(crate) fn decode(mut input: &[u8]) -> Option<State> {
        let count = varint::take(&mut input)?;
        // Five bytes a segment at least: a count that the bytes cannot hold allocates nothing.
        if count > input.len() as u64 / 5 {
            return None;
        }
        let mut sealed = Vec::with_capacity(count as usize);
        let mut before = Sealed { number: 0, base: Lsn(0), size: 0, first_sequence: 0, events: 0 };
        for _ in 0..count {
            let mut next = || varint::take(&mut input);
            let (number, gap, size, skipped, events) =
                (next()?, next()?, next()?, next()?, next()?);
            let base = before.end().0.checked_add(gap)?;
            let end = base.checked_add(size)?;
            let first_sequence = before.end_sequence().checked_add(skipped)?;
            let end_sequence = first_sequence.checked_add(events)?;
            let number = before.number.checked_add(number).filter(|n| *n > before.number)?;
            if end.max(end_sequence).max(number) > STATED_MAX {
                return None;
            }
            before = Sealed { number, base: Lsn(base), size, first_sequence, events };
            sealed.push(before);
        }
        Some(State { sealed, upper: input.to_vec() })
    }
}

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) channel_id: [u8; 16],
    /// Grows by one with each slot written; the highest valid one counts.
    pub(crate) generation: u64,
    /// Grows by one with each opening.
    pub(crate) epoch: u64,
    /// Whether the channel was closed in good order, `lsn` being its end.
    pub(crate) clean: bool,
    /// The number of the tail segment; 0 while a new channel has none yet.
    pub(crate) tail: u64,
    pub(crate) tail_base: Lsn,
    /// The highest segment number that may have been used. An opening notes a higher one before it uses it.
    pub(crate) numbers_used: u64,
    /// Replay begins here, in the tail segment.
    pub(crate) lsn: Lsn,
    /// Everything before this was synced when the slot was written.
    pub(crate) watermark: Lsn,
    pub(crate) state: State,
}

impl Checkpoint {
    /// That of a log that holds nothing yet.
    pub(crate) fn unborn(channel_id: [u8; 16]) -> Checkpoint {
        Checkpoint {
            channel_id,
            generation: 0,
            epoch: 0,
            clean: false,
            tail: 0,
            tail_base: Lsn(0),
            numbers_used: 0,
            lsn: Lsn(0),
            watermark: Lsn(0),
            state: State::default(),
        }
    }

    /// Whether it is what an opening of a new log notes before there is a segment. That speaks of nothing.
    pub(crate) fn is_unborn(&self) -> bool {
        let Checkpoint { generation, epoch, numbers_used, .. } = *self;
        *self == Checkpoint { generation, epoch, numbers_used, ..Self::unborn(self.channel_id) }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; HEADER_SIZE];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[20] = u8::from(self.clean);
        out[24..40].copy_from_slice(&self.channel_id);
        let numbers = [
            self.generation,
            self.epoch,
            self.tail,
            self.tail_base.0,
            self.lsn.0,
            self.watermark.0,
            self.numbers_used,
        ];
        for (index, number) in numbers.into_iter().enumerate() {
            out[40 + index * 8..48 + index * 8].copy_from_slice(&number.to_le_bytes());
        }
        let state = self.state.encode();
        out[96..100].copy_from_slice(&(state.len() as u32).to_le_bytes());
        out[100..104].copy_from_slice(&crc32fast::hash(&state).to_le_bytes());
        let crc = crc32fast::hash(&out[..108]);
        out[108..112].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&state);
        out
    }

    /// How many bytes a slot takes that begins so, if that is true.
    pub(crate) fn stated_size(bytes: &[u8]) -> u64 {
        match bytes.get(96..100) {
            Some(_) => HEADER_SIZE as u64 + u64::from(u32_at(bytes, 96)),
            None => 0,
        }
    }

    /// Whether a slot that does not decode can be a write that was cut off while the channel was open: its
    /// header is intact and says so, and its state is not.
    pub(crate) fn is_torn(bytes: &[u8]) -> bool {
        bytes.len() >= HEADER_SIZE
            && check_preamble(bytes, MAGIC, "a checkpoint").is_ok()
            && crc32fast::hash(&bytes[..108]) == u32_at(bytes, 108)
            && bytes[20] == 0
    }

    /// Decodes a slot; bytes behind the state are remains of a longer, older one and mean nothing.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Checkpoint, HeaderFlaw> {
        check_preamble(bytes, MAGIC, "a checkpoint")?;
        let invalid =
            |expected: &str, found: String| HeaderFlaw::Invalid(Flaw::new(expected, found));
        if bytes.len() < HEADER_SIZE {
            return Err(invalid(
                "a checkpoint header of 112 bytes",
                format!("{} bytes", bytes.len()),
            ));
        }
        let mut crc = crc32fast::hash(&bytes[..108]);
        if planted!(SlotChecksumSkipped) {
            crc = u32_at(bytes, 108);
        }
        check_crc(crc, u32_at(bytes, 108), "a checkpoint header")?;
        check_features(bytes)?;
        let size = u32_at(bytes, 96) as usize;
        let Some(state) = bytes[HEADER_SIZE..].get(..size) else {
            let found = format!("{} bytes", bytes.len() - HEADER_SIZE);
            return Err(invalid("the checkpoint's whole state", found));
        };
        let mut crc = crc32fast::hash(state);
        if planted!(SlotChecksumSkipped) {
            crc = u32_at(bytes, 100);
        }
        check_crc(crc, u32_at(bytes, 100), "a checkpoint's state")?;
        let state = State::decode(state)
            .ok_or_else(|| invalid("a well-formed state", "another encoding".to_string()))?;
        let mut channel_id = [0; 16];
        channel_id.copy_from_slice(&bytes[24..40]);
        let number = |index: usize| u64_at(bytes, 40 + index * 8);
        check_numbers((0..7).map(number), "a checkpoint")?;
        Ok(Checkpoint {
            channel_id,
            generation: number(0),
            epoch: number(1),
            clean: bytes[20] == 1,
            tail: number(2),
            tail_base: Lsn(number(3)),
            lsn: Lsn(number(4)),
            watermark: Lsn(number(5)),
            numbers_used: number(6),
            state,
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Checkpoint {
        let first = Sealed { number: 2, base: Lsn(100), size: 64, first_sequence: 7, events: 3 };
        let second = Sealed { number: 5, base: Lsn(900), size: 640, first_sequence: 90, events: 0 };
        Checkpoint {
            channel_id: [3; 16],
            generation: 8,
            epoch: 2,
            clean: true,
            tail: 6,
            tail_base: Lsn(1540),
            lsn: Lsn(1600),
            watermark: Lsn(1600),
            numbers_used: 7,
            state: State { sealed: vec![first, second], upper: b"queue".to_vec() },
        }
    }

    #[test]
    fn a_checkpoint_survives_its_encoding_and_ignores_older_remains() {
        let mut bytes = sample().encode();
        assert_eq!(Checkpoint::decode(&bytes), Ok(sample()));
        bytes.extend_from_slice(b"remains");
        assert_eq!(Checkpoint::decode(&bytes), Ok(sample()));
    }

    #[test]
    fn i6_every_flipped_bit_and_every_length_is_noticed() {
        let bytes = sample().encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Checkpoint::decode(&flipped).is_err(), "bit {bit}");
        }
        for size in 0..bytes.len() {
            assert!(Checkpoint::decode(&bytes[..size]).is_err(), "size {size}");
        }
    }

    #[test]
    fn a_slot_says_how_long_it_is() {
        let bytes = sample().encode();
        assert_eq!(Checkpoint::stated_size(&bytes), bytes.len() as u64);
        assert_eq!(Checkpoint::stated_size(&bytes[..100]), bytes.len() as u64);
        assert_eq!(Checkpoint::stated_size(&bytes[..99]), 0);
    }

    #[test]
    fn a_slot_is_torn_when_its_header_is_whole_and_says_that_the_channel_was_open() {
        let closed = sample().encode();
        let open = Checkpoint { clean: false, ..sample() }.encode();
        assert!(Checkpoint::is_torn(&open));
        assert!(Checkpoint::is_torn(&open[..HEADER_SIZE]), "the state is not looked at");
        assert!(!Checkpoint::is_torn(&open[..HEADER_SIZE - 1]));
        assert!(!Checkpoint::is_torn(&closed));
        for at in [0, 8, 20, 50, 110] {
            let mut flipped = open.clone();
            flipped[at] ^= 1;
            assert!(!Checkpoint::is_torn(&flipped), "byte {at}");
        }
        let mut foreign = open;
        foreign[0] ^= 1;
        let crc = crc32fast::hash(&foreign[..108]);
        foreign[108..112].copy_from_slice(&crc.to_le_bytes());
        assert!(!Checkpoint::is_torn(&foreign), "it begins otherwise, and its checksum is right");
    }

    #[test]
    fn a_state_lists_ascending_segments_with_numbers_that_can_be() {
        let encoded = |numbers: [u64; 5], others: &[[u64; 5]]| {
            let mut bytes = Vec::new();
            varint::put(&mut bytes, 1 + others.len() as u64);
            for number in std::iter::once(&numbers).chain(others).flatten() {
                varint::put(&mut bytes, *number);
            }
            bytes
        };
        let is_state = |bytes: Vec<u8>| State::decode(&bytes).is_some();
        assert!(is_state(encoded([1, 0, 8, 0, 1], &[[1, 0, 8, 0, 1]])));
        assert!(!is_state(encoded([1, 0, 8, 0, 1], &[[0, 0, 8, 0, 1]])), "one number twice");
        assert!(!is_state(encoded([0, 0, 8, 0, 1], &[])), "no segment is number 0");
        let highest = [STATED_MAX, STATED_MAX - 8, 8, STATED_MAX - 1, 1];
        assert!(is_state(encoded(highest, &[])));
        for at in [0, 1, 3] {
            let mut higher = highest;
            higher[at] += 1;
            assert!(!is_state(encoded(higher, &[])), "number {at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(state) = State::decode(&bytes) {
                prop_assert_eq!(state.encode(), bytes);
            }
        }
    }
}
