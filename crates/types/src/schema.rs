//! What the vocabulary looks like in JSON: schemas for the OpenAPI document, which clients are made from.
//! Each takes what its type takes, and nothing else.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        OneOfBuilder, RefOr, SchemaFormat,
        schema::{ArrayBuilder, ObjectBuilder, Schema, Type},
    },
};

use crate::{
    Address, BlockHash, ChainId, Commitment, ContentHash, DecryptionKey, Embedding, Epoch, Height, ModelId,
    PublicKey, Salt, Seed, Shannons, StateRoot, SubmissionId, TargetId, TransactionHash, Transcript,
    api::{
        EncodedTransaction,
        score::{OneOrMany, TEXTS_MAX},
    },
    objects::ModelStatus,
    phase::{Phase, SubmissionPhase, TargetPhase},
};

/// 32 bytes.
const NAME: &str = "^0x[0-9a-fA-F]{64}$";
/// A number. None of more digits is needed: there are 10^16 shannons.
const DIGITS: &str = "^[0-9]{1,19}$";
/// With its padding, and no bits but those of the bytes.
const BASE64: &str = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?";

/// A text of which `pattern` says what it may be.
fn text(pattern: &str, says: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
        .description(Some(says))
}

/// A whole number of at most 64 bits.
#[must_use]
pub fn whole_number() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::Custom("uint64".to_owned())))
        .minimum(Some(0_u64))
        .maximum(Some(u64::MAX))
}

macro_rules! schemas {
    ($($type:ty),* = $schema:expr) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    $schema.into()
                }
            }

            impl ToSchema for $type {}
        )*
    };
}

schemas! {
    Address, BlockHash, ChainId, Commitment, ContentHash, DecryptionKey, ModelId, PublicKey, Salt, Seed,
    StateRoot, SubmissionId, TargetId, TransactionHash, Transcript = text(NAME, "0x and 64 hex digits")
}
schemas! { Epoch, Height = whole_number() }
schemas! { Shannons = text(DIGITS, "Shannons in digits") }
schemas! { Embedding, EncodedTransaction = text(&format!("^{BASE64}$"), "Base64") }
schemas! { OneOrMany = one_or_many() }
schemas! { ModelStatus = phase::<Self>() }
schemas! { TargetPhase = phase::<Self>() }
schemas! { SubmissionPhase = phase::<Self>() }

/// The name of a way to stand.
fn phase<P: Phase>() -> ObjectBuilder {
    let names = P::ALL.iter().map(|phase| phase.name());
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
}

fn one_or_many() -> OneOfBuilder {
    let one = || {
        let pattern = format!("^(?:soma:0x[0-9a-fA-F]{{64}}|{BASE64})$");
        text(&pattern, "Base64 of the bytes, or `soma:0x..` for stored content")
    };
    let many = ArrayBuilder::new()
        .items(one())
        .min_items(Some(1))
        .max_items(Some(TEXTS_MAX));
    OneOfBuilder::new().item(one()).item(many)
}
