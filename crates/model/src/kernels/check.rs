//! The self-check: before a backend scores anything in a process, it computes every operation on small
//! inputs that cover tile remainders, subnormals, large and tiny values, and must equal the reference.
//! The reference in turn must equal a digest pinned here, so a machine whose arithmetic is not IEEE 754
//! cannot agree with itself by mistake.

use super::{BackendError, Kernels, POINTS, Rope, Seen, Simd, scalar::Scalar};
use crate::{matrix::Matrix, tensor::Tensor};

/// Reference results of [`operations`] on every machine.
const PINNED: &str = "5115d0bfabedcc315802193038d8e48f";

/// Runs the short conformance suite on `kernels`.
pub fn self_check(simd: Simd, kernels: &dyn Kernels) -> Result<(), BackendError> {
    match first_difference(kernels)? {
        None => Ok(()),
        Some(operation) => Err(BackendError::Differs {
            backend: simd,
            operation,
        }),
    }
}

/// The first operation of the short conformance suite in which `kernels` differ from the reference.
pub fn first_difference(kernels: &dyn Kernels) -> Result<Option<&'static str>, BackendError> {
    floating_point_is_ieee()?;
    let expected = operations(&Scalar);
    if digest(&expected) != PINNED {
        return Err(BackendError::FloatingPoint("the reference's digest differs"));
    }
    let expected = expected.into_iter().chain(variants(&Scalar));
    let got = operations(kernels).into_iter().chain(variants(kernels));
    let differs = expected
        .zip(got)
        .find(|((_, expected), (_, got))| expected != got);
    Ok(differs.map(|((operation, _), _)| operation))
}

fn digest(results: &[(&'static str, Vec<u64>)]) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, bits) in results {
        hasher.update(name.as_bytes());
        bits.iter().for_each(|bits| {
            hasher.update(&bits.to_le_bytes());
        });
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// Checks that this thread rounds to nearest and keeps subnormals. Cheap: call it per piece of work.
///
/// # Errors
/// Names what is off.
pub fn floating_point_is_ieee() -> Result<(), BackendError> {
    let hide = std::hint::black_box::<f32>;
    if hide(f32::MIN_POSITIVE) * hide(0.5) == 0.0 || hide(f32::from_bits(1)) + hide(0.0) == 0.0 {
        return Err(BackendError::FloatingPoint("subnormals are flushed to zero"));
    }
    let half_ulp = f32::EPSILON / 2.0;
    let up = hide(1.0 + f32::EPSILON) + hide(half_ulp) == 1.0 + 2.0 * f32::EPSILON;
    let down = hide(1.0) + hide(half_ulp) == 1.0 && hide(-1.0) - hide(half_ulp) == -1.0;
    if up && down {
        Ok(())
    } else {
        Err(BackendError::FloatingPoint("rounding is not to nearest even"))
    }
}

/// Values for tests: mostly ordinary, some subnormal, tiny or large.
pub struct Values(u64);

impl Values {
    /// A stream fixed by `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [-1, 1).
    pub fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 8_388_608.0 - 1.0
    }

    /// Ordinary values with one in sixteen extreme.
    pub fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| {
                let x = self.uniform() * 2.0;
                match self.next() % 64 {
                    0 => x * 1e-40,
                    1 => x * 1e-20,
                    2 => x * 1e4,
                    3 => 0.0 * x,
                    _ => x,
                }
            })
            .collect()
    }
}

fn bits(values: &[f32]) -> Vec<u64> {
    values.iter().map(|value| u64::from(value.to_bits())).collect()
}

/// Every operation once or a few times, on inputs that are the same everywhere.
fn operations(kernels: &dyn Kernels) -> Vec<(&'static str, Vec<u64>)> {
    let mut values = Values::new(2026);
    let mut results = Vec::new();
    for (rows, inputs, outputs) in [(1, 1, 1), (13, 37, 33), (18, 300, 40), (5, 64, 8)] {
        let weight = Matrix::from_row_major(inputs, outputs, &values.take(inputs * outputs));
        let (x, bias) = (values.take(rows * inputs), values.take(outputs));
        let mut out = vec![0.0; rows * outputs];
        for bias in [Some(&bias[..]), None] {
            kernels.linear(&mut out, &x, &weight, bias);
            results.push(("linear", bits(&out)));
        }
    }
    for width in [1, 31, 32, 100] {
        let (x, gamma, beta) = (values.take(3 * width), values.take(width), values.take(width));
        let mut out = vec![0.0; 3 * width];
        kernels.layer_norm(&mut out, &x, &gamma, &beta);
        results.push(("layer_norm", bits(&out)));
    }
    let mut x = values.take(333);
    kernels.gelu(&mut x);
    results.push(("gelu", bits(&x)));
    kernels.add(&mut x, &values.take(333));
    results.push(("add", bits(&x)));
    for (tokens, heads, d) in [(1, 1, 2), (37, 2, 10), (33, 1, 36)] {
        let width = heads * d;
        let mut q = values.take(tokens * width);
        kernels.rope(&mut q, &Rope::new(tokens, d, 10_000), heads, 0);
        results.push(("rope", bits(&q)));
        let (k, v) = (values.take(tokens * width), values.take(tokens * width));
        let mut out = vec![0.0; tokens * width];
        kernels.attention(&mut out, &q, &k, &v, heads, width);
        results.push(("attention", bits(&out)));
    }
    let mut losses = vec![0.0; 5];
    kernels.token_losses(&mut losses, &mut values.take(5 * 264), &[0, 263, 7, 256, 31]);
    results.push(("token_losses", bits(&losses)));
    let directions = 21;
    let mut sums = vec![0; POINTS * 2 * directions];
    kernels.characteristic(&mut sums, &values.take(20 * directions), directions);
    results.push(("characteristic", sums.into_iter().map(|sum| sum as u64).collect()));
    let mut sums = vec![0; 35];
    kernels.sum_rows(&mut sums, &values.take(4 * 35));
    results.push(("sum_rows", sums.into_iter().map(|sum| sum as u64).collect()));
    results
}

/// What a fast backend does differently but must not let show: fused steps, narrow weights, deep sums.
fn variants(kernels: &dyn Kernels) -> Vec<(&'static str, Vec<u64>)> {
    let mut values = Values::new(2027);
    let mut results = Vec::new();
    for (rows, inputs, outputs) in [(14, 40, 65), (3, 1100, 33), (1, 70, 140)] {
        let halves: Vec<u16> = values
            .take(inputs * outputs)
            .iter()
            .map(|value| (value.to_bits() >> 16) as u16)
            .collect();
        let (x, bias) = (values.take(rows * inputs), values.take(outputs));
        let mut sum = values.take(rows * outputs);
        let mut active = sum.clone();
        let bf16 = Matrix::from_tensor(inputs, outputs, &Tensor::Bf16(halves.clone()));
        kernels.add_linear(&mut sum, &x, &bf16, &bias);
        results.push(("linear with BF16 weights and a residual", bits(&sum)));
        // The upper half of a value below 2^100 is finite as F16 too.
        let f16 = Matrix::from_tensor(inputs, outputs, &Tensor::F16(halves));
        kernels.linear_gelu(&mut active, &x, &f16, &bias);
        results.push(("linear with F16 weights and GELU", bits(&active)));
    }
    for (before, rows, heads, d) in [(0, 35, 2, 10), (35, 3, 2, 10), (69, 1, 2, 70)] {
        let width = heads * d;
        let mut seen = Seen::new(heads, width);
        seen.extend(&values.take(before * width), &values.take(before * width));
        seen.extend(&values.take(rows * width), &values.take(rows * width));
        let mut out = vec![0.0; rows * width];
        kernels.attend(&mut out, &values.take(rows * width), &seen);
        results.push(("attention that reads on", bits(&out)));
    }
    sweeps(kernels, &mut values, &mut results);
    results
}

/// Elementary functions all over the ranges they are used in. One that differs in the last digits of a
/// coefficient differs in few results: a coefficient of the cosine with two digits swapped passed all else.
fn sweeps(kernels: &dyn Kernels, values: &mut Values, results: &mut Vec<(&'static str, Vec<u64>)>) {
    let mut spread =
        |count: usize, to: f32| -> Vec<f32> { (0..count).map(|_| values.uniform() * to).collect() };
    let directions = 128;
    let mut sums = vec![0; POINTS * 2 * directions];
    kernels.characteristic(&mut sums, &spread(128 * directions, 40.0), directions);
    results.push((
        "sines and cosines",
        sums.into_iter().map(|sum| sum as u64).collect(),
    ));
    let mut x = [spread(8192, 6.0), spread(2048, 1.0), spread(256, 1e-3)].concat();
    kernels.gelu(&mut x);
    results.push(("error functions", bits(&x)));
    // Of few logits, so that sums are of few exponentials, and logarithms far apart.
    for (vocab, to) in [(2, 50.0), (2, 3.0), (264, 10.0)] {
        let targets: Vec<u16> = (0..512).map(|row| (row % vocab) as u16).collect();
        let mut losses = vec![0.0; targets.len()];
        kernels.token_losses(&mut losses, &mut spread(targets.len() * vocab, to), &targets);
        results.push(("exponentials and logarithms", bits(&losses)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition is consensus: changing a bit of it is a protocol upgrade.
    #[test]
    fn the_reference_is_pinned() {
        assert_eq!(digest(&operations(&Scalar)), PINNED);
    }

    #[test]
    fn every_supported_backend_passes() {
        for simd in Simd::supported() {
            simd.kernels().unwrap_or_else(|error| panic!("{simd}: {error}"));
        }
    }

    /// A backend that differs in one bit of one operation is caught and named.
    #[test]
    fn one_wrong_bit_is_caught() {
        struct Wrong;
        impl Kernels for Wrong {
            fn name(&self) -> &'static str {
                "wrong"
            }
            fn linear(&self, out: &mut [f32], x: &[f32], weight: &Matrix, bias: Option<&[f32]>) {
                Scalar.linear(out, x, weight, bias);
            }
            fn layer_norm(&self, out: &mut [f32], x: &[f32], gamma: &[f32], beta: &[f32]) {
                Scalar.layer_norm(out, x, gamma, beta);
            }
            fn gelu(&self, x: &mut [f32]) {
                Scalar.gelu(x);
                x[50] = f32::from_bits(x[50].to_bits() ^ 1);
            }
            fn add(&self, x: &mut [f32], y: &[f32]) {
                Scalar.add(x, y);
            }
            fn rope(&self, x: &mut [f32], table: &Rope, heads: usize, first: usize) {
                Scalar.rope(x, table, heads, first);
            }
            fn attention(
                &self,
                out: &mut [f32],
                q: &[f32],
                k: &[f32],
                v: &[f32],
                heads: usize,
                width: usize,
            ) {
                Scalar.attention(out, q, k, v, heads, width);
            }
            fn token_losses(&self, out: &mut [f32], logits: &mut [f32], targets: &[u16]) {
                Scalar.token_losses(out, logits, targets);
            }
            fn characteristic(&self, sums: &mut [i64], projections: &[f32], directions: usize) {
                Scalar.characteristic(sums, projections, directions);
            }
            fn sum_rows(&self, sums: &mut [i64], x: &[f32]) {
                Scalar.sum_rows(sums, x);
            }
        }
        let error = self_check(Simd::Portable, &Wrong).unwrap_err();
        assert_eq!(
            error,
            BackendError::Differs {
                backend: Simd::Portable,
                operation: "gelu"
            }
        );
    }
}
