//! Every property can fail, and says by whom.

use std::collections::BTreeSet;

use soma_types::{Shannons, TransactionHash};

use super::*;
use crate::{findings::Kept, load::Expected};

fn digest(byte: u8) -> Digest {
    Digest::from([byte; 32])
}

/// What three honest validators and one that is not, number 3, come to after two blocks with one payment.
fn sound() -> Findings {
    let payment = TransactionHash([9; 32]);
    let block = |height: u8, transactions: Vec<TransactionHash>| Kept {
        digest: digest(height),
        parent: digest(height - 1),
        state_root: digest(100 + height),
        timestamp_ms: 250 * u64::from(height),
        bytes: 0,
        transactions,
    };
    let account = Expected { nonce: 1, balance: 7 };
    let stored = Stored {
        height: 2,
        state_root: [102; 32],
        blocks: [(1, block(1, Vec::new())), (2, block(2, vec![payment]))].into(),
        supply: Some(MAX_SUPPLY),
        accounts: vec![account],
        slashed: BTreeSet::new(),
    };
    let told: BTreeMap<u64, Digest> = [(1, digest(1)), (2, digest(2))].into();
    Findings {
        byzantine: [3].into(),
        told: vec![told; 4],
        stored: (0..3).map(|one| (one, Ok(stored.clone()))).collect(),
        payments: vec![payment],
        expected: vec![account],
        recovery: Some(Ok(0)),
        ..Findings::default()
    }
}

fn of(findings: &mut Findings, validator: usize) -> &mut Stored {
    findings.stored.get_mut(&validator).unwrap().as_mut().unwrap()
}

/// Who changes the findings so, and in which words that is found.
#[track_caller]
fn found(change: impl FnOnce(&mut Findings), property: &str, words: &str) {
    let mut findings = sound();
    change(&mut findings);
    let broken = broken(&findings);
    assert!(
        broken
            .iter()
            .any(|one| one.property == property && one.detail.contains(words)),
        "{broken:?}"
    );
}

#[test]
fn what_is_sound_holds() {
    assert_eq!(broken(&sound()), []);
}

#[test]
fn two_blocks_at_a_height_are_found() {
    let property = "one block at a height";
    let told = |all: &mut Findings| {
        all.told[1].insert(2, digest(8));
    };
    found(told, property, "at height 2 validator 0");
    found(
        |all| all.replaced.push((1, 2)),
        property,
        "validator 1 finalized two blocks at height 2",
    );
    found(
        |all| of(all, 2).blocks.get_mut(&1).unwrap().digest = digest(8),
        property,
        "at height 1",
    );
    // Who is not honest may say anything.
    let mut findings = sound();
    findings.told[3].insert(2, digest(8));
    findings.replaced.push((3, 2));
    assert_eq!(broken(&findings), []);
}

#[test]
fn another_state_is_found() {
    let property = "one state, as each storage holds it";
    found(
        |all| of(all, 1).state_root = [1; 32],
        property,
        "the state of validator 1 after block 2",
    );
    found(
        |all| of(all, 1).blocks.get_mut(&2).unwrap().parent = digest(8),
        property,
        "has another parent",
    );
    let told = |all: &mut Findings| {
        all.told[0].insert(3, digest(3));
    };
    found(told, property, "validator 0 said that block 3");
    found(
        |all| drop(all.stored.insert(2, Err("torn".into()))),
        property,
        "validator 2 cannot be read: torn",
    );
}

#[test]
fn money_that_is_made_or_lost_is_found() {
    found(
        |all| of(all, 1).supply = Some(Shannons(1)),
        "supply",
        "validator 1 counts Some(1)",
    );
    let property = "every payment once";
    found(
        |all| of(all, 0).accounts[0].balance += 1,
        property,
        "8 shannons, and should have",
    );
    found(|all| of(all, 0).accounts[0].nonce = 0, property, "has nonce 0");
    let twice = |all: &mut Findings| {
        let block = of(all, 0).blocks.get_mut(&1).unwrap();
        block.transactions.push(TransactionHash([9; 32]));
    };
    found(twice, property, "2 times");
    found(
        |all| of(all, 0).blocks.get_mut(&2).unwrap().transactions.clear(),
        property,
        "has no payment",
    );
    let strange = |all: &mut Findings| {
        let block = of(all, 0).blocks.get_mut(&1).unwrap();
        block.transactions.push(TransactionHash([5; 32]));
    };
    found(strange, property, "which nobody wanted");
}

#[test]
fn harm_to_the_honest_is_found() {
    let slashed = |all: &mut Findings| {
        of(all, 0).slashed.insert(2);
    };
    found(slashed, "nobody honest is slashed", "validator 2 is slashed");
    found(
        |all| all.blocked.push((0, 1)),
        "nobody honest is shut out",
        "validator 0 has blocked",
    );
    found(
        |all| all.ended.push((1, "a bug".into())),
        "nobody stops for no reason",
        "validator 1 stopped: a bug",
    );
    let mut findings = sound();
    of(&mut findings, 0).slashed.insert(3);
    findings.blocked.extend([(0, 3), (3, 0)]);
    findings.ended.push((3, "anything".into()));
    assert_eq!(
        broken(&findings),
        [],
        "who is not honest may be slashed, blocked, and stop"
    );
}

#[test]
fn a_network_that_stands_is_found() {
    let property = "progress after healing";
    found(
        |all| all.recovery = Some(Err("it stands".into())),
        property,
        "it stands",
    );
    found(|all| all.recovery = None, property, "did not come to its end");
}
