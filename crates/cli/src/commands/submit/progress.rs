//! How fast it goes, beside what the scorer alone could do.

use std::{fmt, time::Duration};

use bytesize::ByteSize;
use serde::Serialize;
use soma_agents::{Service, service::Tally};

/// Documents and hits by time.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Rates {
    documents_per_second: f64,
    /// What the time that scoring took would have allowed by itself.
    documents_per_second_max: f64,
    scorings_per_document: f64,
    hits_per_hour: f64,
    downloaded_bytes: u64,
}

impl Rates {
    pub(super) fn new(service: &Service, elapsed: Duration, downloaded_bytes: u64) -> Self {
        let (effort, tally) = (service.effort(), service.tally());
        let by = |count: u64, time: f64| if time > 0.0 { count as f64 / time } else { 0.0 };
        Self {
            documents_per_second: by(effort.documents, elapsed.as_secs_f64()),
            documents_per_second_max: by(effort.documents, effort.scoring.as_secs_f64()),
            scorings_per_document: by(effort.scorings, effort.documents as f64),
            hits_per_hour: 3600.0 * by(tally.won, elapsed.as_secs_f64()),
            downloaded_bytes,
        }
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2} documents/s (scoring alone: {:.2}), {:.1} scorings a document, {:.0} hits an hour, {} of weights downloaded",
            self.documents_per_second,
            self.documents_per_second_max,
            self.scorings_per_document,
            self.hits_per_hour,
            ByteSize(self.downloaded_bytes)
        )
    }
}

/// What came of the documents so far.
pub(super) fn counts(tally: &Tally) -> String {
    format!(
        "{} won, {} submitted, {} hit nothing, {} known, {} rejected",
        tally.won, tally.submitted, tally.missed, tally.known, tally.rejected
    )
}
