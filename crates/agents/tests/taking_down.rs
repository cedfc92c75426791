//! Content that operators take down, on a real network with real auditors. The table is docs/attacks.md.

mod common;

use std::sync::Arc;

use soma_agents::{
    Downloader, Experts, Submitter,
    bench::Bench,
    submitter::Attempt,
    won_data::{Destination, Format, JsonLines, sync},
};
use soma_blobs::{FetchPolicy, Withdrawn};
use soma_client::NodeClient;
use soma_localnet::blobs_of;
use soma_types::{
    ContentHash, Epoch, SubmissionId,
    api::SubmissionView,
    objects::{ModelStatus, SubmissionStatus},
    params::Params,
    transaction::Verdict,
};
use tokio::runtime::Runtime;

use common::{
    PATIENCE, auditors, claim_falsely, client, compete, examine, funded, open_targets, place, rules, start,
    wait, weights,
};

/// What came of it in the end.
async fn settled(node: &NodeClient, submission: &SubmissionId) -> SubmissionView {
    wait("the payment", async || {
        let view = node.submission(submission).await.ok()?;
        matches!(
            view.submission.status,
            SubmissionStatus::Paid { .. } | SubmissionStatus::FoundFalse { .. }
        )
        .then_some(view)
    })
    .await
}

/// Attack: having an honest find taken down
/// Does: gets every node's operator to take down a find's data and its model's weights before its audit, by a
/// complaint, so that its bond is lost and its model slashed.
/// Outcome: nothing happens to either. Auditors whose nodes have dropped what an audit needs say nothing,
/// which is no accusation: without a majority a winner stands, and is paid. What is restored and brought
/// again is there again. What stays can be checked for as long as it is public, whatever its model has
/// become.
#[test]
fn having_an_honest_find_taken_down() {
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
        let home = Destination::of(&folder.path().join("won.jsonl"), &JsonLines);
        let lines: Arc<dyn Format> = Arc::new(JsonLines);
        let synced = sync(&node, Epoch(0), &home, &lines, || false, |_, _| {})
            .await
            .unwrap();
        assert_eq!((synced.fetched, synced.missing.len()), (1, 1));
        assert!(synced.missing[0].reason.contains("a court says so") && !synced.missing[0].wrong);

        let gone = settled(&node, &goes).await;
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
        let stands = settled(&node, &stays).await;
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

/// Attack: taking down a false claim's data before its audit
/// Does: claims falsely, and has operators with most of the auditors' stake drop its data before they have
/// scored it, or is among those operators.
/// Outcome: OPEN, at a price. Nobody who could judge it is left, and it stands. It takes operators with
/// most of the auditors' stake, each of whom acts by hand within an epoch; whoever has that many needs no
/// removal to have a false claim found valid. Their duty of that epoch is missed, and the list says who
/// dropped what.
#[test]
fn taking_down_a_false_claims_data() {
    let folder = tempfile::tempdir().unwrap();
    let net = start(folder.path(), rules());
    Runtime::new().unwrap().block_on(async {
        let node = client(&net);
        let account = funded(&node, 9, folder.path()).await;
        compete(&account).await;
        let (_auditors, _) = auditors(&net, folder.path());
        let targets = open_targets(&node).await;
        let [seen, dropped] = [&b"A lie that is seen."[..], b"A lie that is taken down."];
        let found = claim_falsely(&account, &targets[0], seen).await;
        let hidden = claim_falsely(&account, &targets[1], dropped).await;
        let hash = ContentHash::of(dropped);
        Withdrawn::add(&blobs_of(folder.path()), hash, "a false complaint", 0).unwrap();
        let error = wait("the block", async || node.content(&hash).await.err()).await;
        assert!(error.is_withdrawn(), "{error}");
        let view = settled(&node, &found).await;
        assert!(
            matches!(view.submission.status, SubmissionStatus::FoundFalse { .. }),
            "{view:?}"
        );
        let view = settled(&node, &hidden).await;
        assert!(
            matches!(view.submission.status, SubmissionStatus::Paid { .. }),
            "{view:?}"
        );
        assert_eq!(view.audit_outcome.unwrap().decisive().majority, None);
    });
    net.stop().unwrap();
}
