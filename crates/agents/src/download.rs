//! Downloads of what the chain names by URL, size and hash: from the node's store or from the web. What is
//! long goes to a disk, so a stranger's announcement costs no memory.

use std::time::Duration;

use soma_blobs::{Blob, Expected, FetchError, FetchPolicy, Fetcher, Location};
use soma_client::{ClientError, NodeClient};
use soma_types::Url;

/// Why bytes that the chain names could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DownloadError {
    /// The participant's own node or disk failed: that says nothing of the bytes.
    #[error("{url} cannot be had here: {reason}")]
    Here {
        /// Where their owner says they are.
        url: Url,
        /// What happened.
        reason: String,
    },
    /// They did not arrive.
    #[error("cannot download {url}: {reason}")]
    Unavailable {
        /// Where they should have been.
        url: Url,
        /// What happened.
        reason: String,
    },
    /// Something else arrived.
    #[error("{url} holds something else than was announced: {reason}")]
    Mismatch {
        /// Where it came from.
        url: Url,
        /// What differs.
        reason: String,
    },
}

/// Bytes as the chain names them.
#[derive(Clone, Debug)]
pub struct Named {
    /// Where their owner says they are.
    pub url: Url,
    /// Their hash and their number.
    pub expected: Expected,
}

impl Named {
    fn here(&self, reason: &impl ToString) -> DownloadError {
        DownloadError::Here {
            url: self.url.clone(),
            reason: reason.to_string(),
        }
    }

    fn unavailable(&self, reason: &impl ToString) -> DownloadError {
        DownloadError::Unavailable {
            url: self.url.clone(),
            reason: reason.to_string(),
        }
    }

    fn mismatch(&self, reason: &impl ToString) -> DownloadError {
        DownloadError::Mismatch {
            url: self.url.clone(),
            reason: reason.to_string(),
        }
    }

    /// What it is not to arrive within `patience`.
    pub(crate) fn late(&self, patience: Duration) -> DownloadError {
        self.unavailable(&format!("it did not come within {} s", patience.as_secs_f32()))
    }

    /// What it is not to be answered by the node within `patience`.
    pub(crate) fn unanswered(&self, patience: Duration) -> DownloadError {
        self.here(&format!(
            "the node did not answer within {} s",
            patience.as_secs_f32()
        ))
    }

    /// Where to look, which must not contradict the hash.
    fn location(&self) -> Result<Location, DownloadError> {
        match Location::parse_public(self.url.as_str()).map_err(|error| self.unavailable(&error))? {
            Location::Soma(stored) if stored != self.expected.hash => {
                let announced = self.expected.hash;
                Err(self.mismatch(&format!("its name is not the announced hash {announced}")))
            }
            Location::File(_) => Err(self.unavailable(&"files of one machine are not public")),
            location => Ok(location),
        }
    }
}

/// Follows the URLs that the chain holds.
#[derive(Clone, Debug)]
pub struct Downloader {
    node: NodeClient,
    fetcher: Fetcher,
}

impl Downloader {
    /// Downloads from `node`'s store, and from the web under `policy`.
    ///
    /// # Errors
    /// When no HTTP client can be built on this machine.
    pub fn new(node: NodeClient, policy: FetchPolicy) -> Result<Self, FetchError> {
        Ok(Self {
            node,
            fetcher: Fetcher::new(policy)?,
        })
    }

    /// Exactly the bytes `named`. What the node keeps is taken from it: an owner's host may go down once
    /// validators have fetched from it, or show others something else.
    ///
    /// # Errors
    /// Whether they did not arrive, or others did, or nothing is known.
    pub async fn download(&self, named: &Named) -> Result<Blob, DownloadError> {
        match self.kept(named).await? {
            Some(blob) => Ok(blob),
            None => self.fetch(named).await,
        }
    }

    /// The bytes `named`, if the node keeps them.
    ///
    /// # Errors
    /// When what is `named` contradicts itself, or the node does not answer.
    pub async fn kept(&self, named: &Named) -> Result<Option<Blob>, DownloadError> {
        named.location()?;
        match self.node.blob(named.expected).await {
            Ok(blob) => Ok(Some(blob)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error @ ClientError::WrongSize { .. }) => Err(named.mismatch(&error)),
            Err(error) => Err(named.here(&error)),
        }
    }

    /// Has the node keep the bytes `named`, from their owner's host.
    ///
    /// # Errors
    /// As [`Self::download`].
    pub async fn bring(&self, named: &Named) -> Result<(), DownloadError> {
        let blob = self.fetch(named).await?;
        let put = self.node.put_blob(&blob).await;
        put.map_err(|error| named.here(&error))
    }

    /// The bytes `named`, from their owner's host.
    ///
    /// # Errors
    /// As [`Self::download`].
    pub async fn fetch(&self, named: &Named) -> Result<Blob, DownloadError> {
        let Location::Http(address) = named.location()? else {
            return Err(named.unavailable(&"the node does not keep it"));
        };
        let fetched = self.fetcher.fetch(&address, named.expected).await;
        fetched.map_err(|error| match error {
            FetchError::Disk(_) | FetchError::Store(_) | FetchError::Http(_) => named.here(&error),
            error if error.is_mismatch() => named.mismatch(&error),
            error => named.unavailable(&error),
        })
    }
}
