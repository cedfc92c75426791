//! Objects in buckets: `s3://BUCKET/KEY`, `gs://BUCKET/KEY`, where KEY is an object, a prefix, or a glob.
//!
//! A store is asked as any other server is, at addresses that are signed for an hour, so that ranges, tags,
//! pauses and faults are the same for all. What is not ours is how they are signed, and the lists (rusty-s3).
//! Google's store answers to the same interface; there a token says who asks.
//!
//! Credentials come from the environment by the names that the stores' own tools give them. Without any,
//! nothing is signed, as public buckets are read; the metadata service of a cloud's machine is not asked.

use std::{fmt, io, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use glob::{MatchOptions, Pattern};
use reqwest::header::{AUTHORIZATION, HeaderName};
use rusty_s3::{
    Bucket as Signer, Credentials, S3Action as _, UrlStyle,
    actions::{ListObjectsV2, list_objects_v2::ListObjectsContent},
};
use soma_data::{FILES_MAX, Found, Object, Provenance, Remote, RemoteFile};
use url::Url;

use crate::{
    fault::Fault,
    fetch::{Answer, Fetch, Patience, retried},
    http::{Clients, HttpFile, accepted, is_private},
    transfer::{Reach, Transfer},
    worker::Worker,
};

/// How long an address is good for: each request has its own.
const SIGNED: Duration = Duration::from_secs(3600);
/// Lists of a thousand keys each.
const PAGES_MAX: usize = 10_000;
/// The longest list that is read.
const LIST_BYTES_MAX: usize = 16 << 20;
/// The longest object that is read at once.
const WHOLE_BYTES_MAX: usize = 64 << 20;
/// How keys and patterns compare: `*` stays within a folder.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};
/// What Google's store calls the same list.
const GOOGLES_NAMESPACE: &str = "http://doc.s3.amazonaws.com/2006-03-01";
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
const S3_REMEDY: &str = "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary ones, AWS_SESSION_TOKEN to \
                         credentials that may read it and have not expired, and AWS_REGION to the bucket's; `aws configure \
                         export-credentials --format env` prints those of a profile or a machine";
const GS_REMEDY: &str = "set GOOGLE_OAUTH_ACCESS_TOKEN to a token that may read it and has not expired; `gcloud auth \
                         print-access-token` prints one, for an hour";

/// Settings of a store, by the names of its environment variables.
pub type Settings = Vec<(String, String)>;

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Amazon's, and all that speak like it: R2, MinIO, Ceph.
    S3,
    /// Google's store.
    Gs,
}

/// A bucket.
#[derive(Clone)]
pub struct Bucket {
    signer: Signer,
    credentials: Option<Credentials>,
    headers: Vec<(HeaderName, String)>,
    clients: Clients,
    patience: Patience,
    scheme: &'static str,
    remedy: &'static str,
}

impl fmt::Debug for Bucket {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.signer.name())
    }
}

impl Bucket {
    /// The bucket of that name.
    ///
    /// # Errors
    /// If the settings make no sense.
    pub fn open(
        kind: Kind,
        name: &str,
        settings: &Settings,
        clients: Clients,
        patience: Patience,
    ) -> Result<Self, Fault> {
        let get = |wanted: &[&str]| {
            let find = |wanted: &&str| settings.iter().find(|(name, _)| name == wanted);
            wanted.iter().find_map(find).map(|(_, value)| value.as_str())
        };
        let (endpoint, region) = match kind {
            Kind::S3 => {
                let region = get(&["AWS_REGION", "AWS_DEFAULT_REGION"]).unwrap_or("us-east-1");
                let named = get(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]).map(str::to_owned);
                let endpoint = named.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
                (endpoint, region)
            }
            Kind::Gs => {
                let endpoint = get(&["GOOGLE_BASE_URL"]).unwrap_or("https://storage.googleapis.com");
                (endpoint.to_owned(), "auto")
            }
        };
        let endpoint = Url::parse(&endpoint)
            .map_err(|error| Fault::Setting(format!("the store's endpoint is no address: {error}")))?;
        let (mut credentials, mut headers) = (None, Vec::new());
        match kind {
            Kind::S3 => match (get(&["AWS_ACCESS_KEY_ID"]), get(&["AWS_SECRET_ACCESS_KEY"])) {
                (Some(key), Some(secret)) => {
                    credentials = Some(match get(&["AWS_SESSION_TOKEN"]) {
                        Some(token) => Credentials::new_with_token(key, secret, token),
                        None => Credentials::new(key, secret),
                    });
                }
                (None, None) => {}
                _ => {
                    return Err(Fault::Setting(
                        "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY one is set: set both or none".into(),
                    ));
                }
            },
            Kind::Gs => {
                let token = get(&["GOOGLE_OAUTH_ACCESS_TOKEN"]);
                headers.extend(token.map(|token| (AUTHORIZATION, format!("Bearer {token}"))));
            }
        }
        let signer = Signer::new(endpoint, UrlStyle::Path, name.to_owned(), region.to_owned())
            .map_err(|error| Fault::Setting(format!("that is no bucket: {error}")))?;
        let (scheme, remedy) = match kind {
            Kind::S3 => ("s3", S3_REMEDY),
            Kind::Gs => ("gs", GS_REMEDY),
        };
        Ok(Self {
            signer,
            credentials,
            headers,
            clients,
            patience,
            scheme,
            remedy,
        })
    }

    /// The objects that a key, a prefix or a glob names, in the order of their keys.
    ///
    /// # Errors
    /// If there are none, or they cannot be listed.
    pub async fn list(&self, key: &str, worker: Arc<Worker>) -> Result<Vec<Found>, Fault> {
        let url = self.signer.base_url();
        if !self.headers.is_empty() && url.scheme() == "http" && !is_private(url).await {
            return Err(Fault::Setting(
                "the token would go to the store in clear: give https://".into(),
            ));
        }
        let is_glob = key.contains(['*', '?', '[']);
        let pattern = Pattern::new(key)
            .map_err(|error| Fault::Setting(format!("`{key}` is not a valid glob: {}", error.msg)))?;
        let prefix = key.split(['*', '?', '[']).next().unwrap_or_default();
        let mut below = key.to_owned();
        if !below.is_empty() && !below.ends_with('/') {
            below.push('/');
        }
        let is_wanted = |found: &str| {
            if is_glob {
                pattern.matches_with(found, MATCHING)
            } else {
                found == key || (found.starts_with(&below) && !is_hidden(&found[below.len()..]))
            }
        };
        let (mut found, mut token, mut pages) = (Vec::new(), None, 0);
        loop {
            let (objects, next) = match self.page(prefix, token.as_deref()).await {
                // Who may read an object may not be allowed to list them.
                Err(Fault::Refused { .. })
                    if pages == 0 && !is_glob && !key.is_empty() && !key.ends_with('/') =>
                {
                    return Ok(vec![self.found(key.to_owned(), true, None, &worker)]);
                }
                page => page?,
            };
            found.extend(objects.into_iter().filter(|object| is_wanted(&object.key)));
            pages += 1;
            if found.len() > FILES_MAX || pages > PAGES_MAX {
                return Err(Fault::Setting(
                    "there are too many objects: name a part of them".into(),
                ));
            }
            match next {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        if let Some(index) = found.iter().position(|object| object.key == key) {
            found = vec![found.swap_remove(index)];
        } else {
            // Empty objects stand for folders.
            found.retain(|object| object.size != Some(0));
        }
        if found.is_empty() {
            return Err(Fault::Absent {
                status: 404,
                remedy: "no object has that key, prefix or pattern".into(),
            });
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        let listed = found.into_iter().map(|object| {
            let is_named = is_glob || object.key == key;
            let facts = object.size.map(|size_bytes| (size_bytes, object.etag));
            self.found(object.key, is_named, facts, &worker)
        });
        Ok(listed.collect())
    }

    /// One list, and where it goes on.
    async fn page(
        &self,
        prefix: &str,
        token: Option<&str>,
    ) -> Result<(Vec<ListObjectsContent>, Option<String>), Fault> {
        let name = self.name_of(prefix);
        let body = retried(self.patience, &name, || async {
            let mut list = ListObjectsV2::new(&self.signer, self.credentials.as_ref());
            list.with_prefix(prefix);
            if let Some(token) = token {
                list.with_continuation_token(token);
            }
            self.body(&list.sign(SIGNED), LIST_BYTES_MAX).await
        });
        let body = String::from_utf8_lossy(&body.await?).replace(GOOGLES_NAMESPACE, NAMESPACE);
        let list = ListObjectsV2::parse_response(&body).map_err(|error| Fault::Answer {
            problem: error.to_string(),
        })?;
        Ok((list.contents, list.next_continuation_token))
    }

    /// An object's bytes.
    ///
    /// # Errors
    /// If it cannot be had, or is too long to be read at once.
    pub async fn get(&self, key: &str) -> Result<Vec<u8>, Fault> {
        retried(self.patience, &self.name_of(key), || self.body_of(key)).await
    }

    /// An object's address.
    fn name_of(&self, key: &str) -> String {
        format!("{self:?}/{key}")
    }

    async fn body_of(&self, key: &str) -> Result<Vec<u8>, Fault> {
        self.body(&self.address(key), WHOLE_BYTES_MAX).await
    }

    async fn body(&self, url: &Url, bytes_max: usize) -> Result<Vec<u8>, Fault> {
        let response = self.clients.get(url, &self.headers).await?;
        let mut response = accepted(response, self.remedy)
            .await
            .map_err(|fault| self.explained(fault))?;
        let mut body = Vec::new();
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| self.clients.fault(&error))?
        {
            body.extend_from_slice(&piece);
            if body.len() > bytes_max {
                return Err(Fault::Answer {
                    problem: format!("it is longer than {bytes_max} bytes"),
                });
            }
        }
        Ok(body)
    }

    fn address(&self, key: &str) -> Url {
        self.signer
            .get_object(self.credentials.as_ref(), key)
            .sign(SIGNED)
    }

    /// What a store means by statuses that say less elsewhere: a region or a token that it does not take.
    fn explained(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Status {
                status: status @ (301 | 307 | 400),
                ..
            } => Fault::Refused {
                status,
                remedy: self.remedy.into(),
            },
            fault => fault,
        }
    }

    fn found(
        &self,
        key: String,
        named: bool,
        listed: Option<(u64, Option<String>)>,
        worker: &Arc<Worker>,
    ) -> Found {
        let address = self.name_of(&key);
        Found {
            path: address.clone().into(),
            named,
            size_bytes: listed.as_ref().map(|(size_bytes, _)| *size_bytes),
            remote: Some(Remote {
                file: Arc::new(BucketFile {
                    object: ObjectAt {
                        bucket: self.clone(),
                        key,
                    },
                    listed,
                    worker: Arc::clone(worker),
                }),
                column: None,
                provenance: Arc::new(Provenance {
                    source: Some(address),
                    ..Provenance::default()
                }),
            }),
        }
    }
}

/// An object, and what a list told of it.
#[derive(Debug)]
struct BucketFile {
    object: ObjectAt,
    listed: Option<(u64, Option<String>)>,
    worker: Arc<Worker>,
}

impl RemoteFile for BucketFile {
    fn open(&self) -> io::Result<Box<dyn Object>> {
        let reach = Reach {
            fetch: Arc::new(self.object.clone()),
            worker: Arc::clone(&self.worker),
            patience: self.object.bucket.patience,
        };
        Ok(Box::new(match &self.listed {
            Some((size_bytes, tag)) => {
                Transfer::listed(reach, Some(*size_bytes), tag.clone()).held_to_its_tag()
            }
            None => Transfer::open(reach)?,
        }))
    }
}

/// An object of a bucket.
#[derive(Clone, Debug)]
struct ObjectAt {
    bucket: Bucket,
    key: String,
}

impl Fetch for ObjectAt {
    fn name(&self) -> String {
        self.bucket.name_of(&self.key)
    }

    fn get(&self, from: u64, until: Option<u64>) -> BoxFuture<'static, Result<Answer, Fault>> {
        let bucket = self.bucket.clone();
        let file = HttpFile {
            clients: bucket.clients.clone(),
            url: bucket.address(&self.key),
            headers: bucket.headers.clone(),
            remedy: bucket.remedy,
        };
        Box::pin(async move {
            file.get(from, until)
                .await
                .map_err(|fault| bucket.explained(fault))
        })
    }
}

/// Whether a key, below what was asked for, is a marker of other programs.
fn is_hidden(key: &str) -> bool {
    key.split('/').any(|part| part.starts_with(['.', '_']))
}
