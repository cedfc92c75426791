//! `soma forecast submit`.

use std::collections::BTreeMap;

use serde::Serialize;
use soma_agents::{
    Experts,
    forecast::{
        documents::{Outcome, PastHit, hits, outcomes},
        past::{Past, read},
    },
    matching::Scores,
};
use soma_client::NodeClient;
use soma_data::Reading;
use soma_model::{Batch, Directions, Scorer};
use soma_types::{
    ContentHash, Epoch, Shannons, SubmissionId, TargetId, objects::EpochRecord, params::Params,
    text::printable,
};
use tokio::runtime::Handle;

use super::{past_epochs, stopped, watch};
use crate::{
    args::ForecastSubmitArgs,
    commands::scoring::read_text,
    context::{Context, experts},
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, count, short, table},
};

const ASSUMES: &str = "that the others would have done the same, and that these documents came in this order";
/// Documents shown of an epoch.
const SHOWN_MAX: usize = 40;

#[derive(Serialize)]
struct OneOutput {
    document: String,
    size_bytes: usize,
    outcome: &'static str,
    target: Option<TargetId>,
    filled_by: Option<SubmissionId>,
    known_by: Option<SubmissionId>,
}

#[derive(Serialize)]
struct EpochOutput {
    epoch: Epoch,
    targets: u64,
    hits: u64,
    models: u64,
    /// Models whose weights could not be had, so that their targets have no scores.
    models_unknown: u64,
    wins: u64,
    contested: u64,
    reward_per_hit: Shannons,
    /// To the submitter, for the wins alone.
    earned: Shannons,
    documents: Vec<OneOutput>,
}

#[derive(Serialize)]
struct ForecastOutput {
    epochs: Vec<EpochOutput>,
    assumes: &'static str,
}

/// A piece of text as `soma submit` would submit it.
struct Piece {
    name: String,
    data: Vec<u8>,
    known_by: Option<SubmissionId>,
}

pub async fn run(
    printer: Printer,
    context: &Context,
    args: &ForecastSubmitArgs,
    interrupt: &Interrupt,
) -> CliResult {
    let node = context.patient_node()?;
    let params = context.node()?.params().await?;
    let records = past_epochs(&node, args.epochs.get()).await?;
    let (sources, selection) = (args.data.clone(), args.selection.clone());
    let reading = tokio::task::spawn_blocking(move || read_text(printer, &sources, &selection)).await??;
    let mut all = cut(&reading);
    for piece in &mut all {
        let claim = node.data_claim(&ContentHash::of(&piece.data)).await?;
        piece.known_by = claim.map(|claim| claim.submission);
    }
    interrupt.hold();
    let experts = experts(&node, &params)?;
    let mut epochs = Vec::new();
    for record in &records {
        epochs.push(epoch(&node, &params, &experts, record, &all, interrupt).await?);
    }
    let output = ForecastOutput {
        epochs,
        assumes: ASSUMES,
    };
    printer.show(&output, text)
}

fn cut(reading: &Reading) -> Vec<Piece> {
    let documents = reading.dataset.documents().iter();
    documents
        .flat_map(soma_data::Document::pieces)
        .map(|(origin, data)| Piece {
            name: origin.to_string(),
            data: data.to_vec(),
            known_by: None,
        })
        .collect()
}

async fn epoch(
    node: &NodeClient,
    params: &Params,
    experts: &Experts,
    record: &EpochRecord,
    all: &[Piece],
    interrupt: &Interrupt,
) -> CliResult<EpochOutput> {
    let past = read(node, record).await?;
    let (scores, models_unknown) = score(&past, params, experts, all, interrupt).await?;
    let band = params.cross_entropy_min_nano..=params.cross_entropy_max_nano;
    let found = scores
        .iter()
        .zip(all)
        .map(|(scores, piece)| match piece.known_by {
            Some(submission) => Err(Outcome::Known(submission)),
            None => hits(scores, &past.targets, &band),
        });
    let outcomes = outcomes(found.collect());
    let number = |is: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count() as u64;
    let wins = number(|outcome| matches!(outcome, Outcome::Wins(_)));
    let each = past.reward_with(wins, params.hits_goal);
    Ok(EpochOutput {
        epoch: past.state.epoch,
        targets: past.targets.len() as u64,
        hits: past.state.hits,
        models: past.rivals.len() as u64,
        models_unknown,
        wins,
        contested: number(|outcome| matches!(outcome, Outcome::Contested(_))),
        reward_per_hit: each,
        earned: Shannons((each.0 / 2).saturating_mul(wins)),
        documents: outcomes
            .iter()
            .zip(all)
            .map(|(outcome, piece)| one(outcome, piece))
            .collect(),
    })
}

/// Every document's score by every model of the epoch, one model in memory after the other; and how many
/// models could not be had.
async fn score(
    past: &Past,
    params: &Params,
    experts: &Experts,
    all: &[Piece],
    interrupt: &Interrupt,
) -> CliResult<(Vec<Scores>, u64)> {
    let (seed, architecture) = (past.state.seed, past.state.architecture);
    let (mut rivals, mut unknown) = (Vec::new(), 0);
    for rival in past.rivals.values() {
        match experts.load(&rival.weights).await {
            Ok(_) if architecture == params.architecture => rivals.push(rival.clone()),
            // Its targets have no scores, and that is told.
            _ => unknown += 1,
        }
    }
    if rivals.is_empty() {
        return Ok((vec![Scores::new(); all.len()], unknown));
    }
    let texts: Vec<Vec<u8>> = all.iter().map(|piece| piece.data.clone()).collect();
    let (experts, runtime, watch) = (experts.clone(), Handle::current(), watch(interrupt));
    let scored = tokio::task::spawn_blocking(move || {
        let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let directions = Directions::draw(&seed, &architecture);
        let mut batch = Batch::new(Scorer::new()?, &texts, &directions).map_err(stopped)?;
        for rival in &rivals {
            let model = experts.lend(&rival.weights, &runtime, &watch)?;
            batch.add(&model, &watch).map_err(stopped)?;
        }
        let contests = batch.finish().map_err(stopped)?;
        let scores = contests.iter().map(|contest| {
            let results = contest.as_ref().map_or(&[][..], |contest| contest.results());
            let of_each = rivals.iter().enumerate().map(|(place, rival)| {
                let score = results.get(place).and_then(|result| result.as_ref().ok());
                (rival.id, score.cloned())
            });
            of_each.collect::<BTreeMap<_, _>>()
        });
        Ok::<Vec<Scores>, CliError>(scores.collect())
    });
    Ok((scored.await??, unknown))
}

fn one(outcome: &Outcome, piece: &Piece) -> OneOutput {
    let of = |hit: &PastHit| (Some(hit.target), hit.filled_by);
    let (name, (target, filled_by), known_by) = match outcome {
        Outcome::Wins(hit) => ("wins", of(hit), None),
        Outcome::Contested(hit) => ("contested", of(hit), None),
        Outcome::Taken => ("taken", (None, None), None),
        Outcome::Known(submission) => ("known", (None, None), Some(*submission)),
        Outcome::TooFar { .. } => ("too_far", (None, None), None),
        Outcome::LossBand => ("loss_band", (None, None), None),
        Outcome::NoTargets => ("no_targets", (None, None), None),
    };
    OneOutput {
        document: piece.name.clone(),
        size_bytes: piece.data.len(),
        outcome: name,
        target,
        filled_by,
        known_by,
    }
}

fn text(output: &ForecastOutput) -> String {
    let mut text = String::new();
    for epoch in &output.epochs {
        text += &format!(
            "epoch {}: {} on targets that nobody filled, {} SOMA to the submitter ({} a hit); {} more had they come \
             before those who won\n",
            epoch.epoch,
            count(epoch.wins, "win"),
            epoch.earned,
            epoch.reward_per_hit,
            epoch.contested
        );
        if epoch.models_unknown > 0 {
            text += &format!(
                "  the weights of {} of {} could not be had: their targets are left out\n",
                epoch.models_unknown,
                count(epoch.models, "model")
            );
        }
        let rows = epoch.documents.iter().take(SHOWN_MAX).map(|document| {
            let about = document.filled_by.or(document.known_by).map(short);
            vec![
                printable(&document.document).into_owned(),
                document.size_bytes.to_string(),
                document.outcome.replace('_', " "),
                document.target.map(short).unwrap_or_default(),
                about.unwrap_or_default(),
            ]
        });
        text += &table(
            &["document", "bytes", "outcome", "target", "whose"],
            &["bytes"],
            rows,
        );
        if epoch.documents.len() > SHOWN_MAX {
            text += &format!("and {} more\n", epoch.documents.len() - SHOWN_MAX);
        }
        text += "\n";
    }
    text + &format!("This assumes {}.", output.assumes)
}
