//! A folder of keys: `~/.soma` unless told otherwise.
//!
//! # Layout
//!
//! `wallets/NAME.json` holds one key ([`crate::keyfile`]), mode 600. `current` holds the name of the wallet
//! that commands use when none is named. `pending/` holds what a crash between commit and reveal must not
//! lose ([`crate::journal`]).
//!
//! # Persistence
//!
//! Files are replaced whole. Changes are made under `lock`, so that two processes never overwrite each
//! other's wallet; a wallet is never overwritten at all.
//!
//! # Failures
//!
//! A file that is no wallet, or one that others can read, is named and left out; the others work.

mod error;
mod listing;
mod name;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use soma_files::{self as files, At as _};
use soma_types::{Keypair, secrecy::repeatable};

use self::name::{check_name, check_new_name};
use crate::{
    journal::Journal,
    keyfile::{self, KeyFile, KeyFileError, Secret},
    mnemonic::{Mnemonic, generate_keypair},
    paper::Paper,
};

pub use self::{
    error::{DIRECTORY_VARIABLE, NAME_LENGTH_BYTES_MAX, WalletError},
    listing::{Listing, Unusable, WalletInfo},
};

/// The folder of wallets.
#[derive(Clone, Debug)]
pub struct Wallets {
    directory: PathBuf,
}

impl Wallets {
    /// The wallets in `directory`, which is made when the first is.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// `$SOMA_HOME`, or `~/.soma`.
    ///
    /// # Errors
    /// When `SOMA_HOME` is not set and there is no home folder.
    pub fn default_directory() -> Result<PathBuf, WalletError> {
        if let Some(directory) = std::env::var_os(DIRECTORY_VARIABLE).filter(|value| !value.is_empty()) {
            return Ok(directory.into());
        }
        std::env::home_dir()
            .filter(|home| !home.as_os_str().is_empty())
            .map(|home| home.join(".soma"))
            .ok_or(WalletError::NoHome)
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where secrets between commit and reveal are kept.
    pub fn journal(&self) -> Journal {
        Journal::new(self.directory.join("pending"))
    }

    /// A fresh wallet and the words that restore it. The first becomes the current one.
    ///
    /// # Errors
    /// When the name is taken or none, no key can be made, the password is none, or the disk fails.
    pub fn create(&self, name: &str, password: Option<&str>) -> Result<(WalletInfo, Mnemonic), WalletError> {
        let mnemonic = Mnemonic::generate()?;
        let info = self.import_mnemonic(name, &mnemonic, 0, password)?;
        Ok((info, mnemonic))
    }

    /// A fresh wallet that is kept only once `show` has shown its words: one whose words nobody saw is lost
    /// with its file. Other changes of the folder wait meanwhile.
    ///
    /// # Errors
    /// When the name is taken or none, no key can be made, the password is none, the disk fails, or `show`
    /// does: then nothing is kept.
    pub fn create_shown<E: From<WalletError>>(
        &self,
        name: &str,
        password: Option<&str>,
        show: impl FnOnce(&WalletInfo, &Mnemonic) -> Result<(), E>,
    ) -> Result<WalletInfo, E> {
        let mnemonic = Mnemonic::generate().map_err(WalletError::from)?;
        let keys = mnemonic.keypair(0).map_err(WalletError::from)?;
        let secret = Secret::new(&keys, Some(&mnemonic));
        self.add_after(name, &secret, password, |info| show(info, &mnemonic))
    }

    /// A fresh wallet without words, quickly: for tests and localnets.
    ///
    /// # Errors
    /// When the name is taken or none, no key can be made, or the disk fails.
    pub fn create_plain(&self, name: &str) -> Result<WalletInfo, WalletError> {
        self.add(name, &Secret::new(&generate_keypair()?, None), None)
    }

    /// Restores account `account` of a mnemonic.
    ///
    /// # Errors
    /// When the name is taken or none, no key can be made, the password is none, or the disk fails.
    pub fn import_mnemonic(
        &self,
        name: &str,
        mnemonic: &Mnemonic,
        account: u32,
        password: Option<&str>,
    ) -> Result<WalletInfo, WalletError> {
        let keys = mnemonic.keypair(account)?;
        self.add(name, &Secret::new(&keys, Some(mnemonic)), password)
    }

    /// Restores what was written down.
    ///
    /// # Errors
    /// When the name is taken or none, no key can be made, the password is none, or the disk fails.
    pub fn import(
        &self,
        name: &str,
        paper: &Paper,
        password: Option<&str>,
    ) -> Result<WalletInfo, WalletError> {
        self.add(name, paper.secret(), password)
    }

    /// All wallets by name, and what stands between them.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn list(&self) -> Result<Listing, WalletError> {
        let current = self.current()?;
        let mut listing = Listing::default();
        for path in self.files()? {
            if !is_wallet_file(&path) {
                continue;
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            match self.read(&name) {
                Ok(file) => listing
                    .wallets
                    .push(info(&name, &file, current.as_deref() == Some(&*name))),
                Err(error) => {
                    let reason = match error {
                        WalletError::KeyFile { source, .. } => source.to_string(),
                        WalletError::BadName { .. } => format!("{error}; rename it, or move it elsewhere"),
                        WalletError::Missing { .. } => "it leads nowhere; remove it".to_owned(),
                        WalletError::File(error) => {
                            format!("cannot {} it: {}; move it elsewhere", error.action, error.source)
                        }
                        error => error.to_string(),
                    };
                    listing.unusable.push(Unusable { path, reason });
                }
            }
        }
        listing.wallets.sort_by(|a, b| a.name.cmp(&b.name));
        listing.unusable.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    /// Whether a wallet can be made under `name`, before its secret is asked for.
    ///
    /// # Errors
    /// If the name is taken, in whatever case, or is none.
    pub fn check_free(&self, name: &str) -> Result<(), WalletError> {
        check_new_name(name)?;
        for path in self.files()? {
            let taken = path.file_stem().unwrap_or_default().to_string_lossy();
            // On some disks two names that differ in case are one file.
            if is_wallet_file(&path) && taken.eq_ignore_ascii_case(name) {
                return Err(WalletError::Exists {
                    name: taken.into_owned(),
                });
            }
        }
        Ok(())
    }

    /// One wallet, without its secret.
    ///
    /// # Errors
    /// When there is no such wallet, or its file cannot be used.
    pub fn info(&self, name: &str) -> Result<WalletInfo, WalletError> {
        let file = self.read(name)?;
        Ok(info(name, &file, self.current()?.as_deref() == Some(name)))
    }

    /// The name of the current wallet, if one was ever made or chosen.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn current(&self) -> Result<Option<String>, WalletError> {
        let bytes = files::read_bounded(&self.directory.join("current"), NAME_LENGTH_BYTES_MAX as u64)?;
        Ok(bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .filter(|name| check_name(name).is_ok()))
    }

    /// `name`, or the current wallet where that is `None`.
    ///
    /// # Errors
    /// When the name is none, or none is in use.
    pub fn resolve(&self, name: Option<&str>) -> Result<String, WalletError> {
        match name {
            Some(name) => check_name(name).map(|()| name.to_owned()),
            None => self.current()?.ok_or(WalletError::NoneInUse),
        }
    }

    /// Makes `name` the current wallet.
    ///
    /// # Errors
    /// When there is no such wallet, or the disk fails.
    pub fn use_wallet(&self, name: &str) -> Result<WalletInfo, WalletError> {
        let file = self.read(name)?;
        let _lock = self.lock()?;
        files::replace_private(&self.directory.join("current"), name.as_bytes())?;
        Ok(info(name, &file, true))
    }

    /// The keys of a wallet. Slow by design (about a second) where a password is set.
    ///
    /// # Errors
    /// When there is no such wallet, its file cannot be used, or the password is wrong or missing.
    pub fn unlock(&self, name: &str, password: Option<&str>) -> Result<Keypair, WalletError> {
        Ok(self.export(name, password)?.keypair())
    }

    /// The secrets of a wallet, to be written down.
    ///
    /// # Errors
    /// When there is no such wallet, its file cannot be used, or the password is wrong or missing.
    pub fn export(&self, name: &str, password: Option<&str>) -> Result<Secret, WalletError> {
        self.read(name)?
            .open(password)
            .map_err(|source| WalletError::KeyFile {
                name: name.to_owned(),
                source,
            })
    }

    fn add(&self, name: &str, secret: &Secret, password: Option<&str>) -> Result<WalletInfo, WalletError> {
        self.add_after(name, secret, password, |_| Ok(()))
    }

    /// Adds a wallet, once `first` has been done.
    fn add_after<E: From<WalletError>>(
        &self,
        name: &str,
        secret: &Secret,
        password: Option<&str>,
        first: impl FnOnce(&WalletInfo) -> Result<(), E>,
    ) -> Result<WalletInfo, E> {
        check_new_name(name)?;
        let at_fault = |source| WalletError::KeyFile {
            name: name.to_owned(),
            source,
        };
        let file = KeyFile::seal(secret, password).map_err(at_fault)?;
        let _lock = self.lock()?;
        files::create_private_directory(&self.directory.join("wallets")).map_err(WalletError::from)?;
        self.check_free(name)?;
        let is_first = self.current()?.is_none();
        first(&info(name, &file, is_first))?;
        Ok(self.keep(name, &file, is_first)?)
    }

    fn keep(&self, name: &str, file: &KeyFile, is_first: bool) -> Result<WalletInfo, WalletError> {
        files::replace_private(&self.path(name), &file.encode())?;
        // What stands in the file is read back before anyone sends money to it.
        let back = self.read(name)?;
        if is_first {
            files::replace_private(&self.directory.join("current"), name.as_bytes())?;
        }
        Ok(info(name, &back, is_first))
    }

    fn read(&self, name: &str) -> Result<KeyFile, WalletError> {
        check_name(name)?;
        let path = self.path(name);
        let bytes =
            files::read_bounded(&path, keyfile::LENGTH_BYTES_MAX)?.ok_or_else(|| WalletError::Missing {
                name: repeatable(name),
            })?;
        let at_fault = |source| WalletError::KeyFile {
            name: name.to_owned(),
            source,
        };
        let file = KeyFile::decode(&bytes).map_err(at_fault)?;
        if !file.is_encrypted() {
            refuse_exposed(&path).map_err(at_fault)?;
        }
        Ok(file)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join("wallets").join(format!("{name}.json"))
    }

    /// What is in the folder of wallets; nothing if there is no folder yet.
    fn files(&self) -> Result<Vec<PathBuf>, WalletError> {
        let directory = self.directory.join("wallets");
        match fs::read_dir(&directory) {
            Ok(entries) => Ok(entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<_>>()
                .at("list", &directory)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(WalletError::NoFolder(directory))
            }
            Err(error) => Err(error).at("list", &directory)?,
        }
    }

    /// Held for the length of a change; released by dropping.
    fn lock(&self) -> Result<File, WalletError> {
        files::create_private_directory(&self.directory)?;
        // Not the name under which a network locks its folder: the two may be one.
        let path = self.directory.join("wallets.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .at("create", &path)?;
        file.lock().at("lock", &path)?;
        Ok(file)
    }
}

fn info(name: &str, file: &KeyFile, current: bool) -> WalletInfo {
    WalletInfo {
        name: name.to_owned(),
        address: file.address(),
        encrypted: file.is_encrypted(),
        current,
    }
}

/// Whether a file's name says that it is a wallet.
fn is_wallet_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// A bare key that others on the machine can read is not used until its owner has seen to it.
fn refuse_exposed(path: &Path) -> Result<(), KeyFileError> {
    #[cfg(unix)]
    if let Ok(metadata) = fs::metadata(path) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed {
                path: path.to_owned(),
                mode: mode & 0o777,
            });
        }
    }
    Ok(())
}
