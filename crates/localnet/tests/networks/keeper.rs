//! Content is kept while competition and audits need it, and no longer.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    time::{Duration, Instant},
};

use soma_blobs::{Blob, Expected};
use soma_client::{Account, Journal};
use soma_localnet::{
    Config, Localnet,
    testing::{PATIENCE, wait},
};
use soma_node::retention::{EPOCHS_MIN, Retention};
use soma_types::{
    ContentHash, DecryptionKey, Embedding, Epoch, Keypair, ModelId, Seed, TransactionKind,
    genesis::GenesisWeights, params::Params, transaction::BasisPoints,
};

use crate::common::{client, height, runtime, short_epochs};

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
    config.blueprint.params = short_epochs();
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
            first.put_blob(&bytes.clone().into()).await.unwrap();
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
            embedding: None,
        };
        let receipt = account.execute(commit).await.unwrap();
        assert!(receipt.applied(), "{receipt:?}");

        // The host answers once, and nobody but the keeper has asked.
        let expected = Expected::of(&hosted);
        let kept = wait("the keeper", async || last.blob(expected).await.ok()).await;
        assert_eq!(kept.bytes().unwrap(), hosted);

        // The commitment lapses, so its weights are as little needed as what nobody ever named.
        let (orphan, start) = (Expected::of(&orphan), Instant::now());
        while first.blob(expected).await.is_ok() || first.blob(orphan).await.is_ok() {
            assert!(start.elapsed() < PATIENCE, "waited too long for the sweep");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert!(first.epoch(None).await.unwrap().epoch >= Epoch(2));
        let kept = first.blob(Expected::of(&genesis)).await.unwrap();
        assert_eq!(kept.bytes().unwrap(), genesis);
    });
    net.stop().unwrap();
}

/// Serves `body` to whoever asks at `listener`.
fn serve(listener: TcpListener, body: Vec<u8>) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
}

/// What was committed to while nobody kept the store, or has been lost since, is fetched at the start.
#[test]
fn what_is_needed_is_fetched_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Localnet::start(Config::new(folder.path())).unwrap();
    let hosted = vec![3; 3_000];
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/weights", listener.local_addr().unwrap());
    serve(listener, hosted.clone());
    let expected = Expected::of(&hosted);
    let net = start();
    runtime().block_on(async {
        let node = client(&net, 0);
        let keys = Keypair::from_secret_bytes([9; 32]);
        let account = Account::new(node.clone(), keys, Journal::new(folder.path().join("journal")));
        wait("the faucet", async || {
            let _ = node.faucet(&account.address(), None).await;
            account.balance().await.ok().filter(|balance| !balance.is_zero())
        })
        .await;
        let stake = net.genesis().params.model_stake_min;
        let model = account.create_model(BasisPoints::default(), stake).await.unwrap();
        let commit = TransactionKind::CommitModel {
            model,
            url: url.parse().unwrap(),
            size_bytes: expected.size_bytes,
            hash: expected.hash,
            embedding: None,
        };
        account.execute(commit).await.unwrap();
        wait("the keeper", async || node.blob(expected).await.ok()).await;
    });
    net.stop().unwrap();
    // As if it had been stopped before the download.
    std::fs::remove_dir_all(folder.path().join("blobs")).unwrap();
    let net = start();
    runtime().block_on(async {
        // By its hash alone: nobody asks the node to fetch it.
        let node = client(&net, 3);
        let kept = wait("the keeper", async || node.blob(expected).await.ok()).await;
        assert_eq!(kept.bytes().unwrap(), hosted);
    });
    net.stop().unwrap();
}

/// Commits to `content` as a model's weights; when that is revealed.
async fn commit(account: &Account, model: ModelId, content: &[u8]) -> Epoch {
    let node = account.node();
    let content = Blob::from(content.to_vec());
    node.put_blob(&content).await.unwrap();
    let hash = content.hash();
    let commit = TransactionKind::CommitModel {
        model,
        url: format!("soma:{hash}").parse().unwrap(),
        size_bytes: content.size_bytes(),
        hash,
        embedding: None,
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
        config.retention = Retention {
            epochs: Some(EPOCHS_MIN),
            bytes: None,
        };
        Localnet::start(config).unwrap()
    };
    let contents = [[1; 3_000], [2; 3_000], [3; 3_000], [4; 3_000]];
    let [retired, replaced, newer, newest] = contents.map(|content| Expected::of(&content));
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
        let kept = async |content: &Expected| node.blob(*content).await.is_ok();
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
        for content in [&retired, &replaced, &newer, &newest] {
            assert!(kept(content).await, "{content:?}");
        }
        // The record of its model names what was replaced twice no more.
        node.wait_for_epoch(competing.plus(2), PATIENCE).await.unwrap();
        let swept = height(&node).await + 4;
        wait("the sweep", async || (height(&node).await > swept).then_some(())).await;
        for content in [&retired, &replaced, &newer, &newest] {
            assert!(kept(content).await, "{content:?}");
        }
        // Then it goes; and at last what a model had that has gone stale.
        for (content, from) in [(&retired, 3), (&replaced, 3), (&newer, 4), (&newest, 6)] {
            wait("the sweep", async || (!kept(content).await).then_some(())).await;
            let epoch = node.epoch(None).await.unwrap().epoch;
            assert_eq!(epoch, competing.plus(from), "{content:?}");
        }
    });
    net.stop().unwrap();
}
