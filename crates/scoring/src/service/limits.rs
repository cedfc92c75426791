//! What a service takes on.

use std::time::Duration;

use soma_model::score::DATA_BYTES_MAX;

/// What a service takes on.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest request.
    pub body_bytes_max: usize,
    /// Most models of a request.
    pub models_max: usize,
    /// Most documents of a request.
    pub documents_max: usize,
    /// Longest document.
    pub document_bytes_max: usize,
    /// Requests that wait while one is served.
    pub waiting_max: usize,
    /// Longest time that one request may compute.
    pub job_time_max: Duration,
    /// Memory for all resident models.
    pub memory_bytes: u64,
    /// Threads that compute.
    pub threads: usize,
}

impl Limits {
    /// For a machine that is there to score.
    #[must_use]
    pub fn dedicated(memory_bytes: u64) -> Self {
        Self {
            body_bytes_max: 64 << 20,
            models_max: 64,
            documents_max: 1_024,
            document_bytes_max: DATA_BYTES_MAX,
            waiting_max: 64,
            job_time_max: Duration::from_secs(600),
            memory_bytes,
            threads: cores(),
        }
    }

    /// Beside validators, which must not miss their turn: half of the cores, one short job at a time.
    #[must_use]
    pub fn beside_validators() -> Self {
        Self {
            body_bytes_max: 4 << 20,
            models_max: 8,
            documents_max: 16,
            document_bytes_max: 1 << 20,
            waiting_max: 8,
            job_time_max: Duration::from_secs(60),
            memory_bytes: 1 << 30,
            threads: cores().div_ceil(2),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
