//! The reader of properties, for fuzzers.

use super::config::Config;
use super::problem::Problem;
use super::properties::{self, Property};

/// Reads bytes as a properties file: every mistake can be shown, and what was read and is written again
/// reads the same.
pub(crate) fn properties(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut problems = Vec::new();
    let properties = properties::parse(&text, &mut problems);
    for property in &properties {
        let value = text.get(property.value_span()).expect("a value's place is in the text");
        assert!(value.len() >= property.value.len() || value.contains('\\'));
        text.get(property.key_span.clone()).expect("a key's place is in the text");
        for (_, span) in property.words() {
            text.get(span).expect("a word's place is in the text");
        }
    }
    for Problem { span, .. } in &problems {
        text.get(span.clone().expect("a mistake has a place")).expect("it is in the text");
    }
    let keys: Vec<_> = properties.iter().map(|property| &property.key).collect();
    let printed: String = properties.iter().map(print).collect();
    let mut problems = Vec::new();
    let again = properties::parse(&printed, &mut problems);
    assert_eq!(again.iter().map(|property| &property.key).collect::<Vec<_>>(), keys, "{printed}");
    for (again, property) in again.iter().zip(&properties) {
        assert_eq!(again.value, property.value, "{printed}");
    }
    for name in ["a", ""] {
        if let Err(error) = Config::parse(&text, "fuzzed", name) {
            assert!(!error.render(false).is_empty() && error.count() > 0);
        }
    }
}

/// A line that means this property.
fn print(property: &Property) -> String {
    let mut line = String::new();
    for char in property.key.chars() {
        escape(&mut line, char);
    }
    line.push('=');
    for char in property.value.chars() {
        escape(&mut line, char);
    }
    line.push('\n');
    line
}

fn escape(line: &mut String, char: char) {
    match char {
        '\n' => line.push_str("\\n"),
        '\r' => line.push_str("\\r"),
        '\t' => line.push_str("\\t"),
        '\x0c' => line.push_str("\\f"),
        'a'..='z' | 'A'..='Z' | '0'..='9' => line.push(char),
        _ if char.is_ascii_graphic() || char == ' ' => line.extend(['\\', char]),
        _ => {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                line.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}
