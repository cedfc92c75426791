//! `node.toml`: what an operator sets. Everything has a default but where the node listens for its peers.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use soma_blobs::Location;
use soma_files::{FileError, read_bounded, replace};
use soma_node::{
    network::Reach,
    retention::{EPOCHS_MIN, Retention},
};
use soma_types::PublicKey;

/// More than settings take.
const LENGTH_BYTES_MAX: u64 = 1 << 20;

/// A node's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its peers.
    pub p2p: P2p,
    /// Its HTTP interface.
    #[serde(default)]
    pub api: Api,
    /// Its storage.
    #[serde(default)]
    pub storage: Storage,
    /// The content that it keeps.
    #[serde(default)]
    pub content: Content,
    /// What it tells of itself.
    #[serde(default)]
    pub log: Log,
    /// On a localnet, a file with the secret of the account that gives money away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faucet: Option<PathBuf>,
}

/// `[p2p]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct P2p {
    /// Where it listens for its peers.
    pub listen: SocketAddr,
    /// From where they come.
    #[serde(default)]
    pub reach: Reach,
    /// Where peers listen that have moved since the network was founded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub moved: BTreeMap<PublicKey, SocketAddr>,
}

/// `[api]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Where it listens for clients.
    pub listen: SocketAddr,
    /// Whether clients of other machines are meant to come.
    pub public: bool,
    /// Whether it scores for whoever asks.
    pub scoring: bool,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9_000)),
            public: false,
            scoring: false,
        }
    }
}

/// `[storage]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Finalized blocks that are kept for peers that catch up.
    pub blocks: usize,
}

impl Default for Storage {
    /// An hour and more at four blocks a second.
    fn default() -> Self {
        Self { blocks: 16_384 }
    }
}

/// `[content]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Content {
    /// Most bytes of its store.
    pub bytes_max: u64,
    /// Epochs for which content stays that nothing needs; for ever where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_epochs: Option<u64>,
    /// Most bytes of it.
    pub keep_bytes: u64,
    /// Interfaces of the other nodes: what was handed to one of them is fetched from there.
    pub nodes: Vec<String>,
}

impl Default for Content {
    fn default() -> Self {
        Self {
            bytes_max: 64 << 30,
            keep_epochs: None,
            keep_bytes: 8 << 30,
            nodes: Vec::new(),
        }
    }
}

impl Content {
    /// How long content stays.
    #[must_use]
    pub const fn retention(&self) -> Retention {
        Retention {
            epochs: self.keep_epochs,
            bytes: Some(self.keep_bytes),
        }
    }
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// What is told: a level, or levels of modules, as in `info,soma_node=debug`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            filter: "info".to_owned(),
        }
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line, for programs.
    Json,
}

/// Why settings make no sense.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There are none.
    #[error("there are no settings at '{0}'")]
    Missing(PathBuf),
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// They are not TOML, or say something that is not known.
    #[error("{0}")]
    Toml(String),
    /// Strangers would be served by accident.
    #[error(
        "[api] listen = \"{0}\" is reachable from other machines: set `public = true` if that is meant, or \
         listen on 127.0.0.1"
    )]
    Public(SocketAddr),
    /// Peers cannot find a port that the system chooses.
    #[error("[p2p] listen = \"{0}\" has no port: name the one that the other operators know")]
    Port(SocketAddr),
    /// It is no address of a node's interface.
    #[error("[content] nodes has \"{0}\": give addresses as http://10.0.0.2:9000")]
    Node(String),
    /// Audits need content for longer.
    #[error("[content] keep_epochs = {0}: the least is {EPOCHS_MIN}, which audits need")]
    Epochs(u64),
    /// More is kept than there is room for.
    #[error("[content] keep_bytes = {keep} is more than its bytes_max = {max}")]
    Bytes {
        /// What is to stay.
        keep: u64,
        /// What the store holds.
        max: u64,
    },
}

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError::Toml(toml_trouble(&error, text)))?;
        config.validate()?;
        Ok(config)
    }
}

/// What is wrong with a TOML file, and in which line, in one sentence.
pub(crate) fn toml_trouble(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("line {}: {}", before.matches('\n').count() + 1, error.message()),
        None => error.message().to_owned(),
    }
}

impl Config {
    /// Settings of a node that listens there, and all else at its default.
    #[must_use]
    pub fn new(p2p: SocketAddr) -> Self {
        Self {
            p2p: P2p {
                listen: p2p,
                reach: Reach::default(),
                moved: BTreeMap::new(),
            },
            api: Api::default(),
            storage: Storage::default(),
            content: Content::default(),
            log: Log::default(),
            faucet: None,
        }
    }

    /// Checks what TOML cannot say.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !self.api.listen.ip().is_loopback() && !self.api.public {
            return Err(ConfigError::Public(self.api.listen));
        }
        if self.p2p.listen.port() == 0 {
            return Err(ConfigError::Port(self.p2p.listen));
        }
        let Content {
            bytes_max: max,
            keep_epochs,
            keep_bytes: keep,
            ref nodes,
        } = self.content;
        let is_interface = |text: &&String| matches!(text.parse(), Ok(Location::Http(_)));
        if let Some(odd) = nodes.iter().find(|text| !is_interface(text)) {
            return Err(ConfigError::Node(odd.clone()));
        }
        match keep_epochs {
            Some(epochs) if epochs < EPOCHS_MIN => Err(ConfigError::Epochs(epochs)),
            _ if keep > max => Err(ConfigError::Bytes { keep, max }),
            _ => Ok(()),
        }
    }

    /// Reads those at `path`.
    ///
    /// # Errors
    /// If there are none, or they make no sense.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let bytes =
            read_bounded(path, LENGTH_BYTES_MAX)?.ok_or_else(|| ConfigError::Missing(path.to_owned()))?;
        String::from_utf8_lossy(&bytes).parse()
    }

    /// Writes them.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let text = toml::to_string_pretty(self).expect("settings are TOML");
        replace(path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        let whole = format!("[p2p]\nlisten = '0.0.0.0:26600'\n{text}");
        whole.parse::<Config>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_and_what_is_not_known_is_named() {
        let config = Config::new("0.0.0.0:26600".parse().unwrap());
        let text = toml::to_string_pretty(&config).unwrap();
        assert_eq!(text.parse::<Config>().unwrap(), config, "{text}");
        let moved = format!("[p2p.moved]\n'0x{}' = '10.0.0.7:26600'", "1".repeat(64));
        let moved: Config = format!("[p2p]\nlisten = '0.0.0.0:26600'\n{moved}")
            .parse()
            .unwrap();
        assert_eq!(moved.p2p.moved.len(), 1);

        let text = why("speed = 3");
        assert!(text.contains("speed") && text.contains("line 3"), "{text}");
        assert!(why("[api]\nlisten = '0.0.0.0:9000'").contains("public = true"));
        assert!(why("reach = 'moon'").contains("internet"));
        assert!(why("[content]\nkeep_epochs = 1").contains("least is 2"));
        assert!(why("[content]\nbytes_max = 5").contains("bytes_max = 5"));
        assert!(why("[log]\nformat = 'xml'").contains("json"));
        let open = "[p2p]\nlisten = '0.0.0.0:0'"
            .parse::<Config>()
            .unwrap_err()
            .to_string();
        assert!(open.contains("port"), "{open}");
        assert!("".parse::<Config>().unwrap_err().to_string().contains("p2p"));
        let public = "[p2p]\nlisten = '1.2.3.4:26600'\n[api]\nlisten = '5.6.7.8:80'\npublic = true";
        assert_eq!(public.parse::<Config>().unwrap().api.listen.port(), 80);
    }
}
