//! What several test programs share.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

pub mod effort;
pub mod history;
