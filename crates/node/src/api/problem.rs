//! What the node's own errors become for those who ask.

use axum::http::StatusCode;
use soma_blobs::StoreError;
use soma_http::Error;

use crate::{
    mempool::PoolError,
    query::{ReadError, SubmitError},
};

/// Before the first block there is no state.
pub fn not_started() -> Error {
    Error::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the network has no block yet: try again in a second",
    )
}

/// The content store says no.
pub fn of_store(error: &StoreError) -> Error {
    let status = match error {
        StoreError::WrongHash { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        StoreError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
        StoreError::Withdrawn { .. } => StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
        StoreError::Damaged { .. } => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Error::new(status, error.to_string())
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<SubmitError> for Error {
    fn from(error: SubmitError) -> Self {
        let detail = error.to_string();
        match error {
            SubmitError::Pool(PoolError::Rejected(rejection)) => Self::rejection(&rejection),
            SubmitError::Pool(PoolError::Known(_) | PoolError::NonceTaken(_)) => {
                Self::new(StatusCode::CONFLICT, detail)
            }
            SubmitError::Pool(PoolError::SenderFull(_)) => Self::new(StatusCode::TOO_MANY_REQUESTS, detail),
            SubmitError::Pool(PoolError::Full) => Self::new(StatusCode::SERVICE_UNAVAILABLE, detail),
            SubmitError::Read(error) => error.into(),
        }
    }
}
