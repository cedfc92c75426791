//! Words to keys: BIP-39 mnemonics and SLIP-0010 derivation for Ed25519.
//!
//! Account `n` of a mnemonic is the key at `m/44'/1397705025'/n'/0'/0'` (every step hardened, as Ed25519
//! requires). The coin type spells "SOMA" in ASCII; no registered coin has it.

use std::fmt;

use bip39::Language;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use soma_types::Keypair;
use zeroize::{Zeroize, Zeroizing};

/// SLIP-0044 coin type of the derivation path.
pub const COIN_TYPE: u32 = 0x534f_4d41;
/// Words of a fresh mnemonic: 256 bits.
pub const WORDS: usize = 24;

const ENTROPY_BYTES: usize = 32;
const HARDENED: u32 = 1 << 31;

/// Why a mnemonic is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MnemonicError {
    /// Not 12, 15, 18, 21 or 24 words.
    #[error("a mnemonic has 12, 15, 18, 21 or 24 words, not {found}")]
    WordCount {
        /// Words there were.
        found: usize,
    },
    /// A word that is not in the list. The word itself stays out of messages and logs.
    #[error("word {position} is not in the BIP-39 English list; check its spelling")]
    UnknownWord {
        /// Counted from 1.
        position: usize,
    },
    /// The words do not belong together.
    #[error("the words' checksum is wrong: one is another, or the order is")]
    Checksum,
    /// An account number beyond the path's range.
    #[error("account {account} is too large: the largest is {}", HARDENED - 1)]
    Account {
        /// The number given.
        account: u32,
    },
    /// The operating system gave no random bytes.
    #[error("no randomness from the operating system: {0}")]
    Randomness(getrandom::Error),
}

/// A BIP-39 mnemonic, English. Whoever has the words has the money; `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct Mnemonic(bip39::Mnemonic);

impl Mnemonic {
    /// 24 fresh words.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, MnemonicError> {
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        getrandom::fill(entropy.as_mut()).map_err(MnemonicError::Randomness)?;
        let mnemonic = bip39::Mnemonic::from_entropy_in(Language::English, entropy.as_ref())
            .expect("32 bytes are a valid length of entropy");
        Ok(Self(mnemonic))
    }

    /// Reads words separated by white space, in any case.
    ///
    /// # Errors
    /// When a word is none of the list, the number of words is wrong, or they do not add up.
    pub fn parse(words: &str) -> Result<Self, MnemonicError> {
        let words = Zeroizing::new(
            words
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .to_lowercase(),
        );
        bip39::Mnemonic::parse_in(Language::English, words.as_str())
            .map(Self)
            .map_err(|error| match error {
                bip39::Error::BadWordCount(found) => MnemonicError::WordCount { found },
                bip39::Error::UnknownWord(index) => MnemonicError::UnknownWord { position: index + 1 },
                _ => MnemonicError::Checksum,
            })
    }

    /// The words, for their owner's eyes.
    pub fn words(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.words().collect::<Vec<_>>().join(" "))
    }

    /// The keys of account `account`; 0 is the first. No passphrase is mixed in.
    ///
    /// # Errors
    /// When `account` is 2^31 or more.
    pub fn keypair(&self, account: u32) -> Result<Keypair, MnemonicError> {
        if account >= HARDENED {
            return Err(MnemonicError::Account { account });
        }
        let seed = Zeroizing::new(self.0.to_seed_normalized(""));
        let secret = derive(seed.as_ref(), &[44, COIN_TYPE, account, 0, 0]);
        Ok(Keypair::from_secret_bytes(*secret))
    }
}

impl fmt::Debug for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mnemonic(redacted)")
    }
}

/// A fresh keypair without a mnemonic, for throw-away accounts.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn generate_keypair() -> Result<Keypair, MnemonicError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut()).map_err(MnemonicError::Randomness)?;
    Ok(Keypair::from_secret_bytes(*secret))
}

/// SLIP-0010 for Ed25519: the secret at `path` (each step hardened here) under `seed`.
fn derive(seed: &[u8], path: &[u32]) -> Zeroizing<[u8; 32]> {
    let (mut secret, mut chain_code) = split(b"ed25519 seed", &[seed]);
    for step in path {
        (secret, chain_code) = split(
            chain_code.as_ref(),
            &[&[0], secret.as_ref(), &(step | HARDENED).to_be_bytes()],
        );
    }
    secret
}

/// HMAC-SHA-512 of `parts`, halved: the secret and the chain code.
fn split(key: &[u8], parts: &[&[u8]]) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    let mut output = mac.finalize().into_bytes();
    let (left, right) = output.split_at(32);
    let half = |bytes: &[u8]| Zeroizing::new(bytes.try_into().expect("SHA-512 halves into twice 32 bytes"));
    let halves = (half(left), half(right));
    output.as_mut_slice().zeroize();
    halves
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SLIP-0010, test vectors 1 and 2 for ed25519.
    #[test]
    fn derivation_conforms_to_slip_0010() {
        let seed = hex::decode("000102030405060708090a0b0c0d0e0f").unwrap();
        for (path, secret) in [
            (
                &[][..],
                "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7",
            ),
            (
                &[0],
                "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
            ),
            (
                &[0, 1],
                "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2",
            ),
            (
                &[0, 1, 2],
                "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9",
            ),
            (
                &[0, 1, 2, 2],
                "30d1dc7e5fc04c31219ab25a27ae00b50f6fd66622f6e9c913253d6511d1e662",
            ),
            (
                &[0, 1, 2, 2, 1_000_000_000],
                "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
            ),
        ] {
            assert_eq!(hex::encode(*derive(&seed, path)), secret, "{path:?}");
        }
        let keys = Keypair::from_secret_bytes(*derive(&seed, &[]));
        assert_eq!(
            keys.public_key().to_string(),
            "0xa4b2856bfec510abab89753fac1ac0e1112364e7d250545963f135f2a33188ed"
        );
        let seed = hex::decode(
            "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b78757\
             26f6c696663605d5a5754514e4b484542",
        )
        .unwrap();
        assert_eq!(
            hex::encode(*derive(&seed, &[])),
            "171cb88b1b3c1db25add599712e36245d75bc65a1a5c9e18d76f9f2b1eab4012"
        );
    }

    const ABANDON: &str =
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

    /// The seed is BIP-39's published one; the address is ours and pinned: a change would lose wallets.
    #[test]
    fn mnemonics_lead_to_the_same_keys_for_ever() {
        let mnemonic = Mnemonic::parse(ABANDON).unwrap();
        assert_eq!(
            hex::encode(mnemonic.0.to_seed_normalized("")),
            "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc19a5ac40b389cd370d086206dec8aa6c4\
             3daea6690f20ad3d8d48b2d2ce9e38e4"
        );
        let keys = mnemonic.keypair(0).unwrap();
        assert_eq!(
            hex::encode(keys.to_secret_bytes()),
            include_str!("../tests/abandon_account_0.hex").trim()
        );
        assert_ne!(keys.address(), mnemonic.keypair(1).unwrap().address());
    }

    #[test]
    fn fresh_mnemonics_read_back_and_hide() {
        let mnemonic = Mnemonic::generate().unwrap();
        assert_eq!(mnemonic.words().split(' ').count(), WORDS);
        let shouted = format!("  {}\n", mnemonic.words().to_uppercase().replace(' ', "\t "));
        assert_eq!(Mnemonic::parse(&shouted).unwrap(), mnemonic);
        assert_ne!(Mnemonic::generate().unwrap(), mnemonic);
        assert_eq!(format!("{mnemonic:?}"), "Mnemonic(redacted)");
    }

    #[test]
    fn bad_words_are_named_but_not_repeated() {
        assert_eq!(
            Mnemonic::parse("abandon about"),
            Err(MnemonicError::WordCount { found: 2 })
        );
        assert_eq!(
            Mnemonic::parse(&ABANDON.replacen("abandon", "secretword", 1)),
            Err(MnemonicError::UnknownWord { position: 1 })
        );
        assert_eq!(
            Mnemonic::parse(&ABANDON.replace("about", "zoo")),
            Err(MnemonicError::Checksum)
        );
        assert_eq!(
            Mnemonic::parse(ABANDON).unwrap().keypair(u32::MAX).unwrap_err(),
            MnemonicError::Account { account: u32::MAX }
        );
    }
}
