//! Every kind of proof, of what is there and of what is not, on a real database and with a real committee's
//! key; and every kind of forgery.

mod attacks;
mod stage;

use soma_ledger::testing::address;
use soma_light::{
    claim::Claim,
    key::NetworkKey,
    proof::Proof,
    receipts::Receipts,
    subject::{Found, Held},
};
use soma_types::{Address, ModelId, TargetId, TransactionHash};

use self::stage::{Committee, NOTHING, Stage, claim, run};

#[test]
fn what_is_there_is_believed_and_so_is_what_is_not() {
    run(|context| async move {
        let stage = Stage::new(&context).await;
        let held = [
            (Held::Account(address(8)), true),
            (Held::Model(stage.model), true),
            (Held::Target(stage.target), true),
            (Held::Account(Address(NOTHING)), false),
            (Held::Model(ModelId(NOTHING)), false),
            (Held::Target(TargetId(NOTHING)), false),
        ];
        for (held, there) in held {
            let found = stage.believed(claim(&stage.database, held).await).unwrap();
            assert_eq!(found.is_some(), there, "{held:?}");
            match found {
                Some(Found::Model(model)) => assert_eq!(model.id, stage.model),
                Some(Found::Target(target)) => assert_eq!(target.id, stage.target),
                Some(Found::Account(account)) => assert_eq!(account.nonce, 1),
                _ => {}
            }
        }
        let tree = Receipts::new(&stage.receipts);
        let [receipt] = stage.receipts.as_slice() else {
            panic!("one transaction")
        };
        let shown = Claim::Receipt {
            receipt: Box::new(receipt.clone()),
            path: tree.prove(&receipt.transaction),
        };
        assert_eq!(
            stage.believed(shown),
            Ok(Some(Found::Receipt(Box::new(receipt.clone()))))
        );
        let transaction = TransactionHash(NOTHING);
        let path = tree.prove(&transaction);
        assert_eq!(stage.believed(Claim::NoReceipt { transaction, path }), Ok(None));
    });
}

#[test]
fn a_block_is_final_by_its_own_certificate_or_by_a_later_one_s() {
    run(|context| async move {
        let stage = Stage::new(&context).await;
        let good = stage.prove(claim(&stage.database, Held::Account(address(8))).await);
        let later = stage.by_a_later_one(&good);
        for proof in [good, later] {
            assert_eq!(proof.verify(&stage.committee.key).unwrap().height.0, 5);
        }
    });
}

#[test]
fn whatever_bytes_come_they_are_a_proof_or_none() {
    run(|context| async move {
        let stage = Stage::new(&context).await;
        let good = stage.prove(claim(&stage.database, Held::Model(stage.model)).await);
        let (bytes, shown) = (good.encoded(), good.verify(&stage.committee.key).unwrap());
        for place in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[place] ^= 0x11;
            let Ok(proof) = Proof::decode(&forged) else {
                continue;
            };
            let believed = proof.verify(&stage.committee.key);
            assert!(believed.is_err() || believed == Ok(shown.clone()), "byte {place}");
        }
        for length in (0..bytes.len()).step_by(7) {
            assert!(Proof::decode(&bytes[..length]).is_err());
        }
        assert!(Proof::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        for filler in [0x00, 0x01, 0x7f, 0xff] {
            assert!(Proof::decode(&vec![filler; 1 << 20]).is_err(), "{filler}");
        }
    });
}

#[test]
fn keys_are_read_as_they_are_written() {
    let Committee { key, .. } = Committee::new(3);
    assert_eq!(key.to_string().parse(), Ok(key));
    assert_eq!(key.to_string().trim_start_matches("0x").parse(), Ok(key));
    for wrong in ["", "0x", "0x00", &"f".repeat(96), &key.to_string()[..96]] {
        assert!(wrong.parse::<NetworkKey>().is_err(), "{wrong}");
    }
}
