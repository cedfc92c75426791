use bytes::Bytes;

use super::*;
use crate::{
    Architecture, ChainId, Embedding, Epoch, Keypair, PublicKey, Shannons, Signature, SignedTransaction,
    rejection::Rejection,
    samples::{Matter, one_of_each},
    upgrade::ProtocolVersion,
};

fn kinds() -> Vec<TransactionKind> {
    one_of_each(&Matter {
        byte: 9,
        amount: Shannons(7),
        architecture: Architecture::NANO,
        embedding: Embedding::from_q15(vec![i16::MAX, 0]).unwrap(),
        version: ProtocolVersion(2),
    })
}

fn transaction(kind: TransactionKind) -> Transaction {
    Transaction {
        chain: ChainId([9; 32]),
        sender: Keypair::from_secret_bytes([1; 32]).public_key(),
        nonce: 4,
        expires: Epoch(5),
        max_fee: Shannons(6),
        kind,
    }
}

/// Encodings are signed and stored: a change here breaks every client and every chain.
#[test]
fn encodings_are_pinned() {
    assert!(
        kinds()
            .iter()
            .map(TransactionKind::name)
            .eq(TransactionKind::NAMES.iter().copied())
    );
    let mut lines = Vec::new();
    for (code, kind) in kinds().into_iter().enumerate() {
        let bytes = borsh::to_vec(&kind).unwrap();
        assert_eq!(usize::from(bytes[0]), code, "kinds are only ever appended");
        let signed = transaction(kind.clone()).sign(&Keypair::from_secret_bytes([1; 32]));
        lines.push(format!(
            "{} {} {}",
            kind.name(),
            hex::encode(&bytes),
            signed.hash()
        ));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_is_signed_cannot_be_changed() {
    let keys = Keypair::from_secret_bytes([1; 32]);
    for kind in kinds() {
        let signed = transaction(kind).sign(&keys);
        let bytes = signed.encode();
        assert_eq!(SignedTransaction::decode(&bytes), Ok(signed.clone()));
        let json = serde_json::to_string(&signed.transaction).unwrap();
        assert_eq!(
            serde_json::from_str::<Transaction>(&json).unwrap(),
            signed.transaction
        );
        let chain = signed.transaction.chain;
        // Any single changed byte either does not decode or does not verify.
        for index in (0..bytes.len()).step_by(7) {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let verified = SignedTransaction::decode(&changed).and_then(SignedTransaction::verify);
            assert!(verified.is_err(), "byte {index}");
            assert!(
                VerifiedTransaction::decode(changed.into(), &chain).is_err(),
                "byte {index}"
            );
        }
        assert!(SignedTransaction::decode(&bytes[..bytes.len() - 1]).is_err());
        // However it comes to be verified, it is the same value.
        let verified = VerifiedTransaction::decode(bytes.clone().into(), &chain).unwrap();
        assert_eq!(verified.encoded(), &bytes);
        assert_eq!(verified.hash(), signed.hash());
        assert_eq!(signed.verify(), Ok(verified));
    }
}

/// Together or one by one, the verdicts are the same: a bad one takes none of its neighbours with it, and
/// none of them lets it in.
#[test]
fn verdicts_together_are_those_of_one_by_one() {
    let good: Vec<Bytes> = (0..9)
        .map(|index| {
            let mut transaction = transaction(TransactionKind::LeaveValidator);
            transaction.nonce = index;
            let keys = Keypair::from_secret_bytes([1 + index as u8; 32]);
            Transaction {
                sender: keys.public_key(),
                ..transaction
            }
            .sign(&keys)
            .encode()
            .into()
        })
        .collect();
    let chain = transaction(TransactionKind::LeaveValidator).chain;
    let changed = |index: usize, at_end: usize| {
        let mut bytes = good[index].to_vec();
        let place = bytes.len() - at_end;
        bytes[place] ^= 1;
        Bytes::from(bytes)
    };
    // Two signatures that are wrong by the same amount, up and down, so that their plain sum is right.
    let shifted = |index: usize, by: fn(u8) -> u8| {
        let mut bytes = good[index].to_vec();
        let place = bytes.len() - 32;
        bytes[place] = by(bytes[place]);
        Bytes::from(bytes)
    };
    let mut bad = vec![
        Bytes::new(),
        Bytes::from(vec![0; TRANSACTION_BYTES_MAX + 1]),
        changed(3, good[3].len()),
        changed(4, 1),
        changed(5, 40),
        shifted(6, |low| low.wrapping_add(1)),
        shifted(7, |low| low.wrapping_sub(1)),
    ];
    // A key of small order, for which a signature of zeros verifies as the engine checks it.
    let weak = Transaction {
        sender: PublicKey([0; 32]),
        ..transaction(TransactionKind::LeaveValidator)
    };
    let signature = Signature([0; 64]);
    bad.push(
        SignedTransaction {
            transaction: weak,
            signature,
        }
        .encode()
        .into(),
    );
    let mut batches = vec![Vec::new(), good.clone(), bad.clone()];
    batches.extend(
        bad.iter()
            .map(|bad| [&good[..2], std::slice::from_ref(bad), &good[2..]].concat()),
    );
    batches.push([&good[..], &bad[5..7]].concat());
    for batch in batches {
        let one_by_one: Vec<_> = batch
            .iter()
            .map(|encoded| VerifiedTransaction::decode(encoded.clone(), &chain))
            .collect();
        assert_eq!(VerifiedTransaction::decode_all(batch, &chain), one_by_one);
    }
    assert!(
        bad.into_iter()
            .all(|bad| VerifiedTransaction::decode(bad, &chain).is_err())
    );
    assert!(
        good.into_iter()
            .all(|good| VerifiedTransaction::decode(good, &chain).is_ok())
    );
}

/// What is signed, named and stored are the bytes that came, so nothing may have two encodings.
#[test]
fn bytes_that_decode_are_the_one_encoding() {
    for kind in kinds() {
        let bytes = transaction(kind)
            .sign(&Keypair::from_secret_bytes([1; 32]))
            .encode();
        for index in 0..bytes.len() {
            for change in [1, 2, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[index] ^= change;
                if let Ok(decoded) = SignedTransaction::decode(&changed) {
                    assert_eq!(decoded.encode(), changed, "byte {index}");
                }
            }
        }
    }
}

#[test]
fn hostile_lengths_do_not_allocate() {
    let mut bytes = borsh::to_vec(&transaction(TransactionKind::LeaveValidator)).unwrap();
    bytes.pop();
    bytes.push(0); // A transfer ..
    bytes.extend(u32::MAX.to_le_bytes()); // .. with four billion payments.
    assert_eq!(SignedTransaction::decode(&bytes), Err(Rejection::Malformed {}));
}
