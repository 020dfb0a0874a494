//! A reader of Java properties that knows where everything was.

use std::ops::Range;

use super::problem::Problem;

/// A key and its value, and where in the text they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) value: String,
    /// For each byte of the value, and for its end, where in the text it comes from: escapes and
    /// continued lines make the two differ.
    origins: Vec<usize>,
}

impl Property {
    pub(super) fn value_span(&self) -> Range<usize> {
        self.part_span(0..self.value.len())
    }

    /// Where a part of the value is.
    pub(super) fn part_span(&self, part: Range<usize>) -> Range<usize> {
        self.origins[part.start]..self.origins[part.end].max(self.origins[part.start])
    }

    /// The words of the value and where they are.
    pub(super) fn words(&self) -> Vec<(&str, Range<usize>)> {
        let base = self.value.as_ptr() as usize;
        let place = |word: &str| {
            let start = word.as_ptr() as usize - base;
            self.part_span(start..start + word.len())
        };
        self.value.split_whitespace().map(|word| (word, place(word))).collect()
    }
}

/// Reads properties as Java does: comments with `#` and `!`, separators `=`, `:` and white space,
/// lines continued with a backslash, escapes; but in UTF-8, and a key that comes twice is a
/// mistake, not the silent loss of its first value.
pub(super) fn parse(text: &str, problems: &mut Vec<Problem>) -> Vec<Property> {
    let mut reader = Reader { text, at: 0, problems };
    let mut properties: Vec<Property> = Vec::new();
    while let Some(property) = reader.property() {
        match properties.iter().find(|earlier| earlier.key == property.key) {
            None => properties.push(property),
            Some(earlier) => {
                let line = 1 + text[..earlier.key_span.start].matches('\n').count();
                let title = format!("the key `{}` comes twice", property.key);
                reader.problems.push(
                    Problem::new(property.key_span, title)
                        .label(format!("it has a value in line {line} already"))
                        .cure("remove one of the two"),
                );
            }
        }
    }
    properties
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    problems: &'a mut Vec<Problem>,
}

/// A character after escapes are resolved, and where it ends.
#[derive(Clone, Copy)]
struct Unit {
    char: char,
    escaped: bool,
    end: usize,
}

impl Reader<'_> {
    fn property(&mut self) -> Option<Property> {
        loop {
            self.skip(|char| char.is_ascii_whitespace());
            match self.rest().chars().next()? {
                '#' | '!' => self.skip(|char| char != '\n' && char != '\r'),
                _ => break,
            }
        }
        let start = self.at;
        let mut key = String::new();
        let mut key_end = start;
        while let Some(unit) = self.peek() {
            if !unit.escaped && (is_blank(unit.char) || is_separator(unit.char)) {
                break;
            }
            key.push(unit.char);
            self.at = unit.end;
            key_end = self.at;
        }
        self.skip_blanks();
        if let Some(unit) = self.peek().filter(|unit| !unit.escaped && is_separator(unit.char)) {
            self.at = unit.end;
            self.skip_blanks();
        }
        let mut value = String::new();
        let mut origins = Vec::new();
        while let Some(unit) = self.peek() {
            origins.extend(std::iter::repeat_n(self.at, unit.char.len_utf8()));
            value.push(unit.char);
            self.at = unit.end;
        }
        origins.push(self.at);
        Some(Property { key, key_span: start..key_end, value, origins })
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        self.at = self.text.len() - self.rest().trim_start_matches(skipped).len();
    }

    fn skip_blanks(&mut self) {
        while let Some(unit) = self.peek().filter(|unit| !unit.escaped && is_blank(unit.char)) {
            self.at = unit.end;
        }
    }

    /// The next character of the logical line, `None` at its end. Moves over continuations only.
    fn peek(&mut self) -> Option<Unit> {
        loop {
            let mut chars = self.rest().chars();
            let plain =
                |char: char, at: usize| Unit { char, escaped: false, end: at + char.len_utf8() };
            match (chars.next()?, chars.next()) {
                ('\n' | '\r', _) => return None,
                ('\\', None) => {
                    self.at += 1;
                    return None;
                }
                ('\\', Some(end @ ('\n' | '\r'))) => {
                    let pair = end == '\r' && chars.next() == Some('\n');
                    self.at += if pair { 3 } else { 2 };
                    self.skip(is_blank);
                }
                ('\\', Some('u')) => return Some(self.unicode()),
                ('\\', Some(char)) => {
                    return Some(Unit {
                        char: unescape(char),
                        escaped: true,
                        end: self.at + 1 + char.len_utf8(),
                    });
                }
                (char, _) => return Some(plain(char, self.at)),
            }
        }
    }

    /// The character of a `\uXXXX`, or of two that make one.
    fn unicode(&mut self) -> Unit {
        let code = |at: usize| {
            let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
            let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u16::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)
        };
        let first = code(self.at);
        let second = first.and_then(|_| code(self.at + 6));
        let units = [first, second].into_iter().flatten();
        let char = char::decode_utf16(units).next().and_then(Result::ok);
        let escaped = true;
        if let Some(char) = char {
            let end = self.at + 6 * char.len_utf16();
            return Unit { char, escaped, end };
        }
        let end = match first {
            Some(_) => self.at + 6,
            None => self.at + 2,
        };
        let problem = Problem::new(self.at..end, "this is no character")
            .label(match first {
                Some(_) => "half of a surrogate pair",
                None => "not followed by four hexadecimal digits",
            })
            .cure("write the character itself (the file is UTF-8), or \\\\ for a backslash");
        // The same place is looked at more than once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
        Unit { char: char::REPLACEMENT_CHARACTER, escaped, end }
    }
}

/// What a backslash and `char` stand for.
fn unescape(char: char) -> char {
    match char {
        't' => '\t',
        'n' => '\n',
        'r' => '\r',
        'f' => '\x0c',
        other => other,
    }
}

fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\x0c')
}

fn is_separator(char: char) -> bool {
    matches!(char, '=' | ':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::agent::problem::ConfigError;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let properties = parse(text, &mut problems);
        assert_eq!(problems, []);
        properties.into_iter().map(|property| (property.key, property.value)).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_string(), value.to_string())
    }

    #[test]
    fn separators_are_equals_colon_and_white_space() {
        for text in ["a=b", "a:b", "a b", "a = b", "  a\t: b", "a\x0cb", "a  =b\r\n"] {
            assert_eq!(pairs(text), [pair("a", "b")], "{text:?}");
        }
        assert_eq!(pairs("a==b"), [pair("a", "=b")]);
        assert_eq!(pairs("a = b c "), [pair("a", "b c ")]);
        assert_eq!(pairs("a\nb="), [pair("a", ""), pair("b", "")]);
    }

    #[test]
    fn comments_and_blank_lines_are_left_out() {
        assert_eq!(pairs("# a=b\\\n ! c=d\n\n \t\n e=#f"), [pair("e", "#f")]);
    }

    #[test]
    fn a_backslash_at_the_end_continues_the_line() {
        assert_eq!(pairs("a = b\\\n    c\\\r\n\td"), [pair("a", "bcd")]);
        assert_eq!(pairs("a\\\n b=c\\\\\nd=e"), [pair("ab", "c\\"), pair("d", "e")]);
        assert_eq!(pairs("a=b\\"), [pair("a", "b")]);
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(pairs(r"a\=b\:c\ d=\t\n\q\u00e4\uD83D\uDE00"), [pair("a=b:c d", "\t\nqä😀")]);
    }

    #[test]
    fn a_bad_escape_and_a_key_that_comes_twice_are_reported() {
        let mut problems = Vec::new();
        parse("a=\\u12\nb=\\uD800x\na=2", &mut problems);
        let found: Vec<_> =
            problems.iter().map(|problem| (problem.span.clone(), problem.label.as_str())).collect();
        assert_eq!(
            found,
            [
                (Some(2..4), "not followed by four hexadecimal digits"),
                (Some(9..15), "half of a surrogate pair"),
                (Some(17..18), "it has a value in line 1 already"),
            ]
        );
    }

    #[test]
    fn parts_of_a_value_are_found_behind_escapes_and_on_continued_lines() {
        let text = "a = \\u0062 \\\n   cc";
        let properties = parse(text, &mut Vec::new());
        let words = properties[0].words();
        assert_eq!(words, [("b", 4..10), ("cc", 16..18)]);
    }

    proptest! {
        #[test]
        fn never_panics(text in r"([a\\u0D8:= \t\r\n#!ä€]|\PC){0,60}") {
            let mut problems = Vec::new();
            for property in parse(&text, &mut problems) {
                problems.push(Problem::new(property.key_span.clone(), "key"));
                problems.push(Problem::new(property.value_span(), "value").label("here"));
                for (_, span) in property.words() {
                    problems.push(Problem::new(span, "word").cure("none"));
                }
            }
            ConfigError::new("file", &text, problems).render(false);
        }
    }
}
