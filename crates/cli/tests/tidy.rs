//! One dialect: what rustfmt and clippy do not hold (CONTRIBUTING.md, Dialect).

#[path = "common/sources.rs"]
mod sources;

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use sources::{all, root};

/// Finds what breaks a rule in a file's text: line numbers from 1, and what is wrong.
type Rule = fn(&str) -> Vec<(usize, String)>;

/// Fails with every line of the files ending so that breaks `rule`.
fn hold(ending: &str, rule: Rule) {
    let (root, mut found) = (root(), String::new());
    let files = all(ending);
    assert!(files.len() > 10, "only {} files ending in {ending}", files.len());
    for (path, text) in files {
        let path = path.strip_prefix(&root).unwrap();
        // The samples of this file break the rules on purpose.
        if path.ends_with("cli/tests/tidy.rs") || path.starts_with("data") {
            continue;
        }
        for (line, what) in rule(&text) {
            writeln!(found, "{}:{line}: {what}", path.display()).unwrap();
        }
    }
    assert!(found.is_empty(), "\n{found}");
}

/// The comment that a line is, without its marker.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let markers = ["//!", "///", "//"];
    markers.iter().find_map(|marker| line.strip_prefix(marker))
}

/// The doc comment that a line is, of the item after it.
fn doc(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("///")
}

/// The width at which rustfmt breaks code.
fn width() -> usize {
    let settings = std::fs::read_to_string(root().join("rustfmt.toml")).unwrap();
    let width = settings
        .lines()
        .find_map(|line| line.strip_prefix("max_width = "));
    width.expect("rustfmt.toml sets max_width").parse().unwrap()
}

/// Comments are as wide as code. A row of a table and a line of code cannot be broken.
fn wide_comments(text: &str) -> Vec<(usize, String)> {
    let width = width();
    numbered(text)
        .filter(|(_, line)| line.chars().count() > width)
        .filter(|(_, line)| {
            comment(line)
                .is_some_and(|comment| ![" |", "     "].iter().any(|start| comment.starts_with(start)))
        })
        .map(|(number, line)| {
            let found = line.chars().count();
            (number, format!("a comment of {found} columns, at most {width}"))
        })
        .collect()
}

/// One `use` for a crate, with braces: `use std::{fmt, io};`. Of two with different visibility, each its own;
/// one under an attribute stands alone.
fn split_imports(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let (mut in_statement, mut has_attribute) = (false, false);
    for (number, line) in numbered(text) {
        let code = line.trim();
        if in_statement {
            in_statement = !code.ends_with(';');
        } else if code.starts_with("#[") {
            has_attribute = true;
        } else if let Some((visibility, path)) = import(code) {
            in_statement = !code.ends_with(';');
            let root = path.split([':', ';', ' ']).next().unwrap_or_default();
            let indent = line.len() - line.trim_start().len();
            if !std::mem::take(&mut has_attribute) && !seen.insert((indent, visibility, root)) {
                found.push((number, format!("a second `use` of {root}: join them")));
            }
        } else if !code.is_empty() {
            has_attribute = false;
            seen.clear();
        }
    }
    found
}

/// Visibility and path of an import.
fn import(code: &str) -> Option<(&str, &str)> {
    let (visibility, path) = code.split_once("use ")?;
    (visibility.is_empty() || visibility.starts_with("pub")).then_some((visibility, path))
}

/// A doc of one word says no more than the name does.
fn one_word_docs(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let is_doc = |at: Option<usize>| {
        at.and_then(|at| lines.get(at))
            .is_some_and(|line| doc(line).is_some())
    };
    numbered(text)
        .filter(|(number, _)| !is_doc(number.checked_sub(2)) && !is_doc(Some(*number)))
        .filter_map(|(number, line)| Some((number, doc(line)?)))
        .filter(|(_, doc)| doc.split_whitespace().count() == 1 && !doc.contains('`'))
        .map(|(number, doc)| (number, format!("a doc of one word:{doc}")))
        .collect()
}

/// Participants are "they".
fn gendered(text: &str) -> Vec<(usize, String)> {
    let words = ["he", "him", "his", "himself", "she", "her", "hers", "herself"];
    let of_line = |line: &str| {
        let mut parts = line.split(|c: char| !c.is_alphanumeric() && c != '\'');
        parts.find_map(|part| words.into_iter().find(|word| part.eq_ignore_ascii_case(word)))
    };
    numbered(text)
        .filter_map(|(number, line)| Some((number, of_line(line)?)))
        .map(|(number, word)| (number, format!("\"{word}\": participants are \"they\"")))
        .collect()
}

/// [`gendered`] in the comments of source, whose data may say what it likes.
fn gendered_comments(text: &str) -> Vec<(usize, String)> {
    let comments = text.lines().map(|line| comment(line).unwrap_or_default());
    gendered(&comments.collect::<Vec<_>>().join("\n"))
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[test]
fn comments_are_as_wide_as_code() {
    hold(".rs", wide_comments);
}

#[test]
fn a_crate_is_imported_once() {
    hold(".rs", split_imports);
}

#[test]
fn docs_say_more_than_a_word() {
    hold(".rs", one_word_docs);
}

#[test]
fn participants_are_they() {
    hold(".rs", gendered_comments);
    hold(".md", gendered);
}

/// A module with parts is `name.rs` beside `name/`. Beside tests a folder's file is `mod.rs`: cargo would
/// take any other for a test of its own.
#[test]
fn a_module_lies_beside_its_folder() {
    for (path, _) in all("mod.rs") {
        let in_tests = path.components().any(|part| part.as_os_str() == "tests");
        let in_source = path.components().any(|part| part.as_os_str() == "src");
        assert!(
            in_tests && !in_source,
            "{}: call it {}.rs",
            path.display(),
            path.parent().unwrap_or(Path::new("")).display()
        );
    }
}

#[test]
fn what_breaks_a_rule_is_found() {
    let lines = |rule: Rule, text: &str| -> Vec<usize> { rule(text).iter().map(|(line, _)| *line).collect() };
    let long = "word ".repeat(30);
    assert_eq!(
        lines(
            wide_comments,
            &format!("// short\n    /// {long}\n//! | {long} |\nlet x = \"{long}\";")
        ),
        [2]
    );
    let imports = "use std::fmt;\nuse std::{\n    io,\n};\n\nuse crate::a;\npub use crate::b;\n#[cfg(test)]\nuse std::fs;";
    assert_eq!(lines(split_imports, imports), [2]);
    assert_eq!(
        lines(
            one_word_docs,
            "/// Whose.\na\n/// Whose it is.\nb\n/// Two lines are\n/// fine.\nc"
        ),
        [1]
    );
    assert_eq!(
        lines(gendered_comments, "// what he has\nlet his = 1;\n/// The rest."),
        [1]
    );
}
