//! Data that has won before, submitted again.

use crate::{
    board::Board,
    desk::Find,
    participants::{Honest, Submitting, Wallet, data_hash},
};

/// Finds as an honest submitter does, but in data that somebody else has shown: all of its finds carry the
/// hash of one winner.
#[derive(Clone, Copy, Debug)]
pub struct CopiedData {
    /// The honest way to find.
    pub honest: Honest,
    /// The number of a document that has won.
    pub shown: u64,
}

impl Submitting for CopiedData {
    fn finds(&self, board: &Board, wallet: &Wallet<'_>) -> Vec<Find> {
        let mut finds = self.honest.finds(board, wallet);
        for find in &mut finds {
            find.data = data_hash(self.shown);
        }
        finds
    }
}
