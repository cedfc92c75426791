//! Who competes: generalists and three specialists for each region, all of one ancestor, and the cheats.

use std::{
    fs,
    io::Cursor,
    iter,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use soma_agents::embedding::genesis;
use soma_data::Dataset;
use soma_model::{
    Model, layout,
    merge::{Source, merge},
    safetensors,
    tensor::Tensor,
};
use soma_train::{TrainConfig, train};
use soma_types::{Architecture, Embedding};

use crate::{Failure, codec, text::Region};

/// What all of them are.
pub const ARCHITECTURE: Architecture = Architecture::NANO;
/// Updates of the ancestor, and of each generalist from there.
const ANCESTOR_STEPS: u64 = 1000;
const GENERALISTS: [u64; 2] = [40, 60];
/// Updates of a region's specialists, the best first.
pub const SPECIALISTS: [u64; 3] = [240, 180, 120];
/// Updates of the only specialist of a region that is not studied.
const NEIGHBOUR_STEPS: [u64; 1] = [120];
/// The specialist whose owner cheats.
const BASE: usize = 1;
const LEARNING_RATE: f64 = 1.5e-3;
/// Of the first regions every other one is studied, so many; the others' models are neighbours.
const STUDIED: usize = 4;
/// By how much each weight of a copy differs, at most.
const COPY_NOISE: f32 = 2e-3;

/// A model and where it is registered.
#[derive(Clone)]
pub struct Entrant {
    pub name: String,
    pub weights: Vec<u8>,
    pub place: Embedding,
}

/// How an owner makes its model know its documents.
pub const KINDS: [&str; 3] = ["100 steps", "half of the way", "200 steps, half old"];

/// Those who compete in one region, beside everyone else.
pub struct Local {
    /// By skill, the best first.
    pub specialists: Vec<Entrant>,
    /// Where the region is studied.
    pub cheats: Option<Cheats>,
}

/// Those who cheat in a region.
pub struct Cheats {
    /// What the owner of the one in the middle replaces it with, by [`KINDS`].
    pub owners: Vec<Entrant>,
    /// A copy of the best with other bits.
    pub copy: Entrant,
    /// Weights that know a private table and nothing else.
    pub codec: Entrant,
}

/// Everyone who takes part.
pub struct Cast {
    /// The ancestor first: the reference.
    pub generalists: Vec<Entrant>,
    pub locals: Vec<Local>,
}

/// Trains everyone whose weights are not in the folder.
pub fn cast(folder: &Path, regions: &[Region]) -> Result<Cast, Failure> {
    let all = Dataset::joined(regions.iter().map(|region| &region.train)).ok_or("no text")?;
    let studio = Studio { folder };
    let ancestor = studio.trained("ancestor", &all, ANCESTOR_STEPS, 0, None)?;
    let mut generalists = vec![studio.placed("ancestor", ancestor.clone(), &all)?];
    for (number, steps) in GENERALISTS.into_iter().enumerate() {
        let name = format!("generalist-{number}");
        let weights = studio.trained(&name, &all, steps, number as u64 + 1, Some(&ancestor))?;
        generalists.push(studio.placed(&name, weights, &all)?);
    }
    let locals = regions
        .iter()
        .enumerate()
        .map(|(number, region)| {
            let is_studied = number % 2 == 0 && number / 2 < STUDIED;
            let steps: &[u64] = if is_studied {
                &SPECIALISTS
            } else {
                &NEIGHBOUR_STEPS
            };
            let specialists = studio.specialists(region, &ancestor, steps)?;
            let cheats = is_studied.then(|| studio.cheats(region, &specialists));
            Ok(Local {
                cheats: cheats.transpose()?,
                specialists,
            })
        })
        .collect::<Result<_, Failure>>()?;
    Ok(Cast { generalists, locals })
}

struct Studio<'a> {
    folder: &'a Path,
}

impl Studio<'_> {
    fn specialists(&self, region: &Region, ancestor: &[u8], steps: &[u64]) -> Result<Vec<Entrant>, Failure> {
        let train = |(rank, steps): (usize, u64)| {
            let name = format!("{}-{rank}", region.name);
            let weights = self.trained(&name, &region.train, steps, rank as u64, Some(ancestor))?;
            self.placed(&name, weights, &region.train)
        };
        steps.iter().copied().enumerate().map(train).collect()
    }

    fn cheats(&self, region: &Region, specialists: &[Entrant]) -> Result<Cheats, Failure> {
        let named = |what: &str| format!("{}-{what}", region.name);
        let (best, base) = (&specialists[0], &specialists[BASE]);
        let owned = region.owned_text()?;
        let careless = self.trained(&named("owner-0"), &owned, 100, 9, Some(&base.weights))?;
        let halfway = averaged(&base.weights, &careless)?;
        let times = region.train.size_bytes().div_ceil(owned.size_bytes()) as usize;
        let mixed = Dataset::joined(iter::once(&region.train).chain(iter::repeat_n(&owned, times)));
        let mixed = mixed.ok_or("no text")?;
        let careful = self.trained(&named("owner-2"), &mixed, 200, 9, Some(&base.weights))?;
        let owners = [careless, halfway, careful].into_iter().enumerate();
        let at = |name: String, weights: Vec<u8>, place: &Embedding| Entrant {
            name,
            weights,
            place: place.clone(),
        };
        Ok(Cheats {
            owners: owners
                .map(|(kind, weights)| at(named(&format!("owner-{kind}")), weights, &base.place))
                .collect(),
            copy: at(named("copy"), copied(&best.weights)?, &best.place),
            codec: at(named("codec"), codec::weights()?, &base.place),
        })
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{name}.{ending}"))
    }

    /// Weights from the folder, or trained now.
    fn trained(
        &self,
        name: &str,
        text: &Dataset,
        steps: u64,
        seed: u64,
        init: Option<&[u8]>,
    ) -> Result<Vec<u8>, Failure> {
        let path = self.path(name, "safetensors");
        if let Ok(bytes) = fs::read(&path) {
            return Ok(bytes);
        }
        let mut config = TrainConfig::new(ARCHITECTURE, steps);
        config.seed = seed;
        // A run that is stopped goes on.
        config.checkpoint_dir = Some(self.path(name, "checkpoint"));
        config.checkpoint_every = 50;
        if init.is_some() {
            config.learning_rate = LEARNING_RATE;
        }
        let trained = train(&config, text, init, |_| {}, &AtomicBool::new(false))?;
        let bits = trained.last.map_or(0.0, |last| last.bits_per_byte);
        eprintln!("{name}: {steps} steps, {bits:.3} bits a byte at the end");
        soma_files::replace(&path, &trained.weights)?;
        fs::remove_dir_all(self.path(name, "checkpoint"))?;
        Ok(trained.weights)
    }

    /// A model registered where its text is.
    fn placed(&self, name: &str, weights: Vec<u8>, text: &Dataset) -> Result<Entrant, Failure> {
        let path = self.path(name, "place");
        let place = match fs::read_to_string(&path) {
            Ok(place) => place.parse()?,
            Err(_) => {
                let place = genesis(&Model::from_bytes(&weights, &ARCHITECTURE)?, text, 0)?;
                soma_files::replace(&path, place.to_base64().as_bytes())?;
                place
            }
        };
        let name = name.to_owned();
        Ok(Entrant { name, weights, place })
    }
}

/// Half of the way from one to the other.
fn averaged(from: &[u8], to: &[u8]) -> Result<Vec<u8>, Failure> {
    let source = |bytes: &[u8]| Source {
        size_bytes: bytes.len() as u64,
        file: Cursor::new(bytes.to_vec()),
    };
    let mut out = Vec::new();
    merge(&ARCHITECTURE, source(from), source(to), 0.5, &mut out)?;
    Ok(out)
}

/// The same weights, each a little off.
fn copied(weights: &[u8]) -> Result<Vec<u8>, Failure> {
    let specs = layout(&ARCHITECTURE);
    let mut stream = blake3::Hasher::new_derive_key("soma 2026 study of judges: a copy").finalize_xof();
    let tensors = safetensors::read(weights, weights.len() as u64, &specs)?;
    let mut values: Vec<Vec<f32>> = tensors.into_iter().map(Tensor::into_f32).collect();
    for value in values.iter_mut().flatten() {
        let mut two = [0; 2];
        stream.fill(&mut two);
        *value *= 1.0 + COPY_NOISE * f32::from(i16::from_le_bytes(two)) / 32768.0;
    }
    let tensors: Vec<_> = specs.into_iter().zip(values.iter().map(Vec::as_slice)).collect();
    Ok(safetensors::write(&tensors)?)
}
