//! A claim beside what exact scoring finds, for people.

use soma_agents::recheck::{Compared, Recheck};
use soma_types::ModelId;

use crate::printer::{short, table};

/// Nano-nats in a nat.
const NANO: f64 = 1e9;
/// One, in the fixed point of dot products.
pub const ONE_Q30: f64 = (1 << 30) as f64;

/// What is not as claimed, in words.
pub fn differences(recheck: &Recheck) -> Vec<String> {
    let mut all = Vec::new();
    let losses = recheck.losses_nano.iter().enumerate();
    for (index, _) in losses.filter(|(_, loss)| loss.equal != Some(true)) {
        all.push(format!("the loss of model {}", index + 1));
    }
    let parts = [
        ("the winner", recheck.winner.equal, true),
        ("the cross entropy", recheck.cross_entropy_nano.equal, true),
        ("the embedding", recheck.embedding.equal, false),
        ("the cosine", recheck.dot_q30.equal, false),
    ];
    for (name, equal, needed) in parts {
        if equal == Some(false) || (needed && equal.is_none()) {
            all.push(name.to_owned());
        }
    }
    all
}

/// Nats, of nano-nats; `none` where there is no score.
pub fn nats(nano: Option<u64>) -> String {
    nano.filter(|nano| *nano != u64::MAX)
        .map_or_else(|| "none".into(), |nano| format!("{:.9}", nano as f64 / NANO))
}

fn verdict_of(equal: Option<bool>) -> &'static str {
    match equal {
        Some(true) => "equal",
        Some(false) => "DIFFERS",
        None => "not claimed",
    }
}

/// Each model's loss, claimed and exact.
pub fn losses_text(models: &[ModelId], recheck: &Recheck) -> String {
    let rows = recheck.losses_nano.iter().enumerate().map(|(index, loss)| {
        let model = models.get(index).map_or_else(|| "none".into(), short);
        let mark = if recheck.winner.exact == Some(index) {
            "winner"
        } else {
            ""
        };
        vec![
            model,
            nats(loss.claimed),
            nats(loss.exact),
            verdict_of(loss.equal).into(),
            mark.into(),
        ]
    });
    table(
        &["model", "claimed", "exact", "", " "],
        &["claimed", "exact"],
        rows,
    )
}

fn cosine(dot: &Compared<i32>) -> String {
    let exact = dot.exact.map_or(0.0, |dot| f64::from(dot) / ONE_Q30);
    format!("{exact:+.9}: {}", verdict_of(dot.equal))
}

/// What is compared beside the losses.
pub fn parts(recheck: &Recheck) -> Vec<(&'static str, String)> {
    let entropy = &recheck.cross_entropy_nano;
    let embedding = match recheck.embedding.equal {
        None => "no longer kept by the ledger: the cosine stands for it".to_owned(),
        equal => verdict_of(equal).to_owned(),
    };
    vec![
        ("winner", verdict_of(recheck.winner.equal).to_owned()),
        (
            "cross entropy",
            format!("{}: {}", nats(entropy.exact), verdict_of(entropy.equal)),
        ),
        ("embedding", embedding),
        ("cosine", cosine(&recheck.dot_q30)),
        ("transcript", recheck.transcript.to_string()),
        ("in a hearing", recheck.hearing_transcript.to_string()),
    ]
}
