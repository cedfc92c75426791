//! A submitter that tries only what its scout thinks likely, on a real network with more models than it can
//! keep in memory.

mod common;

use soma_agents::{Cache, Downloader, Experts, Submitter, submitter::Search};
use soma_blobs::FetchPolicy;
use soma_client::{Account, NodeClient};
use soma_model::{LOSS_NONE, Model, residency::memory_bytes_max};
use soma_types::{ModelId, params::Params};
use tokio::{runtime::Runtime, task::JoinSet};

use common::{PATIENCE, architecture, client, create, funded, open_targets, place, rules, start};

const MODELS: u64 = 12;

/// Publishes models of `account`, the first of which is no model.
async fn publish(account: &Account) -> Vec<ModelId> {
    let mut tasks = JoinSet::new();
    for number in 0..MODELS {
        let account = account.clone();
        tasks.spawn(async move {
            let file = match number {
                0 => vec![7; 5_000],
                _ => Model::random(&architecture(), number).to_bytes(),
            };
            let (model, embedding) = (create(&account).await, place(number as u8 + 1));
            let committed = account
                .commit_model(model, file.into(), Some(embedding))
                .await
                .unwrap();
            account
                .node()
                .wait_for_epoch(committed.reveal_in, PATIENCE)
                .await
                .unwrap();
            account.reveal_model(model, None).await.unwrap();
            (number, model, committed.reveal_in.next())
        });
    }
    let mut published = tasks.join_all().await;
    published.sort_unstable();
    let competing = published.iter().map(|(.., epoch)| *epoch).max().unwrap();
    account.node().wait_for_epoch(competing, PATIENCE).await.unwrap();
    published.into_iter().map(|(_, model, _)| model).collect()
}

fn experts(node: &NodeClient) -> Experts {
    Experts::new(Downloader::new(node.clone(), FetchPolicy::default()).unwrap())
}

/// A few models at a time, from a disk that holds a few more; the one that is no model stops no target but
/// its own.
#[test]
fn e2e_a_scouted_search_takes_few_scorings_and_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let net = start(
        folder.path(),
        Params {
            cross_entropy_max_nano: 1 << 40,
            epoch_blocks: 60,
            open_targets: 32,
            ..rules()
        },
    );
    Runtime::new().unwrap().block_on(async {
        let node = client(&net);
        let account = funded(&node, 9, folder.path()).await;
        let published = publish(&account).await;
        let broken = published[0];

        let one = Model::random(&architecture(), 1).to_bytes().len() as u64 + (1 << 16);
        let memory = memory_bytes_max(&architecture(), one);
        let cache = Cache::open(folder.path().join("weights"), 4 * one).unwrap();
        let experts = experts(&node).within(memory).cached(cache.clone());
        let params = net.genesis().params.clone();
        let submitter = Submitter::new(account, params, experts.clone()).unwrap();
        let mut submitter = submitter.with_scout(Model::random(&architecture(), 1));

        let targets = open_targets(&node).await;
        let named = |model: &ModelId| targets.iter().any(|view| view.target.models.contains(model));
        let competing = published.iter().filter(|model| named(model)).count();
        assert!(competing > 9 && named(&broken), "{competing} models compete");
        for number in 0..8 {
            let before = submitter.effort();
            let data = format!("document {number} of those that are looked at");
            let found = submitter.search(data.as_bytes()).await.unwrap();
            let Search::Found(find) = found else {
                panic!("{found:?}");
            };
            let target = node.target(&find.target).await.unwrap().target;
            if let Some(place) = target.models.iter().position(|model| *model == broken) {
                assert_eq!(
                    find.claim.losses_nano[place], LOSS_NONE,
                    "nobody can score with it"
                );
            }
            let scorings = submitter.effort().scorings - before.scorings;
            assert!(
                (2..=7).contains(&scorings),
                "{scorings} scorings of {competing} models"
            );
        }
        assert!(cache.used_bytes() <= 4 * one);
        assert!(submitter.effort().documents == 8 && experts.downloaded_bytes() > 0);
    });
    net.stop().unwrap();
}
