//! What the node's own errors become for those who ask.

use axum::http::StatusCode;
use soma_blobs::{FetchError, StoreError};
use soma_http::Error;
use soma_types::Url;
use tracing::debug;

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
        StoreError::GuestFull { .. } => StatusCode::TOO_MANY_REQUESTS,
        StoreError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
        StoreError::Withdrawn { .. } => StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
        StoreError::Damaged { .. } => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Error::new(status, error.to_string())
}

/// Content could not be had from where its owner says it is. What that host answered is between it and this
/// node: whoever could read it here would have the node look around for them.
pub fn of_fetch(error: &FetchError, url: &Url) -> Error {
    if let FetchError::Store(error) = error {
        return of_store(error);
    }
    debug!(%url, %error, "content was not fetched");
    let detail =
        format!("what was announced is not to be had from {url}: ask another node, or try again later");
    Error::new(StatusCode::BAD_GATEWAY, detail)
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<SubmitError> for Error {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Pool(error) => error.into(),
            SubmitError::Read(error) => error.into(),
        }
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        let detail = error.to_string();
        let status = match error {
            PoolError::Rejected(rejection) => return Self::rejection(&rejection),
            PoolError::Known(_) | PoolError::NonceTaken { .. } => StatusCode::CONFLICT,
            PoolError::ExpiresLate { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            PoolError::Unfunded { .. } | PoolError::SenderFull(_) => StatusCode::TOO_MANY_REQUESTS,
            PoolError::Full | PoolError::NotStarted => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, detail)
    }
}

#[cfg(test)]
mod tests {
    use soma_types::ContentHash;

    use super::*;

    #[test]
    fn what_another_host_answers_stays_here() {
        let url = "http://10.0.0.7/secret".parse().unwrap();
        let told = [
            FetchError::Status { status: 403 },
            FetchError::WrongHash {
                expected: ContentHash([1; 32]),
                found: ContentHash([2; 32]),
            },
            FetchError::TooSmall {
                expected_bytes: 100,
                found_bytes: 77,
            },
            FetchError::Unreachable {
                reason: "connection refused".into(),
            },
        ]
        .map(|error| format!("{:?}", of_fetch(&error, &url)));
        assert!(told.iter().all(|answer| *answer == told[0]), "{told:?}");
    }
}
