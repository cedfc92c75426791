//! The conformance suite: inputs and the bits that every backend must make of them.
//!
//! The suite is one JSON file in the repository, `conformance/suite-1.json`, written by the scalar
//! reference (`cargo run -p soma-model --features test-support --example conformance`). Anyone who builds a
//! backend, in any language, can check it against the file alone; its form is in `conformance/README.md`.
//! Here it is compiled in, its digest pinned, and run by the tests and by `soma score self-test`.
//!
//! Numbers travel as base64 of little-endian binary32, or of 64-bit integers for sums, so no bit depends
//! on how someone prints a float.

#[cfg(any(test, feature = "test-support"))]
mod generate;
mod operation;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use soma_types::{Architecture, Seed, api::score::ContestView};

use crate::{
    device::Device,
    kernels::{BackendError, Kernels, Simd, scalar::Scalar},
    model::Model,
    score::Scorer,
    sigreg::Directions,
};

pub use operation::{Bits, Case};

/// The suite's version: it rises when the definition of scoring changes.
pub const VERSION: u32 = 1;
/// BLAKE3 of the file. Changing it is a protocol upgrade.
pub const DIGEST: &str = "a2dea28baa6a48342758adb1d2095f3b5a8cbcdc2a632b0b1b0365cff808e275";
/// The file.
pub const FILE: &str = include_str!("../conformance/suite-1.json");

/// Why the suite cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// The file is not the one whose digest is pinned.
    #[error("the conformance suite is damaged: its BLAKE3 is {found}, not {DIGEST}: install soma anew")]
    Damaged {
        /// The file's.
        found: String,
    },
    /// The file is no suite.
    #[error("the conformance suite is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The backend cannot run here.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Whole models on documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndToEnd {
    /// The models' shape.
    pub architecture: Architecture,
    /// Weights files (safetensors) in base64.
    pub weights: Vec<String>,
    /// Sets SIGReg's directions.
    pub seed: Seed,
    /// What is scored.
    pub documents: Vec<Document>,
}

/// One document, scored by all models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Its bytes in base64.
    pub data: String,
    /// What every backend must answer. (`mean_embedding` is printed with enough digits to be exact.)
    pub contest: ContestView,
}

/// The suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// [`VERSION`].
    pub version: u32,
    /// Single operations.
    pub operations: Vec<Case>,
    /// Whole scores.
    pub scores: Vec<EndToEnd>,
}

/// How many of a kind of case matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// The operation's name in the suite, or `score`.
    pub operation: &'static str,
    /// Cases that matched in every bit.
    pub matched: usize,
    /// How many cases there are.
    pub cases: usize,
}

impl EndToEnd {
    /// What a scorer makes of each document; none if it cannot be scored at all.
    fn contests(&self, scorer: Scorer) -> Vec<Option<ContestView>> {
        let load = |weights| Model::from_bytes(&STANDARD.decode(weights).ok()?, &self.architecture).ok();
        let models: Option<Vec<Model>> = self.weights.iter().map(load).collect();
        let directions = Directions::draw(&self.seed, &self.architecture);
        let contest = |document: &Document| {
            let models: Vec<&Model> = models.as_ref()?.iter().collect();
            let data = STANDARD.decode(&document.data).ok()?;
            let contest = scorer.score_all(&models, &data, &directions);
            Some(ContestView::from(&contest.ok()?))
        };
        self.documents.iter().map(contest).collect()
    }
}

impl Suite {
    /// The suite of this build.
    ///
    /// # Errors
    /// When a byte of it is not what was released.
    pub fn load() -> Result<Self, SuiteError> {
        Self::parse(FILE)
    }

    fn parse(file: &str) -> Result<Self, SuiteError> {
        let found = blake3::hash(file.as_bytes()).to_hex();
        if found.as_str() != DIGEST {
            let found = found.to_string();
            return Err(SuiteError::Damaged { found });
        }
        Ok(serde_json::from_str(file)?)
    }

    /// Runs it on a backend: what matched, by operation. The backend's self-check does not matter here.
    ///
    /// # Errors
    /// When the processor cannot run the backend.
    pub fn run(&self, simd: Simd) -> Result<Vec<Tally>, SuiteError> {
        let kernels = simd.unchecked_kernels().ok_or(BackendError::Unsupported(simd))?;
        Ok(self.tallies(&[kernels], Scorer::unchecked(simd, kernels)))
    }

    /// The same on a device; operations on each of its machines.
    #[must_use]
    pub fn run_on(&self, device: &'static dyn Device) -> Vec<Tally> {
        let processor = Scorer::unchecked(Simd::Scalar, &Scalar);
        let kernels: Vec<_> = device.units().iter().map(|unit| unit.kernels()).collect();
        self.tallies(&kernels, processor.unchecked_on(device))
    }

    fn tallies(&self, kernels: &[&dyn Kernels], scorer: Scorer) -> Vec<Tally> {
        let mut tallies: Vec<Tally> = Vec::new();
        let mut count = |operation, matched| {
            let index = tallies.iter().position(|tally| tally.operation == operation);
            let index = index.unwrap_or_else(|| {
                tallies.push(Tally {
                    operation,
                    matched: 0,
                    cases: 0,
                });
                tallies.len() - 1
            });
            tallies[index].cases += 1;
            tallies[index].matched += usize::from(matched);
        };
        for case in &self.operations {
            for kernels in kernels {
                count(case.operation(), case.computed(*kernels) == *case);
            }
        }
        for score in &self.scores {
            let found = score.contests(scorer);
            for (document, found) in score.documents.iter().zip(found) {
                count("score", found.as_ref() == Some(&document.contest));
            }
        }
        tallies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_matches() {
        let suite = Suite::load().unwrap();
        assert_eq!(suite.version, VERSION);
        for simd in Simd::supported() {
            for tally in suite.run(simd).unwrap() {
                assert_eq!(tally.matched, tally.cases, "{simd}: {}", tally.operation);
            }
        }
    }

    /// The file is what its command writes; who changes the definition must say so.
    #[test]
    fn the_file_is_the_references() {
        assert!(
            Suite::generate().to_file() == FILE,
            "run `cargo run -p soma-model --features test-support --example conformance`"
        );
        assert!(FILE.len() < 300_000, "{} bytes", FILE.len());
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let at = FILE.len() / 2;
        let other = if &FILE[at..=at] == "A" { "B" } else { "A" };
        let changed = [&FILE[..at], other, &FILE[at + 1..]].concat();
        assert!(matches!(Suite::parse(&changed), Err(SuiteError::Damaged { .. })));
    }

    /// One wrong bit anywhere in an expected result is a case that does not match.
    #[test]
    fn a_wrong_bit_is_counted() {
        let mut suite = Suite::load().unwrap();
        for case in &mut suite.operations {
            match case {
                Case::Characteristic { out, .. } | Case::SumRows { out, .. } => out.0[0] ^= 1,
                Case::Linear { out, .. }
                | Case::LinearGelu { out, .. }
                | Case::AddLinear { out, .. }
                | Case::LayerNorm { out, .. }
                | Case::Gelu { out, .. }
                | Case::Add { out, .. }
                | Case::Rope { out, .. }
                | Case::Attention { out, .. }
                | Case::TokenLosses { out, .. } => out.0[0] ^= 1,
            }
        }
        for document in suite.scores.iter_mut().flat_map(|score| &mut score.documents) {
            document.contest.winner ^= 1;
        }
        for simd in Simd::supported() {
            assert!(
                suite.run(simd).unwrap().iter().all(|tally| tally.matched == 0),
                "{simd}"
            );
        }
    }
}
