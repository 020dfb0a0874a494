//! Flumen: a durable, transactional queue in a directory.
#![deny(unsafe_code)]
#![deny(missing_docs)]

#[cfg(feature = "agent")]
mod back_off;
mod bytes;
mod channel;
mod event;
mod log;
mod shutdown;
pub mod storage;
mod sync;
pub mod tools;

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "agent")]
pub mod sink;
#[cfg(feature = "agent")]
pub mod source;

pub use bytes::Bytes;
pub use channel::{
    AckDurability, Channel, ChannelOptions, ChannelStats, CloseError, CommitError, Corruption,
    CursorError, Durability, EVENT_SIZE_MAX, FileChannel, InvalidOption, MemoryChannel, OpenError,
    PutError, PutTransaction, ReadMode, Recovery, SEGMENT_SIZE_MAX, SEGMENT_SIZE_MIN, Stopped,
    TRANSACTION_BYTES_MAX, TRANSACTION_EVENTS_MAX, TakeError, TakeTransaction,
};
pub use event::Event;
pub use shutdown::Shutdown;
