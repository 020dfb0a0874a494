//! Whole channels in every interleaving of two or three threads: the engine as it is, on loom's locks and on
//! the simulated disk.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test --locked --release --lib --no-default-features --features sim \
//!     --target-dir target/loom -- loom --nocapture
//! ```
//!
//! A model begins with a prepared image of a disk, opens a channel on a copy of it, lets threads loose on
//! that, and at the end holds what was acknowledged against what is there: in the channel, and in the image
//! of a crash at the moment of each acknowledgement, which loses everything that was not synced. Each model
//! names the outcomes that it must have reached in some execution.

mod bench;
mod collection;
mod commits;
mod lazy;
mod steps;
mod stops;
mod transactions;
