//! What the demo reports, for programs (these keys are stable) and for people.

use std::collections::BTreeMap;

use serde::Serialize;
use soma_types::{ModelId, Shannons};

use crate::{
    demo::bandwidth::RoleBytes,
    printer::{short, table},
};

/// The closing report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Wall-clock time of the whole demo, training included.
    pub elapsed_s: f64,
    /// Time spent training.
    pub training_s: f64,
    /// Epochs the network went through.
    pub epochs: u64,
    /// Finalized blocks.
    pub blocks: u64,
    /// From proposal to finality, in milliseconds.
    pub finality_ms: Percentiles,
    /// How many validators there were.
    pub validators: u32,
    /// The competing models.
    pub models: Vec<ModelReport>,
    /// The generalist they all start from, which does not compete: bits per byte by domain.
    pub generalist_bits_per_byte: BTreeMap<String, f64>,
    /// What became of submissions.
    pub submissions: SubmissionCounts,
    /// What became of targets.
    pub targets: TargetCounts,
    /// What became of audits.
    pub audits: AuditCounts,
    /// Rewards paid, in shannons.
    pub rewards: Rewards,
    /// Where the money is, in shannons.
    pub supply: SupplyReport,
    /// Bytes that all validators received from peers and clients, per hit.
    pub network_bytes_per_hit: u64,
    /// Epochs with hits.
    pub competing_epochs: u64,
    /// What each role trained on, scored and moved.
    pub roles: Vec<RoleBytes>,
    /// The routed whole against its parts.
    pub mixture: MixtureReport,
    /// The attempt at cheating.
    pub cheater: CheaterReport,
    /// What must hold.
    pub checks: Vec<Check>,
}

/// Middle and slow end, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentiles {
    /// Half are faster.
    pub p50: u64,
    /// 95% are faster.
    pub p95: u64,
}

/// One model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// Its id on chain.
    pub id: ModelId,
    /// What it is called here.
    pub name: String,
    /// What it specialised in.
    pub domain: String,
    /// Its pool's stake at the end.
    pub stake_shannons: Shannons,
    /// Hits it won.
    pub wins: u64,
    /// What it earned.
    pub reward_shannons: Shannons,
    /// On held-out text, by domain.
    pub bits_per_byte: BTreeMap<String, f64>,
}

/// How many submissions came how far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SubmissionCounts {
    /// Committed on chain.
    pub committed: u64,
    /// Revealed and valid.
    pub revealed: u64,
    /// Won their target.
    pub won: u64,
    /// Valid, but another's commit was earlier.
    pub lost_race: u64,
    /// Refused by the ledger, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// How many targets came how far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct TargetCounts {
    /// How many opened.
    pub opened: u64,
    /// How many of them were hit.
    pub hit: u64,
}

/// Audits of winners.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct AuditCounts {
    /// How many were decided.
    pub done: u64,
    /// The winner stands.
    pub valid: u64,
    /// The winner was false.
    pub invalid: u64,
}

/// Rewards paid.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Rewards {
    /// To submitters.
    pub submitters: Shannons,
    /// To models: owners and pools.
    pub models: Shannons,
    /// To validators and their pools.
    pub validators: Shannons,
}

/// The supply identity.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SupplyReport {
    /// What existed at genesis.
    pub initial: Shannons,
    /// Emitted since.
    pub emitted: Shannons,
    /// Burned since.
    pub burned: Shannons,
    /// What everything must add up to.
    pub expected: Shannons,
    /// What everything adds up to.
    pub actual: Shannons,
}

/// The global model on the mixed held-out text.
#[derive(Clone, Debug, Serialize)]
pub struct MixtureReport {
    /// The mixture's.
    pub bits_per_byte: f64,
    /// The best single model's.
    pub best_single_bits_per_byte: f64,
    /// Which that is.
    pub best_single_model: String,
    /// The mixture's, by domain.
    pub per_domain: BTreeMap<String, f64>,
}

/// The submitter who lied.
#[derive(Clone, Debug, Serialize)]
pub struct CheaterReport {
    /// False submissions that won their target.
    pub won: u64,
    /// Of those, how many the audit found false.
    pub caught: u64,
    /// Bonds it lost.
    pub bond_lost: Shannons,
}

/// Something that must hold.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What is checked.
    pub name: &'static str,
    /// Whether it does.
    pub passed: bool,
    /// The values behind it.
    pub detail: String,
}

impl Report {
    /// Whether every check passed.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    /// For people.
    pub fn text(&self) -> String {
        let domains: Vec<&str> = self.generalist_bits_per_byte.keys().map(String::as_str).collect();
        let bits = |values: &BTreeMap<String, f64>| -> Vec<String> {
            domains
                .iter()
                .map(|domain| values.get(*domain).map_or("-".into(), |b| format!("{b:.3}")))
                .collect()
        };
        let mut header = vec!["model", "id"];
        header.extend(&domains);
        header.extend(["wins", "stake", "reward"]);
        let mut rows: Vec<Vec<String>> = self
            .models
            .iter()
            .map(|model| {
                let mut row = vec![model.name.clone(), short(model.id)];
                row.extend(bits(&model.bits_per_byte));
                row.extend([
                    model.wins.to_string(),
                    format!("{:.1}", soma(model.stake_shannons)),
                    format!("{:.1}", soma(model.reward_shannons)),
                ]);
                row
            })
            .collect();
        for (name, values) in [
            ("generalist", &self.generalist_bits_per_byte),
            ("mixture", &self.mixture.per_domain),
        ] {
            let mut row = vec![name.to_owned(), String::new()];
            row.extend(bits(values));
            row.extend(["-".into(), "-".into(), "-".into()]);
            rows.push(row);
        }
        let right: Vec<&str> = header[2..].to_vec();
        let models = table(&header, &right, rows);
        let checks: String = self
            .checks
            .iter()
            .map(|check| {
                format!(
                    "  {} {:<28} {}\n",
                    if check.passed { "ok  " } else { "FAIL" },
                    check.name,
                    check.detail
                )
            })
            .collect();
        let roles = self.roles_text();
        let rejected: u64 = self.submissions.rejected.values().sum();
        format!(
            "Bits per byte on held-out text, lower is better; stake and reward in SOMA\n\n{models}\n\
             The whole      {:.3} bits per byte on mixed text, best single model ({}) {:.3}\n\
             Submissions    {} committed, {} revealed, {} won, {} lost their race, {} rejected\n\
             Targets        {} opened, {} hit\n\
             Audits         {} done, {} valid, {} false; the cheater lost {} SOMA of bond\n\
             Rewards        {:.1} SOMA to submitters, {:.1} to models, {:.1} to validators\n\
             Network        {} blocks in {} epochs by {} validators, final in {} ms (p95 {} ms), {:.1} KB per hit\n\
             Time           {:.0} s, of which training {:.0} s\n\n\
             Kilobytes that each role trained on, scored and moved, for each hit and for each epoch with hits\n\n{roles}\n\
             Checks\n{checks}",
            self.mixture.bits_per_byte,
            self.mixture.best_single_model,
            self.mixture.best_single_bits_per_byte,
            self.submissions.committed,
            self.submissions.revealed,
            self.submissions.won,
            self.submissions.lost_race,
            rejected,
            self.targets.opened,
            self.targets.hit,
            self.audits.done,
            self.audits.valid,
            self.audits.invalid,
            self.cheater.bond_lost,
            soma(self.rewards.submitters),
            soma(self.rewards.models),
            soma(self.rewards.validators),
            self.blocks,
            self.epochs,
            self.validators,
            self.finality_ms.p50,
            self.finality_ms.p95,
            self.network_bytes_per_hit as f64 / 1e3,
            self.elapsed_s,
            self.training_s,
        )
    }
}

impl Report {
    /// Each role's bytes by hits and by epochs.
    fn roles_text(&self) -> String {
        let header = [
            "role",
            "for each",
            "trained",
            "scored",
            "downloaded",
            "uploaded",
            "talk",
        ];
        let rows = self.roles.iter().flat_map(|role| {
            [("hit", self.submissions.won), ("epoch", self.competing_epochs)].map(|(each, count)| {
                let shown = |bytes: u64| format!("{:.1}", bytes as f64 / 1e3 / count.max(1) as f64);
                let amounts = [
                    role.trained,
                    role.scored,
                    role.downloaded,
                    role.uploaded,
                    role.talk,
                ];
                let name = match role.participants {
                    1 => role.role.to_owned(),
                    participants => format!("{participants} {}", role.role),
                };
                [name, each.to_owned()]
                    .into_iter()
                    .chain(amounts.map(shown))
                    .collect()
            })
        });
        table(&header, &header[2..], rows)
    }
}

/// For display only.
fn soma(amount: Shannons) -> f64 {
    amount.0 as f64 / soma_types::amount::SHANNONS_PER_SOMA as f64
}
