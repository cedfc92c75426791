//! One wallet's file: JSON, the secret bare or encrypted with a password.
//!
//! Encryption: Argon2id (64 MiB, 3 passes; RFC 9106's second recommendation with one lane) turns password
//! and salt into a key; XChaCha20-Poly1305 seals the secret, with version and address as associated data, so
//! that a secret cannot be moved under another's address.
//!
//! # Bounds
//!
//! The file's parameters are obeyed within [`MEMORY_KIB_MAX`] and [`PASSES_MAX`]: a prepared file cannot
//! exhaust the machine that opens it.

use std::{fmt, path::PathBuf};

use argon2::Argon2;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use serde::{Deserialize, Serialize};
use soma_types::{
    Address, Keypair,
    secrecy::without_keys,
    text::{excerpt, printable},
};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::mnemonic::Mnemonic;

/// The one version of the file that this release reads and writes.
pub const VERSION: u32 = 1;
/// Longest file that is read, in bytes.
pub const LENGTH_BYTES_MAX: u64 = 16 << 10;
/// Most memory that opening a file may take, in KiB.
pub const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Most passes that opening a file may take.
pub const PASSES_MAX: u32 = 16;
/// Longest password, in bytes: less than a terminal takes in one line.
pub const PASSWORD_LENGTH_BYTES_MAX: usize = 1024;

const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;

/// Why a wallet's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Not a wallet's file.
    #[error(
        "the file is no wallet, or damaged ({reason}); restore it from its words or a backup, or move it elsewhere"
    )]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// Written by a later release.
    #[error("the file has version {found}, this program knows {VERSION}; update it")]
    UnsupportedVersion {
        /// The file's version.
        found: u32,
    },
    /// Encrypted, and no password given.
    #[error("a password is needed")]
    PasswordNeeded,
    /// The password does not open it.
    #[error("the password is wrong, or the file is damaged")]
    WrongPassword,
    /// No password to encrypt with: who cannot see what is in it cannot type it again.
    #[error("that cannot be a password: it {reason}")]
    BadPassword {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Parameters that would take too much memory or time.
    #[error(
        "the file asks for {memory_kib} KiB and {passes} passes; more than {MEMORY_KIB_MAX} KiB or {PASSES_MAX} passes are refused"
    )]
    TooCostly {
        /// Argon2's memory.
        memory_kib: u32,
        /// Argon2's passes.
        passes: u32,
    },
    /// The secret belongs to another address than the file says.
    #[error(
        "the file is for {expected} but its secret is for {found}; restore it from its words or a backup"
    )]
    WrongAddress {
        /// The file's address.
        expected: Address,
        /// The secret's.
        found: Address,
    },
    /// Others on this machine can read a bare key.
    #[error(
        "others on this machine can read its key (mode {mode:o}); run `chmod 600 '{}'`, and move the funds if they may have",
        printable(&path.to_string_lossy())
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The operating system gave no random bytes.
    #[error("no randomness from the operating system: {0}")]
    Randomness(getrandom::Error),
}

/// What a wallet is for: a secret key, and the words it came from if any. `Debug` hides both.
#[derive(Clone)]
pub struct Secret {
    keys: Keypair,
    mnemonic: Option<Mnemonic>,
}

impl Secret {
    /// A secret to store.
    pub fn new(keys: &Keypair, mnemonic: Option<&Mnemonic>) -> Self {
        Self {
            keys: keys.clone(),
            mnemonic: mnemonic.cloned(),
        }
    }

    /// The keys.
    pub fn keypair(&self) -> Keypair {
        self.keys.clone()
    }

    /// The secret key as `0x` and 64 hex digits.
    pub fn secret_key(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new(self.keys.to_secret_bytes());
        Zeroizing::new(format!("0x{}", hex::encode(bytes.as_ref())))
    }

    /// The words, if the wallet was made from words.
    pub fn mnemonic(&self) -> Option<&Mnemonic> {
        self.mnemonic.as_ref()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.keys.address())
    }
}

/// The bare secret as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bare {
    secret_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mnemonic: Option<String>,
}

impl Drop for Bare {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.secret_key.zeroize();
        self.mnemonic.zeroize();
    }
}

/// The encrypted secret as written. Byte strings are hex.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
    cipher: String,
    nonce: String,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Contents {
    Bare(Bare),
    Encrypted(Sealed),
}

const KDF: &str = "argon2id";
const CIPHER: &str = "xchacha20-poly1305";

/// A wallet's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    version: u32,
    address: Address,
    secret: Contents,
}

impl KeyFile {
    /// Prepares `secret` for storage; with a password, encrypted.
    ///
    /// # Errors
    /// When the password is none, or the operating system gives no random bytes.
    pub fn seal(secret: &Secret, password: Option<&str>) -> Result<Self, KeyFileError> {
        let address = secret.keys.address();
        let bare = Bare {
            secret_key: secret.secret_key().to_string(),
            mnemonic: secret.mnemonic().map(|mnemonic| mnemonic.words().to_string()),
        };
        let secret = match password {
            None => Contents::Bare(bare),
            Some(password) => {
                check_password(password)?;
                Contents::Encrypted(encrypt(&bare, &composed(password), &address)?)
            }
        };
        Ok(Self {
            version: VERSION,
            address,
            secret,
        })
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// When the bytes are no key file, or one of a later version.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeyFileError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let versioned: Versioned = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        if versioned.version != VERSION {
            return Err(KeyFileError::UnsupportedVersion {
                found: versioned.version,
            });
        }
        serde_json::from_slice(bytes).map_err(|error| malformed(&error))
    }

    /// The file's bytes.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("strings and numbers always encode");
        bytes.push(b'\n');
        Zeroizing::new(bytes)
    }

    /// The account.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Whether a password is needed.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.secret, Contents::Encrypted(_))
    }

    /// The secret, checked against the address.
    ///
    /// # Errors
    /// When a password is needed and missing, is wrong, or the file was changed.
    pub fn open(&self, password: Option<&str>) -> Result<Secret, KeyFileError> {
        let decrypted;
        let bare = match (&self.secret, password) {
            (Contents::Bare(bare), _) => bare,
            (Contents::Encrypted(_), None) => return Err(KeyFileError::PasswordNeeded),
            (Contents::Encrypted(sealed), Some(password)) => {
                decrypted = decrypt_in_any_form(sealed, password, &self.address)?;
                &decrypted
            }
        };
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(
            bare.secret_key.strip_prefix("0x").unwrap_or_default(),
            key.as_mut(),
        )
        .map_err(|error| malformed(&error))?;
        let keys = Keypair::from_secret_bytes(*key);
        if keys.address() != self.address {
            return Err(KeyFileError::WrongAddress {
                expected: self.address,
                found: keys.address(),
            });
        }
        let mnemonic = bare
            .mnemonic
            .as_deref()
            .map(Mnemonic::parse)
            .transpose()
            .map_err(|error| malformed(&error))?;
        Ok(Secret { keys, mnemonic })
    }
}

/// The reason may repeat what stands in the file.
fn malformed(reason: &dyn fmt::Display) -> KeyFileError {
    KeyFileError::Malformed {
        reason: excerpt(&without_keys(&reason.to_string()), 200).into_owned(),
    }
}

/// Whether a key may be encrypted with `password`.
///
/// # Errors
/// If it is empty, too long, or holds what nobody sees.
pub fn check_password(password: &str) -> Result<(), KeyFileError> {
    let reason = if password.is_empty() {
        "is empty"
    } else if password.len() > PASSWORD_LENGTH_BYTES_MAX {
        "is longer than 1024 bytes"
    } else if password.contains(char::is_control) {
        "holds a control character, perhaps the line end of a file"
    } else {
        return Ok(());
    };
    Err(KeyFileError::BadPassword { reason })
}

/// The one form of a password that is encrypted with: keyboards differ in how they spell an `ä`.
fn composed(password: &str) -> Zeroizing<String> {
    Zeroizing::new(password.nfc().collect())
}

/// Opens with `password` as it was encrypted by this release, and else as earlier ones took it: as given, or
/// spelled as another keyboard does. The line end of a file is no part of it.
fn decrypt_in_any_form(sealed: &Sealed, password: &str, address: &Address) -> Result<Bare, KeyFileError> {
    let line = password.trim_end_matches(['\r', '\n']);
    let forms = [
        composed(line),
        Zeroizing::new(line.to_owned()),
        Zeroizing::new(line.nfd().collect()),
        Zeroizing::new(password.to_owned()),
    ];
    for (index, form) in forms.iter().enumerate() {
        // Most are the same, and each try is slow on purpose.
        if forms[..index].contains(form) {
            continue;
        }
        match decrypt(sealed, form, address) {
            Err(KeyFileError::WrongPassword) => {}
            result => return result,
        }
    }
    Err(KeyFileError::WrongPassword)
}

fn associated_data(address: &Address) -> Vec<u8> {
    [&VERSION.to_le_bytes()[..], address.as_bytes()].concat()
}

fn encrypt(bare: &Bare, password: &str, address: &Address) -> Result<Sealed, KeyFileError> {
    let (mut salt, mut nonce) = ([0; 16], [0; 24]);
    getrandom::fill(&mut salt).map_err(KeyFileError::Randomness)?;
    getrandom::fill(&mut nonce).map_err(KeyFileError::Randomness)?;
    let cipher = cipher(password, &salt, MEMORY_KIB, PASSES)?;
    let plaintext = Zeroizing::new(serde_json::to_vec(bare).expect("strings always encode"));
    let payload = Payload {
        msg: &plaintext,
        aad: &associated_data(address),
    };
    let ciphertext = cipher
        .encrypt(&nonce.into(), payload)
        .expect("a few hundred bytes are within the cipher's limit");
    Ok(Sealed {
        kdf: KDF.to_owned(),
        memory_kib: MEMORY_KIB,
        passes: PASSES,
        salt: hex::encode(salt),
        cipher: CIPHER.to_owned(),
        nonce: hex::encode(nonce),
        ciphertext: hex::encode(ciphertext),
    })
}

fn decrypt(sealed: &Sealed, password: &str, address: &Address) -> Result<Bare, KeyFileError> {
    if sealed.kdf != KDF || sealed.cipher != CIPHER {
        return Err(malformed(&format!(
            "it uses {} and {}",
            sealed.kdf, sealed.cipher
        )));
    }
    let (memory_kib, passes) = (sealed.memory_kib, sealed.passes);
    if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX {
        return Err(KeyFileError::TooCostly { memory_kib, passes });
    }
    let (mut salt, mut nonce) = ([0; 16], [0; 24]);
    hex::decode_to_slice(&sealed.salt, &mut salt).map_err(|error| malformed(&error))?;
    hex::decode_to_slice(&sealed.nonce, &mut nonce).map_err(|error| malformed(&error))?;
    let ciphertext = hex::decode(&sealed.ciphertext).map_err(|error| malformed(&error))?;
    let payload = Payload {
        msg: &ciphertext,
        aad: &associated_data(address),
    };
    let plaintext = cipher(password, &salt, memory_kib, passes)?
        .decrypt(&nonce.into(), payload)
        .map_err(|_| KeyFileError::WrongPassword)?;
    serde_json::from_slice(&Zeroizing::new(plaintext)).map_err(|error| malformed(&error))
}

fn cipher(
    password: &str,
    salt: &[u8],
    memory_kib: u32,
    passes: u32,
) -> Result<XChaCha20Poly1305, KeyFileError> {
    let params = argon2::Params::new(memory_kib, passes, 1, Some(32)).map_err(|error| malformed(&error))?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, key.as_mut())
        .map_err(|error| malformed(&error))?;
    Ok(XChaCha20Poly1305::new((&*key).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::new(&Keypair::from_secret_bytes([7; 32]), None)
    }

    #[test]
    fn secrets_round_trip_and_hide() {
        for password in [None, Some("x"), Some("påsswörd")] {
            let file = KeyFile::seal(&secret(), password).unwrap();
            let file = KeyFile::decode(&file.encode()).unwrap();
            assert_eq!(file.is_encrypted(), password.is_some());
            assert_eq!(file.open(password).unwrap().keypair().to_secret_bytes(), [7; 32]);
        }
        assert!(!format!("{:?}", secret()).contains("0707"));
    }

    #[test]
    fn a_password_is_the_same_however_it_is_spelled() {
        let (composed, apart) = ("p\u{e4}ss", "pa\u{308}ss");
        let file = KeyFile::seal(&secret(), Some(apart)).unwrap();
        for typed in [composed, apart, "p\u{e4}ss\r\n", "pa\u{308}ss\n"] {
            file.open(Some(typed)).unwrap();
        }
        for typed in ["pass", "päss "] {
            assert!(matches!(file.open(Some(typed)), Err(KeyFileError::WrongPassword)));
        }
        // As an earlier release encrypted.
        let bare = Bare {
            secret_key: secret().secret_key().to_string(),
            mnemonic: None,
        };
        let address = secret().keys.address();
        for password in [apart, "with an end\r"] {
            let earlier = KeyFile {
                version: VERSION,
                address,
                secret: Contents::Encrypted(encrypt(&bare, password, &address).unwrap()),
            };
            earlier.open(Some(password)).unwrap();
        }
    }

    #[test]
    fn what_nobody_sees_is_no_password() {
        for password in [
            "",
            "pw\r",
            "pw\n",
            "\u{1b}pw",
            &"x".repeat(PASSWORD_LENGTH_BYTES_MAX + 1),
        ] {
            assert!(matches!(
                KeyFile::seal(&secret(), Some(password)),
                Err(KeyFileError::BadPassword { .. })
            ));
        }
    }

    #[test]
    fn a_damaged_file_is_not_repeated() {
        let key = "7a".repeat(32);
        for damaged in [
            format!(r#"{{"version":1,"address":"0x{key}","secret":"0x{key}"}}"#),
            format!(r#"{{"version":"0x{key}"}}"#),
            format!(r#"{{"version":1,"0x{key}":"\u001b[31m"}}"#),
        ] {
            let Err(error) = KeyFile::decode(damaged.as_bytes()) else {
                panic!("{damaged}")
            };
            let shown = error.to_string();
            assert!(!shown.contains(&key) && !shown.contains('\u{1b}'), "{shown}");
        }
    }

    #[test]
    fn tampering_is_noticed() {
        let file = KeyFile::seal(&secret(), Some("password")).unwrap();
        let text = String::from_utf8(file.encode().to_vec()).unwrap();
        let other = Keypair::from_secret_bytes([8; 32]).address();
        let moved = text.replace(&file.address().to_string(), &other.to_string());
        let moved = KeyFile::decode(moved.as_bytes()).unwrap();
        assert!(matches!(
            moved.open(Some("password")),
            Err(KeyFileError::WrongPassword)
        ));
        let bare = KeyFile::seal(&secret(), None).unwrap();
        let text = String::from_utf8(bare.encode().to_vec()).unwrap();
        let moved = text.replace(&bare.address().to_string(), &other.to_string());
        let moved = KeyFile::decode(moved.as_bytes()).unwrap();
        assert!(matches!(moved.open(None), Err(KeyFileError::WrongAddress { .. })));
    }

    #[test]
    fn costly_and_later_files_are_refused() {
        let file = KeyFile::seal(&secret(), Some("password")).unwrap();
        let text = String::from_utf8(file.encode().to_vec()).unwrap();
        let costly = text.replace(
            &format!("\"memory_kib\": {MEMORY_KIB}"),
            "\"memory_kib\": 4294967295",
        );
        let costly = KeyFile::decode(costly.as_bytes()).unwrap();
        assert!(matches!(
            costly.open(Some("password")),
            Err(KeyFileError::TooCostly { .. })
        ));
        let later = text.replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(
            KeyFile::decode(later.as_bytes()),
            Err(KeyFileError::UnsupportedVersion { found: 2 })
        ));
    }
}
