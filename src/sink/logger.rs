//! The sink that shows events to whoever reads the program's own messages.

use std::fmt::Write;

use super::{Cursor, Sink, SinkError};
use crate::event::Event;

/// Flume's logger sink: headers and the first bytes of the body, in hexadecimal and as text, as a
/// message of level INFO. For trying things out.
#[derive(Clone, Copy, Debug)]
pub struct Logger {
    body_max: usize,
}

impl Logger {
    /// Shows at most `body_max` bytes of each body; Flume's default is 16.
    pub fn new(body_max: usize) -> Logger {
        Logger { body_max }
    }
}

impl Sink for Logger {
    fn write(&mut self, batch: &[Event]) -> Result<Vec<Cursor>, SinkError> {
        for event in batch {
            tracing::info!("Event: {}", describe(event, self.body_max));
        }
        Ok(Vec::new())
    }
}

fn describe(event: &Event, body_max: usize) -> String {
    let shown = &event.body[..event.body.len().min(body_max)];
    let mut text = String::from("{ headers:{");
    for (index, (key, value)) in event.headers.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        text.push_str(&format!("{separator}{key}={value}"));
    }
    text.push_str("} body:");
    for byte in shown {
        // Writing to a String cannot fail.
        let _ = write!(text, " {byte:02X}");
    }
    text.push(' ');
    text.extend(shown.iter().map(|byte| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '.',
    }));
    text.push_str(" }");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_headers_and_the_first_bytes() {
        let event = Event::new("hello\nworld").with_header("host", "a").with_header("n", "1");
        assert_eq!(describe(&event, 6), "{ headers:{host=a, n=1} body: 68 65 6C 6C 6F 0A hello. }");
        assert_eq!(describe(&Event::new(""), 16), "{ headers:{} body:  }");
    }
}
