//! SIGReg: how far representations are from an isotropic Gaussian (docs/scoring-spec.md, section 3).
//!
//! The definition fixed here: the angle at the first point, `dt * (a . x)`, goes through
//! [`crate::elementary::sin_cos`] once; the later points follow by angle addition (one step is `dt`), which
//! is exact enough and ten times cheaper than sixteen sines. Cosines and sines are summed over tokens as
//! integers in units of 2^-21. The last step, a few thousand squares, is binary64 in a fixed order.

use soma_types::{Architecture, Seed, hash::domain_xof};

use crate::{
    elementary64,
    kernels::{CHARACTERISTIC_ONE, Kernels, POINT_STEP, POINTS},
    matrix::Matrix,
};

/// Directions that the representations are projected on.
pub const DIRECTIONS: usize = 256;
/// The weight of SIGReg in the loss, times the constant that stands for the number of samples.
const FACTOR: f64 = 0.02 * 32.0;
/// Uniform 16-bit integers summed for one coordinate: their sum is normal for our purpose.
const DRAWS: usize = 12;

/// Random unit directions: one set serves every scoring of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Directions {
    matrix: Matrix,
}

impl Directions {
    /// Draws [`DIRECTIONS`] uniform directions of the architecture's width. Direction s comes from its
    /// own BLAKE3 stream of (seed, s); coordinates are integers until the exact division by the length.
    #[must_use]
    pub fn draw(seed: &Seed, architecture: &Architecture) -> Self {
        let dim = architecture.embedding_dim as usize;
        let mut values = vec![0.0; dim * DIRECTIONS];
        let mut bytes = vec![0; dim * DRAWS * 2];
        for s in 0..DIRECTIONS {
            let mut stream = domain_xof(
                "soma 2026 sigreg direction",
                &[&seed.0, &(s as u64).to_le_bytes()],
            );
            stream.fill(&mut bytes);
            let vector: Vec<i64> = bytes
                .chunks_exact(2 * DRAWS)
                .map(|draws| {
                    let sum: i64 = draws
                        .chunks_exact(2)
                        .map(|pair| i64::from(u16::from_le_bytes([pair[0], pair[1]])))
                        .sum();
                    // Twice the sum less twice its mean; 12 draws make it even.
                    sum - (DRAWS as i64 / 2) * i64::from(u16::MAX)
                })
                .collect();
            // Below 2^20 each, so 8192 squares sum below 2^53: exact in binary64.
            let length = (vector.iter().map(|v| v * v).sum::<i64>() as f64).sqrt();
            for (value, v) in values[s..].iter_mut().step_by(DIRECTIONS).zip(vector) {
                // Of all zeros (chance 2^-192 at least) stays the zero vector.
                *value = if length > 0.0 {
                    (v as f64 / length) as f32
                } else {
                    0.0
                };
            }
        }
        Self {
            matrix: Matrix::from_row_major(dim, DIRECTIONS, &values),
        }
    }

    /// The width they fit.
    #[must_use]
    pub const fn dim(&self) -> usize {
        self.matrix.inputs()
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.matrix.outputs()
    }

    /// Never: there is a direction at least.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `[dim, directions]`.
    #[must_use]
    pub const fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// Row-major `[dim, directions]`, for trainers that use the same directions.
    #[must_use]
    pub fn to_row_major(&self) -> Vec<f32> {
        self.matrix.to_row_major()
    }

    /// Adds the tokens' cosines and sines to `sums`.
    pub(crate) fn accumulate(&self, kernels: &dyn Kernels, sums: &mut [i64], representations: &[f32]) {
        let rows = representations.len() / self.dim();
        let mut projections = vec![0.0; rows * self.len()];
        kernels.linear(&mut projections, representations, &self.matrix, None);
        kernels.characteristic(sums, &projections, self.len());
    }

    /// Room for [`Self::accumulate`].
    pub(crate) fn zero_sums(&self) -> Vec<i64> {
        vec![0; POINTS * 2 * self.len()]
    }
}

/// SIGReg in nano-nats (FACTOR included) from the sums over `samples` tokens.
pub(crate) fn evaluate(sums: &[i64], directions: usize, samples: u64) -> u64 {
    let step = f64::from(POINT_STEP);
    let scale = samples as f64 * f64::from(CHARACTERISTIC_ONE);
    let mut total = 0.0;
    for (index, point) in sums.chunks_exact(2 * directions).enumerate() {
        let t = step * (index + 1) as f64;
        let phi = elementary64::exp(-0.5 * t * t);
        let trapezoid = if index + 1 == POINTS { step } else { 2.0 * step };
        let (cosines, sines) = point.split_at(directions);
        let mut distance = 0.0;
        for (cosine, sine) in cosines.iter().zip(sines) {
            let real = *cosine as f64 / scale - phi;
            let imaginary = *sine as f64 / scale;
            distance += real * real + imaginary * imaginary;
        }
        total += trapezoid * phi * distance;
    }
    (FACTOR * total / directions as f64 * 1e9).round_ties_even() as u64
}

#[cfg(test)]
impl Directions {
    /// For tests: given directions `[dim, count]`, brought to unit length.
    pub(crate) fn from_columns(dim: usize, count: usize, values: &[f64]) -> Self {
        let mut unit = vec![0.0; dim * count];
        for s in 0..count {
            let length = (0..dim)
                .map(|k| values[k * count + s].powi(2))
                .sum::<f64>()
                .sqrt();
            (0..dim).for_each(|k| unit[k * count + s] = (values[k * count + s] / length) as f32);
        }
        Self {
            matrix: Matrix::from_row_major(dim, count, &unit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Simd;

    #[derive(serde::Deserialize)]
    struct Case {
        kind: String,
        samples: Vec<Vec<f64>>,
        directions: Vec<Vec<f64>>,
        sigreg: f64,
    }

    #[test]
    fn agrees_with_the_float64_reference_on_every_backend() {
        let json = include_str!("../tests/vectors/sigreg.json");
        let cases: Vec<Case> = serde_json::from_str(json).unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let (dim, count) = (case.directions.len(), case.directions[0].len());
            let directions = Directions::from_columns(dim, count, &case.directions.concat());
            let samples: Vec<f32> = case.samples.concat().into_iter().map(|x| x as f32).collect();
            let mut all = Vec::new();
            for simd in Simd::supported() {
                let mut sums = directions.zero_sums();
                directions.accumulate(simd.kernels().unwrap(), &mut sums, &samples);
                all.push(evaluate(&sums, count, case.samples.len() as u64));
            }
            assert!(all.iter().all(|nano| *nano == all[0]), "{all:?}");
            let got = all[0] as f64 / 1e9;
            assert!(
                (got - case.sigreg).abs() < 1e-6,
                "{}: {got} for {}",
                case.kind,
                case.sigreg
            );
        }
    }

    #[test]
    fn directions_are_unit_and_isotropic() {
        let directions = Directions::draw(&Seed([3; 32]), &Architecture::NANO);
        let values = directions.to_row_major();
        let mut worst = 0.0_f64;
        for s in 0..DIRECTIONS {
            let column = |s: usize| values[s..].iter().step_by(DIRECTIONS).map(|v| f64::from(*v));
            let squared: f64 = column(s).map(|v| v * v).sum();
            assert!((squared - 1.0).abs() < 1e-6);
            if s > 0 {
                worst = worst.max(
                    column(s)
                        .zip(column(s - 1))
                        .map(|(a, b)| a * b)
                        .sum::<f64>()
                        .abs(),
                );
            }
        }
        assert!(worst < 6.0 / 128_f64.sqrt(), "{worst}");
        let other = Directions::draw(&Seed([4; 32]), &Architecture::NANO);
        assert_ne!(directions, other);
    }

    /// The draw is consensus: its bits may not change.
    #[test]
    fn directions_are_pinned() {
        let directions = Directions::draw(&Seed([1; 32]), &Architecture::NANO);
        let bytes: Vec<u8> = directions
            .to_row_major()
            .iter()
            .flat_map(|v| v.to_bits().to_le_bytes())
            .collect();
        assert_eq!(blake3::hash(&bytes).to_hex()[..16], *PINNED);
    }
    const PINNED: &str = "b932979fb083b198";
}
