//! The weaknesses of Flume's file channel, each as a test that it would fail and this channel passes: the
//! rows C1 to C18 and P1 to P12 of the table in `docs/FLUME.md`.
#![allow(unreachable_pub, reason = "what the modules of one test share")]

#[path = "support/files.rs"]
mod files;
#[path = "support/queue.rs"]
mod queue;
#[path = "support/watched.rs"]
mod watched;

#[path = "flume_weaknesses/crashes.rs"]
mod crashes;
#[path = "flume_weaknesses/disk.rs"]
mod disk;
#[path = "flume_weaknesses/past_bugs.rs"]
mod past_bugs;
#[path = "flume_weaknesses/state.rs"]
mod state;
#[path = "flume_weaknesses/structure.rs"]
mod structure;
