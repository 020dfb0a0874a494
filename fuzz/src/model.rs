//! What a channel may hold: a list of numbers and a cursor, once for sure, and for what a crash may leave of
//! it as many times as there are doubts. It shares no code with the engine.

use crate::bodies::Id;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) queue: Vec<Id>,
    pub(crate) cursor: Option<Vec<u8>>,
}

/// What a transaction does.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) put: Vec<Id>,
    pub(crate) taken: Vec<Id>,
    pub(crate) cursor: Option<Vec<u8>>,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Acknowledged, and safe from a loss of power.
    Durable,
    /// Acknowledged; the channel's options let it be lost with the power.
    Loose,
    /// Nobody knows: the channel has stopped.
    InDoubt,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: Held,
    /// What may be found after a crash.
    possible: Vec<Held>,
    /// Acks wait in memory, so that what is put later may be on the disk before them. Otherwise a crash
    /// leaves a beginning of the log.
    pub(crate) is_lazy: bool,
}

impl Model {
    pub(crate) fn new() -> Model {
        Model { possible: vec![Held::default()], ..Model::default() }
    }

    pub(crate) fn apply(&mut self, change: &Change, outcome: Outcome) {
        let now = self.now.after(change);
        let after = match self.is_lazy {
            true => self.possible.iter().map(|held| held.after(change)).collect(),
            false => vec![now.clone()],
        };
        if outcome == Outcome::Durable {
            self.possible.clear();
        }
        for held in after {
            if !self.possible.contains(&held) {
                self.possible.push(held);
            }
        }
        if outcome != Outcome::InDoubt {
            self.now = now;
        }
    }

    /// Everything acknowledged is durable now.
    pub(crate) fn settle(&mut self) {
        self.possible = vec![self.now.clone()];
    }

    pub(crate) fn doubts(&self) -> usize {
        self.possible.len()
    }

    /// A channel was opened after its end, and this was found in it.
    pub(crate) fn found(&mut self, found: Held) {
        assert!(self.possible.contains(&found), "found {found:?}, possible {:?}", self.possible);
        self.now = found;
        self.settle();
    }
}

impl Change {
    pub(crate) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.taken.is_empty() && self.cursor.is_none()
    }
}

impl Held {
    fn after(&self, change: &Change) -> Held {
        let mut queue = self.queue.clone();
        queue.retain(|id| !change.taken.contains(id));
        queue.extend(&change.put);
        let cursor = change.cursor.clone().or_else(|| self.cursor.clone());
        Held { queue, cursor }
    }
}
