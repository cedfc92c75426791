//! Those who take part honestly. A strategy is a function from what everyone can see and what its owner
//! has (documents, weights, money) to transactions; it changes nothing itself.

mod auditors;
mod households;
mod submitters;
mod trainers;

pub use auditors::{Auditing, Diligent, Task, Validator};
pub use households::{Household, stake_moves};
pub use submitters::{Honest, Rule, SIZE_BYTES_MAX, Submitter, Submitting, Wallet, data_hash};
pub use trainers::{Habit, Standing, Trainer, trainer_move};
