//! Flumen: a durable, transactional queue in a directory.
#![deny(unsafe_code)]
#![deny(missing_docs)]

mod bytes;
mod channel;
mod event;
mod log;
mod shutdown;
pub mod sink;
pub mod source;
pub mod storage;
mod sync;

#[cfg(feature = "agent")]
pub mod agent;

pub use bytes::Bytes;
pub use channel::{
    AckDurability, Channel, ChannelOptions, ChannelStats, CloseError, CommitError, Corruption,
    CursorError, Durability, EVENT_SIZE_MAX, FileChannel, InvalidOption, MemoryChannel, OpenError,
    PutError, PutTransaction, ReadMode, Recovery, SEGMENT_SIZE_MAX, SEGMENT_SIZE_MIN, Stopped,
    TRANSACTION_BYTES_MAX, TRANSACTION_EVENTS_MAX, TakeError, TakeTransaction,
};
pub use event::Event;
pub use shutdown::Shutdown;
