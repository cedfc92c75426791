//! `docs/attacks.md` against the tests' own words. `SOMA_BLESS=1` writes it anew.

use std::{fmt::Write, path::Path};

/// Sources with attack tests, from the repository's root, and how their tests are named.
const SOURCES: &[(&str, &str)] = &[
    ("crates/ledger/src/tests/attacks/racing.rs", "soma-ledger"),
    ("crates/ledger/src/tests/attacks/grinding.rs", "soma-ledger"),
    ("crates/ledger/src/tests/attacks/data.rs", "soma-ledger"),
    ("crates/model/tests/attacks.rs", "soma-model"),
    ("crates/ledger/src/tests/attacks/audits.rs", "soma-ledger"),
    ("crates/ledger/src/tests/attacks/hearings.rs", "soma-ledger"),
    ("crates/agents/tests/escaping.rs", "soma-agents"),
    ("crates/agents/tests/withholding.rs", "soma-agents"),
    ("crates/agents/tests/taking_down.rs", "soma-agents"),
    ("crates/ledger/src/tests/attacks/models.rs", "soma-ledger"),
    ("crates/ledger/src/tests/attacks/weights.rs", "soma-ledger"),
    ("crates/blobs/tests/attacks.rs", "soma-blobs"),
    ("crates/blobs/tests/flooding.rs", "soma-blobs"),
    ("crates/localnet/tests/networks/hosting.rs", "soma-localnet"),
    ("crates/ledger/src/tests/attacks/money.rs", "soma-ledger"),
    ("crates/node/tests/mempool/attacks.rs", "soma-node"),
    ("crates/node/src/api/turns/attacks.rs", "soma-node"),
    ("crates/localnet/tests/networks/reading.rs", "soma-localnet"),
    ("crates/node/src/ledger/tests/attacks.rs", "soma-node"),
    ("crates/light/tests/proofs/attacks.rs", "soma-light"),
    ("crates/ledger/src/tests/attacks/stakes.rs", "soma-ledger"),
    ("crates/ledger/src/tests/attacks/proposals.rs", "soma-ledger"),
];

const HEAD: &str = "# Attacks

What someone could try, and what comes of it. Each row is a test, and the words are the test's own: this file is
made of them and checked by `cargo nextest run -p soma-ledger attacks::table` (`SOMA_BLESS=1` writes it anew).
A gain is counted over all that the attacker has: spendable, staked, unbonding and locked. Fees count as a loss.

| attack | what the attacker does | outcome | test |
|---|---|---|---|
";

/// The parts of a row, from the comment above a test.
#[derive(Default)]
struct Row {
    attack: String,
    does: String,
    outcome: String,
}

/// Reads the rows of a source file. Every test in it must have a full one.
fn rows(source: &str, krate: &str) -> String {
    let mut table = String::new();
    let mut row = Row::default();
    let mut part = 0;
    let mut is_test = false;
    for line in source.lines() {
        let trimmed = line.trim_start();
        if let Some(text) = trimmed.strip_prefix("/// ") {
            let keys = ["Attack: ", "Does: ", "Outcome: "];
            let (key, text) = keys
                .iter()
                .enumerate()
                .find_map(|(index, key)| Some((index + 1, text.strip_prefix(key)?)))
                .unwrap_or((part, text));
            let into = match key {
                1 => &mut row.attack,
                2 => &mut row.does,
                3 => &mut row.outcome,
                _ => continue,
            };
            if !into.is_empty() {
                into.push(' ');
            }
            into.push_str(text);
            part = key;
        } else if trimmed.starts_with("#[test]") {
            is_test = true;
        } else if let Some(name) = trimmed.strip_prefix("fn ").filter(|_| is_test) {
            let name = name.split('(').next().unwrap_or_default();
            let Row {
                attack,
                does,
                outcome,
            } = std::mem::take(&mut row);
            assert!(
                !attack.is_empty() && !does.is_empty() && !outcome.is_empty(),
                "{name} does not say what it shows: write Attack, Does and Outcome above it"
            );
            writeln!(table, "| {attack} | {does} | {outcome} | `{krate}` {name} |").unwrap();
            (part, is_test) = (0, false);
        } else if !trimmed.starts_with("#[") {
            (row, part) = (Row::default(), 0);
        }
    }
    assert!(!table.is_empty(), "a source without attacks");
    table
}

#[test]
#[allow(clippy::disallowed_methods)]
fn the_table_is_what_the_tests_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut expected = HEAD.to_owned();
    for (path, krate) in SOURCES {
        let source = std::fs::read_to_string(root.join(path)).expect(path);
        expected.push_str(&rows(&source, krate));
    }
    let path = root.join("docs/attacks.md");
    if std::env::var("SOMA_BLESS").is_ok() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/attacks.md is out of date: run this with SOMA_BLESS=1 and look at the difference"
    );
}
