//! Why the service ends before its documents do.

use std::time::Duration;

use soma_client::ClientError;
use soma_types::{RejectionCode, Shannons};
use tokio::task::JoinError;

use crate::submitter::SubmitError;

/// Why the service ends before its documents do.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A document could not be tried.
    #[error("{document}: {error}")]
    Document {
        /// Its name.
        document: String,
        /// Why it could not.
        #[source]
        error: Box<SubmitError>,
    },
    /// The node did not answer, or not as it should.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no money, and none is locked that would come back.
    #[error("{0}")]
    Money(#[source] Box<ClientError>),
    /// One submission takes more than may be locked at a time.
    #[error(
        "a submission locks {needed} SOMA of bond and deposit now, more than the {limit} SOMA that may be locked: nothing \
         was sent"
    )]
    BondsMax {
        /// What one takes.
        needed: Shannons,
        /// What is allowed.
        limit: Shannons,
    },
    /// Nothing to submit to.
    #[error("no target opened within {} s", waited.as_secs())]
    NoTarget {
        /// How long was waited.
        waited: Duration,
    },
    /// Something panicked, which is a bug.
    #[error("work stopped unexpectedly: {0}")]
    Stopped(#[from] JoinError),
}

impl ServiceError {
    /// Whether it is the node or the way to it that failed, so that the same may do better later.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        let client = match self {
            Self::Client(error) => error,
            Self::Document { error, .. } => match &**error {
                SubmitError::Client(error) => error,
                _ => return false,
            },
            _ => return false,
        };
        client.is_passing() || matches!(client, ClientError::TimedOut { .. })
    }
}

/// Whether the ledger said no for want of money.
pub(super) fn is_money(error: &ClientError) -> bool {
    matches!(
        error.rejection_code(),
        Some(RejectionCode::InsufficientBalance | RejectionCode::CannotPayFee)
    )
}
