//! Interleaved rounds: in each round every contestant runs once for the same short time, each round begins with
//! another one, and what is compared was measured within the same round.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::peer::{Contestant, Peer, Result};
use crate::workload::{self, Cell, Sample, Steady};

/// What a contestant did in a cell.
pub(crate) struct Row {
    pub(crate) contestant: &'static Contestant,
    /// Whether it gives what the cell is about.
    pub(crate) honest: bool,
    pub(crate) outcome: Outcome,
}

pub(crate) enum Outcome {
    /// It cannot take part, and why.
    Refused(&'static str),
    /// It failed, or handed out wrong data.
    Failed(String),
    Measured(Figures),
}

/// Figures over all rounds.
pub(crate) struct Figures {
    /// Events per second, by round.
    pub(crate) rates: Vec<f64>,
    /// The rate divided by the reference's of the same round; empty without a reference.
    pub(crate) ratios: Vec<f64>,
    /// How long commits took, in nanoseconds, ascending.
    pub(crate) commits: Vec<u64>,
}

impl Figures {
    /// The smallest time that `part` of the commits did not exceed, in microseconds.
    pub(crate) fn commit_us(&self, part: f64) -> f64 {
        let at = (part * self.commits.len() as f64).ceil() as usize;
        let nanos = self.commits.get(at.saturating_sub(1).min(self.commits.len().max(1) - 1));
        nanos.map_or(f64::NAN, |nanos| *nanos as f64 / 1e3)
    }
}

/// The value that `part` of the values lie below, between neighbours.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = part * last as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

struct Running<'a> {
    steady: Result<Steady<'a>>,
    samples: Vec<Sample>,
}

impl Running<'_> {
    fn round(&mut self, cell: &Cell, time: Duration) {
        let Ok(steady) = &mut self.steady else { return };
        match cell.run(steady, time) {
            Ok(sample) => self.samples.push(sample),
            Err(error) => self.steady = Err(error),
        }
    }
}

/// Runs one cell with all contestants.
pub(crate) fn cell(
    cell: &Cell,
    contestants: &[&'static Contestant],
    directory: &Path,
    rounds: usize,
    time: Duration,
) -> Result<Vec<Row>> {
    let able: Vec<_> =
        contestants.iter().copied().filter(|one| cell.refuses(one).is_none()).collect();
    let peers: Vec<Result<Box<dyn Peer>>> = able
        .iter()
        .map(|one| workload::open(one, &directory.join(one.name), &cell.setup()))
        .collect();
    let begun = able.iter().zip(&peers).map(|(contestant, peer)| {
        let peer = peer.as_ref().map_err(|error| error.to_string())?;
        workload::begin(cell, contestant, &**peer)
    });
    let mut running: Vec<_> = begun.map(|steady| Running { steady, samples: Vec::new() }).collect();
    for round in 0..rounds {
        for turn in 0..running.len() {
            settle(directory);
            let count = running.len();
            running[(round + turn) % count].round(cell, time);
        }
    }
    let mut outcomes = outcomes(cell, &able, running);
    for (peer, outcome) in peers.into_iter().zip(&mut outcomes) {
        if let Ok(peer) = peer
            && let Err(error) = peer.close()
        {
            *outcome = Outcome::Failed(format!("closing: {error}"));
        }
    }
    std::fs::remove_dir_all(directory)?;
    let mut outcomes = outcomes.into_iter();
    let rows = contestants.iter().map(|contestant| Row {
        contestant,
        honest: cell.honest(contestant),
        outcome: match cell.refuses(contestant) {
            Some(reason) => Outcome::Refused(reason),
            None => outcomes.next().expect("one for each that is able"),
        },
    });
    Ok(rows.collect())
}

/// Writes back what others left dirty, so that nobody pays for it in the next turn.
fn settle(directory: &Path) {
    // Without the program the turns are noisier, and nothing else.
    let _ = Command::new("sync").arg("-f").arg(directory).status();
}

fn outcomes(cell: &Cell, able: &[&Contestant], running: Vec<Running<'_>>) -> Vec<Outcome> {
    let rates = |samples: &[Sample]| -> Vec<f64> {
        samples.iter().map(|sample| sample.events as f64 / sample.time.as_secs_f64()).collect()
    };
    let reference = able.iter().position(|contestant| contestant.name == cell.reference);
    let reference = reference.map_or(Vec::new(), |at| rates(&running[at].samples));
    running
        .into_iter()
        .map(|Running { steady, samples }| match steady {
            Err(error) => Outcome::Failed(error.to_string()),
            Ok(_) => {
                let rates = rates(&samples);
                let ratios = rates.iter().zip(&reference).map(|(one, other)| one / other).collect();
                let mut commits: Vec<u64> =
                    samples.into_iter().flat_map(|sample| sample.commits).collect();
                commits.sort_unstable();
                Outcome::Measured(Figures { rates, ratios, commits })
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 0.5), 2.5);
        assert_eq!(quantile(&values, 1.0), 4.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_percentile_is_a_commit_that_was() {
        let commits = (1..=1000).map(|us| us * 1000).collect();
        let figures = Figures { rates: Vec::new(), ratios: Vec::new(), commits };
        assert_eq!(figures.commit_us(0.5), 500.0);
        assert_eq!(figures.commit_us(0.99), 990.0);
        assert_eq!(figures.commit_us(1.0), 1000.0);
    }
}
