//! The application under consensus: builds, verifies and applies blocks with one execution function.
//!
//! Upon being asked to propose on parent `p`:
//! * wait for a certificate of `p`'s round, which carries the seed;
//! * wait until [`BLOCK_TIME_MS`](crate::block::BLOCK_TIME_MS) after `p`'s timestamp, but no longer than
//!   that;
//! * execute the pool's candidates behind what `p` and its ancestors hold that is not final yet, leaving out
//!   what may not enter a block.
//!
//! Upon receiving a candidate block on parent `p`:
//! * reject it if its timestamp is less than [`BLOCK_TIME_MS`](crate::block::BLOCK_TIME_MS) or more than
//!   [`TIMESTAMP_STEP_MS_MAX`](crate::block::TIMESTAMP_STEP_MS_MAX) after `p`'s, if its seed is not the
//!   network's signature of `p`'s round, or if any transaction may not enter a block;
//! * if its timestamp lies ahead of this node's [`time`], delay the verdict until then, but no
//!   longer than it lies after `p`'s. A clock never decides a verdict;
//! * execute it, and compare the roots it leads to with the block's.
//!
//! Failures: a node whose storage fails stops. It recovers by restarting.

mod pending;

use std::{sync::Arc, time::Duration};

use commonware_consensus::{Heightable as _, marshal::ancestry::Ancestry};
use commonware_cryptography::Digestible as _;
use commonware_glue::stateful::{
    Application, Finality, Input, Proposed,
    db::{DatabaseSet, Merkleized as _, Unmerkleized as _},
};
use commonware_storage::qmdb::sync::Target;
use commonware_utils::non_empty_range;
use futures::StreamExt as _;
use soma_types::VerifiedTransaction;
use tracing::{debug, warn};

use self::pending::Pending;
use crate::{
    block::{Block, Header, SeedSignature, timestamp_follows},
    consensus::{Context, Digest, Scheme},
    execution::{
        Batch, BatchSource, Bridge, DatabaseSource, Databases, Sealed, Source, SpeculativeSource, StateValue,
        state_key,
    },
    machine::{BlockContext, Executed, Inadmissible, Invalid, Machine, Observer, Pool},
    runtime::Runtime,
    seeds::{Seeds, execution_seed},
    time::{self, Time},
};

/// The application. Clones share the pending outcomes.
pub struct App<E, M: Machine, P, O> {
    genesis: Block,
    machine: M,
    pool: P,
    scheme: Scheme,
    seeds: Seeds,
    observer: O,
    time: Time,
    pending: Pending<M::Outcome>,
    tasks: Arc<E>,
}

impl<E, M: Machine, P: Clone, O: Clone> Clone for App<E, M, P, O> {
    fn clone(&self) -> Self {
        Self {
            genesis: self.genesis.clone(),
            machine: self.machine.clone(),
            pool: self.pool.clone(),
            scheme: self.scheme.clone(),
            seeds: self.seeds.clone(),
            observer: self.observer.clone(),
            time: self.time.clone(),
            pending: self.pending.clone(),
            tasks: Arc::clone(&self.tasks),
        }
    }
}

impl<E: Runtime, M: Machine, P: Pool, O: Observer<M::Outcome>> App<E, M, P, O> {
    /// An application that starts from `genesis`, takes what it proposes from `pool`, and dates blocks by
    /// `time`. What it does besides runs in `context`.
    pub fn new(
        genesis: Block,
        machine: M,
        pool: P,
        scheme: Scheme,
        seeds: Seeds,
        observer: O,
        (context, time): (E, Time),
    ) -> Self {
        Self {
            genesis,
            machine,
            pool,
            scheme,
            seeds,
            observer,
            time,
            pending: Pending::default(),
            tasks: Arc::new(context),
        }
    }

    /// What execution knows about a block on `parent`.
    fn context(
        &self,
        consensus: &Context,
        parent: Digest,
        height: u64,
        timestamp_ms: u64,
        seed: Option<&SeedSignature>,
    ) -> BlockContext {
        BlockContext {
            parent,
            height,
            timestamp_ms,
            seed: execution_seed(seed, self.genesis.digest().as_ref()),
            proposer: consensus.leader.clone(),
        }
    }

    /// What execution knows about a block that has been made.
    fn context_of(&self, header: &Header) -> BlockContext {
        let Header {
            context,
            parent,
            height,
            timestamp_ms,
            seed,
            ..
        } = header;
        self.context(context, *parent, height.get(), *timestamp_ms, seed.as_ref())
    }

    /// Executes and seals: the one function behind proposing and verifying.
    async fn execute(
        &self,
        block: &BlockContext,
        transactions: Vec<VerifiedTransaction>,
        inadmissible: Inadmissible,
        batch: Batch<E>,
    ) -> Result<(Executed<M::Outcome>, Sealed<E>), Invalid> {
        let (executed, changes) = {
            let mut bridge = Bridge::new(BatchSource::<E>(&batch));
            let executed = self
                .machine
                .execute(&mut bridge, block, transactions, inadmissible)
                .await?;
            (executed, bridge.into_changes())
        };
        let mut batch = batch;
        for (key, value) in changes {
            batch = batch.write(state_key(&key), value.map(StateValue));
        }
        let sealed = batch
            .merkleize()
            .await
            .unwrap_or_else(|error| panic!("cannot seal the state: {error}"));
        Ok((executed, sealed))
    }

    /// Begins what follows `block` at once, where that takes long: nobody asks for it yet.
    fn get_ahead(&self, block: &Block, executed: &Executed<M::Outcome>, sealed: &Sealed<E>) {
        if !self.machine.is_worth_preparing(&executed.outcome) {
            return;
        }
        let (machine, parent, height) = (self.machine.clone(), block.digest(), block.height().next());
        let source = SpeculativeSource::<E>::new(sealed.new_batch());
        // Not on a thread that consensus waits for.
        let task = self.tasks.child("boundary").shared(true);
        task.spawn(move |_| async move {
            let work = machine.prepare(height.get(), parent, &source);
            source.unless_lost(work).await;
        });
    }

    /// Executes and seals a block that someone else may have made.
    async fn check(
        &self,
        block: &Block,
        batch: Batch<E>,
    ) -> Result<(Executed<M::Outcome>, Sealed<E>), Invalid> {
        let transactions = self.machine.verify(block.transactions())?;
        let context = self.context_of(block.header());
        self.execute(&context, transactions, Inadmissible::Reject, batch)
            .await
    }

    /// Whether `block` obeys the rules that need no execution.
    fn follows(&self, block: &Header, parent: &Header) -> Result<(), &'static str> {
        if !timestamp_follows(block, parent) {
            return Err("its timestamp does not follow its parent's");
        }
        match (parent.seed_round(), &block.seed) {
            (None, None) => Ok(()),
            (Some(round), Some(seed)) if self.seeds.verify(&self.scheme, round, seed) => Ok(()),
            _ => Err("its seed is not the network's signature of its parent's round"),
        }
    }

    /// Executes a finalized block on the state before it.
    async fn replay<S: Source + Send>(
        &self,
        block: &Block,
        source: S,
    ) -> Result<Executed<M::Outcome>, Invalid> {
        let transactions = self.machine.verify(block.transactions())?;
        let context = self.context_of(block.header());
        let mut bridge = Bridge::new(source);
        self.machine
            .execute(&mut bridge, &context, transactions, Inadmissible::Reject)
            .await
    }
}

impl<E: Runtime, M: Machine, P: Pool, O: Observer<M::Outcome>> Application<E> for App<E, M, P, O>
where
    O: Sync,
{
    type SigningScheme = Scheme;
    type Context = Context;
    type Block = Block;
    type Databases = Databases<E>;
    type Captured = Executed<M::Outcome>;
    type Provider = ();
    type Input = ();

    fn sync_targets(block: &Block) -> <Self::Databases as DatabaseSet<E>>::SyncTargets {
        let Header { log_root, range, .. } = block.header();
        Target::new(*log_root, range.clone())
    }

    async fn genesis(&mut self) -> Block {
        self.genesis.clone()
    }

    async fn propose(
        &mut self,
        (clock, consensus): (E, Context),
        ancestry: impl Ancestry<Block>,
        batches: Batch<E>,
        _: Input<(), ()>,
    ) -> Option<Proposed<Self, E>> {
        let mut ancestry = Box::pin(ancestry);
        let parent = ancestry.next().await?;
        let (parent_digest, parent) = (parent.digest(), parent.inner().header());

        let seed = match parent.seed_round() {
            Some(round) => Some(self.seeds.wait(round).await),
            None => None,
        };
        let early_ms = time::wait_to_propose_ms(parent.timestamp_ms, self.time.now_ms(&clock));
        if early_ms > 0 {
            clock.sleep(Duration::from_millis(early_ms)).await;
        }
        let timestamp_ms = time::date_ms(parent.timestamp_ms, self.time.now_ms(&clock));

        let height = parent.height.next();
        let context = self.context(
            &consensus,
            parent_digest,
            height.get(),
            timestamp_ms,
            seed.as_ref(),
        );
        let ahead = self.pending.ahead(parent.height.get(), parent_digest);
        let candidates = self.pool.candidates(&ahead);
        let (executed, merkleized) = self
            .execute(&context, candidates, Inadmissible::Drop, batches)
            .await
            .ok()?;
        let bounds = merkleized.bounds();
        let header = Header {
            context: consensus,
            parent: parent_digest,
            height,
            timestamp_ms,
            seed,
            state_root: merkleized.root(),
            log_root: merkleized.ops_root(),
            range: non_empty_range!(merkleized.sync_boundary(), bounds.tip.size),
            receipts_root: self.machine.receipts_root(&executed.outcome),
        };
        let encoded = executed.transactions.iter().map(VerifiedTransaction::encoded);
        let block = Block::new(header, encoded.cloned().collect());
        debug!(%height, transactions = executed.transactions.len(), "proposing");
        self.get_ahead(&block, &executed, &merkleized);
        self.pending
            .insert(height.get(), block.digest(), parent_digest, executed);
        self.observer.seen(&block, self.time.now_ms(&clock));
        Some(Proposed { block, merkleized })
    }

    async fn process(
        &mut self,
        (clock, _): (E, Context),
        ancestry: impl Ancestry<Block>,
        batches: Batch<E>,
        finality: Finality,
    ) -> Option<Sealed<E>> {
        let mut ancestry = Box::pin(ancestry);
        let block = ancestry.next().await?;
        let digest = block.digest();
        let block = block.inner_shared();
        let header = block.header();
        if finality == Finality::Candidate {
            let parent = ancestry.next().await?;
            let parent = parent.inner().header();
            if let Err(reason) = self.follows(header, parent) {
                warn!(height = %header.height, reason, "rejected a block");
                return None;
            }
            let early_ms =
                time::wait_to_accept_ms(parent.timestamp_ms, header.timestamp_ms, self.time.now_ms(&clock));
            if early_ms > 0 {
                clock.sleep(Duration::from_millis(early_ms)).await;
            }
        }
        let (executed, sealed) = self
            .check(&block, batches)
            .await
            .inspect_err(|invalid| warn!(height = %header.height, %invalid, "rejected a block"))
            .ok()?;
        // The engine compares the log's root; the other two are ours to compare.
        let receipts_root = self.machine.receipts_root(&executed.outcome);
        if (header.state_root, header.receipts_root) != (sealed.root(), receipts_root) {
            warn!(height = %header.height, "rejected a block: its roots are not what it leads to");
            return None;
        }
        self.get_ahead(&block, &executed, &sealed);
        self.pending
            .insert(header.height.get(), digest, header.parent, executed);
        self.observer.seen(&block, self.time.now_ms(&clock));
        Some(sealed)
    }

    async fn capture(
        &mut self,
        _: (E, Context),
        block: &Block,
        _: &Sealed<E>,
        readers: <Self::Databases as DatabaseSet<E>>::Readers,
    ) -> Executed<M::Outcome> {
        match self.pending.take(block.height().get(), block.digest()) {
            Some(executed) => executed,
            None => {
                let database = readers.read().await;
                let replayed = self.replay(block, DatabaseSource::<E>(&database)).await;
                replayed.unwrap_or_else(|invalid| {
                    panic!("finalized block {} is invalid: {invalid}", block.height())
                })
            }
        }
    }

    async fn finalized(
        &mut self,
        (clock, _): (E, Context),
        block: &Block,
        executed: Executed<M::Outcome>,
        readers: <Self::Databases as DatabaseSet<E>>::Readers,
    ) {
        let included = executed.transactions.clone();
        // It is in the index before it leaves the pool: whoever asks for it finds it in one of them.
        self.observer
            .finalized(block, executed, self.time.now_ms(&clock))
            .await;
        {
            let database = readers.read().await;
            let state = DatabaseSource::<E>(&database);
            self.pool.finalized(&included, state).await;
        }
        self.pending.finalized(block.height().get());
    }
}
