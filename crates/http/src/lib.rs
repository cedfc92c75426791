//! The border of an HTTP server: what a stranger may cost it, and what it says to them.
//!
//! ```text
//! listener -> connections -> contract -> a server's own routes -> problem
//!             (how many,     (what may    (bodies are read by
//!              how slow)      be said)     `body`, within limits)
//! ```
//!
//! The node's interface and the scoring service stand behind the same one.
//!
//! ```
//! let error = soma_http::Error::not_found("model", "0x07");
//! assert_eq!(error.status(), 404);
//! ```
#![forbid(unsafe_code)]

pub mod body;
pub mod connections;
pub mod contract;
pub mod descriptors;
pub mod document;
pub mod exposition;
pub mod listening;
pub mod problem;

pub use listening::{CannotListen, listen};
pub use problem::Error;
