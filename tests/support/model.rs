//! Histories of operations on a channel on a simulated disk, run against a reference model.
//!
//! A [`History`] is plain data, from a property test, a fuzzer's bytes or a regression test; [`run`] plays it and says
//! what was wrong. Needs the library with feature `sim`, and nothing else.
#![allow(dead_code, unreachable_pub, reason = "each program that includes it uses a part of it")]

#[path = "model/history.rs"]
mod history;
#[path = "model/opening.rs"]
mod opening;
#[path = "model/player.rs"]
mod player;
#[path = "model/reference.rs"]
mod reference;
#[path = "model/verdict.rs"]
mod verdict;

pub use history::{Ending, History, Operation, Settings, Size, Trouble};
pub use player::{Counts, run};
