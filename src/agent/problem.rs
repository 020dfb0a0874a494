//! Mistakes in a configuration, shown where they are.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One mistake: what is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Bytes of the text, on character boundaries; `None` when something is missing altogether.
    pub(super) span: Option<Range<usize>>,
    pub(super) title: String,
    pub(super) label: String,
    pub(super) cure: String,
}

impl Problem {
    pub(super) fn new(span: Range<usize>, title: impl Into<String>) -> Problem {
        Problem { span: Some(span), title: title.into(), label: String::new(), cure: String::new() }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Problem {
        self.label = label.into();
        self
    }

    pub(super) fn cure(mut self, cure: impl Into<String>) -> Problem {
        self.cure = cure.into();
        self
    }
}

/// Everything that is wrong with a configuration; nothing was started. Each mistake is shown with
/// its line, its column and a cure.
#[derive(Clone, Debug)]
pub struct ConfigError {
    path: String,
    text: String,
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(path: &str, text: &str, mut problems: Vec<Problem>) -> ConfigError {
        problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        ConfigError { path: path.to_string(), text: text.to_string(), problems }
    }

    /// How many mistakes there are; at least one.
    pub fn count(&self) -> usize {
        self.problems.len()
    }

    /// For people, with colours when `coloured`.
    pub fn render(&self, coloured: bool) -> String {
        let renderer = match coloured {
            true => Renderer::styled(),
            false => Renderer::plain(),
        };
        let shown: Vec<String> =
            self.problems.iter().map(|problem| self.render_one(problem, &renderer)).collect();
        shown.join("\n\n")
    }

    fn render_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let mut group =
            Level::ERROR.primary_title(&problem.title).elements(problem.span.clone().map(|span| {
                Snippet::source(&self.text)
                    .path(&self.path)
                    .annotation(AnnotationKind::Primary.span(span).label(&problem.label))
            }));
        if !problem.cure.is_empty() {
            group = group.element(Level::HELP.message(&problem.cure));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigError {}

/// The candidate that `word` is most likely a misspelling of: at most a third of its letters are
/// wrong.
pub(super) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, change or swap with their neighbour to turn one word into the other,
/// whatever the case.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().collect();
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut rows = vec![(0..=right.len()).collect::<Vec<usize>>()];
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let mut best =
                (rows[i][j] + usize::from(l != r)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_are_found_and_other_words_are_not() {
        let keys = ["batchSize", "fileHeader", "filegroups", "type"];
        assert_eq!(did_you_mean("batchsize", keys), Some("batchSize"));
        assert_eq!(did_you_mean("bacthSize", keys), Some("batchSize"));
        assert_eq!(did_you_mean("filegroup", keys), Some("filegroups"));
        assert_eq!(did_you_mean("tpye", keys), Some("type"));
        assert_eq!(did_you_mean("colour", keys), None);
        assert_eq!(did_you_mean("c4", ["c1", "c2"]), None);
    }
}
