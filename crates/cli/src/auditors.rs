//! One auditor for each validator of a localnet, and what is told of auditors.

use std::{collections::BTreeSet, path::Path};

use soma_agents::{
    Auditor, Experts, ScoringDesk,
    auditor::{AuditError, Progress},
};
use soma_client::{Account, Journal, NodeClient};
use soma_localnet::Localnet;
use tokio::task::JoinSet;

use crate::{context::experts, error::CliResult};

/// Starts them; they end with the set. `observe` is told a validator's place and what came of each of its
/// auditor's steps. What they have sent is journalled below `folder`. One machine, one operator: what its
/// auditors have scored is scored once, at `desk`, with models that are in memory once.
///
/// # Errors
/// When a node's client cannot be made.
pub fn start(
    network: &Localnet,
    nodes: &[NodeClient],
    folder: &Path,
    desk: &ScoringDesk,
    observe: impl Fn(usize, Result<Progress, AuditError>) + Clone + Send + 'static,
) -> CliResult<JoinSet<()>> {
    let params = &network.genesis().params;
    let mut first: Option<Experts> = None;
    let mut tasks = JoinSet::new();
    for (index, (keys, node)) in network.validator_accounts().iter().zip(nodes).enumerate() {
        let account = Account::new(node.clone(), keys.clone(), Journal::new(folder.join("auditors")));
        let own = experts(node, params)?;
        let experts = match &first {
            Some(first) => own.sharing(first),
            None => first.insert(own).clone(),
        };
        let auditor = Auditor::new(account, params.clone(), experts, desk.clone());
        let observe = observe.clone();
        tasks.spawn(async move {
            let never = auditor.run(move |step| observe(index, step)).await;
            match never {}
        });
    }
    Ok(tasks)
}

/// Past that much it is told again.
const TOLD_MAX: usize = 1_000;

/// What was told of an auditor's troubles, so that what lasts is told once. Its next step tries again.
#[derive(Debug, Default)]
pub struct Told(BTreeSet<String>);

impl Told {
    /// Those of `troubles` that were not told before.
    pub fn new_ones(&mut self, troubles: &[AuditError]) -> Vec<String> {
        if self.0.len() + troubles.len() > TOLD_MAX {
            self.0.clear();
        }
        let texts = troubles.iter().map(ToString::to_string);
        texts.filter(|text| self.0.insert(text.clone())).collect()
    }
}
