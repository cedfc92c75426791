//! Real auditors on a real network where one of four is drawn: it accuses a false winner, and all convict it
//! in a hearing. The host of its data answers once, when it has won: the nodes keep what auditors need.

mod common;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use soma_types::{ContentHash, objects::SubmissionStatus, params::Params, transaction::Verdict};

use common::{auditors, claim_falsely_at, client, compete, funded, open_targets, rules, start, verdict};

/// Serves `body` to the first who asks; then the host is gone.
fn serve_once(body: &'static [u8]) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        drop(listener);
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    });
    format!("http://{address}/data")
}

#[test]
fn a_false_winner_is_accused_by_one_and_convicted_by_all() {
    let folder = tempfile::tempdir().unwrap();
    let net = start(
        folder.path(),
        Params {
            auditors: 1,
            ..rules()
        },
    );
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let node = client(&net);
        let account = funded(&node, 9, folder.path()).await;
        let (_auditors, _) = auditors(&net, folder.path());
        compete(&account).await;

        let target = open_targets(&node).await.remove(0);
        let data = b"Nobody scored this.";
        let url = serve_once(data);
        let hash = ContentHash::of(data);
        assert_eq!(node.data_claim(&hash).await.unwrap(), None);
        let submission = claim_falsely_at(&account, &target, &url, data).await;
        let claim = node.data_claim(&hash).await.unwrap().unwrap();
        assert_eq!((claim.hash, claim.submission), (hash, submission));
        let view = verdict(&node, &submission).await;
        assert!(
            matches!(
                view.submission.status,
                SubmissionStatus::FoundFalse {
                    verdict: Verdict::FalseScore,
                    ..
                }
            ),
            "{view:?}"
        );
        let outcome = view.audit_outcome.unwrap();
        assert_eq!(outcome.drawn.agreed.len(), 1);
        let hearing = outcome.hearing.expect("three had no say before");
        assert!(2 * hearing.agreed.len() > 4, "{hearing:?}");
    });
    net.stop().unwrap();
}
