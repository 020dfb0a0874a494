//! The contestants, a file for each.

mod flumen;
mod raw;
mod sketch;

#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "heed")]
mod heed;
#[cfg(feature = "okaywal")]
mod okaywal;
#[cfg(feature = "open-wal")]
mod open_wal;
#[cfg(feature = "persistent-queue")]
mod persistent_queue;
#[cfg(feature = "queue-file")]
mod queue_file;
#[cfg(feature = "raft-engine")]
mod raft_engine;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "segment-buffer")]
mod segment_buffer;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "wal-db")]
mod wal_db;
#[cfg(feature = "yaque")]
mod yaque;

use crate::peer::Contestant;

/// The two that others are compared with come first.
pub(crate) const ALL: &[Contestant] = &[
    raw::CONTESTANT,
    sketch::CONTESTANT,
    flumen::CONTESTANT,
    #[cfg(feature = "okaywal")]
    okaywal::CONTESTANT,
    #[cfg(feature = "wal-db")]
    wal_db::CONTESTANT,
    #[cfg(feature = "open-wal")]
    open_wal::CONTESTANT,
    #[cfg(feature = "raft-engine")]
    raft_engine::CONTESTANT,
    #[cfg(feature = "queue-file")]
    queue_file::CONTESTANT,
    #[cfg(feature = "segment-buffer")]
    segment_buffer::CONTESTANT,
    #[cfg(feature = "persistent-queue")]
    persistent_queue::CONTESTANT,
    #[cfg(feature = "yaque")]
    yaque::CONTESTANT,
    #[cfg(feature = "fjall")]
    fjall::CONTESTANT,
    #[cfg(feature = "rocksdb")]
    rocksdb::CONTESTANT,
    #[cfg(feature = "redb")]
    redb::CONTESTANT,
    #[cfg(feature = "sqlite")]
    sqlite::CONTESTANT,
    #[cfg(feature = "heed")]
    heed::CONTESTANT,
];

/// The contestant of that name.
pub(crate) fn named(name: &str) -> Option<&'static Contestant> {
    ALL.iter().find(|contestant| contestant.name == name)
}
