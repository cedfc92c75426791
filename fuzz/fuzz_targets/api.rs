//! What is said over HTTP, both ways: what clients ask of a node, and what a node, which need not be honest,
//! answers them. What parses is written as it parses again, and a stream of events is the same wherever it is
//! cut.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};
use soma_client::sse::{Decoder, Message};
use soma_types::api::{
    AccountView, AuditView, BlobView, BlockView, EpochView, EventView, FaucetRequest, FinalityView,
    ModelView, Page, Problem, ProposalView, Simulated, Status, SubmissionView, Submitted, Supply, TargetView,
    TransactionView, ValidatorView,
    score::{ContestView, ScoreAnswer, ScoreRequest, ScoreView},
};

fn json<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_vec(&value).unwrap();
        assert_eq!(serde_json::from_slice::<T>(&written).unwrap(), value);
    }
}

/// A node may answer with a number that no float holds, which JSON cannot write: nothing is decided by those.
fn scores(bytes: &[u8]) {
    let finite = |view: &ContestView| {
        let mut models = view.models.iter();
        models.all(|model| !matches!(model, ScoreView::Scored { mean_embedding, .. } if mean_embedding.iter().any(|value| !value.is_finite())))
    };
    match serde_json::from_slice::<ScoreAnswer>(bytes) {
        Ok(ScoreAnswer::One(view)) if finite(&view) => json::<ScoreAnswer>(bytes),
        _ => {}
    }
}

/// The events of `bytes` in pieces of `length`, and how the stream ended.
fn events(bytes: &[u8], length: usize) -> (Vec<Message>, bool) {
    let mut decoder = Decoder::default();
    let mut all = Vec::new();
    for piece in bytes.chunks(length) {
        match decoder.push(piece) {
            Ok(messages) => all.extend(messages),
            Err(_) => return (all, false),
        }
    }
    (all, true)
}

fn stream(bytes: &[u8]) {
    let whole = events(bytes, bytes.len().max(1));
    for length in [1, 2, 7] {
        assert_eq!(events(bytes, length), whole);
    }
    for message in &whole.0 {
        assert!(
            message.data.len() <= 3 * bytes.len(),
            "lossy UTF-8 takes three bytes for one"
        );
        json::<EventView>(message.data.as_bytes());
    }
}

const DECODERS: &[fn(&[u8])] = &[
    stream,
    json::<ScoreRequest>,
    json::<FaucetRequest>,
    json::<AccountView>,
    json::<AuditView>,
    json::<BlobView>,
    json::<BlockView>,
    json::<EpochView>,
    json::<EventView>,
    json::<FinalityView>,
    json::<Page<ModelView>>,
    json::<Page<ProposalView>>,
    json::<Page<SubmissionView>>,
    json::<Page<TargetView>>,
    json::<Page<TransactionView>>,
    json::<Page<ValidatorView>>,
    json::<Problem>,
    scores,
    json::<Simulated>,
    json::<Status>,
    json::<Submitted>,
    json::<Supply>,
];

fuzz_target!(|bytes: &[u8]| {
    if let Some((which, bytes)) = bytes.split_first() {
        DECODERS[*which as usize % DECODERS.len()](bytes);
    }
});
