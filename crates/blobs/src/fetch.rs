//! Downloads from hosts nobody trusts.
//!
//! Upon a fetch of (URL, [`Expected`]): the bytes that hash to what was announced, as a [`Blob`] or in a
//! [`Store`], or an error that names what the host did instead.
//!
//! # Bounds
//!
//! Size: the announced length, and never more than the policy's cap; `Content-Length` is checked before a
//! byte is read, and what streams in is counted, since a host may leave the header out or lie. Time: one
//! limit from connecting to the last byte, so a host that trickles is cut off. Redirects: counted, and each
//! is held to the same rules. Memory: a piece; the rest goes to a disk.
//!
//! # Failures
//!
//! A URL on chain is written by a stranger, and a node that fetches it acts on the stranger's behalf inside
//! its operator's network. Unless the policy allows it (localnets), loopback, private, link-local and other
//! non-public addresses are refused, in the URL, after every redirect, and in what names resolve to: the
//! check sits in the resolver, so a name cannot change its mind between check and connection. Proxies are
//! never used, as they would resolve names themselves. No cookies, no credentials, no compression.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy as RedirectPolicy,
};
use soma_files::FileError;
use soma_types::ContentHash;
use url::{Host, Url};

use crate::{
    blob::{Blob, BlobWriter, Expected, Mismatch},
    http::{self, HttpError},
    pouring::{Pouring, Sink},
    store::{Store, StoreError},
};

/// What a fetcher permits.
#[derive(Clone, Debug)]
pub struct FetchPolicy {
    /// Longest blob, in bytes, whatever was announced.
    pub size_bytes_max: u64,
    /// From connecting to the last byte.
    pub timeout: Duration,
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
            connect_timeout: Duration::from_secs(5),
            redirects_max: 3,
            private_addresses: false,
        }
    }
}

/// Why a fetch failed: what the host did.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No client could be built.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Not an HTTP URL.
    #[error("only http and https are fetched, not `{scheme}`")]
    Scheme {
        /// The URL's scheme.
        scheme: String,
    },
    /// The host is not on the public Internet.
    #[error("`{host}` is not a public address, and this network does not allow others")]
    PrivateAddress {
        /// The host in the URL.
        host: String,
    },
    /// The announced size is past the cap.
    #[error("{announced_bytes} bytes were announced; at most {limit_bytes} are fetched")]
    AnnouncedTooLarge {
        /// Size announced on chain.
        announced_bytes: u64,
        /// The policy's cap.
        limit_bytes: u64,
    },
    /// The host sends more than announced.
    #[error("the host sends {}, not the {limit_bytes} announced", found.map_or("more bytes".to_owned(), |found| format!("{found} bytes")))]
    TooLarge {
        /// `Content-Length`, if that gave it away.
        found: Option<u64>,
        /// Size announced on chain.
        limit_bytes: u64,
    },
    /// The host has fewer bytes than announced.
    #[error("the host has {found_bytes} bytes, not the {expected_bytes} announced")]
    TooSmall {
        /// Size announced on chain.
        expected_bytes: u64,
        /// Bytes that it has.
        found_bytes: u64,
    },
    /// The host hung up before it was done.
    #[error("the host hung up after {found_bytes} of {expected_bytes} bytes")]
    Truncated {
        /// Size announced on chain.
        expected_bytes: u64,
        /// Bytes that came.
        found_bytes: u64,
    },
    /// The bytes are others.
    #[error("the bytes hash to {found}, not to {expected}")]
    WrongHash {
        /// Hash announced on chain.
        expected: ContentHash,
        /// Hash of what came.
        found: ContentHash,
    },
    /// The host answered with something else than the bytes.
    #[error("the host answered {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The time ran out.
    #[error("the host did not deliver within {} s", timeout.as_secs_f32())]
    TimedOut {
        /// The policy's limit.
        timeout: Duration,
    },
    /// The host keeps pointing elsewhere.
    #[error("the host redirects more than {limit} times")]
    Redirects {
        /// The policy's limit.
        limit: usize,
    },
    /// No connection, or none that lasted.
    #[error("the host cannot be reached: {reason}")]
    Unreachable {
        /// The transport's words.
        reason: String,
    },
    /// The store took no more.
    #[error(transparent)]
    Store(StoreError),
    /// This machine's disk took no more.
    #[error(transparent)]
    Disk(#[from] FileError),
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::WrongHash { expected, found } => Self::WrongHash { expected, found },
            error => Self::Store(error),
        }
    }
}

impl From<Mismatch> for FetchError {
    fn from(mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::Hash { expected, found } => Self::WrongHash { expected, found },
            Mismatch::Size {
                expected_bytes,
                found_bytes,
                ..
            } => Self::TooSmall {
                expected_bytes,
                found_bytes,
            },
        }
    }
}

impl FetchError {
    /// Whether the host delivered, but something else than was announced: another size or other bytes.
    /// Otherwise nothing is known of what it has.
    pub fn is_mismatch(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. } | Self::TooSmall { .. } | Self::WrongHash { .. }
        )
    }
}

/// Refusals made inside `reqwest`, found again in its error's sources.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("`{0}` is not a public address")]
    PrivateAddress(String),
    #[error("scheme `{0}`")]
    Scheme(String),
    #[error("too many redirects")]
    Redirects,
}

/// Fetches blobs under one policy. Clones share connections.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: reqwest::Client,
    policy: FetchPolicy,
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
        Ok(Self { client, policy })
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

    /// The blob at `url`, into `store`. Nothing is kept unless it is what was announced.
    ///
    /// # Errors
    /// When the host is not to be asked, does not give all of it in time, or gives something else; when the
    /// store has no room.
    pub async fn fetch_into(&self, url: &Url, expected: Expected, store: &Store) -> Result<(), FetchError> {
        if store.contains(&expected.hash) {
            return Ok(());
        }
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
        let response = self
            .client
            .get(url.clone())
            .send()
            .await
            .map_err(|error| self.failed(&error, None))?;
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
        let chunk = self
            .response
            .chunk()
            .await
            .map_err(|error| self.fetcher.failed(&error, progress))?;
        if let Some(bytes) = &chunk {
            self.found_bytes = self.found_bytes.saturating_add(bytes.len() as u64);
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

/// Whether `url` may be asked at all.
fn admit(url: &Url, private_addresses: bool) -> Result<(), Refusal> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refusal::Scheme(url.scheme().to_owned()));
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        // Names are judged by what they resolve to.
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err(Refusal::PrivateAddress(String::new())),
    };
    if private_addresses || is_public(address) {
        return Ok(());
    }
    Err(Refusal::PrivateAddress(address.to_string()))
}

/// Resolves names to public addresses only.
struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Refusal::PrivateAddress(name.as_str().to_owned()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is on the public Internet (IANA special-purpose registries, RFC 6890 and successors).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0 // this network
        || a >= 240 // reserved, broadcast
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 198 && (18..20).contains(&b)); // benchmarks
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Forms that carry an IPv4 address are judged by it.
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    if a == 0x64 && b == 0xff9b {
        let [.., high, low] = address.segments();
        let [c, d] = high.to_be_bytes();
        let [e, f] = low.to_be_bytes();
        return is_public_v4(Ipv4Addr::new(c, d, e, f));
    }
    // Only 2000::/3 is global unicast; of it, not 2001::/23 (Teredo and other protocols), documentation
    // (2001:db8::/32, 3fff::/20) or 6to4.
    let global = a & 0xe000 == 0x2000;
    let special = (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || (a == 0x3fff && b < 0x1000) || a == 0x2002;
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "198.20.0.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn odd_spellings_of_loopback_are_seen_through() {
        // The URL standard normalises these to 127.0.0.1 before the check sees them.
        for text in [
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
        ] {
            let url = Url::parse(text).unwrap();
            assert!(
                matches!(admit(&url, false), Err(Refusal::PrivateAddress(_))),
                "{text}"
            );
            assert!(admit(&url, true).is_ok());
        }
    }
}
