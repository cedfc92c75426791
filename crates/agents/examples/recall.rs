//! What a scout finds of what trying everything finds (docs/submitting.md): 300 nano models, 100 targets.
//!
//! `cargo run --release -p soma-agents --example recall -- FOLDER` trains an ancestor on the sample corpora
//! and 300 models from it, each for a few steps on a corner of them, and scores pieces of held-out text with
//! all. Both are kept in FOLDER, so a second run only counts. Then, for targets that are harder and harder to
//! hit, documents come one after the other: everything is tried, and what the scout thinks likely.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use soma_agents::scout::{Impression, Scout};
use soma_data::{Dataset, Document, Domain, load_domains};
use soma_model::{Directions, Model, Scorer};
use soma_routing::RoutingTable;
use soma_train::{TrainConfig, split::split, train};
use soma_types::{
    Architecture, Embedding, Epoch, Height, ModelId, Seed, Shannons, TargetId,
    api::TargetView,
    hash::domain_hash,
    losses::lowest,
    objects::{Target, TargetStatus},
};

type Failure = Box<dyn std::error::Error>;

const ARCHITECTURE: Architecture = Architecture::NANO;
const MODELS: usize = 300;
const TARGETS: usize = 100;
const MODELS_PER_TARGET: usize = 3;
/// Of the ancestor, and of each model that descends from it.
const STEPS: (u64, u64) = (1_000, 12);
const DOCUMENTS: usize = 120;
const DOCUMENT_BYTES: usize = 512;
/// Bytes of the corner of a corpus that a model is trained on.
const CORNER_BYTES: usize = 16 << 10;
/// Targets that a document hits, on average: what their thresholds are set to.
const HITS: [f64; 5] = [3.0, 1.0, 0.5, 0.2, 0.1];
/// Draws of the targets.
const EPOCHS: u64 = 5;

/// A document by every model: embedding and loss. The scout's is the last.
type Row = Vec<(Embedding, u64)>;

fn main() -> Result<(), Failure> {
    let folder = PathBuf::from(
        env::args()
            .nth(1)
            .ok_or("give a folder to keep weights and scores in")?,
    );
    fs::create_dir_all(&folder)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    let domains = load_domains(&root)?;
    let models = weights(&folder, &domains)?;
    let rows = scores(&folder, &models, &documents(&domains)?)?;
    let places = places(&models, &domains)?;
    println!(
        "{MODELS} models, {TARGETS} targets, {} documents, {EPOCHS} draws of targets",
        rows.len()
    );
    println!("HITS A DOCUMENT  CHANCE  SCORINGS  OF ALL  HITS FOUND  DOCUMENTS FOUND");
    for hits in HITS {
        for chance_min in [0.2, 0.1, 0.05, 0.02, 0.01, 0.005] {
            let counts: Vec<Counts> = (0..EPOCHS)
                .map(|epoch| count(&rows, &places, hits, chance_min, epoch))
                .collect();
            let sum = |part: fn(&Counts) -> usize| counts.iter().map(part).sum::<usize>() as f64;
            let all = sum(|counts| counts.scorings_all);
            println!(
                "{hits:15.1}  {chance_min:6.3}  {:8.1}  {:5.1}%  {:9.1}%  {:14.1}%",
                sum(|counts| counts.scorings) / (rows.len() as f64 * EPOCHS as f64),
                100.0 * sum(|counts| counts.scorings) / all,
                100.0 * sum(|counts| counts.found) / sum(|counts| counts.hits),
                100.0 * sum(|counts| counts.documents_found) / sum(|counts| counts.documents_hit),
            );
        }
    }
    Ok(())
}

/// The ancestor, last, and the models that descend from it.
fn weights(folder: &Path, domains: &[Domain]) -> Result<Vec<Model>, Failure> {
    let mut held_in = Vec::new();
    for domain in domains {
        held_in.push(split(&domain.name, &domain.dataset)?.train);
    }
    let all = held_in.iter().flat_map(|set| set.documents().to_vec());
    let all = Dataset::new("all", all)?;
    let trained = |name: String, set: &Dataset, steps: u64, seed: u64, init: Option<&[u8]>| {
        let path = folder.join(name);
        if let Ok(bytes) = fs::read(&path) {
            return Ok::<_, Failure>(bytes);
        }
        let config = TrainConfig {
            seed,
            // At full rate almost at once: the few steps count.
            warmup_steps: 2,
            ..TrainConfig::new(ARCHITECTURE, steps)
        };
        let trained = train(&config, set, init, |_| {}, &AtomicBool::new(false))?;
        soma_files::replace(&path, &trained.weights)?;
        Ok(trained.weights)
    };
    let ancestor = trained("ancestor.safetensors".into(), &all, STEPS.0, 0, None)?;
    let mut models = Vec::with_capacity(MODELS + 1);
    for number in 0..MODELS {
        let set = &held_in[number % held_in.len()];
        let text: Vec<u8> = set
            .documents()
            .iter()
            .flat_map(|document| document.data.clone())
            .collect();
        let start = number.wrapping_mul(7_919) * 1_024 % (text.len() - CORNER_BYTES);
        let corner = Dataset::new(
            "corner",
            [Document {
                origin: "corner".into(),
                data: text[start..start + CORNER_BYTES].to_vec(),
            }],
        )?;
        let name = format!("model-{number}.safetensors");
        let bytes = trained(name, &corner, STEPS.1, number as u64, Some(&ancestor))?;
        models.push(Model::from_bytes(&bytes, &ARCHITECTURE)?);
        if number % 50 == 49 {
            eprintln!("{} models", number + 1);
        }
    }
    models.push(Model::from_bytes(&ancestor, &ARCHITECTURE)?);
    Ok(models)
}

/// Pieces of text that no model was trained on, mixed.
fn documents(domains: &[Domain]) -> Result<Vec<Vec<u8>>, Failure> {
    let mut documents = Vec::new();
    for domain in domains {
        let held_out = split(&domain.name, &domain.dataset)?.held_out;
        let pieces = held_out.documents().iter().map(|document| {
            let length = document.data.len().min(DOCUMENT_BYTES);
            document.data[..length].to_vec()
        });
        documents.extend(pieces.take(DOCUMENTS / domains.len()));
    }
    documents.sort_by_key(|document| domain_hash("recall", &[document]));
    Ok(documents)
}

/// Where each model is good, as it would register it: its embedding of some of all text.
fn places(models: &[Model], domains: &[Domain]) -> Result<Vec<Embedding>, Failure> {
    let scorer = Scorer::new()?;
    let mut places = Vec::new();
    for (number, model) in models.iter().enumerate().take(MODELS) {
        let set = &domains[number % domains.len()].dataset;
        let documents = set.documents().iter().take(4);
        let documents: Vec<&[u8]> = documents
            .map(|document| &document.data[..document.data.len().min(CORNER_BYTES / 4)])
            .collect();
        places.push(scorer.embed(model, &documents)?);
    }
    Ok(places)
}

/// Every document by every model, from the file or computed.
fn scores(folder: &Path, models: &[Model], documents: &[Vec<u8>]) -> Result<Vec<Row>, Failure> {
    let path = folder.join("scores.json");
    if let Ok(bytes) = fs::read(&path) {
        return Ok(serde_json::from_slice(&bytes)?);
    }
    let (scorer, seed) = (Scorer::new()?, Seed([1; 32]));
    let directions = Directions::draw(&seed, &ARCHITECTURE);
    let mut rows = vec![Row::new(); documents.len()];
    for (number, model) in models.iter().enumerate() {
        for (row, document) in rows.iter_mut().zip(documents) {
            let score = scorer.score(model, document, &directions)?;
            row.push((score.embedding().clone(), score.loss_nano()));
        }
        if number % 50 == 49 {
            eprintln!("scored with {} models", number + 1);
        }
    }
    soma_files::replace(&path, &serde_json::to_vec(&rows)?)?;
    Ok(rows)
}

#[derive(Default)]
struct Counts {
    scorings_all: usize,
    scorings: usize,
    hits: usize,
    found: usize,
    documents_hit: usize,
    documents_found: usize,
}

fn id(number: usize) -> ModelId {
    ModelId(domain_hash("recall model", &[&number.to_le_bytes()]))
}

/// Documents one after the other against an epoch's targets.
fn count(rows: &[Row], places: &[Embedding], hits: f64, chance_min: f64, epoch: u64) -> Counts {
    let dim = ARCHITECTURE.embedding_dim;
    let mut table = RoutingTable::new(dim);
    for (number, place) in places.iter().enumerate() {
        // Stakes from 10 to a thousand.
        let stake = Shannons((10.0 * 100f64.powf(number as f64 / MODELS as f64) * 1e9) as u64);
        table.push(id(number), number as u64, stake, place);
    }
    let numbers: BTreeMap<ModelId, usize> = (0..MODELS).map(|number| (id(number), number)).collect();
    let seeds: Vec<Seed> = (0..TARGETS as u64)
        .map(|index| {
            Seed(domain_hash(
                "recall target",
                &[&epoch.to_le_bytes(), &index.to_le_bytes()],
            ))
        })
        .collect();
    let embeddings: Vec<Embedding> = seeds
        .iter()
        .map(|seed| Embedding::draw(seed, dim as usize))
        .collect();
    let routed = table.route(&embeddings, MODELS_PER_TARGET);
    let winner = |row: &Row, models: &[ModelId]| {
        let numbers: Vec<usize> = models.iter().map(|model| numbers[model]).collect();
        let losses: Vec<u64> = numbers.iter().map(|number| row[*number].1).collect();
        numbers[lowest(&losses).unwrap_or(0)]
    };
    // The threshold that lets through as many as wanted.
    let mut dots: Vec<i64> = Vec::new();
    for row in rows {
        for (models, target) in routed.iter().zip(&embeddings) {
            dots.push(row[winner(row, models)].0.dot(target).into());
        }
    }
    dots.sort_unstable();
    let threshold_q30 = dots[dots.len() - (hits * rows.len() as f64) as usize];
    let views: Vec<TargetView> = (seeds.iter().zip(&embeddings).zip(&routed).enumerate())
        .map(|(index, ((seed, embedding), models))| TargetView {
            target: Target {
                id: TargetId(seed.0),
                epoch: Epoch(epoch),
                index: index as u64,
                slot: index as u32,
                seed: *seed,
                threshold_q30,
                models: models.clone(),
                opened: Height(1),
                status: TargetStatus::Open,
                candidates: Vec::new(),
            },
            embedding: embedding.clone(),
            commit_threshold_q30: threshold_q30,
            current: true,
        })
        .collect();

    let (mut scout, mut counts) = (Scout::new(), Counts::default());
    let everyone: BTreeSet<&ModelId> = routed.iter().flatten().collect();
    for row in rows {
        let hit = |view: &TargetView| {
            let (embedding, _) = &row[winner(row, &view.target.models)];
            i64::from(embedding.dot(&view.embedding)) >= threshold_q30
        };
        let all = views.iter().filter(|view| hit(view)).count();
        let (embedding, loss_nano) = &row[MODELS];
        let seen = Impression::new(embedding, *loss_nano);
        let mut scored = BTreeSet::new();
        let mut found = 0;
        for candidate in scout.candidates(&seen, &views, chance_min) {
            let view = views.iter().find(|view| view.target.id == candidate.target);
            let Some(view) = view else { continue };
            scored.extend(&view.target.models);
            found += usize::from(hit(view));
        }
        for model in &scored {
            let (embedding, loss_nano) = &row[numbers[*model]];
            scout.learn(&seen, **model, &Impression::new(embedding, *loss_nano));
        }
        counts.scorings_all += everyone.len();
        counts.scorings += scored.len() + 1;
        counts.hits += all;
        counts.found += found;
        counts.documents_hit += usize::from(all > 0);
        counts.documents_found += usize::from(found > 0);
    }
    counts
}
