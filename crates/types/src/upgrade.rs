//! Changes of the protocol itself (docs/protocol.md, section 10): what validators propose and vote on.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    Address, Architecture, Epoch, Shannons,
    list::List,
    params::{Params, ParamsError},
    transaction::BasisPoints,
};

/// The newest rules that this code implements.
pub const PROTOCOL_VERSION: ProtocolVersion = ProtocolVersion::FIRST;
/// Epochs between a proposal and its activation, at least: time to vote, then time to update nodes.
pub const UPGRADE_NOTICE_EPOCHS: u64 = 2;
/// Epochs between a proposal and its activation, at most: so every proposal comes to an end.
pub const UPGRADE_AHEAD_EPOCHS_MAX: u64 = 64;
/// The most proposals that are open or scheduled at a time. A seat can have one.
pub const PROPOSALS_MAX: usize = 128;
/// The most parameters that one proposal changes.
pub const PARAM_CHANGES_MAX: usize = 64;

/// A version of the rules. A node executes the blocks of the versions that it implements, no others.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct ProtocolVersion(pub u32);

impl ProtocolVersion {
    /// The version that every network starts with.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! changes {
    ($( $variant:ident $field:ident: $type:ty; )*) => {
        /// A new value of one parameter. The other fields of [`Params`] never change: see [`FIXED_PARAMS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ParamChange {
            $(
                #[doc = concat!("Of [`Params::", stringify!($field), "`].")]
                $variant($type),
            )*
        }

        impl ParamChange {
            /// The parameters that can change.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];

            /// Puts the value in its place.
            pub const fn apply(self, params: &mut Params) {
                match self { $( Self::$variant(value) => params.$field = value, )* }
            }
        }
    };
}

// The order is the encoding: new ones go to the end.
changes! {
    EpochBlocks epoch_blocks: u64;
    EpochsPerYear epochs_per_year: u64;
    FeeBase fee_base: Shannons;
    FeePerByte fee_per_byte: Shannons;
    BurnPerYear burn_per_year: BasisPoints;
    UnbondingEpochs unbonding_epochs: u64;
    StakeMin stake_min: Shannons;
    ValidatorStakeMin validator_stake_min: Shannons;
    CommitteeSize committee_size: u32;
    ModelStakeMin model_stake_min: Shannons;
    LapseSlash lapse_slash: BasisPoints;
    FaultSlash fault_slash: BasisPoints;
    RefreshEpochs refresh_epochs: u64;
    WeightsSizeMaxBytes weights_size_max_bytes: u64;
    OpenTargets open_targets: u32;
    ModelsPerTarget models_per_target: u32;
    HitsGoal hits_goal: u64;
    DifficultyWindows difficulty_windows: u32;
    SubmissionDeposit submission_deposit: Shannons;
    BondPerByte bond_per_byte: Shannons;
    BondMargin bond_margin: u64;
    RevealBlocks reveal_blocks: u64;
    SettlementBlocks settlement_blocks: u64;
    CrossEntropyMinNano cross_entropy_min_nano: u64;
    CrossEntropyMaxNano cross_entropy_max_nano: u64;
    DataChunksMax data_chunks_max: u64;
    AuditRate audit_rate: BasisPoints;
    Auditors auditors: u32;
    AuditCommitBlocks audit_commit_blocks: u64;
    ChallengeBondMin challenge_bond_min: Shannons;
    ValidatorShare validator_share: BasisPoints;
    PayoutsPerBlock payouts_per_block: u32;
    EquivocationSlash equivocation_slash: BasisPoints;
    AccountPrice account_price: Shannons;
    AuditRevealBlocks audit_reveal_blocks: u64;
    HearingCommitBlocks hearing_commit_blocks: u64;
    DataChunksMin data_chunks_min: u64;
    WeightsRevealShare weights_reveal_share: BasisPoints;
    BoundEmbeddings bound_embeddings: u32;
    OpeningBlocks opening_blocks: u64;
    FeeShareMax fee_share_max: BasisPoints;
}

/// The parameters that no vote changes, and why.
pub const FIXED_PARAMS: &[(&str, &str)] = &[
    ("preset", "names where the network's parameters came from"),
    ("architecture", "has a place of its own in a proposal"),
    (
        "block_time_ms",
        "is the engine's: it comes with a protocol version",
    ),
    (
        "emission_epochs",
        "is the supply's schedule, fixed at genesis for ever",
    ),
    (
        "rent_per_mib_epoch",
        "is where rent started: votes on rent move it",
    ),
    (
        "difficulty_start_q16",
        "is where the difficulty started: hits move it",
    ),
];

/// What a proposal changes, and when.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// The rules from then on: the current version or a later one.
    pub version: ProtocolVersion,
    /// The shape of models from then on, if it changes.
    pub architecture: Option<Architecture>,
    /// Changed parameters; of two changes of the same one the later counts.
    pub params: List<ParamChange, PARAM_CHANGES_MAX>,
    /// The first epoch under the new rules.
    pub activation: Epoch,
}

impl Upgrade {
    /// The parameters that would take the place of `current`.
    ///
    /// # Errors
    /// When they are not sound.
    pub fn params_after(&self, current: &Params) -> Result<Params, ParamsError> {
        let mut params = current.clone();
        if let Some(architecture) = self.architecture {
            params.architecture = architecture;
        }
        for change in &*self.params {
            change.apply(&mut params);
        }
        params.validate()
    }
}

/// A vote on a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ballot {
    /// For it.
    Approve,
    /// Not, or no longer.
    Withdraw,
}

/// How a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ProposalStatus {
    /// Collects votes.
    Open,
    /// Approved at the boundary into this epoch; nothing can stop it any more.
    Scheduled {
        /// The epoch.
        since: Epoch,
    },
    /// In force.
    Activated,
    /// Its activation came before enough votes, or its proposer lost its seat.
    Expired,
    /// Scheduled, but what was activated in the meantime rules it out.
    Void,
}

/// A proposed change of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Proposal {
    /// Its position in the list of all.
    pub index: u64,
    /// Who made it.
    pub proposer: Address,
    /// The epoch in which it was proposed.
    pub proposed: Epoch,
    /// What it changes.
    #[serde(flatten)]
    pub upgrade: Upgrade,
    /// Who is for it, in order of addresses: at a boundary those without a seat in the new committee are
    /// struck out.
    pub approvals: Vec<Address>,
    /// How it stands.
    #[serde(flatten)]
    pub status: ProposalStatus,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_parameter_changes_or_has_a_reason_not_to() {
        let json = serde_json::to_value(Params::std()).unwrap();
        let all: BTreeSet<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let fixed: BTreeSet<&str> = FIXED_PARAMS.iter().map(|(name, _)| *name).collect();
        let changing: BTreeSet<&str> = ParamChange::NAMES.iter().copied().collect();
        assert!(fixed.is_disjoint(&changing));
        assert_eq!(fixed.union(&changing).copied().collect::<BTreeSet<_>>(), all);
    }

    #[test]
    fn changes_are_named_as_the_parameters_are() {
        let json = serde_json::to_value(Params::std()).unwrap();
        for name in ParamChange::NAMES {
            let change = serde_json::json!({ *name: json[*name] });
            let change: ParamChange = serde_json::from_value(change).unwrap();
            let mut params = Params::std();
            change.apply(&mut params);
            assert_eq!(params, Params::std(), "{name}");
        }
    }

    #[test]
    fn a_proposal_is_one_flat_object() {
        let proposal = Proposal {
            index: 3,
            proposer: Address([1; 32]),
            proposed: Epoch(4),
            upgrade: Upgrade {
                version: ProtocolVersion(2),
                architecture: Some(Architecture::NANO),
                params: List::new(vec![ParamChange::FeeBase(Shannons(5))]).unwrap(),
                activation: Epoch(9),
            },
            approvals: vec![Address([1; 32])],
            status: ProposalStatus::Scheduled { since: Epoch(5) },
        };
        let json = serde_json::to_value(&proposal).unwrap();
        assert_eq!(
            (&json["status"], &json["activation"]),
            (&"scheduled".into(), &9.into())
        );
        assert_eq!(serde_json::from_value::<Proposal>(json).unwrap(), proposal);
    }

    #[test]
    fn an_upgrade_is_checked_as_a_whole() {
        let upgrade = |changes: &[ParamChange]| Upgrade {
            version: PROTOCOL_VERSION,
            architecture: None,
            params: List::new(changes.to_vec()).unwrap(),
            activation: Epoch(9),
        };
        // Each alone is out of bounds: both together are sound.
        let shorter = [ParamChange::EpochBlocks(50), ParamChange::AuditCommitBlocks(25)];
        let local = Params::local();
        assert!(upgrade(&shorter[..1]).params_after(&local).is_err());
        let params = upgrade(&shorter).params_after(&local).unwrap();
        assert_eq!((params.epoch_blocks, params.audit_commit_blocks), (50, 25));
        let json = serde_json::to_string(&upgrade(&shorter)).unwrap();
        assert_eq!(serde_json::from_str::<Upgrade>(&json).unwrap(), upgrade(&shorter));
        let impossible = Upgrade {
            architecture: Some(Architecture {
                heads: 3,
                ..Architecture::NANO
            }),
            ..upgrade(&[])
        };
        assert!(impossible.params_after(&local).is_err());
    }
}
