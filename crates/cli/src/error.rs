//! How a command fails: one clear sentence, a hint where there is one, and an exit code.

use std::{
    fmt::{self, Display},
    io,
};

use soma_client::ClientError;
use soma_types::{RejectionCode, Shannons, TransactionHash};

use crate::hints;

/// The command was right, but could not be done.
pub const FAILED: u8 = 1;
/// The command itself makes no sense.
pub const USAGE: u8 = 2;
/// Something was handed in, and may still happen.
pub const UNKNOWN: u8 = 3;
/// It is done, but its result could not be printed.
pub const UNPRINTED: u8 = 4;
/// It was checked, and is not as claimed.
pub const DIFFERS: u8 = 5;
/// Stopped by Ctrl-C, as shells expect.
pub const INTERRUPTED: u8 = 130;

/// Why a command failed, as the person who typed it should read it.
#[derive(Debug)]
pub struct CliError {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) exit_code: u8,
    pub(crate) ledger: Option<Box<Ledger>>,
}

/// What the ledger has to do with it.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub code: Option<RejectionCode>,
    pub name: Option<String>,
    pub transaction: Option<TransactionHash>,
    pub fee: Option<Shannons>,
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

    /// It was checked, and is not as claimed: exit code 5.
    pub fn differs(message: impl Display) -> Self {
        Self::with_code(message, DIFFERS)
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
