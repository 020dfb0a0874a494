//! What several test programs share: a reference model and histories to run against it.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod history;
