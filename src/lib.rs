//! Flumen: a durable, transactional queue in a directory, and an agent that moves event streams through it.
//!
//! ```
//! use flumen::{Channel, ChannelOptions, Event, FileChannel};
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//!
//! // Opens the channel in `directory`, or makes one. It is this process's alone until it is dropped.
//! let channel = FileChannel::open(directory, ChannelOptions::new())?;
//!
//! // All events of a transaction are put, or none. After the commit a power cut does not lose them.
//! let mut put = channel.begin_put();
//! put.put(Event::new("GET /index.html").with_header("host", "web1"))?;
//! put.put(Event::new("GET /favicon.ico"))?;
//! put.commit()?;
//!
//! // What is taken is gone for good with the commit; dropping the transaction gives it back.
//! let mut take = channel.begin_take();
//! let event = take.take()?.expect("two events were put");
//! assert_eq!(&*event.body, b"GET /index.html");
//! take.commit()?;
//!
//! assert_eq!(channel.stats().events, 1);
//! channel.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The map
//!
//! Each layer knows only those below it:
//!
//! | layer | what it is |
//! |---|---|
//! | [`agent`] | a Flume properties file in, running sources, channels and sinks out |
//! | [`source`], [`sink`] | the outside world into a channel, and out of one; neither knows the other |
//! | [`Channel`] | the queue: transactions, capacity, cursors; [`FileChannel`] and [`MemoryChannel`] |
//! | `log` | an ordered, durable sequence of records in segment files; knows nothing of queues |
//! | [`storage`] | the only door to files: the operating system, or (feature `sim`) a simulated disk |
//!
//! [`Event`] (with its [`Bytes`]) and [`Shutdown`] are used on all of them.
//!
//! The feature `cli`, on by default, adds the `flumen` program, and with it `agent`: the agent, its sources
//! and sinks. Without default features this is the queue alone, and three small crates below it.
//!
//! What survives which failure is told at [`Durability`] and [`AckDurability`]; every error says what state
//! it leaves behind. `README.md` says where to read on.
#![deny(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(feature = "agent"), allow(rustdoc::broken_intra_doc_links))]

#[macro_use]
#[cfg_attr(planted, allow(missing_docs))]
mod planted;
#[macro_use]
#[doc(hidden)]
pub mod marks;

#[cfg(feature = "agent")]
mod back_off;
mod bytes;
mod channel;
mod event;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
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

/// The examples of the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
