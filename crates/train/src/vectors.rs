//! The reference vectors in the repository, for tests.

use serde::Deserialize;

/// A case of `sigreg.json`.
#[derive(Debug, Deserialize)]
pub struct SigregCase {
    pub kind: String,
    pub samples: Vec<Vec<f64>>,
    pub directions: Vec<Vec<f64>>,
    pub sigreg: f64,
}

/// The cases of SIGReg.
pub fn sigreg() -> Vec<SigregCase> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/vectors/sigreg.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
