//! What random histories and rules are drawn from.

use proptest::prelude::*;
use soma_types::{Shannons, params::Params, transaction::BasisPoints, upgrade::ParamChange};

use crate::testing::{SOMA, Try, tiny};

fn amounts() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..5_u64,
        SOMA / 1_000..50 * SOMA,
        Just(9_000 * SOMA),
        Just(u64::MAX)
    ]
}

/// Mostly that the score is false, so that there are majorities.
fn finding() -> impl Strategy<Value = Option<(u8, u8)>> {
    prop_oneof![4 => Just(Some((3, 1))), 2 => Just(Some((0, 1))), 1 => Just(Some((1, 0))), 1 => Just(None)]
}

/// Anything that can be tried.
pub(crate) fn tries() -> impl Strategy<Value = Try> {
    let who = 0..10_u8;
    prop_oneof![
        2 => (who.clone(), who.clone(), amounts()).prop_map(|(who, to, amount)| Try::Pay { who, to, amount }),
        3 => (who.clone(), any::<u8>(), amounts()).prop_map(|(who, pool, amount)| Try::AddStake { who, pool, amount }),
        3 => (who.clone(), any::<u8>(), prop::option::of(amounts())).prop_map(|(who, pool, amount)| Try::Withdraw { who, pool, amount }),
        1 => (who.clone(), amounts()).prop_map(|(who, stake)| Try::Create { who, stake }),
        3 => (any::<u8>(), 0..4_u8).prop_map(|(model, content)| Try::CommitModel { model, content }),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(model, direction)| Try::RevealModel { model, direction }),
        1 => (any::<u8>(), 0..=10_000_u16).prop_map(|(model, points)| Try::Commission { model, points }),
        1 => any::<u8>().prop_map(|model| Try::Deactivate { model }),
        1 => (0..5_u8, any::<u8>()).prop_map(|(who, model)| Try::Report { who, model }),
        12 => (who.clone(), any::<u8>(), any::<u8>(), 0..3_u8, prop::bool::weighted(0.1)).prop_map(|(who, target, data, winner, away)| Try::Commit { who, target, data, winner, away }),
        12 => any::<u8>().prop_map(|pick| Try::Reveal { pick }),
        6 => (0..5_u8, any::<u8>(), 0..4_u8, 0..2_u8).prop_map(|(who, pick, verdict, transcript)| Try::Audit { who, pick, verdict, transcript }),
        6 => (0..5_u8, any::<u8>(), 0..4_u8, 0..2_u8).prop_map(|(who, pick, verdict, transcript)| Try::RevealAudit { who, pick, verdict, transcript }),
        6 => (who.clone(), who.clone(), any::<u8>(), any::<u8>(), prop::bool::weighted(0.2), any::<bool>()).prop_map(
            |(first, second, target, data, same, late_first)| Try::Race { first, second, target, data, same, late_first }
        ),
        6 => (any::<u8>(), prop::array::uniform4(finding())).prop_map(|(pick, findings)| Try::AuditAll { pick, findings }),
        6 => (prop::collection::vec((0..10_u8, 0..3_u8, any::<u8>()), 2..8), any::<u64>())
            .prop_map(|(picks, order)| Try::Storm { picks, order }),
        4 => (who.clone(), any::<u8>()).prop_map(|(who, pick)| Try::Challenge { who, pick }),
        2 => (who.clone(), any::<u8>(), prop::array::uniform4(finding())).prop_map(|(who, pick, findings)| Try::Contest { who, pick, findings }),
        6 => Just(Try::RevealAll),
        1 => (any::<u8>(), 1..5_u8).prop_map(|(model, count)| Try::ReportAll { model, count }),
        4 => (who.clone(), any::<u8>(), 1..=100_u8).prop_map(|(who, pick, percent)| Try::WithdrawPart { who, pick, percent }),
        1 => who.clone().prop_map(|who| Try::Register { who }),
        1 => who.clone().prop_map(|who| Try::Leave { who }),
        1 => (0..4_u8, amounts()).prop_map(|(who, rate)| Try::Rent { who, rate }),
        8 => (1..6_u8).prop_map(|count| Try::Blocks { count }),
        2 => Just(Try::Epoch),
    ]
}

/// Changes of parameters that matter to what is under way. Most are sound, some are not.
fn changes() -> impl Strategy<Value = Vec<ParamChange>> {
    use ParamChange as Change;
    let basis = || (0..=10_000_u16).prop_map(|points| BasisPoints::new(points).unwrap());
    let change = prop_oneof![
        (8..32_u64).prop_map(Change::EpochBlocks),
        (1..16_u64).prop_map(Change::AuditCommitBlocks),
        (1..16_u64).prop_map(Change::SettlementBlocks),
        (1..16_u64).prop_map(Change::RevealBlocks),
        (1..8_u32).prop_map(Change::OpenTargets),
        (1..6_u32).prop_map(Change::ModelsPerTarget),
        (1..6_u32).prop_map(Change::CommitteeSize),
        (0..6_u32).prop_map(Change::Auditors),
        (1..6_u32).prop_map(Change::PayoutsPerBlock),
        (1..16_u32).prop_map(Change::DifficultyWindows),
        (2..9_u64).prop_map(Change::RefreshEpochs),
        (1..5_u64).prop_map(Change::UnbondingEpochs),
        (1..1_u64 << 32).prop_map(Change::HitsGoal),
        (0..2_000_u64).prop_map(|per_byte| Change::BondPerByte(Shannons(per_byte))),
        (0..SOMA).prop_map(|deposit| Change::SubmissionDeposit(Shannons(deposit))),
        basis().prop_map(Change::AuditRate),
        basis().prop_map(Change::ValidatorShare),
        basis().prop_map(Change::LapseSlash),
        basis().prop_map(Change::FaultSlash),
        basis().prop_map(Change::BurnPerYear),
        (0..SOMA).prop_map(|price| Change::AccountPrice(Shannons(price))),
    ];
    prop::collection::vec(change, 1..5)
}

/// The same, and changes of parameters.
pub(crate) fn tries_and_upgrades() -> impl Strategy<Value = Try> {
    prop_oneof![12 => tries(), 1 => changes().prop_map(Try::Upgrade)]
}

/// Parameters at the edges of what a vote could choose.
pub fn extremes() -> impl Strategy<Value = Params> {
    use prop::sample::select;
    let basis = || select(vec![0, 1, 5_000, 10_000]).prop_map(|points| BasisPoints::new(points).unwrap());
    let time = (
        8_u64..24,
        select(vec![1_u64, 3, 1 << 24]),
        select(vec![1_u64, 365, 1 << 24]),
        1_u64..4,
    );
    let targets = (
        1_u32..9,
        1_u32..6,
        select(vec![1_u64, 1 << 32]),
        select(vec![-4_i64, 0]),
        1_u64..8,
        1_u64..8,
    );
    let money = (
        select(vec![0_u64, 1, SOMA / 100]),
        select(vec![0_u64, 1, 1_000, SOMA]),
        2_u64..9,
    );
    let shares = (basis(), basis(), basis(), basis(), basis());
    (time, targets, money, shares, 0_u32..5, 1_u32..5).prop_map(
        |(time, targets, money, shares, auditors, payouts)| {
            let settlement_blocks = targets.5.min(time.0 - 1);
            let races = time.0.div_ceil(settlement_blocks + 1) as u32;
            let owed = (races * targets.0 + 11).div_ceil(time.0 as u32);
            Params {
                epoch_blocks: time.0,
                emission_epochs: time.1,
                epochs_per_year: time.2,
                unbonding_epochs: time.3,
                audit_commit_blocks: time.0 / 2,
                audit_reveal_blocks: 1 + time.0 / 12,
                hearing_commit_blocks: 1 + time.0 / 12,
                difficulty_windows: 3,
                open_targets: targets.0,
                models_per_target: targets.1,
                hits_goal: targets.2,
                difficulty_start_q16: targets.3 << 16,
                reveal_blocks: targets.4,
                settlement_blocks,
                opening_blocks: targets.4.min(settlement_blocks) / 2,
                weights_reveal_share: shares.2.max(BasisPoints::new(5_000).unwrap()),
                fee_share_max: shares.4,
                fee_base: Shannons(money.0),
                bond_per_byte: Shannons(money.1),
                refresh_epochs: money.2,
                burn_per_year: shares.0,
                lapse_slash: shares.1,
                fault_slash: shares.2,
                audit_rate: shares.3.max(BasisPoints::new(1).unwrap()),
                validator_share: shares.4,
                auditors,
                payouts_per_block: payouts.max(owed),
                ..tiny()
            }
            .validate()
            .unwrap()
        },
    )
}
