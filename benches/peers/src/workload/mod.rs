//! The workloads, a file for each; and the cells they are made of: one workload with one size of everything.

mod steady;
mod w1;
mod w2;
mod w3;
mod w4;
mod w5;
pub(crate) mod w6;

use std::path::Path;
use std::time::Duration;

use crate::peer::{Ack, Contestant, Need, Peer, Result, Setup};

pub(crate) use steady::Steady;

/// What one contestant did in one round.
#[derive(Default)]
pub(crate) struct Sample {
    pub(crate) events: u64,
    /// What was timed.
    pub(crate) time: Duration,
    /// How long each commit of a put took, in nanoseconds.
    pub(crate) commits: Vec<u64>,
}

/// One workload with one size of everything.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    /// As on the command line.
    pub(crate) workload: &'static str,
    pub(crate) title: &'static str,
    /// What the contestants' rates are divided by.
    pub(crate) reference: &'static str,
    pub(crate) sync_puts: bool,
    pub(crate) acks: Ack,
    /// Size of a body.
    pub(crate) size: usize,
    /// Events per commit.
    pub(crate) batch: usize,
    /// Threads that put.
    pub(crate) producers: usize,
    pub(crate) needs: &'static [Need],
    run: fn(&Cell, &mut Steady<'_>, Duration) -> Result<Sample>,
}

impl Cell {
    pub(crate) fn setup(&self) -> Setup {
        Setup { sync_puts: self.sync_puts, acks: self.acks, steady: true, size: self.size }
    }

    /// Why the contestant cannot take part; its lack of a sync is no reason.
    pub(crate) fn refuses(&self, contestant: &Contestant) -> Option<&'static str> {
        let needs = self.needs.iter().filter(|need| **need != Need::Sync);
        needs.filter_map(|need| contestant.lacks(*need)).next()
    }

    /// Whether the contestant gives what this cell is about.
    pub(crate) fn honest(&self, contestant: &Contestant) -> bool {
        !self.needs.contains(&Need::Sync) || contestant.lacks(Need::Sync).is_none()
    }

    pub(crate) fn run(&self, steady: &mut Steady<'_>, time: Duration) -> Result<Sample> {
        (self.run)(self, steady, time)
    }
}

/// A contestant, opened and warm.
pub(crate) fn begin<'a>(
    cell: &Cell,
    contestant: &Contestant,
    peer: &'a dyn Peer,
) -> Result<Steady<'a>> {
    let mut steady = Steady::new(peer, cell, contestant);
    steady.warm_up()?;
    Ok(steady)
}

/// Opens the contestant in a directory of its own.
pub(crate) fn open(
    contestant: &Contestant,
    directory: &Path,
    setup: &Setup,
) -> Result<Box<dyn Peer>> {
    std::fs::create_dir_all(directory)?;
    (contestant.open)(directory, setup)
}

/// All cells, in the order of the tables. W6 is not made of cells.
pub(crate) fn cells() -> Vec<Cell> {
    [w1::cells(), w2::cells(), w3::cells(), w4::cells(), w5::cells()].concat()
}
