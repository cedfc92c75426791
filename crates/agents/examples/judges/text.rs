//! Domains of text, and in each what is trained on, what the owner has to itself, and what the others bring.

use std::path::Path;

use soma_data::{Dataset, Document, load_domains};
use soma_train::split::split;

use crate::Failure;

/// Bytes of a document: four full chunks of a nano model.
const DOCUMENT_BYTES: usize = 1024;
/// Documents of a domain, at most; every other one is the owner's.
const DOCUMENTS: usize = 24;

/// A domain, which is what the economy calls a region.
pub struct Region {
    pub name: String,
    /// What everyone may train on.
    pub train: Dataset,
    /// The owner's documents, then the others', as many of each.
    pub documents: Vec<Document>,
}

impl Region {
    /// How many documents are the owner's.
    pub fn owned(&self) -> usize {
        self.documents.len() / 2
    }

    pub fn owned_text(&self) -> Result<Dataset, Failure> {
        Ok(Dataset::new(&self.name, self.documents[..self.owned()].to_vec())?)
    }
}

/// The domains of a folder.
pub fn regions(folder: &Path) -> Result<Vec<Region>, Failure> {
    let mut regions = Vec::new();
    for domain in load_domains(folder)? {
        let parts = split(&domain.name, &domain.dataset)?;
        let long = |document: &&Document| document.data.len() >= DOCUMENT_BYTES;
        let mut held_out: Vec<Document> = parts.held_out.documents().iter().filter(long).cloned().collect();
        held_out.truncate(held_out.len().min(DOCUMENTS) / 2 * 2);
        for document in &mut held_out {
            document.data.truncate(DOCUMENT_BYTES);
        }
        let every_other = |from: usize| held_out.iter().skip(from).step_by(2).cloned();
        regions.push(Region {
            name: domain.name,
            train: parts.train,
            documents: every_other(0).chain(every_other(1)).collect(),
        });
    }
    Ok(regions)
}
