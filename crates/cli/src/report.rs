//! How a failure is told: for people, or under `--json` as one JSON document of a stable shape ([`Report`]),
//! on one line.
//!
//! Whatever the command has done before is told with it: a failure of the second part does not unmake the
//! first, nor does a result that cannot be printed.

use std::io::{self, Write as _};

use serde::Serialize;
use soma_types::{RejectionCode, Shannons, TransactionHash, text::excerpt};

use crate::{
    error::{CliError, FAILED, UNKNOWN, UNPRINTED},
    printer::{Format, Printer},
    record::{Deed, Record, State},
};

/// Most characters of a message or a hint that are shown.
const CHARACTERS_MAX: usize = 4_000;

/// An error as a program reads it. Every field is always there.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// What happened, in a sentence.
    message: &'a str,
    /// What to do about it.
    hint: Option<&'a str>,
    /// What the process exits with.
    exit_code: u8,
    /// The ledger's stable rejection code (docs/rejections.md), if the ledger said no.
    code: Option<RejectionCode>,
    /// Its stable name.
    name: Option<&'a str>,
    /// The transaction that this is about.
    transaction: Option<TransactionHash>,
    /// What that has cost.
    fee: Option<Shannons>,
    /// All that the command has handed in, and how each stands.
    transactions: Vec<Deed>,
    /// What is still to be done, in words.
    due: Vec<String>,
}

impl CliError {
    /// Prints the sentence, what was done before, and the hint to standard error, on a line each whatever
    /// strangers wrote into them.
    pub fn report(&self, printer: Printer, record: &Record) {
        let text = match printer.format() {
            Format::Json => self.json(record),
            Format::Text => self.text(record),
        };
        // Where nobody listens, the exit code has to do.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn text(&self, record: &Record) -> String {
        let mut text = format!("error: {}\n", excerpt(&self.message, CHARACTERS_MAX));
        let deeds = record.deeds();
        if let Some(ledger) = &self.ledger
            && let (Some(code), Some(name)) = (ledger.code, &ledger.name)
            && deeds.iter().all(|deed| deed.code.is_none())
        {
            text += &format!("  code {code} {name}\n");
        }
        for deed in &deeds {
            text += &format!("  {}\n", deed.text());
        }
        for due in record.due() {
            text += &format!("  due: {due}\n");
        }
        if let Some(hint) = &self.hint {
            text += &format!("  hint: {}\n", excerpt(hint, CHARACTERS_MAX));
        }
        text
    }

    fn json(&self, record: &Record) -> String {
        let ledger = self.ledger.as_deref().cloned().unwrap_or_default();
        let report = Report {
            message: &excerpt(&self.message, CHARACTERS_MAX),
            hint: self.hint.as_deref(),
            exit_code: self.exit_code(record),
            code: ledger.code,
            name: ledger.name.as_deref(),
            transaction: ledger.transaction,
            fee: ledger.fee,
            transactions: record.deeds(),
            due: record.due(),
        };
        serde_json::to_string(&report).expect("plain data with string keys is JSON") + "\n"
    }

    /// What the process exits with, after what `record` tells.
    pub fn exit_code(&self, record: &Record) -> u8 {
        let any = |state| record.deeds().iter().any(|deed| deed.state == state);
        match self.exit_code {
            FAILED if any(State::Unknown) => UNKNOWN,
            UNPRINTED if !any(State::Applied) => FAILED,
            code => code,
        }
    }
}
