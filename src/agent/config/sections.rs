//! Which components an agent has, and what belongs to none of them.

use super::section::{Section, Sheet};
use super::{Problem, Property, did_you_mean};

/// Longest name of a component, so that it fits into the name of a cursor.
const NAME_MAX: usize = 100;

const LISTS: [&str; 3] = ["sources", "channels", "sinks"];
const LISTS_LATER: [&str; 2] = ["sinkgroups", "configfilters"];

/// The components listed under `kind`, each with its keys.
pub(super) fn of<'a>(sheet: &'a Sheet<'a>, agent: &str, kind: &str) -> Vec<(&'a str, Section<'a>)> {
    let root = Section { sheet, prefix: format!("{agent}."), home: 0..0 };
    let Some(list) = root.get(kind) else {
        if kind != "sources" {
            missing(sheet, agent, kind);
        }
        return Vec::new();
    };
    let mut sections: Vec<(&str, Section<'_>)> = Vec::new();
    for (name, span) in list.words() {
        let problem = Problem::new(span.clone(), format!("`{name}` cannot be a component"));
        if sections.iter().any(|(other, _)| *other == name) {
            sheet.report(problem.label("listed twice").cure("remove one of the two"));
        } else if name.contains('.') || name.len() > NAME_MAX {
            let limit = format!("a name has no dot and at most {NAME_MAX} bytes");
            sheet.report(problem.label(limit).cure("choose another name"));
        } else {
            let prefix = format!("{agent}.{kind}.{name}.");
            let section = Section { sheet, prefix, home: span };
            sections.push((name, section));
        }
    }
    if sections.is_empty() && kind != "sources" {
        missing(sheet, agent, kind);
    }
    sections
}

fn missing(sheet: &Sheet<'_>, agent: &str, kind: &str) {
    sheet.report(Problem {
        span: None,
        title: format!("the agent `{agent}` has no {kind}"),
        label: String::new(),
        cure: format!("add `{agent}.{kind} = NAME` and the keys of `{agent}.{kind}.NAME`"),
    });
}

/// Whether the file says anything about the agent; if not, that is the mistake.
pub(super) fn agent_is_there(sheet: &Sheet<'_>, agent: &str) -> bool {
    let mut agents: Vec<&str> = sheet
        .properties
        .iter()
        .filter_map(|property| {
            let (name, rest) = property.key.split_once('.')?;
            let list = rest.split('.').next()?;
            LISTS.contains(&list).then_some(name)
        })
        .collect();
    agents.sort_unstable();
    agents.dedup();
    if agents.contains(&agent) {
        return true;
    }
    let cure = match (did_you_mean(agent, agents.iter().copied()), agents.is_empty()) {
        (Some(guess), _) => format!("did you mean `{guess}`?"),
        (None, true) => format!("the file names no agent; its keys begin as `{agent}.sources`"),
        (None, false) => format!("the agents in it are: {}", agents.join(", ")),
    };
    sheet.report(Problem {
        span: None,
        title: format!("there is no agent `{agent}` in this file"),
        label: String::new(),
        cure,
    });
    false
}

/// Keys of the agent that belong to no component it lists, and lines that belong to no agent at
/// all. Flume ignores both; mostly they are misspelt.
pub(super) fn refuse_strays(sheet: &Sheet<'_>, agent: &str) {
    for property in sheet.properties {
        let Some((name, rest)) = property.key.split_once('.') else {
            sheet.report(
                Problem::new(property.key_span.clone(), "this line is about no agent")
                    .label("not of the form AGENT.sources, AGENT.channels.NAME.KEY ...")
                    .cure("remove it, or put the agent's name before it"),
            );
            continue;
        };
        if name != agent {
            continue;
        }
        if let Some(problem) = stray(sheet, agent, property, rest) {
            sheet.report(problem);
        }
    }
}

fn stray(sheet: &Sheet<'_>, agent: &str, property: &Property, rest: &str) -> Option<Problem> {
    let (list, rest) = match rest.split_once('.') {
        Some((list, rest)) => (list, Some(rest)),
        None => (rest, None),
    };
    let span = property.key_span.clone();
    if LISTS_LATER.contains(&list) {
        return Some(
            Problem::new(span, format!("`{list}` is not supported yet"))
                .label("not supported yet by this version")
                .cure("remove it, or wait for the version that knows it"),
        );
    }
    if !LISTS.contains(&list) {
        let cure = match did_you_mean(list, LISTS) {
            Some(guess) => format!("did you mean `{agent}.{guess}`?"),
            None => "an agent has sources, channels and sinks".to_string(),
        };
        return Some(
            Problem::new(span, format!("an agent has no `{list}`"))
                .label("no such part")
                .cure(cure),
        );
    }
    let component = rest?.split('.').next()?;
    let key = format!("{agent}.{list}");
    let listed = sheet.properties.iter().find(|property| property.key == key);
    let mut names = listed.iter().flat_map(|property| property.words());
    if names.any(|(name, _)| name == component) {
        return None;
    }
    let names = listed.iter().flat_map(|property| property.words());
    let cure = match did_you_mean(component, names.map(|(name, _)| name)) {
        Some(guess) => format!("did you mean `{guess}`? Or add `{component}` to `{key}`"),
        None => format!("add `{component}` to `{key}`, or remove its lines"),
    };
    Some(
        Problem::new(span, format!("`{component}` is not in the list of {list}"))
            .label("this would be ignored")
            .cure(cure),
    )
}

/// Flume replaces `${...}` in values; taking it literally would be worse than refusing.
pub(super) fn refuse_lookups(sheet: &Sheet<'_>, agent: &str) {
    let prefix = format!("{agent}.");
    for property in sheet.properties {
        let found = property.value.find("${").filter(|_| property.key.starts_with(&prefix));
        let Some(start) = found else {
            continue;
        };
        let end =
            property.value[start..].find('}').map_or(property.value.len(), |end| start + end + 1);
        sheet.report(
            Problem::new(property.part_span(start..end), "lookups are not supported yet")
                .label("not supported yet by this version")
                .cure("write the value itself"),
        );
    }
}
