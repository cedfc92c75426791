//! Secrets as people keep them: words or a key on paper, in a file of whatever editor, or as `soma` printed
//! them.

use serde::Deserialize;
use soma_types::{Address, Keypair};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    keyfile::{KeyFile, KeyFileError, Secret},
    mnemonic::{Mnemonic, MnemonicError},
};

/// Longest text that is read, in bytes.
pub const LENGTH_BYTES_MAX: usize = 16 << 10;

/// Why a text holds no secret. What it holds stays out of the message.
#[derive(Debug, thiserror::Error)]
pub enum PaperError {
    /// Nothing but white space.
    #[error("there are neither recovery words nor a secret key")]
    Empty,
    /// Longer than any.
    #[error("that is longer than {LENGTH_BYTES_MAX} bytes: neither recovery words nor a secret key are")]
    TooLong,
    /// Neither UTF-8 nor UTF-16.
    #[error("that is no text: save it as UTF-8")]
    Encoding,
    /// One word that is no key.
    #[error("a secret key is 64 hex digits, with or without 0x")]
    SecretKey,
    /// JSON of another program.
    #[error("that JSON is not what `soma wallet export --json` prints: it has neither secret_key nor words")]
    Json,
    /// A wallet's own file, which its password opens where it lies.
    #[error(
        "that is an encrypted wallet's file: copy it into the folder `wallets` of the wallets' folder instead"
    )]
    EncryptedFile,
    /// Secret and address were not printed together.
    #[error("the secret is {found}'s, but the address beside it is {expected}")]
    WrongAddress {
        /// The address in the text.
        expected: Address,
        /// The secret's.
        found: Address,
    },
    /// The words have a problem.
    #[error(transparent)]
    Mnemonic(#[from] MnemonicError),
    /// A wallet's own file has a problem.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
}

/// A secret as it was read. `Debug` hides it.
#[derive(Clone, Debug)]
pub struct Paper(Secret);

/// What `soma wallet export --json` and `soma wallet new --json` print, as far as it matters.
#[derive(Deserialize)]
struct Printed {
    address: Option<Address>,
    secret_key: Option<String>,
    words: Option<String>,
}

impl Drop for Printed {
    fn drop(&mut self) {
        self.secret_key.zeroize();
        self.words.zeroize();
    }
}

impl Paper {
    /// Reads recovery words or a secret key: bare, as `soma` prints them, as JSON or as a wallet's file; in
    /// UTF-8 or UTF-16, with or without a byte order mark.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read(bytes: &[u8]) -> Result<Self, PaperError> {
        if bytes.len() > LENGTH_BYTES_MAX {
            return Err(PaperError::TooLong);
        }
        let text = decode(bytes)?;
        let text = text.trim();
        if text.is_empty() {
            return Err(PaperError::Empty);
        }
        if text.starts_with('{') {
            return Self::read_json(text);
        }
        if let Some(keys) = key(text) {
            return Ok(Self(Secret::new(&keys, None)));
        }
        // As printed for people: names in front, perhaps a warning below.
        let lines = || text.lines().map(str::trim);
        if let Some(words) = lines().find_map(|line| line.strip_prefix("words ")) {
            return Self::of_words(&Mnemonic::parse(words)?);
        }
        let mut keys = lines().filter_map(key);
        if let (Some(only), None) = (keys.next(), keys.next()) {
            return Ok(Self(Secret::new(&only, None)));
        }
        if text.contains(char::is_whitespace) {
            Self::of_words(&Mnemonic::parse(text)?)
        } else {
            Err(PaperError::SecretKey)
        }
    }

    /// The secret.
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    fn of_words(mnemonic: &Mnemonic) -> Result<Self, PaperError> {
        Ok(Self(Secret::new(&mnemonic.keypair(0)?, Some(mnemonic))))
    }

    fn read_json(text: &str) -> Result<Self, PaperError> {
        if let Ok(file) = KeyFile::decode(text.as_bytes()) {
            if file.is_encrypted() {
                return Err(PaperError::EncryptedFile);
            }
            return Ok(Self(file.open(None)?));
        }
        // What serde would say repeats what it met.
        let printed: Printed = serde_json::from_str(text).map_err(|_| PaperError::Json)?;
        let of_words = printed
            .words
            .as_deref()
            .map(|words| Self::of_words(&Mnemonic::parse(words)?))
            .transpose()?;
        let of_key = printed
            .secret_key
            .as_deref()
            .map(|digits| key(digits.trim()).ok_or(PaperError::SecretKey))
            .transpose()?
            .map(|keys| Self(Secret::new(&keys, None)));
        let address = |paper: &Self| paper.0.keypair().address();
        let paper = match (of_words, of_key) {
            // A key of another account of the words is itself what was exported.
            (Some(words), Some(key)) if address(&words) != address(&key) => key,
            (Some(paper), _) | (None, Some(paper)) => paper,
            (None, None) => return Err(PaperError::Json),
        };
        match printed.address {
            Some(expected) if expected != address(&paper) => Err(PaperError::WrongAddress {
                expected,
                found: address(&paper),
            }),
            _ => Ok(paper),
        }
    }
}

/// The key of 64 hex digits, with or without `0x`.
fn key(text: &str) -> Option<Keypair> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits.unwrap_or(text), secret.as_mut()).ok()?;
    Some(Keypair::from_secret_bytes(*secret))
}

/// Text of any editor, without what nobody sees.
fn decode(bytes: &[u8]) -> Result<Zeroizing<String>, PaperError> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        // Keys and words are ASCII: without a mark, the place of the zeros tells.
        [_, 0, ..] => utf16(bytes, u16::from_le_bytes)?,
        [0, _, ..] => utf16(bytes, u16::from_be_bytes)?,
        _ => {
            let text = std::str::from_utf8(bytes).map_err(|_| PaperError::Encoding)?;
            Zeroizing::new(text.to_owned())
        }
    };
    let unseen = |character: &char| !matches!(character, '\u{feff}' | '\u{200b}' | '\u{2060}');
    Ok(Zeroizing::new(text.chars().filter(unseen).collect()))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Zeroizing<String>, PaperError> {
    let (pairs, rest) = bytes.as_chunks();
    let units = Zeroizing::new(pairs.iter().map(|pair| unit(*pair)).collect::<Vec<_>>());
    match String::from_utf16(&units) {
        Ok(text) if rest.is_empty() => Ok(Zeroizing::new(text)),
        _ => Err(PaperError::Encoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABANDON: &str =
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

    fn address(bytes: &[u8]) -> Address {
        Paper::read(bytes).unwrap().secret().keypair().address()
    }

    fn utf16_of(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn secrets_are_read_as_they_are_kept() {
        let digits = "7a".repeat(32);
        let keys = Keypair::from_secret_bytes([0x7a; 32]).address();
        let words = Mnemonic::parse(ABANDON).unwrap().keypair(0).unwrap();
        let secret = Secret::new(&words, None).secret_key();
        let words = words.address();
        for (text, expected) in [
            (digits.clone(), keys),
            (format!("0x{digits}"), keys),
            (format!("  0X{}\r\n", digits.to_uppercase()), keys),
            (
                format!("0x{digits}\nWhoever has this key has the wallet's money.\n"),
                keys,
            ),
            (
                format!(
                    "{{\n  \"address\": \"{keys}\",\n  \"secret_key\": \"0x{digits}\",\n  \"words\": null\n}}\n"
                ),
                keys,
            ),
            (ABANDON.to_owned(), words),
            (ABANDON.to_uppercase().replace(' ', "\r\n"), words),
            (ABANDON.replace(' ', "\u{a0}"), words),
            (
                format!("wallet   a\naddress  {words}\nwords    {ABANDON}\n"),
                words,
            ),
            (
                format!(
                    "{{\"address\":\"{words}\",\"secret_key\":\"{}\",\"words\":\"{ABANDON}\"}}",
                    *secret
                ),
                words,
            ),
            (
                format!(
                    "{{\"name\":\"a\",\"address\":\"{words}\",\"encrypted\":false,\"words\":\"{ABANDON}\"}}"
                ),
                words,
            ),
        ] {
            for bytes in [
                text.clone().into_bytes(),
                format!("\u{feff}{text}").into_bytes(),
                utf16_of(&text, u16::to_le_bytes),
                utf16_of(&text, u16::to_be_bytes),
                utf16_of(&format!("\u{feff}{text}"), u16::to_le_bytes),
                utf16_of(&format!("\u{feff}{text}"), u16::to_be_bytes),
            ] {
                assert_eq!(address(&bytes), expected, "{text}");
            }
        }
        // Words stay with the key that they lead to.
        assert!(
            Paper::read(ABANDON.as_bytes())
                .unwrap()
                .secret()
                .mnemonic()
                .is_some()
        );
    }

    #[test]
    fn a_wallets_own_file_is_read_where_it_is_bare() {
        let secret = Secret::new(&Keypair::from_secret_bytes([7; 32]), None);
        let bare = KeyFile::seal(&secret, None).unwrap().encode();
        assert_eq!(address(&bare), secret.keypair().address());
        let sealed = KeyFile::seal(&secret, Some("password")).unwrap().encode();
        assert!(matches!(Paper::read(&sealed), Err(PaperError::EncryptedFile)));
    }

    #[test]
    fn what_is_no_secret_is_not_repeated() {
        let digits = "7a".repeat(32);
        let other = Keypair::from_secret_bytes([1; 32]).address();
        for (text, expected) in [
            ("", "neither"),
            ("\u{feff} \r\n", "neither"),
            (&digits[1..], "64 hex digits"),
            (&format!("0x{digits}0"), "64 hex digits"),
            ("hunter2 hunter2", "12, 15"),
            (
                &format!("{{\"secret_key\":\"{}\"}}", &digits[1..]),
                "64 hex digits",
            ),
            (&format!("{{\"{digits}\":\"{digits}\"}}"), "neither secret_key"),
            (&format!("{{\"secret_key\":{digits}}}"), "neither secret_key"),
            (
                &format!("{{\"address\":\"{other}\",\"secret_key\":\"{digits}\"}}"),
                "beside it",
            ),
            (&"x ".repeat(LENGTH_BYTES_MAX), "longer"),
        ] {
            let error = Paper::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(
                !error.contains("7a7a7a7a") && !error.contains("hunter"),
                "{error}"
            );
        }
        assert!(matches!(
            Paper::read(b"caf\xe9 caf\xe9"),
            Err(PaperError::Encoding)
        ));
        assert!(matches!(Paper::read(b"\xff\xfea"), Err(PaperError::Encoding)));
        assert!(!format!("{:?}", Paper::read(digits.as_bytes()).unwrap()).contains("7a7a"));
    }
}
