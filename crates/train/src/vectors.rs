//! The reference vectors of `vectors/` at the repository's root, for tests.

use serde::Deserialize;

/// A case of `sigreg.json`.
#[derive(Debug, Deserialize)]
pub struct SigregCase {
    pub kind: String,
    pub samples: Vec<Vec<f64>>,
    pub directions: Vec<Vec<f64>>,
    pub sigreg: f64,
}
