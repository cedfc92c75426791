//! What stands in a network's way is named, and nothing of others is touched.

use std::net::TcpListener;

use soma_localnet::{Config, Existing, FolderError, Localnet, LocalnetError, testing::wait};

use crate::common::{client, height, runtime};

#[test]
fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Localnet::start(Config {
        api_port: port,
        ..Config::new(folder.path())
    })
    .err()
    .unwrap();
    let text = error.to_string();
    assert!(
        text.contains(&port.to_string()) && text.contains("in use"),
        "{text}"
    );
}

#[test]
fn an_unusable_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let text = Localnet::start(Config::new(file.join("net")))
        .err()
        .unwrap()
        .to_string();
    assert!(text.contains("cannot create"), "{text}");

    // A validator whose storage cannot be opened stops, and says so.
    let config = Config::new(folder.path().join("net"));
    Localnet::start(config.clone()).unwrap().stop().unwrap();
    let storage = folder.path().join("net/validator-2/storage");
    std::fs::remove_dir_all(&storage).unwrap();
    std::fs::write(&storage, "not a folder").unwrap();
    let text = Localnet::start(config.clone()).err().unwrap().to_string();
    assert!(
        text.contains("cannot create") && text.contains("validator-2/storage"),
        "{text}"
    );

    // Damaged secrets are named.
    std::fs::write(folder.path().join("net/validator-1/secrets.json"), "{").unwrap();
    let text = Localnet::start(config).err().unwrap().to_string();
    assert!(
        text.contains("secrets.json") && text.contains("damaged"),
        "{text}"
    );
}

/// A validator that cannot read what it has stored says where that is and what it found, every time.
#[test]
fn damaged_storage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path());
    config.blueprint.validators = 1;
    let net = Localnet::start(config.clone()).unwrap();
    runtime().block_on(async {
        let client = client(&net, 0);
        wait("blocks", async || (height(&client).await >= 3).then_some(())).await;
    });
    net.stop().unwrap();
    let storage = folder.path().join("validator-0/storage");
    let kept = folder.path().join("kept");
    for partition in ["soma-blocks-value", "soma-simplex", "soma-state-log_data"] {
        let file = std::fs::read_dir(storage.join(partition))
            .unwrap()
            .next()
            .unwrap();
        let file = file.unwrap().path();
        std::fs::copy(&file, &kept).unwrap();
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.truncate(bytes.len().min(512));
        bytes.fill(0xa5);
        std::fs::write(&file, bytes).unwrap();
        for _ in 0..3 {
            let error = Localnet::start(config.clone()).err().unwrap();
            let LocalnetError::Storage {
                index: 0,
                storage: named,
                reason,
            } = &error
            else {
                panic!("{partition}: {error}");
            };
            assert_eq!(named, &storage);
            assert!(
                reason.len() > 20 && !reason.contains("ended"),
                "{partition}: {reason}"
            );
        }
        std::fs::copy(&kept, &file).unwrap();
    }
    Localnet::start(config).unwrap().stop().unwrap();
}

#[test]
fn storage_of_another_network_or_version_is_called_that() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = |folder: &tempfile::TempDir| {
        let mut config = Config::new(folder.path());
        config.blueprint.validators = 1;
        config
    };
    for folder in [&ours, &theirs] {
        Localnet::start(config(folder)).unwrap().stop().unwrap();
    }
    let storage = ours.path().join("validator-0/storage");
    std::fs::rename(&storage, ours.path().join("mine")).unwrap();
    std::fs::rename(theirs.path().join("validator-0/storage"), &storage).unwrap();
    let text = Localnet::start(config(&ours)).err().unwrap().to_string();
    assert!(
        text.contains("validator-0/storage") && text.contains("of the network 0x"),
        "{text}"
    );
    std::fs::remove_dir_all(&storage).unwrap();
    std::fs::rename(ours.path().join("mine"), &storage).unwrap();

    let version = ours.path().join("version");
    for (content, found) in [(Some("soma localnet 99\n"), "layout 99"), (None, "layout 1")] {
        match content {
            Some(content) => std::fs::write(&version, content).unwrap(),
            None => std::fs::remove_file(&version).unwrap(),
        }
        let text = Localnet::start(config(&ours)).err().unwrap().to_string();
        assert!(
            text.contains("another version of soma") && text.contains(found),
            "{text}"
        );
        assert!(!text.contains("damaged"), "{text}");
    }
    // Another's file of the name is no localnet's.
    std::fs::remove_file(ours.path().join("committee.json")).unwrap();
    std::fs::write(&version, "2\n").unwrap();
    let error = Localnet::start(config(&ours)).err().unwrap();
    assert!(
        matches!(error, LocalnetError::Folder(FolderError::InTheWay(_))),
        "{error}"
    );
}

#[test]
fn a_network_is_deleted_once_another_can_start_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = |existing, api_port| {
        let mut config = Config::new(folder.path());
        config.blueprint.validators = 1;
        Config {
            existing,
            api_port,
            ..config
        }
    };
    let chain = |net: Localnet| {
        let chain = net.genesis().chain_id();
        net.stop().unwrap();
        chain
    };
    let first = chain(Localnet::start(config(Existing::Delete, 0)).unwrap());
    let mine = [
        "validator-notes.txt",
        "validator-0-backup",
        "validator-0/notes",
        "blobs/mine",
        "probe.tmp",
    ];
    for name in mine {
        std::fs::write(folder.path().join(name), "mine").unwrap();
    }
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Localnet::start(config(Existing::Delete, port)).err().unwrap();
    assert!(matches!(error, LocalnetError::Port(_)), "{error}");
    let second = chain(Localnet::start(config(Existing::Keep, 0)).unwrap());
    assert_eq!(second, first, "it was deleted for nothing");

    let running = Localnet::start(config(Existing::Keep, 0)).unwrap();
    let error = Localnet::start(config(Existing::Delete, 0)).err().unwrap();
    assert!(
        matches!(error, LocalnetError::Folder(FolderError::Locked(_))),
        "{error}"
    );
    assert_eq!(chain(running), first);

    assert_ne!(
        chain(Localnet::start(config(Existing::Delete, 0)).unwrap()),
        first
    );
    for name in mine {
        assert_eq!(
            std::fs::read_to_string(folder.path().join(name)).unwrap(),
            "mine",
            "{name}"
        );
    }
}

#[test]
fn a_new_network_writes_over_nothing_of_others() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["blobs", "validator-1", "version", "faucet.json"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "mine").unwrap();
        for existing in [Existing::Keep, Existing::Delete] {
            let error = Localnet::start(Config {
                existing,
                ..Config::new(folder.path())
            })
            .err()
            .unwrap();
            assert!(
                matches!(
                    error,
                    LocalnetError::Folder(FolderError::InTheWay(_) | FolderError::Foreign(_))
                ),
                "{name}: {error}"
            );
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        std::fs::remove_file(path).unwrap();
    }
}
