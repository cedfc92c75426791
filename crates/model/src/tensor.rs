//! Values as a weights file stores them. The narrow types stay narrow in memory and widen where they are
//! used; every BF16 and F16 value is a binary32 value, so nothing is rounded.

/// The values of one tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// IEEE 754 binary32.
    F32(Vec<f32>),
    /// The upper halves of binary32 values.
    Bf16(Vec<u16>),
    /// IEEE 754 binary16, as bits.
    F16(Vec<u16>),
}

impl Tensor {
    /// Number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) | Self::F16(values) => values.len(),
        }
    }

    /// Whether it has no values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All values in binary32.
    #[must_use]
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Self::F32(values) => values,
            Self::Bf16(values) => values.into_iter().map(bf16_to_f32).collect(),
            Self::F16(values) => values.into_iter().map(f16_to_f32).collect(),
        }
    }

    /// The first NaN or infinity, with its index.
    #[must_use]
    pub fn first_not_finite(&self) -> Option<(usize, f32)> {
        match self {
            Self::F32(values) => first_not_finite(values, |value| value),
            Self::Bf16(values) => first_not_finite(values, bf16_to_f32),
            Self::F16(values) => first_not_finite(values, f16_to_f32),
        }
    }
}

/// The first of the widened values that is a NaN or an infinity, with its index.
pub(crate) fn first_not_finite<T: Copy>(values: &[T], widen: impl Fn(T) -> f32) -> Option<(usize, f32)> {
    /// Checked without a branch at every value, which is much faster.
    const BLOCK: usize = 1 << 10;
    let finite = |block: &[T]| {
        block
            .iter()
            .fold(true, |all, value| all & widen(*value).is_finite())
    };
    let first = BLOCK * values.chunks(BLOCK).position(|block| !finite(block))?;
    let index = first
        + values[first..]
            .iter()
            .position(|value| !widen(*value).is_finite())?;
    Some((index, widen(values[index])))
}

/// The same number, exactly.
#[inline(always)]
pub(crate) const fn bf16_to_f32(half: u16) -> f32 {
    f32::from_bits((half as u32) << 16)
}

/// Exactly, subnormals included. Without a branch on the value, so that loops of it become vector code.
#[inline(always)]
pub(crate) fn f16_to_f32(half: u16) -> f32 {
    /// The exponents' biases differ by 112.
    const TWO_TO_112: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = u32::from(half & 0x7fff) << 13;
    let finite = f32::from_bits(magnitude) * TWO_TO_112;
    let bits = if half & 0x7c00 == 0x7c00 {
        magnitude | 0x7f80_0000
    } else {
        finite.to_bits()
    };
    f32::from_bits(bits | u32::from(half & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_widen_exactly() {
        for half in 0..=u16::MAX {
            let wide = f16_to_f32(half);
            let (exponent, mantissa) = (i32::from(half >> 10 & 31), f64::from(half & 1023));
            let magnitude = match exponent {
                0 => mantissa * 2_f64.powi(-24),
                31 if mantissa == 0.0 => f64::INFINITY,
                31 => {
                    assert!(wide.is_nan());
                    continue;
                }
                _ => (1024.0 + mantissa) * 2_f64.powi(exponent - 25),
            };
            let sign = if half >> 15 == 1 { -1.0 } else { 1.0 };
            assert_eq!(f64::from(wide), sign * magnitude);
            assert_eq!(wide.is_sign_negative(), half >> 15 == 1);
        }
    }

    #[test]
    fn the_first_bad_value_is_found() {
        let mut values = vec![0_u16; 3000];
        assert_eq!(Tensor::F16(values.clone()).first_not_finite(), None);
        values[2500] = 0x7c00;
        values[2077] = 0xfc00;
        assert_eq!(
            Tensor::F16(values.clone()).first_not_finite(),
            Some((2077, f32::NEG_INFINITY))
        );
        // The same bits are ordinary numbers in the other format.
        assert_eq!(Tensor::Bf16(values).first_not_finite(), None);
        let mut values = vec![1.0_f32; 1024];
        values[1023] = f32::INFINITY;
        assert_eq!(
            Tensor::F32(values).first_not_finite(),
            Some((1023, f32::INFINITY))
        );
    }
}
