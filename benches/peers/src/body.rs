//! Bodies that tell on their own whether they are what was put, and whether they come in order.
//!
//! A body is 8 bytes of number (the producer in the upper 16 bits), 4 bytes of CRC-32 of what follows byte 16,
//! 4 bytes that tie the two together, and incompressible bytes. The checksums of the incompressible bytes are
//! computed once, so that stamping a body costs next to nothing while a workload is timed.

use flumen::Bytes;

/// Number, checksum and the tie between them.
const HEAD: usize = 16;
const PRODUCER_SHIFT: u32 = 48;
/// Faults that are told one by one; all are counted.
const FAULTS_TOLD: usize = 3;

/// The bodies of one commit, one after the other in one buffer.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    size: usize,
    checksums: Vec<u32>,
    next: u64,
    /// Whether each commit gets bodies in memory that may be kept, and those of this commit.
    owns: bool,
    owned: Bytes,
}

impl Batch {
    /// `count` bodies of `size` bytes of `producer`, none of them numbered yet.
    pub(crate) fn new(producer: usize, size: usize, count: usize, owns: bool) -> Batch {
        assert!(size >= HEAD, "a body needs {HEAD} bytes");
        let mut bytes = vec![0; size * count];
        let mut random = 0x9e37_79b9_7f4a_7c15 ^ (producer as u64) << 32;
        for byte in &mut bytes {
            // xorshift
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            *byte = (random >> 24) as u8;
        }
        let checksums =
            bytes.chunks_exact(size).map(|body| crc32fast::hash(&body[HEAD..])).collect();
        let next = (producer as u64) << PRODUCER_SHIFT;
        Batch { bytes, size, checksums, next, owns, owned: Bytes::new() }
    }

    /// Gives the bodies their numbers.
    pub(crate) fn stamp(&mut self) {
        for (body, &checksum) in self.bytes.chunks_exact_mut(self.size).zip(&self.checksums) {
            body[..8].copy_from_slice(&self.next.to_le_bytes());
            body[8..12].copy_from_slice(&checksum.to_le_bytes());
            body[12..HEAD].copy_from_slice(&(tie(self.next) ^ checksum).to_le_bytes());
            self.next += 1;
        }
        if self.owns {
            self.owned = Bytes::from(self.bytes.clone());
        }
    }

    /// The bodies in memory that may be kept, for who wants them so.
    pub(crate) fn owned(&self) -> &Bytes {
        &self.owned
    }

    pub(crate) fn bodies(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.size)
    }

    pub(crate) fn len(&self) -> usize {
        self.checksums.len()
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// All bodies.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn tie(number: u64) -> u32 {
    (number.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 32) as u32
}

/// Checks bodies that were taken: each intact, and those of a producer without gap, repetition or exchange.
#[derive(Default)]
pub(crate) struct Checker {
    next: Vec<u64>,
    seen: u64,
    faults: u64,
    told: Vec<String>,
}

impl Checker {
    pub(crate) fn see(&mut self, body: &[u8]) {
        self.seen += 1;
        match self.judge(body) {
            Ok(()) => {}
            Err(fault) => {
                self.faults += 1;
                if self.told.len() < FAULTS_TOLD {
                    self.told.push(fault);
                }
            }
        }
    }

    fn judge(&mut self, body: &[u8]) -> Result<(), String> {
        let Some((head, rest)) = body.split_at_checked(HEAD) else {
            return Err(format!("a body of {} bytes", body.len()));
        };
        let number = u64::from_le_bytes(head[..8].try_into().expect("8 bytes"));
        let checksum = u32::from_le_bytes(head[8..12].try_into().expect("4 bytes"));
        let tied = u32::from_le_bytes(head[12..].try_into().expect("4 bytes"));
        if tied != tie(number) ^ checksum || crc32fast::hash(rest) != checksum {
            return Err(format!("the body that should follow {} is altered", self.seen - 1));
        }
        let producer = (number >> PRODUCER_SHIFT) as usize;
        let number = number & ((1 << PRODUCER_SHIFT) - 1);
        if self.next.len() <= producer {
            self.next.resize(producer + 1, 0);
        }
        let expected = std::mem::replace(&mut self.next[producer], number + 1);
        if number == expected {
            return Ok(());
        }
        Err(format!("producer {producer}: body {number} where {expected} was expected"))
    }

    /// How many bodies were seen, wrong ones included.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// What was wrong so far, or `Ok`.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        if self.faults == 0 {
            return Ok(());
        }
        Err(format!("WRONG DATA, {} times: {}", self.faults, self.told.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(bodies: &[Vec<u8>]) -> Result<(), String> {
        let mut checker = Checker::default();
        bodies.iter().for_each(|body| checker.see(body));
        checker.verdict()
    }

    #[test]
    fn every_alteration_is_seen() {
        let mut batch = Batch::new(3, 64, 4, false);
        batch.stamp();
        let bodies: Vec<Vec<u8>> = batch.bodies().map(<[u8]>::to_vec).collect();
        assert_eq!(verdict(&bodies), Ok(()));
        for at in 0..64 {
            let mut altered = bodies.clone();
            altered[2][at] ^= 1;
            assert!(verdict(&altered).is_err(), "byte {at}");
        }
    }

    #[test]
    fn every_disorder_is_seen() {
        let mut batch = Batch::new(0, 16, 4, false);
        batch.stamp();
        let bodies: Vec<Vec<u8>> = batch.bodies().map(<[u8]>::to_vec).collect();
        for order in [&[1, 2, 3][..], &[0, 2], &[0, 0], &[0, 2, 1, 3]] {
            let disordered: Vec<_> = order.iter().map(|&at: &usize| bodies[at].clone()).collect();
            assert!(verdict(&disordered).is_err(), "{order:?}");
        }
        assert!(verdict(&[bodies[0][..15].to_vec()]).is_err());
    }
}
