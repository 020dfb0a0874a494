//! What the fuzz targets call: every decoder of bytes that come from a disk.
//!
//! Arbitrary bytes hardly ever pass a checksum, so they are also taken as the *content* of a record, of a
//! segment header and of a checkpoint: sealed as the log seals them, decoded, then damaged and decoded again.

use crate::channel::fuzzing as channel;
use crate::log::fuzzing as log;

/// Decodes `bytes` as everything that is decoded. Panics when a decoder breaks its promises: no panic, no
/// second encoding of a value, no damage unseen.
pub fn decoders(bytes: &[u8]) {
    log::raw(bytes);
    channel::payloads(bytes);
    let (damage, content) = bytes.split_at(bytes.len().min(4));
    let damage = damage.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    log::sealed(content, damage);
}
