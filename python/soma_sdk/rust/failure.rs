//! What can go wrong, and which of the package's exceptions says so.
//!
//! The exceptions are classes of `soma_sdk.errors`; a failure names one of them and what it carries. Messages
//! never hold secrets: those of the client don't, and nothing here repeats what a caller gave as a key.

use std::fmt::Display;

use pyo3::{exceptions::PyRuntimeError, prelude::*, sync::PyOnceLock, types::IntoPyDict};
use soma_client::ClientError;
use soma_model::{ScoreError, WeightsError};
use soma_types::{RejectionCode, Shannons};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The client has none.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A value is out of its bounds.
    #[error("{0}")]
    Argument(String),
    /// What is given is not what was committed.
    #[error("{0}")]
    Mismatch(String),
    /// A commit that no caller was told of stands in the way.
    #[error("{0}")]
    Unheard(String),
    /// A model would cost more than its owner has in mind.
    #[error(
        "a model's least stake is {least} on this network, more than max_stake, {most}: nothing was sent"
    )]
    Stake {
        /// The network's.
        least: Shannons,
        /// The client's limit.
        most: Shannons,
    },
    /// Weights are no weights of the architecture.
    #[error("{name}: {error}")]
    Weights {
        /// What they are called.
        name: String,
        /// Why it failed.
        error: WeightsError,
    },
    /// There are no scores.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// A file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why it failed.
        error: std::io::Error,
    },
    /// There is not the memory for it.
    #[error("{0}")]
    Memory(String),
    /// A worker panicked, which is a bug.
    #[error("soma_sdk failed unexpectedly: {0}. This is a bug: please report it")]
    Panicked(String),
    /// Made before a fork, used after it.
    #[error(
        "this client was made in process {made} and is used in process {here}, its fork: connections and threads do not \
         pass a fork. Make a client in the new process, or start it with multiprocessing's 'spawn'"
    )]
    Forked {
        /// The process that made it.
        made: u32,
        /// The process that uses it.
        here: u32,
    },
    /// The process ends.
    #[error("the interpreter is shutting down: nothing new is begun")]
    Ending,
}

impl Failure {
    /// A value that is out of its bounds.
    pub fn argument(reason: impl Display) -> Self {
        Self::Argument(reason.to_string())
    }

    /// The exception's class in `soma_sdk.errors`.
    fn class(&self) -> &'static str {
        match self {
            Self::Client(error) => class_of(error),
            Self::Argument(_) => "InvalidArgument",
            Self::Mismatch(_) => "CommitMismatch",
            Self::Unheard(_) => "UnheardCommit",
            Self::Stake { .. } => "StakeTooHigh",
            Self::Weights { .. } => "BadWeights",
            Self::Score(_) => "ScoreFailed",
            Self::Unreadable { .. } => "FileProblem",
            Self::Memory(_) => "NotEnoughMemory",
            Self::Panicked(_) => "WorkerPanicked",
            Self::Forked { .. } => "ForkedProcess",
            Self::Ending => "ShuttingDown",
        }
    }

    fn exception<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let make = MAKE.get_or_try_init(py, || {
            PyResult::Ok(py.import("soma_sdk.errors")?.getattr("_from_native")?.unbind())
        })?;
        let details = match self {
            Self::Client(error) => [
                (
                    "code",
                    error
                        .rejection_code()
                        .map(RejectionCode::number)
                        .into_pyobject(py)?
                        .into_any(),
                ),
                ("name", error.rejection_name().into_pyobject(py)?.into_any()),
                (
                    "transaction",
                    error
                        .transaction()
                        .map(|hash| hash.to_string())
                        .into_pyobject(py)?
                        .into_any(),
                ),
                (
                    "fee",
                    error
                        .receipt()
                        .map(|receipt| receipt.fee.0)
                        .into_pyobject(py)?
                        .into_any(),
                ),
            ]
            .into_py_dict(py)?,
            _ => [("code", py.None())].into_py_dict(py)?,
        };
        make.bind(py).call1((self.class(), self.to_string(), details))
    }
}

/// The class for what the client says.
fn class_of(error: &ClientError) -> &'static str {
    match error {
        ClientError::BadUrl { .. } | ClientError::Argument(_) => "InvalidArgument",
        ClientError::Unreachable { .. } => "NodeUnreachable",
        ClientError::Broken { .. } | ClientError::Hop { .. } => "ConnectionBroken",
        ClientError::TimedOut { .. } => "NodeTimedOut",
        ClientError::Problem(problem) => match (problem.code, problem.status) {
            (Some(_), _) => "RejectedError",
            (None, 404) => "NotFound",
            (None, 429 | 503) => "NodeBusy",
            (None, _) => "NodeRefused",
        },
        ClientError::Failed { .. } | ClientError::WouldFail { .. } | ClientError::Unaffordable { .. } => {
            "RejectedError"
        }
        ClientError::AnswerTooLarge { .. } | ClientError::BadAnswer { .. } | ClientError::Event(_) => {
            "BadAnswer"
        }
        ClientError::OtherChain { .. } => "OtherChain",
        ClientError::Behind { .. } => "NodeBehind",
        ClientError::WrongHash { .. } | ClientError::WrongSize { .. } => "WrongHash",
        ClientError::FeeTooHigh { .. } => "FeeTooHigh",
        ClientError::Busy { .. } => "AccountBusy",
        ClientError::Expired { .. } => "TransactionExpired",
        ClientError::OutcomeUnknown { .. } | ClientError::StillWaiting { .. } => "OutcomeUnknown",
        ClientError::DataKnown { .. } => "DataKnown",
        ClientError::GaveUp { .. } => "WaitTimedOut",
        ClientError::ModelLacks { .. } => "NotFound",
        ClientError::SecretMissing { .. } => "SecretMissing",
        ClientError::Container(_) => "BadContainer",
        ClientError::Lock(_) | ClientError::File(_) | ClientError::Wallet(_) => "FileProblem",
        ClientError::Http(_) | ClientError::Randomness(_) => "SomaError",
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| match failure.exception(py) {
            Ok(exception) => Self::from_value(exception),
            // Only a broken installation lacks the module; what happened is told all the same.
            Err(_) => PyRuntimeError::new_err(failure.to_string()),
        })
    }
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

/// Runs `work` without the interpreter, its panics as exceptions.
pub fn detached<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    py.detach(|| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
            .unwrap_or_else(|panic| Err(Failure::Panicked(panic_text(&*panic))))
    })
}
