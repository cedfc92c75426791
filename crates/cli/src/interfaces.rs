//! The tables of `docs/interfaces.md`, made from the command line as clap reads it and from the node's
//! OpenAPI document.

use clap::CommandFactory as _;

use crate::args::Cli;

/// Where the part that is made begins.
const START: &str = "## 4. Every command\n";

const COMMANDS: &str = "
Made from the code, as is section 5 (`SOMA_UPDATE_DOCS=1 cargo nextest run -p soma-cli documented` writes both anew).

| command | does |
|---|---|
";

const REQUESTS: &str = "
## 5. Every request

| request | answers |
|---|---|
";

/// What stands in a table's cell: one line.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', r"\|")
}

/// A row for `command` and for each below it that can be run.
fn commands(command: &mut clap::Command, rows: &mut String) {
    if !command.is_subcommand_required_set() && command.get_name() != "soma" {
        let usage = command.render_usage().to_string();
        let usage = usage.lines().next().unwrap_or_default();
        let usage = usage.trim_start_matches("Usage: ").replace(" [OPTIONS]", "");
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        *rows += &format!("| `{}` | {} |\n", cell(&usage), cell(&about));
    }
    // Help is of every command, and none of its own.
    for below in command
        .get_subcommands_mut()
        .filter(|below| below.get_name() != "help")
    {
        commands(below, rows);
    }
}

fn requests() -> String {
    let document = serde_json::to_value(soma_node::api::document()).expect("plain data is JSON");
    let paths = document["paths"].as_object().expect("a document has paths");
    let mut rows = String::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let summary = operation["summary"]
                .as_str()
                .or(operation["description"].as_str());
            let summary = cell(summary.unwrap_or_default());
            rows += &format!("| `{} {path}` | {summary} |\n", method.to_uppercase());
        }
    }
    rows
}

#[test]
fn every_interface_is_documented() {
    let mut cli = Cli::command();
    cli.build();
    let mut rows = String::new();
    commands(&mut cli, &mut rows);
    let made = [START, COMMANDS, &rows, REQUESTS, &requests()].concat();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/interfaces.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (by_hand, written) = document.split_at(document.find(START).expect("a section 4"));
    if std::env::var_os("SOMA_UPDATE_DOCS").is_some() {
        std::fs::write(path, by_hand.to_owned() + &made).unwrap();
        return;
    }
    assert!(
        written == made,
        "docs/interfaces.md is out of date: see its section 4"
    );
}
