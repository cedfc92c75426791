//! Tries that take several blocks.

use soma_types::{
    Salt, SubmissionId, TransactionKind as Kind,
    receipt::{Created, Outcome},
};

use super::{Driver, Try};
use crate::{
    testing::{Find, SOMA, audit_kinds, verdict},
    view,
};

impl Driver {
    /// Validators commit to findings on a winner.
    pub(super) fn audit(&mut self, winner: SubmissionId, findings: [Option<(u8, u8)>; 4]) {
        for (finding, who) in findings.into_iter().zip(0..) {
            let Some((number, transcript)) = finding else {
                continue;
            };
            let (commit, reveal) = audit_kinds(who, winner, verdict(number), transcript);
            if self.world.balance(who) > SOMA && self.world.one(who, commit).applied() {
                self.audits.push((self.world.epoch(), who, reveal));
            }
        }
    }

    /// A winner of this epoch is challenged, audited in the next, and the verdicts are revealed.
    pub(super) fn contest(&mut self, who: u8, pick: u8, findings: [Option<(u8, u8)>; 4]) {
        let now = view::epoch(&mut self.world.chain.state).unwrap().unwrap();
        let index = u64::from(pick) % now.hits.max(1);
        let winner = view::winner_at(&mut self.world.chain.state, now.epoch, index).unwrap();
        let Some(winner) = winner.filter(|_| self.world.balance(who) > SOMA) else {
            return;
        };
        self.world
            .one(who, Kind::ChallengeSubmission { submission: winner });
        self.world.until_epoch(now.epoch.0 + 1);
        self.world.skip(self.world.genesis.params.challenge_blocks());
        self.audit(winner, findings);
        self.run(&Try::RevealAll);
    }

    /// Two submit to one target, and reveal in either order.
    pub(super) fn race(&mut self, first: u8, second: u8, target: u8, data: u8, same: bool, late_first: bool) {
        let targets = self.world.open_targets();
        if targets.is_empty() || [first, second].iter().any(|who| self.world.balance(*who) < SOMA) {
            return;
        }
        let target = &targets[target as usize % targets.len()];
        let mut finds = [
            self.world.find(first, target, data, 0),
            self.world.find(second, target, data, 0),
        ];
        for (find, data) in finds
            .iter_mut()
            .zip([data, if same { data } else { data.wrapping_add(1) }])
        {
            find.reveal.data_hash = self.content(data);
        }
        finds[1].salt = Salt([data; 32]);
        let mut steps = Vec::new();
        for find in &finds {
            let receipt = self.world.one(find.who, find.commit());
            if let Outcome::Applied {
                created: Some(Created::Submission(id)),
            } = receipt.outcome
            {
                steps.push((find.who, find.reveal(id)));
            }
        }
        if late_first {
            steps.reverse();
        }
        for (who, reveal) in steps {
            self.world.one(who, reveal);
        }
    }

    /// Many commit in one block, and reveal in the next two in another order.
    pub(super) fn storm(&mut self, picks: &[(u8, u8, u8)], order: u64) {
        let targets = self.world.open_targets();
        if targets.is_empty() || picks.iter().any(|(who, _, _)| self.world.balance(*who) < SOMA) {
            return;
        }
        let finds: Vec<Find> = picks
            .iter()
            .map(|(who, target, data)| {
                let target = &targets[*target as usize % targets.len()];
                let mut find = self.world.find(*who, target, *data, 0);
                find.reveal.data_hash = self.content(data % 3);
                find
            })
            .collect();
        let receipts = self
            .world
            .block(finds.iter().map(|find| (find.who, find.commit())).collect());
        let mut reveals: Vec<(u64, u8, Kind)> = Vec::new();
        for (index, (find, receipt)) in finds.iter().zip(&receipts).enumerate() {
            if let Outcome::Applied {
                created: Some(Created::Submission(id)),
            } = receipt.outcome
            {
                let place = order.rotate_left(8 * index as u32) & 0xff;
                reveals.push((place, find.who, find.reveal(id)));
            }
        }
        reveals.sort_by_key(|(place, _, _)| *place);
        let later = reveals.split_off(reveals.len() / 2);
        for half in [reveals, later] {
            self.world
                .block(half.into_iter().map(|(_, who, reveal)| (who, reveal)).collect());
        }
    }
}
