//! What exact scoring finds of every model on every document of a region, kept in the folder.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use soma_data::Document;
use soma_model::{Batch, Directions, Model, Scorer};
use soma_types::{Embedding, Seed};

use crate::{
    Failure,
    cast::{ARCHITECTURE, Entrant},
};

/// A model on a document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scored {
    pub loss_nano: u64,
    pub cross_entropy_nano: u64,
    pub embedding: Embedding,
}

/// Scores from the folder, or made now: one for each of `documents`, which `set` names.
pub fn scores(
    folder: &Path,
    entrant: &Entrant,
    set: &str,
    documents: &[Document],
) -> Result<Vec<Scored>, Failure> {
    let path = folder.join(format!("{}-on-{set}.json", entrant.name));
    if let Ok(bytes) = fs::read(&path) {
        return Ok(serde_json::from_slice(&bytes)?);
    }
    let model = Model::from_bytes(&entrant.weights, &ARCHITECTURE)?;
    let directions = Directions::draw(&Seed([20; 32]), &ARCHITECTURE);
    let texts: Vec<&[u8]> = documents.iter().map(|document| &document.data[..]).collect();
    let mut batch = Batch::new(Scorer::new()?, &texts, &directions)?;
    batch.add(&model, &|_| std::ops::ControlFlow::Continue(()))?;
    let contests = batch.finish()?;
    let scored: Vec<Scored> = contests
        .into_iter()
        .map(|contest| {
            let contest = contest?;
            let score = contest.winning();
            Ok(Scored {
                loss_nano: score.loss_nano(),
                cross_entropy_nano: score.cross_entropy_nano(),
                embedding: score.embedding().clone(),
            })
        })
        .collect::<Result<_, Failure>>()?;
    soma_files::replace(&path, &serde_json::to_vec(&scored)?)?;
    Ok(scored)
}
