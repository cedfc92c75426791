//! A deed happens once, and is told truly: equal deeds at once, lost answers, killed processes, hostile
//! nodes.

mod common;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use common::{Answer, CHAIN, Ledger, MODEL, embedding, payment, problem, scores, transfer};
use soma_client::{
    Account, ClientError, Notice, Publication,
    follow::{End, follow},
    left_behind,
};
use soma_types::{
    Address, ContentHash, Epoch, Rejection, RejectionCode, Salt, Shannons, SubmissionId, TargetId,
    TransactionHash,
    api::{DataView, Page, Submitted, TransactionView},
    transaction::{Payment, TransactionKind},
};

const DATA: &[u8] = b"a document";

/// Pays from `count` accounts of one key at once, each as a process of its own would, with the homes given in
/// turn.
async fn pay_at_once(ledger: &Ledger, homes: &[&Path], count: usize) -> Vec<TransactionHash> {
    let mut tasks = Vec::new();
    for home in homes.iter().cycle().take(count) {
        let account = ledger.account(home).await;
        tasks.push(tokio::spawn(async move { account.transfer(payment()).await }));
    }
    let mut hashes = Vec::new();
    for task in tasks {
        hashes.push(task.await.unwrap().unwrap().transaction);
    }
    hashes
}

#[tokio::test]
async fn equal_deeds_of_processes_at_once_all_happen() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let hashes = pay_at_once(&ledger, &[home.path()], 60).await;
    assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), 60);
    assert_eq!(ledger.kinds().len(), 60);
    // They took turns: nobody was refused.
    let refused = ledger.with(|inner| {
        inner
            .log
            .iter()
            .filter(|line| line.as_str() == "POST /v1/transactions")
            .count()
    });
    assert_eq!(refused, 60);
}

#[tokio::test]
async fn equal_deeds_of_machines_at_once_all_happen() {
    let ledger = Ledger::new();
    let homes: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let homes: Vec<_> = homes.iter().map(tempfile::TempDir::path).collect();
    let hashes = pay_at_once(&ledger, &homes, 8).await;
    assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), 8);
    assert_eq!(ledger.kinds().len(), 8);
}

/// Another transaction with this nonce is not taken for this one, even when a node calls it known.
#[tokio::test]
async fn another_machines_transaction_is_not_taken_for_ones_own() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    let mut others = 0;
    ledger.with(|inner| {
        inner.hop = Box::new(move |request, answer| match request.path.as_str() {
            "/v1/transactions" if others == 0 => {
                others += 1;
                problem(409, None, "waits already")
            }
            path if path.starts_with("/v1/transactions/") && others == 1 => {
                others += 1;
                common::missing()
            }
            _ => answer,
        });
    });
    // The node took the first up and lies about it: then there are two, and both are told.
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = told.clone();
    let account = account.watched(move |notice| {
        if let Notice::Sending(transaction) = notice {
            notes.lock().unwrap().push(transaction.hash());
        }
    });
    let receipt = account.transfer(payment()).await.unwrap();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2);
    assert_ne!(told[0], told[1]);
    assert_eq!(receipt.transaction, told[1]);
}

/// Every way in which the answer to what was taken up can get lost, after which the node answers as before.
#[tokio::test]
async fn a_lost_answer_is_no_failure() {
    type Loss = fn() -> Answer;
    let losses: [(&str, Loss); 8] = [
        ("closed", || Answer::Raw(Vec::new())),
        ("closed within the head", || {
            Answer::Raw(b"HTTP/1.1 202 Acc".to_vec())
        }),
        ("closed within the body", || {
            Answer::Raw(b"HTTP/1.1 202 Accepted\r\ncontent-length: 90\r\n\r\n{\"hash\":".to_vec())
        }),
        ("gateway", || {
            Answer::Raw(b"HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 9\r\n\r\ntimed out".to_vec())
        }),
        ("error", || problem(500, None, "oops")),
        ("garbage", || Answer::Json(200, "<html>".into())),
        ("another hash", || {
            common::ok(&Submitted {
                hash: TransactionHash([9; 32]),
            })
        }),
        ("silence", || Answer::Silence),
    ];
    for (name, loss) in losses {
        let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
        let account = ledger.account(home.path()).await;
        let mut lost = 0;
        ledger.with(|inner| {
            inner.hop = Box::new(move |request, answer| {
                if request.path == "/v1/transactions" && lost == 0 {
                    lost += 1;
                    loss()
                } else {
                    answer
                }
            });
        });
        let receipt = account
            .transfer(payment())
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(receipt.applied(), "{name}");
        assert_eq!(ledger.kinds(), ["transfer"], "{name}");
        assert!(account.outbox(&CHAIN).all().unwrap().is_empty(), "{name}");
    }
}

/// The node takes it up and is gone: the deed is named and may still happen, and the same again is the same.
#[tokio::test]
async fn a_node_gone_for_good_leaves_the_deed_unknown_and_the_next_try_pays_once() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let gone = Arc::new(Mutex::new(false));
    let heard = Arc::new(AtomicBool::new(false));
    let (is_gone, told) = (gone.clone(), heard.clone());
    ledger.with(|inner| {
        inner.hop = Box::new(move |request, answer| {
            let mut gone = is_gone.lock().unwrap();
            *gone |= request.path == "/v1/transactions";
            if *gone { Answer::Raw(Vec::new()) } else { answer }
        });
    });
    let account = ledger
        .account(home.path())
        .await
        .with_wait(Duration::from_millis(300))
        .watched(move |notice| {
            if let Notice::Unanswered(..) = notice {
                told.store(true, Ordering::Relaxed);
            }
        });
    let error = account.transfer(payment()).await.unwrap_err();
    // Whoever waits hears why while they wait.
    assert!(heard.load(Ordering::Relaxed));
    let ClientError::OutcomeUnknown { hash, expires, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        error.is_unknown() && error.to_string().contains("may still happen"),
        "{error}"
    );
    assert_eq!(*expires, Epoch(6));
    assert_eq!(ledger.with(|inner| inner.included[0].hash), *hash);
    let left = account.outbox(&CHAIN).all().unwrap();
    assert_eq!(
        left.iter()
            .map(soma_types::SignedTransaction::hash)
            .collect::<Vec<_>>(),
        [*hash]
    );
    // The node comes back. Another deed is another deed; the same is the one that was paid for.
    ledger.with(|inner| inner.hop = Box::new(|_, answer| answer));
    drop(account);
    let resumed = Arc::new(Mutex::new(0));
    let count = resumed.clone();
    let account = ledger.account(home.path()).await.watched(move |notice| {
        if let Notice::Resumed(_) = notice {
            *count.lock().unwrap() += 1;
        }
    });
    let other = vec![Payment {
        to: Address([5; 32]),
        amount: Shannons(2),
    }];
    assert_ne!(account.transfer(other).await.unwrap().transaction, *hash);
    assert_eq!(account.transfer(payment()).await.unwrap().transaction, *hash);
    assert_eq!(*resumed.lock().unwrap(), 1);
    assert_eq!(ledger.kinds().len(), 2);
    // Now that it is known, asking again is a deed of its own.
    assert_ne!(account.transfer(payment()).await.unwrap().transaction, *hash);
    assert_eq!((ledger.kinds().len(), *resumed.lock().unwrap()), (3, 1));
}

/// Killed after the bytes were on disk and before they were sent, or before the answer.
#[tokio::test]
async fn a_killed_process_loses_no_deed_and_doubles_none() {
    for sent in [false, true] {
        let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
        let account = ledger.account(home.path()).await;
        ledger.with(|inner| inner.includes = false);
        let before = account.submit(transfer()).await.unwrap();
        if !sent {
            ledger.with(|inner| inner.waiting.clear());
        }
        let hash = before.hash;
        // The process and its locks are gone, its file stays.
        drop((before, account));
        ledger.with(|inner| inner.includes = true);
        if sent {
            ledger.with(common::Inner::include);
        }
        let account = ledger.account(home.path()).await;
        assert_eq!(account.transfer(payment()).await.unwrap().transaction, hash);
        assert_eq!(ledger.kinds(), ["transfer"]);
    }
}

/// A call that is dropped while it waits: what it handed in is gone on with by the next that asks for the
/// same.
#[tokio::test]
async fn a_dropped_call_loses_no_deed_and_doubles_none() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    ledger.with(|inner| inner.includes = false);
    let dropped = tokio::time::timeout(Duration::from_millis(500), account.transfer(payment()));
    assert!(dropped.await.is_err());
    let hash = ledger.with(|inner| inner.waiting[0].hash());
    ledger.with(|inner| {
        inner.include();
        inner.includes = true;
    });
    assert_eq!(account.transfer(payment()).await.unwrap().transaction, hash);
    assert_eq!(ledger.kinds(), ["transfer"]);
    // The account goes on.
    account.transfer(payment()).await.unwrap();
    assert_eq!(ledger.kinds().len(), 2);
}

#[tokio::test]
async fn what_was_left_behind_and_never_happens_is_done_anew() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    ledger.with(|inner| inner.includes = false);
    let before = account.submit(transfer()).await.unwrap();
    let hash = before.hash;
    let signed = before.transaction.clone();
    drop((before, account));
    // Another took its nonce.
    ledger.with(|inner| {
        inner.include_another();
        inner.includes = true;
    });
    let account = ledger.account(home.path()).await;
    let end = follow(account.node(), &signed, Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!(end, End::Superseded);
    assert_ne!(account.transfer(payment()).await.unwrap().transaction, hash);
    assert_eq!(ledger.kinds(), ["leave_validator", "transfer"]);
    assert!(account.outbox(&CHAIN).all().unwrap().is_empty());
}

/// Behind one address: a node that has included the payment, and one that lags and knows of neither it nor
/// any other under its nonce. For a while, or for good.
#[tokio::test]
async fn what_a_lagging_node_does_not_know_is_not_done_again() {
    for lag in [Duration::from_secs(5), Duration::MAX] {
        let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
        let (account, start) = (ledger.account(home.path()).await, Instant::now());
        ledger.with(|inner| {
            inner.hop = Box::new(move |request, answer| {
                let asks = request.method == "GET" && request.path.contains("/transactions");
                match start.elapsed() < lag && asks {
                    true if request.path.contains("/accounts/") => common::ok(&Page::<TransactionView> {
                        items: Vec::new(),
                        next: None,
                    }),
                    true => common::missing(),
                    false => answer,
                }
            });
        });
        match account.transfer(payment()).await {
            Ok(receipt) => assert!(receipt.applied() && lag < Duration::MAX),
            Err(error) => assert!(error.is_unknown() && lag == Duration::MAX, "{error}"),
        }
        assert_eq!(ledger.kinds(), ["transfer"]);
    }
}

#[tokio::test]
async fn a_refused_deed_leaves_nothing_to_resume() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    ledger.with(|inner| {
        inner.hop = Box::new(|request, answer| match request.path.as_str() {
            "/v1/transactions" => common::rejected(&Rejection::CannotPayFee {
                balance: Shannons(1),
                fee: Shannons(2),
            }),
            _ => answer,
        });
        inner.includes = false;
    });
    let error = account.transfer(payment()).await.unwrap_err();
    assert_eq!(
        (error.rejection_code(), error.is_unknown()),
        (Some(RejectionCode::CannotPayFee), false)
    );
    assert!(account.outbox(&CHAIN).all().unwrap().is_empty());
}

/// A node that describes another transaction, or a fee above the limit, under the right name is not believed.
#[tokio::test]
async fn lies_about_a_transaction_are_not_believed() {
    for lie in ["other", "fee"] {
        let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
        let account = ledger
            .account(home.path())
            .await
            .with_wait(Duration::from_millis(200));
        ledger.with(|inner| {
            inner.hop = Box::new(move |request, answer| match answer {
                Answer::Json(200, body) if request.path.starts_with("/v1/transactions/0x") => {
                    let mut view: serde_json::Value = serde_json::from_str(&body).unwrap();
                    if lie == "other" {
                        view["transaction"]["nonce"] = 77.into();
                    } else {
                        view["receipt"]["fee"] = "999999999999".into();
                    }
                    Answer::Json(200, view.to_string())
                }
                answer => answer,
            });
        });
        let error = account.transfer(payment()).await.unwrap_err();
        assert!(
            error.is_unknown() && error.to_string().contains("another transaction"),
            "{lie}: {error}"
        );
    }
}

#[tokio::test]
async fn a_fee_above_the_limit_is_not_signed() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    ledger.with(|inner| inner.fee_multiplier_q16 = u64::MAX);
    let account = ledger.account(home.path()).await;
    let error = account.transfer(payment()).await.unwrap_err();
    assert!(matches!(error, ClientError::FeeTooHigh { .. }), "{error}");
    assert!(ledger.with(|inner| inner.log.iter().all(|line| line.starts_with("GET"))));
    // What the user allows is the limit, to the shannon.
    ledger.with(|inner| inner.fee_multiplier_q16 = common::epoch_view(Epoch(4)).state.fee_multiplier_q16);
    let account = ledger.account(home.path()).await;
    let fee = account.estimate_fee(&transfer()).await.unwrap();
    let less = account.clone().with_max_fee(Shannons(fee.0 - 1));
    assert!(matches!(
        less.transfer(payment()).await,
        Err(ClientError::FeeTooHigh { .. })
    ));
    account.with_max_fee(fee).transfer(payment()).await.unwrap();
    assert_eq!(ledger.with(|inner| inner.included[0].transaction.max_fee), fee);
}

#[tokio::test]
async fn what_would_fail_is_not_sent_by_who_asks_first() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await.rehearsing();
    ledger.with(|inner| inner.judge = Box::new(|_, _| Some(Rejection::NothingToDo {})));
    let error = account.transfer(payment()).await.unwrap_err();
    assert!(matches!(error, ClientError::WouldFail { .. }), "{error}");
    assert_eq!(
        (error.rejection_code(), error.transaction()),
        (Some(RejectionCode::NothingToDo), None)
    );
    assert!(ledger.with(|inner| inner.included.is_empty() && inner.waiting.is_empty()));
    assert!(account.outbox(&CHAIN).all().unwrap().is_empty());
    ledger.with(|inner| inner.judge = Box::new(|_, _| None));
    account.transfer(payment()).await.unwrap();
    // A node that cannot say is no obstacle.
    ledger.with(|inner| {
        inner.hop = Box::new(|request, answer| match request.path.ends_with("/simulate") {
            true => common::missing(),
            false => answer,
        });
    });
    account.transfer(payment()).await.unwrap();
    assert_eq!(ledger.kinds().len(), 2);
}

#[tokio::test]
async fn a_full_mempool_is_waited_for() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let mut full = 8;
    ledger.with(|inner| {
        inner.gate = Box::new(move || {
            full -= i32::from(full > 0);
            (full > 0).then(|| problem(429, None, "the sender has 256 transactions waiting"))
        });
    });
    let account = ledger.account(home.path()).await;
    account.transfer(payment()).await.unwrap();
    assert_eq!(ledger.kinds(), ["transfer"]);
}

#[tokio::test]
async fn one_process_that_hangs_does_not_hang_all() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account: Account = ledger
        .account(home.path())
        .await
        .with_wait(Duration::from_millis(200));
    let turn = account.outbox(&CHAIN).turn().unwrap();
    let error = account.transfer(payment()).await.unwrap_err();
    assert!(matches!(error, ClientError::Busy { .. }), "{error}");
    drop(turn);
    account.transfer(payment()).await.unwrap();
}

#[tokio::test]
async fn known_data_is_passed_over_before_anything_is_paid() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    let target = TargetId([8; 32]);
    let hash = ContentHash::of(DATA);
    let submission = SubmissionId([6; 32]);
    ledger.with(|inner| {
        inner.claims.push(DataView {
            hash,
            submission,
            won: true,
        });
    });
    let error = account
        .submit_data(target, DATA.to_vec(), scores())
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::DataKnown { submission: Some(found), .. } if found == submission),
        "{error}"
    );
    assert!(ledger.with(|inner| inner.included.is_empty()));
    // So is data that an earlier run has committed to and not yet revealed.
    ledger.with(|inner| inner.claims.clear());
    account
        .commit_submission(target, DATA.to_vec(), scores())
        .await
        .unwrap();
    let error = account
        .submit_data(target, DATA.to_vec(), scores())
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::DataKnown { submission: None, .. }),
        "{error}"
    );
    assert_eq!(ledger.kinds(), ["commit_submission"]);
    // A plan that a crash ended before anything was handed in is none.
    let entries = account.journal().submissions(&CHAIN).unwrap().entries;
    let mut plan = entries[0].clone();
    (plan.submission, plan.salt) = (None, Salt([9; 32]));
    plan.reveal.data_hash = ContentHash::of(b"planned");
    account.journal().put_submission(&plan).unwrap();
    account
        .submit_data(target, b"planned".to_vec(), scores())
        .await
        .unwrap();
    // Other data is not.
    account
        .submit_data(target, b"another".to_vec(), scores())
        .await
        .unwrap();
}

/// A commit whose answer was lost is found again by the next run, with its name.
#[tokio::test]
async fn a_commit_left_behind_is_revealed_by_the_next_run() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger
        .account(home.path())
        .await
        .with_wait(Duration::from_millis(200));
    ledger.with(|inner| inner.includes = false);
    let target = TargetId([8; 32]);
    let error = account
        .submit_data(target, DATA.to_vec(), scores())
        .await
        .unwrap_err();
    assert!(error.is_unknown(), "{error}");
    drop(account);
    ledger.with(|inner| {
        inner.include();
        inner.includes = true;
    });
    let account = ledger.account(home.path()).await;
    let due = account.pending_submissions().await.unwrap();
    assert_eq!(due.len(), 1);
    account.reveal_submission(&due[0]).await.unwrap();
    assert_eq!(ledger.kinds(), ["commit_submission", "reveal_submission"]);
}

#[tokio::test]
async fn an_interrupted_publication_goes_on_where_it_was() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let weights = vec![42; 10_000];
    let plain = ContentHash::of(&weights);
    let begun = |account: Account| {
        let weights = weights.clone().into();
        async move { account.commit_model(MODEL, weights, Some(embedding())).await }
    };
    let quick = || async {
        ledger
            .account(home.path())
            .await
            .with_wait(Duration::from_millis(200))
    };
    // The commit's answer is lost; it happens later.
    ledger.with(|inner| inner.includes = false);
    assert!(begun(quick().await).await.unwrap_err().is_unknown());
    ledger.with(|inner| {
        inner.include();
        inner.includes = true;
    });
    let committed = begun(quick().await).await.unwrap();
    assert_eq!(committed.reveal_in, Epoch(5));
    assert!(
        committed.receipt.is_some(),
        "it followed the transaction that was left"
    );
    // Once more, when nothing is left to follow.
    let again = begun(quick().await).await.unwrap();
    assert_eq!((again.hash, again.receipt.is_none()), (committed.hash, true));
    assert_eq!(ledger.kinds(), ["commit_model"]);
    // Other weights are another publication.
    let account = quick().await;
    let other = account.publication(MODEL, ContentHash([1; 32])).await.unwrap();
    assert!(matches!(other, Publication::Begins), "{other:?}");
    // The reveal happens, and its answer is lost.
    ledger.with(|inner| {
        inner.epoch = Epoch(5);
        inner.includes = false;
    });
    assert!(account.reveal_model(MODEL, None).await.unwrap_err().is_unknown());
    ledger.with(|inner| {
        inner.include();
        inner.includes = true;
    });
    let revealed = account.publication(MODEL, plain).await.unwrap();
    assert!(
        matches!(revealed, Publication::Revealed(Epoch(6))),
        "{revealed:?}"
    );
    assert!(account.journal().models(&CHAIN).unwrap().entries.is_empty());
    assert_eq!(ledger.kinds(), ["commit_model", "reveal_model"]);
}

/// Two processes publish the same weights at once: the second finds the first's commit, and its reveal.
#[tokio::test]
async fn two_equal_publications_at_once_are_one() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let (first, second) = (
        ledger.account(home.path()).await,
        ledger.account(home.path()).await,
    );
    let weights = vec![42; 10_000];
    let committed = first
        .commit_model(MODEL, weights.clone().into(), Some(embedding()))
        .await
        .unwrap();
    // The second looked before the first had committed, and hands in after it.
    let mut handed_in = false;
    ledger.with(|inner| {
        inner.judge = Box::new(|kind, inner| match (kind, &inner.committed) {
            (TransactionKind::CommitModel { .. }, Some(committed)) => Some(Rejection::AlreadyCommitted {
                epoch: committed.epoch,
            }),
            _ => None,
        });
        inner.hop = Box::new(move |request, answer| {
            handed_in |= request.path == "/v1/transactions";
            match answer {
                Answer::Json(200, body) if !handed_in && request.path.starts_with("/v1/models/") => {
                    let mut view: serde_json::Value = serde_json::from_str(&body).unwrap();
                    view["committed"] = serde_json::Value::Null;
                    Answer::Json(200, view.to_string())
                }
                answer => answer,
            }
        });
    });
    let same = second
        .commit_model(MODEL, weights.into(), Some(embedding()))
        .await
        .unwrap();
    assert_eq!((same.hash, same.receipt.is_none()), (committed.hash, true));
    assert_eq!(second.journal().models(&CHAIN).unwrap().entries.len(), 1);
    ledger.with(|inner| inner.epoch = Epoch(5));
    assert!(first.reveal_committed(&committed, None).await.unwrap().is_some());
    assert!(second.reveal_committed(&same, None).await.unwrap().is_none());
    assert_eq!(ledger.kinds(), ["commit_model", "commit_model", "reveal_model"]);
    // Weights that lapsed are not revealed, whoever tries.
    ledger.with(|inner| inner.revealed = None);
    assert!(second.reveal_committed(&same, None).await.is_err());
}

#[tokio::test]
async fn what_was_left_behind_is_listed_in_order_with_its_end() {
    let (ledger, home) = (Ledger::new(), tempfile::tempdir().unwrap());
    let account = ledger.account(home.path()).await;
    ledger.with(|inner| inner.includes = false);
    let mut sent = Vec::new();
    for amount in 1..=6 {
        let kind = TransactionKind::SetRentVote {
            rent_per_mib_epoch: Shannons(amount),
        };
        sent.push(account.submit(kind).await.unwrap().hash);
    }
    let journal = account.journal();
    let listed = async || -> Vec<_> {
        let left = left_behind(account.node(), journal).await.unwrap();
        left.iter()
            .map(|left| (left.transaction.hash(), left.receipt.is_some()))
            .collect()
    };
    let with_ends = |ended: usize| -> Vec<_> {
        let ends = sent.iter().enumerate();
        ends.map(|(index, hash)| (*hash, index < ended)).collect()
    };
    assert_eq!(listed().await, with_ends(0));
    // Who looks was not told by the command that handed it in: the same command goes on with it still.
    ledger.with(|inner| {
        let rest = inner.waiting.split_off(2);
        inner.include();
        inner.waiting = rest;
    });
    assert_eq!(listed().await, with_ends(2));
    assert_eq!(account.outbox(&CHAIN).all().unwrap().len(), 6);
    // What a node has forgotten may happen until an epoch after its last.
    ledger.with(|inner| {
        inner.waiting.clear();
        inner.epoch = Epoch(7);
    });
    assert_eq!(listed().await, with_ends(2));
    ledger.with(|inner| inner.epoch = Epoch(8));
    assert!(listed().await.is_empty());
    assert!(account.outbox(&CHAIN).all().unwrap().is_empty());
}
