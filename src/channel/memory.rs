//! The channel without a disk.

use super::{ChannelOptions, OpenError};

/// Stub.
#[derive(Clone)]
pub struct MemoryChannel {}

impl MemoryChannel {
    /// Stub.
    pub fn open(_options: ChannelOptions) -> Result<MemoryChannel, OpenError> {
        unimplemented!()
    }
}
