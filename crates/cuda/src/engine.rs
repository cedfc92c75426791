//! Machines as a [`Device`]: models placed once, and memory shared between them and passes.

use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use soma_model::{
    Directions, Model,
    device::{Device, DeviceError, Findings, Unit},
    tokenizer::Chunk,
};
use soma_types::Architecture;

use crate::{card::Card, machine::Machine, pass, source::Tiles, weights::ModelAt};

/// What the activations of one pass may take, but for scores.
const PASS_BYTES_MAX: usize = 1 << 30;
/// Tokens of a pass, however small the model.
const PASS_TOKENS_MAX: usize = 1 << 16;

/// Machines of one kind, which share the models among them.
pub struct Engine<M: Machine> {
    name: String,
    cards: Vec<Card<M>>,
    /// Shared by passes that run beside one another; whoever finds memory full then has it alone.
    passing: RwLock<()>,
    /// Least recently used first.
    placed: Mutex<Vec<Arc<Placed<M>>>>,
}

/// A model, and the machine that has it.
struct Placed<M: Machine> {
    /// Dead once the model is dropped.
    identity: Weak<()>,
    card: usize,
    model: ModelAt<M>,
}

impl<M: Machine> Engine<M> {
    /// Of at least one machine; `tiles` is what their kernels were compiled for.
    ///
    /// # Panics
    /// Without any.
    pub fn new(machines: Vec<M>, tiles: Tiles) -> Self {
        let first = machines.first().expect("at least one machine");
        let name = match machines.len() {
            1 => first.name().to_owned(),
            count => format!("{count} x {}", first.name()),
        };
        let card = |machine| Card::new(machine, tiles);
        Self {
            name,
            cards: machines.into_iter().map(card).collect(),
            passing: RwLock::default(),
            placed: Mutex::default(),
        }
    }

    /// Bytes that nothing has, of all machines.
    ///
    /// # Errors
    /// When a driver fails.
    pub fn free_bytes(&self) -> Result<usize, DeviceError> {
        self.cards.iter().map(|card| card.machine.free_bytes()).sum()
    }

    /// The model where it is, or else on the machine with the most free memory.
    fn placed(&self, model: &Model) -> Result<Arc<Placed<M>>, DeviceError> {
        let identity = model.identity();
        let mut all = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|placed| placed.identity.strong_count() > 0);
        if let Some(index) = all.iter().position(|placed| placed.identity.ptr_eq(&identity)) {
            all[index..].rotate_left(1);
            return Ok(Arc::clone(&all[all.len() - 1]));
        }
        let (mut card, mut free_most) = (0, 0);
        for (index, each) in self.cards.iter().enumerate() {
            let free = each.machine.free_bytes()?;
            if free > free_most {
                (card, free_most) = (index, free);
            }
        }
        let model = making_room(
            || self.cards[card].place(model),
            || self.cards[card].drop_idle_lanes() || drop_idle(&mut all, card),
        )?;
        all.push(Arc::new(Placed {
            identity,
            card,
            model,
        }));
        Ok(Arc::clone(&all[all.len() - 1]))
    }

    /// A pass, for which what nobody uses makes room.
    fn pass_beside(
        &self,
        model: &Model,
        chunks: &[Chunk<'_>],
        directions: Option<&Directions>,
    ) -> Result<Vec<Findings>, DeviceError> {
        let placed = self.placed(model)?;
        let card = &self.cards[placed.card];
        making_room(
            || card.pass_of(&placed.model, model.architecture(), chunks, directions),
            || {
                let mut all = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
                card.drop_idle_lanes() || drop_idle(&mut all, placed.card)
            },
        )
    }
}

/// `work` again as long as memory is full and `drop_one` makes some.
fn making_room<T>(
    mut work: impl FnMut() -> Result<T, DeviceError>,
    mut drop_one: impl FnMut() -> bool,
) -> Result<T, DeviceError> {
    loop {
        match work() {
            Err(DeviceError::Full { .. }) if drop_one() => {}
            result => return result,
        }
    }
}

/// Drops the model that was used least recently of those that nobody uses on a machine; whether there was
/// one.
fn drop_idle<M: Machine>(all: &mut Vec<Arc<Placed<M>>>, card: usize) -> bool {
    let idle = |placed: &Arc<Placed<M>>| placed.card == card && Arc::strong_count(placed) == 1;
    let index = all.iter().position(idle);
    index.map(|index| all.remove(index)).is_some()
}

impl<M: Machine> Device for Engine<M> {
    fn name(&self) -> &str {
        &self.name
    }

    fn units(&self) -> Vec<&dyn Unit> {
        self.cards.iter().map(|card| card as &dyn Unit).collect()
    }

    fn pass_tokens(&self, architecture: &Architecture) -> usize {
        (PASS_BYTES_MAX / pass::row_bytes(architecture)).min(PASS_TOKENS_MAX)
    }

    fn pass(
        &self,
        model: &Model,
        chunks: &[Chunk<'_>],
        directions: Option<&Directions>,
    ) -> Result<Vec<Findings>, DeviceError> {
        let shared = self.passing.read().unwrap_or_else(PoisonError::into_inner);
        let result = self.pass_beside(model, chunks, directions);
        drop(shared);
        if !matches!(result, Err(DeviceError::Full { .. })) {
            return result;
        }
        // What other passes use they give back when they end.
        let _alone = self.passing.write().unwrap_or_else(PoisonError::into_inner);
        self.pass_beside(model, chunks, directions)
    }
}
