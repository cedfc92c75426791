//! How a command fails: one clear sentence, a hint where there is one, and an exit code. Under `--json` the
//! same is one JSON document of a stable shape ([`Report`]), on one line.
//!
//! Whatever the command has done before is told with it: a failure of the second part does not unmake the
//! first, nor does a result that cannot be printed.

use std::{
    fmt::{self, Display},
    io::{self, Write as _},
};

use serde::Serialize;
use soma_client::ClientError;
use soma_types::{RejectionCode, Shannons, TransactionHash, text::excerpt};

use crate::{
    hints,
    printer::{Format, Printer},
    record::{Deed, Record, State},
};

/// The command was right, but could not be done.
pub const FAILED: u8 = 1;
/// The command itself makes no sense.
pub const USAGE: u8 = 2;
/// Something was handed in, and may still happen.
pub const UNKNOWN: u8 = 3;
/// It is done, but its result could not be printed.
pub const UNPRINTED: u8 = 4;
/// Stopped by Ctrl-C, as shells expect.
pub const INTERRUPTED: u8 = 130;

/// Most characters of a message or a hint that are shown.
const CHARACTERS_MAX: usize = 4_000;

/// Why a command failed, as the person who typed it should read it.
#[derive(Debug)]
pub struct CliError {
    message: String,
    hint: Option<String>,
    exit_code: u8,
    ledger: Option<Box<Ledger>>,
}

/// What the ledger has to do with it.
#[derive(Clone, Debug, Default)]
struct Ledger {
    code: Option<RejectionCode>,
    name: Option<String>,
    transaction: Option<TransactionHash>,
    fee: Option<Shannons>,
}

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

/// What commands return.
pub type CliResult<T = ()> = Result<T, CliError>;

impl CliError {
    fn with_code(message: impl Display, exit_code: u8) -> Self {
        Self {
            message: message.to_string(),
            hint: None,
            exit_code,
            ledger: None,
        }
    }

    /// The command was right, but could not be done: exit code 1.
    pub fn new(message: impl Display) -> Self {
        Self::with_code(message, FAILED)
    }

    /// The command itself makes no sense: exit code 2.
    pub fn usage(message: impl Display) -> Self {
        Self::with_code(message, USAGE)
    }

    /// What was done cannot be told on standard output: exit code 4, or 1 where nothing was done.
    pub fn unprinted(error: &io::Error) -> Self {
        Self::with_code(format!("the result cannot be printed: {error}"), UNPRINTED)
    }

    /// Something that has no name may still happen: exit code 3.
    pub fn unknown(message: impl Display) -> Self {
        Self::with_code(message, UNKNOWN)
    }

    /// Stopped by Ctrl-C: exit code 130, as shells expect.
    pub fn interrupted() -> Self {
        Self::with_code("stopped", INTERRUPTED)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Prefixes the message with what was being done.
    #[must_use]
    pub fn while_doing(mut self, what: impl Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

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

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Library errors name value and limit themselves and pass through as they are, with the hint they have.
impl<E: std::error::Error + 'static> From<E> for CliError {
    fn from(error: E) -> Self {
        let client = hints::client(&error);
        let exit_code = match client {
            Some(error) if error.is_unknown() => UNKNOWN,
            _ => FAILED,
        };
        Self {
            hint: hints::of(&error),
            ledger: client.and_then(ledger).map(Box::new),
            ..Self::with_code(&error, exit_code)
        }
    }
}

/// What an error of the client says of the ledger.
fn ledger(error: &ClientError) -> Option<Ledger> {
    let ledger = Ledger {
        code: error.rejection_code(),
        name: error.rejection_name().map(str::to_owned),
        transaction: error.transaction(),
        fee: error.receipt().map(|receipt| receipt.fee),
    };
    (ledger.code.is_some() || ledger.transaction.is_some()).then_some(ledger)
}
