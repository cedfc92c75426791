//! Data that is handed over once it has won, or not, on a real network with real auditors. The table is
//! docs/attacks.md.

mod common;

use soma_blobs::Expected;
use soma_client::{Account, NodeClient, Scores};
use soma_model::{Directions, Model, Scorer};
use soma_types::{
    SubmissionId, api::TargetView, objects::SubmissionStatus, params::Params, transaction::Verdict,
};

use common::{
    PATIENCE, architecture, auditors, client, compete, funded, open_targets, rules, start, verdict, weights,
};

/// Exact scores of `data` for a target of one model, with sound weights.
async fn honest(node: &NodeClient, target: &TargetView, data: &[u8]) -> Scores {
    let seed = node.epoch(Some(target.target.epoch)).await.unwrap().state.seed;
    let model = Model::from_bytes(&weights(), &architecture()).unwrap();
    let directions = Directions::draw(&seed, &architecture());
    let score = Scorer::new().unwrap().score(&model, data, &directions).unwrap();
    Scores {
        losses_nano: vec![score.loss_nano()],
        cross_entropy_nano: score.cross_entropy_nano(),
        embedding: score.embedding().clone(),
    }
}

/// Commits and reveals, and does nothing more.
async fn race(account: &Account, target: &TargetView, data: &[u8]) -> SubmissionId {
    let scores = honest(account.node(), target, data).await;
    let (target, data) = (target.target.id, data.to_vec());
    let pending = account
        .enter_submission(target, data, scores, None)
        .await
        .unwrap();
    let submission = pending.submission.unwrap();
    account
        .node()
        .wait_for_submission(&submission, PATIENCE)
        .await
        .unwrap();
    submission
}

/// Attack: withholding data that has won
/// Does: scores honestly and wins, and does not hand the data over: it stays on their machine, where it was
/// while the race was on.
/// Outcome: auditors find it unavailable: bond and reward are gone. Whoever hands it over late, after the
/// next epoch has begun, is found valid: auditors look again until three quarters of the time for their
/// verdicts are over. What lost its race was never seen by anyone.
#[test]
fn withholding_data_that_has_won() {
    let folder = tempfile::tempdir().unwrap();
    let params = Params {
        models_per_target: 1,
        cross_entropy_max_nano: 1 << 40,
        epoch_blocks: 60,
        audit_commit_blocks: 36,
        ..rules()
    };
    let net = start(folder.path(), params);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let node = client(&net);
        let account = funded(&node, 9, folder.path()).await;
        compete(&account).await;
        let (_auditors, _told) = auditors(&net, folder.path());

        let targets = open_targets(&node).await;
        let epoch = targets[0].target.epoch;
        let withheld = race(&account, &targets[0], b"This nobody will see.").await;
        let late = race(&account, &targets[1], b"This comes late.").await;
        assert_eq!(
            node.submission(&late).await.unwrap().submission.status,
            SubmissionStatus::Won
        );
        let kept = async |data: &[u8]| node.blob(Expected::of(data)).await.is_ok();
        assert!(!kept(b"This nobody will see.").await && !kept(b"This comes late.").await);

        // The audits have begun.
        node.wait_for_epoch(epoch.next(), PATIENCE).await.unwrap();
        let begun = node.status().await.unwrap().height;
        while node.status().await.unwrap().height.0 < begun.0 + 8 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let left = account.pending_submissions().await.unwrap();
        let late_one = left.iter().find(|entry| entry.submission == Some(late));
        account.finish_submission(late_one.unwrap()).await.unwrap();

        let view = verdict(&node, &late).await;
        let drawn = view.audit_outcome.as_ref().unwrap().drawn.majority;
        assert_eq!(
            drawn.map(|finding| finding.verdict),
            Some(Verdict::Valid),
            "{view:?}"
        );
        let view = verdict(&node, &withheld).await;
        assert!(
            matches!(
                view.submission.status,
                SubmissionStatus::FoundFalse {
                    verdict: Verdict::DataUnavailable,
                    ..
                }
            ),
            "{view:?}"
        );
    });
    net.stop().unwrap();
}
