//! What random histories try.

mod driver;
mod scenes;

use soma_types::upgrade::ParamChange;

pub(crate) use driver::Driver;

/// Something tried, in terms of what exists when its turn comes.
#[derive(Clone, Debug)]
pub(crate) enum Try {
    Pay {
        who: u8,
        to: u8,
        amount: u64,
    },
    AddStake {
        who: u8,
        pool: u8,
        amount: u64,
    },
    Withdraw {
        who: u8,
        pool: u8,
        amount: Option<u64>,
    },
    Create {
        who: u8,
        stake: u64,
    },
    CommitModel {
        model: u8,
        content: u8,
    },
    RevealModel {
        model: u8,
        direction: u8,
    },
    Commission {
        model: u8,
        points: u16,
    },
    Deactivate {
        model: u8,
    },
    Report {
        who: u8,
        model: u8,
    },
    Commit {
        who: u8,
        target: u8,
        data: u8,
        winner: u8,
        away: bool,
    },
    Reveal {
        pick: u8,
    },
    Audit {
        who: u8,
        pick: u8,
        verdict: u8,
        transcript: u8,
    },
    RevealAudit {
        who: u8,
        pick: u8,
        verdict: u8,
        transcript: u8,
    },
    /// Two submit to one target, and reveal in either order.
    Race {
        first: u8,
        second: u8,
        target: u8,
        data: u8,
        same: bool,
        late_first: bool,
    },
    /// Many commit in one block, and reveal in the next two in another order.
    Storm {
        picks: Vec<(u8, u8, u8)>,
        order: u64,
    },
    /// Validators audit a winner; their reveals wait for the second phase.
    AuditAll {
        pick: u8,
        findings: [Option<(u8, u8)>; 4],
    },
    Challenge {
        who: u8,
        pick: u8,
    },
    /// Someone challenges a winner, and validators audit it.
    Contest {
        who: u8,
        pick: u8,
        findings: [Option<(u8, u8)>; 4],
    },
    /// Waits for the second phase, if it is not over, and reveals what was committed.
    RevealAll,
    /// Several validators report the same model.
    ReportAll {
        model: u8,
        count: u8,
    },
    /// Takes a part of what is there.
    WithdrawPart {
        who: u8,
        pick: u8,
        percent: u8,
    },
    Register {
        who: u8,
    },
    Leave {
        who: u8,
    },
    Rent {
        who: u8,
        rate: u64,
    },
    /// All who can vote for a change of parameters.
    Upgrade(Vec<ParamChange>),
    Blocks {
        count: u8,
    },
    Epoch,
}
