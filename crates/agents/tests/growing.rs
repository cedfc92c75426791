//! A network grows while it runs: its validators vote for more models a target and for larger models, whoever
//! has one publishes anew, and the competition goes on.

mod common;

use soma_agents::{
    Downloader, Experts, Submitter,
    submitter::{Attempt, Search},
};
use soma_blobs::FetchPolicy;
use soma_client::{Account, Journal};
use soma_model::Model;
use soma_types::{
    Architecture, Epoch, ModelId,
    list::List,
    objects::{ModelStatus, SubmissionStatus},
    params::Params,
    upgrade::{Ballot, PROTOCOL_VERSION, ParamChange, Upgrade},
};
use tokio::runtime::Runtime;

use common::{PATIENCE, architecture, client, create, funded, open_targets, place, rules, start};

/// Commits to weights of this shape for each model; the epoch of their reveal.
async fn commit(account: &Account, models: &[ModelId], shape: &Architecture) -> Epoch {
    let mut reveal_in = Epoch::ZERO;
    for (model, number) in models.iter().zip(1..) {
        let weights = Model::random(shape, number).to_bytes();
        let committed = account
            .commit_model(*model, weights.into(), Some(place(number as u8)))
            .await
            .unwrap();
        reveal_in = committed.reveal_in;
    }
    reveal_in
}

/// Reveals them, and waits until they compete.
async fn reveal(account: &Account, models: &[ModelId], reveal_in: Epoch) {
    let node = account.node();
    node.wait_for_epoch(reveal_in, PATIENCE).await.unwrap();
    for model in models {
        account.reveal_model(*model, None).await.unwrap();
    }
    node.wait_for_epoch(reveal_in.next(), PATIENCE).await.unwrap();
}

/// How many models the targets have that are open now.
async fn models_per_target(account: &Account) -> Vec<usize> {
    let mut counts: Vec<usize> = open_targets(account.node())
        .await
        .iter()
        .map(|view| view.target.models.len())
        .collect();
    counts.dedup();
    counts
}

#[test]
fn e2e_a_vote_raises_the_models_of_a_target_and_their_size() {
    let folder = tempfile::tempdir().unwrap();
    let net = start(
        folder.path(),
        Params {
            block_time_ms: 120,
            epoch_blocks: 24,
            audit_commit_blocks: 6,
            audit_reveal_blocks: 4,
            hearing_commit_blocks: 4,
            models_per_target: 1,
            cross_entropy_max_nano: 1 << 40,
            ..rules()
        },
    );
    Runtime::new().unwrap().block_on(async {
        let node = client(&net);
        let account = funded(&node, 9, folder.path()).await;
        let small = architecture();
        let large = Architecture {
            layers: small.layers + 1,
            ..small
        };
        let models = [create(&account).await, create(&account).await];
        let reveal_in = commit(&account, &models, &small).await;

        let voters: Vec<Account> = net
            .validator_accounts()
            .iter()
            .map(|keys| {
                Account::new(
                    node.clone(),
                    keys.clone(),
                    Journal::new(folder.path().join("votes")),
                )
            })
            .collect();
        let upgrade = Upgrade {
            version: PROTOCOL_VERSION,
            architecture: Some(large),
            params: List::new(vec![ParamChange::ModelsPerTarget(2)]).unwrap(),
            activation: reveal_in.plus(2),
        };
        let (proposal, _) = voters[0].propose_upgrade(upgrade.clone()).await.unwrap();
        for voter in &voters[1..3] {
            voter.vote_upgrade(proposal, Ballot::Approve).await.unwrap();
        }
        reveal(&account, &models, reveal_in).await;
        assert_eq!(models_per_target(&account).await, [1]);

        node.wait_for_epoch(upgrade.activation, PATIENCE).await.unwrap();
        let params = node.params().await.unwrap();
        assert_eq!((params.models_per_target, params.architecture), (2, large));
        for model in &models {
            let status = node.model(model).await.unwrap().model.status;
            assert_eq!(status, ModelStatus::Stale, "its weights are of the old shape");
        }
        let reveal_in = commit(&account, &models, &large).await;
        reveal(&account, &models, reveal_in).await;
        assert_eq!(models_per_target(&account).await, [2]);

        let experts = Experts::new(Downloader::new(node.clone(), FetchPolicy::default()).unwrap());
        let mut submitter = Submitter::new(account.clone(), params, experts).unwrap();
        let data = b"Text that the larger models are the first to have seen.";
        let Search::Found(find) = submitter.search(data).await.unwrap() else {
            panic!("in short epochs any direction hits");
        };
        assert_eq!(find.claim.losses_nano.len(), 2);
        let attempt = submitter.submit(data, find.target, find.claim).await.unwrap();
        let Attempt::Revealed(pending) = attempt else {
            panic!("{attempt:?}");
        };
        let settled = account.settle_submission(&pending, PATIENCE).await.unwrap();
        assert_eq!(settled.submission.status, SubmissionStatus::Won);
    });
    net.stop().unwrap();
}
