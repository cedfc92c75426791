//! Where bytes can be had: the URL of a commit or a reveal, parsed once and carried in a type. What its
//! fragment tells of the bytes ([`soma_types::provenance`]) changes nothing about that.

use std::{fmt, path::PathBuf, str::FromStr};

use soma_types::{ContentHash, bounded::URL_MAX_BYTES};
use url::Url;

/// Where bytes can be had.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// `soma:HASH`: from any node's store, by content. Written with `0x`, read with or without.
    Soma(ContentHash),
    /// `http://` or `https://`: from a host of the participant's choice.
    Http(Url),
    /// `file:///..`: on this machine; never valid on chain.
    File(PathBuf),
}

/// Why a text is no location.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Longer than the bound.
    #[error(
        "a location of {found} bytes is longer than {URL_MAX_BYTES}; host the data under a \
         shorter URL, or hand it to a node (`soma:HASH`)"
    )]
    TooLong {
        /// Length of the text in bytes.
        found: usize,
    },
    /// Not a URL.
    #[error("not a location: {reason}; use `soma:HASH`, `https://..` or `http://..`")]
    Malformed {
        /// What the parser objected to.
        reason: String,
    },
    /// `soma:` without 32 bytes of hex.
    #[error("`soma:` must be followed by the BLAKE3 of the bytes as 64 hex digits: {reason}")]
    BadHash {
        /// What is wrong with the digits.
        reason: String,
    },
    /// A scheme nobody fetches.
    #[error("scheme `{scheme}` cannot be fetched; use `soma:HASH`, `https://..` or `http://..`")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// An HTTP URL with a user name or password, which would be published with it.
    #[error("a location must not carry a user name or password: it becomes public")]
    Credentials,
    /// `file:` with a host or a relative path.
    #[error("`file:` needs an absolute path on this machine, as in file:///home/me/weights.bin")]
    BadFile,
    /// A location of this machine where others must be able to fetch.
    #[error("`{location}` exists on this machine only; use `soma:HASH`, `https://..` or `http://..`")]
    LocalOnly {
        /// The location.
        location: String,
    },
}

impl Location {
    /// Parses a location that goes on chain, where `file:` means nothing.
    ///
    /// # Errors
    /// When the text is no location, or one of this machine alone.
    pub fn parse_public(text: &str) -> Result<Self, LocationError> {
        match text.parse()? {
            Self::File(_) => Err(LocationError::LocalOnly {
                location: text.to_owned(),
            }),
            location => Ok(location),
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.len() > URL_MAX_BYTES {
            return Err(LocationError::TooLong { found: text.len() });
        }
        if let Some(name) = text.strip_prefix("soma:") {
            let digits = name.split_once('#').map_or(name, |(digits, _)| digits);
            let mut bytes = [0; 32];
            hex::decode_to_slice(digits.strip_prefix("0x").unwrap_or(digits), &mut bytes).map_err(
                |error| LocationError::BadHash {
                    reason: error.to_string(),
                },
            )?;
            return Ok(Self::Soma(ContentHash(bytes)));
        }
        let url = Url::parse(text).map_err(|error| LocationError::Malformed {
            reason: error.to_string(),
        })?;
        match url.scheme() {
            "http" | "https" => {
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(LocationError::Credentials);
                }
                Ok(Self::Http(url))
            }
            "file" => url
                .to_file_path()
                .map(Self::File)
                .map_err(|()| LocationError::BadFile),
            scheme => Err(LocationError::Scheme {
                scheme: scheme.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Soma(hash) => write!(f, "soma:{hash}"),
            Self::Http(url) => url.fmt(f),
            Self::File(path) => match Url::from_file_path(path) {
                Ok(url) => url.fmt(f),
                // A relative path has no URL form; parsing never yields one.
                Err(()) => write!(f, "file:{}", path.display()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_round_trip() {
        let hash = "ab".repeat(32);
        for text in [
            format!("soma:0x{hash}"),
            "https://example.org/weights.bin?v=1".to_owned(),
            "http://127.0.0.1:9000/v1/blobs/1".to_owned(),
            "file:///home/me/my%20weights.bin".to_owned(),
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
        for text in [format!("soma:{hash}"), format!("soma:0x{hash}#licence=CC0")] {
            let bare = text.parse::<Location>().unwrap();
            assert_eq!(bare.to_string(), format!("soma:0x{hash}"));
        }
    }

    #[test]
    fn every_refusal_is_named() {
        let parse = |text: &str| text.parse::<Location>().unwrap_err();
        assert!(matches!(parse("soma:12"), LocationError::BadHash { .. }));
        assert!(matches!(
            parse(&format!("soma:{}", "ab".repeat(33))),
            LocationError::BadHash { .. }
        ));
        assert!(matches!(parse("weights.bin"), LocationError::Malformed { .. }));
        assert!(matches!(parse(""), LocationError::Malformed { .. }));
        for scheme in ["ftp", "gopher", "data", "javascript"] {
            assert_eq!(
                parse(&format!("{scheme}://host/x")),
                LocationError::Scheme {
                    scheme: scheme.to_owned()
                }
            );
        }
        assert_eq!(
            parse("https://me:secret@example.org/"),
            LocationError::Credentials
        );
        assert_eq!(parse("file://elsewhere/x"), LocationError::BadFile);
        let long = format!("https://example.org/{}", "a".repeat(URL_MAX_BYTES));
        assert!(matches!(parse(&long), LocationError::TooLong { .. }));
        assert!(matches!(
            Location::parse_public("file:///etc/passwd"),
            Err(LocationError::LocalOnly { .. })
        ));
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics(text in ".{0,200}") {
            if let Ok(location) = text.parse::<Location>() {
                prop_assert_eq!(location.to_string().parse::<Location>().unwrap(), location);
            }
        }
    }
}
