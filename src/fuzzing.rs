//! What the fuzz targets call: every decoder of bytes that come from a disk, and the reader of properties.
//!
//! Arbitrary bytes hardly ever pass a checksum, so they are also taken as the *content* of a record, of a
//! segment header and of a checkpoint: sealed as the log seals them, decoded, then damaged and decoded again.

#[cfg(feature = "agent")]
use crate::agent::fuzzing as agent;
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

/// Decodes `bytes` as a segment's file, in every way that the log does. The first byte says where in the file
/// the records begin, then come the first 80 bytes of the header page, its checksum, and the records.
pub fn segment(bytes: &[u8]) {
    log::segment::scan(bytes);
}

/// Decodes `bytes` as a checkpoint slot, with the queue in it.
pub fn checkpoint(bytes: &[u8]) {
    if let Some(queue) = log::slot(bytes) {
        channel::payloads(&queue);
    }
}

/// Decodes `bytes` as payloads, and takes them as a transaction to be encoded.
pub fn payload(bytes: &[u8]) {
    channel::payloads(bytes);
    channel::transaction(bytes);
}

/// Reads `bytes` as a properties file.
#[cfg(feature = "agent")]
pub fn properties(bytes: &[u8]) {
    agent::properties(bytes);
}

/// Puts right checksums into the input of [`decoders`] or [`checkpoint`]. With `place` a record's position is
/// put right as well.
pub fn seal(bytes: &mut [u8], place: bool) {
    log::seal(bytes, place);
}

/// As [`seal`], for the input of [`segment`].
pub fn seal_folded_segment(bytes: &mut [u8], place: bool) {
    log::segment::seal(bytes, place);
}

/// As [`seal`], for a segment's file.
pub fn seal_segment(file: &mut [u8], place: bool) {
    log::seal::segment(file, 4096, place);
}

/// The input of [`segment`] that stands for this file.
pub fn fold_segment(file: &[u8]) -> Vec<u8> {
    log::segment::fold(file)
}
