//! Why a model gets no targets, or wins none.

use soma_types::{
    Embedding, Epoch, Shannons,
    api::{GenerationView, ModelView, TargetView},
    objects::{EpochState, Inactivity, ModelStatus, TargetStatus},
    params::Params,
};

use super::Why;

/// What a node says around a model.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The epoch in progress.
    pub now: &'a EpochState,
    /// Its targets.
    pub targets: &'a [TargetView],
    /// All models that are active.
    pub active: &'a [ModelView],
    /// The rules in force.
    pub params: &'a Params,
    /// Its last commit, once the epoch is over in which it was to be revealed.
    pub last_due: Option<Due<'a>>,
}

/// Weights that were to be revealed.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// The weights.
    pub generation: &'a GenerationView,
    /// The epoch in which they were.
    pub epoch: &'a EpochState,
}

/// Explains a model.
#[must_use]
pub fn why(view: &ModelView, around: &Around<'_>) -> Why {
    let model = &view.model;
    let (id, now) = (model.id, around.now.epoch);
    if let Some(reason) = model.retiring {
        let how = match reason {
            Inactivity::Faulted => "the committee found its weights unusable",
            _ => "its owner deactivated it",
        };
        let when = if model.status == ModelStatus::Retired {
            "it is retired for good"
        } else {
            "it competes until this epoch ends, and then never again"
        };
        return Why::new(when)
            .because(how)
            .advice(format!("`soma stake withdraw model:{id}` takes its stake out"));
    }
    match model.status {
        ModelStatus::Active => active(view, around),
        ModelStatus::Retired => Why::new("it is retired for good"),
        ModelStatus::Created | ModelStatus::Stale => waiting(view, around, now),
    }
}

fn waiting(view: &ModelView, around: &Around<'_>, now: Epoch) -> Why {
    let model = &view.model;
    let id = model.id;
    let mut why = Why::new("it does not compete, so no target is routed to it");
    if model.status == ModelStatus::Stale
        && let Some(weights) = &model.weights
    {
        let last = weights.active_from.plus(around.params.refresh_epochs);
        why = if weights.committed.architecture == around.params.architecture {
            why.because(format!(
                "its weights compete for {} epochs, and did until epoch {last}: then they are stale",
                around.params.refresh_epochs
            ))
        } else {
            why.because("the network's architecture has changed since its weights were committed")
        };
    }
    match (&model.revealed, &model.committed) {
        (Some(revealed), _) => why.because(format!(
            "weights are revealed: they compete from epoch {}, the next boundary; it is epoch {now}",
            revealed.active_from
        )),
        (None, Some(committed)) => {
            let due = committed.epoch.next();
            let why = why.because(format!(
                "weights are committed: they are to be revealed in epoch {due}, and compete from the one after; it is \
                 epoch {now}"
            ));
            if now >= due {
                why.advice(format!(
                    "`soma model reveal {id}` now: else they lapse, at a cost"
                ))
            } else {
                why
            }
        }
        (None, None) => lapsed(why.because("no weights wait for it"), view, around).advice(format!(
            "`soma model update {id} FILE` commits weights and reveals them in the next epoch"
        )),
    }
}

/// Adds what became of the last commit, if it was never revealed.
fn lapsed(why: Why, view: &ModelView, around: &Around<'_>) -> Why {
    let Some(Due { generation, epoch }) = around.last_due else {
        return why;
    };
    if generation.key.is_some() {
        return why;
    }
    let committed = format!(
        "the weights committed in epoch {} were not revealed",
        generation.committed
    );
    // A model has the architecture of its last commit.
    if epoch.architecture != view.model.architecture {
        return why.because(format!(
            "{committed}: from epoch {} on the network has another architecture",
            epoch.epoch
        ));
    }
    why.because(format!(
        "{committed} in epoch {}, so they lapsed, which cost {}% of what its owner has staked on it",
        epoch.epoch,
        f64::from(around.params.lapse_slash.get()) / 100.0
    ))
    .advice("`soma trainer run`, and `soma model update` left running, reveal in time")
}

/// The score by which routing compares, for people: the ledger's is the same in fixed point.
fn score(embedding: &Embedding, stake: Shannons, target: &TargetView) -> f64 {
    let cosine = f64::from(embedding.dot(&target.embedding)) / f64::from(1 << 30);
    kappa(embedding) * cosine + (stake.0.max(1) as f64).ln()
}

fn kappa(embedding: &Embedding) -> f64 {
    4.0 * (embedding.dim() as f64).sqrt()
}

/// How much a model lacks to the last that is routed to a target; negative where it is routed there.
fn lack(view: &ModelView, embedding: &Embedding, target: &TargetView, active: &[ModelView]) -> Option<f64> {
    let others = target.target.models.iter().filter(|id| **id != view.model.id);
    let scores = others.filter_map(|id| {
        let other = active.iter().find(|one| one.model.id == *id)?;
        Some(score(other.embedding.as_ref()?, other.pool.counted, target))
    });
    let last = scores.fold(f64::INFINITY, f64::min);
    last.is_finite()
        .then(|| last - score(embedding, view.pool.counted, target))
}

fn active(view: &ModelView, around: &Around<'_>) -> Why {
    let id = view.model.id;
    let routed: Vec<_> = around
        .targets
        .iter()
        .filter(|target| target.target.models.contains(&id))
        .collect();
    let all = around.targets.len();
    let why = Why::new(format!(
        "it competes: {} of the epoch's {all} targets so far are routed to it, and it has won {}",
        routed.len(),
        view.model.hits
    ));
    let why = lapsed(why, view, around);
    if all == 0 {
        return why.because("no target has opened in this epoch");
    }
    if routed.is_empty() {
        return unrouted(view, around, why);
    }
    let filled = routed
        .iter()
        .filter(|target| matches!(target.target.status, TargetStatus::Filled { .. }));
    let filled = filled.count() as u64;
    if filled == 0 {
        return why.because("nobody has filled any of these yet");
    }
    let lost = filled.saturating_sub(view.model.hits);
    why.because(format!(
        "{filled} of these are filled; in {lost} of them another of the target's models had the lower loss on the data \
         that came"
    ))
    .advice("`soma data sync` brings that data, to be trained on; `soma forecast model` tries weights on it")
}

fn unrouted(view: &ModelView, around: &Around<'_>, why: Why) -> Why {
    let count = around.params.models_per_target;
    let why = why.because(format!(
        "a target goes to the {count} models nearest to it, weighted by stake; {} compete",
        around.active.len()
    ));
    let Some(embedding) = &view.embedding else {
        return why;
    };
    let lacks = around
        .targets
        .iter()
        .filter_map(|target| lack(view, embedding, target, around.active));
    let least = lacks.fold(f64::INFINITY, f64::min);
    if !least.is_finite() {
        return why;
    }
    let least = least.max(0.0);
    why.because(format!(
        "where it comes closest, {:.3} more cosine would do, or {:.1} times its stake of {} SOMA",
        least / kappa(embedding),
        least.exp(),
        view.pool.counted
    ))
    .advice(format!(
        "`soma stake add model:{id} AMOUNT` counts from the next epoch; an embedding in a sparser region, \
         revealed with the next update, costs nothing more",
        id = view.model.id
    ))
}

#[cfg(test)]
mod tests {
    use soma_types::{
        Address, Architecture, ContentHash, DecryptionKey, Height, ModelId, Seed, SubmissionId, TargetId,
        basis_points::BasisPoints,
        objects::{Commission, CommittedWeights, Model, Pool, Target, Weights},
    };

    use super::*;

    fn weights(active_from: u64) -> Weights {
        Weights {
            committed: CommittedWeights {
                url: "soma:weights".parse().unwrap(),
                size_bytes: 1,
                hash: ContentHash([1; 32]),
                epoch: Epoch(active_from - 2),
                architecture: Architecture::NANO,
                sequence: 0,
                embedding: None,
            },
            key: DecryptionKey([1; 32]),
            active_from: Epoch(active_from),
        }
    }

    fn model(byte: u8, status: ModelStatus, stake: u64) -> ModelView {
        ModelView {
            model: Model {
                id: ModelId([byte; 32]),
                index: 0,
                owner: Address([1; 32]),
                commission: Commission::new(BasisPoints::default(), Epoch(1)),
                architecture: Architecture::NANO,
                created: Epoch(1),
                status,
                retiring: None,
                weights: None,
                previous: None,
                revealed: None,
                committed: None,
                reports: Vec::new(),
                faulted: None,
                hits: 0,
                hits_total: 0,
                rewards_total: Shannons::ZERO,
            },
            pool: Pool {
                counted: Shannons(stake),
                ..Pool::default()
            },
            embedding: Some(Embedding::draw(&Seed([byte; 32]), 64)),
        }
    }

    fn target(models: &[u8], status: TargetStatus) -> TargetView {
        TargetView {
            target: Target {
                id: TargetId([1; 32]),
                epoch: Epoch(30),
                index: 0,
                slot: 0,
                seed: Seed([2; 32]),
                threshold_q30: 0,
                models: models.iter().map(|byte| ModelId([*byte; 32])).collect(),
                opened: Height(1),
                status,
                candidates: Vec::new(),
            },
            // Where the second model is.
            embedding: Embedding::draw(&Seed([2; 32]), 64),
            commit_threshold_q30: 0,
            current: true,
        }
    }

    fn told(view: &ModelView, targets: &[TargetView]) -> String {
        told_after(view, targets, None)
    }

    fn told_after(view: &ModelView, targets: &[TargetView], last_due: Option<Due<'_>>) -> String {
        let state = crate::test_cast::epoch(30);
        let active = [model(2, ModelStatus::Active, 1_000_000_000)];
        let around = Around {
            now: &state,
            targets,
            active: &active,
            params: &Params::local(),
            last_due,
        };
        let why = why(view, &around);
        [vec![why.stands], why.because, why.advice].concat().join("\n")
    }

    #[test]
    fn a_commit_that_was_never_revealed_is_told() {
        let mut generation = GenerationView {
            index: 0,
            committed: Epoch(20),
            url: "soma:weights".parse().unwrap(),
            size_bytes: 1,
            hash: ContentHash([1; 32]),
            key: None,
            embedding: None,
            active_from: None,
            active_until: None,
        };
        let mut epoch = crate::test_cast::epoch(21);
        epoch.architecture = Architecture::NANO;
        let text = |view: &ModelView, generation: &GenerationView, epoch: &EpochState| {
            told_after(view, &[], Some(Due { generation, epoch }))
        };
        for status in [ModelStatus::Created, ModelStatus::Active] {
            let told = text(&model(1, status, 1), &generation, &epoch);
            assert!(
                told.contains("committed in epoch 20 were not revealed in epoch 21, so they lapsed")
                    && told.contains("cost 5"),
                "{told}"
            );
        }
        let created = model(1, ModelStatus::Created, 1);
        epoch.architecture = Architecture::V1;
        let outgrown = text(&created, &generation, &epoch);
        assert!(
            outgrown.contains("another architecture") && !outgrown.contains("lapsed"),
            "{outgrown}"
        );
        generation.key = Some(DecryptionKey([1; 32]));
        assert!(!text(&created, &generation, &epoch).contains("not revealed"));
    }

    #[test]
    fn each_way_not_to_compete_has_its_reason() {
        let created = || model(1, ModelStatus::Created, 1);
        assert!(told(&created(), &[]).contains("no weights wait"));
        let mut committed = created();
        committed.model.committed = Some(CommittedWeights {
            epoch: Epoch(29),
            ..weights(30).committed
        });
        let text = told(&committed, &[]);
        assert!(
            text.contains("revealed in epoch 30") && text.contains("model reveal"),
            "{text}"
        );
        let mut revealed = created();
        revealed.model.revealed = Some(weights(31));
        assert!(told(&revealed, &[]).contains("from epoch 31"));
        let mut stale = model(1, ModelStatus::Stale, 1);
        stale.model.weights = Some(weights(9));
        assert!(told(&stale, &[]).contains("did until epoch 29"));
        stale.model.weights.as_mut().unwrap().committed.architecture = Architecture::V1;
        assert!(told(&stale, &[]).contains("architecture has changed"));
        for (reason, says) in [
            (Inactivity::Faulted, "unusable"),
            (Inactivity::Deactivated, "deactivated"),
        ] {
            let mut retiring = model(1, ModelStatus::Active, 1);
            retiring.model.retiring = Some(reason);
            assert!(told(&retiring, &[]).contains(says));
        }
    }

    #[test]
    fn a_model_that_competes_learns_what_it_lacks() {
        let mut view = model(1, ModelStatus::Active, 1_000_000);
        assert!(told(&view, &[]).contains("no target has opened"));
        let far = told(&view, &[target(&[2], TargetStatus::Open)]);
        assert!(
            far.contains("more cosine would do") && far.contains("stake add"),
            "{far}"
        );
        let open = told(&view, &[target(&[1, 2], TargetStatus::Open)]);
        assert!(open.contains("nobody has filled"), "{open}");
        let filled = TargetStatus::Filled {
            submission: SubmissionId([1; 32]),
            at: Height(9),
        };
        let lost = told(&view, &[target(&[1, 2], filled)]);
        assert!(lost.contains("in 1 of them another"), "{lost}");
        view.model.hits = 1;
        assert!(told(&view, &[target(&[1, 2], filled)]).contains("in 0 of them another"));
    }
}
