//! Protocol time: heights count blocks, epochs count boundaries. No wall clock.

use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            BorshSerialize, BorshDeserialize, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The first.
            pub const ZERO: Self = Self(0);

            /// The one after. Saturates, which at one a millisecond takes half a billion years.
            #[must_use]
            pub const fn next(self) -> Self {
                self.plus(1)
            }

            /// `count` later, saturating.
            #[must_use]
            pub const fn plus(self, count: u64) -> Self {
                Self(self.0.saturating_add(count))
            }

            /// `count` earlier, or `None` before the first.
            #[must_use]
            pub const fn minus(self, count: u64) -> Option<Self> {
                match self.0.checked_sub(count) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

counter! {
    /// A span of `epoch_blocks` blocks during which the routing table is frozen (docs/protocol.md, section
    /// 1).
    Epoch
}

counter! {
    /// The number of a block; genesis is 0.
    Height
}
