//! The channel durability benchmark: what a channel does on this machine's disk, beside what the disk can.
//!
//! [`schedule`] is the order of the measuring. Each measure is a child process of its own ([`work`],
//! [`child`]), so that its memory is its own, and a SIGKILL is a real one. In the child, rounds of the raw
//! limit and of the channel take turns; what comes out are [`row::Row`]s, which all reports are made of.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark is plain files, threads, child processes and the clock"
)]

mod backlog;
mod child;
mod commits;
mod compare;
mod error;
mod form;
mod html;
mod kills;
mod ledger;
mod machine;
mod pipeline;
mod place;
mod plot;
mod queue;
mod raw;
mod report;
mod row;
mod schedule;
mod sketch;
mod stats;
mod stock;
mod tail;
mod terminal;
mod unsynced;
mod work;

pub(crate) use compare::write as write_comparison;
pub(crate) use error::BenchError;
pub(crate) use form::Form;
pub(crate) use html::page;
pub(crate) use machine::{Machine, ProcessorTime, load};
pub(crate) use place::Place;
pub(crate) use report::Report;
pub(crate) use schedule::{Plan, run};
pub(crate) use terminal::write_table;
pub(crate) use work::{Work, run as work};
