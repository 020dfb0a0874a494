//! What Flume's own tests assert of its channels, asserted of ours: under the names of those tests, but with whole
//! sequences compared (order, duplicates, headers), and with crashes that are crashes. Which of them do not apply
//! and why is in `docs/FLUME.md`.
#![allow(unreachable_pub, reason = "what the modules of one test share")]

#[path = "support/files.rs"]
mod files;
#[path = "support/queue.rs"]
mod queue;

#[path = "flume_behaviours/error_metrics.rs"]
mod error_metrics;
#[path = "flume_behaviours/event_queue.rs"]
mod event_queue;
#[path = "flume_behaviours/file_channel.rs"]
mod file_channel;
#[path = "flume_behaviours/log.rs"]
mod log;
#[path = "flume_behaviours/restart.rs"]
mod restart;
#[path = "flume_behaviours/rollback.rs"]
mod rollback;
#[path = "flume_behaviours/semantics.rs"]
mod semantics;
#[path = "flume_behaviours/threads.rs"]
mod threads;
