//! Submitters: they score the documents they have against the open targets, and submit what hits.

use std::rc::Rc;

use rand::{RngExt as _, seq::IndexedRandom as _};
use soma_types::{ContentHash, hash::domain_hash, losses::lowest, transaction::Verdict};

use crate::{
    board::{Board, OpenTarget},
    chain::Actor,
    desk::Find,
    space::{CLUSTERS, Document, Rng, Space, dot},
};

/// What a submitter brings to a block.
#[derive(Debug)]
pub struct Wallet<'a> {
    /// Its account.
    pub me: Actor,
    /// Documents it has not scored before.
    pub documents: &'a [Document],
    /// How many finds it has the bonds and deposits for.
    pub bonds: usize,
}

/// A way to submit.
pub trait Submitting {
    /// What it submits now.
    fn finds(&self, board: &Board, wallet: &Wallet<'_>) -> Vec<Find>;
}

/// Which threshold a target holds its submitters to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The one in force when it opened.
    Frozen,
    /// That, or the one in force at the commit where it is lower.
    Relaxing,
}

impl Rule {
    fn threshold_q30(self, board: &Board, target: &OpenTarget) -> i64 {
        match self {
            Self::Frozen => target.threshold_q30,
            Self::Relaxing => target.threshold_q30.min(board.threshold_now_q30()),
        }
    }
}

/// Submits a document to a target it truly hits, where nobody else was seen to be first.
#[derive(Clone, Copy, Debug)]
pub struct Honest {
    /// The threshold it holds itself to.
    pub rule: Rule,
}

impl Submitting for Honest {
    fn finds(&self, board: &Board, wallet: &Wallet<'_>) -> Vec<Find> {
        let mut taken = Vec::new();
        let mut finds = Vec::new();
        let open: Vec<&OpenTarget> = board.open().collect();
        for document in wallet.documents {
            if finds.len() == wallet.bonds {
                break;
            }
            // Each begins elsewhere, so that not all run for the same target.
            let (before, after) = open.split_at(document.number as usize % open.len().max(1));
            let free = after
                .iter()
                .chain(before)
                .filter(|target| !taken.contains(&target.id));
            let find = Scored::new(board, document).first_hit(free.copied(), self.rule, wallet.me);
            taken.extend(find.as_ref().map(|find| find.target));
            finds.extend(find);
        }
        finds
    }
}

/// A document with what its scoring by every model shows.
struct Scored<'a> {
    board: &'a Board,
    document: &'a Document,
    cosines: Vec<f32>,
}

impl<'a> Scored<'a> {
    fn new(board: &'a Board, document: &'a Document) -> Self {
        let cosine = |mind: &crate::space::Mind| dot(&document.position, &mind.position);
        Self {
            board,
            document,
            cosines: board.minds.iter().map(cosine).collect(),
        }
    }

    fn first_hit<'t>(
        &self,
        mut targets: impl Iterator<Item = &'t OpenTarget>,
        rule: Rule,
        me: Actor,
    ) -> Option<Find> {
        targets.find_map(|target| self.hit(target, rule, me))
    }

    fn hit(&self, target: &OpenTarget, rule: Rule, me: Actor) -> Option<Find> {
        let threshold_q30 = rule.threshold_q30(self.board, target);
        let needed = threshold_q30 as f32 / (1_u32 << 30) as f32;
        let cosine = dot(&self.document.position, &target.position);
        // No model pulls further than this.
        if cosine < needed - 0.25 {
            return None;
        }
        let loss = |place: &usize| {
            self.document
                .loss(&self.board.minds[*place], self.cosines[*place])
        };
        let losses = target.models.iter().map(loss);
        let losses_nano: Vec<u64> = losses.map(|loss| (loss * 1e9) as u64).collect();
        let winner = lowest(&losses_nano)?;
        let place = target.models[winner];
        let similarity = Document::similarity(cosine, target.cosines[winner], self.cosines[place]);
        if similarity < needed {
            return None;
        }
        let embedding = self.document.embedding(&self.board.minds[place]);
        let exact = soma_types::Embedding::from_f32(&target.position)
            .ok()?
            .dot(&embedding);
        // What rounding decides is left to others.
        if i64::from(exact) < threshold_q30 + (1 << 16) {
            return None;
        }
        Some(Find {
            by: me,
            target: target.id,
            data: data_hash(self.document.number),
            size_bytes: size_bytes(self.document.number),
            losses_nano,
            embedding,
            truth: Verdict::Valid,
        })
    }
}

/// The hash of a document.
#[must_use]
pub fn data_hash(number: u64) -> ContentHash {
    ContentHash(domain_hash("soma 2026 sim document", &[&number.to_le_bytes()]))
}

/// The length of the longest document.
pub const SIZE_BYTES_MAX: u64 = 16 << 10;

/// The length of a document: 1 to 16 KiB, one to sixteen full chunks.
const fn size_bytes(number: u64) -> u64 {
    (1 << 10) + (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50) % (15 << 10)
}

/// Kinds of documents that a submitter has.
const CORPORA: usize = 3;

/// A submitter.
#[derive(Clone)]
pub struct Submitter {
    /// Its account.
    pub actor: Actor,
    /// What it does.
    pub strategy: Rc<dyn Submitting>,
    /// Documents it scores in a block.
    pub documents: f64,
    /// What kinds of documents it has.
    corpora: [usize; CORPORA],
    /// The part of a document that the blocks so far left it.
    left_over: f64,
}

impl Submitter {
    /// One with documents of a few kinds.
    pub(crate) fn new(actor: Actor, strategy: Rc<dyn Submitting>, documents: f64, draw: &mut Rng) -> Self {
        Self {
            actor,
            strategy,
            documents,
            corpora: std::array::from_fn(|_| draw.random_range(0..CLUSTERS)),
            // So that not all score in the same block.
            left_over: draw.random(),
        }
    }

    /// The documents that it scores in the next block.
    pub(crate) fn read(&mut self, space: &mut Space, draw: &mut Rng) -> Vec<Document> {
        self.left_over += self.documents;
        let count = self.left_over as usize;
        self.left_over -= count as f64;
        let mut documents = Vec::with_capacity(count);
        for _ in 0..count {
            let cluster = *self.corpora.choose(draw).expect("some corpora");
            documents.push(space.document(cluster, draw));
        }
        documents
    }
}
