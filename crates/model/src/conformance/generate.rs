//! The suite as the scalar reference computes it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use soma_types::{Architecture, Seed, Transcript, api::score::ContestView};

use super::{
    Document, EndToEnd, Suite, VERSION,
    operation::{Bits, Case, Floats},
};
use crate::{
    kernels::{Simd, Values, scalar::Scalar},
    model::Model,
    score::Scorer,
};

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
    for (tokens, heads, head_dim, wavelength) in [(1, 1, 2, 10_000), (33, 2, 10, 10_000), (20, 1, 36, 100)] {
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
