//! How the whole grows with its parts (docs/bandwidth.md): 1, 2, 4, 8 and 16 experts against bits a byte.
//!
//! `cargo run --release -p soma-agents --example scaling -- FOLDER` trains an ancestor on the sample corpora,
//! and from it experts, each for as many steps on its share of the text: all of it for one expert, a quarter
//! of a corpus for each of sixteen. Beside them, one model is trained for as long as all of them together.
//! Weights are kept in FOLDER, so a second run goes on; `experts.svg` there is the plot.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use soma_data::{Dataset, load_domains};
use soma_model::{MixtureScore, Model, Scorer};
use soma_sim::chart::{Axis, Figure, Ink, Line, Panel, Stroke};
use soma_train::{
    TrainConfig,
    split::{Split, split},
    train,
};
use soma_types::Architecture;

type Failure = Box<dyn std::error::Error>;

const ARCHITECTURE: Architecture = Architecture::NANO;
const EXPERTS: [usize; 5] = [1, 2, 4, 8, 16];
/// Of each corpus, of which there are four.
const REGIONS: usize = 4;
/// Of the ancestor, and of each expert.
const STEPS: (u64, u64) = (300, 80);
/// Of each corpus, at most so much held-out text is measured.
const HELD_OUT_BYTES: usize = 16 << 10;

fn main() -> Result<(), Failure> {
    let folder = PathBuf::from(env::args().nth(1).ok_or("give a folder to keep weights in")?);
    fs::create_dir_all(&folder)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    let mut parts = Vec::new();
    for domain in load_domains(&root)? {
        parts.push(split(&domain.name, &domain.dataset)?);
    }
    let regions = regions(&parts);
    let all = joined(&regions)?;
    let ancestor = trained(&folder, "ancestor", &all, STEPS.0, None)?;

    let (mut whole, mut one) = (Vec::new(), Vec::new());
    println!("EXPERTS  BITS A BYTE  ONE MODEL, TRAINED AS LONG");
    for experts in EXPERTS {
        let mut models = Vec::new();
        for (number, share) in regions.chunks(regions.len() / experts).enumerate() {
            let name = format!("expert-{number}-of-{experts}");
            let weights = trained(&folder, &name, &joined(share)?, STEPS.1, Some(&ancestor))?;
            models.push(Model::from_bytes(&weights, &ARCHITECTURE)?);
        }
        let mixed = bits(&parts, &models)?;
        let steps = STEPS.1 * experts as u64;
        let weights = trained(&folder, &format!("one-of-{steps}"), &all, steps, Some(&ancestor))?;
        let alone = bits(&parts, &[Model::from_bytes(&weights, &ARCHITECTURE)?])?;
        println!("{experts:7}  {mixed:11.3}  {alone:26.3}");
        whole.push((experts as f64, mixed));
        one.push((experts as f64, alone));
    }
    let figure = Figure {
        name: "experts",
        title: "Experts of one size, each trained as long, against the text they predict together".into(),
        x: Axis::log("experts"),
        panels: vec![Panel {
            y: Axis::linear("bits a byte, held-out text"),
            lines: vec![
                Line::new("one, trained as long", Ink::Orange, one).stroke(Stroke::Dashed),
                Line::new("experts together", Ink::Blue, whole),
            ],
        }],
    };
    soma_files::replace(&folder.join("experts.svg"), figure.to_svg().as_bytes())?;
    Ok(())
}

/// The text to train on, cut into as many regions of each corpus.
fn regions(parts: &[Split]) -> Vec<Dataset> {
    let mut regions = Vec::new();
    for part in parts {
        let documents = part.train.documents();
        let shares = documents.chunks(documents.len().div_ceil(REGIONS));
        regions.extend(shares.filter_map(|share| Dataset::new("region", share.to_vec()).ok()));
    }
    regions
}

fn joined(regions: &[Dataset]) -> Result<Dataset, Failure> {
    Ok(Dataset::joined(regions).ok_or("no text")?)
}

/// Weights from the folder, or trained now.
fn trained(
    folder: &Path,
    name: &str,
    text: &Dataset,
    steps: u64,
    init: Option<&[u8]>,
) -> Result<Vec<u8>, Failure> {
    let path = folder.join(format!("{name}.safetensors"));
    if let Ok(bytes) = fs::read(&path) {
        return Ok(bytes);
    }
    let config = TrainConfig::new(ARCHITECTURE, steps);
    let trained = train(&config, text, init, |_| {}, &AtomicBool::new(false))?;
    soma_files::replace(&path, &trained.weights)?;
    Ok(trained.weights)
}

/// Bits a byte of held-out text by models of equal stake.
fn bits(parts: &[Split], models: &[Model]) -> Result<f64, Failure> {
    let scorer = Scorer::new()?;
    let experts: Vec<(&Model, u64)> = models.iter().map(|model| (model, 1)).collect();
    let mut total: Option<MixtureScore> = None;
    let held_out = parts.iter().flat_map(|part| {
        let mut left = HELD_OUT_BYTES;
        part.held_out.documents().iter().map_while(move |document| {
            let text = &document.data[..document.data.len().min(left)];
            left -= text.len();
            (!text.is_empty()).then_some(text)
        })
    });
    for text in held_out {
        let score = scorer.mixture(&experts, text)?;
        match &mut total {
            Some(total) => total.add(&score),
            None => total = Some(score),
        }
    }
    Ok(total.ok_or("no text is held out")?.mixture_bits_per_byte())
}
