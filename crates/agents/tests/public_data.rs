//! What won stays public: by target, by submission, over epochs, and as files that a run goes on with.

mod common;

use std::{fs, sync::atomic::Ordering};

use soma_agents::{
    Downloader, Experts, ScoringDesk, Submitter,
    bench::{Bench, data_of},
    recheck::{Claimed, Recheck, recheck},
    submitter::Attempt,
    won_data::{Destination, SyncError, Synced, sync},
};
use soma_blobs::{FetchPolicy, Withdrawn};
use soma_client::{Account, NodeClient, SubmissionFilter, TargetFilter, WonDocument};
use soma_localnet::blobs_of;
use soma_model::Scorer;
use soma_types::{
    ContentHash, Epoch, ModelId, SubmissionId, TargetId,
    api::TargetView,
    objects::{ModelStatus, SubmissionStatus},
    params::Params,
    phase::{SubmissionPhase, TargetPhase},
    transaction::Verdict,
};
use tokio::runtime::Runtime;

use common::{PATIENCE, auditors, client, compete, funded, open_targets, place, rules, start, wait, weights};

const TEXT: &[u8] = "Ein Satz,\nund noch einer.".as_bytes();
const BYTES: &[u8] = b"\xff\x00 no text";

/// A win in the epoch in progress.
async fn win(account: &Account, data: &[u8]) -> SubmissionId {
    let node = account.node();
    let target = open_targets(node).await.remove(0);
    let submission = account
        .submit_data(target.target.id, data.to_vec(), common::made_up(&target))
        .await
        .unwrap();
    let view = node.submission(&submission).await.unwrap();
    assert!(matches!(
        view.submission.status,
        SubmissionStatus::Won | SubmissionStatus::Paid { .. }
    ));
    submission
}

/// The epoch of the target that it won.
async fn epoch_of(node: &NodeClient, submission: &SubmissionId) -> Epoch {
    let view = node.submission(submission).await.unwrap();
    node.target(&view.submission.target).await.unwrap().target.epoch
}

async fn take_home(node: &NodeClient, since: Epoch, to: &Destination) -> Synced {
    sync(node, since, to, || false, |_, _| {}).await.unwrap()
}

#[test]
fn what_won_is_public_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let net = start(folder.path(), rules());
    Runtime::new().unwrap().block_on(async {
        let node = client(&net);
        let account = funded(&node, 9, folder.path()).await;
        let model = compete(&account).await;
        let first = win(&account, TEXT).await;
        let began = epoch_of(&node, &first).await;
        node.wait_for_epoch(began.next(), PATIENCE).await.unwrap();
        // One that nobody reveals: its data is nobody's but its submitter's.
        let target = open_targets(&node).await.remove(0);
        let hidden = account
            .commit_submission(target.target.id, b"hidden".to_vec(), common::made_up(&target))
            .await
            .unwrap();
        let second = win(&account, BYTES).await;
        let last = epoch_of(&node, &second).await;

        // Both are there at once, and long after their audits; the latest first, a page at a time.
        node.wait_for_epoch(last.plus(4), PATIENCE).await.unwrap();
        let mut filled = TargetFilter {
            phase: Some(TargetPhase::Filled),
            epoch: None,
        };
        let winners =
            |targets: &[TargetView]| -> Vec<Epoch> { targets.iter().map(|view| view.target.epoch).collect() };
        let all = node.targets(&filled).await.unwrap();
        assert_eq!(winners(&all), [last, began]);
        // What is asked of a commit changes meanwhile; who is who does not.
        let ids =
            |targets: &[TargetView]| -> Vec<TargetId> { targets.iter().map(|view| view.target.id).collect() };
        let page = node.targets_page(&filled, None, 1).await.unwrap();
        assert_eq!(ids(&page.items), ids(&all[..1]));
        let rest = node.targets_page(&filled, page.next.as_deref(), 9).await.unwrap();
        assert_eq!((ids(&rest.items), rest.next), (ids(&all[1..]), None));
        filled.epoch = Some(began);
        assert_eq!(ids(&node.targets(&filled).await.unwrap()), ids(&all[1..]));
        let another = node.targets_page(&filled, Some("1"), 9).await.unwrap_err();
        assert!(another.to_string().contains("cursor"), "{another}");
        for epoch in [last.plus(1), last.plus(1 << 40)] {
            filled.epoch = Some(epoch);
            assert_eq!(node.targets(&filled).await.unwrap(), []);
        }

        for (submission, data) in [(first, TEXT), (second, BYTES)] {
            let got = node.fetch_submission_data(&submission).await.unwrap();
            assert_eq!(got.bytes().unwrap(), data);
        }
        let by_model = SubmissionFilter {
            model: Some(model),
            ..SubmissionFilter::default()
        };
        let found = node.submissions(&by_model).await.unwrap();
        let found: Vec<_> = found.iter().map(|view| view.submission.id).collect();
        assert_eq!(found, [second, first]);
        let others = SubmissionFilter {
            model: Some(ModelId([1; 32])),
            ..SubmissionFilter::default()
        };
        assert_eq!(node.submissions(&others).await.unwrap(), []);

        // What is not public is refused in words.
        let unknown = node.fetch_submission_data(&SubmissionId([1; 32])).await;
        assert!(unknown.unwrap_err().is_not_found());
        let error = node
            .fetch_submission_data(&hidden.submission.unwrap())
            .await
            .unwrap_err();
        assert!(
            error.is_not_found() && error.to_string().contains("has not won"),
            "{error}"
        );
        assert!(
            node.fetch_target_data(&TargetId([1; 32]))
                .await
                .unwrap_err()
                .is_not_found()
        );

        // The weights that competed are told, with all that it takes to use them.
        let [weights] = node.generations(&model).await.unwrap().try_into().unwrap();
        let view = node.model(&model).await.unwrap();
        let now = view.model.weights.unwrap();
        assert_eq!((weights.hash, weights.key), (now.committed.hash, Some(now.key)));
        assert_eq!(
            (weights.active_from, weights.active_until),
            (Some(now.active_from), None)
        );
        assert_eq!(weights.embedding, view.embedding);
        let none = node.generations(&ModelId([1; 32])).await;
        assert!(none.unwrap_err().is_not_found());

        // Long after, it is seen that what was claimed was made up.
        let found = examine(&node, &first).await;
        assert_eq!(found.verdict, Verdict::FalseScore);
        assert!(
            found.losses_nano.iter().all(|loss| loss.equal == Some(false)),
            "{found:?}"
        );

        // As files.
        let home = folder.path().join("won");
        let [dir, file] = [home.join("all"), home.join("all.jsonl")];
        fs::create_dir(&home).unwrap();
        let [dir, file] = [&dir, &file].map(|path| Destination::of(path));
        for to in [&dir, &file] {
            let came = take_home(&node, Epoch(0), to).await;
            let bytes = (TEXT.len() + BYTES.len()) as u64;
            assert_eq!((came.fetched, came.kept, came.fetched_bytes), (2, 0, bytes));
            let again = take_home(&node, Epoch(0), to).await;
            assert_eq!((again.fetched, again.kept, again.damaged), (0, 2, 0));
        }
        let read = |path: &str| -> Vec<WonDocument> {
            let lines = fs::read_to_string(home.join(path)).unwrap();
            lines
                .lines()
                .map(|line| WonDocument::of_line(line).unwrap())
                .collect()
        };
        let data: Vec<_> = read("all.jsonl").into_iter().map(|won| won.data).collect();
        assert_eq!(data, [TEXT, BYTES]);
        let [one] = read(&format!("all/epoch-{began}.jsonl")).try_into().unwrap();
        assert_eq!(
            (one.facts.submission, one.facts.hash),
            (first, ContentHash::of(TEXT))
        );
        assert_eq!(
            fs::read_dir(home.join("all")).unwrap().count(),
            2,
            "no file where nothing won"
        );

        // Cut short, meddled with, twice: only that is brought again.
        let lines = fs::read_to_string(home.join("all.jsonl")).unwrap();
        let (one, two) = lines.trim_end().split_once('\n').unwrap();
        for (bad, damaged, fetched) in [
            (lines[..lines.len() - 9].to_owned(), 1, 1),
            (lines.replace("Satz", "Witz"), 1, 1),
            (format!("{one}\n{one}\n{two}\n"), 1, 0),
            ("\u{0}\nnonsense".to_owned(), 2, 2),
            (String::new(), 0, 2),
        ] {
            fs::write(home.join("all.jsonl"), &bad).unwrap();
            let healed = take_home(&node, Epoch(0), &file).await;
            assert_eq!((healed.damaged, healed.fetched), (damaged, fetched), "{bad}");
            assert_eq!(read("all.jsonl").len(), 2, "{bad}");
        }
        // From an epoch on, what is there of before stays.
        let since = take_home(&node, last, &file).await;
        assert_eq!((since.fetched, since.kept), (0, 2));
        assert_eq!(
            take_home(&node, last.next(), &Destination::of(&home.join("none")))
                .await
                .fetched,
            0
        );

        // Stopped at the first look: what is there stays, and the next run goes on.
        fs::write(home.join("all.jsonl"), format!("{one}\n")).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(true);
        let stopped = sync(&node, Epoch(0), &file, || stop.load(Ordering::Relaxed), |_, _| {}).await;
        let stopped = stopped.unwrap();
        assert!(stopped.stopped && stopped.fetched == 0, "{stopped:?}");
        assert_eq!(take_home(&node, Epoch(0), &file).await.fetched, 1);

        let future = sync(&node, Epoch(1 << 40), &file, || false, |_, _| {}).await;
        assert!(matches!(future, Err(SyncError::Future { .. })), "{future:?}");
        let waiting = SubmissionFilter {
            phase: Some(SubmissionPhase::Expired),
            ..SubmissionFilter::default()
        };
        assert_eq!(node.submissions(&waiting).await.unwrap().len(), 1);
    });
    net.stop().unwrap();
}

/// What an auditor finds of a winner, long after.
async fn examine(node: &NodeClient, submission: &SubmissionId) -> Recheck {
    let view = node.submission(submission).await.unwrap();
    let found = view.submission.found.unwrap();
    let target = node.target(&view.submission.target).await.unwrap();
    let bench = Bench::of(node, target).await.unwrap();
    let experts = Experts::new(Downloader::new(node.clone(), FetchPolicy::default()).unwrap());
    let data = data_of(&experts, &found).await.unwrap();
    let desk = ScoringDesk::new(Scorer::new().unwrap());
    let exact = bench.contest(data, &experts, &desk).await.unwrap();
    let claimed = Claimed::by(&found, view.embedding, &bench.target.target.models);
    recheck(&claimed, &bench.target.embedding, &exact)
}

/// An honest win, its data and its model's weights are taken down by all nodes before anyone has audited it:
/// it stands, and nobody loses anything. What is not taken down can be checked for as long as it is public,
/// whatever its model has become.
#[test]
fn what_is_taken_down_costs_nobody_anything() {
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
        let account = funded(&node, 9, folder.path()).await;
        let model = compete(&account).await;
        let experts = Experts::new(Downloader::new(node.clone(), FetchPolicy::default()).unwrap());
        let params = net.genesis().params.clone();
        let mut submitter = Submitter::new(account.clone(), params, experts).unwrap();
        let mut wins = Vec::new();
        for data in [&b"This one must go."[..], b"This one may stay."] {
            let attempt = submitter.try_document(data).await;
            let Ok(Attempt::Revealed(pending)) = attempt else {
                panic!("{attempt:?}");
            };
            let view = account.finish_submission(&pending).await.unwrap();
            assert_eq!(view.submission.status, SubmissionStatus::Won);
            wins.push(view.submission.id);
        }
        let [goes, stays] = [wins[0], wins[1]];
        assert_eq!(examine(&node, &stays).await.verdict, Verdict::Valid);
        let hash = ContentHash::of(b"This one must go.");
        let file = node
            .model(&model)
            .await
            .unwrap()
            .model
            .weights
            .unwrap()
            .committed
            .hash;
        for hash in [hash, file] {
            Withdrawn::add(&blobs_of(folder.path()), hash, "a court says so", 0).unwrap();
        }
        // From now on there is somebody to audit.
        let (_auditors, _) = auditors(&net, folder.path());
        let error = wait("the block", async || node.content(&hash).await.err()).await;
        assert!(
            error.is_withdrawn() && error.to_string().contains("a court says so"),
            "{error}"
        );
        let target = node.submission(&goes).await.unwrap().submission.target;
        for error in [
            node.fetch_submission_data(&goes).await.unwrap_err(),
            node.fetch_target_data(&target).await.unwrap_err(),
            node.put_blob(&b"This one must go.".to_vec().into())
                .await
                .unwrap_err(),
            node.fetch_model(&model).await.unwrap_err(),
        ] {
            assert!(error.is_withdrawn(), "{error}");
        }
        let home = Destination::of(&folder.path().join("won.jsonl"));
        let synced = take_home(&node, Epoch(0), &home).await;
        assert_eq!((synced.fetched, synced.missing.len()), (1, 1));
        assert!(synced.missing[0].reason.contains("a court says so") && !synced.missing[0].wrong);

        let paid = |submission: SubmissionId| {
            let node = node.clone();
            async move {
                wait("the payment", async || {
                    let view = node.submission(&submission).await.ok()?;
                    matches!(
                        view.submission.status,
                        SubmissionStatus::Paid { .. } | SubmissionStatus::FoundFalse { .. }
                    )
                    .then_some(view)
                })
                .await
            }
        };
        let gone = paid(goes).await;
        assert!(
            matches!(gone.submission.status, SubmissionStatus::Paid { .. }),
            "{gone:?}"
        );
        let outcome = gone.audit_outcome.unwrap();
        assert_eq!((outcome.decisive().majority, outcome.hearing), (None, None));
        let view = node.model(&model).await.unwrap().model;
        assert_eq!((view.status, view.retiring), (ModelStatus::Active, None));

        // Its list says when it may come back.
        for hash in [hash, file] {
            assert!(Withdrawn::restore(&blobs_of(folder.path()), &hash).unwrap());
        }
        wait("the block", async || {
            node.put_blob(&b"This one must go.".to_vec().into()).await.ok()
        })
        .await;
        assert_eq!(
            node.fetch_submission_data(&goes).await.unwrap().bytes().unwrap(),
            &b"This one must go."[..]
        );

        // Two updates later the ledger has forgotten the weights that competed; the other win is checked with
        // them.
        let stands = paid(stays).await;
        assert!(matches!(stands.submission.status, SubmissionStatus::Paid { .. }));
        let competed = node.generations(&model).await.unwrap().pop().unwrap();
        assert_eq!(competed.hash, file);
        for _ in 0..2 {
            let commit = account
                .commit_model(model, weights().into(), Some(place(1)))
                .await
                .unwrap();
            node.wait_for_epoch(commit.reveal_in, PATIENCE).await.unwrap();
            account.reveal_model(model, None).await.unwrap();
        }
        let last = node.status().await.unwrap().epoch.next();
        node.wait_for_epoch(last, PATIENCE).await.unwrap();
        let all = node.generations(&model).await.unwrap();
        assert_eq!(all.len(), 3);
        assert!(all[2].active_until.is_some() && all[0].active_until.is_none());
        let view = node.model(&model).await.unwrap().model;
        let epoch = node.target(&stands.submission.target).await.unwrap().target.epoch;
        assert_eq!(view.weights_in(epoch), None, "the ledger has forgotten them");
        // Its bytes are gone for good: who took them down has them no more, and says so plainly.
        let target = node.target(&stands.submission.target).await.unwrap();
        let bench = Bench::of(&node, target).await.unwrap();
        assert_eq!(bench.weights[0].committed.hash, file);
        assert_eq!(bench.weights[0].key, competed.key.unwrap());
    });
    net.stop().unwrap();
}
