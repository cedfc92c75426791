//! 32-byte names of things. Each is its own type, so one can never stand for another.

use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{hash::domain_hash, secrecy::repeatable};

/// Why a text is not a 32-byte identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {what}: write 0x and 64 hex digits")]
pub struct ParseIdError {
    /// What was expected, such as "an address".
    pub what: &'static str,
    /// The offending text, as it may be repeated.
    pub text: String,
}

/// Parses `0x` and 64 hex digits.
fn parse_hex(what: &'static str, text: &str) -> Result<[u8; 32], ParseIdError> {
    let mut bytes = [0; 32];
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
        .ok_or_else(|| ParseIdError {
            what,
            text: repeatable(text),
        })?;
    Ok(bytes)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
        )]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format!("0x{}", hex::encode(self.0)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_hex($what, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::parsed(deserializer)
            }
        }
    };
}

id! {
    /// An account: BLAKE3 of its Ed25519 public key (docs/protocol.md, section 3). A validator is named by
    /// its account.
    Address, "an address"
}
id! {
    /// A model, named by its creating transaction.
    ModelId, "a model id"
}
id! {
    /// A target.
    TargetId, "a target id"
}
id! {
    /// A submission, named by the transaction that committed it.
    SubmissionId, "a submission id"
}
id! {
    /// A transaction: the hash of its signed encoding.
    TransactionHash, "a transaction hash"
}
id! {
    /// BLAKE3 of some content: encrypted weights, or submitted data. What `soma:HASH` names.
    ContentHash, "a content hash"
}
id! {
    /// A hiding commitment that a later reveal must open.
    Commitment, "a commitment"
}
id! {
    /// BLAKE3 over every model's loss and embedding of one scoring (docs/protocol.md, section 8).
    Transcript, "a transcript"
}
id! {
    /// 32 unforeseeable bytes, from a block's threshold VRF or derived from one.
    Seed, "a seed"
}
id! {
    /// The network: a hash of its genesis. Signatures bind to it.
    ChainId, "a chain id"
}
id! {
    /// The root of the ledger's state.
    StateRoot, "a state root"
}
id! {
    /// A block: the hash of its encoding.
    BlockHash, "a block hash"
}
id! {
    /// 32 random bytes that hide a commitment until it is revealed.
    Salt, "a salt"
}
id! {
    /// The AES-256 key of encrypted weights, public once revealed.
    DecryptionKey, "a decryption key"
}

impl ContentHash {
    /// The plain BLAKE3 of `bytes`, as any tool computes it.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl Seed {
    /// An independent seed for one `purpose` (a protocol constant) and `index`.
    #[must_use]
    pub fn derive(&self, purpose: &str, index: u64) -> Self {
        Self(domain_hash(
            "soma 2026 seed",
            &[&self.0, purpose.as_bytes(), &index.to_le_bytes()],
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_bad_text_is_named() {
        let id = Address([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(
            serde_json::from_str::<Address>(&serde_json::to_string(&id).unwrap()).unwrap(),
            id
        );
        for text in [
            "",
            "0x",
            "ab",
            &"ab".repeat(32),
            &format!("0x{}", "g".repeat(64)),
            &format!("{id}00"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains("is not an address"), "{error}");
        }
    }

    #[test]
    fn derived_seeds_differ_by_purpose_and_index() {
        let seed = Seed([7; 32]);
        assert_ne!(seed.derive("a", 0), seed.derive("a", 1));
        assert_ne!(seed.derive("a", 0), seed.derive("b", 0));
    }
}
