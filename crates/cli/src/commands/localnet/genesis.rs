//! The weights that a localnet begins with: a modest generalist, so that all models there can descend from
//! one ancestor and share its space (docs/protocol.md, section 11).
//!
//! They are trained when a network is made, for a few seconds and to the same bits every time, on the sample
//! corpora. Architectures that would take longer get what such a training starts from, and those of V1's
//! size, whose file alone is gigabytes, none.

use std::sync::atomic::{AtomicBool, Ordering};

use soma_client::NodeClient;
use soma_data::{Dataset, load_domains};
use soma_train::{TrainConfig, train};
use soma_types::{Architecture, ContentHash, genesis::GenesisWeights};

use crate::{
    corpora,
    error::{CliError, CliResult},
    printer::Printer,
};

/// Updates that they are trained for: about two seconds of two cores.
const STEPS: u64 = 100;
/// Most weights of a model that is trained.
const TRAINED_MAX: u64 = 2_000_000;
/// Most weights of a model that has any.
const MADE_MAX: u64 = 20_000_000;

/// The weights of a network of this architecture, if it has any. Setting `cancel` gives them up.
///
/// # Errors
/// When this machine's disk has no room for the corpora, or it was given up.
pub fn weights(
    printer: Printer,
    architecture: Architecture,
    cancel: &AtomicBool,
) -> CliResult<Option<Vec<u8>>> {
    if architecture.parameters() > MADE_MAX {
        printer.note(
            "Models of this size begin without genesis weights: share an ancestor's with `soma train --from`",
        );
        return Ok(None);
    }
    let folder = tempfile::tempdir()?;
    corpora::unpack(folder.path())?;
    let domains = load_domains(folder.path())?;
    let text = Dataset::joined(domains.iter().map(|domain| &domain.dataset))
        .ok_or_else(|| CliError::new("the sample corpora have no text"))?;
    let steps = if architecture.parameters() > TRAINED_MAX {
        0
    } else {
        STEPS
    };
    printer.note("Making the weights that models here may descend from; the API answers after that, in less than a minute");
    let trained = train(
        &TrainConfig::new(architecture, steps),
        &text,
        None,
        |_| (),
        cancel,
    )?;
    if cancel.load(Ordering::Relaxed) {
        return Err(CliError::interrupted());
    }
    Ok(Some(trained.weights))
}

/// How a genesis names them.
///
/// # Errors
/// Never in practice: the URL of a content hash is a URL.
pub fn named(weights: &[u8]) -> CliResult<GenesisWeights> {
    let hash = ContentHash::of(weights);
    Ok(GenesisWeights {
        url: format!("soma:{hash}").parse()?,
        size_bytes: weights.len() as u64,
        hash,
    })
}

/// Has the node keep them, as every node of the network does from then on. A network that was stopped before
/// it had them gets them now.
///
/// # Errors
/// When the node does not answer.
pub async fn host(
    printer: Printer,
    node: &NodeClient,
    architecture: Architecture,
    made: Option<Vec<u8>>,
) -> CliResult {
    if node.genesis().await?.weights.is_none() || node.fetch_genesis().await.is_ok() {
        return Ok(());
    }
    let weights = match made {
        Some(weights) => Some(weights),
        None => {
            let make = move || weights(printer, architecture, &AtomicBool::new(false));
            tokio::task::spawn_blocking(make).await??
        }
    };
    // What does not have the name that the genesis gives it helps nobody; fetching it says so.
    if let Some(weights) = weights {
        node.put_blob(&weights.into()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use soma_model::Model;

    use super::*;
    use crate::printer::Format;

    #[test]
    fn small_networks_begin_with_weights_and_large_ones_without() {
        let (printer, cancel) = (Printer::new(Format::Json), AtomicBool::new(false));
        let small = Architecture {
            embedding_dim: 16,
            heads: 2,
            layers: 1,
            ffn_dim: 32,
            max_seq_len: 32,
            ..Architecture::NANO
        };
        let made = weights(printer, small, &cancel).unwrap().unwrap();
        Model::from_bytes(&made, &small).unwrap();
        assert_eq!(
            weights(printer, small, &cancel).unwrap().unwrap(),
            made,
            "to the same bits"
        );
        let medium = Architecture {
            embedding_dim: 256,
            heads: 4,
            layers: 4,
            ffn_dim: 1024,
            max_seq_len: 32,
            ..Architecture::NANO
        };
        assert!((TRAINED_MAX..MADE_MAX).contains(&medium.parameters()));
        assert!(weights(printer, medium, &cancel).unwrap().is_some());
        assert!(weights(printer, Architecture::V1, &cancel).unwrap().is_none());
        cancel.store(true, Ordering::Relaxed);
        assert!(weights(printer, small, &cancel).is_err());
    }
}
