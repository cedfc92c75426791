//! What stands in the way of a node's start, found before it starts.
//!
//! Each [`Aspect`] is looked at by itself, so that all that is wrong is told at once. A start looks at the
//! same ones in the same order, and stops at the first.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use commonware_cryptography::bls12381::primitives::group::Share;
use serde::Serialize;
use soma_files::{FileError, Lock, LockError, free_bytes};
use soma_http::{
    CannotListen,
    descriptors::{self, TooFew},
};
use soma_node::{
    consensus::public_key, descriptors::of_validator, network::CLOCK_SKEW_MAX, runtime::since_1970_ms,
};
use soma_types::PublicKey;

use crate::{
    config::{Config, ConfigError},
    disk,
    home::Home,
    network::{Network, NetworkError},
    secrets::{Secrets, SecretsError},
    storage::{self, StorageError},
};

/// Room that a node's disk has to have: some hours of a busy network, time to look.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// Its settings.
    Config,
    /// The network's file.
    Network,
    /// The node's keys, and whether they are the network's.
    Keys,
    /// The time of day.
    Clock,
    /// Whether another process has the folder.
    Folder,
    /// Whose the storage is.
    Storage,
    /// Room, and whether it can be written.
    Disk,
    /// Open files.
    Files,
    /// Where it listens for peers.
    P2p,
    /// Where it listens for clients.
    Api,
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Its settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Its keys.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// It is no member.
    #[error(
        "the key of this home, {0}, is no validator's of the network: it is another node's, or another network's"
    )]
    Stranger(PublicKey),
    /// It has not joined yet.
    #[error("this home has no share of the network's key yet: `soma node join` takes it from the founding")]
    NoShare,
    /// Its share is of another founding.
    #[error(
        "the share in this home is not of this network's key: take part in its founding, and join it anew"
    )]
    Share,
    /// A peer's key is nobody's.
    #[error("[p2p.moved] names {0}, which is no validator of the network")]
    Moved(PublicKey),
    /// Its clock is wrong, or it is too early.
    #[error(
        "the clock says {now_ms} ms since 1970, and the network starts at {start_ms}: {}; see that the clock is \
         set (timedatectl), or wait", ago(*.start_ms - *.now_ms)
    )]
    Early {
        /// By this machine's clock.
        now_ms: u64,
        /// By the genesis.
        start_ms: u64,
    },
    /// Another process has it.
    #[error("another node runs in '{0}': stop it, or use another --home")]
    Locked(PathBuf),
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// The storage is another network's.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is too little room.
    #[error("the disk of '{path}' has {free} bytes left, the least is {FREE_BYTES_MIN}: free some")]
    Full {
        /// The folder.
        path: PathBuf,
        /// Bytes that are left.
        free: u64,
    },
    /// The system allows too few open files.
    #[error("{0}: raise the limit (LimitNOFILE= of the unit, or ulimit -n)")]
    Files(#[from] TooFew),
    /// It cannot listen there.
    #[error("[{section}] {error}")]
    Port {
        /// Of the settings.
        section: &'static str,
        /// Why not.
        error: CannotListen,
    },
}

fn ago(ms: u64) -> String {
    let seconds = ms / 1_000;
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => format!("{seconds} s ahead"),
        (0, 0, minutes) => format!("{minutes} minutes ahead"),
        (0, hours, _) => format!("{hours} hours ahead"),
        (days, ..) => format!("{days} days ahead"),
    }
}

/// What was found.
#[derive(Debug)]
pub struct Finding {
    /// What was looked at.
    pub aspect: Aspect,
    /// What is wrong with it; `None` where it could not be looked at, since something before is wrong.
    pub result: Option<Result<(), Problem>>,
}

/// Looks at everything of `home` at the time of day `now`. Changes nothing but the lock file of a folder that
/// is there.
#[must_use]
pub fn all(home: &Home, now: SystemTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |aspect, result: Option<Result<(), Problem>>| findings.push(Finding { aspect, result });
    let config = Config::read(&home.config());
    let network = Network::read(&home.network());
    let secrets = Secrets::read(&home.secrets());
    let (config, wrong) = split(config);
    found(
        Aspect::Config,
        Some(match (&config, &network) {
            (Some(config), Ok(network)) => moved(config, network),
            _ => wrong.map_or(Ok(()), Err),
        }),
    );
    let (network, wrong) = split(network);
    found(Aspect::Network, Some(wrong.map_or(Ok(()), Err)));
    let keys = match (&network, secrets) {
        (Some(network), Ok(secrets)) => Some(share(&secrets, network).map(|_| ())),
        (_, Err(error)) => Some(Err(error.into())),
        (None, Ok(_)) => None,
    };
    found(Aspect::Keys, keys);
    found(Aspect::Clock, network.as_ref().map(|network| clock(network, now)));
    // A node that runs holds its own ports. Where nothing is, nothing is made.
    let is_there = home.path().is_dir();
    let lock = is_there.then(|| lock(home));
    let is_free = lock.as_ref().is_none_or(Result::is_ok);
    found(Aspect::Folder, lock.map(|lock| lock.map(|_| ())));
    found(
        Aspect::Storage,
        network.as_ref().map(|network| {
            storage::belongs(&home.storage(), &network.genesis.chain_id())?;
            Ok(())
        }),
    );
    found(Aspect::Disk, is_there.then(|| room(home)));
    found(
        Aspect::Files,
        network.as_ref().map(|network| clients(network).map(|_| ())),
    );
    let config = config.filter(|_| is_free);
    let p2p = |config: &Config| listen("p2p", config.p2p.listen).map(|_| ());
    found(Aspect::P2p, config.as_ref().map(p2p));
    let api = |config: &Config| listen("api", config.api.listen).map(|_| ());
    found(Aspect::Api, config.as_ref().map(api));
    findings
}

fn split<T, E: Into<Problem>>(result: Result<T, E>) -> (Option<T>, Option<Problem>) {
    match result {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error.into())),
    }
}

/// Peers that have moved are peers.
pub(crate) fn moved(config: &Config, network: &Network) -> Result<(), Problem> {
    let stranger = config
        .p2p
        .moved
        .keys()
        .find(|key| !network.addresses.contains_key(key));
    stranger.map_or(Ok(()), |key| Err(Problem::Moved(*key)))
}

/// The node's share, which is of this network's key.
pub(crate) fn share(secrets: &Secrets, network: &Network) -> Result<Share, Problem> {
    let identity = secrets.public();
    if !network
        .committee
        .identities
        .iter()
        .any(|member| *member == identity)
    {
        return Err(Problem::Stranger(public_key(&identity)));
    }
    let share = secrets.share.clone().ok_or(Problem::NoShare)?;
    if !network.committee.holds(&identity, &share) {
        return Err(Problem::Share);
    }
    Ok(share)
}

/// The clock is not before the network's start, but for what peers put up with.
pub(crate) fn clock(network: &Network, now: SystemTime) -> Result<(), Problem> {
    let (start_ms, now_ms) = (network.genesis.timestamp_ms, since_1970_ms(now));
    let skew: Duration = CLOCK_SKEW_MAX;
    if since_1970_ms(now + skew) < start_ms {
        return Err(Problem::Early { now_ms, start_ms });
    }
    Ok(())
}

/// The folder, locked against other processes.
///
/// # Errors
/// If one has it, or the disk refuses.
pub fn lock(home: &Home) -> Result<Lock, Problem> {
    Lock::acquire(home.path()).map_err(|error| match error {
        LockError::Held(path) => Problem::Locked(path),
        LockError::File(error) => error.into(),
    })
}

/// The disk takes what is written, and has room.
pub(crate) fn room(home: &Home) -> Result<(), Problem> {
    disk::probe(home.path())?;
    let free = free_bytes(home.path())?;
    if free < FREE_BYTES_MIN {
        return Err(Problem::Full {
            path: home.path().to_owned(),
            free,
        });
    }
    Ok(())
}

/// How many clients the system's open files allow beside storage and peers.
pub(crate) fn clients(network: &Network) -> Result<usize, Problem> {
    let reserved = of_validator(network.committee.identities.len());
    Ok(descriptors::connections_beside(
        reserved,
        1,
        descriptors::raise_limit(),
    )?)
}

/// Listens on `address`, which `section` of the settings names.
pub(crate) fn listen(section: &'static str, address: SocketAddr) -> Result<TcpListener, Problem> {
    soma_http::listen(address).map_err(|error| Problem::Port { section, error })
}
