//! Reading what a folder holds.

use std::{fs, io, path::Path};

use commonware_cryptography::Signer as _;
use serde::Deserialize;
use soma_operator::{Secrets, committee::Committee};
use soma_types::{Keypair, genesis::Genesis, text::printable};

use super::{
    error::{FolderError, damaged, io_error},
    layout::{FaucetFile, VERSION, VERSION_BEFORE, VERSION_PREFIX},
};
use crate::dealer::{Dealt, Member};

/// A network, with all its secrets.
pub(super) struct Network {
    pub genesis: Genesis,
    pub dealt: Dealt,
    pub accounts: Vec<Keypair>,
    pub faucet: Keypair,
}

/// The network in `directory`.
pub(super) fn load(directory: &Path) -> Result<Network, FolderError> {
    let genesis: Genesis = read_json(&directory.join("genesis.json"))?;
    genesis.validate()?;
    let path = directory.join("committee.json");
    let committee: Committee = read_json(&path)?;
    let (mut members, mut accounts) = (Vec::new(), Vec::new());
    for (index, identity) in committee.identities.iter().enumerate() {
        let path = directory.join(format!("validator-{index}")).join("secrets.json");
        match Secrets::read(&path)? {
            Secrets {
                identity: own,
                share: Some(share),
                account: Some(account),
                ..
            } if own.public_key() == *identity && committee.holds(identity, &share) => {
                members.push(Member { identity: own, share });
                accounts.push(account);
            }
            _ => return Err(damaged(&path, "its keys are not this committee's")),
        }
    }
    let path = directory.join("faucet.json");
    let faucet: FaucetFile = read_json(&path)?;
    let faucet = keypair(&path, &faucet.account)?;
    Ok(Network {
        genesis,
        dealt: Dealt { committee, members },
        accounts,
        faucet,
    })
}

fn keypair(path: &Path, text: &str) -> Result<Keypair, FolderError> {
    let secret = decode_hex(path, text)?
        .try_into()
        .map_err(|_| damaged(path, "an account's secret has 32 bytes"))?;
    Ok(Keypair::from_secret_bytes(secret))
}

/// The layout of the localnet in `directory`, as it says; `None` where there is none, nor what is left of
/// one.
pub(super) fn version(directory: &Path) -> Result<Option<String>, FolderError> {
    let path = directory.join("version");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text
            .strip_prefix(VERSION_PREFIX)
            .map(|number| printable(number.trim()).into_owned())),
        Err(error) if is_absent(&error) => {
            let before = read_json::<Committee>(&directory.join("committee.json")).is_ok();
            Ok(before.then(|| VERSION_BEFORE.to_owned()))
        }
        // Text it would be.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(io_error("read", &path)(error)),
    }
}

/// Whether this software reads the network in `directory`.
pub(super) fn check_version(directory: &Path) -> Result<(), FolderError> {
    match version(directory)? {
        Some(found) if found == VERSION.to_string() => Ok(()),
        Some(found) => Err(FolderError::OtherVersion {
            path: directory.to_owned(),
            found,
        }),
        None => Err(FolderError::InTheWay(directory.join("genesis.json"))),
    }
}

/// Whether there is anything in `directory` but its lock.
pub(super) fn holds_anything(directory: &Path) -> Result<bool, FolderError> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(entries.flatten().any(|entry| entry.file_name() != "lock")),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(io_error("read", directory)(error)),
    }
}

/// Whether a path names nothing. What is below a file is reported when the folder is made.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

pub(super) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, FolderError> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(path, error))
}

fn decode_hex(path: &Path, text: &str) -> Result<Vec<u8>, FolderError> {
    let digits = text
        .strip_prefix("0x")
        .ok_or_else(|| damaged(path, "a value lacks its 0x"))?;
    hex::decode(digits).map_err(|error| damaged(path, error))
}
