//! A secret encrypted with a password.

use argon2::Argon2;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use serde::{Deserialize, Serialize};
use soma_types::Address;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::{
    bounds::{MEMORY_KIB_MAX, PASSES_MAX, PASSWORD_LENGTH_BYTES_MAX, VERSION},
    error::{KeyFileError, malformed},
    secret::Bare,
};

pub(super) const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;

/// The encrypted secret as written. Byte strings are hex.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
    cipher: String,
    nonce: String,
    ciphertext: String,
}

const KDF: &str = "argon2id";
const CIPHER: &str = "xchacha20-poly1305";

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
pub(super) fn composed(password: &str) -> Zeroizing<String> {
    Zeroizing::new(password.nfc().collect())
}

/// Opens with `password` as it was encrypted by this release, and else as earlier ones took it: as given, or
/// spelled as another keyboard does. The line end of a file is no part of it.
pub(super) fn decrypt_in_any_form(
    sealed: &Sealed,
    password: &str,
    address: &Address,
) -> Result<Bare, KeyFileError> {
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

pub(super) fn encrypt(bare: &Bare, password: &str, address: &Address) -> Result<Sealed, KeyFileError> {
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
