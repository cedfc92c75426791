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

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use soma_files::{self as files, At as _, FileError};
use soma_types::{Address, Keypair, secrecy::repeatable, text::printable};

use crate::{
    journal::Journal,
    keyfile::{self, KeyFile, KeyFileError, Secret},
    mnemonic::{Mnemonic, MnemonicError, generate_keypair},
    paper::Paper,
};

/// Longest wallet name, in bytes.
pub const NAME_LENGTH_BYTES_MAX: usize = 64;
/// Environment variable that names another folder than `~/.soma`.
pub const DIRECTORY_VARIABLE: &str = "SOMA_HOME";
/// A name of this many hex digits or more would be taken for an address, and may be a key typed in its place.
const NAME_HEX_DIGITS_MAX: usize = 31;

/// Why the wallets' folder did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// Neither `SOMA_HOME` nor a home folder.
    #[error("there is no home folder to keep wallets in; set {DIRECTORY_VARIABLE} to a folder")]
    NoHome,
    /// A name that cannot be a file's.
    #[error("'{name}' cannot name a wallet: use 1 to {NAME_LENGTH_BYTES_MAX} of a-z, A-Z, 0-9, - and _")]
    BadName {
        /// The name given, as it may be repeated.
        name: String,
    },
    /// A name that commands would take for something else.
    #[error("'{name}' cannot name a wallet: it would be taken for {what}")]
    Misleading {
        /// The name given, as it may be repeated.
        name: String,
        /// What it looks like.
        what: &'static str,
    },
    /// The name is taken.
    #[error("there is already a wallet '{name}'; choose another name")]
    Exists {
        /// The name of the wallet there is.
        name: String,
    },
    /// The wallets' folder is none.
    #[error("{} is no folder: move it elsewhere, or name another with {DIRECTORY_VARIABLE}", printable(&.0.to_string_lossy()))]
    NoFolder(PathBuf),
    /// No such wallet.
    #[error("there is no wallet '{name}'; `soma wallet list` shows those there are")]
    Missing {
        /// The name.
        name: String,
    },
    /// No wallet was chosen, or there is none.
    #[error("no wallet is in use; make one with `soma wallet new`, or choose one with `soma wallet use`")]
    NoneInUse,
    /// The file has a problem.
    #[error("wallet '{name}': {source}")]
    KeyFile {
        /// The wallet.
        name: String,
        /// Its problem.
        source: KeyFileError,
    },
    /// The words have a problem.
    #[error(transparent)]
    Mnemonic(#[from] MnemonicError),
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A wallet as listed: nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WalletInfo {
    /// Its name.
    pub name: String,
    /// Its account.
    pub address: Address,
    /// Whether a password is needed.
    pub encrypted: bool,
    /// Whether commands use it when none is named.
    pub current: bool,
}

/// What stands in the wallets' folder.
#[derive(Debug, Default)]
pub struct Listing {
    /// The wallets, by name.
    pub wallets: Vec<WalletInfo>,
    /// Files that are none, or not to be used.
    pub unusable: Vec<Unusable>,
}

/// A file in the wallets' folder that is no wallet, or one not to be used.
#[derive(Debug, thiserror::Error)]
#[error("{} is left out: {reason}", printable(&path.to_string_lossy()))]
pub struct Unusable {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what to do.
    pub reason: String,
}

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

fn check_name(name: &str) -> Result<(), WalletError> {
    let characters = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if name.is_empty() || name.len() > NAME_LENGTH_BYTES_MAX || !characters {
        return Err(WalletError::BadName {
            name: repeatable(name),
        });
    }
    Ok(())
}

/// New wallets have names that no command mistakes; older ones are still read.
fn check_new_name(name: &str) -> Result<(), WalletError> {
    check_name(name)?;
    let digits = name.strip_prefix("0x").or_else(|| name.strip_prefix("0X"));
    let what = if name.starts_with('-') {
        "an option"
    } else if digits.is_some()
        || name.len() > NAME_HEX_DIGITS_MAX && name.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        "an address or a key"
    } else {
        return Ok(());
    };
    Err(WalletError::Misleading {
        name: repeatable(name),
        what,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn wallets() -> (tempfile::TempDir, Wallets) {
        let directory = tempfile::tempdir().unwrap();
        let wallets = Wallets::new(directory.path().join("home"));
        (directory, wallets)
    }

    #[test]
    fn wallets_are_made_listed_chosen_and_unlocked() {
        let (_directory, wallets) = wallets();
        assert_eq!(
            (wallets.list().unwrap().wallets, wallets.current().unwrap()),
            (vec![], None)
        );
        assert!(matches!(wallets.resolve(None), Err(WalletError::NoneInUse)));
        let (first, mnemonic) = wallets.create("first", None).unwrap();
        assert!(first.current && !first.encrypted);
        assert_eq!(wallets.unlock("first", None).unwrap().address(), first.address);
        let second = wallets.create_plain("second").unwrap();
        assert!(!second.current);
        assert_eq!(
            wallets.list().unwrap().wallets,
            vec![first.clone(), second.clone()]
        );
        wallets.use_wallet("second").unwrap();
        assert_eq!(wallets.resolve(None).unwrap(), "second");
        assert!(wallets.info("second").unwrap().current);
        let restored = wallets.import_mnemonic("restored", &mnemonic, 0, None).unwrap();
        assert_eq!(restored.address, first.address);
        let exported = wallets.export("second", None).unwrap();
        assert!(exported.mnemonic().is_none());
        let again = wallets
            .import(
                "again",
                &Paper::read(exported.secret_key().as_bytes()).unwrap(),
                None,
            )
            .unwrap();
        assert_eq!(again.address, second.address);
        assert_eq!(
            *wallets.export("first", None).unwrap().mnemonic().unwrap(),
            mnemonic
        );
    }

    #[test]
    fn passwords_guard() {
        let (_directory, wallets) = wallets();
        let (made, mnemonic) = wallets.create("guarded", Some("correct horse")).unwrap();
        assert!(made.encrypted);
        assert_eq!(
            wallets
                .unlock("guarded", Some("correct horse"))
                .unwrap()
                .address(),
            made.address
        );
        let fault = |password| match wallets.unlock("guarded", password) {
            Err(WalletError::KeyFile { source, .. }) => source,
            other => panic!("{other:?}"),
        };
        assert!(matches!(fault(Some("wrong")), KeyFileError::WrongPassword));
        assert!(matches!(fault(None), KeyFileError::PasswordNeeded));
        let text = fs::read_to_string(wallets.path("guarded")).unwrap();
        assert!(!text.contains(mnemonic.words().split(' ').next().unwrap()));
        // Listing needs no password.
        assert_eq!(wallets.list().unwrap().wallets, vec![made]);
    }

    #[test]
    fn nothing_is_overwritten_and_names_stay_inside() {
        let (_directory, wallets) = wallets();
        let made = wallets.create_plain("mine").unwrap();
        assert!(matches!(
            wallets.create_plain("mine"),
            Err(WalletError::Exists { .. })
        ));
        assert_eq!(wallets.info("mine").unwrap(), made);
        for name in ["", "../mine", "a/b", "a b", "é", &"x".repeat(65)] {
            assert!(
                matches!(wallets.create_plain(name), Err(WalletError::BadName { .. })),
                "{name}"
            );
            assert!(
                matches!(wallets.unlock(name, None), Err(WalletError::BadName { .. })),
                "{name}"
            );
        }
        assert!(matches!(
            wallets.unlock("other", None),
            Err(WalletError::Missing { .. })
        ));
        assert!(matches!(
            wallets.use_wallet("other"),
            Err(WalletError::Missing { .. })
        ));
    }

    #[test]
    fn names_that_mislead_are_refused_and_not_repeated() {
        let (_directory, wallets) = wallets();
        wallets.create_plain("Mine").unwrap();
        let key = "7a".repeat(32);
        for name in [&key[..], &key[1..], "0xabc", "0X", "-", "--home"] {
            let error = wallets.create_plain(name).unwrap_err();
            assert!(matches!(error, WalletError::Misleading { .. }), "{name}");
            assert!(!error.to_string().contains(&key[..12]), "{error}");
        }
        let error = wallets.create_plain(&"abandon ".repeat(12)).unwrap_err();
        assert!(!error.to_string().contains("abandon"), "{error}");
        // One file on some disks.
        assert!(matches!(
            wallets.create_plain("mINE"),
            Err(WalletError::Exists { name }) if name == "Mine"
        ));
        wallets.check_free("mine2").unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_wallet_hides_none() {
        use std::os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _};
        let (_directory, wallets) = wallets();
        for name in ["good", "open"] {
            wallets.create_plain(name).unwrap();
        }
        fs::set_permissions(wallets.path("open"), fs::Permissions::from_mode(0o644)).unwrap();
        let folder = wallets.directory().join("wallets");
        let odd = std::ffi::OsStr::from_bytes(b"caf\xe9.json");
        for name in ["a copy.json", "._a.json", "notes.json", "\u{1b}[2J.json"].map(std::ffi::OsStr::new) {
            fs::write(folder.join(name), "x").unwrap();
        }
        fs::write(folder.join(odd), "x").unwrap();
        fs::write(folder.join("empty.json"), "").unwrap();
        fs::write(folder.join("README.txt"), "not looked at").unwrap();
        fs::create_dir(folder.join("folder.json")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.join("dangling.json")).unwrap();
        // Reading it would wait for ever.
        assert!(
            std::process::Command::new("mkfifo")
                .arg(folder.join("pipe.json"))
                .status()
                .unwrap()
                .success()
        );

        let Listing {
            wallets: listed,
            unusable,
        } = wallets.list().unwrap();
        assert_eq!(
            listed
                .iter()
                .map(|wallet| wallet.name.as_str())
                .collect::<Vec<_>>(),
            ["good"]
        );
        assert_eq!(unusable.len(), 10);
        for file in &unusable {
            let text = file.to_string();
            assert!(
                text.starts_with(&*printable(&file.path.to_string_lossy())),
                "{text}"
            );
            assert!(!text.contains(soma_types::text::is_unseen), "{text}");
        }
        wallets.unlock("good", None).unwrap();
        wallets.use_wallet("good").unwrap();
        wallets.create_plain("another").unwrap();
        let error = wallets.unlock("open", None).unwrap_err().to_string();
        assert!(error.contains("'open'") && error.contains("chmod 600"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn bare_keys_stay_private() {
        use std::os::unix::fs::PermissionsExt;
        let (_directory, wallets) = wallets();
        wallets.create_plain("mine").unwrap();
        let path = wallets.path("mine");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::metadata(wallets.directory()).unwrap().permissions().mode() & 0o777,
            0o700
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = wallets.unlock("mine", None).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn damaged_wallets_are_named() {
        let (_directory, wallets) = wallets();
        wallets.create_plain("mine").unwrap();
        let path = wallets.path("mine");
        let good = fs::read(&path).unwrap();
        for bad in [
            &b""[..],
            b"{}",
            b"null",
            &good[..good.len() / 2],
            &[b'x'; 100_000],
        ] {
            fs::write(&path, bad).unwrap();
            assert!(wallets.unlock("mine", None).is_err());
            assert_eq!(wallets.list().unwrap().unusable[0].path, path);
        }
    }

    #[test]
    fn processes_race_without_loss() {
        let (_directory, wallets) = wallets();
        std::thread::scope(|scope| {
            let made: Vec<_> = (0..8)
                .map(|thread| {
                    let wallets = wallets.clone();
                    scope.spawn(move || {
                        let own = wallets.create_plain(&format!("own-{thread}")).unwrap();
                        (own, wallets.create_plain("shared").ok())
                    })
                })
                .collect();
            let made: Vec<_> = made.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(made.iter().filter(|(_, shared)| shared.is_some()).count(), 1);
            for (own, _) in made {
                assert_eq!(wallets.info(&own.name).unwrap().address, own.address);
            }
        });
        assert_eq!(
            wallets
                .list()
                .unwrap()
                .wallets
                .iter()
                .filter(|wallet| wallet.current)
                .count(),
            1
        );
    }

    /// What its owner did not see is not kept, and the name stays free.
    #[test]
    fn a_network_in_the_same_folder_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        let _network = soma_files::Lock::acquire(directory.path()).unwrap();
        Wallets::new(directory.path()).create("a", None).unwrap();
    }

    #[test]
    fn a_wallet_whose_words_were_not_shown_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let wallets = Wallets::new(directory.path());
        let mut seen = String::new();
        let error = wallets.create_shown("a", None, |_, words| {
            seen = words.words().to_string();
            Err(WalletError::NoneInUse)
        });
        assert!(matches!(error, Err(WalletError::NoneInUse)));
        assert_eq!(seen.split(' ').count(), 24);
        assert!(wallets.list().unwrap().wallets.is_empty() && wallets.current().unwrap().is_none());
        let mut shown = None;
        let kept = wallets.create_shown("a", None, |info, words| {
            shown = Some((info.clone(), words.words().to_string()));
            Ok::<_, WalletError>(())
        });
        let (info, words) = shown.unwrap();
        assert_eq!(kept.unwrap(), info);
        let secret = wallets.export("a", None).unwrap();
        assert_eq!(*secret.mnemonic().unwrap().words(), words);
        assert_eq!(wallets.list().unwrap().wallets, [info]);
        let again = wallets.create_shown("a", None, |_, _| -> Result<(), WalletError> {
            panic!("a name that is taken is told before any words are shown")
        });
        assert!(matches!(again, Err(WalletError::Exists { .. })));
    }
}
