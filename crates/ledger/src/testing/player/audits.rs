//! What a history tries with winners: votes, hearings, challenges.

use soma_types::{Epoch, SubmissionId, TransactionKind as Kind, transaction::Verdict};

use super::ACCOUNTS;
use crate::{
    testing::{Player, audit_kinds, verdict},
    view,
};

impl Player<'_> {
    pub(super) fn audit(&mut self, who: u8, id: SubmissionId, verdict: Verdict, transcript: u8) {
        let (commit, reveal) = audit_kinds(who, id, verdict, transcript);
        self.push(who, commit);
        let epoch = self.world.epoch();
        self.audits.push((epoch, who, reveal));
    }

    /// The committee audits: those in `agree` find the same.
    pub(super) fn audit_together(&mut self, id: SubmissionId, agreed: Verdict, agree: u8, present: u8) {
        for who in 0..4 {
            let verdict = if (agree >> who) & 1 == 1 {
                agreed
            } else {
                Verdict::Valid
            };
            if (present >> who) & 1 == 1 || who < 3 {
                self.audit(who, id, verdict, u8::from(verdict.has_transcript()));
            }
        }
    }

    /// Auditors accuse a winner, mostly, and the committee hears it: half the time with one voice, or those
    /// in `agree` with one.
    pub(super) fn hear(&mut self, pick: u8, verdicts: u8, agree: u8, odd: u8) {
        if self.offset() >= self.params().audit_commit_blocks {
            self.until(0);
        }
        self.flush();
        let Some(id) = self.world.audited(pick) else {
            return;
        };
        let params = self.params();
        let accusers = if odd < 200 { u8::MAX } else { agree };
        self.audit_together(id, verdict(verdicts), accusers, u8::MAX);
        self.until(params.audit_commit_blocks);
        self.reveal_audits(255);
        self.until(params.hearing_from());
        self.flush();
        let agree = if odd.is_multiple_of(2) { u8::MAX } else { agree };
        self.audit_together(id, verdict(verdicts / 4), agree, odd);
        if odd.is_multiple_of(8) {
            let early = self.audits.clone();
            self.reveal_audits(255);
            self.audits = early;
        }
        self.until(params.hearing_reveals_from());
        self.reveal_audits(odd);
    }

    /// Reveals what was committed in this epoch, also wrongly and twice.
    pub(super) fn reveal_audits(&mut self, odd: u8) {
        for (epoch, who, reveal) in std::mem::take(&mut self.audits) {
            if epoch == self.world.epoch() {
                let mut other = reveal.clone();
                if let Kind::RevealAudit { salt, .. } = &mut other
                    && odd < 16
                {
                    salt.0[31] ^= 1;
                    self.push(who, other);
                }
                self.push(who, reveal.clone());
                if odd < 32 {
                    self.push(who, reveal);
                }
            }
        }
    }

    /// Mostly of a winner, of this epoch or the last.
    pub(super) fn challenge(&mut self, who: u8, pick: u8, odd: u8) {
        let now = view::epoch(&mut self.world.chain.state).unwrap().unwrap();
        let epoch = Epoch(now.epoch.0.saturating_sub(u64::from(pick % 3)));
        let hits = match epoch == now.epoch {
            true => now.hits,
            false => {
                let record = view::epoch_record(&mut self.world.chain.state, epoch).unwrap();
                record.expect("it is closed").state.hits
            }
        };
        let index = u64::from(pick) % hits.max(1);
        let winner = view::winner_at(&mut self.world.chain.state, epoch, index).unwrap();
        let newest = self.finds.last().map(|(_, id)| *id);
        let submission = match odd {
            0..8 => Some(SubmissionId([odd; 32])),
            8..24 => newest,
            _ => winner,
        };
        if let Some(submission) = submission {
            self.push(who, Kind::ChallengeSubmission { submission });
            if odd % 4 == 3 {
                self.push((who + 1) % ACCOUNTS, Kind::ChallengeSubmission { submission });
            }
        }
    }
}
