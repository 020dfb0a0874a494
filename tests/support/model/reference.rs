//! What a queue is, without a disk: lists and maps. Shares no code with the engine.

use std::collections::BTreeMap;

use flumen::Event;

/// An event that was put: its body and headers follow from these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    pub id: u64,
    /// Bytes of the body.
    pub length: usize,
}

/// A cursor's name, and its value or that it is forgotten.
pub type Cursors = BTreeMap<u8, Option<u8>>;

/// One commit.
#[derive(Clone, Debug)]
pub enum Change {
    Put { items: Vec<Item>, cursors: Cursors },
    Ack { sequences: Vec<u64>, cursors: Cursors },
}

/// A queue at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What the next event put gets.
    pub next: u64,
    pub items: BTreeMap<u64, Item>,
    pub cursors: BTreeMap<u8, u8>,
}

/// What is known of the queue on the disk, and what consumers may be given.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// What no crash takes away.
    durable: State,
    /// What was written after it, or may have been. A loss of power keeps any number of the first of these.
    tail: Vec<Change>,
    /// A failure makes the tail doubtful even when only the process dies.
    in_doubt: bool,
    /// What a running channel shows.
    logged: State,
    /// Acknowledged takes that the log does not know yet.
    lazy: Option<(Vec<u64>, Cursors)>,
    /// Events that can be taken.
    pub free: BTreeMap<u64, Item>,
    /// Room that is used, by events in the channel and in open puts.
    pub used_events: u64,
    pub used_bytes: u64,
}

impl Item {
    pub fn event(self) -> Event {
        let mut body = self.id.to_le_bytes().to_vec();
        let salt = self.id.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        body.extend(salt.iter().cycle().take(self.length.saturating_sub(8)));
        body.truncate(self.length);
        let event = Event::new(body);
        match self.has_header() {
            true => event.with_header("id", self.id.to_string()),
            false => event,
        }
    }

    /// An event whose body is too short for its number has it in a header.
    fn has_header(self) -> bool {
        self.length < 8 || self.id.is_multiple_of(5)
    }

    /// The number of an event, and its length.
    pub fn of(event: &Event) -> Option<Item> {
        let length = event.body.len();
        let id = match event.headers.get("id") {
            Some(id) => id.parse().ok()?,
            None => u64::from_le_bytes(event.body.get(..8)?.try_into().ok()?),
        };
        let item = Item { id, length };
        (item.event() == *event).then_some(item)
    }

    /// What counts against a capacity.
    pub fn size(self) -> u64 {
        let header = if self.has_header() { 8 + 2 + self.id.to_string().len() } else { 0 };
        (8 + self.length + header) as u64
    }
}

impl State {
    pub fn bytes(&self) -> u64 {
        self.items.values().map(|item| item.size()).sum()
    }

    fn apply(&mut self, change: &Change) {
        let cursors = match change {
            Change::Put { items, cursors } => {
                for item in items {
                    self.items.insert(self.next, *item);
                    self.next += 1;
                }
                cursors
            }
            Change::Ack { sequences, cursors } => {
                for sequence in sequences {
                    self.items.remove(sequence);
                }
                cursors
            }
        };
        for (name, value) in cursors {
            match value {
                Some(value) => self.cursors.insert(*name, *value),
                None => self.cursors.remove(name),
            };
        }
    }
}

impl Model {
    /// What a running channel shows.
    pub fn logged(&self) -> &State {
        &self.logged
    }

    /// An acknowledged commit, durable or only written.
    pub fn write(&mut self, change: Change, is_synced: bool) {
        if let Change::Put { items, .. } = &change {
            self.free.extend((self.logged.next..).zip(items.iter().copied()));
        }
        self.logged.apply(&change);
        self.tail.push(change);
        if is_synced {
            self.sync();
        }
    }

    /// Takes that the log learns of with the next commit.
    pub fn acknowledge_lazily(&mut self, sequences: Vec<u64>, cursors: Cursors) {
        let lazy = self.lazy.get_or_insert_default();
        lazy.0.extend(sequences);
        lazy.1.extend(cursors);
    }

    /// The log learns of lazy takes.
    pub fn send_lazy(&mut self) {
        if let Some((sequences, cursors)) = self.lazy.take() {
            self.write(Change::Ack { sequences, cursors }, false);
        }
    }

    /// All that was written is durable.
    pub fn sync(&mut self) {
        self.tail.clear();
        self.durable = self.logged.clone();
    }

    /// The channel has stopped, in this commit if in one.
    pub fn doubt(&mut self, change: Option<Change>) {
        let lazy = self.lazy.take().map(|(sequences, cursors)| Change::Ack { sequences, cursors });
        self.tail.extend(lazy.into_iter().chain(change));
        self.in_doubt = true;
    }

    /// Whether the outcome of something is unknown.
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt && !self.tail.is_empty()
    }

    /// What may be found after a loss of power, or after the death of the process only.
    pub fn allowed(&self, is_power_lost: bool) -> Vec<State> {
        let mut state = self.durable.clone();
        let mut states = vec![state.clone()];
        for change in &self.tail {
            state.apply(change);
            states.push(state.clone());
        }
        match is_power_lost || self.in_doubt {
            true => states,
            false => states.split_off(states.len() - 1),
        }
    }

    /// What an opening found: a fact from now on.
    pub fn found(&mut self, state: State) {
        *self = Model {
            free: state.items.clone(),
            used_events: state.items.len() as u64,
            used_bytes: state.bytes(),
            durable: state.clone(),
            logged: state,
            ..Model::default()
        };
    }

    /// Room that comes free.
    pub fn release<'a>(&mut self, items: impl IntoIterator<Item = &'a Item>) {
        for item in items {
            self.used_events -= 1;
            self.used_bytes -= item.size();
        }
    }
}
