//! What a proof claims of one block, by that block's roots.

use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, ReadExt as _, Write};
use commonware_runtime::BufMut;
use soma_types::{Address, ModelId, Receipt, TargetId, TransactionHash};

use crate::{
    consensus::Hasher,
    header::Header,
    receipts::{Path, RECEIPT_BYTES_MAX},
    state::{Absence, DIGESTS_MAX, Encoding, Presence, StateValue, state_key},
    subject::{Found, Held, Subject},
};

/// What a proof claims of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This has this value in the state after it.
    Value {
        /// Of what.
        held: Held,
        /// The value, encoded.
        value: StateValue,
        /// The path to the state root.
        proof: Box<Presence>,
    },
    /// This is not in the state after it.
    NoValue {
        /// What is not there.
        held: Held,
        /// The path of the entry before it.
        proof: Box<Absence>,
    },
    /// The block has this receipt.
    Receipt {
        /// The receipt.
        receipt: Box<Receipt>,
        /// The path to the root of receipts.
        path: Path,
    },
    /// The block has no receipt of this transaction.
    NoReceipt {
        /// The transaction.
        transaction: TransactionHash,
        /// The paths of those before and after.
        path: Path,
    },
}

/// A claim is not borne out by the block that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfounded {
    /// Another value, or one of another time.
    #[error("the value is not the one under the block's state root")]
    Value,
    /// It is proved, and is not what it is said to be.
    #[error(
        "the value under the block's state root is not one of this kind: use the release that the network runs"
    )]
    Kind,
    /// There may be one.
    #[error("that there is no value does not follow from the block's state root")]
    NoValue,
    /// Another receipt, or another block's.
    #[error("the receipt is not one under the block's root of receipts")]
    Receipt,
    /// There may be one.
    #[error("that there is no receipt does not follow from the block's root of receipts")]
    NoReceipt,
}

impl Claim {
    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Self::Value { held, .. } | Self::NoValue { held, .. } => Subject::Held(*held),
            Self::Receipt { receipt, .. } => Subject::Receipt(receipt.transaction),
            Self::NoReceipt { transaction, .. } => Subject::Receipt(*transaction),
        }
    }

    /// Checks it against the roots of the block that it is about, and returns what was there.
    pub(crate) fn check(&self, header: &Header) -> Result<Option<Found>, Unfounded> {
        match self {
            Self::Value { held, value, proof } => {
                let key = state_key(&held.key());
                if !proof.verify::<Hasher, Encoding>(key, value.clone(), &header.state_root) {
                    return Err(Unfounded::Value);
                }
                held.found(&value.0).map(Some).ok_or(Unfounded::Kind)
            }
            Self::NoValue { held, proof } => {
                let key = state_key(&held.key());
                if proof.verify::<Hasher>(&key, &header.state_root) {
                    Ok(None)
                } else {
                    Err(Unfounded::NoValue)
                }
            }
            Self::Receipt { receipt, path } => {
                if path.shows(receipt, &header.receipts_root) {
                    Ok(Some(Found::Receipt(receipt.clone())))
                } else {
                    Err(Unfounded::Receipt)
                }
            }
            Self::NoReceipt { transaction, path } => {
                if path.excludes(transaction, &header.receipts_root) {
                    Ok(None)
                } else {
                    Err(Unfounded::NoReceipt)
                }
            }
        }
    }
}

const VALUE: u8 = 0;
const NO_VALUE: u8 = 1;
const RECEIPT: u8 = 2;
const NO_RECEIPT: u8 = 3;

fn receipt_bytes(receipt: &Receipt) -> Vec<u8> {
    borsh::to_vec(receipt).expect("encoding to memory does not fail")
}

impl Write for Claim {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Value { held, value, proof } => {
                VALUE.write(buf);
                held.write(buf);
                value.write(buf);
                proof.write(buf);
            }
            Self::NoValue { held, proof } => {
                NO_VALUE.write(buf);
                held.write(buf);
                proof.write(buf);
            }
            Self::Receipt { receipt, path } => {
                RECEIPT.write(buf);
                receipt_bytes(receipt).write(buf);
                path.write(buf);
            }
            Self::NoReceipt { transaction, path } => {
                NO_RECEIPT.write(buf);
                transaction.0.write(buf);
                path.write(buf);
            }
        }
    }
}

impl EncodeSize for Claim {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Value { held, value, proof } => {
                held.encode_size() + value.encode_size() + proof.encode_size()
            }
            Self::NoValue { held, proof } => held.encode_size() + proof.encode_size(),
            Self::Receipt { receipt, path } => receipt_bytes(receipt).encode_size() + path.encode_size(),
            Self::NoReceipt { transaction, path } => transaction.0.encode_size() + path.encode_size(),
        }
    }
}

impl Read for Claim {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        match u8::read(buf)? {
            VALUE => Ok(Self::Value {
                held: Held::read(buf)?,
                value: StateValue::read(buf)?,
                proof: Box::new(Presence::read_cfg(buf, &(DIGESTS_MAX, ()))?),
            }),
            NO_VALUE => Ok(Self::NoValue {
                held: Held::read(buf)?,
                proof: Box::new(Absence::read_cfg(buf, &(DIGESTS_MAX, ((), ()), ()))?),
            }),
            RECEIPT => {
                let bytes = Vec::<u8>::read_cfg(buf, &((0..=RECEIPT_BYTES_MAX).into(), ()))?;
                let receipt: Receipt = borsh::from_slice(&bytes)
                    .map_err(|_| CodecError::Invalid("claim", "its receipt is none"))?;
                Ok(Self::Receipt {
                    receipt: Box::new(receipt),
                    path: Path::read(buf)?,
                })
            }
            NO_RECEIPT => Ok(Self::NoReceipt {
                transaction: TransactionHash(<[u8; 32]>::read(buf)?),
                path: Path::read(buf)?,
            }),
            tag => Err(CodecError::InvalidEnum(tag)),
        }
    }
}

const ACCOUNT: u8 = 0;
const MODEL: u8 = 1;
const TARGET: u8 = 2;

impl Held {
    const fn parts(&self) -> (u8, &[u8; 32]) {
        match self {
            Self::Account(Address(id)) => (ACCOUNT, id),
            Self::Model(ModelId(id)) => (MODEL, id),
            Self::Target(TargetId(id)) => (TARGET, id),
        }
    }
}

impl Write for Held {
    fn write(&self, buf: &mut impl BufMut) {
        let (tag, id) = self.parts();
        tag.write(buf);
        id.write(buf);
    }
}

impl EncodeSize for Held {
    fn encode_size(&self) -> usize {
        let (tag, id) = self.parts();
        tag.encode_size() + id.encode_size()
    }
}

impl Read for Held {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let (tag, id) = (u8::read(buf)?, <[u8; 32]>::read(buf)?);
        match tag {
            ACCOUNT => Ok(Self::Account(Address(id))),
            MODEL => Ok(Self::Model(ModelId(id))),
            TARGET => Ok(Self::Target(TargetId(id))),
            tag => Err(CodecError::InvalidEnum(tag)),
        }
    }
}
