//! Downloads of what the chain names by URL, size and hash: from the node's store or from the web.

use std::time::Duration;

use soma_blobs::{Expected, FetchError, FetchPolicy, Fetcher, Location};
use soma_client::NodeClient;
use soma_types::{ContentHash, Url};

/// Why bytes that the chain names could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DownloadError {
    /// The participant's own node could not be asked: that says nothing of the bytes.
    #[error("cannot ask the node for {url}: {reason}")]
    Node {
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
    /// Their BLAKE3.
    pub hash: ContentHash,
    /// Their number.
    pub size_bytes: u64,
}

impl Named {
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

    /// Where to look, which must not contradict the hash.
    fn location(&self) -> Result<Location, DownloadError> {
        match Location::parse_public(self.url.as_str()).map_err(|error| self.unavailable(&error))? {
            Location::Soma(stored) if stored != self.hash => {
                Err(self.mismatch(&format!("its name is not the announced hash {}", self.hash)))
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
    pub async fn download(&self, named: &Named) -> Result<Vec<u8>, DownloadError> {
        match self.kept(named).await? {
            Some(bytes) => Ok(bytes),
            None => self.fetch(named).await,
        }
    }

    /// The bytes `named`, if the node keeps them.
    ///
    /// # Errors
    /// When what is `named` contradicts itself, or the node does not answer.
    pub async fn kept(&self, named: &Named) -> Result<Option<Vec<u8>>, DownloadError> {
        named.location()?;
        match self.node.blob(&named.hash).await {
            Ok(bytes) if bytes.len() as u64 == named.size_bytes => Ok(Some(bytes)),
            Ok(bytes) => {
                let found = bytes.len();
                Err(named.mismatch(&format!("{found} bytes instead of {}", named.size_bytes)))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(DownloadError::Node {
                url: named.url.clone(),
                reason: error.to_string(),
            }),
        }
    }

    /// Has the node keep the bytes `named`, from their owner's host.
    ///
    /// # Errors
    /// As [`Self::download`].
    pub async fn bring(&self, named: &Named) -> Result<(), DownloadError> {
        let bytes = self.fetch(named).await?;
        match self.node.put_blob(bytes).await {
            Ok(_) => Ok(()),
            Err(error) => Err(DownloadError::Node {
                url: named.url.clone(),
                reason: error.to_string(),
            }),
        }
    }

    /// The bytes `named`, from their owner's host.
    async fn fetch(&self, named: &Named) -> Result<Vec<u8>, DownloadError> {
        let Location::Http(address) = named.location()? else {
            return Err(named.unavailable(&"the node does not keep it"));
        };
        let expected = Expected {
            hash: named.hash,
            size_bytes: named.size_bytes,
        };
        let fetched = self.fetcher.fetch(&address, expected).await;
        fetched.map_err(|error| {
            if error.is_mismatch() {
                named.mismatch(&error)
            } else {
                named.unavailable(&error)
            }
        })
    }
}
