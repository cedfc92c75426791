//! Accounts and flows against a small ledger behind a real socket.

mod common;

use std::{
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{CHAIN, Ledger, MODEL, embedding, ok, payment, scores, status, transfer};
use soma_client::{ClientError, Encrypted, NodeClient};
use soma_types::{
    ContentHash, Epoch, Height, Rejection, RejectionCode, Shannons, TargetId,
    api::Status,
    transaction::{BasisPoints, TransactionKind},
};

const TARGET: TargetId = TargetId([8; 32]);

#[tokio::test]
async fn many_transactions_at_once_get_nonces_in_order() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let account = account.clone();
            tokio::spawn(async move { account.transfer(payment()).await })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().unwrap().applied());
    }
    let nonces: Vec<_> =
        ledger.with(|inner| inner.included.iter().map(|view| view.transaction.nonce).collect());
    assert_eq!(nonces, (10..30).collect::<Vec<_>>());
    // Chain, parameters, fees and nonce were asked for once, not twenty times.
    let asked = ledger.with(|inner| {
        inner
            .log
            .iter()
            .filter(|line| line.contains("/v1/accounts"))
            .count()
    });
    assert_eq!(asked, 1);
}

/// As a binding needs it, which spawns them on a runtime of its own.
#[tokio::test]
async fn calls_can_be_awaited_on_any_thread() {
    fn sendable<T: Send>(_: T) {}
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    sendable(account.execute(transfer()));
    sendable(account.commit_model(MODEL, Vec::new().into(), None));
    sendable(account.reveal_model(MODEL, None));
    sendable(account.submit_data(TARGET, Vec::new(), scores()));
    sendable(account.node().fetch_model(&MODEL));
    sendable(account.node().events(None).next());
}

#[tokio::test]
async fn another_program_with_the_same_key_is_no_obstacle() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    account.transfer(payment()).await.unwrap();
    ledger.with(|inner| inner.nonce += 3);
    account.transfer(payment()).await.unwrap();
    ledger.with(|inner| inner.nonce -= 2);
    account.transfer(payment()).await.unwrap();
    let nonces: Vec<_> =
        ledger.with(|inner| inner.included.iter().map(|view| view.transaction.nonce).collect());
    assert_eq!(nonces, [10, 14, 13]);
}

#[tokio::test]
async fn a_boundary_between_building_and_sending_is_no_obstacle() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    assert_eq!(account.current_epoch().await.unwrap(), Epoch(4));
    ledger.with(|inner| inner.epoch = Epoch(9));
    account.transfer(payment()).await.unwrap();
    assert_eq!(
        ledger.with(|inner| inner.included[0].transaction.expires),
        Epoch(11)
    );
}

/// What is signed rests on the state that a node tells: one that is behind is waited for a little, and asked
/// for nothing but to be read.
#[tokio::test]
async fn nothing_is_signed_by_a_node_that_is_behind() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await.rehearsing();
    let is_behind = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&is_behind);
    ledger.with(|inner| {
        inner.hop = Box::new(move |request, answer| match request.path.as_str() {
            "/v1/status" if flag.load(Ordering::Relaxed) => ok(&Status {
                timestamp_ms: 1,
                ..status(Epoch(4), Height(320))
            }),
            _ => answer,
        });
    });
    let error = account.execute(transfer()).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ClientError::Behind { .. }), "{text}");
    assert!(
        text.contains("320") && text.contains("nothing was signed"),
        "{text}"
    );
    assert!(error.is_passing());
    assert!(ledger.with(|inner| inner.log.iter().all(|line| line.starts_with("GET"))));
    // One that has caught up meanwhile is as good as any.
    let waiting = tokio::spawn(async move { account.execute(transfer()).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    is_behind.store(false, Ordering::Relaxed);
    assert!(waiting.await.unwrap().unwrap().applied());
}

#[tokio::test]
async fn failures_are_errors_with_their_reason_and_receipt() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    ledger.with(|inner| inner.judge = Box::new(|_, _| Some(Rejection::NothingToDo {})));
    match account.transfer(payment()).await.unwrap_err() {
        ClientError::Failed {
            rejection: Rejection::NothingToDo {},
            receipt,
        } => assert!(!receipt.applied()),
        error => panic!("{error}"),
    }
    // It paid and took its nonce; the next one follows.
    ledger.with(|inner| inner.judge = Box::new(|_, _| None));
    account.transfer(payment()).await.unwrap();
    assert_eq!(ledger.with(|inner| inner.nonce), 12);
}

/// A node that loses its mempool gets the same bytes again, and includes them once.
#[tokio::test]
async fn a_forgotten_transaction_is_handed_in_again() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    ledger.with(|inner| inner.includes = false);
    let sent = account.submit(transfer()).await.unwrap();
    ledger.with(|inner| {
        inner.waiting.clear();
        inner.includes = true;
    });
    assert!(account.receipt(&sent).await.unwrap().applied());
    assert_eq!(ledger.kinds(), ["transfer"]);
}

/// Where another transaction took the nonce, the old one can never happen, so a new one is made.
#[tokio::test]
async fn a_superseded_transaction_is_rebuilt_once() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    ledger.with(|inner| inner.includes = false);
    let task = tokio::spawn(async move { account.transfer(payment()).await });
    while ledger.with(|inner| inner.waiting.is_empty()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ledger.with(|inner| {
        inner.include_another();
        inner.includes = true;
    });
    task.await.unwrap().unwrap();
    let nonces: Vec<_> =
        ledger.with(|inner| inner.included.iter().map(|view| view.transaction.nonce).collect());
    assert_eq!(nonces, [10, 11]);
    assert_eq!(ledger.kinds(), ["leave_validator", "transfer"]);
}

#[tokio::test]
async fn waiting_ends() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger
        .account(home.path())
        .await
        .with_wait(Duration::from_millis(300));
    ledger.with(|inner| inner.includes = false);
    let error = account.transfer(payment()).await.unwrap_err();
    assert!(matches!(error, ClientError::StillWaiting { .. }), "{error}");
    let account = ledger.account(home.path()).await;
    let sent = account.submit(transfer()).await.unwrap();
    ledger.with(|inner| {
        inner.waiting.pop();
        inner.epoch = Epoch(100);
    });
    let error = account.receipt(&sent).await.unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Expired {
                expires: Epoch(6),
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn models_are_committed_and_revealed_also_by_another_process() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    account
        .create_model(BasisPoints::new(500).unwrap(), Shannons(10))
        .await
        .unwrap();
    let weights = vec![42; 100_000];
    let committed = account
        .commit_model(MODEL, weights.clone().into(), Some(embedding()))
        .await
        .unwrap();
    assert_eq!(committed.reveal_in, Epoch(5));
    assert_eq!(committed.url.as_str(), format!("soma:{}", committed.hash));
    let container = ledger.with(|inner| inner.blobs[0].clone());
    assert_eq!(
        (ContentHash::of(&container), container.len() as u64),
        (committed.hash, committed.size_bytes)
    );
    drop(account);

    // Another process, later.
    ledger.with(|inner| inner.epoch = Epoch(5));
    let account = ledger.account(home.path()).await;
    let due = account.pending_models().await.unwrap();
    assert_eq!(
        (due.len(), due[0].reveal_in, due[0].pending.model),
        (1, Epoch(5), MODEL)
    );
    account.reveal_model(MODEL, None).await.unwrap();
    assert!(account.pending_models().await.unwrap().is_empty());
    assert!(account.journal().models(&CHAIN).unwrap().entries.is_empty());
    assert_eq!(ledger.kinds(), ["create_model", "commit_model", "reveal_model"]);
    assert!(fetched(account.node()).await.unwrap() == weights);
}

/// The model's weights, decrypted.
async fn fetched(node: &NodeClient) -> Result<Vec<u8>, ClientError> {
    let mut weights = Vec::new();
    node.fetch_model(&MODEL)
        .await?
        .open()?
        .read_to_end(&mut weights)
        .expect("from memory");
    Ok(weights)
}

#[tokio::test]
async fn weights_on_the_owners_host_are_verified_too() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    let (container, key) = soma_blobs::encrypt(b"weights").unwrap();
    let url = "https://example.org/weights";
    let encrypted = Encrypted {
        hash: ContentHash::of(&container),
        size_bytes: container.len() as u64,
        key: Some((&key).into()),
        weights: None,
    };
    let nowhere = "file:///weights".parse().unwrap();
    let file = account.commit_encrypted(MODEL, nowhere, encrypted.clone(), None);
    assert!(matches!(file.await, Err(ClientError::Argument(_))));
    account
        .commit_encrypted(MODEL, url.parse().unwrap(), encrypted, Some(embedding()))
        .await
        .unwrap();
    assert!(ledger.with(|inner| inner.blobs.is_empty()));
    account.reveal_model(MODEL, None).await.unwrap();
    assert!(
        account
            .node()
            .fetch_model(&MODEL)
            .await
            .unwrap_err()
            .is_not_found()
    );
    ledger.with(|inner| inner.hosted = Some(container));
    assert_eq!(fetched(account.node()).await.unwrap(), b"weights");
    ledger.with(|inner| inner.hosted = Some(b"other".to_vec()));
    assert!(matches!(
        account.node().fetch_model(&MODEL).await,
        Err(ClientError::WrongHash { .. })
    ));
}

#[tokio::test]
async fn a_refused_commit_leaves_no_secret_and_an_unknown_one_does() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger
        .account(home.path())
        .await
        .with_wait(Duration::from_millis(300));
    ledger.with(|inner| inner.judge = Box::new(|_, _| Some(Rejection::ModelRetired {})));
    let error = account
        .commit_model(MODEL, vec![1].into(), None)
        .await
        .unwrap_err();
    assert_eq!(error.rejection_code(), Some(RejectionCode::ModelRetired));
    assert!(account.journal().models(&CHAIN).unwrap().entries.is_empty());

    // The wait is given up, yet the commit happens: the secret is there, and is needed.
    ledger.with(|inner| {
        inner.judge = Box::new(|_, _| None);
        inner.includes = false;
    });
    let error = account
        .commit_model(MODEL, vec![1].into(), None)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::StillWaiting { .. }), "{error}");
    assert!(account.pending_models().await.unwrap().is_empty());
    ledger.with(|inner| {
        inner.include();
        inner.includes = true;
    });
    assert_eq!(account.pending_models().await.unwrap().len(), 1);
    let error = account.reveal_model(MODEL, None).await.unwrap_err();
    assert!(error.to_string().contains("embedding"), "{error}");
    account.reveal_model(MODEL, Some(embedding())).await.unwrap();

    // A commit that never happened is forgotten once it no longer can.
    ledger.with(|inner| inner.includes = false);
    account
        .commit_model(MODEL, vec![1].into(), None)
        .await
        .unwrap_err();
    ledger.with(|inner| {
        inner.waiting.clear();
        inner.epoch = Epoch(50);
    });
    let account = ledger.account(home.path()).await;
    assert!(account.pending_models().await.unwrap().is_empty());
    assert!(account.journal().models(&CHAIN).unwrap().entries.is_empty());
}

#[tokio::test]
async fn a_submission_whose_bond_cannot_be_paid_is_not_begun() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    // Of the deposit and the bond by size, all but a shannon.
    ledger.with(|inner| inner.balance = Shannons(1_000_000 + 10 * 1_000 - 1));
    let error = account
        .submit_data(TARGET, b"a document".to_vec(), scores())
        .await
        .unwrap_err();
    assert_eq!(error.rejection_name(), Some("InsufficientBalance"));
    assert!(account.journal().submissions(&CHAIN).unwrap().entries.is_empty());
    assert!(ledger.with(|inner| inner.log.iter().all(|line| line.starts_with("GET"))));
}

#[tokio::test]
async fn a_refused_submission_leaves_nothing() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    ledger.with(|inner| inner.judge = Box::new(|_, _| Some(Rejection::TargetClosed {})));
    let error = account
        .submit_data(TARGET, b"a document".to_vec(), scores())
        .await
        .unwrap_err();
    assert_eq!(error.rejection_code(), Some(RejectionCode::TargetClosed));
    assert!(account.journal().submissions(&CHAIN).unwrap().entries.is_empty());
    assert!(
        account
            .journal()
            .data(&CHAIN, &ContentHash::of(b"a document"))
            .unwrap()
            .is_none()
    );
    assert!(ledger.with(|inner| inner.blobs.is_empty()));
}

/// Its deposit is lost, but its data is nobody's, and may be submitted to another target.
#[tokio::test]
async fn a_reveal_that_comes_too_late_for_its_target_leaves_nothing() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    ledger.with(|inner| {
        inner.judge = Box::new(|kind, _| {
            matches!(kind, TransactionKind::RevealSubmission { .. }).then_some(Rejection::TargetClosed {})
        });
    });
    let data = b"a document".to_vec();
    let error = account
        .submit_data(TARGET, data.clone(), scores())
        .await
        .unwrap_err();
    assert_eq!(error.rejection_code(), Some(RejectionCode::TargetClosed));
    assert!(account.journal().submissions(&CHAIN).unwrap().entries.is_empty());
    account.check_new(ContentHash::of(&data)).await.unwrap();
    ledger.with(|inner| inner.judge = Box::new(|_, _| None));
    account
        .submit_data(TargetId([9; 32]), data, scores())
        .await
        .unwrap();
}
