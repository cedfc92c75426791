//! Proofs, as people meet them: made by a node of a real network, carried away in a file, and checked by the
//! real binary where there is no network, with nothing but the network's key.

mod common;

use common::{Bench, localnet::Localnet};
use serde_json::Value;

/// Nobody's, and nothing's.
const NOTHING: &str = "0x5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
/// Another network's: a point of the group.
const OTHER_KEY: &str =
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";
const DIFFERS: Option<i32> = Some(5);

#[test]
fn e2e_proofs_are_checked_offline_and_forged_ones_refused() {
    let (bench, away) = (Bench::new(), Bench::new());
    bench.json(&["wallet", "new", "alice"]);
    let net = Localnet::start(&bench);
    let faucet = net.json(&bench, &["faucet", "alice", "--amount", "7"]);
    let transaction = faucet["transaction"].as_str().unwrap();
    let alice = net.json(&bench, &["balance", "alice"])["address"]
        .as_str()
        .unwrap()
        .to_owned();
    let key = net.json(&bench, &["status"])["network_key"]
        .as_str()
        .unwrap()
        .to_owned();
    let receipt = net.json(&bench, &["transaction", "show", transaction]);
    let height = receipt["receipt"]["height"].as_u64().unwrap();
    let earlier = (height - 1).to_string();

    let asked: [(&[&str], &str, bool); 7] = [
        (&["account", &alice], "/found/account/balance", true),
        (&["account", NOTHING], "", false),
        (&["model", NOTHING], "", false),
        (&["target", NOTHING], "", false),
        (&["receipt", transaction], "/found/receipt/transaction", true),
        (&["receipt", transaction, "--height", &earlier], "", false),
        (&["receipt", NOTHING, "--height", &earlier], "", false),
    ];
    let proofs: Vec<String> = asked
        .iter()
        .map(|(about, ..)| {
            let proof = net.json(&bench, &[&["prove"], *about].concat());
            proof["proof"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        bench
            .run(&["prove", "receipt", NOTHING, "--network", &net.api])
            .status
            .code(),
        Some(1),
        "of a transaction that nobody knows there is no proof"
    );
    drop(net);

    let verify = |file: &str, key: &str| away.run(&["verify", file, "--network-key", key, "--json"]);
    for ((about, place, there), proof) in asked.iter().zip(&proofs) {
        away.write("proof", proof);
        let output = verify("proof", &key);
        assert!(output.status.success(), "{about:?}: {output:?}");
        let proven: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(proven["subject"][about[0]], about[1]);
        assert_eq!(proven["found"].is_null(), !there, "{about:?}");
        match *place {
            "/found/account/balance" => assert_eq!(proven.pointer(place).unwrap(), "7000000000"),
            "" => {}
            place => assert_eq!(proven.pointer(place).unwrap(), transaction),
        }
        // Its last bytes are those of the path to the root.
        let (start, end) = proof.split_at(proof.len() - 3);
        let digit = if end.starts_with('0') { '1' } else { '0' };
        away.write("forged", format!("{start}{digit}{}", &end[1..]));
        let refused = verify("forged", &key);
        assert!(
            matches!(refused.status.code(), DIFFERS | Some(1)),
            "{about:?}: {refused:?}"
        );
    }
    // What the node said as JSON, from standard input. The height that counts is that of the header, and it
    // is said that it need not be the last one.
    let document = serde_json::json!({"height": 123_456_789, "proof": proofs[0]}).to_string();
    let piped = away.run_with(&["verify", "-", "--network-key", &key], &document, None);
    let shown = String::from_utf8(piped.stdout).unwrap();
    assert!(shown.contains(&alice) && shown.contains("7000000000"), "{shown}");
    assert!(!shown.contains("123456789"), "{shown}");
    assert!(
        shown.contains("ask several nodes") && shown.contains(" ago by"),
        "{shown}"
    );
    away.write("proof", &proofs[0]);
    let refused = verify("proof", OTHER_KEY);
    assert_eq!(refused.status.code(), DIFFERS, "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not signed by the network's key"));
    let keyless = away.run(&["verify", "proof"]);
    assert_eq!(keyless.status.code(), Some(2), "{keyless:?}");
    assert!(String::from_utf8_lossy(&keyless.stderr).contains("give the network's key"));
    // What is no proof at all.
    for (none, says) in [
        (&proofs[0][..proofs[0].len() / 2 * 2 - 8], "it is no proof"),
        (&"00".repeat(9 << 20), "longer than"),
        ("{}", "no proof in hex"),
    ] {
        away.write("none", none);
        let refused = verify("none", &key);
        assert_eq!(refused.status.code(), Some(1), "{says}");
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains(says),
            "{refused:?}"
        );
    }
}
