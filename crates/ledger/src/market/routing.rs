//! The epoch's routing table, made from the state (docs/protocol.md, section 6).
//!
//! The table is frozen for an epoch. It is kept in memory by [`RoutingCache`] under the digest that the
//! state records, and rebuilt from the state when it is not there (after a restart, on another fork).

use std::{collections::BTreeMap, sync::Arc};

use soma_routing::RoutingTable;
use soma_types::{ModelId, objects::ModelStatus, transaction::PoolId};

use crate::{
    error::{Broken, OrBroken, Stop},
    ledger::Ledger,
    tables::{EMBEDDINGS, LIVE_MODEL_AT, MODELS, POOLS, ROUTING, RoutingRecord},
};

/// Rows whose records are asked for together: so many that asking again for what is there costs little, and
/// so few that whoever has little time gets on.
const ROWS_PER_READ: usize = 16_384;

/// What the state records of a table.
pub(crate) fn record_of(table: &RoutingTable) -> RoutingRecord {
    RoutingRecord {
        models: table.len() as u64,
        digest: table.digest(),
    }
}

/// Keeps the routing table between blocks. Holds nothing that the state does not determine.
#[derive(Clone, Debug, Default)]
pub struct RoutingCache {
    digest: [u8; 32],
    table: Option<Arc<RoutingTable>>,
}

impl RoutingCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The table of `record`, if that is what is here.
    fn find(&self, record: &RoutingRecord) -> Option<Arc<RoutingTable>> {
        self.table.clone().filter(|_| self.digest == record.digest)
    }

    fn keep(&mut self, record: &RoutingRecord, table: RoutingTable) -> Arc<RoutingTable> {
        let table = Arc::new(table);
        self.digest = record.digest;
        self.table = Some(table.clone());
        table
    }
}

impl Ledger<'_> {
    /// Builds the table of the current epoch from the state. At a boundary, `before` is the table of the
    /// epoch that closed: rows that are in it and did not change are not read again.
    fn build_table(&mut self, before: Option<&RoutingTable>) -> Result<RoutingTable, Stop> {
        let ids = self.expect_all(&LIVE_MODEL_AT, 0..self.hot.counters.live_models)?;
        let records = |id: &ModelId| [MODELS.key(id), POOLS.key(&PoolId::Model(*id))];
        for some in ids.chunks(ROWS_PER_READ) {
            self.prefetch(some.iter().flat_map(records))?;
        }
        let mut known = BTreeMap::new();
        if let Some(before) = before {
            known.extend(before.ids().zip(0..));
        }
        let mut competing = Vec::with_capacity(ids.len());
        for id in &ids {
            let model = self.expect(&MODELS, id)?;
            if model.status != ModelStatus::Active {
                continue;
            }
            let weights = model.weights.or_broken("an active model without weights")?;
            // New weights come with a new embedding.
            let place = known.get(id).filter(|_| weights.active_from < self.epoch());
            competing.push((*id, weights.committed.sequence, place.copied()));
        }
        let new = competing.iter().filter(|(_, _, place)| place.is_none());
        let new: Vec<ModelId> = new.map(|(id, _, _)| *id).collect();
        for some in new.chunks(ROWS_PER_READ) {
            self.prefetch(some.iter().map(|id| EMBEDDINGS.key(id)))?;
        }
        let mut table = RoutingTable::new(self.hot.params.architecture.embedding_dim);
        table.reserve(competing.len());
        for (id, sequence, place) in competing {
            let stake = self.expect(&POOLS, &PoolId::Model(id))?.counted;
            match before.zip(place) {
                Some((before, place)) => table.push_row(id, sequence, stake, before.row(place)),
                None => table.push(id, sequence, stake, &self.expect(&EMBEDDINGS, &id)?),
            }
        }
        Ok(table)
    }

    /// At a boundary: builds the new epoch's table and records its digest.
    pub(crate) fn renew_table(&mut self, cache: &mut RoutingCache) -> Result<(), Stop> {
        let before = cache.find(&self.expect(&ROUTING, &())?);
        let table = self.build_table(before.as_deref())?;
        let record = record_of(&table);
        self.set(&ROUTING, &(), &record);
        self.hot.now.models = record.models;
        cache.keep(&record, table);
        Ok(())
    }

    /// The epoch's table, from the cache if that has it.
    pub(crate) fn table(&mut self, cache: &mut RoutingCache) -> Result<Arc<RoutingTable>, Stop> {
        let record = self.expect(&ROUTING, &())?;
        if let Some(table) = cache.find(&record) {
            return Ok(table);
        }
        let table = self.build_table(None)?;
        if record_of(&table) != record {
            return Err(Broken("routing table").into());
        }
        Ok(cache.keep(&record, table))
    }
}
