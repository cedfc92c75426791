//! True finds whose data nobody can download when the audit comes.

use soma_types::transaction::Verdict;

use crate::{
    board::Board,
    desk::Find,
    participants::{Honest, Submitting, Wallet},
};

/// Scores and submits as an honest submitter does, and withdraws the data once it has won.
#[derive(Clone, Copy, Debug)]
pub struct WithheldData(pub Honest);

impl Submitting for WithheldData {
    fn finds(&self, board: &Board, wallet: &Wallet<'_>) -> Vec<Find> {
        let mut finds = self.0.finds(board, wallet);
        for find in &mut finds {
            find.truth = Verdict::DataUnavailable;
        }
        finds
    }
}
