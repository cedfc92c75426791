//! The trainer's randomness: SplitMix64, a counter-based generator of a few lines, so that a seed means the
//! same on every machine and in every version of every crate.

use soma_model::elementary64::{ln, sin_cos};

/// A stream of random numbers from a seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// The golden ratio's increment of SplitMix64 (Steele, Lea and Flood, 2014).
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The stream of `seed` for one `purpose`; different purposes give independent streams.
    #[must_use]
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut outer = Self(seed);
        let base = outer.next();
        Self(base ^ purpose.wrapping_mul(INCREMENT).rotate_left(32))
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(INCREMENT);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in 0..bound (0 for bound 0), uniform up to a bias of bound / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Two independent normal numbers (Box and Muller).
    fn normal_pair(&mut self) -> [f32; 2] {
        // (0, 1], so that the logarithm is finite.
        let unit = ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        let angle = (self.next() >> 11) as f64 / (1_u64 << 53) as f64 * std::f64::consts::TAU;
        let radius = (-2.0 * ln(unit)).sqrt();
        let (sine, cosine) = sin_cos(angle);
        [(radius * cosine) as f32, (radius * sine) as f32]
    }

    /// `count` independent normal numbers of the given standard deviation.
    pub fn normals(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        let mut out = Vec::with_capacity(count + 1);
        while out.len() < count {
            out.extend(self.normal_pair().map(|x| x * deviation));
        }
        out.truncate(count);
        out
    }

    /// `count` random directions as columns of a `[dim][count]` matrix, each of length 1.
    pub fn directions(&mut self, dim: usize, count: usize) -> Vec<f32> {
        let mut out = self.normals(dim * count, 1.0);
        for s in 0..count {
            let norm = (0..dim)
                .map(|d| f64::from(out[d * count + s]))
                .map(|x| x * x)
                .sum::<f64>()
                .sqrt();
            for d in 0..dim {
                out[d * count + s] = (f64::from(out[d * count + s]) / norm) as f32;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_pinned() {
        // SplitMix64 from state 0, as published with the xoshiro generators.
        let mut random = Random(0);
        assert_eq!(
            [random.next(), random.next()],
            [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]
        );
    }

    #[test]
    fn normals_have_mean_0_and_deviation_1() {
        let x = Random::new(7, 1).normals(100_000, 1.0);
        let mean = x.iter().sum::<f32>() / 1e5;
        let variance = x.iter().map(|v| v * v).sum::<f32>() / 1e5;
        assert!(
            mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02,
            "mean {mean}, variance {variance}"
        );
    }

    #[test]
    fn directions_have_length_1_and_purposes_differ() {
        let a = Random::new(7, 1).directions(16, 5);
        for s in 0..5 {
            let norm: f32 = (0..16).map(|d| a[d * 5 + s].powi(2)).sum();
            assert!((norm - 1.0).abs() < 1e-5);
        }
        assert_ne!(a, Random::new(7, 2).directions(16, 5));
        assert_eq!(a, Random::new(7, 1).directions(16, 5));
    }
}
