//! The competition itself, on a running network: publish, activate, submit, cheat, audit, get paid.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use soma_agents::{
    ScoringDesk, Submitter,
    embedding::genesis,
    submitter::{Attempt, Effort, SubmitError},
};
use soma_client::{Account, ClientError, Journal, NodeClient, SubmissionFilter, Traffic};
use soma_localnet::{Blueprint, Localnet};
use soma_model::Scorer;
use soma_types::{
    Address, Architecture, ContentHash, Epoch, Height, Keypair, ModelId, Shannons, StateRoot, SubmissionId,
    amount::SHANNONS_PER_SOMA,
    api::{BlockView, EpochView, ModelView, Status, SubmissionView, Supply},
    genesis::{GenesisAccount, GenesisWeights},
    hash::domain_hash,
    objects::SubmissionStatus,
    params::Params,
    transaction::BasisPoints,
};
use tokio::task::JoinSet;

use crate::{
    args::DemoArgs,
    auditors,
    context::experts,
    demo::{
        bandwidth::{RoleBytes, apart, follow},
        cast::{Cast, Domain},
    },
    error::{CliError, CliResult},
    printer::Printer,
};

/// What every participant starts with: enough for the bonds of all that one could win until they come back.
const BALANCE: Shannons = Shannons(10_000 * SHANNONS_PER_SOMA);
/// What every owner stakes on its model.
const MODEL_STAKE: Shannons = Shannons(100 * SHANNONS_PER_SOMA);
/// The owners' share of their models' rewards, in basis points.
const COMMISSION: u16 = 1_000;
/// A race has a few blocks.
const RACE_MAX: Duration = Duration::from_secs(30);
/// Between two looks at the chain: one block time.
const PAUSE: Duration = Duration::from_millis(250);
/// An epoch may take this many times its planned length before the demo gives up.
const PATIENCE: u32 = 6;

/// Everything planned, nothing started.
#[derive(Debug)]
pub struct Competition {
    domains: Arc<Vec<Domain>>,
    cast: Cast,
    params: Params,
    competing_epochs: u64,
    seed: u64,
    journals: PathBuf,
}

/// What happened, as read from the chain and seen by the participants.
#[derive(Debug)]
pub struct Record {
    /// As each validator answers at the end.
    pub statuses: Vec<Status>,
    /// The state's root in each validator's own storage, and the height it is of.
    pub roots: Vec<(Height, StateRoot)>,
    /// The blocks of those heights, as the first validator has them.
    pub blocks: Vec<BlockView>,
    /// As each validator answers at the end.
    pub supplies: Vec<Supply>,
    /// All epochs.
    pub epochs: Vec<EpochView>,
    /// The specialists, in the order of the domains.
    pub models: Vec<ModelView>,
    /// All submissions.
    pub submissions: Vec<SubmissionView>,
    /// What the false claims became.
    pub forged: BTreeSet<SubmissionId>,
    /// Who cheated.
    pub cheater: Address,
    /// Refusals by the ledger, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// How many auditors found each model's weights as committed.
    pub sound: BTreeMap<ModelId, usize>,
    /// What each role has moved.
    pub roles: Vec<RoleBytes>,
}

impl Record {
    /// The stake of each specialist's pool.
    pub fn stakes(&self) -> Vec<u64> {
        self.models.iter().map(|view| view.pool.stake.0).collect()
    }
}

/// What participants note while they run.
#[derive(Debug, Default)]
struct Notes {
    rejected: BTreeMap<String, u64>,
    forged: BTreeSet<SubmissionId>,
    sound: BTreeMap<ModelId, usize>,
    last_error: Option<String>,
}

type Shared = Arc<Mutex<Notes>>;

fn note(notes: &Shared, change: impl FnOnce(&mut Notes)) {
    change(&mut notes.lock().unwrap_or_else(PoisonError::into_inner));
}

fn note_rejected(notes: &Shared, error: &ClientError) {
    let name = error.rejection_name().unwrap_or("without a name").to_owned();
    note(notes, |notes| *notes.rejected.entry(name).or_default() += 1);
}

impl Competition {
    /// Plans a competition of `cast` on `domains`; participants' secrets go below `folder`.
    ///
    /// # Errors
    /// When the parameters make no sense.
    pub fn plan(
        domains: &Arc<Vec<Domain>>,
        cast: Cast,
        architecture: Architecture,
        args: &DemoArgs,
        folder: &Path,
    ) -> CliResult<Self> {
        let params = Params {
            architecture,
            ..Params::local()
        }
        .validate()?;
        Ok(Self {
            domains: Arc::clone(domains),
            cast,
            params,
            competing_epochs: args.epochs,
            seed: args.seed,
            journals: folder.join("participants"),
        })
    }

    /// Hands the models back.
    pub fn into_cast(self) -> Cast {
        self.cast
    }

    /// The network to make: everyone funded, the generalist as genesis weights.
    ///
    /// # Errors
    /// Never in practice: the URL of a content hash is a URL.
    pub fn blueprint(&self) -> CliResult<Blueprint> {
        let roles = self
            .domains
            .iter()
            .flat_map(|domain| [owner(domain), submitter(domain)]);
        let accounts = roles
            .chain([CHEATER.to_owned()])
            .map(|role| GenesisAccount {
                address: self.keys(&role).address(),
                balance: BALANCE,
            })
            .collect();
        let weights = &self.cast.generalist.weights;
        let hash = ContentHash::of(weights);
        Ok(Blueprint {
            name: "demo".into(),
            params: self.params.clone(),
            accounts,
            weights: Some(GenesisWeights {
                url: format!("soma:{hash}").parse()?,
                size_bytes: weights.len() as u64,
                hash,
            }),
            ..Blueprint::default()
        })
    }

    /// Runs it to the last payment.
    ///
    /// # Errors
    /// When a participant or the network fails.
    pub async fn run(&self, printer: Printer, network: &Localnet) -> CliResult<Record> {
        let nodes = network
            .apis()
            .iter()
            .map(|address| NodeClient::new(&format!("http://{address}")))
            .collect::<Result<Vec<_>, _>>()?;
        let node = &nodes[0];
        node.put_blob(&self.cast.generalist.weights.clone().into())
            .await?;

        let notes = Shared::default();
        let audits = Arc::clone(&notes);
        let own = nodes.iter().map(apart).collect::<CliResult<Vec<_>>>()?;
        let desk = ScoringDesk::new(Scorer::new()?);
        let mut auditors = auditors::start(network, &own, &self.journals, &desk, move |_, step| {
            note(&audits, |notes| match step {
                Ok(progress) => {
                    for model in progress.models_sound {
                        *notes.sound.entry(model).or_default() += 1;
                    }
                    if let Some(error) = progress.passed_over.last() {
                        notes.last_error = Some(error.to_string());
                    }
                }
                // The next step tries again; what stays undone shows in the report.
                Err(error) => notes.last_error = Some(error.to_string()),
            });
        })?;

        printer.note("Publishing the specialists: commit, then reveal one epoch later");
        let mut trainers = RoleBytes::new("trainers");
        let (models, first) = self.publish(&nodes, &mut trainers).await?;
        let last = Epoch(first.0 + self.competing_epochs - 1);
        node.wait_for_epoch(first, self.patience()).await?;
        printer.note(format!("Competing in epochs {first} to {last}"));
        let mut submitters = JoinSet::new();
        for (index, domain) in self.domains.iter().enumerate() {
            let node = apart(&nodes[index % nodes.len()])?;
            let account = self.account(&node, &submitter(domain));
            let agent = Submitter::new(account, self.params.clone(), experts(&node, &self.params)?)?;
            submitters.spawn(submit(
                agent,
                Arc::clone(&self.domains),
                index,
                last,
                Arc::clone(&notes),
            ));
        }
        let account = self.account(node, CHEATER);
        let agent = Submitter::new(account.clone(), self.params.clone(), experts(node, &self.params)?)?;
        submitters.spawn(cheat(agent, Arc::clone(&self.domains), last, Arc::clone(&notes)));
        let mut role = RoleBytes::new("submitters");
        while let Some(finished) = submitters.join_next().await {
            if let Some((effort, traffic)) = finished?? {
                role.scored += effort.scored_bytes;
                role += traffic;
            }
        }

        let paid = Epoch(last.0 + 2);
        printer.note(format!(
            "Auditing in epoch {}, paying in epoch {paid}",
            paid.0 - 1
        ));
        node.wait_for_epoch(paid, self.patience() * 2).await?;
        let deadline = tokio::time::Instant::now() + self.patience();
        while !node
            .epoch(Some(last))
            .await?
            .record
            .is_some_and(|record| record.settled)
        {
            if tokio::time::Instant::now() > deadline {
                let last_error = notes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .last_error
                    .clone();
                return Err(CliError::new(format!(
                    "epoch {last} was not settled in time{}",
                    last_error.map_or(String::new(), |error| format!(
                        "; the last error of an auditor was: {error}"
                    ))
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
        auditors.shutdown().await;
        let notes = std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner));
        let mut roots = Vec::new();
        for query in network.queries() {
            roots.push(
                query
                    .state_root()
                    .await
                    .map_err(|error| CliError::new(format!("a validator's state: {error}")))?,
            );
        }
        // Let the first validator catch up with the height of the others.
        tokio::time::sleep(PAUSE * 4).await;
        let mut record = read_record(&nodes, &models, account.address(), roots, notes).await?;
        let mut audits = RoleBytes::new("auditors");
        audits.scored = desk.scored_bytes();
        for node in &own {
            audits += node.traffic();
        }
        let follower = follow(node, &models, &record.submissions).await?;
        record.roles = vec![trainers, role, audits, follower];
        Ok(record)
    }

    /// Creates, commits and reveals every specialist: their ids, and the epoch in which they compete.
    async fn publish(
        &self,
        nodes: &[NodeClient],
        trainers: &mut RoleBytes,
    ) -> CliResult<(Vec<ModelId>, Epoch)> {
        let mut tasks = JoinSet::new();
        for (index, (domain, specialist)) in self.domains.iter().zip(&self.cast.specialists).enumerate() {
            let account = self.account(&apart(&nodes[index % nodes.len()])?, &owner(domain));
            trainers.trained += specialist.trained_bytes;
            let embedding = genesis(&specialist.model, &domain.train, self.seed)?;
            let (weights, patience) = (specialist.weights.clone(), self.patience());
            tasks.spawn(async move {
                let model = account
                    .create_model(BasisPoints::new(COMMISSION)?, MODEL_STAKE)
                    .await?;
                let committed = account
                    .commit_model(model, weights.into(), Some(embedding))
                    .await?;
                account
                    .node()
                    .wait_for_epoch(committed.reveal_in, patience)
                    .await?;
                account.reveal_model(model, None).await?;
                let traffic = account.node().traffic();
                CliResult::Ok((index, model, committed.reveal_in.next(), traffic))
            });
        }
        let mut published = BTreeMap::new();
        let mut first = Epoch::ZERO;
        while let Some(finished) = tasks.join_next().await {
            let (index, model, active, traffic) = finished??;
            *trainers += traffic;
            published.insert(index, model);
            first = first.max(active);
        }
        Ok((published.into_values().collect(), first))
    }

    /// How long an epoch may take.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.params.epoch_blocks * self.params.block_time_ms) * PATIENCE
    }

    fn account(&self, node: &NodeClient, role: &str) -> Account {
        Account::new(node.clone(), self.keys(role), self.journal(role))
    }

    fn journal(&self, role: &str) -> Journal {
        Journal::new(self.journals.join(role))
    }

    fn keys(&self, role: &str) -> Keypair {
        Keypair::from_secret_bytes(domain_hash(
            "soma demo key",
            &[&self.seed.to_le_bytes(), role.as_bytes()],
        ))
    }
}

const CHEATER: &str = "cheater";

fn owner(domain: &Domain) -> String {
    format!("owner-{}", domain.name)
}

fn submitter(domain: &Domain) -> String {
    format!("submitter-{}", domain.name)
}

/// An honest submitter: its domain's held-out documents, one after the other. What it did and moved.
async fn submit(
    mut agent: Submitter,
    domains: Arc<Vec<Domain>>,
    index: usize,
    last: Epoch,
    notes: Shared,
) -> CliResult<Option<(Effort, Traffic)>> {
    let mut races = JoinSet::new();
    for document in domains[index].held_out.documents.documents() {
        if agent.account().node().status().await?.epoch > last {
            break;
        }
        match agent.try_document(&document.data).await? {
            Attempt::Rejected(error) => note_rejected(&notes, &error),
            // Nothing was sent: let others have the processor.
            Attempt::Missed(_) | Attempt::Known(_) => tokio::time::sleep(PAUSE).await,
            Attempt::Revealed(pending) => {
                let account = agent.account().clone();
                races.spawn(async move { account.settle_submission(&pending, RACE_MAX).await });
            }
        }
    }
    while let Some(settled) = races.join_next().await {
        settled??;
    }
    Ok(Some((agent.effort(), agent.account().node().traffic())))
}

/// The cheater: honest losses, but an embedding that points exactly at the target, until one such
/// claim has won.
async fn cheat(
    mut agent: Submitter,
    domains: Arc<Vec<Domain>>,
    last: Epoch,
    notes: Shared,
) -> CliResult<Option<(Effort, Traffic)>> {
    let node = agent.account().node().clone();
    for document in domains[0].train.documents() {
        // Text that is not held out, so that it collides with nobody's; of a usual length.
        let data = &document.data[..document.data.len().min(1024)];
        if node.status().await?.epoch > last {
            break;
        }
        match forge(&mut agent, data).await? {
            Some(Attempt::Revealed(pending)) => {
                note(&notes, |notes| notes.forged.extend(pending.submission));
                let settled = agent.account().settle_submission(&pending, RACE_MAX).await?;
                if matches!(
                    settled.submission.status,
                    SubmissionStatus::Won | SubmissionStatus::FoundFalse { .. }
                ) {
                    break;
                }
            }
            Some(Attempt::Rejected(error)) => note_rejected(&notes, &error),
            Some(Attempt::Missed(_) | Attempt::Known(_)) | None => tokio::time::sleep(PAUSE).await,
        }
    }
    // What it takes to cheat is no role's.
    Ok(None)
}

/// Submits `data` to an open target with a forged embedding.
async fn forge(agent: &mut Submitter, data: &[u8]) -> Result<Option<Attempt>, SubmitError> {
    let targets = agent.open_targets().await?;
    let Some(target) = targets.last() else {
        return Ok(None);
    };
    let scores = agent.score(data, std::slice::from_ref(target)).await?;
    let Some(mut claim) = soma_agents::matching::claim(&scores, &target.target.models) else {
        return Ok(None);
    };
    claim.embedding = target.embedding.clone();
    agent.submit(data, target.target.id, claim).await.map(Some)
}

/// Reads everything the report needs.
async fn read_record(
    nodes: &[NodeClient],
    models: &[ModelId],
    cheater: Address,
    roots: Vec<(Height, StateRoot)>,
    notes: Notes,
) -> CliResult<Record> {
    let mut statuses = Vec::new();
    let mut supplies = Vec::new();
    for node in nodes {
        statuses.push(node.status().await?);
        supplies.push(node.supply().await?);
    }
    let node = &nodes[0];
    let mut blocks = Vec::new();
    for (height, _) in &roots {
        blocks.push(node.block(Some(*height)).await?);
    }
    let mut epochs = Vec::new();
    for epoch in 0..=statuses[0].epoch.0 {
        epochs.push(node.epoch(Some(Epoch(epoch))).await?);
    }
    let mut views = Vec::new();
    for model in models {
        views.push(node.model(model).await?);
    }
    let submissions = node.submissions(&SubmissionFilter::default()).await?;
    Ok(Record {
        statuses,
        blocks,
        supplies,
        roots,
        epochs,
        models: views,
        submissions,
        forged: notes.forged,
        cheater,
        rejected: notes.rejected,
        sound: notes.sound,
        roles: Vec::new(),
    })
}
