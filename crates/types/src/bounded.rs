//! Texts with limits: whatever enters from outside is bounded where it is decoded.

use std::{
    fmt,
    io::{self, Read},
    str::FromStr,
};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize};

/// The longest URL, in bytes.
pub const URL_MAX_BYTES: usize = 512;

/// Why a text is no URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Empty or longer than [`URL_MAX_BYTES`].
    #[error("a URL has 1 to {URL_MAX_BYTES} bytes, not {0}")]
    Length(usize),
    /// Control characters, spaces or non-ASCII.
    #[error("a URL is printable ASCII without spaces")]
    Characters,
}

/// Where bytes can be fetched: printable ASCII, bounded. What schemes mean is soma-blobs' business.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, Serialize)]
#[serde(transparent)]
pub struct Url(String);

impl Url {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > URL_MAX_BYTES {
            return Err(UrlError::Length(text.len()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Characters);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl BorshDeserialize for Url {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let invalid = |error: UrlError| io::Error::new(io::ErrorKind::InvalidData, error);
        let length = u32::deserialize_reader(reader)? as usize;
        if length > URL_MAX_BYTES {
            return Err(invalid(UrlError::Length(length)));
        }
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| invalid(UrlError::Characters))?;
        text.parse().map_err(invalid)
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_in_text_and_in_bytes() {
        assert_eq!("".parse::<Url>(), Err(UrlError::Length(0)));
        assert_eq!("a b".parse::<Url>(), Err(UrlError::Characters));
        assert_eq!("x".repeat(513).parse::<Url>(), Err(UrlError::Length(513)));
        let url: Url = "soma:0xab".parse().unwrap();
        assert_eq!(
            borsh::from_slice::<Url>(&borsh::to_vec(&url).unwrap()).unwrap(),
            url
        );
        assert!(borsh::from_slice::<Url>(&u32::MAX.to_le_bytes()).is_err());
        assert!(borsh::from_slice::<Url>(&borsh::to_vec("a\nb").unwrap()).is_err());
    }
}
