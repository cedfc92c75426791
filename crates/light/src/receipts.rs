//! The receipts of a block under one root: a binary Merkle tree over them in the order of their transactions'
//! names. So that there is one is proved by its path, and that there is none by the two between which it
//! would be.

use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, ReadExt as _, Write};
use commonware_cryptography::Hasher as _;
use commonware_runtime::BufMut;
use commonware_storage::bmt::{Builder, Proof, Tree};
use soma_types::{Receipt, TransactionHash};

use crate::consensus::{Digest, Hasher};

const LEAF_DOMAIN: &[u8] = b"soma 2026 receipt";
/// Longest receipt, in bytes.
pub const RECEIPT_BYTES_MAX: usize = 4 << 20;

/// A receipt's place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    transaction: TransactionHash,
    /// Of the receipt's encoding.
    content: Digest,
}

impl Leaf {
    fn of(receipt: &Receipt) -> Self {
        Self {
            transaction: receipt.transaction,
            content: Hasher::hash(&[encoded(receipt).as_slice()]),
        }
    }

    fn digest(&self) -> Digest {
        Hasher::hash(&[LEAF_DOMAIN, &self.transaction.0, self.content.as_ref()])
    }
}

fn encoded(receipt: &Receipt) -> Vec<u8> {
    borsh::to_vec(receipt).expect("encoding to memory does not fail")
}

/// The receipts of a block, in order.
pub struct Receipts {
    leaves: Vec<Leaf>,
    tree: Tree<Digest>,
}

impl Receipts {
    /// Those of `receipts`.
    #[must_use]
    pub fn new(receipts: &[Receipt]) -> Self {
        let mut leaves: Vec<Leaf> = receipts.iter().map(Leaf::of).collect();
        leaves.sort_unstable_by_key(|leaf| leaf.transaction);
        let mut builder = Builder::<Hasher>::new(leaves.len());
        for leaf in &leaves {
            builder.add(&leaf.digest());
        }
        let tree = builder.build();
        Self { leaves, tree }
    }

    /// What a header names them by.
    #[must_use]
    pub const fn root(&self) -> Digest {
        self.tree.root()
    }

    /// The proof that `transaction` has a place here; or between which it would have it.
    #[must_use]
    pub fn prove(&self, transaction: &TransactionHash) -> Path {
        let place = self
            .leaves
            .binary_search_by_key(transaction, |leaf| leaf.transaction);
        let (first, count) = match place {
            Ok(at) => (at, 1),
            Err(at) => {
                let first = at.saturating_sub(1);
                (first, (at + 1).min(self.leaves.len()) - first)
            }
        };
        let leaves = self.leaves[first..first + count].to_vec();
        let last = first + count.saturating_sub(1);
        let proof = self.tree.range_proof(first as u32, last as u32);
        Path {
            first: first as u32,
            leaves,
            proof: proof.expect("the tree has these leaves"),
        }
    }
}

/// Leaves next to each other, and what binds them to a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    first: u32,
    leaves: Vec<Leaf>,
    proof: Proof<Digest>,
}

impl Path {
    /// Whether these leaves are where they say, under `root`.
    fn leads_to(&self, root: &Digest) -> bool {
        let digests: Vec<Digest> = self.leaves.iter().map(Leaf::digest).collect();
        let verified = self
            .proof
            .verify_range_inclusion::<Hasher>(self.first, &digests, root);
        verified.is_ok()
    }

    /// Whether it shows `receipt` under `root`.
    pub(crate) fn shows(&self, receipt: &Receipt, root: &Digest) -> bool {
        self.leaves == [Leaf::of(receipt)] && self.leads_to(root)
    }

    /// Whether it shows that `transaction` has no receipt under `root`.
    pub(crate) fn excludes(&self, transaction: &TransactionHash, root: &Digest) -> bool {
        let count = self.proof.leaf_count;
        let (begins, ends) = (
            self.first == 0,
            u32::try_from(self.leaves.len())
                .is_ok_and(|length| self.first.checked_add(length) == Some(count)),
        );
        let before = |leaf: &Leaf| leaf.transaction < *transaction;
        let after = |leaf: &Leaf| leaf.transaction > *transaction;
        let between = match self.leaves.as_slice() {
            [] => count == 0,
            [only] => (begins && after(only)) || (ends && before(only)),
            [left, right] => before(left) && after(right),
            _ => false,
        };
        between && self.leads_to(root)
    }
}

impl Write for Leaf {
    fn write(&self, buf: &mut impl BufMut) {
        self.transaction.0.write(buf);
        self.content.write(buf);
    }
}

impl EncodeSize for Leaf {
    fn encode_size(&self) -> usize {
        self.transaction.0.encode_size() + self.content.encode_size()
    }
}

impl Read for Leaf {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self {
            transaction: TransactionHash(<[u8; 32]>::read(buf)?),
            content: Digest::read(buf)?,
        })
    }
}

impl Write for Path {
    fn write(&self, buf: &mut impl BufMut) {
        self.first.write(buf);
        self.leaves.write(buf);
        self.proof.write(buf);
    }
}

impl EncodeSize for Path {
    fn encode_size(&self) -> usize {
        self.first.encode_size() + self.leaves.encode_size() + self.proof.encode_size()
    }
}

impl Read for Path {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self {
            first: u32::read(buf)?,
            leaves: Vec::read_cfg(buf, &((0..=2).into(), ()))?,
            proof: Proof::read_cfg(buf, &2)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use commonware_codec::{DecodeExt as _, Encode as _};
    use soma_types::{Address, Height, Shannons, receipt::Outcome};

    use super::*;

    fn receipt(byte: u8, fee: u64) -> Receipt {
        Receipt {
            transaction: TransactionHash([byte; 32]),
            sender: Address([7; 32]),
            height: Height(9),
            index: u32::from(byte),
            fee: Shannons(fee),
            outcome: Outcome::Applied { created: None },
            events: Vec::new(),
        }
    }

    #[test]
    fn what_is_there_is_shown_and_what_is_not_is_excluded() {
        for count in 0..20_u8 {
            // Names 10, 20, .., in another order.
            let receipts: Vec<Receipt> = (1..=count).rev().map(|n| receipt(10 * n, u64::from(n))).collect();
            let tree = Receipts::new(&receipts);
            let root = tree.root();
            for name in 0..=220 {
                let transaction = TransactionHash([name; 32]);
                let path = tree.prove(&transaction);
                assert_eq!(Path::decode(path.encode()).unwrap(), path);
                let there = receipts.iter().find(|receipt| receipt.transaction == transaction);
                assert_eq!(
                    path.excludes(&transaction, &root),
                    there.is_none(),
                    "{name} of {count}"
                );
                // A neighbour's path, which excludes, shows the neighbour.
                for receipt in receipts.iter().filter(|_| there.is_some()) {
                    let shown = there == Some(receipt);
                    assert_eq!(path.shows(receipt, &root), shown, "{name} of {count}");
                }
            }
        }
    }

    #[test]
    fn a_forged_path_shows_nothing_and_excludes_nothing() {
        let receipts: Vec<Receipt> = (1..=5).map(|n| receipt(10 * n, 1)).collect();
        let tree = Receipts::new(&receipts);
        let (root, there) = (tree.root(), receipts[1].transaction);
        // Another fee under the same name.
        assert!(!tree.prove(&there).shows(&receipt(20, 2), &root));
        // It hides one: its neighbours are passed off as next to each other.
        let others: Vec<Receipt> = receipts
            .iter()
            .filter(|r| r.transaction != there)
            .cloned()
            .collect();
        assert!(!Receipts::new(&others).prove(&there).excludes(&there, &root));
        let mut path = tree.prove(&there);
        path.leaves = vec![Leaf::of(&receipts[0]), Leaf::of(&receipts[2])];
        for first in 0..4 {
            path.first = first;
            assert!(!path.excludes(&there, &root));
        }
        // One side alone proves nothing but at the end.
        for (at, other) in [(0, 4), (4, 0)] {
            let mut path = tree.prove(&receipts[at].transaction);
            assert!(!path.excludes(&there, &root));
            path.proof.leaf_count = 1;
            assert!(!path.excludes(&receipts[other].transaction, &root));
        }
        // Nor does a block without any, of one that has some.
        assert!(!Receipts::new(&[]).prove(&there).excludes(&there, &root));
    }
}
