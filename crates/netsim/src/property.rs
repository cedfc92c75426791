//! What must hold, whatever goes wrong.

use std::collections::BTreeMap;

use serde::Serialize;
use soma_node::consensus::Digest;
use soma_types::amount::MAX_SUPPLY;

use crate::findings::{Findings, Stored};

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Which one.
    pub property: &'static str,
    /// How it failed.
    pub detail: String,
}

/// A property: nothing, or how it does not hold.
type Check = fn(&Findings) -> Result<(), String>;

/// All of them, with their names.
pub const PROPERTIES: [(&str, Check); 8] = [
    ("one block at a height", one_block),
    ("one state, as each storage holds it", one_state),
    ("supply", supply),
    ("every payment once", payments),
    ("nobody honest is slashed", slashed),
    ("nobody honest is shut out", shut_out),
    ("nobody stops for no reason", stops),
    ("progress after healing", progress),
];

/// Those that do not hold.
#[must_use]
pub fn broken(findings: &Findings) -> Vec<Broken> {
    let checked = PROPERTIES.iter().filter_map(|(property, check)| {
        let detail = check(findings).err()?;
        Some(Broken { property, detail })
    });
    checked.collect()
}

/// Honest validators' storage as far as it could be read. What could not is found by [`one_state`].
fn stored(findings: &Findings) -> impl Iterator<Item = (usize, &Stored)> {
    let read = findings.stored.iter();
    read.filter_map(|(index, stored)| Some((*index, stored.as_ref().ok()?)))
}

fn one_block(findings: &Findings) -> Result<(), String> {
    if let Some((validator, height)) = findings.replaced.iter().find(|(one, _)| findings.is_honest(*one)) {
        return Err(format!(
            "validator {validator} finalized two blocks at height {height}"
        ));
    }
    let mut known: BTreeMap<u64, (usize, Digest)> = BTreeMap::new();
    let told = findings.told.iter().enumerate();
    let told = told
        .filter(|(validator, _)| findings.is_honest(*validator))
        .flat_map(|(validator, told)| {
            told.iter()
                .map(move |(height, digest)| (validator, *height, *digest))
        });
    let kept = stored(findings).flat_map(|(validator, stored)| {
        let blocks = stored.blocks.iter();
        blocks.map(move |(height, block)| (validator, *height, block.digest))
    });
    for (validator, height, digest) in told.chain(kept) {
        let (first, other) = *known.entry(height).or_insert((validator, digest));
        if other != digest {
            return Err(format!(
                "at height {height} validator {first} has block {other} and validator {validator} has {digest}"
            ));
        }
    }
    Ok(())
}

fn one_state(findings: &Findings) -> Result<(), String> {
    for (validator, stored) in &findings.stored {
        let stored = stored
            .as_ref()
            .map_err(|reason| format!("validator {validator} cannot be read: {reason}"))?;
        let last_told = findings.told[*validator]
            .last_key_value()
            .map_or(0, |(height, _)| *height);
        if stored.height < last_told {
            return Err(format!(
                "validator {validator} said that block {last_told} is final, and its state is of block {}",
                stored.height
            ));
        }
        let mut parent = None;
        for (height, block) in &stored.blocks {
            if parent.is_some_and(|parent| parent != block.parent) {
                return Err(format!(
                    "block {height} of validator {validator} has another parent"
                ));
            }
            parent = Some(block.digest);
        }
        let header = stored.blocks.get(&stored.height).map(|block| block.state_root);
        if header.is_none_or(|root| root.as_ref() != stored.state_root.as_slice()) {
            return Err(format!(
                "the state of validator {validator} after block {} is not the one in the block",
                stored.height
            ));
        }
    }
    Ok(())
}

fn supply(findings: &Findings) -> Result<(), String> {
    for (validator, stored) in stored(findings) {
        if stored.supply != Some(MAX_SUPPLY) {
            return Err(format!(
                "validator {validator} counts {:?} shannons, and there are {}",
                stored.supply.map(|supply| supply.0),
                MAX_SUPPLY.0
            ));
        }
    }
    Ok(())
}

fn payments(findings: &Findings) -> Result<(), String> {
    for (validator, stored) in stored(findings) {
        let mut included: BTreeMap<_, u32> = BTreeMap::new();
        for block in stored.blocks.values() {
            for hash in &block.transactions {
                *included.entry(*hash).or_default() += 1;
            }
        }
        for hash in &findings.payments {
            match included.remove(hash) {
                Some(1) => {}
                Some(times) => return Err(format!("validator {validator} has payment {hash} {times} times")),
                None => return Err(format!("validator {validator} has no payment {hash}")),
            }
        }
        if let Some((hash, _)) = included.first_key_value() {
            return Err(format!(
                "validator {validator} has payment {hash}, which nobody wanted"
            ));
        }
        let accounts = stored.accounts.iter().zip(&findings.expected).enumerate();
        for (sender, (has, expected)) in accounts {
            if has != expected {
                return Err(format!(
                    "at validator {validator} sender {sender} has nonce {} and {} shannons, and should have \
                     nonce {} and {} shannons",
                    has.nonce, has.balance, expected.nonce, expected.balance
                ));
            }
        }
    }
    Ok(())
}

fn slashed(findings: &Findings) -> Result<(), String> {
    for (validator, stored) in stored(findings) {
        if let Some(one) = stored.slashed.iter().find(|one| findings.is_honest(**one)) {
            return Err(format!(
                "by the state of validator {validator}, honest validator {one} is slashed"
            ));
        }
    }
    Ok(())
}

fn shut_out(findings: &Findings) -> Result<(), String> {
    let mut blocked = findings.blocked.iter();
    match blocked.find(|(one, other)| findings.is_honest(*one) && findings.is_honest(*other)) {
        Some((one, other)) => Err(format!("validator {one} has blocked honest validator {other}")),
        None => Ok(()),
    }
}

fn stops(findings: &Findings) -> Result<(), String> {
    match findings.ended.iter().find(|(one, _)| findings.is_honest(*one)) {
        Some((validator, reason)) => Err(format!("validator {validator} stopped: {reason}")),
        None => Ok(()),
    }
}

fn progress(findings: &Findings) -> Result<(), String> {
    match &findings.recovery {
        Some(Ok(_)) => Ok(()),
        Some(Err(reason)) => Err(reason.clone()),
        None => Err("the simulation did not come to its end".into()),
    }
}

#[cfg(test)]
mod tests;
