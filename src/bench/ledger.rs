//! The account of a channel that is killed at work: what producers were promised, what consumers got.
//!
//! Every life has producers of its own, who number their events from 0 and tell what is committed (`P`). The
//! consumer tells what it has taken before its commit (`t`), and that the commit was acknowledged (`T`). A
//! kill between the two leaves one transaction in doubt: it counts, or it does not, as a whole.

use std::collections::BTreeMap;

/// Events `first..end` of one producer, taken in a row.
type Run = (u64, u64, u64);

#[derive(Default)]
struct Producer {
    /// Events before this are acknowledged: the channel promised to keep them.
    promised: u64,
    /// Events before this were taken for good, and that was acknowledged.
    taken: u64,
    /// What the next event must be; and where else it may go on, when a take is in doubt.
    next: u64,
    doubt: Option<u64>,
}

/// The account.
#[derive(Default)]
pub(crate) struct Ledger {
    producers: BTreeMap<u64, Producer>,
    open: Vec<Run>,
    /// Events that were promised and never came.
    pub(crate) lost: u64,
    /// Events that came again after their take was acknowledged.
    pub(crate) duplicated: u64,
    /// Events that came before an older one of the same producer.
    pub(crate) reordered: u64,
    /// The first of these faults, in words.
    pub(crate) first_fault: Option<String>,
    /// Events that came.
    pub(crate) delivered: u64,
}

impl Ledger {
    /// Reads what one life said. A last line that the kill cut off says nothing.
    pub(crate) fn live(&mut self, lines: &[String]) {
        for line in lines {
            let mut words = line.split(' ');
            match words.next() {
                Some("P") => self.promise(words.filter_map(|word| word.parse().ok()).collect()),
                Some("t") => {
                    self.open = words.filter_map(run).collect();
                    for run in self.open.clone() {
                        self.take(run);
                    }
                }
                Some("T") => {
                    for (producer, _, end) in std::mem::take(&mut self.open) {
                        let producer = self.producers.entry(producer).or_default();
                        producer.taken = producer.taken.max(end);
                    }
                }
                _ => {}
            }
        }
        self.die();
    }

    fn promise(&mut self, numbers: Vec<u64>) {
        if let [producer, end] = numbers[..] {
            let producer = self.producers.entry(producer).or_default();
            producer.promised = producer.promised.max(end);
        }
    }

    fn take(&mut self, (producer, first, end): Run) {
        let number = producer;
        let producer = self.producers.entry(producer).or_default();
        // What comes first shows what became of the take in doubt; until then it stays in doubt.
        if producer.doubt.take() == Some(first) && first > producer.next {
            producer.taken = first;
            producer.next = first;
        }
        let expected = producer.next;
        if first < producer.taken {
            self.duplicated += producer.taken.min(end) - first;
        } else if first < expected {
            self.reordered += expected.min(end) - first;
        } else {
            self.lost += first - expected;
        }
        if first != expected && self.first_fault.is_none() {
            let fault = format!("producer {number}: event {first} came where {expected} was due");
            self.first_fault = Some(fault);
        }
        producer.next = producer.next.max(end);
        self.delivered += end - first;
    }

    /// The kill: what was taken and not acknowledged may come again, or not, all of it together.
    fn die(&mut self) {
        for producer in self.producers.values_mut() {
            producer.next = producer.taken;
        }
        for (producer, _, end) in std::mem::take(&mut self.open) {
            let producer = self.producers.entry(producer).or_default();
            // The take began by settling an older doubt, so there is at most this one.
            producer.doubt = Some(producer.doubt.unwrap_or(0).max(end));
        }
    }

    /// The channel is empty: what was promised and did not come is lost.
    pub(crate) fn end(&mut self) {
        for (number, producer) in &self.producers {
            let reached = producer.next.max(producer.doubt.unwrap_or(0));
            let missing = producer.promised.saturating_sub(reached);
            if missing > 0 && self.first_fault.is_none() {
                self.first_fault = Some(format!("producer {number}: no event from {reached} on"));
            }
            self.lost += missing;
        }
    }
}

/// `3:10-20`.
fn run(word: &str) -> Option<Run> {
    let (producer, range) = word.split_once(':')?;
    let (first, end) = range.split_once('-')?;
    Some((producer.parse().ok()?, first.parse().ok()?, end.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(lives: &[&[&str]]) -> (u64, u64, u64) {
        let mut ledger = Ledger::default();
        for life in lives {
            ledger.live(&life.iter().map(|line| line.to_string()).collect::<Vec<_>>());
        }
        ledger.end();
        (ledger.lost, ledger.duplicated, ledger.reordered)
    }

    #[test]
    fn a_right_history_is_right() {
        assert_eq!(judged(&[&["P 1 10", "t 1:0-10", "T"]]), (0, 0, 0));
        assert_eq!(judged(&[&["P 1 10", "t 1:0-6", "T"], &["t 1:6-10", "T"]]), (0, 0, 0));
        // A put whose commit was not acknowledged may be there.
        assert_eq!(judged(&[&["P 1 10"], &["t 1:0-12", "T"]]), (0, 0, 0));
    }

    #[test]
    fn a_take_in_doubt_counts_or_does_not() {
        let first = ["P 1 10", "t 1:0-6", "T", "t 1:6-8"];
        assert_eq!(judged(&[&first, &["t 1:6-10", "T"]]), (0, 0, 0));
        assert_eq!(judged(&[&first, &["t 1:8-10", "T"]]), (0, 0, 0));
        // Killed again before anything came: still in doubt.
        assert_eq!(judged(&[&first, &[], &["t 1:8-10", "T"]]), (0, 0, 0));
        assert_eq!(judged(&[&first, &["t"], &["t 1:6-10", "T"]]), (0, 0, 0));
        // It counted, and so it does after the next kill, which leaves another in doubt.
        assert_eq!(judged(&[&first, &["t 1:8-9"], &["t 1:8-10", "T"]]), (0, 0, 0));
        assert_eq!(judged(&[&first, &["t 1:8-9"], &["t 1:9-10", "T"]]), (0, 0, 0));
        assert_eq!(judged(&[&first, &["t 1:8-9"], &["t 1:6-10", "T"]]), (0, 2, 0));
        // It did not count.
        assert_eq!(judged(&[&first, &["t 1:6-7"], &["t 1:6-10", "T"]]), (0, 0, 0));
        assert_eq!(judged(&[&first, &["t 1:6-7"], &["t 1:7-10", "T"]]), (0, 0, 0));
        assert_eq!(judged(&[&first, &["t 1:6-7"], &["t 1:8-10", "T"]]), (2, 0, 0));
        assert_eq!(judged(&[&first, &["t 1:7-10", "T"]]), (1, 0, 0));
        assert_eq!(judged(&[&first, &["t 1:9-10", "T"]]), (3, 0, 0));
    }

    #[test]
    fn what_is_wrong_is_counted() {
        assert_eq!(judged(&[&["P 1 10", "t 1:0-6", "T"], &["t 1:7-10", "T"]]), (1, 0, 0));
        assert_eq!(judged(&[&["P 1 10", "t 1:0-6", "T"]]), (4, 0, 0));
        assert_eq!(judged(&[&["P 1 10", "t 1:0-6", "T"], &["t 1:4-10", "T"]]), (0, 2, 0));
        assert_eq!(judged(&[&["P 1 10", "t 1:0-6 1:4-10", "T"]]), (0, 0, 2));
        assert_eq!(judged(&[&["P 1 10", "t 1:0-10"], &[]]), (0, 0, 0));
    }
}
