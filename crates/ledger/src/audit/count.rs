//! What votes come to.

use std::collections::BTreeMap;

use soma_types::objects::{AuditFinding, Seat, VoteCount};

use super::draw::stake;

/// Groups the voters by what they found. `findings` has one entry for each of `voters`.
pub(crate) fn count(voters: &[Seat], findings: &[Option<AuditFinding>]) -> VoteCount {
    let mut groups: BTreeMap<AuditFinding, u128> = BTreeMap::new();
    for (seat, finding) in voters.iter().zip(findings) {
        if let Some(finding) = finding {
            *groups.entry(*finding).or_default() += u128::from(seat.stake.0);
        }
    }
    let total = stake(voters);
    // Of equally large groups the first in order: an arbitrary but fixed choice.
    let largest = groups
        .iter()
        .max_by_key(|(finding, stake)| (**stake, std::cmp::Reverse(**finding)));
    let favoured = largest.map(|(finding, _)| *finding);
    let majority = largest
        .filter(|(_, stake)| 2 * **stake > total)
        .map(|(finding, _)| *finding);
    let mut counted = VoteCount {
        majority,
        agreed: vec![],
        dissented: vec![],
        silent: vec![],
    };
    for (seat, finding) in voters.iter().zip(findings) {
        let list = match finding {
            None => &mut counted.silent,
            Some(_) if *finding == favoured => &mut counted.agreed,
            Some(_) => &mut counted.dissented,
        };
        list.push(seat.validator);
    }
    counted
}

#[cfg(test)]
mod tests {
    use soma_types::{Transcript, transaction::Verdict};

    use super::*;
    use crate::audit::draw::tests::seats;

    fn finding(verdict: Verdict, transcript: u8) -> Option<AuditFinding> {
        Some(AuditFinding {
            verdict,
            transcript: Transcript([transcript; 32]),
        })
    }

    #[test]
    fn more_than_half_of_the_stake_decides() {
        let auditors = seats(&[10, 10, 10, 10]);
        let (honest, lazy) = (finding(Verdict::FalseScore, 1), finding(Verdict::Valid, 2));
        let outcome = count(&auditors, &[honest, honest, honest, lazy]);
        assert_eq!(outcome.majority, honest);
        assert_eq!(
            (
                outcome.agreed.len(),
                outcome.dissented.len(),
                outcome.silent.len()
            ),
            (3, 1, 0)
        );
        // Exactly half is no majority, and silence counts against one.
        assert_eq!(count(&auditors, &[honest, honest, lazy, lazy]).majority, None);
        assert_eq!(count(&auditors, &[honest, honest, None, None]).majority, None);
        // Stake decides, not heads.
        assert_eq!(
            count(&seats(&[10, 1, 1, 1]), &[lazy, honest, honest, honest]).majority,
            lazy
        );
        // Two who say the same but computed different things do not agree.
        let other = finding(Verdict::FalseScore, 9);
        assert_eq!(count(&auditors, &[honest, honest, other, other]).majority, None);
        assert_eq!(count(&auditors, &[None; 4]).silent.len(), 4);
    }
}
