//! Just enough of Rust's grammar to measure Rust files: what is code and what is text, where functions begin
//! and end, what is compiled for tests only, and which paths a file names.

use std::ops::Range;

/// The same text with every comment and the inside of every literal replaced by spaces. Lines and the
/// positions in them stay.
pub fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let blank = blank_at(&chars, at);
        if blank.is_empty() {
            code.push(chars[at]);
            at += 1;
            continue;
        }
        let keep = |char: char| if char == '\n' { '\n' } else { ' ' };
        code.extend(chars[at..blank.start].iter());
        code.extend(chars[blank.clone()].iter().map(|char| keep(*char)));
        at = blank.end;
    }
    code
}

/// What to blank when a comment or a literal begins at `at`; empty when none does.
fn blank_at(chars: &[char], at: usize) -> Range<usize> {
    let char_at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    match (chars[at], char_at(at + 1)) {
        ('/', '/') => at..find(chars, at, |rest| rest[0] == '\n'),
        ('/', '*') => at..block_comment_end(chars, at),
        ('"', _) => at + 1..string_end(chars, at + 1),
        ('\'', '\\') => at + 1..find(chars, at + 3, |rest| rest[0] == '\''),
        ('\'', _) if char_at(at + 2) == '\'' => at + 1..at + 2,
        // A lifetime, or a quote that ends a literal.
        ('\'', _) => at..at,
        ('r', '"' | '#') if at == 0 || !is_word(chars[at - 1]) || is_raw_prefix(chars, at) => {
            raw_string(chars, at)
        }
        _ => at..at,
    }
}

/// Whether the `r` at `at` is that of `br` or `cr`.
fn is_raw_prefix(chars: &[char], at: usize) -> bool {
    matches!(chars[at - 1], 'b' | 'c') && (at == 1 || !is_word(chars[at - 2]))
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

fn find(chars: &[char], from: usize, found: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|at| found(&chars[*at..])).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at < chars.len() {
        if chars[at..].starts_with(&['/', '*']) {
            (depth, at) = (depth + 1, at + 2);
        } else if chars[at..].starts_with(&['*', '/']) {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// Where a string whose inside begins at `from` ends; its quotes are blanked too, as no code follows from them.
fn string_end(chars: &[char], from: usize) -> usize {
    let mut at = from;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The raw string at `at`; empty when it is a raw identifier.
fn raw_string(chars: &[char], at: usize) -> Range<usize> {
    let inside = find(chars, at + 1, |rest| rest[0] != '#');
    if chars.get(inside) != Some(&'"') {
        return at..at;
    }
    let mut end = vec!['"'];
    end.extend(&chars[at + 1..inside]);
    let closing = find(chars, inside + 1, |rest| rest.starts_with(&end));
    at..(closing + end.len()).min(chars.len())
}

/// A function: its name, the number of its first line, and its lines from `fn` to the closing brace.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// All functions with a body in what [`code_of`] returned, nested ones too.
pub fn functions(code: &str) -> Vec<Function> {
    let mut functions = Vec::new();
    for (at, word) in words(code) {
        let Some((_, name)) = words(&code[at + 2..]).next().filter(|_| word == "fn") else {
            continue;
        };
        // `fn(u8)` is a type.
        if !code[at + 2..].trim_start().starts_with(name) {
            continue;
        }
        let Some(body) = block_after(code, at) else {
            continue;
        };
        let line = line_of(code, at);
        let lines = line_of(code, body.end - 1) - line + 1;
        functions.push(Function { name: name.to_string(), line, lines });
    }
    functions
}

/// Identifiers and keywords with their places.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_word)?;
        let rest = &code[start..];
        let word = &rest[..rest.find(|char| !is_word(char)).unwrap_or(rest.len())];
        at = start + word.len();
        Some((start, word))
    })
}

/// The number of the line of a place.
pub fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// The first block in braces after `from`, unless a semicolon comes first.
fn block_after(code: &str, from: usize) -> Option<Range<usize>> {
    let mut depth = 0;
    let mut open = None;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' if open.is_none() => depth += 1,
            b')' | b']' if open.is_none() => depth -= 1,
            b';' if open.is_none() && depth == 0 => return None,
            b'{' if open.is_some() || depth == 0 => {
                open.get_or_insert(at);
                depth += 1;
            }
            b'}' if open.is_some() => {
                depth -= 1;
                if depth == 0 {
                    return open.map(|open| open..at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// What is compiled for tests only: the lines of each such item, and its text.
pub fn test_items(code: &str) -> Vec<(Range<usize>, &str)> {
    let starts = code.match_indices("#[cfg(").filter(|(_, attribute)| !attribute.is_empty());
    starts
        .filter(|(at, _)| {
            let condition = &code[at + "#[cfg(".len()..];
            condition.starts_with("test)") || condition.starts_with("all(test,")
        })
        .map(|(at, _)| {
            let after = at + code[at..].find(']').unwrap_or(0) + 1;
            let semicolon = || after + code[after..].find(';').unwrap_or(0) + 1;
            let end = block_after(code, after).map_or_else(semicolon, |block| block.end);
            (line_of(code, at)..line_of(code, end - 1) + 1, &code[after..end])
        })
        .collect()
}

/// The modules of the crate that a file names, each by the path from the crate's root on: `["log", "Lsn"]`,
/// with the line. `depth` is how many modules the file is below the root.
pub fn crate_paths(code: &str, depth: usize) -> Vec<(usize, Vec<String>)> {
    let mut paths = Vec::new();
    for (at, word) in words(code) {
        let before = code[..at].trim_end();
        if before.ends_with("::") || !(word == "crate" || word == "super") {
            continue;
        }
        let mut rest = &code[at + word.len()..];
        let mut supers = usize::from(word == "super");
        while let Some(more) = rest.strip_prefix("::super") {
            (rest, supers) = (more, supers + 1);
        }
        if word == "super" && supers < depth + inline_modules(code, at) {
            continue;
        }
        let line = line_of(code, at);
        let Some(rest) = rest.strip_prefix("::") else {
            continue;
        };
        let names = tree(rest);
        // Not a name: a glob.
        let names = if names.is_empty() { vec![Vec::new()] } else { names };
        paths.extend(names.into_iter().map(|names| (line, names)));
    }
    paths
}

/// How many `mod name {` blocks the place is in.
fn inline_modules(code: &str, at: usize) -> usize {
    words(&code[..at])
        .filter(|(_, word)| *word == "mod")
        .filter(|(start, _)| block_after(code, *start).is_some_and(|block| block.contains(&at)))
        .count()
}

/// `a::{b, c::d}` as `[a, b]` and `[a, c, d]`.
pub fn tree(path: &str) -> Vec<Vec<String>> {
    let path = path.trim_start();
    if let Some(group) = path.strip_prefix('{') {
        return group_members(group).into_iter().flat_map(tree).collect();
    }
    let name: String = path.chars().take_while(|char| is_word(*char)).collect();
    if name.is_empty() {
        return Vec::new();
    }
    let Some(rest) = path[name.len()..].strip_prefix("::") else {
        return vec![vec![name]];
    };
    let mut paths = tree(rest);
    if paths.is_empty() {
        paths.push(Vec::new());
    }
    for path in &mut paths {
        path.insert(0, name.clone());
    }
    paths
}

fn group_members(group: &str) -> Vec<&str> {
    let (mut depth, mut start) = (0, 0);
    let mut members = Vec::new();
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members
}
