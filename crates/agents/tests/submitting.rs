//! A submitter on a real network.

mod common;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use soma_agents::{Downloader, Experts, Submitter, submitter::Attempt};
use soma_blobs::FetchPolicy;
use soma_client::{Account, Journal, NodeClient, Notice};
use soma_types::{Keypair, TargetId, TransactionKind, params::Params};
use tokio::runtime::Runtime;

use common::{claim_falsely, client, compete, funded, rules, start};

/// Whoever is a moment late does not give up the find.
#[test]
fn e2e_a_document_whose_target_closes_under_way_goes_to_another() {
    let folder = tempfile::tempdir().unwrap();
    let net = start(
        folder.path(),
        Params {
            // What is tried is who comes first, not how well a model reads.
            cross_entropy_max_nano: 1 << 40,
            ..rules()
        },
    );
    Runtime::new().unwrap().block_on(async {
        let node = client(&net);
        let account = funded(&node, 9, folder.path()).await;
        funded(&node, 10, folder.path()).await;
        compete(&account).await;

        // When its first commit is on its way, a rival reveals a claim on its target.
        let (address, journal) = (node.address().to_owned(), folder.path().join("rival"));
        let (raced, lost) = (AtomicBool::new(false), Arc::new(Mutex::new(None)));
        let noted = Arc::clone(&lost);
        let rival = move |target: TargetId| {
            Runtime::new().unwrap().block_on(async {
                let node = NodeClient::new(&address).unwrap();
                let view = node.target(&target).await.unwrap();
                let rival = Account::new(node, Keypair::from_secret_bytes([10; 32]), Journal::new(&journal));
                claim_falsely(&rival, &view, b"A moment faster.").await;
            });
            *noted.lock().unwrap() = Some(target);
        };
        let account = account.watched(move |notice| {
            if let Notice::Sending(signed) = notice
                && let TransactionKind::CommitSubmission { target, .. } = signed.transaction.kind
                && !raced.swap(true, Ordering::SeqCst)
            {
                std::thread::scope(|scope| scope.spawn(|| rival(target)).join().unwrap());
            }
        });

        let policy = FetchPolicy::default();
        let experts = Experts::new(Downloader::new(node.clone(), policy).unwrap());
        let params = net.genesis().params.clone();
        let mut submitter = Submitter::new(account, params, experts).unwrap();
        let attempt = submitter.try_document(b"Who is late looks again.").await;
        let Ok(Attempt::Revealed(find)) = attempt else {
            panic!("{attempt:?}");
        };
        let target = find.target;
        let lost = lost.lock().unwrap().expect("the rival came first");
        assert_ne!(target, lost);
    });
    net.stop().unwrap();
}
