//! What several test programs share.
#![allow(dead_code, reason = "each test program uses a part of it")]

#[cfg(feature = "agent")]
pub mod files;
pub mod history;
