//! A localnet on real sockets and a real disk, as a client sees it.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use soma_client::{Account, Journal, NodeClient, SubmissionFilter};
use soma_node::{
    folder::{Blueprint, Existing, FolderError},
    localnet::{Config, Localnet, LocalnetError},
};
use soma_types::{
    Address, ContentHash, DecryptionKey, Embedding, Epoch, Height, Keypair, ModelId, Seed, Shannons,
    Transaction, TransactionKind,
    amount::{MAX_SUPPLY, SHANNONS_PER_SOMA},
    genesis::GenesisWeights,
    list::List,
    params::{Params, Preset},
    transaction::{BasisPoints, Payment},
    upgrade::{Ballot, PROTOCOL_VERSION, ProposalStatus, ProtocolVersion, Upgrade},
};

const PATIENCE: Duration = Duration::from_secs(60);
const ALICE: Address = Address([0xa1; 32]);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn client(net: &Localnet, validator: usize) -> NodeClient {
    NodeClient::new(&format!("http://{}", net.apis()[validator])).unwrap()
}

/// Asks until `ready` says yes.
async fn wait<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ask().await {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn height(client: &NodeClient) -> u64 {
    client.status().await.map_or(0, |status| status.height.0)
}

#[test]
fn clients_read_write_and_the_network_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        seed: Some(7),
        ..Config::new(folder.path())
    };
    let net = Localnet::start(config.clone()).unwrap();
    let chain = net.genesis().chain_id();
    let paid = runtime().block_on(async {
        let (first, last) = (client(&net, 0), client(&net, 3));
        wait("blocks", async || (height(&first).await >= 3).then_some(())).await;

        // A payment handed to one validator is seen at another.
        let hash = first
            .faucet(&ALICE, Some(Shannons(5 * SHANNONS_PER_SOMA)))
            .await
            .unwrap();
        let included = wait("the faucet's payment", async || {
            last.transaction(&hash)
                .await
                .ok()
                .flatten()
                .filter(|view| view.receipt.is_some())
        });
        let receipt = included.await.receipt.unwrap();
        assert!(receipt.applied());
        assert_eq!(
            last.account(&ALICE).await.unwrap().balance,
            Shannons(5 * SHANNONS_PER_SOMA)
        );
        let history = last.account_transactions(&ALICE, None, 10).await.unwrap();
        assert_eq!(history.items.len(), 1);

        // Blocks, certificates, supply, lists.
        let block = last.block(Some(receipt.height)).await.unwrap();
        assert_eq!(block.transactions, vec![hash]);
        assert_eq!(
            last.block(Some(receipt.height)).await.unwrap(),
            first.block(Some(receipt.height)).await.unwrap()
        );
        let supply = first.supply().await.unwrap();
        assert_eq!((supply.actual, supply.expected), (MAX_SUPPLY, MAX_SUPPLY));
        assert_eq!(first.validators().await.unwrap().len(), 4);
        assert!(
            first
                .submissions(&SubmissionFilter::default())
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(first.epoch(None).await.unwrap().epoch, Epoch(0));

        // Content goes in at one validator and comes out at another.
        let bytes = vec![7; 100_000];
        let name = first.put_blob(bytes.clone()).await.unwrap();
        assert_eq!(name, ContentHash::of(&bytes));
        assert_eq!(last.blob(&name).await.unwrap(), bytes);
        hash
    });

    // The folder is taken, and so is the port.
    assert!(matches!(
        Localnet::start(config.clone()),
        Err(LocalnetError::Folder(FolderError::Locked(_)))
    ));
    let before = runtime().block_on(height(&client(&net, 0)));
    net.stop().unwrap();

    let net = Localnet::start(config).unwrap();
    assert_eq!(net.genesis().chain_id(), chain, "the same network");
    runtime().block_on(async {
        let client = client(&net, 1);
        assert!(
            height(&client).await >= before.saturating_sub(1),
            "nothing was lost"
        );
        let view = client.transaction(&paid).await.unwrap().unwrap();
        assert!(view.receipt.unwrap().applied());
        wait("new blocks", async || {
            (height(&client).await > before + 3).then_some(())
        })
        .await;

        // All validators hold the same state.
        let height = client.status().await.unwrap().height;
        let mut roots = Vec::new();
        for index in 0..4 {
            let client = self::client(&net, index);
            roots.push(
                wait("the block", async || client.block(Some(height)).await.ok())
                    .await
                    .state_root,
            );
        }
        roots.dedup();
        assert_eq!(roots.len(), 1);
        for query in net.queries() {
            let (height, root) = query.state_root().await.unwrap();
            let block = wait("the block", async || client.block(Some(height)).await.ok()).await;
            assert_eq!(root, block.state_root, "its own storage agrees with the chain");
        }
    });
    net.stop().unwrap();
}

#[test]
fn a_refused_transaction_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let net = Localnet::start(Config::new(folder.path())).unwrap();
    runtime().block_on(async {
        let client = client(&net, 0);
        wait("blocks", async || (height(&client).await >= 1).then_some(())).await;
        let keys = Keypair::from_secret_bytes([9; 32]);
        let payment = Payment {
            to: ALICE,
            amount: Shannons(1),
        };
        let transaction = Transaction {
            chain: net.genesis().chain_id(),
            sender: keys.public_key(),
            nonce: 0,
            expires: Epoch(10),
            max_fee: Shannons(SHANNONS_PER_SOMA),
            kind: TransactionKind::Transfer {
                payments: List::new(vec![payment]).unwrap(),
            },
        };
        let refusal = client
            .submit(&transaction.sign(&keys))
            .await
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("fund the account"), "{refusal}");
        assert!(client.block(Some(Height(1_000_000))).await.is_err());
    });
    net.stop().unwrap();
}

/// Everyone votes for rules that this software does not have: it says so, and stops before they are in force.
#[test]
fn validators_stop_before_rules_they_do_not_implement() {
    let folder = tempfile::tempdir().unwrap();
    let params = Params {
        preset: Preset::Custom,
        epoch_blocks: 12,
        audit_commit_blocks: 6,
        audit_reveal_blocks: 2,
        hearing_commit_blocks: 2,
        difficulty_windows: 4,
        ..Params::local()
    };
    let mut net = Localnet::start(Config {
        blueprint: Blueprint {
            params,
            ..Blueprint::default()
        },
        seed: Some(9),
        ..Config::new(folder.path())
    })
    .unwrap();
    let next = ProtocolVersion(PROTOCOL_VERSION.0 + 1);
    let activation = runtime().block_on(async {
        let node = client(&net, 0);
        let epoch = wait("the first block", async || node.status().await.ok())
            .await
            .epoch;
        let accounts: Vec<Account> = net
            .validator_accounts()
            .iter()
            .zip(0..)
            .map(|(keys, index)| {
                let journal = Journal::new(folder.path().join(format!("journal-{index}")));
                Account::new(node.clone(), keys.clone(), journal)
            })
            .collect();
        let upgrade = Upgrade {
            version: next,
            architecture: None,
            params: List::new(Vec::new()).unwrap(),
            activation: epoch.plus(4),
        };
        let (proposal, _) = accounts[0].propose_upgrade(upgrade).await.unwrap();
        for account in &accounts[1..3] {
            account.vote_upgrade(proposal, Ballot::Approve).await.unwrap();
        }
        let scheduled = wait("the schedule", async || node.status().await.ok()?.upgrade).await;
        assert_eq!((scheduled.version, scheduled.supported), (next, false));
        let view = node.proposals().await.unwrap().remove(0);
        assert_eq!((view.seats, view.seats_total), (3, 4));
        assert!(matches!(view.proposal.status, ProposalStatus::Scheduled { .. }));
        scheduled.activation
    });
    let start = Instant::now();
    let failure = loop {
        if let Some(failure) = net.failure() {
            break failure.to_string();
        }
        assert!(start.elapsed() < PATIENCE, "it went on");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(
        failure.contains(&format!("protocol version {next}"))
            && failure.contains(&format!("epoch {activation}"))
            && failure.contains("install a newer release"),
        "{failure}"
    );
}

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
    assert!(matches!(error, LocalnetError::Port { .. }), "{error}");
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

/// Serves `body` to the first who asks; then the host is gone.
fn serve_once(body: Vec<u8>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        drop(listener);
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    });
    format!("http://{address}/weights")
}

#[test]
fn content_is_kept_while_it_is_needed_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let (genesis, orphan, hosted) = (vec![1; 3_000], vec![2; 3_000], vec![3; 3_000]);
    let mut config = Config::new(folder.path());
    config.blueprint.params = Params {
        epoch_blocks: 24,
        audit_commit_blocks: 12,
        audit_reveal_blocks: 2,
        hearing_commit_blocks: 2,
        ..Params::local()
    };
    config.blueprint.weights = Some(GenesisWeights {
        url: format!("soma:{}", ContentHash::of(&genesis)).parse().unwrap(),
        size_bytes: genesis.len() as u64,
        hash: ContentHash::of(&genesis),
    });
    let net = Localnet::start(config).unwrap();
    runtime().block_on(async {
        let (first, last) = (client(&net, 0), client(&net, 3));
        wait("blocks", async || (height(&first).await >= 1).then_some(())).await;
        for bytes in [&genesis, &orphan] {
            first.put_blob(bytes.clone()).await.unwrap();
        }
        let keys = Keypair::from_secret_bytes([9; 32]);
        let account = Account::new(last.clone(), keys, Journal::new(folder.path().join("journal")));
        let paid = first.faucet(&account.address(), None).await.unwrap();
        wait("the faucet's payment", async || {
            last.transaction(&paid).await.ok()??.receipt
        })
        .await;
        let stake = net.genesis().params.model_stake_min;
        let model = account.create_model(BasisPoints::default(), stake).await.unwrap();
        let hash = ContentHash::of(&hosted);
        let commit = TransactionKind::CommitModel {
            model,
            url: serve_once(hosted.clone()).parse().unwrap(),
            size_bytes: hosted.len() as u64,
            hash,
        };
        let receipt = account.execute(commit).await.unwrap();
        assert!(receipt.applied(), "{receipt:?}");

        // The host answers once, and nobody but the keeper has asked.
        let kept = wait("the keeper", async || last.blob(&hash).await.ok()).await;
        assert_eq!(kept, hosted);

        // The commitment lapses, so its weights are as little needed as what nobody ever named.
        let (names, start) = ([hash, ContentHash::of(&orphan)], Instant::now());
        while first.blob(&names[0]).await.is_ok() || first.blob(&names[1]).await.is_ok() {
            assert!(start.elapsed() < PATIENCE, "waited too long for the sweep");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert!(first.epoch(None).await.unwrap().epoch >= Epoch(2));
        assert_eq!(first.blob(&ContentHash::of(&genesis)).await.unwrap(), genesis);
    });
    net.stop().unwrap();
}

/// Commits to `content` as a model's weights; when that is revealed.
async fn commit(account: &Account, model: ModelId, content: &[u8]) -> Epoch {
    let node = account.node();
    let hash = node.put_blob(content.to_vec()).await.unwrap();
    let commit = TransactionKind::CommitModel {
        model,
        url: format!("soma:{hash}").parse().unwrap(),
        size_bytes: content.len() as u64,
        hash,
    };
    account.execute(commit).await.unwrap();
    let committed = node.model(&model).await.unwrap().model.committed.unwrap();
    committed.epoch.next()
}

/// Reveals it; nobody looks at the weights.
async fn reveal(account: &Account, model: ModelId) {
    let dim = account.params().await.unwrap().architecture.embedding_dim;
    let reveal = TransactionKind::RevealModel {
        model,
        key: DecryptionKey([1; 32]),
        embedding: Embedding::draw(&Seed([1; 32]), dim as usize),
    };
    account.execute(reveal).await.unwrap();
}

/// What an epoch's targets name is needed by its audits, whatever its owner does meanwhile.
#[test]
fn weights_are_kept_while_claims_on_them_are_audited() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut config = Config::new(folder.path());
        config.blueprint.params = Params {
            block_time_ms: 100,
            epoch_blocks: 36,
            audit_commit_blocks: 12,
            audit_reveal_blocks: 2,
            hearing_commit_blocks: 2,
            refresh_epochs: 2,
            ..Params::local()
        };
        Localnet::start(config).unwrap()
    };
    let contents = [[1; 3_000], [2; 3_000], [3; 3_000], [4; 3_000]];
    let [retired, replaced, newer, newest] = contents.map(|content| ContentHash::of(&content));
    let runtime = runtime();
    let net = start();
    let competing = runtime.block_on(async {
        let node = client(&net, 0);
        let keys = Keypair::from_secret_bytes([9; 32]);
        let account = Account::new(node.clone(), keys, Journal::new(folder.path().join("journal")));
        wait("the faucet", async || {
            let _ = node.faucet(&account.address(), None).await;
            account.balance().await.ok().filter(|balance| !balance.is_zero())
        })
        .await;
        let stake = net.genesis().params.model_stake_min;
        let leaves = account.create_model(BasisPoints::default(), stake).await.unwrap();
        let stays = account.create_model(BasisPoints::default(), stake).await.unwrap();
        let first = commit(&account, leaves, &contents[0]).await;
        assert_eq!(
            commit(&account, stays, &contents[1]).await,
            first,
            "epochs are long enough"
        );
        node.wait_for_epoch(first, PATIENCE).await.unwrap();
        reveal(&account, leaves).await;
        reveal(&account, stays).await;
        let competing = commit(&account, stays, &contents[2]).await;
        assert_eq!(competing, first.next());
        node.wait_for_epoch(competing, PATIENCE).await.unwrap();
        reveal(&account, stays).await;
        let retire = TransactionKind::DeactivateModel { model: leaves };
        account.execute(retire).await.unwrap();
        let next = commit(&account, stays, &contents[3]).await;
        assert_eq!(next, competing.next());
        node.wait_for_epoch(next, PATIENCE).await.unwrap();
        reveal(&account, stays).await;
        competing
    });
    net.stop().unwrap();

    // Its claims are audited now, by a keeper that knows only what the ledger says.
    let net = start();
    runtime.block_on(async {
        let node = client(&net, 0);
        let kept = async |hash: &ContentHash| node.blob(hash).await.is_ok();
        let restarted = height(&node).await;
        wait("the sweep", async || {
            (height(&node).await > restarted + 4).then_some(())
        })
        .await;
        assert_eq!(
            node.epoch(None).await.unwrap().epoch,
            competing.next(),
            "epochs are long enough"
        );
        for hash in [&retired, &replaced, &newer, &newest] {
            assert!(kept(hash).await, "{hash}");
        }
        // The record of its model names what was replaced twice no more.
        node.wait_for_epoch(competing.plus(2), PATIENCE).await.unwrap();
        let swept = height(&node).await + 4;
        wait("the sweep", async || (height(&node).await > swept).then_some(())).await;
        for hash in [&retired, &replaced, &newer, &newest] {
            assert!(kept(hash).await, "{hash}");
        }
        // Then it goes; and at last what a model had that has gone stale.
        for (hash, from) in [(&retired, 3), (&replaced, 3), (&newer, 4), (&newest, 6)] {
            wait("the sweep", async || (!kept(hash).await).then_some(())).await;
            let epoch = node.epoch(None).await.unwrap().epoch;
            assert_eq!(epoch, competing.plus(from), "{hash}");
        }
    });
    net.stop().unwrap();
}

/// Runs in a child process, until it is killed.
#[test]
#[ignore = "the child of a_killed_network_resumes"]
fn child() {
    let Ok(folder) = std::env::var("SOMA_TEST_LOCALNET") else {
        return;
    };
    if let Ok(files) = std::env::var("SOMA_TEST_FILES") {
        let files = files.parse().unwrap();
        rlimit::setrlimit(rlimit::Resource::NOFILE, files, files).unwrap();
    }
    let net = Localnet::start(Config::new(&folder)).unwrap();
    let apis: Vec<String> = net.apis().iter().map(ToString::to_string).collect();
    std::fs::write(Path::new(&folder).join("api.tmp"), apis.join(" ")).unwrap();
    std::fs::rename(Path::new(&folder).join("api.tmp"), Path::new(&folder).join("api")).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_killed_network_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut before, mut paid) = (0, Vec::new());
    for _ in 0..2 {
        let api = folder.path().join("api");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored"])
            .env("SOMA_TEST_LOCALNET", folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        runtime().block_on(async {
            let addresses = wait("the child", async || std::fs::read_to_string(&api).ok()).await;
            let address = addresses.split(' ').next().unwrap();
            let client = NodeClient::new(&format!("http://{address}")).unwrap();
            wait("blocks", async || {
                (height(&client).await > before + 5).then_some(())
            })
            .await;
            for hash in &paid {
                let view = client
                    .transaction(hash)
                    .await
                    .unwrap()
                    .expect("a payment was lost");
                assert!(view.receipt.unwrap().applied());
            }
            let hash = client.faucet(&ALICE, None).await.unwrap();
            wait("the payment", async || {
                client.transaction(&hash).await.ok()??.receipt
            })
            .await;
            paid.push(hash);
            before = height(&client).await;
        });
        // Not a chance to write anything.
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_file(api).unwrap();
    }
    let net = Localnet::start(Config::new(folder.path())).unwrap();
    runtime().block_on(async {
        let client = client(&net, 2);
        wait("blocks", async || (height(&client).await > before).then_some(())).await;
        let account = client.account(&ALICE).await.unwrap();
        assert_eq!(account.balance, Shannons(2 * 5_000 * SHANNONS_PER_SOMA));
    });
    net.stop().unwrap();
}

/// A child that is killed when the test ends, however it ends.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a system allows no more than 1024 open files, four validators run, their files do not grow with the chain,
/// and no number of silent clients takes a file from storage.
#[cfg(target_os = "linux")]
#[test]
fn storage_has_its_files_whoever_connects() {
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored"])
        .env("SOMA_TEST_LOCALNET", folder.path())
        .env("SOMA_TEST_FILES", "1024")
        .stdout(Stdio::null())
        .spawn()
        .map(Killed)
        .unwrap();
    let open_files = || {
        std::fs::read_dir(format!("/proc/{}/fd", child.0.id()))
            .unwrap()
            .count()
    };
    runtime().block_on(async {
        let api = folder.path().join("api");
        let addresses = wait("the child", async || std::fs::read_to_string(&api).ok()).await;
        let addresses: Vec<String> = addresses.split(' ').map(str::to_owned).collect();
        let last = NodeClient::new(&format!("http://{}", addresses[3])).unwrap();
        let reaches =
            async |at: u64| wait("blocks", async || (height(&last).await >= at).then_some(())).await;
        reaches(50).await;
        let before = open_files();
        reaches(90).await;
        assert!(
            open_files() <= before + 8,
            "{before} files became {}",
            open_files()
        );

        // Followers of events get half of the places, so that others are served besides.
        let mut refused = 0;
        let mut followers = Vec::new();
        for _ in 0..30 {
            let mut stream = std::net::TcpStream::connect(&addresses[3]).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
                .write_all(b"GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            refused += usize::from(&status == b"HTTP/1.1 503");
            followers.push(stream);
        }
        assert!((5..25).contains(&refused), "{refused} of 30 were refused");

        let mut silent = Vec::new();
        for index in 0..900 {
            let mut stream = std::net::TcpStream::connect(&addresses[index % 3]).unwrap();
            if index % 2 == 0 {
                stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: ").unwrap();
            }
            silent.push(stream);
        }
        let now = height(&last).await;
        reaches(now + 20).await;
        assert!(open_files() < 1_000, "{}", open_files());
    });
}
