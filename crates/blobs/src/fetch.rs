//! Downloads from hosts nobody trusts.
//!
//! Upon a fetch of (URL, [`Expected`]): the bytes that hash to what was announced, as a [`Blob`] or in a
//! [`Store`], or an error that names what the host did instead.
//!
//! # Bounds
//!
//! Size: the announced length, and never more than the policy's cap; `Content-Length` is checked before a
//! byte is read, and what streams in is counted, since a host may leave the header out or lie. Time: one
//! limit from connecting to the last byte, and, where the policy has one, for each mebibyte, so a host that
//! trickles is cut off. Redirects: counted, and each
//! is held to the same rules. Memory: a piece; the rest goes to a disk.
//!
//! # Failures
//!
//! A URL on chain is written by a stranger, and a node that fetches it acts on the stranger's behalf inside
//! its operator's network. Unless the policy allows it (localnets), loopback, private, link-local and other
//! non-public addresses are refused, in the URL, after every redirect, and in what names resolve to: the
//! check sits in the resolver, so a name cannot change its mind between check and connection. Proxies are
//! never used, as they would resolve names themselves. No cookies, no credentials, no compression.

mod error;
mod flights;

use std::{sync::Arc, time::Duration};

use reqwest::redirect::Policy as RedirectPolicy;
use tokio::time::Instant;
use url::Url;

use crate::{
    blob::{Blob, BlobWriter, Expected},
    guard::{PublicResolver, Refusal, admit},
    http::{self, HttpError},
    pouring::{Pouring, Sink},
    store::Store,
};

use self::flights::{Errand, Flights};

pub use self::error::FetchError;

/// What a host has to give within a policy's pace.
pub const PACE_BYTES: u64 = 1 << 20;

/// What a fetcher permits.
#[derive(Clone, Debug)]
pub struct FetchPolicy {
    /// Longest blob, in bytes, whatever was announced.
    pub size_bytes_max: u64,
    /// From connecting to the last byte.
    pub timeout: Duration,
    /// Within this time the answer has to begin, and each [`PACE_BYTES`] of it come, or what is left; no such
    /// limit where there is none.
    pub pace: Option<Duration>,
    /// Until the connection stands.
    pub connect_timeout: Duration,
    /// Redirects followed.
    pub redirects_max: usize,
    /// Whether hosts on loopback and private networks may be fetched from: localnets and one's own machine.
    pub private_addresses: bool,
}

impl Default for FetchPolicy {
    /// For submitted data on a public network: 1 MiB, 30 s, 3 redirects, public addresses only.
    fn default() -> Self {
        Self {
            size_bytes_max: 1 << 20,
            timeout: Duration::from_secs(30),
            pace: None,
            connect_timeout: Duration::from_secs(5),
            redirects_max: 3,
            private_addresses: false,
        }
    }
}

/// Fetches blobs under one policy. Clones share connections, and what is on its way into a store.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: reqwest::Client,
    policy: FetchPolicy,
    flights: Flights,
}

impl Fetcher {
    /// A fetcher that keeps to `policy`.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(policy: FetchPolicy) -> Result<Self, FetchError> {
        let private_addresses = policy.private_addresses;
        let redirects_max = policy.redirects_max;
        let redirects = RedirectPolicy::custom(move |attempt| {
            // `previous` starts with the URL asked for.
            if attempt.previous().len() > redirects_max {
                return attempt.error(Refusal::Redirects);
            }
            match admit(attempt.url(), private_addresses) {
                Ok(()) => attempt.follow(),
                Err(refusal) => attempt.error(refusal),
            }
        });
        let mut builder = http::client_builder()?
            .no_proxy()
            .redirect(redirects)
            .referer(false)
            .connect_timeout(policy.connect_timeout)
            .timeout(policy.timeout);
        if !private_addresses {
            builder = builder.dns_resolver(Arc::new(PublicResolver));
        }
        let client = builder.build().map_err(HttpError::from)?;
        Ok(Self {
            client,
            policy,
            flights: Flights::default(),
        })
    }

    /// The policy it keeps to.
    pub fn policy(&self) -> &FetchPolicy {
        &self.policy
    }

    /// The blob at `url`.
    ///
    /// # Errors
    /// When the host is not to be asked, does not give all of it in time, or gives something else.
    pub async fn fetch(&self, url: &Url, expected: Expected) -> Result<Blob, FetchError> {
        let download = self.start(url, expected).await?;
        let arrived = download.pour(BlobWriter::new(Some(expected))).await?;
        arrived
            .finish(|writer| writer.finish().map_err(FetchError::from))
            .await
    }

    /// The blob at `url`, into `store`. Nothing is kept unless it is what was announced. However many ask for
    /// it at once, or right after it failed, the host is asked once.
    ///
    /// # Errors
    /// When the host is not to be asked, does not give all of it in time, or gives something else; when the
    /// store has no room. All who waited for it are told the same.
    pub async fn fetch_into(
        &self,
        url: &Url,
        expected: Expected,
        store: &Store,
    ) -> Result<(), Arc<FetchError>> {
        store.admit(&expected.hash).map_err(FetchError::from)?;
        if store.contains(&expected.hash) {
            return Ok(());
        }
        let errand = Errand {
            url: url.clone(),
            expected,
            folder: store.directory().to_owned(),
        };
        let (fetcher, url, store) = (self.clone(), url.clone(), store.clone());
        let download = async move { fetcher.pour_into(&url, expected, &store).await };
        self.flights.join(errand, download).await
    }

    async fn pour_into(&self, url: &Url, expected: Expected, store: &Store) -> Result<(), FetchError> {
        let download = self.start(url, expected).await?;
        let arrived = download.pour(store.writer(expected.size_bytes)?).await?;
        arrived
            .finish(move |writer| {
                writer.finish_as(expected.hash)?;
                Ok(())
            })
            .await
    }

    /// Sends the request and checks everything there is to check before the body.
    async fn start(&self, url: &Url, expected: Expected) -> Result<Download, FetchError> {
        admit(url, self.policy.private_addresses).map_err(|refusal| self.refused(refusal))?;
        if expected.size_bytes > self.policy.size_bytes_max {
            return Err(FetchError::AnnouncedTooLarge {
                announced_bytes: expected.size_bytes,
                limit_bytes: self.policy.size_bytes_max,
            });
        }
        let begun = Instant::now();
        let response = self.paced(begun, (0, expected), self.client.get(url.clone()).send());
        let response = response.await?.map_err(|error| self.failed(&error, None))?;
        let status = response.status();
        if status.as_u16() != 200 {
            return Err(FetchError::Status {
                status: status.as_u16(),
            });
        }
        if let Some(length_bytes) = response.content_length() {
            if length_bytes > expected.size_bytes {
                return Err(FetchError::TooLarge {
                    found: Some(length_bytes),
                    limit_bytes: expected.size_bytes,
                });
            }
            if length_bytes < expected.size_bytes {
                return Err(FetchError::TooSmall {
                    expected_bytes: expected.size_bytes,
                    found_bytes: length_bytes,
                });
            }
        }
        Ok(Download {
            fetcher: self.clone(),
            response,
            expected,
            found_bytes: 0,
            paced: (Instant::now(), 0),
        })
    }

    /// What a host gives, unless it takes too long for it.
    async fn paced<T>(
        &self,
        since: Instant,
        (found_bytes, expected): (u64, Expected),
        given: impl Future<Output = T>,
    ) -> Result<T, FetchError> {
        let Some(within) = self.policy.pace else {
            return Ok(given.await);
        };
        let given = tokio::time::timeout_at(since + within, given).await;
        given.map_err(|_| FetchError::Slow {
            found_bytes,
            expected_bytes: expected.size_bytes,
            within,
        })
    }

    fn refused(&self, refusal: Refusal) -> FetchError {
        match refusal {
            Refusal::PrivateAddress(host) => FetchError::PrivateAddress { host },
            Refusal::Scheme(scheme) => FetchError::Scheme { scheme },
            Refusal::Redirects => FetchError::Redirects {
                limit: self.policy.redirects_max,
            },
        }
    }

    /// Names a transport error; `progress` is the download it interrupted, once the body had begun.
    fn failed(&self, error: &reqwest::Error, progress: Option<(Expected, u64)>) -> FetchError {
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if let Some(refusal) = cause.downcast_ref::<Refusal>() {
                return self.refused(match refusal {
                    Refusal::PrivateAddress(host) => Refusal::PrivateAddress(host.clone()),
                    Refusal::Scheme(scheme) => Refusal::Scheme(scheme.clone()),
                    Refusal::Redirects => Refusal::Redirects,
                });
            }
            source = cause.source();
        }
        if error.is_timeout() {
            let timeout = if error.is_connect() {
                self.policy.connect_timeout
            } else {
                self.policy.timeout
            };
            return FetchError::TimedOut { timeout };
        }
        match progress {
            Some((expected, found_bytes)) => FetchError::Truncated {
                expected_bytes: expected.size_bytes,
                found_bytes,
            },
            None => FetchError::Unreachable {
                reason: http::explain(error),
            },
        }
    }
}

/// A response being read.
struct Download {
    fetcher: Fetcher,
    response: reqwest::Response,
    expected: Expected,
    found_bytes: u64,
    /// When the mebibyte that is awaited began, and how many bytes had come then.
    paced: (Instant, u64),
}

impl Download {
    /// Pours all bytes into `sink`, exactly as many as were announced. Their hash is the sink's matter.
    async fn pour<S: Sink>(mut self, sink: S) -> Result<Pouring<S>, FetchError>
    where
        FetchError: From<S::Error>,
    {
        let mut pouring = Pouring::into(sink);
        while let Some(chunk) = self.next_chunk().await? {
            pouring = pouring.push(&chunk).await?;
        }
        if self.found_bytes < self.expected.size_bytes {
            return Err(FetchError::TooSmall {
                expected_bytes: self.expected.size_bytes,
                found_bytes: self.found_bytes,
            });
        }
        Ok(pouring)
    }

    /// The next bytes, counted.
    async fn next_chunk(
        &mut self,
    ) -> Result<Option<impl AsRef<[u8]> + std::ops::Deref<Target = [u8]>>, FetchError> {
        let progress = Some((self.expected, self.found_bytes));
        let fetcher = self.fetcher.clone();
        let place = (self.found_bytes, self.expected);
        let chunk = fetcher.paced(self.paced.0, place, self.response.chunk());
        let chunk = chunk.await?.map_err(|error| fetcher.failed(&error, progress))?;
        if let Some(bytes) = &chunk {
            self.found_bytes = self.found_bytes.saturating_add(bytes.len() as u64);
            if self.found_bytes - self.paced.1 >= PACE_BYTES {
                self.paced = (Instant::now(), self.found_bytes);
            }
            if self.found_bytes > self.expected.size_bytes {
                return Err(FetchError::TooLarge {
                    found: None,
                    limit_bytes: self.expected.size_bytes,
                });
            }
        }
        Ok(chunk)
    }
}
