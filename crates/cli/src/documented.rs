//! Commands that documents show are commands that there are, with options that there are.

use std::{fs, path::Path};

use clap::{Parser as _, error::ErrorKind};

use crate::args::Cli;

/// The commands of a text's indented lines: those that begin with `soma`, also behind a prompt, up to a
/// comment, and each of several on a line.
fn commands(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    let lines = lines.map(|line| line.strip_prefix("$ ").unwrap_or(line));
    lines
        .filter(|line| line.starts_with("soma "))
        .flat_map(|line| line.split("  #").next().unwrap_or_default().split("&&"))
        .map(|command| command.split(" > ").next().unwrap_or_default().trim().to_owned())
        .filter(|command| command.starts_with("soma "))
        .collect()
}

/// A network's key.
const KEY: &str =
    "0x97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";

/// A command's words as a shell takes them apart, with an id or a key for each that is only named.
fn words(command: &str) -> Vec<String> {
    let id = format!("0x{}", "7".repeat(64));
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in command.chars() {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (' ', None) => words.push(std::mem::take(&mut word)),
            (letter, _) => word.push(letter),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    let filled = |word: String| match word.as_str() {
        "ID" | "HASH" | "MODEL" => id.clone(),
        "KEY" => KEY.to_owned(),
        "model:ID" => format!("model:{id}"),
        _ => word,
    };
    words.into_iter().map(filled).collect()
}

#[test]
fn every_command_in_the_documents_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut documents = vec![root.join("README.md")];
    documents.extend(
        fs::read_dir(root.join("docs"))
            .unwrap()
            .map(|entry| entry.unwrap().path()),
    );
    documents.retain(|path| path.extension().is_some_and(|end| end == "md"));
    let mut seen = 0;
    for path in documents {
        for command in commands(&fs::read_to_string(&path).unwrap()) {
            seen += 1;
            match Cli::try_parse_from(words(&command)) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {}
                Err(error) => panic!("{}: `{command}`: {error}", path.display()),
            }
        }
    }
    assert!(seen > 60, "only {seen} commands were found");
}

#[test]
fn commands_are_found_as_a_shell_sees_them() {
    let text =
        "text\n    soma why ID && soma judge ID --data 'a b'  # both\n    $ soma status > x\n    some more\n";
    let found = commands(text);
    assert_eq!(
        found,
        ["soma why ID", "soma judge ID --data 'a b'", "soma status"]
    );
    assert_eq!(words(&found[1])[3..], ["--data", "a b"]);
}
