//! How a command fails: one clear sentence, a hint where there is one, and an exit code.

use std::{
    fmt::{self, Display},
    io::{self, Write as _},
};

use crate::hints;

/// Why a command failed, as the person who typed it should read it.
#[derive(Debug)]
pub struct CliError {
    message: String,
    hint: Option<String>,
    exit_code: u8,
}

/// What commands return.
pub type CliResult<T = ()> = Result<T, CliError>;

impl CliError {
    /// The command was right, but could not be done: exit code 1.
    pub fn new(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            hint: None,
            exit_code: 1,
        }
    }

    /// The command itself makes no sense: exit code 2.
    pub fn usage(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            hint: None,
            exit_code: 2,
        }
    }

    /// Stopped by Ctrl-C: exit code 130, as shells expect.
    pub fn interrupted() -> Self {
        Self {
            message: "stopped".into(),
            hint: None,
            exit_code: 130,
        }
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

    /// Prints the sentence and its hint to standard error.
    pub fn report(&self) {
        let mut text = format!("error: {}\n", self.message);
        if let Some(hint) = &self.hint {
            text += &format!("  hint: {hint}\n");
        }
        // Where nobody listens, the exit code has to do.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// What the process exits with.
    pub const fn exit_code(&self) -> u8 {
        self.exit_code
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
        Self {
            hint: hints::of(&error),
            ..Self::new(error)
        }
    }
}
