//! Models as people read them.

use soma_types::{
    Epoch, Shannons,
    api::{ModelView, Status},
    objects::{Inactivity, ModelStatus, Pool, Weights},
    phase::Phase as _,
    transaction::BasisPoints,
};

use crate::printer::{facts, short, table};

/// A table of models.
pub fn list_text(models: &[ModelView], status: &Status) -> String {
    if models.is_empty() {
        return String::new();
    }
    let rows = models.iter().map(|view| {
        let model = &view.model;
        vec![
            short(model.id),
            short(model.owner),
            standing(view),
            staked(&view.pool).to_string(),
            percent(model.commission.at(status.epoch)),
            model.hits.to_string(),
            model.hits_total.to_string(),
            model.rewards_total.to_string(),
            model
                .weights
                .as_ref()
                .map_or("".into(), |weights| age(weights.active_from, status.epoch)),
        ]
    });
    let right = ["stake", "commission", "hits", "ever", "earned"];
    table(
        &[
            "model",
            "owner",
            "status",
            "stake",
            "commission",
            "hits",
            "ever",
            "earned",
            "weights",
        ],
        &right,
        rows,
    )
}

/// All that is known of a model.
pub fn show_text(view: &ModelView, status: &Status) -> String {
    let model = &view.model;
    let mut lines = vec![
        ("model", model.id.to_string()),
        ("owner", model.owner.to_string()),
        ("status", standing(view)),
        ("created", age(model.created, status.epoch)),
        (
            "stake",
            format!(
                "{} SOMA, of which {} count in this epoch",
                staked(&view.pool),
                view.pool.counted
            ),
        ),
        ("commission", percent(model.commission.at(status.epoch))),
        (
            "hits",
            format!("{} in this epoch, {} ever", model.hits, model.hits_total),
        ),
        ("earned", format!("{} SOMA", model.rewards_total)),
    ];
    if let Some(weights) = &model.weights {
        lines.extend(weights_lines(
            "weights",
            weights,
            &age(weights.active_from, status.epoch),
        ));
    }
    if let Some(weights) = &model.revealed {
        lines.extend(weights_lines(
            "revealed",
            weights,
            &format!("compete from epoch {}", weights.active_from),
        ));
    }
    if let Some(committed) = &model.committed {
        lines.push((
            "committed",
            format!(
                "{} bytes, to reveal in epoch {}",
                committed.size_bytes,
                committed.epoch.next()
            ),
        ));
        lines.push(("committed", committed.url.to_string()));
    }
    if let Some(embedding) = &view.embedding {
        let head: Vec<String> = embedding
            .as_slice()
            .iter()
            .take(6)
            .map(|value| format!("{:+.3}", f64::from(*value) / 32768.0))
            .collect();
        lines.push((
            "embedding",
            format!("{} .. ({} dimensions)", head.join(" "), embedding.dim()),
        ));
    }
    facts(&lines)
}

fn weights_lines(name: &'static str, weights: &Weights, when: &str) -> Vec<(&'static str, String)> {
    vec![
        (name, format!("{} bytes, {when}", weights.committed.size_bytes)),
        (name, weights.committed.url.to_string()),
    ]
}

/// How a model stands, in words.
fn standing(view: &ModelView) -> String {
    let model = &view.model;
    let status = model.status.name();
    match model.retiring {
        Some(Inactivity::Stale) => format!("{status}, too old"),
        Some(Inactivity::Deactivated) if model.status != ModelStatus::Retired => {
            format!("{status}, retiring")
        }
        Some(Inactivity::Faulted) => format!("{status}, faulted"),
        _ => status.to_owned(),
    }
}

/// All that is in a pool, whether it counts yet or not.
fn staked(pool: &Pool) -> Shannons {
    let parts = [pool.stake, pool.pending, pool.young, pool.maturing];
    Shannons(parts.iter().fold(0, |sum, part| sum.saturating_add(part.0)))
}

/// An age in epochs.
fn age(since: Epoch, now: Epoch) -> String {
    match now.0.saturating_sub(since.0) {
        0 => format!("epoch {since}, this one"),
        1 => format!("epoch {since}, the last"),
        epochs => format!("epoch {since}, {epochs} ago"),
    }
}

/// A share as people write it.
pub fn percent(share: BasisPoints) -> String {
    format!("{:.2}%", f64::from(share.get()) / 100.0)
}
