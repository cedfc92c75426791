//! Ways out of the audit, tried on a real network with real auditors. The table is docs/attacks.md.

mod common;

use soma_agents::{Downloader, Experts, Submitter, submitter::Attempt};
use soma_blobs::FetchPolicy;
use soma_client::Account;
use soma_types::{
    ContentHash, DecryptionKey, ModelId, TransactionKind,
    api::{SubmissionView, TargetView},
    objects::{ModelStatus, SubmissionStatus},
    params::Params,
    transaction::Verdict,
};

use common::{
    PATIENCE, auditors, claim_falsely, claim_falsely_at, client, compete, create, funded, open_targets,
    place, rules, start, tarpit, wait, weights,
};

fn found_false(view: &SubmissionView) -> Option<Verdict> {
    match view.submission.status {
        SubmissionStatus::FoundFalse { verdict, .. } => Some(verdict),
        _ => None,
    }
}

/// An open target that only this model competes for.
async fn target_of(account: &Account, model: ModelId) -> TargetView {
    wait("a target", async || {
        let open = open_targets(account.node()).await;
        open.into_iter().find(|view| view.target.models == [model])
    })
    .await
}

/// Attack: deactivating to escape the audit
/// Does: claims falsely, and deactivates the model that their targets name, so that its weights are gone when
/// the auditors come; they have restarted meanwhile, so that none has them in memory.
/// Outcome: weights are kept for as long as a target of the last three epochs names their model: they are
/// found false and lose their bond. (It worked, and stopped all other audits of the network for good: every
/// winner was paid, and no validator.)
#[test]
fn deactivating_to_escape_the_audit() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let net = start(folder.path(), rules());
    let submission = runtime.block_on(async {
        let node = client(&net);
        let account = funded(&node, 9, folder.path()).await;
        let model = compete(&account).await;
        let target = open_targets(&node).await.remove(0);
        let submission = claim_falsely(&account, &target, b"Nobody scored this.").await;
        account.deactivate_model(model).await.unwrap();
        let next = target.target.epoch.next();
        node.wait_for_epoch(next, PATIENCE).await.unwrap();
        submission
    });
    net.stop().unwrap();

    let net = start(folder.path(), rules());
    runtime.block_on(async {
        let (_auditors, _) = auditors(&net, folder.path());
        let view = common::verdict(&client(&net), &submission).await;
        assert_eq!(found_false(&view), Some(Verdict::FalseScore), "{view:?}");
    });
    net.stop().unwrap();
}

/// Attack: claiming where nobody can look
/// Does: publishes a file that is no weights, a file on a host that never answers, someone's file with
/// another key, and the same with another size, too late for reports to keep them from competing. Claims
/// falsely on the targets that name them, which honest submitters have to leave to them, and once more with
/// data on such a host.
/// Outcome: each claim is found false: with unusable weights nobody has scored, and what cannot be had in the
/// commit window counts as not there. The honest winner beside them is audited and stands, the file's owner
/// keeps the model, and the others' four are reported and gone. (One of them stopped all audits of the
/// network.)
#[test]
fn claiming_where_nobody_can_look() {
    let folder = tempfile::tempdir().unwrap();
    let net = start(
        folder.path(),
        Params {
            models_per_target: 1,
            cross_entropy_max_nano: 1 << 40,
            // Time for one find and five lies, one after the other, and for auditors to give up a host.
            epoch_blocks: 132,
            audit_commit_blocks: 48,
            hearing_commit_blocks: 12,
            ..rules()
        },
    );
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let node = client(&net);
        let (honest, cheat) = (
            funded(&node, 9, folder.path()).await,
            funded(&node, 10, folder.path()).await,
        );
        let sound = create(&honest).await;
        let committed = honest
            .commit_model(sound, weights().into(), Some(place(1)))
            .await
            .unwrap();
        let rubbish = create(&cheat).await;
        let no_weights = cheat
            .commit_model(rubbish, vec![7; 5_000].into(), Some(place(2)))
            .await
            .unwrap();
        assert_eq!(
            committed.reveal_in, no_weights.reveal_in,
            "epochs are long enough"
        );
        let mut others = Vec::new();
        for (url, hash, size_bytes) in [
            (tarpit(), ContentHash([7; 32]), 5_000),
            (committed.url.to_string(), committed.hash, committed.size_bytes),
            // What is kept under this hash is a byte shorter.
            (
                committed.url.to_string(),
                committed.hash,
                committed.size_bytes + 1,
            ),
        ] {
            let model = create(&cheat).await;
            let url = url.parse().unwrap();
            let kind = TransactionKind::CommitModel {
                model,
                url,
                size_bytes,
                hash,
                embedding: None,
            };
            cheat.execute(kind).await.unwrap();
            others.push(model);
        }
        node.wait_for_epoch(committed.reveal_in, PATIENCE).await.unwrap();
        honest.reveal_model(sound, None).await.unwrap();
        cheat.reveal_model(rubbish, None).await.unwrap();
        for (model, seed) in others.iter().zip([3, 4, 5]) {
            let (model, key, embedding) = (*model, DecryptionKey([seed; 32]), place(seed));
            cheat
                .execute(TransactionKind::RevealModel {
                    model,
                    key,
                    embedding,
                })
                .await
                .unwrap();
        }
        node.wait_for_epoch(committed.reveal_in.next(), PATIENCE)
            .await
            .unwrap();

        let policy = FetchPolicy {
            private_addresses: true,
            ..FetchPolicy::default()
        };
        let experts = Experts::new(Downloader::new(node.clone(), policy).unwrap());
        let params = net.genesis().params.clone();
        let mut submitter = Submitter::new(honest.clone(), params, experts).unwrap();
        let attempt = submitter
            .try_document(b"Who looks for it finds a target that can be scored.")
            .await;
        let Ok(Attempt::Revealed(find)) = attempt else {
            panic!("{attempt:?}");
        };
        honest.finish_submission(&find).await.unwrap();
        let find = find.submission.unwrap();
        let mut lies = Vec::new();
        for (index, (model, verdict)) in [
            (rubbish, Verdict::FalseScore),
            (others[0], Verdict::DataUnavailable),
            (others[1], Verdict::FalseScore),
            (others[2], Verdict::FalseScore),
        ]
        .into_iter()
        .enumerate()
        {
            let target = target_of(&cheat, model).await;
            let data = [&b"Nobody scored this."[..], &[index as u8]].concat();
            lies.push((claim_falsely(&cheat, &target, &data).await, verdict));
        }
        let target = target_of(&cheat, sound).await;
        let hidden = claim_falsely_at(&cheat, &target, &tarpit(), b"Nobody has this.").await;
        lies.push((hidden, Verdict::DataUnavailable));
        let (_auditors, mut told) = auditors(&net, folder.path());
        for (lie, expected) in &lies {
            let view = common::verdict(&node, lie).await;
            assert_eq!(found_false(&view), Some(*expected), "{view:?}");
        }
        let view = common::verdict(&node, &find).await;
        let majority = view
            .audit_outcome
            .as_ref()
            .and_then(|outcome| outcome.drawn.majority);
        assert_eq!(
            majority.map(|finding| finding.verdict),
            Some(Verdict::Valid),
            "{view:?}"
        );
        for (model, status) in [
            (sound, ModelStatus::Active),
            (rubbish, ModelStatus::Retired),
            (others[0], ModelStatus::Retired),
            (others[1], ModelStatus::Retired),
            (others[2], ModelStatus::Retired),
        ] {
            assert_eq!(node.model(&model).await.unwrap().model.status, status, "{model}");
        }
        let mut reports = 0;
        while let Ok(progress) = told.try_recv() {
            reports += progress.models_reported.len();
        }
        assert!(
            (4 * 4..=2 * 4 * 4).contains(&reports),
            "each auditor reports each model once in each of at most two epochs, not {reports} times"
        );
    });
    net.stop().unwrap();
}
