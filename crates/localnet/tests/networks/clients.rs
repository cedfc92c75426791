//! A localnet as a client sees it: reads, writes, refusals, and a restart.

use std::time::Duration;

use soma_blobs::Expected;
use soma_client::{NodeClient, NodeOptions, SubmissionFilter};
use soma_light::subject::{Found, Held, Subject};
use soma_localnet::{Config, FolderError, Localnet, LocalnetError, testing::wait};
use soma_types::{
    Epoch, Height, Keypair, ModelId, Shannons, Transaction, TransactionHash, TransactionKind,
    amount::{MAX_SUPPLY, SHANNONS_PER_SOMA},
    api::{BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, BlockView},
    genesis::GenesisAccount,
    list::List,
    objects::Account,
    transaction::Payment,
};

use crate::{
    common::{ALICE, client, height, runtime},
    raw::send,
};

/// The block at `height`, once this validator has it: one may be ahead of another.
async fn block_at(client: &NodeClient, height: Height) -> BlockView {
    wait("the block", async || client.block(Some(height)).await.ok()).await
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
        assert_eq!(block, block_at(&first, receipt.height).await);
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

        // What it says is proved to whoever trusts the network's key alone.
        let key = last.status().await.unwrap().network_key.parse().unwrap();
        let prove = async |subject: Subject, height: Option<Height>| {
            let proven = wait("a certificate", async || {
                last.proven(&subject, height, &key).await.ok()
            })
            .await;
            assert_eq!((proven.chain, proven.subject), (chain, subject));
            (proven.height, proven.found)
        };
        let (at, found) = prove(Subject::Held(Held::Account(ALICE)), None).await;
        let account = Account {
            balance: Shannons(5 * SHANNONS_PER_SOMA),
            nonce: 0,
        };
        assert!(at >= receipt.height);
        assert_eq!(found, Some(Found::Account(account)));
        // One that does not answer hides nothing from those who ask several.
        let gone = NodeOptions {
            retry_window: Duration::ZERO,
            ..NodeOptions::default()
        };
        let gone = NodeClient::with_options("http://127.0.0.1:1", gone).unwrap();
        let nodes = [first.clone(), last.clone()];
        let latest = gone.latest(&nodes, Held::Account(ALICE), &key).await.unwrap();
        assert!(latest.height >= at);
        assert_eq!(latest.found, Some(Found::Account(account)));
        let nothing = Subject::Held(Held::Model(ModelId([0xa1; 32])));
        assert_eq!(prove(nothing, None).await.1, None);
        let paid = Subject::Receipt(hash);
        let shown = Some(Found::Receipt(Box::new(receipt.clone())));
        assert_eq!(prove(paid, None).await, (receipt.height, shown));
        let earlier = Height(receipt.height.0 - 1);
        assert_eq!(prove(paid, Some(earlier)).await, (earlier, None));
        let unknown = Subject::Receipt(TransactionHash([0xa2; 32]));
        for height in [None, Some(Height(u64::MAX))] {
            let refused = last.proven(&unknown, height, &key).await.unwrap_err();
            assert!(refused.is_not_found(), "{refused}");
        }

        // Content goes in at one validator and comes out at another.
        let bytes = vec![7; 100_000];
        first.put_blob(&bytes.clone().into()).await.unwrap();
        let blob = last.blob(Expected::of(&bytes)).await.unwrap();
        assert_eq!(blob.bytes().unwrap(), bytes);
        hash
    });

    // The folder is taken, and so is the port.
    assert!(matches!(
        Localnet::start(config.clone()),
        Err(LocalnetError::Folder(FolderError::Locked(_)))
    ));
    let before = runtime().block_on(async {
        let client = client(&net, 0);
        block_at(&client, Height(height(&client).await)).await
    });
    net.stop().unwrap();

    let net = Localnet::start(config).unwrap();
    assert_eq!(net.genesis().chain_id(), chain, "the same network");
    runtime().block_on(async {
        let client = client(&net, 1);
        // What it had not finished when it was stopped, it takes up again.
        assert_eq!(block_at(&client, before.height).await, before, "nothing was lost");
        let view = client.transaction(&paid).await.unwrap().unwrap();
        assert!(view.receipt.unwrap().applied());
        wait("new blocks", async || {
            (height(&client).await > before.height.0 + 3).then_some(())
        })
        .await;

        // All validators hold the same state.
        let height = client.status().await.unwrap().height;
        let mut roots = Vec::new();
        for index in 0..4 {
            let client = self::client(&net, index);
            roots.push(block_at(&client, height).await.state_root);
        }
        roots.dedup();
        assert_eq!(roots.len(), 1);
        for query in net.queries() {
            let (height, root) = query.state_root().await.unwrap();
            let block = block_at(&client, height).await;
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

/// Many transactions in one request, more than one request holds, and each has its own answer.
#[test]
fn a_batch_is_answered_one_by_one() {
    const SENDERS: u8 = 5;
    const EACH: u64 = 220;
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<Keypair> = (0..SENDERS)
        .map(|byte| Keypair::from_secret_bytes([byte + 1; 32]))
        .collect();
    let mut config = Config::new(folder.path());
    config.blueprint.validators = 1;
    config.blueprint.accounts = keys
        .iter()
        .map(|keys| GenesisAccount {
            address: keys.address(),
            balance: Shannons(100 * SHANNONS_PER_SOMA),
        })
        .collect();
    let net = Localnet::start(config).unwrap();
    let chain = net.genesis().chain_id();
    let payment = |keys: &Keypair, nonce: u64| {
        let payment = Payment {
            to: keys.address(),
            amount: Shannons(1),
        };
        let transaction = Transaction {
            chain,
            sender: keys.public_key(),
            nonce,
            expires: Epoch(60),
            max_fee: Shannons(SHANNONS_PER_SOMA),
            kind: TransactionKind::Transfer {
                payments: List::new(vec![payment]).unwrap(),
            },
        };
        transaction.sign(keys)
    };
    runtime().block_on(async {
        let client = client(&net, 0);
        wait("blocks", async || (height(&client).await >= 1).then_some(())).await;
        assert_eq!(client.submit_all(&[]).await.unwrap(), []);
        let mut batch: Vec<_> = (0..EACH)
            .flat_map(|nonce| keys.iter().map(move |keys| (keys, nonce)))
            .map(|(keys, nonce)| payment(keys, nonce))
            .collect();
        assert!(batch.len() > BATCH_TRANSACTIONS_MAX);
        let stranger = Keypair::from_secret_bytes([99; 32]);
        let bad = [
            payment(&keys[0], EACH + 1),
            payment(&stranger, 0),
            batch[0].clone(),
        ];
        batch.extend(bad);
        let answers = client.submit_all(&batch).await.unwrap();
        assert_eq!(answers.len(), batch.len());
        for (transaction, answer) in batch.iter().zip(&answers) {
            let refused = answer
                .as_ref()
                .map_err(|problem| problem.name.as_deref().unwrap_or_default());
            let sender = transaction.transaction.sender;
            let expected = if sender == stranger.public_key() {
                Err("CannotPayFee")
            } else if transaction.transaction.nonce > EACH {
                Err("NonceAhead")
            } else {
                Ok(&transaction.hash())
            };
            assert_eq!(refused, expected);
        }
        for keys in &keys {
            wait("all payments", async || {
                let account = client.account(&keys.address()).await.unwrap();
                (account.nonce == EACH).then_some(())
            })
            .await;
        }
        // The state is read before the tip is told of.
        let included = wait("the last block", async || {
            let mut included = 0;
            for height in 1..=height(&client).await {
                included += block_at(&client, Height(height)).await.transactions.len() as u64;
            }
            (included >= u64::from(SENDERS) * EACH).then_some(included)
        });
        assert_eq!(included.await, u64::from(SENDERS) * EACH);
    });
    // One request holds no more than it says.
    let address = net.apis()[0];
    let post = |body: &str| {
        let lines = format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        send(address, "POST", "/v1/transactions", &lines, body.as_bytes())
    };
    let many = vec!["\"AA==\""; BATCH_TRANSACTIONS_MAX + 1].join(",");
    let detail = post(&format!("{{\"transactions\":[{many}]}}")).problem(400, "too many");
    assert!(detail.contains("1024"), "{detail}");
    let long = "A".repeat(BATCH_BYTES_MAX);
    post(&format!("{{\"transactions\":[\"{long}\"]}}")).problem(413, "too long");
    let answer = post(r#"{"transactions":["AA=="]}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["answers"][0]["problem"]["name"], "Malformed");
    net.stop().unwrap();
}
