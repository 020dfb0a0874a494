//! Medians, spreads and percentiles.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The value at `share` (0 to 1) of `sorted`, between two neighbours where it falls between; 0 of none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = share * last as f64;
    let (low, rest) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(last);
    sorted[low] + (sorted[high] - sorted[low]) * rest
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The median; 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(&sorted(values), 0.5)
}

/// How far values scatter: their interquartile range as a share of their median; 0 for fewer than two.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let middle = quantile(&sorted, 0.5);
    if sorted.len() < 2 || middle == 0.0 {
        return 0.0;
    }
    (quantile(&sorted, 0.75) - quantile(&sorted, 0.25)) / middle
}

/// How long each of many operations took.
#[derive(Default)]
pub(crate) struct Times(Vec<u64>);

impl Times {
    /// No operation yet.
    pub(crate) fn new() -> Times {
        Times::default()
    }

    /// One more operation.
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// All operations of `other` too.
    pub(crate) fn append(&mut self, mut other: Times) {
        self.0.append(&mut other.0);
    }

    /// Operations so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Operations a second, were there nothing between them, counted from the operation `from` on.
    pub(crate) fn rate_from(&self, from: usize) -> f64 {
        let some = &self.0[from..];
        let nanos: u64 = some.iter().sum();
        if nanos == 0 { 0.0 } else { some.len() as f64 * 1e9 / nanos as f64 }
    }

    /// Bytes of memory that the times themselves take.
    pub(crate) fn held(&self) -> u64 {
        self.0.capacity() as u64 * 8
    }

    /// The distribution.
    pub(crate) fn latency(mut self) -> Latency {
        self.0.sort_unstable();
        let at = |share: f64| {
            // The smallest time that at least this share of the operations did not exceed.
            let rank = (share * self.0.len() as f64).ceil() as usize;
            let nanos = self.0.get(rank.saturating_sub(1)).copied().unwrap_or(0);
            nanos as f64 / 1e3
        };
        let shares = CURVE.iter().copied().filter(|share| {
            // A percentile needs some operations beyond it.
            (1.0 - share) * self.0.len() as f64 >= 1.0 || *share == 0.5
        });
        Latency {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
            operations: self.0.len() as u64,
            curve: shares.map(|share| (share, at(share))).collect(),
        }
    }
}

/// One of those that take turns: how long its operations took, and its rate in each round.
#[derive(Default)]
pub(crate) struct Side {
    pub(crate) times: Times,
    pub(crate) rates: Vec<f64>,
    /// Operations of the rounds that are over.
    counted: usize,
}

impl Side {
    /// Ends a round: its operations are those since the last one.
    pub(crate) fn end_round(&mut self) {
        self.rates.push(self.times.rate_from(self.counted));
        self.counted = self.times.len();
    }
}

/// The shares a curve is drawn through.
const CURVE: [f64; 14] =
    [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999];

/// A distribution of times, in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    pub(crate) operations: u64,
    /// Shares of the operations, and the time that each did not exceed.
    pub(crate) curve: Vec<(f64, f64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(spread(&[7.0]), 0.0);
        assert_eq!(spread(&[10.0, 20.0, 30.0, 40.0, 50.0]), 20.0 / 30.0);
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let mut times = Times::new();
        for micros in (1..=1000).rev() {
            times.add(Duration::from_micros(micros));
        }
        assert_eq!(times.rate_from(1000), 0.0);
        let latency = times.latency();
        assert_eq!((latency.p50, latency.p99, latency.p999), (500.0, 990.0, 999.0));
        assert_eq!((latency.max, latency.operations), (1000.0, 1000));
        assert_eq!(latency.curve.last(), Some(&(0.999, 999.0)));
        assert_eq!(Times::new().latency().max, 0.0);
    }
}
