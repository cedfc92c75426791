//! `soma sparse`: regions of embedding space with few models.

use std::path::PathBuf;

use serde::Serialize;
use soma_agents::{
    embedding::genesis,
    sparse::{Crowd, Neighbour, Prospect, sort},
};
use soma_client::{NodeClient, TargetFilter};
use soma_data::Rules;
use soma_types::{Architecture, Embedding, ModelId, Shannons, objects::TargetStatus, text::printable};

use crate::{
    args::SparseArgs,
    commands::scoring::load_for_network,
    context::Context,
    error::{CliError, CliResult},
    printer::{Printer, short, table},
};

/// Epochs in which targets that were hit are looked for.
const LOOK_BACK: u64 = 2;

#[derive(Serialize)]
struct SparseOutput {
    /// Models that compete.
    models: usize,
    stake: Shannons,
    places: Vec<PlaceOutput>,
}

#[derive(Serialize)]
struct PlaceOutput {
    place: String,
    embedding: Embedding,
    /// The part of all targets that a model there would be given.
    share: f64,
    nearest: Option<ModelId>,
    cosine: Option<f64>,
}

/// `soma sparse`.
pub async fn sparse(printer: Printer, context: &Context, args: &SparseArgs) -> CliResult {
    let node = context.node()?;
    let (params, global) = (node.params().await?, node.global().await?);
    let stake = args.stake.unwrap_or(params.model_stake_min);
    let places = match &args.weights {
        Some(weights) => {
            let (weights, data, seed) = (weights.clone(), args.data.clone(), args.seed);
            let (architecture, rules) = (global.architecture, args.selection.rules());
            tokio::task::spawn_blocking(move || {
                corpora(printer, &architecture, &weights, &data, &rules, seed)
            })
            .await??
        }
        None => hit(&node).await?,
    };
    if places.is_empty() {
        let since = node.status().await?.epoch.minus(LOOK_BACK).unwrap_or_default();
        return Err(CliError::new(format!(
            "no target was hit since epoch {since}, so there is no place to compare"
        ))
        .hint("compare places of your own: --weights FILE --data SRC..."));
    }
    let neighbours: Vec<Neighbour> = global
        .experts
        .into_iter()
        .map(|expert| Neighbour {
            model: expert.model,
            embedding: expert.embedding,
            stake: expert.stake,
        })
        .collect();
    let models = neighbours.len();
    let mut found = tokio::task::block_in_place(|| {
        let crowd = Crowd::new(
            &global.architecture,
            neighbours,
            params.models_per_target as usize,
        );
        let prospect = |place: (String, Embedding)| {
            let prospect = crowd.prospect(&place.1, stake);
            (place, prospect)
        };
        places.into_iter().map(prospect).collect::<Vec<_>>()
    });
    sort(&mut found);
    found.truncate(args.limit as usize);
    let output = SparseOutput {
        models,
        stake,
        places: found.into_iter().map(PlaceOutput::from).collect(),
    };
    printer.show(&output, text)
}

/// Each text's place.
fn corpora(
    printer: Printer,
    architecture: &Architecture,
    weights: &std::path::Path,
    data: &[PathBuf],
    rules: &Rules,
    seed: u64,
) -> CliResult<Vec<(String, Embedding)>> {
    let model = load_for_network(weights, architecture)?;
    let mut places = Vec::new();
    for source in data {
        let name = printable(&source.to_string_lossy()).into_owned();
        let reading = soma_sources::read(&[source], rules)?;
        printer.notes(&reading.report.to_string());
        let place = genesis(&model, &reading.dataset, seed);
        places.push((
            name.clone(),
            place.map_err(|error| CliError::from(error).while_doing(name))?,
        ));
    }
    Ok(places)
}

/// Where targets were hit: there is data.
async fn hit(node: &NodeClient) -> CliResult<Vec<(String, Embedding)>> {
    let now = node.status().await?.epoch;
    let mut places = Vec::new();
    for back in 0..=LOOK_BACK {
        let Some(epoch) = now.minus(back) else { break };
        let filter = TargetFilter {
            phase: None,
            epoch: Some(epoch),
        };
        let targets = match node.targets(&filter).await {
            Err(error) if error.is_not_found() => continue,
            targets => targets?,
        };
        let filled = targets
            .into_iter()
            .filter(|view| matches!(view.target.status, TargetStatus::Filled { .. }));
        places.extend(filled.map(|view| (view.target.id.to_string(), view.embedding)));
    }
    Ok(places)
}

impl From<((String, Embedding), Prospect)> for PlaceOutput {
    fn from(((place, embedding), prospect): ((String, Embedding), Prospect)) -> Self {
        Self {
            place,
            embedding,
            share: prospect.share,
            nearest: prospect.nearest.map(|(model, _)| model),
            cosine: prospect.nearest.map(|(_, cosine)| cosine),
        }
    }
}

fn text(output: &SparseOutput) -> String {
    let rows = output.places.iter().map(|place| {
        vec![
            if place.place.starts_with("0x") {
                short(&place.place)
            } else {
                place.place.clone()
            },
            format!("{:.1}%", 100.0 * place.share),
            place.nearest.map_or("none".into(), short),
            place
                .cosine
                .map_or(String::new(), |cosine| format!("{cosine:+.4}")),
        ]
    });
    let header = ["place", "share of targets", "nearest model", "cosine"];
    format!(
        "with a stake of {} SOMA; models that compete: {}\n{}",
        output.stake,
        output.models,
        table(&header, &["share of targets", "cosine"], rows)
    )
}
