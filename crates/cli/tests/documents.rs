//! Documents are true of each other: what the code cites exists, section by section, and links lead
//! somewhere.

#[path = "common/sources.rs"]
mod sources;

use std::fs;

use sources::{all, root};

/// Source as running text: comments that go on in the next line are one.
fn running(source: &str) -> String {
    let lines = source.lines().map(|line| {
        line.trim_start()
            .trim_start_matches("//!")
            .trim_start_matches("//")
            .trim_start_matches('/')
            .trim()
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// The documents that a text names, with the words that follow each.
fn named(text: &str) -> Vec<(&str, &str)> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    text.match_indices(".md")
        .map(|(at, _)| {
            let start = text[..at].rfind(|c| !is_path(c)).map_or(0, |before| before + 1);
            (&text[start..at + 3], &text[at + 3..])
        })
        .filter(|(name, after)| {
            name.len() > 3 && !after.starts_with(|c: char| c.is_ascii_alphanumeric() || "-_/".contains(c))
        })
        .collect()
}

/// The numbers of the sections that are named right after a document: ", section 4", ", sections 3 and 9".
fn sections(after: &str) -> Vec<u32> {
    let start = [", sections ", ", section "];
    let Some(mut rest) = start.iter().find_map(|start| after.strip_prefix(start)) else {
        return Vec::new();
    };
    let mut numbers = Vec::new();
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let Ok(number) = rest[..digits].parse() else {
            return numbers;
        };
        numbers.push(number);
        match rest[digits..].strip_prefix(" and ") {
            Some(next) => rest = next,
            None => return numbers,
        }
    }
}

/// The name by which a heading can be linked to.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars()
        .filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_')
        .collect()
}

fn headings(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim())
}

#[test]
fn what_the_code_cites_exists() {
    let (root, mut cited) = (root(), 0);
    for (path, source) in all(".rs") {
        if path.ends_with("cli/tests/documents.rs") {
            continue;
        }
        let text = running(&source);
        for (name, after) in named(&text) {
            // Named from the file's folder, its crate or the repository.
            let document = path
                .ancestors()
                .skip(1)
                .take_while(|folder| folder.starts_with(&root))
                .find_map(|folder| fs::read_to_string(folder.join(name)).ok());
            // Tests make files of their own.
            let Some(document) = document else {
                assert!(
                    !name.starts_with("docs/") && name.to_lowercase() == name,
                    "{} cites {name}, which does not exist",
                    path.display()
                );
                continue;
            };
            for number in sections(after) {
                cited += 1;
                assert!(
                    headings(&document).any(|heading| heading.starts_with(&format!("{number}. "))),
                    "{} cites section {number} of {name}, which does not exist",
                    path.display()
                );
            }
        }
    }
    assert!(cited > 40, "only {cited} citations were found");
}

#[test]
fn links_lead_somewhere() {
    for (path, text) in all(".md") {
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split(')').next().unwrap();
            if link.contains("://") || link.is_empty() {
                continue;
            }
            let (file, wanted) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            if !wanted.is_empty() {
                let document = fs::read_to_string(&target).unwrap();
                assert!(
                    headings(&document).any(|heading| anchor(heading) == wanted),
                    "{}: {link} names no heading",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn citations_are_found() {
    let text = running("//! Rewards (docs/protocol.md,\n//! sections 3 and 9), see README.md.\n");
    let found: Vec<_> = named(&text)
        .iter()
        .map(|(name, after)| (*name, sections(after)))
        .collect();
    assert_eq!(found, [("docs/protocol.md", vec![3, 9]), ("README.md", vec![])]);
    assert_eq!(anchor("10. Upgrades"), "10-upgrades");
}
