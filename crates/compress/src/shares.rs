//! From probabilities to whole numbers (docs/scoring-spec.md, section 7): binary64 in a fixed order, and
//! floors, so the same on every machine.

use std::{borrow::Borrow, num::NonZeroU32};

use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};
use soma_model::reading::OUTCOMES;

/// What a byte can be.
const BYTES: usize = 256;
/// Shares are of 2^24.
pub const PRECISION: usize = 24;
const ALL: u32 = 1 << PRECISION;

/// What each byte has of [`ALL`]: at least 1, together all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Before each byte, and after the last.
    below: [u32; BYTES + 1],
}

impl Shares {
    /// Of what nothing stood before: all bytes alike.
    pub fn even() -> Self {
        Self::cumulated(&[ALL / BYTES as u32; BYTES])
    }

    /// Of the probabilities of the bytes among the outcomes.
    pub fn of(probabilities: &[f64; OUTCOMES]) -> Self {
        let bytes = &probabilities[..BYTES];
        let total: f64 = bytes.iter().sum();
        // One for each byte, and of the rest its part rounded down. Rounding cannot give more than there is:
        // the relative error of a part, and of the total, is below 2^-44, and whole numbers are further
        // apart.
        let rest = f64::from(ALL - BYTES as u32);
        let mut shares = [0; BYTES];
        for (share, probability) in shares.iter_mut().zip(bytes) {
            *share = 1 + (probability / total * rest) as u32;
        }
        let given: u32 = shares.iter().sum();
        let mut likeliest = 0;
        for byte in 1..BYTES {
            if bytes[byte] > bytes[likeliest] {
                likeliest = byte;
            }
        }
        shares[likeliest] += ALL - given;
        Self::cumulated(&shares)
    }

    fn cumulated(shares: &[u32; BYTES]) -> Self {
        let mut below = [0; BYTES + 1];
        for (byte, share) in shares.iter().enumerate() {
            below[byte + 1] = below[byte] + share;
        }
        Self { below }
    }

    /// Where a byte's share begins, and how much it is.
    fn share(&self, byte: u8) -> (u32, NonZeroU32) {
        let (begin, end) = (self.below[usize::from(byte)], self.below[usize::from(byte) + 1]);
        (
            begin,
            NonZeroU32::new(end - begin).expect("every byte has a share"),
        )
    }
}

impl EntropyModel<PRECISION> for Shares {
    type Symbol = u8;
    type Probability = u32;
}

impl EncoderModel<PRECISION> for Shares {
    fn left_cumulative_and_probability(&self, byte: impl Borrow<u8>) -> Option<(u32, NonZeroU32)> {
        Some(self.share(*byte.borrow()))
    }
}

impl DecoderModel<PRECISION> for Shares {
    fn quantile_function(&self, quantile: u32) -> (u8, u32, NonZeroU32) {
        let byte = self.below[1..BYTES].partition_point(|end| *end <= quantile) as u8;
        let (begin, share) = self.share(byte);
        (byte, begin, share)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn each(shares: &Shares) -> Vec<u32> {
        shares.below.windows(2).map(|ends| ends[1] - ends[0]).collect()
    }

    #[test]
    fn shares_are_pinned() {
        assert_eq!(each(&Shares::even()), [65_536; 256]);
        let mut probabilities = [0.0; OUTCOMES];
        (probabilities[7], probabilities[9], probabilities[256]) = (0.25, 0.25, 0.5);
        let shares = each(&Shares::of(&probabilities));
        // The end mark has no share, and what is left is the lower's of equals.
        assert_eq!((shares[7], shares[9], shares[8]), (8_388_481, 8_388_481, 1));
        probabilities[9] = 0.5;
        let shares = each(&Shares::of(&probabilities));
        assert_eq!((shares[7], shares[9]), (5_592_321, 11_184_641));
    }

    proptest! {
        #[test]
        fn all_is_given_whatever_the_probabilities(exponents in prop::collection::vec(-700.0..0.0_f64, OUTCOMES)) {
            let probabilities: Vec<f64> = exponents.iter().map(|x| x.exp()).collect();
            let shares = Shares::of(&probabilities.try_into().unwrap());
            prop_assert_eq!(each(&shares).iter().sum::<u32>(), ALL);
            for byte in 0..=u8::MAX {
                let (begin, share) = shares.share(byte);
                for quantile in [begin, begin + share.get() - 1] {
                    prop_assert_eq!(shares.quantile_function(quantile), (byte, begin, share));
                }
            }
        }
    }
}
