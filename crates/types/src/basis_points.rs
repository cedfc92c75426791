//! Shares of amounts.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize};

use crate::Shannons;

/// One whole, in basis points.
pub const BASIS_POINTS_ONE: u16 = 10_000;

/// A share in hundredths of a percent, 0 to 10 000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize)]
#[serde(transparent)]
pub struct BasisPoints(u16);

/// A share above one whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} basis points is more than the whole (10000)")]
pub struct BasisPointsError(pub u16);

impl BasisPoints {
    /// Takes a share.
    ///
    /// # Errors
    /// Above 10 000.
    pub const fn new(value: u16) -> Result<Self, BasisPointsError> {
        if value > BASIS_POINTS_ONE {
            Err(BasisPointsError(value))
        } else {
            Ok(Self(value))
        }
    }

    /// The number of basis points.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// This share of `amount`, rounded down.
    #[must_use]
    pub const fn of(self, amount: Shannons) -> Shannons {
        // At most `amount`, so it fits.
        Shannons((amount.0 as u128 * self.0 as u128 / BASIS_POINTS_ONE as u128) as u64)
    }
}

impl BorshDeserialize for BasisPoints {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        Self::new(u16::deserialize_reader(reader)?)
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

impl<'de> Deserialize<'de> for BasisPoints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(<u16 as Deserialize>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_more_than_the_whole() {
        assert!(BasisPoints::new(10_001).is_err());
        assert!(borsh::from_slice::<BasisPoints>(&10_001_u16.to_le_bytes()).is_err());
        assert!(serde_json::from_str::<BasisPoints>("10001").is_err());
        assert_eq!(BasisPoints(10_000).of(Shannons(u64::MAX)), Shannons(u64::MAX));
        assert_eq!(BasisPoints(3_333).of(Shannons(3)), Shannons::ZERO);
    }
}
