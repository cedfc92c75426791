//! The operations of the forward pass, and the backends that implement them.
//!
//! [`Kernels`] is the seam: [`scalar::Scalar`] is the definition, and whatever else implements the
//! trait must give the same bits. The model's forward pass is written once, over the trait.

mod attention;
mod blocked;
mod check;
mod lanes;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod row;
pub mod scalar;
mod seen;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::{fmt, str::FromStr, sync::OnceLock};

use crate::{elementary64, matrix::Matrix};

pub use seen::Seen;

/// Points beyond t = 0 at which SIGReg compares characteristic functions (at 0 all of them are 1).
pub const POINTS: usize = 16;
/// Distance between points: dt = 3/16.
pub const POINT_STEP: f32 = 0.1875;
/// Cosines and sines are summed in units of 2^-21.
pub const CHARACTERISTIC_ONE: f32 = 2_097_152.0;
/// Representations are summed in units of 2^-24.
pub const REPRESENTATION_ONE: f64 = 16_777_216.0;

/// Operations on flat row-major buffers. The number of rows follows from the buffers' lengths.
///
/// What each computes, down to the order of every addition, is written in [`scalar`]. Callers pass
/// shapes that fit; implementations may panic when they do not.
pub trait Kernels: Send + Sync {
    /// Name as in `SOMA_SIMD`.
    fn name(&self) -> &'static str;

    /// `out[T, outputs] = bias + x[T, inputs] weight`; no bias means zeros.
    fn linear(&self, out: &mut [f32], x: &[f32], weight: &Matrix, bias: Option<&[f32]>);

    /// [`Self::linear`], then GELU.
    fn linear_gelu(&self, out: &mut [f32], x: &[f32], weight: &Matrix, bias: &[f32]) {
        self.linear(out, x, weight, Some(bias));
        self.gelu(out);
    }

    /// `sum += bias + x weight`: [`Self::linear`], then [`Self::add`].
    fn add_linear(&self, sum: &mut [f32], x: &[f32], weight: &Matrix, bias: &[f32]) {
        let mut branch = vec![0.0; sum.len()];
        self.linear(&mut branch, x, weight, Some(bias));
        self.add(sum, &branch);
    }

    /// Layer norm of each row of `x[T, C]`.
    fn layer_norm(&self, out: &mut [f32], x: &[f32], gamma: &[f32], beta: &[f32]);

    /// GELU in place.
    fn gelu(&self, x: &mut [f32]);

    /// `x += y`.
    fn add(&self, x: &mut [f32], y: &[f32]);

    /// Rotates every head of `x[T, C]`; row t is position `first` + t.
    fn rope(&self, x: &mut [f32], table: &Rope, heads: usize, first: usize);

    /// Causal attention of `q [R, width]`, the last R of T positions, to `k, v [T, width]`, into
    /// `out [R, width]`.
    fn attention(&self, out: &mut [f32], q: &[f32], k: &[f32], v: &[f32], heads: usize, width: usize);

    /// [`Self::attention`] of `q [R, width]`, the last R of all tokens `seen`.
    fn attend(&self, out: &mut [f32], q: &[f32], seen: &Seen) {
        let (k, v) = seen.rows();
        self.attention(out, q, &k, &v, seen.heads(), seen.width());
    }

    /// `out[t] = -log softmax(logits[t])[targets[t]]`. May overwrite the logits.
    fn token_losses(&self, out: &mut [f32], logits: &mut [f32], targets: &[u16]);

    /// Adds each row's cosines and sines at all points to `sums [POINTS, 2, directions]`. The
    /// projections `[T, directions]` are finite.
    fn characteristic(&self, sums: &mut [i64], projections: &[f32], directions: usize);

    /// Adds the rows of `x[T, C]`, below 2^15 in magnitude, to `sums[C]` in fixed point.
    fn sum_rows(&self, sums: &mut [i64], x: &[f32]);
}

/// RoPE's cosines and sines for every position and every pair of a head.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    half: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rope {
    /// For positions below `positions` and heads of `head_dim`: theta_i = pos / wavelength^(2i / head_dim),
    /// computed in binary64 and rounded once.
    #[must_use]
    pub fn new(positions: usize, head_dim: usize, wavelength: u32) -> Self {
        let half = head_dim / 2;
        let log_wavelength = elementary64::ln(f64::from(wavelength));
        let frequencies: Vec<f64> = (0..half)
            .map(|i| elementary64::exp(-log_wavelength * (2 * i) as f64 / head_dim as f64))
            .collect();
        let angles = (0..positions).flat_map(|t| frequencies.iter().map(move |f| t as f64 * f));
        let (sines, cosines) = angles
            .map(elementary64::sin_cos)
            .map(|(sine, cosine)| (sine as f32, cosine as f32))
            .unzip();
        Self { half, cosines, sines }
    }

    /// Pairs per head.
    #[must_use]
    pub const fn half(&self) -> usize {
        self.half
    }

    /// Values in the table.
    pub(crate) const fn values(&self) -> usize {
        self.cosines.len() + self.sines.len()
    }

    /// (cosines, sines) of one position.
    #[must_use]
    pub fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.cosines[range.clone()], &self.sines[range])
    }
}

/// The backends this build knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Simd {
    /// The reference.
    Scalar,
    /// The blocked algorithms in plain Rust, for processors without a backend of their own.
    Portable,
    /// 64-bit Arm with its vectors.
    Neon,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512F.
    Avx512,
}

/// Why a backend cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// `SOMA_SIMD` holds something else.
    #[error("SOMA_SIMD is '{0}': write scalar, portable, neon, avx2 or avx512, or unset it")]
    Name(String),
    /// The processor lacks the instructions.
    #[error("this processor cannot run the {0} backend: unset SOMA_SIMD to have the fastest chosen")]
    Unsupported(Simd),
    /// A result differed from the reference's.
    #[error(
        "the {backend} backend computes {operation} wrongly on this machine: it must not score; set SOMA_SIMD=scalar"
    )]
    Differs {
        /// The backend.
        backend: Simd,
        /// The first operation that differed.
        operation: &'static str,
    },
    /// A result of a device differed from the reference's.
    #[error(
        "{device} computes {operation} wrongly: it must not score; unset SOMA_DEVICE to score on the processor"
    )]
    DeviceDiffers {
        /// The device.
        device: String,
        /// The first operation that differed.
        operation: &'static str,
    },
    /// The device that SOMA_DEVICE names cannot be used.
    #[error(transparent)]
    Device(#[from] crate::device::error::DeviceError),
    /// The thread rounds differently, flushes subnormals to zero, or the reference itself is broken.
    #[error(
        "floating point is not IEEE 754 on this thread ({0}): something changed its rounding or flushes subnormals"
    )]
    FloatingPoint(&'static str),
}

impl fmt::Display for Simd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}

impl FromStr for Simd {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|simd| simd.to_string() == text)
            .ok_or_else(|| BackendError::Name(text.into()))
    }
}

impl Simd {
    /// Of each kind of processor slowest first.
    pub const ALL: [Self; 5] = [Self::Scalar, Self::Portable, Self::Neon, Self::Avx2, Self::Avx512];

    /// What this processor can run.
    pub fn supported() -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(|simd| simd.unchecked_kernels().is_some())
    }

    /// What `SOMA_SIMD` forces, or else the fastest supported.
    ///
    /// # Errors
    /// When `SOMA_SIMD` is no backend's name.
    pub fn chosen() -> Result<Self, BackendError> {
        match std::env::var("SOMA_SIMD") {
            Ok(name) if !name.is_empty() => name.parse(),
            _ => Ok(Self::supported().last().unwrap_or(Self::Scalar)),
        }
    }

    /// Its kernels, after they passed the self-check (run once per process).
    ///
    /// # Errors
    /// When the processor lacks the instructions, or a bit differs from the reference.
    pub fn kernels(self) -> Result<&'static dyn Kernels, BackendError> {
        static CHECKED: [OnceLock<Result<(), BackendError>>; Simd::ALL.len()] =
            [const { OnceLock::new() }; Simd::ALL.len()];
        let kernels = self.unchecked_kernels().ok_or(BackendError::Unsupported(self))?;
        CHECKED[self as usize]
            .get_or_init(|| check::self_check(self, kernels))
            .clone()?;
        Ok(kernels)
    }

    /// Its kernels where the processor can run them, right or wrong: for tests of them.
    pub(crate) fn unchecked_kernels(self) -> Option<&'static dyn Kernels> {
        match self {
            Self::Scalar => Some(&scalar::Scalar),
            Self::Portable => Some(&blocked::Blocked::<portable::Portable>::NEW),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => neon::Neon::detected().then_some(&blocked::Blocked::<neon::Neon>::NEW),
            #[cfg(not(target_arch = "aarch64"))]
            Self::Neon => None,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::Avx2::detected().then_some(&blocked::Blocked::<x86::Avx2>::NEW),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => x86::Avx512::detected().then_some(&blocked::Blocked::<x86::Avx512>::NEW),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => None,
        }
    }
}

pub(crate) use check::{Values, first_difference, floating_point_is_ieee};
