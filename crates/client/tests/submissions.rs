//! A submission's three steps against a small ledger behind a real socket: commit, reveal, and the data if it
//! has won.

mod common;

use std::{path::Path, time::Duration};

use common::{CHAIN, Ledger, scores};
use soma_client::{Account, ClientError, SourcedData, Storage, journal::PendingSubmission};
use soma_types::{
    ContentHash, Height, Rejection, Shannons, SubmissionId, TargetId, objects::SubmissionStatus,
    provenance::Provenance, transaction::TransactionKind,
};

const TARGET: TargetId = TargetId([8; 32]);
const DATA: &[u8] = b"a document";

async fn committed(account: &Account) -> PendingSubmission {
    account
        .commit_submission(TARGET, DATA.to_vec(), scores())
        .await
        .unwrap()
}

/// Whether nothing of a submission is left on this machine.
fn is_clean(account: &Account) -> bool {
    let journal = account.journal();
    journal.submissions(&CHAIN).unwrap().entries.is_empty()
        && journal.data(&CHAIN, &ContentHash::of(DATA)).unwrap().is_none()
}

const LOST: SubmissionStatus = SubmissionStatus::LostRace {
    to: SubmissionId([3; 32]),
};

#[tokio::test]
async fn data_reaches_the_node_only_when_it_has_won() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    let pending = committed(&account).await;
    let commitment = pending.commitment();
    ledger.with(|inner| match &inner.included[0].transaction.kind {
        TransactionKind::CommitSubmission {
            target,
            commitment: sent,
        } => {
            assert_eq!((*target, *sent), (TARGET, commitment));
        }
        kind => panic!("{kind:?}"),
    });
    // The block of the commit is too soon; the reveal is tried again.
    ledger.with(|inner| {
        inner.judge = Box::new(|_, inner| {
            (inner.included.len() < 3).then_some(Rejection::RevealTooSoon { from: Height(2) })
        });
        inner.race = SubmissionStatus::Revealed;
    });
    let journal = account.journal();
    let entry = journal.submission(&CHAIN, &commitment).unwrap().unwrap();
    assert_eq!(entry, pending);
    account.reveal_submission(&entry).await.unwrap();
    assert_eq!(ledger.kinds().last(), Some(&"reveal_submission"));
    ledger.with(|inner| match &inner.included.last().unwrap().transaction.kind {
        TransactionKind::RevealSubmission { salt, reveal, .. } => {
            assert_eq!(reveal.commitment(&account.address(), salt), commitment);
            assert_eq!(
                (reveal.data_size_bytes, reveal.data_hash),
                (10, ContentHash::of(DATA))
            );
        }
        kind => panic!("{kind:?}"),
    });

    // While the race is on, the data is here and nowhere else.
    let racing = account
        .settle_submission(&entry, Duration::from_millis(400))
        .await
        .unwrap_err();
    assert!(matches!(racing, ClientError::GaveUp { .. }), "{racing}");
    assert!(ledger.with(|inner| inner.blobs.is_empty()));
    let entry = journal.submission(&CHAIN, &commitment).unwrap().unwrap();
    assert!(entry.revealed);

    ledger.with(|inner| inner.race = SubmissionStatus::Won);
    account.finish_submission(&entry).await.unwrap();
    assert_eq!(ledger.with(|inner| inner.blobs.clone()), [DATA]);
    assert!(is_clean(&account));
    assert_eq!(ledger.kinds().len(), 4, "two reveals came too soon");
}

#[tokio::test]
async fn data_that_lost_never_leaves() {
    let won = |status| matches!(status, SubmissionStatus::Won | SubmissionStatus::Paid { .. });
    let nothing = Shannons::ZERO;
    for status in [
        LOST,
        SubmissionStatus::NotNew {
            first: SubmissionId([3; 32]),
        },
        SubmissionStatus::Expired { forfeited: nothing },
        SubmissionStatus::Won,
        SubmissionStatus::Paid {
            submitter: nothing,
            owner: nothing,
            pool: nothing,
        },
    ] {
        let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
        ledger.with(|inner| inner.race = status);
        let account = ledger.account(home.path()).await;
        account
            .submit_data(TARGET, DATA.to_vec(), scores())
            .await
            .unwrap();
        let sent = ledger.with(|inner| inner.log.iter().any(|line| line.starts_with("PUT")));
        assert_eq!(sent, won(status), "{status:?}");
        assert!(is_clean(&account), "{status:?}");
    }
}

/// Whatever was done when a process ended, the next goes on with it: nothing is sent twice.
#[tokio::test]
async fn a_submission_is_finished_by_the_next_run() {
    let stop = |account: Account, at: usize| async move {
        let pending = committed(&account).await;
        if at > 0 {
            account.reveal_submission(&pending).await.unwrap();
        }
    };
    for at in 0..3 {
        for race in [SubmissionStatus::Won, LOST] {
            let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
            ledger.with(|inner| inner.race = SubmissionStatus::Revealed);
            stop(ledger.account(home.path()).await, at).await;
            if at == 2 {
                forget_reveal(&ledger, home.path()).await;
            }
            ledger.with(|inner| inner.race = race);

            let account = ledger.account(home.path()).await;
            let left = account.pending_submissions().await.unwrap();
            match (at, race) {
                // It is over, and there is nothing to hand over.
                (1 | 2, LOST) => assert!(left.is_empty(), "{at} {race:?}"),
                _ => {
                    assert_eq!(left.len(), 1, "{at} {race:?}");
                    let finished = account.finish_submissions().await.unwrap();
                    assert!(finished.len() == 1 && finished[0].1.is_ok(), "{finished:?}");
                }
            }
            assert_eq!(ledger.kinds(), ["commit_submission", "reveal_submission"]);
            let blobs = ledger.with(|inner| inner.blobs.len());
            assert_eq!(blobs, usize::from(race == SubmissionStatus::Won), "{at}");
            assert!(is_clean(&account), "{at} {race:?}");
        }
    }
}

/// As if the process had ended before it could note that its reveal is in a block.
async fn forget_reveal(ledger: &Ledger, home: &Path) {
    let journal = ledger.account(home).await.journal().clone();
    let mut entry = journal.submissions(&CHAIN).unwrap().entries.remove(0);
    entry.revealed = false;
    journal.put_submission(&entry).unwrap();
}

/// The node fails just when the data is to be handed over: the next run does it.
#[tokio::test]
async fn a_winner_whose_data_was_not_taken_is_not_over() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    ledger.with(|inner| {
        inner.hop = Box::new(|request, answer| match request.method.as_str() {
            "PUT" => common::problem(507, None, "the store is full"),
            _ => answer,
        });
    });
    let account = ledger.account(home.path()).await;
    let error = account
        .submit_data(TARGET, DATA.to_vec(), scores())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    ledger.with(|inner| {
        inner.hop = Box::new(|_, answer| answer);
        inner.blobs.clear();
    });
    drop(account);
    let account = ledger.account(home.path()).await;
    let left = account.pending_submissions().await.unwrap();
    assert!(left[0].revealed);
    account.finish_submission(&left[0]).await.unwrap();
    assert_eq!(ledger.with(|inner| inner.blobs.clone()), [DATA]);
    assert!(is_clean(&account));
}

#[tokio::test]
async fn own_storage_gets_what_has_won_and_the_node_nothing() {
    for race in [SubmissionStatus::Won, LOST] {
        let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
        ledger.with(|inner| inner.race = race);
        let account = ledger.account(home.path()).await;
        let served = tempfile::tempdir().unwrap();
        let storage = Storage::new("http://127.0.0.1:1/data/", served.path()).unwrap();
        let submitted = SourcedData {
            data: DATA.to_vec(),
            provenance: Provenance {
                licence: Some("CC0".into()),
                ..Provenance::default()
            },
        };
        let pending = account
            .commit_submission_in(TARGET, submitted, scores(), &storage)
            .await
            .unwrap();
        let hash = ContentHash::of(DATA);
        let name = hex::encode(hash.as_bytes());
        let url = pending.reveal.data_url.as_str();
        assert_eq!(url, format!("http://127.0.0.1:1/data/{name}#licence=CC0"));
        assert!(!served.path().join(&name).exists());
        account.finish_submission(&pending).await.unwrap();
        let file = std::fs::read(served.path().join(&name)).ok();
        let expected = (race == SubmissionStatus::Won).then(|| DATA.to_vec());
        assert_eq!(file, expected, "{race:?}");
        assert!(ledger.with(|inner| inner.blobs.is_empty()));
        assert!(is_clean(&account));
    }
}

/// Several programs under one key: what one is at, another leaves alone, and takes up once it is gone.
#[tokio::test]
async fn what_another_process_is_at_is_left_to_it() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    ledger.with(|inner| inner.race = SubmissionStatus::Revealed);
    let first = ledger.account(home.path()).await;
    let second = ledger.account(home.path()).await;
    for at in 0..2 {
        let mut pending = committed(&first).await;
        if at == 1 {
            first.reveal_submission(&pending).await.unwrap();
            pending.revealed = true;
        }
        assert!(second.finish_submissions().await.unwrap().is_empty(), "{at}");
        let known = second.commit_submission(TARGET, DATA.to_vec(), scores()).await;
        assert!(matches!(known, Err(ClientError::DataKnown { .. })), "{known:?}");
        ledger.with(|inner| inner.race = SubmissionStatus::Won);
        first.finish_submission(&pending).await.unwrap();
        assert!(is_clean(&first));
        assert!(second.finish_submissions().await.unwrap().is_empty());
        assert_eq!(ledger.with(|inner| std::mem::take(&mut inner.blobs)), [DATA]);
    }
    assert_eq!(
        ledger.kinds(),
        ["commit_submission", "reveal_submission"].repeat(2)
    );

    let pending = committed(&first).await;
    assert_eq!(first.pending_submissions().await.unwrap(), [pending]);
    drop(first);
    // Who wants another leaves it to who wants it.
    let third = ledger.account(home.path()).await;
    assert!(third.pending_submissions_of(|_| false).await.unwrap().is_empty());
    assert_eq!(second.finish_submissions().await.unwrap().len(), 1);
    assert!(is_clean(&second));
}

/// The plan is on disk, and its commit not yet with the node: nobody else makes the same.
#[tokio::test]
async fn one_of_two_commits_of_the_same_data_is_made() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let (first, second) = (
        ledger.account(home.path()).await,
        ledger.account(home.path()).await,
    );
    let both = tokio::join!(
        first.commit_submission(TARGET, DATA.to_vec(), scores()),
        second.commit_submission(TARGET, DATA.to_vec(), scores()),
    );
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
    assert_eq!(ledger.kinds(), ["commit_submission"]);
}

/// Its reveal came first, from another machine with this key: that is no refusal.
#[tokio::test]
async fn what_is_revealed_already_is_settled() {
    for race in [
        SubmissionStatus::Won,
        LOST,
        SubmissionStatus::Expired {
            forfeited: Shannons::ZERO,
        },
    ] {
        let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
        ledger.with(|inner| inner.race = race);
        let account = ledger.account(home.path()).await;
        let pending = committed(&account).await;
        account.reveal_submission(&pending).await.unwrap();
        ledger.with(|inner| {
            inner.judge = Box::new(|_, _| Some(Rejection::NotAwaitingReveal {}));
        });
        let finished = account.finish_submission(&pending).await;
        match race {
            SubmissionStatus::Expired { .. } => assert!(finished.is_err()),
            _ => assert_eq!(finished.unwrap().submission.status, race),
        }
        assert!(is_clean(&account), "{race:?}");
    }
}

/// The disk fills before the commit is sent, or just when it is: the one stops it, and the other does not
/// lose it.
#[tokio::test]
async fn a_full_disk_stops_what_was_not_sent_and_nothing_else() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    let folder = home.path().join(hex::encode(&CHAIN.as_bytes()[..8]));
    // Nothing is made below a file.
    std::fs::write(&folder, "").unwrap();
    let refused = account.commit_submission(TARGET, DATA.to_vec(), scores()).await;
    assert!(
        matches!(&refused, Err(error) if !error.is_unknown()),
        "{refused:?}"
    );
    assert!(ledger.kinds().is_empty());
    std::fs::remove_file(&folder).unwrap();

    let (kept, full) = (home.path().join("kept"), folder.clone());
    ledger.with(|inner| {
        inner.hop = Box::new(move |request, answer| {
            if request.method == "POST" && !kept.exists() {
                std::fs::rename(&full, &kept).unwrap();
                std::fs::write(&full, "").unwrap();
            }
            answer
        });
    });
    let pending = committed(&account).await;
    account.reveal_submission(&pending).await.unwrap_err();
    drop(account);
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(home.path().join("kept"), &folder).unwrap();
    ledger.with(|inner| inner.hop = Box::new(|_, answer| answer));

    // Its name is not on disk, and the ledger tells it.
    let account = ledger.account(home.path()).await;
    assert_eq!(
        account.journal().submissions(&CHAIN).unwrap().entries[0].submission,
        None
    );
    assert_eq!(account.finish_submissions().await.unwrap().len(), 1);
    assert_eq!(ledger.kinds(), ["commit_submission", "reveal_submission"]);
    assert_eq!(ledger.with(|inner| inner.blobs.clone()), [DATA]);
    assert!(is_clean(&account));
}
