//! Commits and reveals that were left behind: their ends are known before the next.

mod common;

use std::time::Duration;

use common::{Ledger, MODEL, embedding};
use soma_client::{Account, ClientError, CommittedModel, Encrypted};
use soma_types::{ContentHash, DecryptionKey, Rejection};

const KEY: DecryptionKey = DecryptionKey([9; 32]);

async fn commit(account: &Account, container: u8) -> Result<CommittedModel, ClientError> {
    let encrypted = Encrypted {
        hash: ContentHash([container; 32]),
        size_bytes: 100,
        key: Some(KEY),
        weights: None,
    };
    let url = "https://example.org/weights.enc".parse().unwrap();
    account.commit_encrypted(MODEL, url, encrypted, None).await
}

/// A ledger that has taken up a commit and does not include it yet; its sender has ended.
async fn left_behind(home: &std::path::Path) -> Ledger {
    let ledger = Ledger::new();
    ledger.with(|inner| inner.includes = false);
    let account = ledger.account(home).await;
    let sender = tokio::spawn(async move { commit(&account, 1).await });
    while ledger.with(|inner| inner.waiting.is_empty()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sender.abort();
    let _ = sender.await;
    ledger
}

fn sent(ledger: &Ledger) -> u64 {
    ledger.with(|inner| inner.nonce) - 10
}

#[tokio::test]
async fn a_commit_that_was_left_behind_is_waited_for_until_someone_was_told() {
    let home = tempfile::tempdir().unwrap();
    let ledger = left_behind(home.path()).await;
    let account = ledger.account(home.path()).await;
    let asking = account.clone();
    let asked = tokio::spawn(async move { asking.unheard_commits().await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!asked.is_finished(), "its end is not known");
    ledger.with(common::Inner::include);
    let unheard = asked.await.unwrap().unwrap();
    let names = |unheard: &[soma_client::UnheardCommit]| {
        unheard
            .iter()
            .map(|commit| (commit.model, commit.hash))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&unheard), [(MODEL, ContentHash([1; 32]))]);
    drop(unheard);
    let unheard = account.unheard_commits().await.unwrap();
    assert_eq!(unheard.len(), 1, "nobody was told");
    unheard[0].heard().await.unwrap();
    drop(unheard);
    assert!(account.unheard_commits().await.unwrap().is_empty());
    assert_eq!(sent(&ledger), 1);
}

#[tokio::test]
async fn a_commit_that_never_took_effect_is_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let ledger = left_behind(home.path()).await;
    ledger.with(|inner| {
        inner.judge = Box::new(|_, _| Some(Rejection::NothingToDo {}));
        inner.include();
    });
    let account = ledger.account(home.path()).await;
    assert!(account.unheard_commits().await.unwrap().is_empty());
    let chain = account.chain().await.unwrap();
    assert!(account.outbox(&chain).all().unwrap().is_empty());
}

/// The second is not taken for the first, though they are the same in words.
#[tokio::test]
async fn a_commit_that_lapsed_unheard_is_made_again() {
    let home = tempfile::tempdir().unwrap();
    let ledger = left_behind(home.path()).await;
    ledger.with(|inner| {
        inner.include();
        inner.committed = None;
        inner.includes = true;
    });
    let account = ledger.account(home.path()).await;
    let committed = commit(&account, 1).await.unwrap();
    assert_eq!(committed.hash, ContentHash([1; 32]));
    assert_eq!(sent(&ledger), 2);
}

/// Handed in beside one that waits, it would pay for being refused.
#[tokio::test]
async fn another_commit_is_not_sent_before_the_end_of_the_first_is_known() {
    let home = tempfile::tempdir().unwrap();
    let ledger = left_behind(home.path()).await;
    let account = ledger.account(home.path()).await.rehearsing();
    let second = tokio::spawn(async move { commit(&account, 2).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(ledger.with(|inner| inner.waiting.len()), 1);
    ledger.with(|inner| {
        inner.include();
        inner.judge = Box::new(|_, inner| inner.committed.is_some().then_some(Rejection::NothingToDo {}));
    });
    let error = second.await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::WouldFail { .. }), "{error}");
    assert_eq!(sent(&ledger), 1);
}

#[tokio::test]
async fn a_reveal_that_was_left_behind_is_settled() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::new();
    let account = ledger.account(home.path()).await;
    let hash = commit(&account, 1).await.unwrap().hash;
    ledger.with(|inner| inner.includes = false);
    let revealing = account.clone();
    let sender =
        tokio::spawn(async move { revealing.reveal_model_with(MODEL, hash, KEY, embedding()).await });
    while ledger.with(|inner| inner.waiting.is_empty()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sender.abort();
    let _ = sender.await;
    let other = account.clone();
    let settling = tokio::spawn(async move { other.settle_reveals(MODEL).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!settling.is_finished());
    ledger.with(common::Inner::include);
    settling.await.unwrap().unwrap();
    assert!(ledger.with(|inner| inner.revealed.is_some()));
    let chain = account.chain().await.unwrap();
    assert!(account.outbox(&chain).all().unwrap().is_empty());
}
