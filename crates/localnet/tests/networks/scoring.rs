//! Models of the chain, scored by a node.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use soma_client::{Account, Journal, NodeClient};
use soma_localnet::{
    Config, Localnet,
    testing::{PATIENCE, wait},
};
use soma_model::{Directions, Model, Scorer};
use soma_types::{
    Architecture, ContentHash, Embedding, Keypair, Seed, api::score::ContestView, params::Params,
    transaction::BasisPoints,
};

use crate::{
    common::{runtime, short_epochs},
    raw::send,
};

/// A revealed model is scored by its id, on bytes and on content in the node's store, as its file is.
#[test]
fn models_on_the_chain_are_scored() {
    let folder = tempfile::tempdir().unwrap();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/vectors");
    let described = std::fs::read(vectors.join("nano.json")).unwrap();
    let described: Value = serde_json::from_slice(&described).unwrap();
    let architecture: Architecture = serde_json::from_value(described["architecture"].clone()).unwrap();
    let mut config = Config::new(folder.path());
    config.blueprint.params = Params {
        architecture,
        ..short_epochs()
    };
    let net = Localnet::start(config).unwrap();
    runtime().block_on(async {
        let address = net.apis()[0];
        let node = NodeClient::new(&format!("http://{address}")).unwrap();
        let keys = Keypair::from_secret_bytes([9; 32]);
        let account = Account::new(node.clone(), keys, Journal::new(folder.path().join("journal")));
        wait("the faucet", async || {
            node.faucet(&account.address(), None).await.ok()
        })
        .await;
        wait("its payment", async || {
            account.balance().await.ok().filter(|balance| !balance.is_zero())
        })
        .await;
        let stake = net.genesis().params.model_stake_min;
        let model = account.create_model(BasisPoints::default(), stake).await.unwrap();
        let weights = std::fs::read(vectors.join("nano.safetensors")).unwrap();
        let embedding = Embedding::draw(&Seed([1; 32]), architecture.embedding_dim as usize);
        let committed = account
            .commit_model(model, weights.clone().into(), Some(embedding))
            .await
            .unwrap();

        let data = b"Bytes of a document.";
        node.put_blob(&data.to_vec().into()).await.unwrap();
        let stored = ContentHash::of(data);
        let seed = Seed([8; 32]);
        let ask = |data: String| {
            let body = json!({ "models": [model], "data": data, "seed": seed }).to_string();
            let lines = format!(
                "content-type: application/json\r\ncontent-length: {}\r\n",
                body.len()
            );
            send(address, "POST", "/v1/score", &lines, body.as_bytes())
        };
        let refusal = ask(STANDARD.encode(data));
        assert!(
            (400..500).contains(&refusal.status),
            "committed weights are secret: {refusal:?}"
        );

        node.wait_for_epoch(committed.reveal_in, PATIENCE).await.unwrap();
        account.reveal_model(model, None).await.unwrap();
        let id = model;
        let model = Model::from_bytes(&weights, &architecture).unwrap();
        let directions = Directions::draw(&seed, &architecture);
        let contest = Scorer::new()
            .unwrap()
            .score_all(&[&model], data, &directions)
            .unwrap();
        for given in [STANDARD.encode(data), format!("soma:{stored}")] {
            let answer = ask(given);
            assert_eq!(answer.status, 200, "{answer:?}");
            let view = answer.json();
            let chain = node.model(&id).await.unwrap().model.revealed.unwrap();
            assert_eq!(
                view["weights"],
                json!([chain.committed.hash]),
                "as the chain names them"
            );
            assert_eq!(
                serde_json::from_value::<ContestView>(view).unwrap(),
                ContestView::from(&contest)
            );
        }
    });
    net.stop().unwrap();
}
