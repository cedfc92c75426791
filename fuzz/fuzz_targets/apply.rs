//! Transactions of strangers on a network in the middle of its life: nothing panics, and money is neither
//! made nor lost, in any order, up to the end of all that they start.
//!
//! Input: for each transaction an account, what comes before and after it, a length, and its kind's
//! encoding. Two-step kinds can ask for their first step, which only a hash could name.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use soma_fuzz::{ACCOUNTS, VALIDATORS, World, keys};
use soma_types::{SignedTransaction, TransactionKind as Kind};

static POPULATED: LazyLock<World> = LazyLock::new(World::populated);

/// First does the step that this kind is the second of.
const WITH_FIRST_STEP: u8 = 1;
/// The first block of the next epoch comes first.
const NEXT_EPOCH: u8 = 2;
/// Some blocks come first.
const BLOCKS: u8 = 4;
/// Waits for the next transaction and shares its block.
const SAME_BLOCK: u8 = 8;

fuzz_target!(|bytes: &[u8]| {
    let mut world = POPULATED.clone();
    let mut rest = bytes;
    let mut waiting = Vec::new();
    while let Some(([who, how, low, high], after)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (encoded, after) = after.split_at(length);
        rest = after;
        if let Ok(signed) = SignedTransaction::decode(encoded) {
            world.block(&[soma_types::VerifiedTransaction::assume_verified(signed)]);
        }
        let Ok(mut kind) = borsh::from_slice::<Kind>(encoded) else {
            continue;
        };
        if how & NEXT_EPOCH > 0 {
            let next = world.epoch() + 1;
            world.until_epoch(next);
        }
        if how & BLOCKS > 0 {
            (0..1 + how / 16).for_each(|_| {
                world.block(&[]);
            });
        }
        world.resolve(&mut kind);
        let who = who % ACCOUNTS;
        if how & WITH_FIRST_STEP > 0 {
            first_step(&mut world, who, &mut kind);
        }
        waiting.push(world.transaction(who, kind));
        if how & SAME_BLOCK == 0 {
            world.block(&std::mem::take(&mut waiting));
        }
    }
    world.block(&waiting);
    world.finish();
});

fn first_step(world: &mut World, who: u8, kind: &mut Kind) {
    let sender = keys(who).address();
    match kind {
        Kind::RevealSubmission {
            submission,
            salt,
            reveal,
        } => {
            let targets = world.targets();
            if !targets.is_empty() {
                let target = targets[salt.0[0] as usize % targets.len()];
                let commitment = reveal.commitment(&sender, salt);
                let commit = world.transaction(who, Kind::CommitSubmission { target, commitment });
                world.block(&[commit]);
                *submission = world.submissions[world.submissions.len() - 1];
            }
        }
        Kind::RevealAudit {
            submission,
            salt,
            verdict,
            transcript,
        } => {
            // All validators find the same: auditors, and whoever hears what they accuse.
            let commits: Vec<_> = (0..VALIDATORS)
                .map(|seat| {
                    let auditor = keys(seat).address();
                    let commit = Kind::CommitAudit {
                        submission: *submission,
                        commitment: verdict.commitment(&auditor, submission, transcript, salt),
                    };
                    world.transaction(seat, commit)
                })
                .collect();
            world.block(&commits);
            world.until_reveals();
            let reveal = Kind::RevealAudit {
                submission: *submission,
                salt: *salt,
                verdict: *verdict,
                transcript: *transcript,
            };
            let reveals: Vec<_> = (0..VALIDATORS)
                .filter(|seat| *seat != who)
                .map(|seat| world.transaction(seat, reveal.clone()))
                .collect();
            world.block(&reveals);
        }
        _ => {}
    }
}
