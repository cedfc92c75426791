//! The parameters of the protocol. They live in the state; votes change them.
//!
//! [`Params::std`] is the public network's preset, [`Params::local`] the localnet's.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    Architecture, Shannons,
    amount::SHANNONS_PER_SOMA,
    basis_points::{BASIS_POINTS_ONE, BasisPoints},
};

/// One, in the 16-bit fixed point of parameters and multipliers.
pub const ONE_Q16: i64 = 1 << 16;
/// The most models a target can have: the bound on the losses in a reveal.
pub const MODELS_PER_TARGET_MAX: usize = 16;
/// The fewest seats that a committee can be limited to: one of four may fail.
pub const COMMITTEE_SIZE_MIN: u32 = 4;
/// The most members a committee can have.
pub const COMMITTEE_SIZE_MAX: u32 = 100;
/// The most epochs a stretch of epochs can be: keeps products of parameters in range.
const EPOCHS_MAX: u64 = 1 << 24;

/// Every number the protocol lets a network choose. Sections are docs/protocol.md's.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The preset's name, for people.
    pub preset: Preset,
    /// The shape of every model.
    pub architecture: Architecture,

    // Section 1: time.
    /// A leader proposes no earlier than this after the parent, in milliseconds.
    pub block_time_ms: u64,
    /// Blocks in an epoch.
    pub epoch_blocks: u64,
    /// Epochs over which the emission is spread.
    pub emission_epochs: u64,
    /// Epochs in a year, for the yearly burn.
    pub epochs_per_year: u64,

    // Section 3 and 9: fees.
    /// Fee of any transaction at multiplier 1.
    pub fee_base: Shannons,
    /// Fee of each byte of its signed encoding at multiplier 1.
    pub fee_per_byte: Shannons,
    /// What a transfer pays besides for each payee that has no account yet.
    pub account_price: Shannons,
    /// Share of the circulating supply to burn in a year.
    pub burn_per_year: BasisPoints,

    // Section 4: stake.
    /// Epochs for which withdrawn stake waits after it stopped counting.
    pub unbonding_epochs: u64,
    /// Least amount to stake at once.
    pub stake_min: Shannons,
    /// Least own stake of a validator.
    pub validator_stake_min: Shannons,
    /// Most seats in a committee.
    pub committee_size: u32,
    /// Share of a validator's pool lost when it votes for two blocks at once.
    pub equivocation_slash: BasisPoints,

    // Section 5: models.
    /// Least own stake of a model's owner.
    pub model_stake_min: Shannons,
    /// Share of the owner's stake lost when a commitment is not revealed.
    pub lapse_slash: BasisPoints,
    /// Share of the owner's stake lost when the committee finds revealed weights unusable.
    pub fault_slash: BasisPoints,
    /// Rent at genesis, in shannons per MiB and epoch.
    pub rent_per_mib_epoch: Shannons,
    /// Epochs after which weights are too old to compete.
    pub refresh_epochs: u64,
    /// Most bytes of encrypted weights.
    pub weights_size_max_bytes: u64,

    // Section 6: targets.
    /// Targets open at a time.
    pub open_targets: u32,
    /// Models routed to a target (K).
    pub models_per_target: u32,
    /// Hits wanted in an epoch.
    pub hits_goal: u64,
    /// Times in an epoch at which the difficulty is adjusted.
    pub difficulty_windows: u32,
    /// The difficulty z at genesis, in 1/65536.
    pub difficulty_start_q16: i64,

    // Section 7: submissions.
    /// Locked by a commit.
    pub submission_deposit: Shannons,
    /// Locked by a reveal for each byte of data.
    pub bond_per_byte: Shannons,
    /// How many times over a bond at the floor makes a false claim a loss; 0: no floor.
    pub bond_margin: u64,
    /// Most blocks between commit and reveal.
    pub reveal_blocks: u64,
    /// Blocks from a target's first valid reveal to its settlement.
    pub settlement_blocks: u64,
    /// Least winning cross entropy, in nano-nats.
    pub cross_entropy_min_nano: u64,
    /// Greatest winning cross entropy, in nano-nats.
    pub cross_entropy_max_nano: u64,
    /// Most bytes of data.
    pub data_size_max_bytes: u64,

    // Section 8: audit.
    /// Share of winners audited.
    pub audit_rate: BasisPoints,
    /// Auditors of each, drawn by stake; 0 is the whole committee.
    pub auditors: u32,
    /// Blocks at an epoch's start in which auditors commit. In the first half of them the last epoch's
    /// winners can still be challenged.
    pub audit_commit_blocks: u64,
    /// Blocks after those in which auditors that were drawn reveal; where they are the whole committee, all
    /// of the rest.
    pub audit_reveal_blocks: u64,
    /// Blocks after those in which the committee commits in hearings; it reveals in the rest.
    pub hearing_commit_blocks: u64,
    /// The least bond of a challenge.
    pub challenge_bond_min: Shannons,

    // Section 9: rewards.
    /// The validators' share of an epoch's rewards.
    pub validator_share: BasisPoints,
    /// Most winners settled and paid in one block.
    pub payouts_per_block: u32,
}

/// A named set of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The public network's.
    Std,
    /// The localnet's.
    Local,
    /// None of the others.
    Custom,
}

/// Why parameters are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// Outside its bounds.
    #[error("parameter {name} is {value}, must be {min} to {max}")]
    Range {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// The architecture makes no sense.
    #[error(transparent)]
    Architecture(#[from] crate::architecture::ArchitectureError),
}

impl Params {
    /// The public network's preset.
    #[must_use]
    pub fn std() -> Self {
        Self {
            preset: Preset::Std,
            architecture: Architecture::V1,
            block_time_ms: 250,
            epoch_blocks: 345_600,
            emission_epochs: 3_652,
            epochs_per_year: 365,
            fee_base: Shannons(10_000),
            fee_per_byte: Shannons(10),
            account_price: Shannons(SHANNONS_PER_SOMA / 1_000),
            burn_per_year: BasisPoints::new(500).expect("below 10000"),
            unbonding_epochs: 7,
            stake_min: Shannons(SHANNONS_PER_SOMA / 1_000),
            validator_stake_min: Shannons(1_000 * SHANNONS_PER_SOMA),
            committee_size: 100,
            equivocation_slash: BasisPoints::new(500).expect("below 10000"),
            model_stake_min: Shannons(10 * SHANNONS_PER_SOMA),
            lapse_slash: BasisPoints::new(500).expect("below 10000"),
            fault_slash: BasisPoints::new(1_000).expect("below 10000"),
            rent_per_mib_epoch: Shannons(10_000),
            refresh_epochs: 14,
            weights_size_max_bytes: 8 << 30,
            open_targets: 100,
            models_per_target: 3,
            hits_goal: 86_400,
            difficulty_windows: 24,
            difficulty_start_q16: ONE_Q16,
            submission_deposit: Shannons(SHANNONS_PER_SOMA / 1_000),
            bond_per_byte: Shannons(1_000),
            bond_margin: 2,
            reveal_blocks: 32,
            settlement_blocks: 4,
            cross_entropy_min_nano: 50_000_000,
            cross_entropy_max_nano: 3_500_000_000,
            data_size_max_bytes: 1 << 20,
            audit_rate: BasisPoints::new(1_000).expect("below 10000"),
            auditors: 7,
            audit_commit_blocks: 172_800,
            audit_reveal_blocks: 28_800,
            hearing_commit_blocks: 115_200,
            challenge_bond_min: Shannons(SHANNONS_PER_SOMA / 10),
            validator_share: BasisPoints::new(2_000).expect("below 10000"),
            payouts_per_block: 64,
        }
    }

    /// The localnet's preset: the same rules at the scale of minutes and of one machine.
    #[must_use]
    pub fn local() -> Self {
        Self {
            preset: Preset::Local,
            architecture: Architecture::NANO,
            epoch_blocks: 80,
            // 20-second epochs.
            epochs_per_year: 1_576_800,
            // A burn target would make a network that hardly anyone uses dearer with every epoch.
            burn_per_year: BasisPoints::default(),
            unbonding_epochs: 1,
            refresh_epochs: 20,
            open_targets: 16,
            hits_goal: 64,
            difficulty_start_q16: 0,
            audit_rate: BasisPoints::new(10_000).expect("the whole"),
            auditors: 0,
            audit_commit_blocks: 48,
            audit_reveal_blocks: 8,
            hearing_commit_blocks: 12,
            payouts_per_block: 16,
            ..Self::std()
        }
    }

    /// Blocks at an epoch's start in which the last epoch's winners can still be challenged.
    #[must_use]
    pub const fn challenge_blocks(&self) -> u64 {
        self.audit_commit_blocks / 2
    }

    /// Blocks at an epoch's start before its hearings begin. Validated parameters do not overflow.
    #[must_use]
    pub const fn hearing_from(&self) -> u64 {
        self.audit_commit_blocks + self.audit_reveal_blocks
    }

    /// Blocks at an epoch's start before votes in its hearings are revealed.
    #[must_use]
    pub const fn hearing_reveals_from(&self) -> u64 {
        self.hearing_from() + self.hearing_commit_blocks
    }

    /// What an epoch can owe, in payouts per block: each open target is filled as often as races allow, and
    /// each seat is paid. With fewer, winners would wait longer from epoch to epoch.
    fn payouts_needed(&self) -> u64 {
        let races = self
            .epoch_blocks
            .div_ceil(self.settlement_blocks.saturating_add(1));
        let owed = races.saturating_mul(u64::from(self.open_targets)) + u64::from(self.committee_size) + 1;
        owed.div_ceil(self.epoch_blocks.max(1))
    }

    /// Checks that every parameter is within the bounds that keep the ledger's arithmetic in range.
    ///
    /// # Errors
    /// Names the parameter, its value and its bounds.
    pub fn validate(self) -> Result<Self, ParamsError> {
        self.architecture.validate()?;
        let soma = |amount: u64| amount * SHANNONS_PER_SOMA;
        let (z_min, z_max) = (4 * ONE_Q16 as u64, 12 * ONE_Q16 as u64);
        let bounds = [
            ("block_time_ms", self.block_time_ms, 1, 60_000),
            ("epoch_blocks", self.epoch_blocks, 8, EPOCHS_MAX),
            ("emission_epochs", self.emission_epochs, 1, EPOCHS_MAX),
            ("epochs_per_year", self.epochs_per_year, 1, EPOCHS_MAX),
            // A vote on cheaper ones is affordable even at the highest multiplier, 2^16.
            ("fee_base", self.fee_base.0, 0, SHANNONS_PER_SOMA / 100),
            (
                "fee_per_byte",
                self.fee_per_byte.0,
                0,
                SHANNONS_PER_SOMA / 100_000,
            ),
            ("account_price", self.account_price.0, 0, soma(1)),
            ("unbonding_epochs", self.unbonding_epochs, 1, EPOCHS_MAX),
            ("stake_min", self.stake_min.0, 1_000, soma(1_000_000)),
            (
                "validator_stake_min",
                self.validator_stake_min.0,
                self.stake_min.0,
                soma(1_000_000),
            ),
            // With fewer nobody may fail; and where the largest takes turns, no seat would live to see its
            // votes counted.
            (
                "committee_size",
                u64::from(self.committee_size),
                u64::from(COMMITTEE_SIZE_MIN),
                u64::from(COMMITTEE_SIZE_MAX),
            ),
            // More would let a shannon have too many shares for 128 bits.
            (
                "equivocation_slash",
                u64::from(self.equivocation_slash.get()),
                0,
                5_000,
            ),
            (
                "model_stake_min",
                self.model_stake_min.0,
                self.stake_min.0,
                soma(1_000_000),
            ),
            ("rent_per_mib_epoch", self.rent_per_mib_epoch.0, 0, soma(1)),
            ("refresh_epochs", self.refresh_epochs, 2, EPOCHS_MAX),
            ("weights_size_max_bytes", self.weights_size_max_bytes, 1, 1 << 40),
            // Each is routed in one block, at a boundary: more would take longer than a leader has.
            ("open_targets", u64::from(self.open_targets), 1, 1_000),
            (
                "models_per_target",
                u64::from(self.models_per_target),
                1,
                MODELS_PER_TARGET_MAX as u64,
            ),
            ("hits_goal", self.hits_goal, 1, 1 << 32),
            (
                "difficulty_windows",
                u64::from(self.difficulty_windows),
                1,
                self.epoch_blocks,
            ),
            (
                "difficulty_start_q16 (+4)",
                self.difficulty_start_q16.saturating_add(z_min as i64) as u64,
                0,
                z_max,
            ),
            ("submission_deposit", self.submission_deposit.0, 0, soma(1_000)),
            ("bond_per_byte", self.bond_per_byte.0, 0, SHANNONS_PER_SOMA),
            ("bond_margin", self.bond_margin, 0, 1_000),
            ("reveal_blocks", self.reveal_blocks, 1, 1_000),
            (
                "settlement_blocks",
                self.settlement_blocks,
                1,
                self.epoch_blocks.saturating_sub(1),
            ),
            (
                "cross_entropy_max_nano",
                self.cross_entropy_max_nano,
                self.cross_entropy_min_nano,
                1 << 40,
            ),
            ("data_size_max_bytes", self.data_size_max_bytes, 1, 1 << 30),
            // Without audits no bond could make a false claim a loss.
            (
                "audit_rate",
                u64::from(self.audit_rate.get()),
                1,
                u64::from(BASIS_POINTS_ONE),
            ),
            (
                "auditors",
                u64::from(self.auditors),
                0,
                u64::from(COMMITTEE_SIZE_MAX),
            ),
            (
                "audit_commit_blocks",
                self.audit_commit_blocks,
                1,
                self.epoch_blocks.saturating_sub(3),
            ),
            // Each phase of an epoch's audits has a block at least.
            (
                "audit_reveal_blocks",
                self.audit_reveal_blocks,
                1,
                self.epoch_blocks
                    .saturating_sub(self.audit_commit_blocks)
                    .saturating_sub(2),
            ),
            (
                "hearing_commit_blocks",
                self.hearing_commit_blocks,
                1,
                self.epoch_blocks
                    .saturating_sub(self.audit_commit_blocks)
                    .saturating_sub(self.audit_reveal_blocks)
                    .saturating_sub(1),
            ),
            (
                "challenge_bond_min",
                self.challenge_bond_min.0,
                0,
                soma(1_000_000),
            ),
            (
                "payouts_per_block",
                u64::from(self.payouts_per_block),
                self.payouts_needed(),
                10_000,
            ),
        ];
        for (name, value, min, max) in bounds {
            if value < min || value > max {
                return Err(ParamsError::Range {
                    name,
                    value,
                    min,
                    max,
                });
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_survive_json() {
        for preset in [Params::std(), Params::local()] {
            assert_eq!(preset.clone().validate(), Ok(preset.clone()));
            let json = serde_json::to_string(&preset).unwrap();
            assert_eq!(serde_json::from_str::<Params>(&json).unwrap(), preset);
        }
    }

    #[test]
    fn bounds_are_named() {
        let params = Params {
            epoch_blocks: 0,
            ..Params::local()
        };
        assert!(matches!(
            params.validate(),
            Err(ParamsError::Range {
                name: "epoch_blocks",
                ..
            })
        ));
        let params = Params {
            difficulty_start_q16: -5 * ONE_Q16,
            ..Params::local()
        };
        assert!(params.validate().is_err());
    }

    /// Section 12 of `docs/protocol.md`, made from the presets.
    fn section() -> String {
        let values = |params: &Params| -> Vec<(String, String)> {
            let json = serde_json::to_string_pretty(params).unwrap();
            let lines = json
                .lines()
                .filter_map(|line| line.trim_end_matches(',').strip_prefix("  \""));
            lines
                .filter_map(|line| line.split_once("\": "))
                .filter(|(name, _)| !["preset", "architecture"].contains(name))
                .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
                .collect()
        };
        let (std, local) = (values(&Params::std()), values(&Params::local()));
        let mut text = String::from(
            "## 12. Parameters\n\nMade from the presets (`SOMA_UPDATE_DOCS=1 cargo nextest run -p soma-types documented` writes \
             it anew). Amounts are in shannons, shares in basis points, names with `q16` in 2^-16; `auditors` 0 is the whole \
             committee.\n\n| parameter | std | local |\n|---|---|---|\n",
        );
        for ((name, std), (_, local)) in std.iter().zip(&local) {
            text += &format!("| `{name}` | {std} | {local} |\n");
        }
        text
    }

    #[test]
    fn every_parameter_is_documented() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
        let document = std::fs::read_to_string(path).unwrap();
        let (rules, written) = document.split_at(document.find("## 12. ").expect("a section 12"));
        if std::env::var_os("SOMA_UPDATE_DOCS").is_some() {
            std::fs::write(path, rules.to_owned() + &section()).unwrap();
            return;
        }
        assert!(
            written == section(),
            "docs/protocol.md, section 12 is out of date: see its first sentence"
        );
    }
}
