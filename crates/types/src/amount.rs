//! Amounts of money. One unit, the shannon, and only checked arithmetic.

use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{secrecy::repeatable, text::digits};

/// Shannons in one SOMA.
pub const SHANNONS_PER_SOMA: u64 = 1_000_000_000;

/// The most that can ever exist: 10 million SOMA (docs/protocol.md, opening).
pub const MAX_SUPPLY: Shannons = Shannons(10_000_000 * SHANNONS_PER_SOMA);

/// An amount in shannons, 1 SOMA = 10^9 shannons. In JSON a decimal string, since it exceeds 2^53.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Shannons(pub u64);

impl Shannons {
    /// No money at all.
    pub const ZERO: Self = Self(0);

    /// A whole number of SOMA, or `None` past `u64`.
    #[must_use]
    pub const fn from_soma(soma: u64) -> Option<Self> {
        match soma.checked_mul(SHANNONS_PER_SOMA) {
            Some(shannons) => Some(Self(shannons)),
            None => None,
        }
    }

    /// The sum, or `None` on overflow.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` when `other` is larger.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// The difference, or zero when `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `self * numerator / denominator`, rounded down; `None` on overflow or a zero denominator.
    #[must_use]
    pub const fn mul_div(self, numerator: u64, denominator: u64) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let quotient = self.0 as u128 * numerator as u128 / denominator as u128;
        if quotient > u64::MAX as u128 {
            None
        } else {
            Some(Self(quotient as u64))
        }
    }

    /// Whether this is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// Written in SOMA with only the decimals it needs: `1.5`, `0.000000001`.
impl fmt::Display for Shannons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / SHANNONS_PER_SOMA, self.0 % SHANNONS_PER_SOMA);
        if fraction == 0 {
            return f.pad(&whole.to_string());
        }
        let digits = format!("{fraction:09}");
        f.pad(&format!("{whole}.{}", digits.trim_end_matches('0')))
    }
}

/// Why a text is not an amount of SOMA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not digits with at most one decimal point.
    #[error("'{0}' is not an amount: write SOMA as digits, such as 12 or 0.5")]
    NotANumber(String),
    /// More than nine decimals.
    #[error("'{0}' has more than 9 decimals: the smallest amount is 0.000000001 SOMA")]
    TooFine(String),
    /// Beyond the supply that can ever exist.
    #[error("'{0}' SOMA is more than can ever exist (10000000)")]
    TooLarge(String),
}

/// Parses an amount in SOMA.
impl FromStr for Shannons {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return Err(AmountError::NotANumber(repeatable(text)));
        }
        if fraction.len() > 9 {
            return Err(AmountError::TooFine(repeatable(text)));
        }
        let too_large = || AmountError::TooLarge(repeatable(text));
        let joined = format!("{whole}{fraction:0<9}");
        let amount = Self(joined.parse::<u64>().map_err(|_| too_large())?);
        if amount > MAX_SUPPLY {
            Err(too_large())
        } else {
            Ok(amount)
        }
    }
}

impl Serialize for Shannons {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Shannons {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        digits(&text).map(Self).ok_or_else(|| {
            let text = repeatable(&text);
            D::Error::custom(format_args!(
                "'{text}' is not an amount: write shannons in digits"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_amounts_are_named() {
        for text in ["", ".", "-1", "1.2.3", "1e9", "١", " 1"] {
            assert!(
                matches!(text.parse::<Shannons>(), Err(AmountError::NotANumber(_))),
                "{text}"
            );
        }
        assert!(matches!(
            "0.0000000001".parse::<Shannons>(),
            Err(AmountError::TooFine(_))
        ));
        assert!(matches!(
            "10000000.000000001".parse::<Shannons>(),
            Err(AmountError::TooLarge(_))
        ));
        assert!(matches!(
            "99999999999999999999".parse::<Shannons>(),
            Err(AmountError::TooLarge(_))
        ));
        assert_eq!("10000000".parse(), Ok(MAX_SUPPLY));
    }

    proptest! {
        #[test]
        fn text_and_json_round_trip(amount in 0..=MAX_SUPPLY.0) {
            let amount = Shannons(amount);
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
            let json = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(&json, &format!("\"{}\"", amount.0));
            prop_assert_eq!(serde_json::from_str::<Shannons>(&json).unwrap(), amount);
        }

        #[test]
        fn mul_div_rounds_down(a in any::<u64>(), n in any::<u64>(), d in 1..u64::MAX) {
            let exact = u128::from(a) * u128::from(n) / u128::from(d);
            prop_assert_eq!(Shannons(a).mul_div(n, d).map(|x| u128::from(x.0)), (exact <= u128::from(u64::MAX)).then_some(exact));
        }
    }
}
