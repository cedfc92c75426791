//! The participant's own storage: a folder, and the URL under which their host serves it.

use std::path::{Path, PathBuf};

use soma_blobs::Location;
use soma_types::{ContentHash, Url};

use crate::error::ClientError;

/// A folder for data that has won, and where its files are served: `BASE/HASH`, by 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    base: String,
    folder: PathBuf,
}

impl Storage {
    /// A host serves `folder` under `base`.
    ///
    /// # Errors
    /// When no file below `base` could be named on chain: it is no http or https URL, too long, has a query,
    /// or carries a password.
    pub fn new(base: &str, folder: impl Into<PathBuf>) -> Result<Self, ClientError> {
        let storage = Self {
            base: base.trim_end_matches('/').to_owned(),
            folder: folder.into(),
        };
        storage.url(&ContentHash([0; 32]))?;
        Ok(storage)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where data of this hash is served.
    ///
    /// # Errors
    /// As [`Storage::new`].
    pub fn url(&self, hash: &ContentHash) -> Result<Url, ClientError> {
        let text = format!("{}/{}", self.base, hex::encode(hash.as_bytes()));
        let bad = |reason: &dyn std::fmt::Display| ClientError::Argument(format!("{}: {reason}", self.base));
        match Location::parse_public(&text) {
            Ok(Location::Http(url)) if url.query().is_none() && url.fragment().is_none() => {
                text.parse().map_err(|error| bad(&error))
            }
            Ok(_) => Err(bad(
                &"give an http or https URL without a query, below which files are served",
            )),
            Err(error) => Err(bad(&error)),
        }
    }
}

/// The file of data with this hash in a folder that is served.
pub(super) fn file_in(folder: &Path, hash: &ContentHash) -> PathBuf {
    folder.join(hex::encode(hash.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_names_files_or_is_refused() {
        let hash = ContentHash([0xab; 32]);
        let digits = "ab".repeat(32);
        for base in ["https://example.org/data", "https://example.org/data/"] {
            let storage = Storage::new(base, "here").unwrap();
            let url = storage.url(&hash).unwrap();
            assert_eq!(url.as_str(), format!("https://example.org/data/{digits}"));
        }
        let long = format!("https://example.org/{}", "d".repeat(4_000));
        for base in [
            "",
            "here",
            "file:///data",
            "soma:",
            "s3://bucket/data",
            "https://me:secret@example.org/",
            "https://example.org/data?token=1",
            &long,
        ] {
            let error = Storage::new(base, "here").unwrap_err();
            assert!(matches!(error, ClientError::Argument(_)), "{base}: {error}");
        }
    }
}
