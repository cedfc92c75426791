//! What a validator's node alone knows.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use commonware_codec::Encode as _;
use commonware_cryptography::{
    Signer as _,
    bls12381::{dkg::golden, primitives::group::Share},
    ed25519,
};
use commonware_math::algebra::Random as _;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use soma_files::{At as _, FileError, read_bounded, replace_private};
use soma_node::consensus::Identity;
use soma_types::Keypair;
use zeroize::Zeroizing;

use crate::text;

/// Leading bytes that an identity has in common with its dealing key.
const COMMON_BYTES: usize = 2;

/// A validator's secrets. Debug output shows none.
#[derive(Clone)]
pub struct Secrets {
    /// Authenticates it to its peers.
    pub identity: ed25519::PrivateKey,
    /// Deals at a founding, and opens what is dealt to it; none where a localnet's dealer has dealt.
    pub dealing: Option<golden::PrivateKey>,
    /// Its part of the network's key; none before the network is founded.
    pub share: Option<Share>,
    /// On a localnet, its account.
    pub account: Option<Keypair>,
}

impl Secrets {
    /// New ones, for a node that will take part in a founding.
    ///
    /// A committee's shares are counted in the order of its identities, and a dealing's in that of its
    /// dealing keys. So that both orders are one, an identity begins with the same bytes as its dealing key:
    /// it takes some tens of thousands of tries, and costs it none of its strength, which is not in its
    /// public half.
    pub fn generate(mut rng: impl CryptoRng) -> Self {
        let dealing = golden::PrivateKey::random(&mut rng);
        let wanted = dealing.public().encode();
        let identity = loop {
            let candidate = ed25519::PrivateKey::random(&mut rng);
            if candidate.public_key().encode()[..COMMON_BYTES] == wanted[..COMMON_BYTES] {
                break candidate;
            }
        };
        Self {
            identity,
            dealing: Some(dealing),
            share: None,
            account: None,
        }
    }

    /// Its name among its peers.
    #[must_use]
    pub fn public(&self) -> Identity {
        self.identity.public_key()
    }

    /// Writes them, for their owner alone.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let file = SecretsFile {
            identity: text::encode(&self.identity),
            dealing: self.dealing.as_ref().map(text::encode),
            share: self.share.as_ref().map(text::encode),
            account: self
                .account
                .as_ref()
                .map(|keys| format!("0x{}", hex::encode(keys.to_secret_bytes()))),
        };
        let json = serde_json::to_vec_pretty(&file).expect("plain data is JSON");
        replace_private(path, &json)
    }
}

/// How they are written. Byte strings are hex.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretsFile {
    identity: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dealing: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    share: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

/// More than secrets take.
const LENGTH_BYTES_MAX: u64 = 64 << 10;

/// Why secrets cannot be read. What they are stays out of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// There are none.
    #[error("there are no keys at '{0}'")]
    Missing(PathBuf),
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// Others may read them.
    #[error("'{path}' can be read by others (mode {mode:o}): chmod 600 it, and ask who has read it")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// They are something else.
    #[error("'{path}' is damaged (its {what} cannot be read): restore it from a copy")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which value.
        what: &'static str,
    },
}

impl Secrets {
    /// Reads those at `path`.
    ///
    /// # Errors
    /// If there are none, others may read them, or they are damaged.
    pub fn read(path: &Path) -> Result<Self, SecretsError> {
        let damaged = |what| SecretsError::Damaged {
            path: path.to_owned(),
            what,
        };
        let bytes = read_bounded(path, LENGTH_BYTES_MAX)?.map(Zeroizing::new);
        let bytes = bytes.ok_or_else(|| SecretsError::Missing(path.to_owned()))?;
        let mode = fs::metadata(path).at("look at", path)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretsError::Open {
                path: path.to_owned(),
                mode,
            });
        }
        let file: SecretsFile = serde_json::from_slice(&bytes).map_err(|_| damaged("JSON"))?;
        let account = match &file.account {
            Some(account) => {
                let secret: [u8; 32] = text::decode(account, &()).map_err(|_| damaged("account"))?;
                Some(Keypair::from_secret_bytes(secret))
            }
            None => None,
        };
        Ok(Self {
            identity: text::decode(&file.identity, &()).map_err(|_| damaged("identity"))?,
            dealing: file
                .dealing
                .map(|key| text::decode(&key, &()).map_err(|_| damaged("dealing key")))
                .transpose()?,
            share: file
                .share
                .map(|share| text::decode(&share, &()).map_err(|_| damaged("share")))
                .transpose()?,
            account,
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn they_are_read_as_they_were_written_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        assert!(matches!(Secrets::read(&path), Err(SecretsError::Missing(_))));
        let secrets = Secrets::generate(StdRng::seed_from_u64(1));
        let dealing = secrets.dealing.as_ref().unwrap().public();
        assert_eq!(secrets.public().encode()[..2], dealing.encode()[..2]);
        secrets.write(&path).unwrap();
        let read = Secrets::read(&path).unwrap();
        assert_eq!(read.public(), secrets.public());
        assert_eq!(read.dealing.unwrap().public(), dealing);
        assert!(read.share.is_none());

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let text = Secrets::read(&path).err().unwrap().to_string();
        assert!(text.contains("640") && text.contains("chmod 600"), "{text}");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let written = fs::read_to_string(&path).unwrap();
        fs::write(&path, written.replace("0x", "0y")).unwrap();
        let text = Secrets::read(&path).err().unwrap().to_string();
        assert!(text.contains("damaged") && !text.contains("0y"), "{text}");
    }
}
