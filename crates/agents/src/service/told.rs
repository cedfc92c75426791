//! What comes into the service, and what it tells.

use soma_client::ClientError;
use soma_types::{Shannons, SubmissionId, objects::SubmissionStatus, provenance::Provenance};

use crate::matching::Miss;

/// A document.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its place among all.
    pub number: u64,
    /// Where it comes from.
    pub name: String,
    /// Its bytes.
    pub data: Vec<u8>,
    /// What everyone is told of where it comes from, once it is revealed.
    pub provenance: Provenance,
}

/// How a document ended.
#[derive(Debug)]
pub enum End {
    /// It hits no open target.
    Missed(Miss),
    /// It is someone's already; by whose word.
    Known(String),
    /// The ledger said no.
    Rejected(Box<ClientError>),
    /// Its race is over, and if it has won its data is handed over.
    Over(SubmissionId, SubmissionStatus),
    /// It is committed, and how it goes on is not known: the next run finishes it.
    Left(Box<ClientError>),
}

/// What the service tells while it runs.
#[derive(Debug)]
pub enum Told<'a> {
    /// A document came to its end.
    Ended(&'a Document, &'a End),
    /// What an earlier run has left was finished, or could not be.
    Finished(Option<SubmissionId>, Result<SubmissionStatus, &'a ClientError>),
    /// Nothing can be done just now: why, in words.
    Waits(String),
    /// A race begins: what it is for is among the service's hits to come.
    Races,
    /// There are as many hits as wanted, before anything was begun.
    HitsReached(u64),
    /// The limit of fees is reached.
    FeesReached(Shannons),
}

/// What has come of all documents so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Documents that hit nothing.
    pub missed: u64,
    /// That were someone's already.
    pub known: u64,
    /// That the ledger refused.
    pub rejected: u64,
    /// That were committed and revealed.
    pub submitted: u64,
    /// That won.
    pub won: u64,
    /// Whether it ended because it was asked to.
    pub stopped: bool,
    /// All documents before this one came to their ends.
    pub position: u64,
}
