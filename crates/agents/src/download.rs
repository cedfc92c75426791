//! Downloads of what the chain names by URL, size and hash: from the node's store or from the web.

use soma_blobs::{Expected, FetchError, FetchPolicy, Fetcher, Location};
use soma_client::NodeClient;
use soma_types::{ContentHash, Url};

/// Why bytes that the chain names could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
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

    /// The bytes at `url`, which are exactly those with this hash and size. What the node keeps is taken from it: an
    /// owner's host may go down once validators have fetched from it, or show others something else.
    ///
    /// # Errors
    /// Whether they did not arrive, or others did.
    pub async fn download(
        &self,
        url: &Url,
        hash: ContentHash,
        size_bytes: u64,
    ) -> Result<Vec<u8>, DownloadError> {
        let unavailable = |reason: String| DownloadError::Unavailable {
            url: url.clone(),
            reason,
        };
        let mismatch = |reason: String| DownloadError::Mismatch {
            url: url.clone(),
            reason,
        };
        match Location::parse_public(url.as_str()).map_err(|error| unavailable(error.to_string()))? {
            Location::Soma(stored) if stored != hash => {
                Err(mismatch(format!("its name is not the announced hash {hash}")))
            }
            Location::Soma(_) => {
                let bytes = self
                    .node
                    .blob(&hash)
                    .await
                    .map_err(|error| unavailable(error.to_string()))?;
                if bytes.len() as u64 == size_bytes {
                    Ok(bytes)
                } else {
                    Err(mismatch(format!("{} bytes instead of {size_bytes}", bytes.len())))
                }
            }
            Location::Http(address) => {
                let kept = self.node.blob(&hash).await.ok();
                if let Some(bytes) = kept.filter(|bytes| bytes.len() as u64 == size_bytes) {
                    return Ok(bytes);
                }
                let fetched = self.fetcher.fetch(&address, Expected { hash, size_bytes }).await;
                fetched.map_err(|error| {
                    if error.is_mismatch() {
                        mismatch(error.to_string())
                    } else {
                        unavailable(error.to_string())
                    }
                })
            }
            Location::File(_) => Err(unavailable("files of one machine are not public".into())),
        }
    }
}
