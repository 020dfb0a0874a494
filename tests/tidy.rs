//! The project's own files, held against its own rules: `docs/STYLE.md` has the reasons.
#![allow(clippy::disallowed_methods, reason = "reads the repository's own files")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what was measured, and what was not"
)]

#[path = "support/rust_text.rs"]
#[allow(unreachable_pub, reason = "a module of tests")]
mod rust_text;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rust_text::{code_of, crate_paths, functions, line_of, test_items, tree, words};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;
const LINE_COLUMNS_MAX: usize = 110;
/// How often something may stand in a thousand lines of product code.
const CFG_PER_1K: f64 = 4.0;
const UNWRAP_PER_1K: f64 = 2.0;
const DEEP_PER_1K: f64 = 3.0;
/// Spaces before a line that is seven levels deep.
const DEEP: usize = 7 * 4;

/// Who may use whom; everybody may use the leaves. A layer that is not here has no place yet.
const LAYERS: [(&str, &[&str]); 9] = [
    ("main", &["cli"]),
    ("cli", &["bench", "agent", "source", "sink", "tools", "channel"]),
    ("bench", &["tools", "channel"]),
    ("agent", &["source", "sink", "channel"]),
    ("tools", &["channel", "log", "storage"]),
    ("source", &["channel"]),
    ("sink", &["channel"]),
    ("channel", &["log", "storage"]),
    ("log", &["storage"]),
];
/// Layers without anything below them.
const BOTTOM: [&str; 1] = ["storage"];
/// What anybody may use, and what uses nothing but its like.
const LEAVES: [&str; 8] =
    ["bytes", "event", "sync", "shutdown", "back_off", "random", "planted", "marks"];
/// Doors for fuzzers to the decoders of three layers.
const DOORS: [&str; 1] = ["fuzzing"];

struct Source {
    /// From the repository's root on.
    path: String,
    text: String,
    code: String,
    /// For each line, whether it is in the program and not only in its tests.
    product: Vec<bool>,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let code = code_of(text);
        let mut product = vec![true; text.lines().count() + 1];
        for (lines, _) in test_items(&code) {
            product[lines.start - 1..lines.end - 1].fill(false);
        }
        Source { path: path.to_string(), text: text.to_string(), code, product }
    }

    /// Lines of the program with their numbers, comments and literals blanked.
    fn product_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.lines().zip(&self.product).enumerate();
        lines.filter(|(_, (_, product))| **product).map(|(index, (line, _))| (index + 1, line))
    }

    /// Modules from the crate's root down to the file.
    fn modules(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut modules: Vec<&str> = path.split('/').collect();
        if matches!(modules.last(), Some(&("mod" | "lib"))) {
            modules.pop();
        }
        modules
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.map(|entry| entry.expect("readable").path()) {
        if entry.is_dir() && !entry.ends_with("target") {
            rust_files(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

fn sources(directories: &[&str]) -> Vec<Source> {
    let mut files = Vec::new();
    for directory in directories {
        rust_files(&root().join(directory), &mut files);
    }
    files.sort();
    let mut sources: Vec<Source> = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(root()).expect("below the root").to_string_lossy();
            Source::new(&path, &std::fs::read_to_string(file).expect("Rust files are text"))
        })
        .collect();
    let tests: BTreeSet<String> = sources.iter().flat_map(test_files).collect();
    for source in &mut sources {
        // A file of a test module, or below one.
        let in_tests = |test: &String| {
            source.path == format!("{test}.rs") || source.path.starts_with(&format!("{test}/"))
        };
        if tests.iter().any(in_tests) {
            source.product.fill(false);
        }
    }
    assert!(sources.len() > 3, "the files are elsewhere");
    sources
}

/// Files, without their ending, of modules that are declared here for tests only.
fn test_files(source: &Source) -> Vec<String> {
    let (directory, file) = source.path.rsplit_once('/').expect("a file in a directory");
    let below = match file {
        "mod.rs" | "lib.rs" | "main.rs" => directory.to_string(),
        _ => source.path.trim_end_matches(".rs").to_string(),
    };
    let items = test_items(&source.code).into_iter();
    items
        .filter_map(|(_, item)| item.trim().strip_suffix(';'))
        .filter_map(|item| words(item).skip_while(|(_, word)| *word != "mod").nth(1))
        .map(|(_, name)| format!("{below}/{name}"))
        .collect()
}

#[track_caller]
fn none(rule: &str, findings: &[String]) {
    let mut text = String::new();
    for finding in findings {
        writeln!(text, "  {finding}").expect("memory");
    }
    assert!(findings.is_empty(), "{rule}:\n{text}");
}

/// Fails when more lines of the product than `most` in a thousand are counted.
#[track_caller]
fn at_most(what: &str, most: f64, counted: impl Fn(&str) -> bool) {
    let (mut lines, mut findings) = (0, Vec::new());
    for source in &sources(&["src"]) {
        for (number, line) in source.product_code().filter(|(_, line)| !line.trim().is_empty()) {
            lines += 1;
            if counted(line) {
                findings.push(format!("{}:{number}", source.path));
            }
        }
    }
    let per_1k = findings.len() as f64 * 1000.0 / lines as f64;
    println!("{what}: {} in {lines} lines of code, {per_1k:.2} per 1k", findings.len());
    if per_1k > most {
        none(&format!("{what}: {per_1k:.2} in 1000 lines, and {most} are allowed"), &findings);
    }
}

#[test]
fn functions_fit_on_a_screen() {
    let (mut longest, mut findings) = ((0, String::new()), Vec::new());
    for source in sources(&["src", "tests", "benches", "fuzz"]) {
        for function in functions(&source.code) {
            let place = format!("{}:{} {}", source.path, function.line, function.name);
            if function.lines > FUNCTION_LINES_MAX {
                findings.push(format!("{place}: {} lines", function.lines));
            }
            longest = longest.max((function.lines, place));
        }
    }
    println!("longest function: {longest:?}");
    none(&format!("functions have at most {FUNCTION_LINES_MAX} lines"), &findings);
}

#[test]
fn files_hold_one_idea() {
    let mut sizes: Vec<(usize, String)> = sources(&["src"])
        .into_iter()
        .map(|source| (source.product_code().count(), source.path))
        .filter(|(lines, _)| *lines > 0)
        .collect();
    sizes.sort();
    println!(
        "files: {}, median {:?}, longest {:?}",
        sizes.len(),
        sizes[sizes.len() / 2],
        sizes.last()
    );
    let mut findings = Vec::new();
    for (lines, path) in &sizes {
        if *lines > FILE_LINES_MAX {
            findings.push(format!("{path}: {lines} lines"));
        }
    }
    none(&format!("files have at most {FILE_LINES_MAX} lines of product code"), &findings);
}

#[test]
fn lines_are_narrow() {
    let mut findings = Vec::new();
    for source in sources(&["src"]) {
        for (index, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > LINE_COLUMNS_MAX {
                findings.push(format!("{}:{}: {columns} columns", source.path, index + 1));
            }
        }
    }
    none(&format!("lines have at most {LINE_COLUMNS_MAX} columns"), &findings);
}

#[test]
fn nothing_is_left_over() {
    let mut findings = Vec::new();
    for source in sources(&["src"]) {
        for (index, line) in source.text.lines().enumerate() {
            if words(line).any(|(_, word)| matches!(word, "TODO" | "FIXME" | "XXX")) {
                findings.push(format!("{}:{}: a note to do something", source.path, index + 1));
            }
        }
        for (number, line) in source.product_code() {
            let prints = ["dbg", "print", "println", "eprint", "eprintln", "todo"];
            let is_macro = |(at, word): (usize, &str)| {
                prints.contains(&word) && line[at + word.len()..].starts_with('!')
            };
            if words(line).any(is_macro) {
                findings.push(format!("{}:{number}: a macro for debugging", source.path));
            }
        }
    }
    none("no leftovers in src", &findings);
}

#[test]
fn conditional_compilation_is_rare() {
    at_most("cfg", CFG_PER_1K, |line| {
        words(line).any(|(at, word)| {
            matches!(word, "cfg" | "cfg_attr") && line[at + word.len()..].starts_with(['(', '!'])
        })
    });
}

#[test]
fn panics_are_rare() {
    at_most("unwrap and expect", UNWRAP_PER_1K, |line| {
        line.contains(".unwrap()") || line.contains(".expect(")
    });
}

#[test]
fn nesting_is_shallow() {
    at_most("lines 7 levels deep", DEEP_PER_1K, |line| {
        line.len() - line.trim_start().len() >= DEEP
    });
}

#[test]
fn unsafe_code_stays_at_the_operating_system() {
    let mut findings = Vec::new();
    for source in sources(&["src"]) {
        if source.path == "src/storage/os.rs" || source.path.starts_with("src/storage/os/") {
            continue;
        }
        let places = words(&source.code).filter(|(_, word)| *word == "unsafe");
        findings
            .extend(places.map(|(at, _)| format!("{}:{}", source.path, line_of(&source.code, at))));
    }
    none("`unsafe` stands in src/storage/os only", &findings);
}

#[test]
fn dependencies_point_downward() {
    let sources = sources(&["src"]);
    let lib = sources.iter().find(|source| source.path == "src/lib.rs").expect("a library");
    let mut findings = Vec::new();
    for source in &sources {
        findings.extend(upward(source, &lib.code));
    }
    none("a layer uses the layers below it only", &findings);
}

/// The layer whose `name` the crate's root re-exports, or `name` itself.
fn layer_of(name: &str, lib: &str) -> String {
    let exports =
        lib.match_indices("pub use ").flat_map(|(at, found)| tree(&lib[at + found.len()..]));
    let mut homes = exports.filter(|path| path.last().is_some_and(|last| last == name));
    homes.next().map_or_else(|| name.to_string(), |path| path[0].clone())
}

fn upward(source: &Source, lib: &str) -> Vec<String> {
    let modules = source.modules();
    let Some(&layer) = modules.first() else {
        return Vec::new();
    };
    let below: &[&str] = match LAYERS.iter().find(|(name, _)| *name == layer) {
        Some((_, below)) => below,
        None if DOORS.contains(&layer) => &["agent", "channel", "log"],
        None if BOTTOM.contains(&layer) || LEAVES.contains(&layer) => &[],
        None => return vec![format!("{}: a layer without a place in tests/tidy.rs", source.path)],
    };
    let mut findings = Vec::new();
    for (line, path) in crate_paths(&source.code, modules.len()) {
        let Some(name) = path.first() else {
            findings.push(format!("{}:{line}: the whole crate", source.path));
            continue;
        };
        let used = layer_of(name, lib);
        let allowed = used == layer || LEAVES.contains(&&*used) || below.contains(&&*used);
        if !allowed {
            findings.push(format!("{}:{line}: {layer} uses {used}", source.path));
        }
    }
    findings
}

/// The files that belong to the repository; `None` where it is not one.
fn tracked_files() -> Option<Vec<String>> {
    let git = Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z"]).output();
    let output = git.ok().filter(|output| output.status.success())?;
    let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let files: Vec<_> =
        names.split('\0').filter(|name| !name.is_empty()).map(str::to_string).collect();
    (!files.is_empty()).then_some(files)
}

fn skip(what: &str) {
    eprintln!("SKIPPED: {what}: this is no git repository, or git is not installed");
}

#[test]
fn the_top_level_is_small() {
    let Some(files) = tracked_files() else {
        return skip("the top level");
    };
    let known =
        ["Cargo.toml", "Cargo.lock", "README.md", "src", "fuzz", "tests", "benches", "docs"];
    let top: BTreeSet<_> = files.iter().filter_map(|file| file.split('/').next()).collect();
    let is_known =
        |name: &&str| known.contains(name) || name.starts_with("LICENSE") || name.starts_with('.');
    let others: Vec<_> =
        top.into_iter().filter(|name| !is_known(name)).map(str::to_string).collect();
    none("nothing else at the top level", &others);
}

#[test]
fn no_file_names_a_place_on_one_machine() {
    let Some(files) = tracked_files() else {
        return skip("paths of one machine");
    };
    // In two parts, so that this file does not find itself.
    let places = [("/wo", "rk/"), ("/tmp", "/wt"), ("/ho", "me/"), ("/ro", "ot/"), ("/Us", "ers/")];
    let places = places.map(|(start, end)| format!("{start}{end}"));
    let mut findings = Vec::new();
    for file in files {
        // A file that was removed and not yet from the index.
        let Ok(bytes) = std::fs::read(root().join(&file)) else {
            continue;
        };
        for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            if places.iter().any(|place| names_place(line, place)) {
                findings.push(format!("{file}:{}", index + 1));
            }
        }
    }
    none("no paths of one machine", &findings);
}

/// Whether `place` stands at the beginning of a path: `example.com/work/x` is none.
fn names_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|char| char.is_alphanumeric() || "-_./~}".contains(char))
    })
}

mod the_measure {
    //! The rules above are worth as much as what they measure with.

    use super::*;

    fn lengths(text: &str) -> Vec<(String, usize)> {
        let functions = functions(&code_of(text)).into_iter();
        functions.map(|function| (function.name, function.lines)).collect()
    }

    fn named(lengths: &[(&str, usize)]) -> Vec<(String, usize)> {
        lengths.iter().map(|(name, lines)| (name.to_string(), *lines)).collect()
    }

    #[test]
    fn braces_in_text_do_not_count() {
        let text = r####"
fn strings() {
    let a = "} \" }";
    let b = r#"}"}"#;
    let c = br##"}"#}"##;
    let d = b"}\\";
    let e = "
}
";
}
fn comments() {
    // }
    /* } /* } */ } */
}
fn chars<'a>(x: &'a str) -> [char; 4] {
    let _: fn(u8) -> u8;
    ['}', '\'', '\u{7d}', '"']
}
fn after() {}
"####;
        let expected = [("strings", 9), ("comments", 4), ("chars", 4), ("after", 1)];
        assert_eq!(lengths(text), named(&expected));
    }

    #[test]
    fn signatures_and_nested_functions_count() {
        let text = "
trait T { fn none(&self) -> [u8; 4]; }
fn long<const N: usize>(
    a: [u8; 2],
) -> [u8; 2]
where
    [(); { N }]: Sized,
{
    fn inner() {
    }
    let r#fn = 1;
    a
}
const fn one() { }";
        assert_eq!(lengths(text), named(&[("long", 11), ("inner", 2), ("one", 1)]));
    }

    #[test]
    fn a_function_of_71_lines_is_seen_and_one_of_70_is_none() {
        for (lines, long) in [(68, false), (69, true)] {
            let text = format!("fn f() {{\n{}}}\n", "    g('{');\n".repeat(lines));
            assert_eq!(functions(&code_of(&text))[0].lines > FUNCTION_LINES_MAX, long);
        }
    }

    #[test]
    fn code_for_tests_is_told_from_the_product() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    x.unwrap();\n}\n#[cfg(all(test, loom))]\n\
                    use x;\n#[cfg(feature = \"f\")]\nfn b() {}\n";
        let source = Source::new("src/x.rs", text);
        let lines: Vec<_> = source.product_code().map(|(number, _)| number).collect();
        assert_eq!(lines, [1, 8, 9]);
        let source = Source::new("src/a/x.rs", "#[cfg(test)]\n#[path = \"p\"]\npub mod tests;\n");
        assert_eq!(test_files(&source), ["src/a/x/tests"]);
        let source = Source::new("src/a/mod.rs", "#[cfg(all(test, not(loom)))]\nmod tests;\n");
        assert_eq!(test_files(&source), ["src/a/tests"]);
    }

    #[test]
    fn every_way_upward_is_seen() {
        let lib = "pub use channel::{FileChannel, Channel};\npub use event::Event;";
        let count = |path: &str, text: &str| upward(&Source::new(path, text), lib).len();
        assert_eq!(count("src/log/x.rs", "use crate::channel::Channel;"), 1);
        assert_eq!(count("src/log/x.rs", "use crate::{sync::lock, channel::{A, B}, storage};"), 2);
        assert_eq!(count("src/log/x.rs", "fn f() { crate::FileChannel::open(); }"), 1);
        assert_eq!(count("src/log/x.rs", "use super::super::channel;"), 1);
        assert_eq!(count("src/log/mod.rs", "use super::channel;"), 1);
        assert_eq!(count("src/log/mod.rs", "mod tests { use super::channel; }"), 0);
        assert_eq!(count("src/log/x.rs", "use super::segment; use crate::Event;"), 0);
        assert_eq!(count("src/log/x.rs", "// crate::channel\nuse crate::log::Lsn;"), 0);
        assert_eq!(count("src/source/tail/x.rs", "use crate::sink::Sink;"), 1);
        assert_eq!(count("src/sink/x.rs", "use crate::storage::File;"), 1);
        assert_eq!(count("src/event.rs", "use crate::bytes::Bytes; use crate::log::Lsn;"), 1);
        assert_eq!(count("src/event.rs", "use super::log;"), 1);
        assert_eq!(count("src/storage/x.rs", "use crate::*;"), 1);
        assert_eq!(count("src/new.rs", ""), 1);
    }

    #[test]
    fn machine_paths_are_told_from_addresses() {
        let place = ["/ho", "me/"].concat();
        assert!(names_place(&format!("see {place}anna"), &place));
        assert!(!names_place(&format!("https://example.org{place}x"), &place));
        assert!(!names_place(&format!("$1{place}x"), &place));
    }
}
