//! Damage to a channel's files, as it was done to Flume's file channel and measured, done to ours: every kind
//! is either refused loudly, naming file, offset and sequences, or costs nothing that was acknowledged. The rows
//! are those of `docs/FLUME.md`.
#![allow(unreachable_pub, reason = "what the modules of one test share")]

#[path = "support/files.rs"]
mod files;
#[path = "support/queue.rs"]
mod queue;

#[path = "flume_measured/checkpoints.rs"]
mod checkpoints;
#[path = "flume_measured/records.rs"]
mod records;
#[path = "flume_measured/scene.rs"]
mod scene;
#[path = "flume_measured/segments.rs"]
mod segments;
