//! `soma forecast model`.

use std::{fs, sync::Arc};

use serde::Serialize;
use soma_agents::{
    embedding::genesis,
    forecast::{
        model::{Fate, Newcomer, Scored, fate, routed},
        past::{Past, read},
    },
};
use soma_client::NodeClient;
use soma_data::Reading;
use soma_model::{Batch, Directions, Model, Scorer};
use soma_types::{
    Embedding, Epoch, ModelId, Shannons, SubmissionId, TargetId,
    api::TargetView,
    objects::{EpochRecord, Found, TargetStatus},
    params::Params,
};

use super::{past_epochs, stopped, watch};
use crate::{
    args::ForecastModelArgs,
    commands::{
        model::resolve,
        scoring::{load_for_network, read_text, unreadable},
    },
    context::Context,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, count, facts, table},
};

const ASSUMES: &str = "that the same documents would have come, and that stakes were then what they are now";

/// What came of one document that won.
#[derive(Serialize)]
struct OneOutput {
    target: TargetId,
    submission: SubmissionId,
    fate: &'static str,
    margin_nano: Option<u64>,
}

#[derive(Default, Serialize)]
struct EpochOutput {
    epoch: Epoch,
    filled: u64,
    routed: u64,
    wins: u64,
    beaten: u64,
    /// The lowest loss, and no hit.
    missed: u64,
    /// Data that could not be had.
    unknown: u64,
    reward_per_hit: Shannons,
    earned: Shannons,
    documents: Vec<OneOutput>,
}

#[derive(Serialize)]
struct ForecastOutput {
    weights: String,
    replaces: Option<ModelId>,
    stake: Shannons,
    embedding: Embedding,
    epochs: Vec<EpochOutput>,
    wins: u64,
    earned: Shannons,
    assumes: &'static str,
}

struct Question {
    node: NodeClient,
    params: Params,
    model: Arc<Model>,
    newcomer: Newcomer,
}

pub async fn run(
    printer: Printer,
    context: &Context,
    args: &ForecastModelArgs,
    interrupt: &Interrupt,
) -> CliResult {
    let node = context.patient_node()?;
    let params = context.node()?.params().await?;
    let records = past_epochs(&node, args.epochs.get()).await?;
    let replaces = match &args.model {
        Some(model) => Some(resolve(&node, model).await?),
        None => None,
    };
    let stake = match (args.stake, replaces) {
        (Some(stake), _) => stake,
        (None, Some(model)) => node.model(&model).await?.pool.counted,
        (None, None) => params.model_stake_min,
    };
    let (path, architecture) = (args.weights.clone(), params.architecture);
    let (sources, selection) = (args.data.clone(), args.selection.clone());
    let loaded = tokio::task::spawn_blocking(move || {
        fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
        let model = load_for_network(&path, &architecture)?;
        let Reading { dataset, .. } = read_text(printer, &sources, &selection)?;
        let embedding = genesis(&model, &dataset, 0)?;
        Ok::<_, CliError>((Arc::new(model), embedding))
    });
    let (model, embedding) = loaded.await??;
    interrupt.hold();
    let question = Question {
        node,
        params,
        model,
        newcomer: Newcomer {
            embedding: embedding.clone(),
            stake,
            replaces,
        },
    };
    let mut epochs = Vec::new();
    for record in &records {
        epochs.push(question.epoch(record, interrupt).await?);
    }
    let sum = |each: fn(&EpochOutput) -> u64| epochs.iter().map(each).sum();
    let output = ForecastOutput {
        weights: args.weights.display().to_string(),
        replaces,
        stake,
        embedding,
        wins: sum(|epoch| epoch.wins),
        earned: Shannons(sum(|epoch| epoch.earned.0)),
        epochs,
        assumes: ASSUMES,
    };
    printer.show(&output, text)
}

/// A win of then, and who would have scored it with the newcomer.
struct Candidate {
    view: TargetView,
    submission: SubmissionId,
    found: Found,
    threshold_q30: i64,
    with: Vec<usize>,
}

impl Question {
    async fn epoch(&self, record: &EpochRecord, interrupt: &Interrupt) -> CliResult<EpochOutput> {
        let mut output = EpochOutput {
            epoch: record.state.epoch,
            reward_per_hit: record.reward_per_hit,
            ..EpochOutput::default()
        };
        if record.state.architecture != self.params.architecture {
            return Ok(output);
        }
        let past = read(&self.node, record).await?;
        let (candidates, data) = self.candidates(&past, interrupt, &mut output).await?;
        if candidates.is_empty() {
            return Ok(output);
        }
        let (model, seed, watch) = (Arc::clone(&self.model), past.state.seed, watch(interrupt));
        let architecture = self.params.architecture;
        let scored = tokio::task::spawn_blocking(move || {
            let texts: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            let directions = Directions::draw(&seed, &architecture);
            let mut batch = Batch::new(Scorer::new()?, &texts, &directions).map_err(stopped)?;
            batch.add(&model, &watch).map_err(stopped)?;
            batch.finish().map_err(stopped)
        });
        let band = self.params.cross_entropy_min_nano..=self.params.cross_entropy_max_nano;
        for (candidate, contest) in candidates.iter().zip(scored.await??) {
            let scored = contest.ok().map(|contest| Scored {
                loss_nano: contest.winning().loss_nano(),
                cross_entropy_nano: contest.winning().cross_entropy_nano(),
                embedding: contest.winning().embedding().clone(),
            });
            let fate = fate(
                scored.as_ref(),
                &candidate.view,
                &candidate.found,
                &candidate.with,
                candidate.threshold_q30,
                &band,
            );
            output.note(candidate, fate);
        }
        Ok(output)
    }

    /// The wins where the newcomer would have been routed, and their data.
    async fn candidates(
        &self,
        past: &Past,
        interrupt: &Interrupt,
        output: &mut EpochOutput,
    ) -> CliResult<(Vec<Candidate>, Vec<Vec<u8>>)> {
        let (mut candidates, mut data) = (Vec::new(), Vec::new());
        let goes_on = watch(interrupt);
        for view in &past.targets {
            if goes_on(0).is_break() {
                return Err(CliError::interrupted());
            }
            let TargetStatus::Filled { submission, .. } = view.target.status else {
                continue;
            };
            output.filled += 1;
            let models = &view.target.models;
            let rivals: Vec<_> = models.iter().filter_map(|id| past.rivals.get(id)).collect();
            let routed_to = models.len().max(self.params.models_per_target as usize);
            let Some(with) = routed(&self.newcomer, view, &rivals, routed_to) else {
                continue;
            };
            output.routed += 1;
            let winner = self.node.submission(&submission).await?;
            let bytes = match self.node.fetch_submission_data(&submission).await {
                Ok(blob) => blob.bytes().ok(),
                Err(error) if error.is_of_content() => None,
                Err(error) => return Err(error.into()),
            };
            let (Some(found), Some(bytes)) = (winner.submission.found, bytes) else {
                output.unknown += 1;
                continue;
            };
            data.push(bytes.to_vec());
            candidates.push(Candidate {
                view: view.clone(),
                submission,
                found,
                threshold_q30: winner.submission.threshold_q30,
                with,
            });
        }
        Ok((candidates, data))
    }
}

impl EpochOutput {
    fn note(&mut self, candidate: &Candidate, fate: Fate) {
        let (name, margin_nano) = match fate {
            Fate::Wins { margin_nano } => {
                self.wins += 1;
                // The model's half: its owner's commission, and its pool's part.
                self.earned = Shannons(self.earned.0.saturating_add(self.reward_per_hit.0 / 2));
                ("wins", Some(margin_nano))
            }
            Fate::Beaten { margin_nano } => {
                self.beaten += 1;
                ("beaten", Some(margin_nano))
            }
            Fate::TooFar { .. } => ("too_far", None),
            Fate::LossBand => ("loss_band", None),
            Fate::NoScore => ("no_score", None),
        };
        if !matches!(fate, Fate::Wins { .. } | Fate::Beaten { .. }) {
            self.missed += 1;
        }
        self.documents.push(OneOutput {
            target: candidate.view.target.id,
            submission: candidate.submission,
            fate: name,
            margin_nano,
        });
    }
}

fn text(output: &ForecastOutput) -> String {
    let number = |value: u64| value.to_string();
    let rows = output.epochs.iter().map(|epoch| {
        vec![
            epoch.epoch.to_string(),
            number(epoch.filled),
            number(epoch.routed),
            number(epoch.wins),
            number(epoch.beaten),
            number(epoch.missed),
            number(epoch.unknown),
            epoch.reward_per_hit.to_string(),
            epoch.earned.to_string(),
        ]
    });
    let header = [
        "epoch", "filled", "routed", "wins", "beaten", "no hit", "no data", "per hit", "earned",
    ];
    let mut lines = vec![("stake", format!("{} SOMA", output.stake))];
    lines.extend(output.replaces.map(|model| ("instead of", model.to_string())));
    lines.push((
        "in all",
        format!(
            "{}, {} SOMA to the model",
            count(output.wins, "win"),
            output.earned
        ),
    ));
    lines.push(("assumes", output.assumes.to_owned()));
    format!("{}\n{}", table(&header, &header, rows), facts(&lines))
}
