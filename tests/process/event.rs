//! Events that say who they are and whose every byte follows from that, and random numbers.

use flumen::Event;

/// Numbers that look random and follow from a seed (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        let mut random = Random(seed);
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// The event `number` of a producer. Most are small; some fill a good part of a segment, and a few need a
/// segment of their own size.
pub fn event(producer: usize, number: u64) -> Event {
    let mut random = Random::new(number ^ (producer as u64) << 56);
    let length = match random.below(400) {
        0 => 66_000 + random.below(60_000),
        1..=30 => random.below(9_000),
        _ => random.below(200),
    };
    let mut body = format!("{producer}:{number}:").into_bytes();
    while (body.len() as u64) < length {
        body.extend_from_slice(&random.next().to_le_bytes());
    }
    let event = Event::new(body);
    if number.is_multiple_of(5) { event.with_header("of", producer.to_string()) } else { event }
}

/// Whose event it is, and which; `None` when one byte is not as it was put.
pub fn known(found: &Event) -> Option<(usize, u64)> {
    let head = &found.body[..found.body.len().min(40)];
    let mut parts = head.split(|byte| *byte == b':');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<u64>().ok();
    let (producer, number) = (number()? as usize, number()?);
    (*found == event(producer, number)).then_some((producer, number))
}
