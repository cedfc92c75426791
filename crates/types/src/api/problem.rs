//! Errors.

use serde::{Deserialize, Serialize};

use crate::RejectionCode;

answers! {
    /// An error, after RFC 9457.
    pub struct Problem {
        /// Names the kind of problem: `about:blank`, or `urn:soma:rejection:CODE`.
        #[serde(rename = "type")]
        pub kind: String,
        /// The kind in words.
        pub title: String,
        /// The HTTP status.
        pub status: u16,
        /// What happened and what to do.
        pub detail: String,
        /// The ledger's rejection code, if the ledger said no.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<u16>))]
        pub code: Option<RejectionCode>,
        /// The rejection's stable name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
    }
}
