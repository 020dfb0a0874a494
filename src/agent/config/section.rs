//! Reads the keys of one component, and notes every mistake instead of stopping at the first.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use crate::agent::problem::{Problem, did_you_mean};
use crate::agent::properties::Property;

/// What becomes of a key. A name that ends in `*` stands for all keys that begin like it.
pub(super) struct Key(pub(super) &'static str, pub(super) Fate);

/// See [`Key`].
#[derive(Clone, Copy)]
pub(super) enum Fate {
    /// It is read.
    Read,
    /// It is accepted and does nothing; the text says why.
    Unused(&'static str),
    /// A feature that is still to come.
    Later,
    /// It cannot be accepted; the text is the cure.
    Refused(&'static str),
}

/// All properties of a file, with a mark for each that was understood.
pub(super) struct Sheet<'a> {
    pub(super) properties: &'a [Property],
    used: RefCell<BTreeSet<usize>>,
    problems: RefCell<Vec<Problem>>,
    notes: RefCell<Vec<String>>,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(properties: &'a [Property], problems: Vec<Problem>) -> Sheet<'a> {
        Sheet {
            properties,
            used: RefCell::default(),
            problems: RefCell::new(problems),
            notes: RefCell::default(),
        }
    }

    pub(super) fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// What was found: the mistakes and the notes.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<String>) {
        (self.problems.into_inner(), self.notes.into_inner())
    }
}

/// The properties that begin with a prefix.
pub(super) struct Section<'a> {
    pub(super) sheet: &'a Sheet<'a>,
    /// `a1.sources.s1.`
    pub(super) prefix: String,
    /// Where the component is named: the place to show when a key is missing.
    pub(super) home: Range<usize>,
}

impl<'a> Section<'a> {
    /// The property of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'a Property> {
        let name = format!("{}{key}", self.prefix);
        let mut all = self.sheet.properties.iter().enumerate();
        let (index, property) = all.find(|(_, property)| property.key == name)?;
        self.sheet.used.borrow_mut().insert(index);
        Some(property)
    }

    /// The value of a key that must be there; `example` completes "add".
    pub(super) fn required(&self, key: &str, why: &str, example: &str) -> Option<&'a Property> {
        let found = self.get(key).filter(|property| !property.value.trim().is_empty());
        if found.is_none() {
            let name = self.name(key);
            self.sheet.report(
                Problem::new(self.home.clone(), format!("`{name}` is missing"))
                    .label(why)
                    .cure(format!("add `{name} = {example}`")),
            );
        }
        found
    }

    /// The whole name of a key.
    pub(super) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// A number, or the default when there is none or a wrong one.
    pub(super) fn number(&self, key: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let Some(property) = self.get(key) else {
            return default;
        };
        let text = property.value.trim();
        let wrong = match text.parse::<u64>() {
            Ok(number) if range.contains(&number) => return number,
            Ok(_) => self.wrong(property, "this number is out of range"),
            Err(_) => self.wrong(property, "this is no whole number"),
        };
        let cure = match *range.end() {
            u64::MAX => format!("write a number from {}; the default is {default}", range.start()),
            end => {
                format!("write a number from {} to {end}; the default is {default}", range.start())
            }
        };
        wrong.cure(cure).tell(self.sheet);
        default
    }

    /// `true` or `false`, or the default when there is none or something else.
    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        let Some(property) = self.get(key) else {
            return default;
        };
        match property.value.trim().to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => {
                self.wrong(property, "this is neither true nor false")
                    .cure(format!("write true or false; the default is {default}"))
                    .tell(self.sheet);
                default
            }
        }
    }

    /// One of several words, whatever the case, as its place among them. `later` are words whose
    /// time is still to come.
    pub(super) fn choice(
        &self,
        property: &Property,
        what: &str,
        words: &[&str],
        later: &[&str],
    ) -> Option<usize> {
        let text = property.value.trim();
        let found = words.iter().position(|word| word.eq_ignore_ascii_case(text));
        if found.is_some() {
            return found;
        }
        let known = words.join(", ");
        if later.iter().any(|word| word.eq_ignore_ascii_case(text)) {
            self.wrong(property, &format!("{what} is not supported yet by this version"))
                .cure(format!("this version knows: {known}"))
                .tell(self.sheet);
            return None;
        }
        let guess = did_you_mean(text, words.iter().copied());
        self.wrong(property, &format!("{what} is not known"))
            .cure(match guess {
                Some(guess) => format!("did you mean `{guess}`?"),
                None => format!("this version knows: {known}"),
            })
            .tell(self.sheet);
        None
    }

    /// All keys that begin with `prefix`, without it.
    pub(super) fn under(&self, prefix: &str) -> Vec<(&'a str, &'a Property)> {
        let name = self.name(prefix);
        let mut found = Vec::new();
        for (index, property) in self.sheet.properties.iter().enumerate() {
            if let Some(rest) = property.key.strip_prefix(&name) {
                self.sheet.used.borrow_mut().insert(index);
                found.push((rest, property));
            }
        }
        found
    }

    /// Says that a value is wrong. To be completed with a cure and told.
    pub(super) fn wrong(&self, property: &Property, label: &str) -> Wrong {
        let title = format!("the value of `{}` cannot be used", property.key);
        Wrong(Problem::new(property.value_span(), title).label(label))
    }

    /// Tells the user something that is no mistake.
    pub(super) fn note(&self, key: &str, text: &str) {
        let note = format!("{}: {text}", self.name(key));
        self.sheet.notes.borrow_mut().push(note);
    }

    /// Deals with every key of the section that was not read.
    pub(super) fn finish(&self, keys: &[Key]) {
        for (index, property) in self.sheet.properties.iter().enumerate() {
            let Some(key) = property.key.strip_prefix(&self.prefix) else {
                continue;
            };
            if self.sheet.used.borrow().contains(&index) {
                continue;
            }
            let fate = keys.iter().find(|Key(name, _)| match name.strip_suffix('*') {
                Some(start) => key.starts_with(start),
                None => key == *name,
            });
            let span = property.key_span.clone();
            let problem = match fate.map(|Key(_, fate)| *fate) {
                Some(Fate::Unused(why)) => {
                    self.note(key, why);
                    continue;
                }
                Some(Fate::Read) => continue,
                Some(Fate::Later) => Problem::new(span, format!("`{key}` is not supported yet"))
                    .label("not supported yet by this version")
                    .cure("remove it, or wait for the version that knows it"),
                Some(Fate::Refused(cure)) => {
                    Problem::new(span, format!("`{key}` cannot be used")).cure(cure)
                }
                None => self.unknown(property, key, keys),
            };
            self.sheet.report(problem);
        }
    }

    fn unknown(&self, property: &Property, key: &str, keys: &[Key]) -> Problem {
        let known = keys.iter().filter(|Key(_, fate)| matches!(fate, Fate::Read | Fate::Unused(_)));
        let names = known.map(|Key(name, _)| name.trim_end_matches(['.', '*']));
        let cure = match did_you_mean(key, names) {
            Some(guess) => format!("did you mean `{}`?", self.name(guess)),
            None => "remove it, or correct its name".to_string(),
        };
        Problem::new(property.key_span.clone(), format!("`{key}` is not known here"))
            .label("no such key")
            .cure(cure)
    }
}

/// A wrong value, see [`Section::wrong`].
#[must_use]
pub(super) struct Wrong(Problem);

impl Wrong {
    pub(super) fn cure(self, cure: impl Into<String>) -> Wrong {
        Wrong(self.0.cure(cure))
    }

    pub(super) fn tell(self, sheet: &Sheet<'_>) {
        sheet.report(self.0);
    }
}
