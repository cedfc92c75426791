//! A submitter on a real network.

mod common;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use soma_agents::{
    Downloader, Experts, Service, Submitter,
    service::{Document, Hits, Limits, Told},
    submitter::Attempt,
};
use soma_blobs::FetchPolicy;
use soma_client::{Account, Journal, NodeClient, Notice};
use soma_types::{Keypair, TargetId, TransactionKind, params::Params, provenance::Provenance};
use tokio::{runtime::Runtime, sync::mpsc};

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

/// A disk that is full stops a service before anything is sent, at the document where the next goes on. What
/// was won before a stop counts, whether it was noted or not.
#[test]
fn e2e_a_service_goes_on_at_its_document_and_counts_its_hits() {
    let folder = tempfile::tempdir().unwrap();
    let net = start(
        folder.path(),
        Params {
            cross_entropy_max_nano: 1 << 40,
            ..rules()
        },
    );
    Runtime::new().unwrap().block_on(async {
        let node = client(&net);
        let owner = funded(&node, 9, folder.path()).await;
        compete(&owner).await;
        let journal = folder.path().join("submitter");
        let run = async |hits: Hits| {
            let keys = Keypair::from_secret_bytes([9; 32]);
            let account = Account::new(node.clone(), keys, Journal::new(&journal));
            let experts = Experts::new(Downloader::new(node.clone(), FetchPolicy::default()).unwrap());
            let submitter = Submitter::new(account, net.genesis().params.clone(), experts).unwrap();
            let limits = Limits {
                hits_max: Some(1),
                hits,
                bonds_max: None,
                fees_max: None,
                fees_from: None,
                under_way_max: NonZeroUsize::MIN,
                waits: false,
            };
            let mut service = Service::new(submitter, limits);
            let (sender, documents) = mpsc::channel(9);
            for number in 0..9 {
                let document = Document {
                    number,
                    name: format!("document {number}"),
                    data: format!("What document {number} says.").into_bytes(),
                    provenance: Provenance::default(),
                };
                sender.send(document).await.unwrap();
            }
            drop(sender);
            let (mut raced, mut reached) = (Vec::new(), None);
            let tell = |told: Told<'_>, service: &Service| match told {
                Told::Races => raced.extend(service.hits().racing.iter().copied()),
                Told::HitsReached(hits) => reached = Some(hits),
                _ => {}
            };
            let ended = service.run(documents, std::future::pending(), tell).await;
            (ended, service.tally(), service.hits().clone(), raced, reached)
        };

        // Nothing is made below a file.
        std::fs::write(&journal, "").unwrap();
        let (ended, tally, hits, ..) = run(Hits::default()).await;
        let error = ended.unwrap_err().to_string();
        assert!(error.starts_with("document 0: cannot create"), "{error}");
        assert_eq!((tally.position, tally.submitted), (0, 0));
        assert_eq!(hits, Hits::default());

        std::fs::remove_file(&journal).unwrap();
        let (ended, tally, hits, raced, reached) = run(Hits::default()).await;
        ended.unwrap();
        assert!(
            tally.won == 1 && hits.won == 1 && reached.is_none(),
            "{tally:?} {hits:?}"
        );
        assert!(hits.racing.is_empty());
        // Noted; and raced for, but not noted.
        let unnoted = Hits {
            won: 0,
            racing: raced.into_iter().collect(),
        };
        for earlier in [hits, unnoted] {
            let (ended, tally, hits, _, reached) = run(earlier).await;
            ended.unwrap();
            assert_eq!((hits.won, hits.racing.len(), reached), (1, 0, Some(1)));
            assert_eq!((tally.position, tally.submitted), (0, 0));
        }
    });
    net.stop().unwrap();
}
