//! The conformance suite: inputs and the bits that every backend must make of them.
//!
//! The suite is one JSON file in the repository, `conformance/suite-1.json`, written by the scalar
//! reference (`cargo run -p soma-model --features test-support --example conformance`). Anyone who builds a
//! backend, in any language, can check it against the file alone; its form is in `conformance/README.md`.
//! Here it is compiled in, its digest pinned, and run by the tests and by `soma score self-test`.
//!
//! Numbers travel as base64 of little-endian binary32, or of 64-bit integers for sums, so no bit depends
//! on how someone prints a float.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use soma_types::{Architecture, Seed, api::score::ContestView};

use crate::{
    kernels::{BackendError, Kernels, POINTS, Rope, Simd},
    matrix::Matrix,
    model::Model,
    score::Scorer,
    sigreg::Directions,
};

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

/// Values by their bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits<T>(Vec<T>);

/// binary32 values.
type Floats = Bits<u32>;
/// Sums in fixed point.
type Sums = Bits<i64>;

impl Floats {
    fn of(values: &[f32]) -> Self {
        Self(values.iter().map(|value| value.to_bits()).collect())
    }

    fn values(&self) -> Vec<f32> {
        self.0.iter().map(|bits| f32::from_bits(*bits)).collect()
    }
}

macro_rules! bits_as_base64 {
    ($word:ty) => {
        impl Serialize for Bits<$word> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
                serializer.serialize_str(&STANDARD.encode(bytes))
            }
        }

        impl<'de> Deserialize<'de> for Bits<$word> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
                let (words, rest) = bytes.as_chunks();
                if rest.is_empty() {
                    Ok(Self(
                        words
                            .iter()
                            .map(|word| <$word>::from_le_bytes(*word))
                            .collect(),
                    ))
                } else {
                    Err(de::Error::custom("a value is cut off"))
                }
            }
        }
    };
}

bits_as_base64!(u32);
bits_as_base64!(i64);

/// One operation on one input, and its result. Matrices are row-major; the numbers of rows follow from
/// the lengths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Case {
    /// `out[T, outputs] = bias + x[T, inputs] weight[inputs, outputs]`.
    Linear {
        /// Columns of `x`.
        inputs: usize,
        /// Columns of `out`.
        outputs: usize,
        /// The input.
        x: Floats,
        /// The matrix.
        weight: Floats,
        /// Where every sum starts; at zero if null.
        bias: Option<Floats>,
        /// The result.
        out: Floats,
    },
    /// [`Case::Linear`] with a bias, then [`Case::Gelu`].
    LinearGelu {
        /// Columns of `x`.
        inputs: usize,
        /// Columns of `out`.
        outputs: usize,
        /// The input.
        x: Floats,
        /// The matrix.
        weight: Floats,
        /// Where every sum starts.
        bias: Floats,
        /// The result.
        out: Floats,
    },
    /// `out = sum + y`, where `y` is what [`Case::Linear`] makes of the others.
    AddLinear {
        /// Columns of `x`.
        inputs: usize,
        /// Columns of `sum`.
        outputs: usize,
        /// What the result is added to.
        sum: Floats,
        /// The input.
        x: Floats,
        /// The matrix.
        weight: Floats,
        /// Where every sum starts.
        bias: Floats,
        /// The result.
        out: Floats,
    },
    /// Layer norm of each row.
    LayerNorm {
        /// The input.
        x: Floats,
        /// Scale; its length is the rows'.
        gamma: Floats,
        /// What is added to each coordinate.
        beta: Floats,
        /// The result.
        out: Floats,
    },
    /// GELU of each value.
    Gelu {
        /// The input.
        x: Floats,
        /// The result.
        out: Floats,
    },
    /// `out = x + y`.
    Add {
        /// The input.
        x: Floats,
        /// The other.
        y: Floats,
        /// The result.
        out: Floats,
    },
    /// Rotation of every head; row t is position t.
    Rope {
        /// How many heads there are.
        heads: usize,
        /// Columns of a head.
        head_dim: usize,
        /// The wavelength.
        wavelength: u32,
        /// The input.
        x: Floats,
        /// The result.
        out: Floats,
    },
    /// Causal attention.
    Attention {
        /// How many heads there are.
        heads: usize,
        /// Columns of all heads.
        width: usize,
        /// The queries, row by row.
        q: Floats,
        /// The keys, row by row.
        k: Floats,
        /// The values, row by row.
        v: Floats,
        /// The result.
        out: Floats,
    },
    /// `out[t] = -log softmax(logits[t])[targets[t]]`.
    TokenLosses {
        /// The logits.
        logits: Floats,
        /// One target per row.
        targets: Vec<u16>,
        /// The result.
        out: Floats,
    },
    /// SIGReg's sums `[16 points, cosines then sines, directions]`.
    Characteristic {
        /// Columns of the projections.
        directions: usize,
        /// The projections.
        projections: Floats,
        /// The result.
        out: Sums,
    },
    /// Sums over rows, in fixed point.
    SumRows {
        /// Columns of `x`.
        width: usize,
        /// The input.
        x: Floats,
        /// The result.
        out: Sums,
    },
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

impl Case {
    /// Its name in the file.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Linear { .. } => "linear",
            Self::LinearGelu { .. } => "linear_gelu",
            Self::AddLinear { .. } => "add_linear",
            Self::LayerNorm { .. } => "layer_norm",
            Self::Gelu { .. } => "gelu",
            Self::Add { .. } => "add",
            Self::Rope { .. } => "rope",
            Self::Attention { .. } => "attention",
            Self::TokenLosses { .. } => "token_losses",
            Self::Characteristic { .. } => "characteristic",
            Self::SumRows { .. } => "sum_rows",
        }
    }

    /// The same case with what `kernels` make of its inputs.
    #[must_use]
    pub fn computed(&self, kernels: &dyn Kernels) -> Self {
        let mut case = self.clone();
        match &mut case {
            Self::Linear {
                inputs,
                outputs,
                x,
                weight,
                bias,
                out,
            } => {
                let weight = Matrix::from_row_major(*inputs, *outputs, &weight.values());
                let mut result = vec![0.0; x.0.len() / *inputs * *outputs];
                let bias = bias.as_ref().map(Floats::values);
                kernels.linear(&mut result, &x.values(), &weight, bias.as_deref());
                *out = Bits::of(&result);
            }
            Self::LinearGelu {
                inputs,
                outputs,
                x,
                weight,
                bias,
                out,
            } => {
                let weight = Matrix::from_row_major(*inputs, *outputs, &weight.values());
                let mut result = vec![0.0; x.0.len() / *inputs * *outputs];
                kernels.linear_gelu(&mut result, &x.values(), &weight, &bias.values());
                *out = Bits::of(&result);
            }
            Self::AddLinear {
                inputs,
                outputs,
                sum,
                x,
                weight,
                bias,
                out,
            } => {
                let weight = Matrix::from_row_major(*inputs, *outputs, &weight.values());
                let mut result = sum.values();
                kernels.add_linear(&mut result, &x.values(), &weight, &bias.values());
                *out = Bits::of(&result);
            }
            Self::LayerNorm { x, gamma, beta, out } => {
                let mut result = vec![0.0; x.0.len()];
                kernels.layer_norm(&mut result, &x.values(), &gamma.values(), &beta.values());
                *out = Bits::of(&result);
            }
            Self::Gelu { x, out } => {
                let mut result = x.values();
                kernels.gelu(&mut result);
                *out = Bits::of(&result);
            }
            Self::Add { x, y, out } => {
                let mut result = x.values();
                kernels.add(&mut result, &y.values());
                *out = Bits::of(&result);
            }
            Self::Rope {
                heads,
                head_dim,
                wavelength,
                x,
                out,
            } => {
                let mut result = x.values();
                let table = Rope::new(result.len() / (*heads * *head_dim), *head_dim, *wavelength);
                kernels.rope(&mut result, &table, *heads);
                *out = Bits::of(&result);
            }
            Self::Attention {
                heads,
                width,
                q,
                k,
                v,
                out,
            } => {
                let mut result = vec![0.0; q.0.len()];
                kernels.attention(&mut result, &q.values(), &k.values(), &v.values(), *heads, *width);
                *out = Bits::of(&result);
            }
            Self::TokenLosses { logits, targets, out } => {
                let mut result = vec![0.0; targets.len()];
                kernels.token_losses(&mut result, &mut logits.values(), targets);
                *out = Bits::of(&result);
            }
            Self::Characteristic {
                directions,
                projections,
                out,
            } => {
                let mut sums = vec![0; POINTS * 2 * *directions];
                kernels.characteristic(&mut sums, &projections.values(), *directions);
                *out = Bits(sums);
            }
            Self::SumRows { width, x, out } => {
                let mut sums = vec![0; *width];
                kernels.sum_rows(&mut sums, &x.values());
                *out = Bits(sums);
            }
        }
        case
    }
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
            count(case.operation(), case.computed(kernels) == *case);
        }
        for score in &self.scores {
            let found = score.contests(Scorer::unchecked(simd, kernels));
            for (document, found) in score.documents.iter().zip(found) {
                count("score", found.as_ref() == Some(&document.contest));
            }
        }
        Ok(tallies)
    }
}

#[cfg(any(test, feature = "test-support"))]
mod generate {
    use base64::Engine as _;

    use super::{Bits, Case, Document, EndToEnd, Floats, Model, STANDARD, Scorer, Suite, VERSION};
    use crate::kernels::{Simd, Values, scalar::Scalar};
    use soma_types::{Architecture, Seed, Transcript, api::score::ContestView};

    impl Suite {
        /// The suite as the scalar reference computes it.
        ///
        /// # Panics
        /// When the reference itself does not run on this machine.
        #[must_use]
        pub fn generate() -> Self {
            let operations = inputs().iter().map(|case| case.computed(&Scalar)).collect();
            let mut scores = whole();
            let scorer = Scorer::with(Simd::Scalar).expect("the reference runs");
            let contests = scores.contests(scorer);
            for (document, contest) in scores.documents.iter_mut().zip(contests) {
                document.contest = contest.expect("the reference scores it");
            }
            Self {
                version: VERSION,
                operations,
                scores: vec![scores],
            }
        }

        /// The file's text.
        ///
        /// # Panics
        /// Never: a suite is plain data.
        #[must_use]
        pub fn to_file(&self) -> String {
            serde_json::to_string_pretty(self).expect("plain data is JSON") + "\n"
        }
    }

    /// Every operation on sizes around the tiles' and lanes' edges, with ordinary, subnormal, tiny, large
    /// and zero values; results are still to be computed.
    fn inputs() -> Vec<Case> {
        let mut stream = Values::new(2027);
        let mut take = |count: usize| Floats::of(&stream.take(count));
        let mut cases = Vec::new();
        let out = || Bits(Vec::new());
        for (rows, inputs, outputs, biased) in [
            (1, 1, 1, true),
            (1, 1, 1, false),
            (2, 3, 31, true),
            (7, 33, 32, true),
            (13, 37, 33, false),
            (5, 129, 17, true),
            (19, 70, 40, true),
            (1, 300, 9, false),
            (2, 9, 65, true),
        ] {
            cases.push(Case::Linear {
                inputs,
                outputs,
                x: take(rows * inputs),
                weight: take(inputs * outputs),
                bias: biased.then(|| take(outputs)),
                out: out(),
            });
        }
        for (rows, inputs, outputs) in [(1, 1, 1), (9, 21, 34)] {
            let [x, bias] = [rows * inputs, outputs].map(&mut take);
            let [weight, sum] = [inputs * outputs, rows * outputs].map(&mut take);
            cases.push(Case::LinearGelu {
                inputs,
                outputs,
                x: x.clone(),
                weight: weight.clone(),
                bias: bias.clone(),
                out: out(),
            });
            cases.push(Case::AddLinear {
                inputs,
                outputs,
                sum,
                x,
                weight,
                bias,
                out: out(),
            });
        }
        for (rows, width) in [(1, 1), (2, 2), (3, 31), (3, 32), (2, 33), (2, 100), (1, 257)] {
            cases.push(Case::LayerNorm {
                x: take(rows * width),
                gamma: take(width),
                beta: take(width),
                out: out(),
            });
        }
        // From far below to far above where GELU bends, and every special size of value.
        let sweep: Vec<f32> = (-160..=160).map(|step| step as f32 / 16.0).collect();
        let special = [
            0.0,
            -0.0,
            f32::MIN_POSITIVE,
            -f32::MIN_POSITIVE,
            1e-45,
            -1e-45,
            1e30,
            -1e30,
        ];
        for x in [Floats::of(&sweep), Floats::of(&special), take(333)] {
            cases.push(Case::Gelu { x, out: out() });
        }
        for count in [1, 31, 257] {
            cases.push(Case::Add {
                x: take(count),
                y: take(count),
                out: out(),
            });
        }
        for (tokens, heads, head_dim, wavelength) in
            [(1, 1, 2, 10_000), (33, 2, 10, 10_000), (20, 1, 36, 100)]
        {
            cases.push(Case::Rope {
                heads,
                head_dim,
                wavelength,
                x: take(tokens * heads * head_dim),
                out: out(),
            });
        }
        for (tokens, heads, head_dim) in [(1, 1, 2), (2, 3, 4), (37, 2, 10), (65, 1, 18)] {
            let width = heads * head_dim;
            let [q, k, v] = [0; 3].map(|_| take(tokens * width));
            cases.push(Case::Attention {
                heads,
                width,
                q,
                k,
                v,
                out: out(),
            });
        }
        for (width, targets) in [(264, vec![0, 263, 7, 256, 31]), (1, vec![0]), (33, vec![32, 0])] {
            let logits = take(width * targets.len());
            cases.push(Case::TokenLosses {
                logits,
                targets,
                out: out(),
            });
        }
        for (rows, directions) in [(1, 1), (20, 21), (3, 33)] {
            cases.push(Case::Characteristic {
                directions,
                projections: take(rows * directions),
                out: Bits(Vec::new()),
            });
        }
        for (rows, width) in [(1, 1), (4, 35), (70, 8)] {
            cases.push(Case::SumRows {
                width,
                x: take(rows * width),
                out: Bits(Vec::new()),
            });
        }
        cases
    }

    /// Two models of odd sizes, over several chunks with a short last one, over a single byte, and over
    /// exactly one chunk.
    fn whole() -> EndToEnd {
        let architecture = Architecture {
            embedding_dim: 8,
            heads: 2,
            layers: 2,
            ffn_dim: 19,
            max_seq_len: 40,
            rope_wavelength: 10_000,
        };
        let text = b"It was the best of times, it was the worst of times; 3 + 4 = 7.\n".repeat(2);
        let document = |data: &[u8]| Document {
            data: STANDARD.encode(data),
            contest: ContestView {
                models: Vec::new(),
                winner: 0,
                transcript: Transcript::default(),
            },
        };
        EndToEnd {
            architecture,
            weights: [1, 2]
                .map(|seed| STANDARD.encode(Model::random(&architecture, seed).to_bytes()))
                .to_vec(),
            seed: Seed([9; 32]),
            documents: [&text[..], &[0], &text[..40]].map(document).to_vec(),
        }
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
