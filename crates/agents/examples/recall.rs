//! What a scout finds of what trying everything finds (docs/submitting.md): 300 nano models, 100 targets.
//!
//! `cargo run --release -p soma-agents --example recall -- FOLDER` trains an ancestor on the sample corpora
//! and 300 models from it, each for a few steps on a corner of them, and scores pieces of held-out text with
//! all. Both are kept in FOLDER, so a second run only counts. Then, for targets that are harder and harder to
//! hit, documents come one after the other: everything is tried, and what the scout thinks likely. A
//! submitter ends at a document's first hit; hits are counted over all that is likely, scorings both ways.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use soma_agents::scout::{CHANCE_MIN, CHUNKS, Impression, Scout};
use soma_data::{Dataset, Document, Domain, load_domains};
use soma_model::{Directions, Fast as _, Model, Sample, Scorer};
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
const STEPS: (u64, u64) = (600, 8);
const DOCUMENTS: usize = 60;
const DOCUMENT_BYTES: usize = 512;
/// Bytes of the corner of a corpus that a model is trained on.
const CORNER_BYTES: usize = 16 << 10;
/// Targets that a document hits, on average: what their thresholds are set to.
const HITS: [f64; 5] = [3.0, 1.0, 0.5, 0.2, 0.1];
/// Draws of the targets.
const EPOCHS: u64 = 5;
/// Chances below which a target is not tried, the submitter's among them.
const CHANCES: [f64; 6] = [0.2, 0.1, 0.05, 0.02, CHANCE_MIN, 0.005];

/// A document by every model: embedding and loss.
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
    let documents = documents(&domains)?;
    let rows = scores(&folder, &models, &documents)?;
    let places = places(&models, &domains)?;
    let (seen, looking) = looks(&models, &documents)?;
    let scoring = scoring(&models, &documents)?;
    println!(
        "{MODELS} models, {TARGETS} targets, {} documents of {DOCUMENT_BYTES} bytes, {EPOCHS} draws of targets",
        rows.len()
    );
    println!("HITS A DOCUMENT  CHANCE  SCORINGS  OF ALL  TO THE FIRST  HITS FOUND  DOCUMENTS FOUND");
    for hits in HITS {
        for chance_min in CHANCES {
            let counts: Vec<Counts> = (0..EPOCHS)
                .map(|epoch| count(&rows, &seen, &places, hits, chance_min, epoch))
                .collect();
            let sum = |part: fn(&Counts) -> usize| counts.iter().map(part).sum::<usize>() as f64;
            let tried = rows.len() as f64 * EPOCHS as f64;
            let all = sum(|counts| counts.scorings_all);
            let to_the_first = sum(|counts| counts.scorings_to_the_first) / tried;
            println!(
                "{hits:15.1}  {chance_min:6.3}  {:8.1}  {:5.1}%  {to_the_first:12.1}  {:9.1}%  {:14.1}%",
                sum(|counts| counts.scorings) / tried,
                100.0 * sum(|counts| counts.scorings) / all,
                100.0 * sum(|counts| counts.found) / sum(|counts| counts.hits),
                100.0 * sum(|counts| counts.documents_found) / sum(|counts| counts.documents_hit),
            );
            if (chance_min - CHANCE_MIN).abs() < f64::EPSILON {
                let ranking = counts.iter().map(|counts| counts.ranking).sum::<Duration>();
                let ranking = ranking.as_secs_f64() / tried;
                let sparse = to_the_first * scoring.as_secs_f64() + looking.as_secs_f64() + ranking;
                println!(
                    "  {:.2} documents a second, {:.2} with everything: a scoring {:.1} ms, a look {:.1} ms, ranking {:.2} ms",
                    1.0 / sparse,
                    tried / (all * scoring.as_secs_f64()),
                    1e3 * scoring.as_secs_f64(),
                    1e3 * looking.as_secs_f64(),
                    1e3 * ranking,
                );
            }
        }
    }
    Ok(())
}

/// What the scout, which is the last model, makes of each document, and how long a look takes.
fn looks(models: &[Model], documents: &[Vec<u8>]) -> Result<(Vec<Impression>, Duration), Failure> {
    let (scorer, chunks) = (Scorer::new()?, CHUNKS);
    let (sample, start) = (Sample { scorer, chunks }, Instant::now());
    let mut seen = Vec::with_capacity(documents.len());
    for document in documents {
        seen.push(Impression::estimated(
            &sample.estimate(&models[MODELS], document)?,
        ));
    }
    Ok((seen, start.elapsed() / documents.len() as u32))
}

/// How long a scoring takes.
fn scoring(models: &[Model], documents: &[Vec<u8>]) -> Result<Duration, Failure> {
    let (scorer, directions) = (Scorer::new()?, Directions::draw(&Seed([1; 32]), &ARCHITECTURE));
    let start = Instant::now();
    for (model, document) in models.iter().zip(documents) {
        scorer.score(model, document, &directions)?;
    }
    Ok(start.elapsed() / models.len().min(documents.len()) as u32)
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
    for (number, model) in models.iter().take(MODELS).enumerate() {
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
    scorings_to_the_first: usize,
    ranking: Duration,
    hits: usize,
    found: usize,
    documents_hit: usize,
    documents_found: usize,
}

fn id(number: usize) -> ModelId {
    ModelId(domain_hash("recall model", &[&number.to_le_bytes()]))
}

/// Documents one after the other against an epoch's targets.
fn count(
    rows: &[Row],
    seen: &[Impression],
    places: &[Embedding],
    hits: f64,
    chance_min: f64,
    epoch: u64,
) -> Counts {
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
    for (row, seen) in rows.iter().zip(seen) {
        let hit = |view: &TargetView| {
            let (embedding, _) = &row[winner(row, &view.target.models)];
            i64::from(embedding.dot(&view.embedding)) >= threshold_q30
        };
        let all = views.iter().filter(|view| hit(view)).count();
        let mut scored = BTreeSet::new();
        let (mut found, mut to_the_first) = (0, None);
        let start = Instant::now();
        let candidates = scout.candidates(seen, &views, chance_min);
        counts.ranking += start.elapsed();
        for candidate in candidates {
            let view = views.iter().find(|view| view.target.id == candidate.target);
            let Some(view) = view else { continue };
            scored.extend(&view.target.models);
            if hit(view) {
                found += 1;
                to_the_first.get_or_insert(scored.len());
            }
        }
        for model in &scored {
            let (embedding, loss_nano) = &row[numbers[*model]];
            scout.learn(seen, **model, &Impression::new(embedding, *loss_nano));
        }
        counts.scorings_all += everyone.len();
        counts.scorings += scored.len() + 1;
        counts.scorings_to_the_first += to_the_first.unwrap_or(scored.len()) + 1;
        counts.hits += all;
        counts.found += found;
        counts.documents_hit += usize::from(all > 0);
        counts.documents_found += usize::from(found > 0);
    }
    counts
}
