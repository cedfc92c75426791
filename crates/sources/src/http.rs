//! Files at http(s) addresses, with ranges where the server has them.
//!
//! # Which addresses
//!
//! A source that a person types may be in their own network, and is read there. A server on the public
//! Internet gets no further: redirects of its, and what names resolve to then, must be public
//! ([`soma_blobs::guard`]), so that a stranger's file cannot lead into the network of whoever trains on it.
//! Behind a proxy, which resolves names itself, addresses alone are held to this.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use reqwest::{
    Client, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
        LAST_MODIFIED, RANGE, RETRY_AFTER,
    },
    redirect::Policy,
};
use soma_blobs::{
    guard::{PublicResolver, Refusal, admit, is_public},
    http::{client_builder, explain},
};
use soma_types::text::printable;
use tokio::net::lookup_host;
use url::{Host, Url};

use crate::{
    fault::Fault,
    fetch::{Answer, Facts, Fetch, Patience},
    worker::Pieces,
};

/// Redirects that are followed: the hub points to a store, which may point to a cache.
const REDIRECTS_MAX: usize = 5;
/// Environment variables that name a proxy.
const PROXIES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

/// The clients of this process: for public servers, and for those of one's own network.
#[derive(Clone, Debug)]
pub struct Clients {
    public: Client,
    private: Client,
    patience: Patience,
}

impl Clients {
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(patience: Patience) -> Result<Self, Fault> {
        let build = |guarded: bool, redirects: Policy| {
            let setting = |error: &dyn std::error::Error| Fault::Setting(explain(error));
            let mut builder = client_builder()
                .map_err(|error| setting(&error))?
                .redirect(redirects)
                .referer(false)
                .connect_timeout(patience.connect)
                .read_timeout(patience.idle);
            if guarded {
                builder = builder.dns_resolver(Arc::new(PublicResolver));
            }
            builder.build().map_err(|error| setting(&error))
        };
        let has_proxy = PROXIES.iter().any(|name| std::env::var_os(name).is_some());
        Ok(Self {
            public: build(!has_proxy, redirects(false))?,
            private: build(false, redirects(true))?,
            patience,
        })
    }

    /// The client for a server that was named.
    async fn of(&self, url: &Url) -> &Client {
        if is_private(url).await {
            &self.private
        } else {
            &self.public
        }
    }

    /// A server's answer to GET, whatever its status.
    ///
    /// # Errors
    /// If there is none.
    pub async fn get(&self, url: &Url, headers: &[(HeaderName, String)]) -> Result<Response, Fault> {
        let client = self.of(url).await;
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.send().await.map_err(|error| self.fault(&error))
    }

    /// What a transport's error means.
    pub fn fault(&self, error: &reqwest::Error) -> Fault {
        fault(error, self.patience)
    }
}

/// What a transport's error means.
fn fault(error: &reqwest::Error, patience: Patience) -> Fault {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        match cause.downcast_ref::<Refusal>() {
            Some(Refusal::PrivateAddress(host)) => return Fault::Private { host: host.clone() },
            Some(Refusal::Scheme(scheme)) => {
                return Fault::Scheme {
                    scheme: scheme.clone(),
                };
            }
            Some(Refusal::Redirects) => return Fault::Redirects { limit: REDIRECTS_MAX },
            None => source = cause.source(),
        }
    }
    if error.is_timeout() {
        let waited = if error.is_connect() {
            patience.connect
        } else {
            patience.idle
        };
        return Fault::TimedOut { waited };
    }
    if error.is_body() || error.is_decode() {
        return Fault::Cut {
            found_bytes: 0,
            expected_bytes: None,
        };
    }
    Fault::Unreachable {
        reason: explain(error),
    }
}

fn redirects(private_addresses: bool) -> Policy {
    Policy::custom(move |attempt| {
        // `previous` starts with the address asked for.
        if attempt.previous().len() > REDIRECTS_MAX {
            return attempt.error(Refusal::Redirects);
        }
        match admit(attempt.url(), private_addresses) {
            Ok(()) => attempt.follow(),
            Err(refusal) => attempt.error(refusal),
        }
    })
}

/// Whether a server is in one's own network.
pub async fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => !is_public(address.into()),
        Some(Host::Ipv6(address)) => !is_public(address.into()),
        Some(Host::Domain(name)) => match lookup_host((name, 0)).await {
            Ok(mut addresses) => addresses.any(|address| !is_public(address.ip())),
            // The request will say what is wrong.
            Err(_) => false,
        },
        None => false,
    }
}

/// A file at an address.
#[derive(Clone, Debug)]
pub struct HttpFile {
    /// What asks for it.
    pub clients: Clients,
    /// Its address.
    pub url: Url,
    /// What is sent along.
    pub headers: Vec<(HeaderName, String)>,
    /// What to do if access is refused.
    pub remedy: &'static str,
}

impl Fetch for HttpFile {
    /// Without its query, which may be a signature.
    fn name(&self) -> String {
        let mut shown = self.url.clone();
        shown.set_query(None);
        printable(shown.as_str()).into_owned()
    }

    fn get(&self, from: u64, until: Option<u64>) -> BoxFuture<'static, Result<Answer, Fault>> {
        let file = self.clone();
        async move {
            let mut headers = file.headers.clone();
            // Asked for even from 0 on: the answer tells whether parts can be had.
            let last = until.map_or_else(String::new, |until| until.saturating_sub(1).to_string());
            headers.push((RANGE, format!("bytes={from}-{last}")));
            let response = file.clients.get(&file.url, &headers).await?;
            if response.status() == StatusCode::RANGE_NOT_SATISFIABLE && from == 0 {
                // An empty file has no part at all.
                return file.whole_of_empty().await;
            }
            let response = accepted(response, file.remedy).await?;
            file.answer(response, from)
        }
        .boxed()
    }
}

impl HttpFile {
    async fn whole_of_empty(&self) -> Result<Answer, Fault> {
        let response = self.clients.get(&self.url, &self.headers).await?;
        self.answer(accepted(response, self.remedy).await?, 0)
    }

    fn answer(&self, response: Response, from: u64) -> Result<Answer, Fault> {
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        if let Some(kind) = text(CONTENT_TYPE)
            && kind.starts_with("text/html")
            && !is_page(&self.url)
        {
            return Err(Fault::Page { kind: kind.into() });
        }
        let is_named_packed = self.url.path().ends_with(".gz");
        let is_packed = text(CONTENT_ENCODING) == Some("gzip") && !is_named_packed;
        let tag = text(ETAG).or_else(|| text(LAST_MODIFIED)).map(str::to_owned);
        let (size_bytes, start, has_parts) = if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = text(CONTENT_RANGE).and_then(content_range);
            let (start, size_bytes) = range.ok_or_else(|| Fault::WrongPart {
                problem: "it does not say which".into(),
            })?;
            (size_bytes, start, true)
        } else {
            let length = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
            (length, 0, false)
        };
        if start != from && start != 0 {
            return Err(Fault::WrongPart {
                problem: format!("from byte {start}, not {from}"),
            });
        }
        let clients = self.clients.clone();
        Ok(Answer {
            facts: Facts {
                size_bytes,
                tag,
                has_parts,
                is_packed,
            },
            from: start,
            pieces: pieces(response, clients),
        })
    }
}

/// A body's pieces.
fn pieces(response: Response, clients: Clients) -> Pieces {
    futures::stream::try_unfold(response, move |mut response| {
        let clients = clients.clone();
        async move {
            let piece = response.chunk().await.map_err(|error| clients.fault(&error))?;
            Ok(piece.map(|piece| (piece, response)))
        }
    })
    .boxed()
}

/// Where a part starts, and the size of the whole, if it says so: `bytes 0-9/100`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    let size_bytes = if size == "*" {
        None
    } else {
        Some(size.parse().ok()?)
    };
    Some((start.parse().ok()?, size_bytes))
}

/// Whether what is asked for may be a web page.
fn is_page(url: &Url) -> bool {
    let name = url.path().rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    !matches!(
        ending,
        Some("parquet" | "jsonl" | "ndjson" | "gz" | "zst" | "txt" | "json")
    )
}

/// A response with a body of data; what else it may be is a fault.
pub async fn accepted(response: Response, remedy: &str) -> Result<Response, Fault> {
    let status = response.status();
    match status.as_u16() {
        200 | 206 => Ok(response),
        status @ (401 | 403) => Err(Fault::Refused {
            status,
            remedy: remedy.into(),
        }),
        status @ (404 | 410) => Err(Fault::Absent {
            status,
            remedy: String::new(),
        }),
        status @ (408 | 429 | 500 | 502 | 503 | 504) => {
            let after = response.headers().get(RETRY_AFTER);
            let seconds = after.and_then(|after| after.to_str().ok()?.trim().parse().ok());
            Err(Fault::Busy {
                status,
                after: seconds.map(Duration::from_secs),
            })
        }
        416 => Err(Fault::Changed),
        status => Err(Fault::Status {
            status,
            reason: String::new(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_they_are_written() {
        assert_eq!(content_range("bytes 0-9/100"), Some((0, Some(100))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for text in ["", "bytes */100", "bytes 0-9", "items 0-9/100", "bytes x-9/100"] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
