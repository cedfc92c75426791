//! Challenges (docs/protocol.md, section 8): anyone may force the audit of a winner that the sample left out.
//!
//! Upon a *challenge*, from a win in epoch E until half of E + 1's audit commit phase is over: a bond as
//! large as the winner's, and at least `challenge_bond_min`, is locked. One challenge is enough for one
//! winner. When no more can come, the block's seed draws the auditors of all challenged winners, who then
//! have the other half of the phase. Upon *settlement*: a winner found false pays the challenger a quarter of
//! its bond; found valid, it gets the challenger's bond; without a majority the bond goes back.
//!
//! **Why a later seed.** With the epoch's own, a challenger in E + 1 would know whom they call. A cartel with
//! a third of the stake holds the majority of about one in six draws of seven: whoever wants auditors to
//! their liking, to protect a winner or to accuse it, would challenge just those. So they must lock a bond as
//! large as the one they are after before they know who will judge.

use soma_types::{
    Address, Rejection, Shannons, SubmissionId,
    event::Event,
    objects::{AuditOutcome, Challenge, ChallengeEnd, Submission, SubmissionStatus},
};

use crate::{
    audit::draw::is_sampled,
    error::Stop,
    ledger::Ledger,
    money::bank::Bucket,
    money::bonds::Finders,
    tables::{CHALLENGES, SUBMISSIONS, TARGETS},
};

impl Ledger<'_> {
    pub(crate) fn challenge_submission(&mut self, sender: &Address, id: &SubmissionId) -> Result<(), Stop> {
        let mut submission = self
            .get(&SUBMISSIONS, id)?
            .ok_or(Rejection::NoSuchSubmission { submission: *id })?;
        let index = submission.found.as_ref().and_then(|found| found.winner_index);
        let Some(index) = index.filter(|_| submission.status == SubmissionStatus::Won) else {
            return Err(Rejection::NotChallengeable {}.into());
        };
        let epoch = self.expect(&TARGETS, &submission.target)?.epoch;
        if epoch != self.epoch() {
            if epoch.next() != self.epoch() {
                return Err(Rejection::NotChallengeable {}.into());
            }
            if self.hot.now.challenge_seed.is_some() {
                let from = self.hot.now.first_height.plus(self.hot.params.challenge_blocks());
                return Err(Rejection::ChallengeClosed { from }.into());
            }
            if is_sampled(&self.hot.now, index) {
                return Err(Rejection::SampledAlready {}.into());
            }
        }
        if let Some(Challenge { challenger, .. }) = submission.challenge {
            return Err(Rejection::AlreadyChallenged { challenger }.into());
        }
        let bond = submission.bond.max(self.hot.params.challenge_bond_min);
        self.debit(sender, bond, Bucket::Bonds)?;

        // From here on nothing is rejected.
        submission.challenge = Some(Challenge {
            challenger: *sender,
            bond,
            end: None,
        });
        self.set(&SUBMISSIONS, id, &submission);
        CHALLENGES.push(self.state, &epoch, id)?;
        self.emit(Event::SubmissionChallenged {
            submission: *id,
            challenger: *sender,
            bond,
        });
        Ok(())
    }

    /// In the first block in which nobody can challenge the last epoch's winners any more.
    pub(crate) fn draw_challenge_seed(&mut self) {
        let offset = self.hot.epoch_offset(self.block);
        if self.hot.now.challenge_seed.is_none() && offset >= self.hot.params.challenge_blocks() {
            self.hot.now.challenge_seed = Some(self.block.seed);
        }
    }

    /// Pays out the challenge of a winner that is being settled, if there is one.
    pub(crate) fn end_challenge(
        &mut self,
        winner: &mut Submission,
        outcome: Option<&AuditOutcome>,
    ) -> Result<(), Stop> {
        let Some(mut challenge) = winner.challenge else {
            return Ok(());
        };
        let bond = std::mem::replace(&mut challenge.bond, Shannons::ZERO);
        let decided = outcome.is_some_and(|outcome| outcome.decisive().majority.is_some());
        let (end, payee) = match outcome.and_then(AuditOutcome::conviction) {
            Some((_, finders)) => {
                let share = Finders::of(winner, finders.len()).challenger;
                (ChallengeEnd::Upheld { share }, challenge.challenger)
            }
            None if decided => (ChallengeEnd::Failed { bond }, winner.submitter),
            None => (ChallengeEnd::Undecided, challenge.challenger),
        };
        self.credit(&payee, bond, Bucket::Bonds)?;
        challenge.end = Some(end);
        winner.challenge = Some(challenge);
        self.emit(Event::ChallengeEnded {
            submission: winner.id,
            challenger: challenge.challenger,
            end,
        });
        Ok(())
    }
}
