//! A localnet as a client sees it: reads, writes, refusals, and a restart.

use soma_blobs::Expected;
use soma_client::{NodeClient, SubmissionFilter};
use soma_localnet::{Config, FolderError, Localnet, LocalnetError, testing::wait};
use soma_types::{
    Epoch, Height, Keypair, Shannons, Transaction, TransactionKind,
    amount::{MAX_SUPPLY, SHANNONS_PER_SOMA},
    api::BlockView,
    list::List,
    transaction::Payment,
};

use crate::common::{ALICE, client, height, runtime};

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
