//! Sources beyond this machine's text, behind the one reader ([`soma_data`]): Parquet, http(s), S3 and GCS,
//! data sets of the hub, and those that people train on by name.
//!
//! | source | what it is |
//! |---|---|
//! | `https://..`, `http://..` | one file at an address |
//! | `s3://BUCKET/KEY`, `gs://BUCKET/KEY` | an object, a prefix, or a glob |
//! | `hf://datasets/OWNER/NAME[@REVISION][/PATH]` | a data set of the hub, or a folder, file or glob of it |
//! | `fineweb`, `the-stack-v2`, .. ([`PRESETS`]) | a data set by its name, with a part: `fineweb/sample/100BT` |
//!
//! A crate of its own, so that programs which read text alone carry neither Parquet nor the stores'
//! libraries. Decoders are synchronous and read from a seam ([`soma_data::Object`]); behind it, transfers run
//! on one thread of their own, some pieces ahead of their reader, and are taken up where they stopped.
#![forbid(unsafe_code)]

mod bucket;
mod column;
mod contents;
mod fault;
mod fetch;
mod flat;
mod footer;
mod http;
mod hub;
mod presets;
mod table;
mod transfer;
mod worker;

use std::{
    fmt, io,
    path::Path,
    sync::{Arc, OnceLock},
};

use soma_data::{
    Cursor, DataError, Documents, Found, Object, Place, Provenance, Reading, Remote, RemoteFile, Rows, Rules,
    Store, Want, read_from,
};
use url::Url;

use self::{
    bucket::{Bucket, Kind},
    contents::Contents,
    http::{Clients, HttpFile},
    hub::{Dataset, Hub},
    table::Table,
    transfer::{Reach, Transfer},
    worker::Worker,
};

pub use self::{
    fault::Fault,
    fetch::Patience,
    flat::{ColumnKind, Flat, FlatRows, NamedColumn, write_flat},
    presets::{PRESETS, Preset},
};

const HTTP_REMEDY: &str = "the server wants to know who asks, which is not supported for plain addresses: use one that \
                           needs no login, such as a signed one";

/// Who asks, and whom.
#[derive(Clone, Default)]
pub struct Settings {
    /// The hub, if not the usual one: `HF_ENDPOINT`.
    pub hub: Option<String>,
    /// Who asks the hub: `HF_TOKEN`.
    pub token: Option<String>,
    /// Settings of S3 and GCS by the names of their environment variables: `AWS_*`, `GOOGLE_*`.
    pub stores: Vec<(String, String)>,
    /// How long things may take.
    pub patience: Patience,
}

impl fmt::Debug for Settings {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("hub", &self.hub)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// As the environment says.
    pub fn from_env() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let stores = std::env::vars_os().filter_map(|(name, value)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            let is_ours = name.starts_with("AWS_") || name.starts_with("GOOGLE_");
            (is_ours && !value.is_empty()).then_some((name, value))
        });
        Self {
            hub: text("HF_ENDPOINT"),
            token: text("HF_TOKEN").map(|token| token.trim().to_owned()),
            stores: stores.collect(),
            patience: Patience::default(),
        }
    }
}

/// Everything that is read beyond text on this machine.
#[derive(Debug)]
pub struct Sources {
    settings: Settings,
    /// Made when the first address is met.
    network: OnceLock<Network>,
}

#[derive(Clone, Debug)]
struct Network {
    worker: Arc<Worker>,
    clients: Clients,
}

impl Sources {
    /// Sources as `settings` say.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            network: OnceLock::new(),
        }
    }

    fn network(&self) -> Result<&Network, Fault> {
        if let Some(network) = self.network.get() {
            return Ok(network);
        }
        let worker =
            Worker::start().map_err(|error| Fault::Setting(format!("no thread for transfers: {error}")))?;
        let network = Network {
            worker: Arc::new(worker),
            clients: Clients::new(self.settings.patience)?,
        };
        Ok(self.network.get_or_init(|| network))
    }

    fn found(&self, source: &str) -> Result<Option<Vec<Found>>, Fault> {
        if let Some(dataset) = Dataset::parse(source) {
            return self.data_set(dataset?).map(Some);
        }
        let Some((scheme, rest)) = source.split_once("://") else {
            return Ok(None);
        };
        match scheme {
            "http" | "https" => self.address(source).map(|found| Some(vec![found])),
            "s3" => self.objects(Kind::S3, rest).map(Some),
            "gs" | "gcs" => self.objects(Kind::Gs, rest).map(Some),
            _ => Ok(None),
        }
    }

    fn data_set(&self, dataset: Dataset) -> Result<Vec<Found>, Fault> {
        let network = self.network()?;
        let endpoint = self.settings.hub.as_deref().unwrap_or(hub::ENDPOINT);
        let endpoint = Url::parse(endpoint)
            .map_err(|error| Fault::Setting(format!("HF_ENDPOINT is no address: {error}")))?;
        let hub = Hub {
            clients: network.clients.clone(),
            endpoint,
            token: self.settings.token.clone(),
            patience: self.settings.patience,
        };
        let worker = Arc::clone(&network.worker);
        network.worker.wait(async move {
            hub.check().await?;
            hub.list(dataset, worker).await
        })
    }

    fn address(&self, source: &str) -> Result<Found, Fault> {
        let url =
            Url::parse(source).map_err(|error| Fault::Setting(format!("this is no address: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Fault::Setting(
                "an address with a password in it would be shown with it: use one without".into(),
            ));
        }
        let network = self.network()?;
        let file = HttpFile {
            clients: network.clients.clone(),
            url,
            headers: Vec::new(),
            remedy: HTTP_REMEDY,
        };
        let reach = Reach {
            fetch: Arc::new(file),
            worker: Arc::clone(&network.worker),
            patience: self.settings.patience,
        };
        Ok(Found {
            path: source.into(),
            named: true,
            size_bytes: None,
            remote: Some(Remote {
                file: Arc::new(Address(reach)),
                column: None,
                provenance: Arc::new(Provenance {
                    source: Some(source.to_owned()),
                    ..Provenance::default()
                }),
            }),
        })
    }

    fn bucket(&self, kind: Kind, name: &str) -> Result<Bucket, Fault> {
        let clients = self.network()?.clients.clone();
        Bucket::open(kind, name, &self.settings.stores, clients, self.settings.patience)
    }

    fn objects(&self, kind: Kind, rest: &str) -> Result<Vec<Found>, Fault> {
        let (name, key) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() {
            return Err(Fault::Setting(
                "an address in a store is s3://BUCKET/KEY or gs://BUCKET/KEY".into(),
            ));
        }
        let (bucket, key) = (self.bucket(kind, name)?, key.to_owned());
        let network = self.network()?;
        let worker = Arc::clone(&network.worker);
        network
            .worker
            .wait(async move { bucket.list(&key, worker).await })
    }
}

impl Store for Sources {
    fn list(&self, source: &str) -> Result<Option<Vec<Found>>, DataError> {
        self.found(source).map_err(|fault| unreadable(source, fault))
    }

    fn rows(
        &self,
        found: &Found,
        object: Box<dyn Object>,
        want: &Want,
        place: Place,
    ) -> Result<Box<dyn Rows>, DataError> {
        let table = Table::open(found.path.clone(), object, want, place)?;
        if !want.by_id {
            return Ok(Box::new(table));
        }
        let contents = || {
            let bucket = self.bucket(Kind::S3, contents::BUCKET)?;
            Ok((bucket, Arc::clone(&self.network()?.worker)))
        };
        let (bucket, worker) =
            contents().map_err(|fault| unreadable(&format!("s3://{}", contents::BUCKET), fault))?;
        Ok(Box::new(Contents::new(Box::new(table), bucket, worker)))
    }
}

fn unreadable(source: &str, fault: Fault) -> DataError {
    DataError::Unreadable {
        path: source.into(),
        error: fault.into(),
    }
}

/// A file at an address.
#[derive(Debug)]
struct Address(Reach);

impl RemoteFile for Address {
    fn open(&self) -> io::Result<Box<dyn Object>> {
        Ok(Box::new(Transfer::open(self.0.clone())?))
    }
}

/// Reads sources into memory, as the environment says.
///
/// # Errors
/// Every way in which a source can be bad has its own error, which names it.
pub fn read<P: AsRef<Path>>(sources: &[P], rules: &Rules) -> Result<Reading, DataError> {
    read_from(sources, rules, Some(Arc::new(Sources::new(Settings::from_env()))))
}

/// The documents of sources, one after the other, as the environment says; behind `cursor`, if there is one.
///
/// # Errors
/// As [`Documents::open`] and [`Documents::open_at`].
pub fn documents<P: AsRef<Path>>(
    sources: &[P],
    rules: &Rules,
    cursor: Option<&Cursor>,
) -> Result<Documents, DataError> {
    let store: Option<Arc<dyn Store>> = Some(Arc::new(Sources::new(Settings::from_env())));
    match cursor {
        Some(cursor) => Documents::open_at(sources, rules, store, cursor),
        None => Documents::open(sources, rules, store),
    }
}

/// Whether a source names what lies elsewhere, by an address or by a data set's name. A file of that name on
/// this machine comes before it.
pub fn is_elsewhere(source: &Path) -> bool {
    let text = source.to_string_lossy();
    text.contains("://") || Dataset::parse(&text).is_some()
}
