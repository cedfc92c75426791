//! Deleting a localnet: what it made itself, by exact names, and nothing else.
//!
//! Its folder may hold a user's notes and copies beside, and in, what is the localnet's
//! (`validator-notes.txt`, `validator-0-backup/`, `blobs/mine.txt`). They stay, and so does every folder that
//! is not empty without its files.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use soma_files::{At as _, FileError};
use soma_types::params::COMMITTEE_SIZE_MAX;

/// A localnet's files in its folder.
const FILES: [&str; 3] = ["genesis.json", "committee.json", "faucet.json"];
/// A validator's files in its own.
const HOME_FILES: [&str; 4] = ["secrets.json", "node.toml", "network.json", "lock"];
/// Names of half-written files, which a crash may leave.
const TEMPORARY: (&str, &str) = (".soma-", ".tmp");

/// Deletes the network in `directory`, whose `version` says that it is a localnet's, and goes on saying so.
///
/// # Errors
/// If the disk refuses.
pub(crate) fn network(directory: &Path) -> Result<(), FileError> {
    // Without its genesis a folder is no network any more, whatever happens to the rest.
    for name in FILES {
        soma_files::remove(&directory.join(name))?;
    }
    for index in 0..COMMITTEE_SIZE_MAX {
        let validator = directory.join(format!("validator-{index}"));
        if !validator.is_dir() {
            continue;
        }
        for name in HOME_FILES {
            soma_files::remove(&validator.join(name))?;
        }
        clear(&validator.join("blobs"), is_stored)?;
        let storage = validator.join("storage");
        match fs::remove_dir_all(&storage) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).at("delete", &storage);
            }
            _ => {}
        }
        clear(&validator, |_| false)?;
    }
    clear(&directory.join("blobs"), is_stored)?;
    clear(&directory.join("auditors"), is_journalled)
}

/// What a new network of `validators` would write over in a folder that is none.
pub(crate) fn first_in_the_way(directory: &Path, validators: u32) -> Option<PathBuf> {
    let fixed = FILES
        .into_iter()
        .chain(["version", "blobs", "auditors"])
        .map(str::to_owned);
    fixed
        .chain((0..validators).map(|index| format!("validator-{index}")))
        .map(|name| directory.join(name))
        .find(|path| path.symlink_metadata().is_ok())
}

/// Deletes below `folder` what `is_own` knows by its path from there, then the folders that this leaves
/// empty.
fn clear(folder: &Path, is_own: impl Fn(&[&str]) -> bool) -> Result<(), FileError> {
    // A link is somebody's choice of a place: what is at the other end is deleted, the link is not.
    if !folder.is_dir() {
        return Ok(());
    }
    descend(folder, folder, &is_own)
}

fn descend(root: &Path, folder: &Path, is_own: &impl Fn(&[&str]) -> bool) -> Result<(), FileError> {
    for entry in fs::read_dir(folder).at("read", folder)? {
        let path = entry.at("read", folder)?.path();
        let kind = fs::symlink_metadata(&path).at("look at", &path)?;
        if kind.is_dir() {
            descend(root, &path, is_own)?;
        } else if kind.is_file() && own(root, &path, is_own) {
            soma_files::remove(&path)?;
        }
    }
    match fs::remove_dir(folder) {
        // Something of somebody's is in it, or it is a link.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(())
        }
        result => result.at("delete", folder),
    }
}

fn own(root: &Path, path: &Path, is_own: &impl Fn(&[&str]) -> bool) -> bool {
    let below = path.strip_prefix(root).unwrap_or(path);
    let names: Option<Vec<&str>> = below
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    names.is_some_and(|names| {
        let temporary = names
            .last()
            .is_some_and(|name| name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1));
        temporary || is_own(&names)
    })
}

fn is_hex(name: &str, digits: usize) -> bool {
    name.len() == digits && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the content store names a file so.
fn is_stored(names: &[&str]) -> bool {
    match names {
        ["lock"] => true,
        ["incoming", number] => number.bytes().all(|byte| byte.is_ascii_digit()),
        [shelf, hash] => is_hex(shelf, 2) && is_hex(hash, 64) && hash.starts_with(shelf),
        _ => false,
    }
}

/// Whether a journal names a file so: a folder for each chain.
fn is_journalled(names: &[&str]) -> bool {
    matches!(names, [chain, _] if is_hex(chain, 16))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn files(folder: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![folder.to_owned()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path.clone());
                }
                found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
        found
    }

    #[test]
    fn only_what_a_localnet_made_goes() {
        let folder = tempfile::tempdir().unwrap();
        let hash = "ab".repeat(32);
        let own = [
            "genesis.json",
            "committee.json",
            "faucet.json",
            "validator-0/secrets.json",
            "validator-0/node.toml",
            "validator-0/network.json",
            "validator-0/lock",
            &format!("validator-0/blobs/ab/{hash}"),
            "validator-0/storage/soma-blocks-value/0000",
            "validator-12/storage/chain",
            "validator-12/.soma-x1.tmp",
            "blobs/lock",
            "blobs/incoming/7",
            &format!("blobs/ab/{hash}"),
            "auditors/0123456789abcdef/commit-1",
        ];
        let others = [
            "validator-notes.txt",
            "validator-0-backup/secrets.json",
            "validator-00/secrets.json",
            "validator-100000/secrets.json",
            "validator-0/secrets.json.old",
            "validator-3/notes/secrets.json",
            "blobs/mine.txt",
            "blobs/incoming/half",
            &format!("blobs/cd/{hash}"),
            "auditors/journal",
            "genesis.json.bak",
            "probe.tmp",
            "version",
            "lock",
        ];
        for name in own.iter().chain(&others) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "content").unwrap();
        }
        let before = files(folder.path());
        network(folder.path()).unwrap();
        let after = files(folder.path());
        for name in own {
            assert!(!after.contains(name), "{name} is left");
        }
        for name in others {
            assert!(after.contains(name), "{name} is gone");
        }
        assert!(before.contains("validator-12") && !after.contains("validator-12"));
        // A second time there is nothing to do.
        network(folder.path()).unwrap();
        assert_eq!(files(folder.path()), after);
    }

    #[test]
    fn what_links_name_loses_only_what_is_the_localnets() {
        let (folder, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let hash = "cd".repeat(32);
        fs::create_dir(disk.path().join("cd")).unwrap();
        fs::write(disk.path().join("cd").join(&hash), "content").unwrap();
        fs::write(disk.path().join("photo"), "mine").unwrap();
        std::os::unix::fs::symlink(disk.path(), folder.path().join("blobs")).unwrap();
        network(folder.path()).unwrap();
        assert_eq!(files(disk.path()), ["photo".to_owned()].into());
        assert!(folder.path().join("blobs").is_symlink());
    }
}
