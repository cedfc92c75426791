use soma_types::text::printable;

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

#[test]
fn a_network_in_the_same_folder_is_in_nobodys_way() {
    let directory = tempfile::tempdir().unwrap();
    let _network = soma_files::Lock::acquire(directory.path()).unwrap();
    Wallets::new(directory.path()).create("a", None).unwrap();
}

/// What its owner did not see is not kept, and the name stays free.
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
