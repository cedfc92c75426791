//! Data sets on a hub: `hf://datasets/OWNER/NAME[@REVISION][/PATH]`.
//!
//! Upon listing: the revision is looked up and pinned to its commit, so that all files are of one version;
//! its files are listed, page by page; and those that are read (Parquet, otherwise JSONL) are taken in the
//! order of their paths. A data set that has neither is read as the hub has converted it
//! (`/api/datasets/../parquet`).
//!
//! The token goes to the hub and nowhere else: not where it redirects to, and not where its list goes on.

use std::{fmt, io, sync::Arc};

use glob::{MatchOptions, Pattern};
use reqwest::{
    Response,
    header::{AUTHORIZATION, HeaderName, LINK},
};
use serde::{Deserialize, de::DeserializeOwned};
use soma_data::{FILES_MAX, Found, Object, Provenance, Remote, RemoteFile};
use url::Url;

use crate::{
    fault::Fault,
    fetch::{Fetch as _, Patience, retried},
    http::{Clients, HttpFile, accepted, is_private},
    presets::{known, preset},
    transfer::{Reach, Transfer},
    worker::Worker,
};

/// The hub that there is.
pub const ENDPOINT: &str = "https://huggingface.co";
/// The longest answer of the hub that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Pages of a list of files.
const PAGES_MAX: usize = 10_000;
/// How paths and patterns compare: `*` stays within a folder.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

const REFUSED_WITHOUT: &str = "the data set is gated, private or not there: accept its terms on its page, make a token \
                               under Settings, Access Tokens, and set HF_TOKEN to it";
const REFUSED_WITH: &str = "HF_TOKEN is wrong or expired, or its account has not accepted the data set's terms: see the \
                            data set's page";

/// A hub.
#[derive(Clone)]
pub struct Hub {
    /// What asks.
    pub clients: Clients,
    /// Its address.
    pub endpoint: Url,
    /// Who asks.
    pub token: Option<String>,
    /// How long it may take.
    pub patience: Patience,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint.as_str())
            .finish_non_exhaustive()
    }
}

/// A data set, and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// `OWNER/NAME`.
    pub id: String,
    /// A branch, tag or commit.
    pub revision: String,
    /// A folder, a file or a glob; empty for all.
    pub path: String,
}

impl Dataset {
    /// The data set that an address or a preset names; none if it is another's address.
    ///
    /// # Errors
    /// If it is meant for one and names none.
    pub fn parse(source: &str) -> Option<Result<Self, Fault>> {
        if let Some((preset, path)) = preset(source) {
            return Some(Ok(Self {
                id: preset.dataset.into(),
                revision: "main".into(),
                path,
            }));
        }
        let rest = source.strip_prefix("hf://")?;
        let bad = || {
            Fault::Setting(
                "a data set's address is hf://datasets/OWNER/NAME, with @REVISION and /PATH as one likes"
                    .into(),
            )
        };
        let parse = || {
            let rest = rest.strip_prefix("datasets/").ok_or_else(bad)?;
            let mut parts = rest.splitn(3, '/');
            let owner = parts.next().unwrap_or_default();
            let name = parts.next().unwrap_or_default();
            let path = parts.next().unwrap_or_default().trim_matches('/');
            let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
            let is_name = |text: &str| {
                !text.is_empty()
                    && !text.starts_with('.')
                    && text
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            };
            if !is_name(owner) || !is_name(name) || revision.is_empty() {
                return Err(bad());
            }
            Ok(Self {
                id: format!("{owner}/{name}"),
                revision: revision.into(),
                path: path.into(),
            })
        };
        Some(parse())
    }
}

/// What the hub says of a revision.
#[derive(Debug, Deserialize)]
struct Revision {
    sha: String,
    #[serde(default)]
    tags: Vec<String>,
}

/// A file or folder as the hub lists it.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    oid: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Debug, Deserialize)]
struct Lfs {
    oid: Option<String>,
    size: Option<u64>,
}

/// The hub's own conversion: configuration, split, addresses.
type Converted = std::collections::BTreeMap<String, std::collections::BTreeMap<String, Vec<String>>>;

/// A file on a hub.
struct HubFile {
    file: HttpFile,
    worker: Arc<Worker>,
    patience: Patience,
    /// None where only its address is known.
    listed: Option<(u64, Option<String>)>,
}

impl fmt::Debug for HubFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file.url.as_str())
    }
}

impl RemoteFile for HubFile {
    fn open(&self) -> io::Result<Box<dyn Object>> {
        let reach = Reach {
            fetch: Arc::new(self.file.clone()),
            worker: Arc::clone(&self.worker),
            patience: self.patience,
        };
        Ok(Box::new(match &self.listed {
            Some((size_bytes, tag)) => Transfer::listed(reach, Some(*size_bytes), tag.clone()),
            None => Transfer::open(reach)?,
        }))
    }
}

impl Hub {
    /// Whether the token may be sent there at all.
    ///
    /// # Errors
    /// If anyone on the way could read it.
    pub async fn check(&self) -> Result<(), Fault> {
        if self.token.is_some() && self.endpoint.scheme() == "http" && !is_private(&self.endpoint).await {
            return Err(Fault::Setting(
                "HF_TOKEN would go to HF_ENDPOINT in clear: give its address as https://".into(),
            ));
        }
        Ok(())
    }

    /// The files of a data set that are read.
    ///
    /// # Errors
    /// If the hub does not answer, refuses, or has none.
    pub async fn list(&self, dataset: Dataset, worker: Arc<Worker>) -> Result<Vec<Found>, Fault> {
        let Dataset { id, revision, path } = &dataset;
        let about: Revision = self
            .json(&["api", "datasets", id, "revision", revision], "")
            .await?
            .0;
        let licence = about.tags.iter().find_map(|tag| tag.strip_prefix("license:"));
        let preset = known(id);
        let licence = licence.or(preset.map(|preset| preset.licence)).map(str::to_owned);
        let provenance = Arc::new(Provenance {
            source: Some(format!("hf://datasets/{id}@{}", about.sha)),
            licence,
            ..Provenance::default()
        });
        let found = |shown: String, url: Url, listed: Option<(u64, Option<String>)>| Found {
            path: shown.into(),
            named: false,
            size_bytes: listed.as_ref().map(|(size_bytes, _)| *size_bytes),
            remote: Some(Remote {
                file: Arc::new(HubFile {
                    file: self.file(url),
                    worker: Arc::clone(&worker),
                    patience: self.patience,
                    listed,
                }),
                column: preset.map(|preset| (preset.column, preset.by_id)),
                provenance: Arc::clone(&provenance),
            }),
        };
        let mut files = Vec::new();
        for entry in self.entries(id, &about.sha, path).await? {
            let url = self.url(&["datasets", id, "resolve", &about.sha, &entry.path], "")?;
            let lfs = entry.lfs.as_ref();
            let size_bytes = lfs.and_then(|lfs| lfs.size).unwrap_or(entry.size);
            let tag = lfs.and_then(|lfs| lfs.oid.clone()).or(entry.oid);
            let shown = format!("hf://datasets/{id}/{}", entry.path);
            files.push(found(shown, url, Some((size_bytes, tag))));
        }
        if files.is_empty() {
            for (part, url) in self.converted(id, path).await? {
                files.push(found(format!("hf://datasets/{id}/{part}"), url, None));
            }
        }
        if files.is_empty() {
            let path = if path.is_empty() { "it" } else { path };
            return Err(Fault::Absent {
                status: 404,
                remedy: format!("the data set has no Parquet or JSONL in {path}"),
            });
        }
        Ok(files)
    }

    /// The files below a path that are read, in the order of their paths.
    async fn entries(&self, id: &str, sha: &str, path: &str) -> Result<Vec<Entry>, Fault> {
        let is_glob = path.contains(['*', '?', '[']);
        let pattern = Pattern::new(path)
            .map_err(|error| Fault::Setting(format!("`{path}` is not a valid glob: {}", error.msg)))?;
        // The folder that is listed: the path itself, or the last one that it names without a doubt.
        let literal = path.split('/').take_while(|part| !part.contains(['*', '?', '[']));
        let mut folder: Vec<&str> = literal.filter(|part| !part.is_empty()).collect();
        let is_file = !is_glob && rank(path).is_some();
        if is_file {
            folder.pop();
        }
        let mut parts = vec!["api", "datasets", id, "tree", sha];
        let below = folder.join("/");
        if !below.is_empty() {
            parts.push(&below);
        }
        let mut url = Some(self.url(&parts, "recursive=true")?);
        let (mut found, mut pages) = (Vec::new(), 0);
        while let Some(page) = url.take() {
            let listed: Result<(Vec<Entry>, Option<Url>), Fault> = self.json_at(page).await;
            let (entries, next) = match listed {
                // A folder that is not there may be one of the hub's conversion.
                Err(Fault::Absent { .. }) if pages == 0 => return Ok(Vec::new()),
                listed => listed?,
            };
            found.extend(entries.into_iter().filter(|entry| {
                entry.kind == "file"
                    && rank(&entry.path).is_some()
                    && if is_glob {
                        pattern.matches_with(&entry.path, MATCHING)
                    } else {
                        !is_file || entry.path == path
                    }
            }));
            pages += 1;
            if found.len() > FILES_MAX || pages > PAGES_MAX {
                return Err(Fault::Setting(
                    "the data set has too many files: name a folder of it".into(),
                ));
            }
            url = next;
        }
        // A data set in several forms is read in one.
        let best = found.iter().filter_map(|entry| rank(&entry.path)).min();
        found.retain(|entry| rank(&entry.path) == best);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// The files that the hub has made of a data set: all, or a configuration's, or a split's of it.
    async fn converted(&self, id: &str, path: &str) -> Result<Vec<(String, Url)>, Fault> {
        let all = self
            .json::<Converted>(&["api", "datasets", id, "parquet"], "")
            .await;
        let (all, _) = match all {
            Err(Fault::Absent { .. }) => return Ok(Vec::new()),
            all => all?,
        };
        let mut files = Vec::new();
        for (config, splits) in all {
            for (split, urls) in splits {
                let part = format!("{config}/{split}");
                if path.is_empty() || path == config || path == part {
                    for (index, url) in urls.iter().enumerate() {
                        let url = self.endpoint.join(url).map_err(|error| Fault::Answer {
                            problem: format!("a file of its has no address: {error}"),
                        })?;
                        files.push((format!("{part}/{index}.parquet"), url));
                    }
                }
            }
        }
        Ok(files)
    }

    /// An address of the hub.
    fn url(&self, parts: &[&str], query: &str) -> Result<Url, Fault> {
        let mut url = self.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            let parts = parts.iter().flat_map(|part| part.split('/'));
            segments.pop_if_empty().extend(parts);
        } else {
            let endpoint = &self.endpoint;
            return Err(Fault::Setting(format!("HF_ENDPOINT is no address: {endpoint}")));
        }
        url.set_query((!query.is_empty()).then_some(query));
        Ok(url)
    }

    async fn json<T: DeserializeOwned>(
        &self,
        parts: &[&str],
        query: &str,
    ) -> Result<(T, Option<Url>), Fault> {
        self.json_at(self.url(parts, query)?).await
    }

    /// An answer of the hub, and where it goes on.
    async fn json_at<T: DeserializeOwned>(&self, url: Url) -> Result<(T, Option<Url>), Fault> {
        let file = self.file(url);
        retried(self.patience, &file.name(), || async {
            let response = self.clients.get(&file.url, &file.headers).await?;
            let mut response = accepted(response, file.remedy).await?;
            let next = next_page(&response, &file.url)?;
            let mut body = Vec::new();
            while let Some(piece) = response
                .chunk()
                .await
                .map_err(|error| self.clients.fault(&error))?
            {
                body.extend_from_slice(&piece);
                if body.len() > ANSWER_BYTES_MAX {
                    return Err(Fault::Answer {
                        problem: format!("it is longer than {ANSWER_BYTES_MAX} bytes"),
                    });
                }
            }
            let value = serde_json::from_slice(&body).map_err(|error| Fault::Answer {
                problem: error.to_string(),
            })?;
            Ok((value, next))
        })
        .await
    }

    /// A file at an address, asked for as whoever has the token, if the address is the hub's.
    fn file(&self, url: Url) -> HttpFile {
        let token = self
            .token
            .as_ref()
            .filter(|_| url.origin() == self.endpoint.origin());
        let headers: Vec<(HeaderName, String)> = token
            .map(|token| (AUTHORIZATION, format!("Bearer {token}")))
            .into_iter()
            .collect();
        HttpFile {
            clients: self.clients.clone(),
            url,
            remedy: if headers.is_empty() {
                REFUSED_WITHOUT
            } else {
                REFUSED_WITH
            },
            headers,
        }
    }
}

/// The forms that data sets are read in, the best first.
fn rank(path: &str) -> Option<u8> {
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.starts_with('.') {
        return None;
    }
    let stem = name
        .strip_suffix(".gz")
        .or_else(|| name.strip_suffix(".zst"))
        .unwrap_or(name);
    if name.ends_with(".parquet") {
        Some(0)
    } else if stem.ends_with(".jsonl") || stem.ends_with(".ndjson") {
        Some(1)
    } else {
        None
    }
}

/// Where a list goes on: `Link: <..>; rel="next"`. Never on another server, which would be sent the token.
fn next_page(response: &Response, url: &Url) -> Result<Option<Url>, Fault> {
    let links = response
        .headers()
        .get_all(LINK)
        .iter()
        .filter_map(|link| link.to_str().ok());
    let mut links = links.flat_map(|link| link.split(','));
    let next = links.find_map(|link| {
        let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
        rest.contains("rel=\"next\"").then_some(target)
    });
    let Some(next) = next else {
        return Ok(None);
    };
    let next = url.join(next).map_err(|error| Fault::Answer {
        problem: format!("its next page is no address: {error}"),
    })?;
    if next.origin() != url.origin() {
        return Err(Fault::Answer {
            problem: "its list goes on at another server".into(),
        });
    }
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_data_sets() {
        let of = |source: &str| Dataset::parse(source).map(|dataset| dataset.unwrap());
        let dataset = |id: &str, revision: &str, path: &str| {
            Some(Dataset {
                id: id.into(),
                revision: revision.into(),
                path: path.into(),
            })
        };
        assert_eq!(of("hf://datasets/a/b"), dataset("a/b", "main", ""));
        assert_eq!(
            of("hf://datasets/a/b@v1/c/d.parquet"),
            dataset("a/b", "v1", "c/d.parquet")
        );
        assert_eq!(
            of("fineweb"),
            dataset("HuggingFaceFW/fineweb", "main", "sample/10BT")
        );
        assert_eq!(of("s3://a/b"), None);
        for bad in [
            "hf://a/b",
            "hf://datasets/a",
            "hf://datasets/../b",
            "hf://datasets/a/b@",
            "hf://datasets/a/b%2f",
        ] {
            assert!(
                matches!(Dataset::parse(bad), Some(Err(Fault::Setting(_)))),
                "{bad}"
            );
        }
    }

    #[test]
    fn data_is_known_by_its_ending() {
        assert_eq!(rank("data/train-0.parquet"), Some(0));
        assert_eq!(rank("a.jsonl.zst"), Some(1));
        for path in ["README.md", ".gitattributes", "a/.hidden.parquet", "x.csv", ""] {
            assert_eq!(rank(path), None, "{path}");
        }
    }
}
