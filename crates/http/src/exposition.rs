//! Numbers for those who watch a server, in Prometheus's text format.

use std::fmt::{Display, Write as _};

/// The media type of an [`Exposition`].
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4";

/// Numbers, each with what it is.
///
/// ```
/// let mut exposition = soma_http::exposition::Exposition::default();
/// exposition.gauge("soma_epoch", "The ledger's epoch.", 7);
/// assert!(exposition.into_text().ends_with("\nsoma_epoch 7\n"));
/// ```
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// One that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.number(name, "gauge", help, value);
    }

    /// One that grows from the start on; its name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.number(name, "counter", help, value);
    }

    fn number(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        // Writing to a string does not fail.
        let _ = writeln!(
            self.0,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
        );
    }

    /// All of them.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}
