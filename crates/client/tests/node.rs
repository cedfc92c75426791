//! A node's answers, good and bad, over real sockets.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::{Answer, Ledger, missing, ok, options, problem, serve, status};
use soma_blobs::{Blob, Expected};
use soma_client::{ClientError, ModelFilter, NodeClient, NodeOptions, SubmissionFilter};
use soma_types::{
    Address, Commitment, ContentHash, Epoch, Height, ModelId, RejectionCode, Shannons, SubmissionId,
    TargetId, TransactionHash,
    api::{EventView, ModelView, Page, SubmissionView, ValidatorView},
    event::Event,
    objects::{ModelStatus, Submission, SubmissionStatus},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

async fn node(answer: impl Fn(common::Request) -> Answer + Send + Sync + 'static) -> NodeClient {
    NodeClient::with_options(&serve(answer).await, options()).unwrap()
}

#[tokio::test]
async fn answers_decode() {
    let told = status(Epoch(2), Height(170));
    let answer = told.clone();
    let node = node(move |request| match request.path.as_str() {
        "/v1/status" => ok(&answer),
        "/v1/params" => ok(&soma_types::params::Params::std()),
        "/v1/epochs/latest" => ok(&common::epoch_view(Epoch(2))),
        "/v1/epochs/1" => ok(&common::epoch_view(Epoch(1))),
        _ => missing(),
    })
    .await;
    assert_eq!(node.status().await.unwrap(), told);
    assert_eq!(node.params().await.unwrap(), soma_types::params::Params::std());
    assert_eq!(node.epoch(None).await.unwrap().epoch, Epoch(2));
    assert_eq!(node.epoch(Some(Epoch(1))).await.unwrap().epoch, Epoch(1));
    let error = node.block(None).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert_eq!(node.transaction(&TransactionHash([1; 32])).await.unwrap(), None);
}

#[tokio::test]
async fn filters_become_queries_and_lists_are_read_to_their_end() {
    let node = node(|request| match request.path.as_str() {
        path if path.starts_with("/v1/validators?limit=1000") => ok(&Page::<ValidatorView> {
            items: vec![],
            next: Some("would go on for ever".into()),
        }),
        path => problem(400, None, path),
    })
    .await;
    assert!(node.validators().await.unwrap().is_empty());
    let filter = ModelFilter {
        status: Some(ModelStatus::Active),
        owner: Some(Address([0xab; 32])),
    };
    let error = node.models(&filter).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("/v1/models?status=active&owner=0x{}&limit=1000", "ab".repeat(32))
    );
}

#[tokio::test]
async fn pages_join_up() {
    let view = |number: u8| {
        let mut view = Ledger::new().with(|inner| inner.model());
        view.model.id = ModelId([number; 32]);
        // Past what a JSON number holds in other languages.
        view.pool.stake = Shannons(u64::MAX);
        view
    };
    let node = node(move |request| match request.path.as_str() {
        "/v1/models?limit=1000" => ok(&Page {
            items: vec![view(1), view(2)],
            next: Some("2000".into()),
        }),
        // The node looks at so many places, and none of them may be one that was asked for.
        "/v1/models?limit=1000&cursor=2000" => ok(&Page::<ModelView> {
            items: vec![],
            next: Some("x/ y".into()),
        }),
        "/v1/models?limit=1000&cursor=x%2F+y" => ok(&Page {
            items: vec![view(3)],
            next: None,
        }),
        path => problem(400, None, path),
    })
    .await;
    let models = node.models(&ModelFilter::default()).await.unwrap();
    assert_eq!(models, [view(1), view(2), view(3)]);
}

#[tokio::test]
async fn as_many_are_read_as_were_asked_for() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    // Two at a time whatever was asked for, from the third page on none, and always a next page.
    let node = node(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        let (items, next) = match request.path.split_once("cursor=") {
            None => (vec![submission(), submission()], "1"),
            Some((_, "1")) => (vec![submission(), submission()], "2"),
            Some(_) => (vec![], "2"),
        };
        let next = Some(next.to_owned());
        ok(&Page { items, next })
    })
    .await;
    for (limit, found, requests) in [(0, 0, 0), (1, 1, 1), (3, 3, 2), (50, 4, 3)] {
        let latest = node
            .latest_submissions(&SubmissionFilter::default(), limit)
            .await
            .unwrap();
        assert_eq!(
            (latest.len(), asked.swap(0, Ordering::Relaxed)),
            (found, requests),
            "of {limit}"
        );
    }
}

/// Some submission.
fn submission() -> SubmissionView {
    SubmissionView {
        submission: Submission {
            id: SubmissionId([1; 32]),
            target: TargetId([2; 32]),
            submitter: Address([3; 32]),
            commitment: Commitment([4; 32]),
            committed: Height(1),
            sequence: 0,
            threshold_q30: 0,
            deposit: Shannons(0),
            bond: Shannons(0),
            status: SubmissionStatus::Committed,
            found: None,
            challenge: None,
        },
        embedding: None,
        audit_stage: None,
        auditors: Vec::new(),
        audits: Vec::new(),
        audit_outcome: None,
    }
}

#[tokio::test]
async fn an_answer_is_about_what_was_asked_for() {
    let ledger = Ledger::new();
    let model = ledger.with(|inner| inner.model());
    let id = model.model.id;
    let node = node(move |request| match request.path.split('/').nth(2) {
        Some("models") => ok(&model),
        Some("epochs") => ok(&common::epoch_view(Epoch(7))),
        _ => missing(),
    })
    .await;
    assert_eq!(node.model(&id).await.unwrap().model.id, id);
    assert_eq!(node.epoch(None).await.unwrap().epoch, Epoch(7));
    let other = ModelId([0xee; 32]);
    let errors = [
        node.model(&other).await.unwrap_err(),
        node.epoch(Some(Epoch(6))).await.unwrap_err(),
    ];
    for (error, about) in errors.iter().zip([id.to_string(), Epoch(7).to_string()]) {
        assert!(matches!(error, ClientError::BadAnswer { .. }), "{error}");
        assert!(
            error.to_string().contains(&format!("it is about {about}")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn problems_carry_their_code() {
    let node = node(|_| problem(422, Some(RejectionCode::CannotPayFee), "the balance is 0 SOMA")).await;
    let error = node.status().await.unwrap_err();
    assert_eq!(
        (error.rejection_code(), error.to_string().as_str()),
        (Some(RejectionCode::CannotPayFee), "the balance is 0 SOMA")
    );
}

#[tokio::test]
async fn answers_that_make_no_sense_are_named() {
    let small = NodeOptions {
        answer_bytes_max: 1000,
        ..options()
    };
    for (raw, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "makes no sense"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n<html>\r\n\r\n",
            "makes no sense",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n",
            "longer than 1000",
        ),
        (
            "HTTP/1.1 500 Oops\r\ncontent-length: 9\r\n\r\nstack\nabc",
            "500 Internal Server Error to GET /v1/status: stack",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            "302",
        ),
    ] {
        let address = serve(move |_| Answer::Raw(raw.as_bytes().to_vec())).await;
        let node = NodeClient::with_options(&address, small.clone()).unwrap();
        let error = node.status().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{raw}: {error}");
    }
    let endless = serve(|_| Answer::Raw([&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[b' '; 5000]].concat())).await;
    let node = NodeClient::with_options(&endless, small).unwrap();
    assert!(matches!(
        node.status().await,
        Err(ClientError::AnswerTooLarge {
            limit_bytes: 1000,
            ..
        })
    ));
}

#[tokio::test]
async fn busy_nodes_are_asked_again_and_faucets_are_not() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let node = node(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => problem(503, None, "starting"),
        1 => Answer::Raw(b"garbage".to_vec()),
        2 => ok(&status(Epoch(0), Height(0))),
        _ => problem(503, None, "busy"),
    })
    .await;
    node.status().await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    let error = node
        .faucet(&Address([1; 32]), Some(Shannons(1)))
        .await
        .unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), asked.load(Ordering::SeqCst)),
        ("busy", 4)
    );
}

#[tokio::test]
async fn absent_and_silent_nodes_are_given_up_in_time() {
    let start = Instant::now();
    let absent = NodeClient::with_options("http://127.0.0.1:1", options()).unwrap();
    let error = absent.status().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    // One that does not speak TLS calls the greeting a bad request.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", plain.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = plain.accept().await {
            let _ = socket.read(&mut [0; 1024]).await;
            let _ = socket
                .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    });
    let wrong = NodeClient::with_options(&address, options()).unwrap();
    let error = wrong.status().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    let address = serve(|_| Answer::Silence).await;
    let silent = NodeClient::with_options(
        &address,
        NodeOptions {
            timeout: Duration::from_millis(300),
            ..options()
        },
    )
    .unwrap();
    let error = silent.status().await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn addresses_are_checked() {
    assert_eq!(
        NodeClient::new("local").unwrap().address(),
        "http://127.0.0.1:9000"
    );
    assert_eq!(
        NodeClient::new("https://example.org/soma/").unwrap().address(),
        "https://example.org/soma"
    );
    for (text, says) in [
        ("", "it is empty"),
        ("localhost:9000", "try http://localhost:9000"),
        ("example.org", "try http://example.org"),
        ("127.0.0.1:9000/v1", "try http://127.0.0.1:9000/v1"),
        ("ftp://example.org", "not http or https"),
        ("http://example.org/?a=1", "give only what stands before /v1"),
        ("http://example.org/v1#a", "give only what stands before /v1"),
        ("http://example.org:99999", "port"),
        ("http://", "host"),
        ("http://[::1", "IPv6"),
    ] {
        let error = NodeClient::new(text).unwrap_err();
        assert!(matches!(error, ClientError::BadUrl { .. }), "{text}");
        assert!(error.to_string().contains(says), "{error}");
    }
    // A password is for the node, and for no error.
    for text in [
        "ftp://me:secret@example.org",
        "me:secret@example.org",
        "http://me:sec ret@exa mple",
    ] {
        let error = NodeClient::new(text).unwrap_err().to_string();
        assert!(!error.contains("secret") && !error.contains("sec ret"), "{error}");
    }
    let node = NodeClient::new("https://me:secret@example.org/v1").unwrap();
    assert_eq!(node.address(), "https://***@example.org");
    let address = serve(|request| problem(400, None, &request.path)).await;
    for (end, path) in [
        ("", "/v1/status"),
        ("/", "/v1/status"),
        ("/v1", "/v1/status"),
        ("/v1/", "/v1/status"),
        ("/v1//", "/v1/status"),
        ("/some/where", "/some/where/v1/status"),
        ("/some/where/", "/some/where/v1/status"),
        ("/some/where/v1/", "/some/where/v1/status"),
        ("/env1", "/env1/v1/status"),
    ] {
        let node = NodeClient::with_options(&format!("{address}{end}"), options()).unwrap();
        assert_eq!(node.status().await.unwrap_err().to_string(), path, "{end}");
    }
}

/// A node behind another address is not followed, since nobody named it; it is said where it points.
#[tokio::test]
async fn redirections_are_named() {
    let node = node(|_| {
        let head = "HTTP/1.1 308 X\r\nlocation: https://example.org/v1/status\r\ncontent-length: 0\r\n\r\n";
        Answer::Raw(head.as_bytes().to_vec())
    })
    .await;
    let error = node.status().await.unwrap_err().to_string();
    assert!(
        error.contains("it points to https://example.org/v1/status: give that address"),
        "{error}"
    );
}

#[tokio::test]
async fn blobs_are_verified() {
    let node = node(|request| match request.method.as_str() {
        "PUT" => ok(&soma_types::api::BlobView {
            hash: ContentHash::of(&request.body),
            size_bytes: 5,
        }),
        _ => Answer::Bytes(b"other".to_vec()),
    })
    .await;
    node.put_blob(&b"bytes".to_vec().into()).await.unwrap();
    assert!(matches!(
        node.blob(Expected::of(b"bytes")).await,
        Err(ClientError::WrongHash { .. })
    ));
    let traffic = node.clone().traffic();
    assert_eq!((traffic.content_sent, traffic.content_received), (5, 5));
    assert!(traffic.talk > 5, "{traffic:?}");
    let other = Expected::of(b"other");
    assert_eq!(&node.blob(other).await.unwrap().bytes().unwrap()[..], b"other");
    for size_bytes in [0, 4, 6] {
        let contradiction = node.blob(Expected { size_bytes, ..other }).await;
        assert!(matches!(
            contradiction,
            Err(ClientError::WrongSize { found_bytes: 5, .. })
        ));
    }
}

/// Weights are too many for memory: they go to a disk and come from it, as often as it takes.
#[tokio::test]
async fn what_is_long_is_sent_again_and_received_again_after_a_broken_connection() {
    let bytes: Vec<u8> = (0..5_000_000_u64).map(|at| (at * at % 251) as u8).collect();
    let (served, requests) = (bytes.clone(), AtomicUsize::new(0));
    let node = node(move |request| {
        let first = requests.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        match request.method.as_str() {
            _ if first => Answer::Raw(b"HTTP/1.1 200 X\r\ncontent-length: 5000000\r\n\r\nhalf".to_vec()),
            "PUT" => {
                assert_eq!(request.header("content-length").unwrap(), "5000000");
                ok(&soma_types::api::BlobView {
                    hash: ContentHash::of(&request.body),
                    size_bytes: request.body.len() as u64,
                })
            }
            _ => Answer::Bytes(served.clone()),
        }
    })
    .await;
    let blob = Blob::copy(&mut &bytes[..]).unwrap();
    node.put_blob(&blob).await.unwrap();
    let received = node.blob(Expected::of(&bytes)).await.unwrap();
    assert!(received.bytes().unwrap() == bytes);
}

fn event(height: u64, index: u32) -> EventView {
    EventView {
        height: Height(height),
        index,
        transaction: None,
        event: Event::EpochSettled { epoch: Epoch(height) },
    }
}

/// Connections break in the middle of a block; the next one starts that block over.
#[tokio::test]
async fn events_come_once_and_in_order_over_broken_connections() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let node = node(move |request| {
        let events: Vec<EventView> = match (count.fetch_add(1, Ordering::SeqCst), request.path.as_str()) {
            (0, "/v1/events?from=5") => vec![event(5, 0), event(5, 1)],
            (1, "/v1/events?from=5") => vec![event(5, 0), event(5, 1), event(5, 2), event(6, 0)],
            (2, _) => return problem(503, None, "restarting"),
            (3, "/v1/events?from=6") => vec![event(6, 0), event(9, 0)],
            (_, path) => return problem(400, None, path),
        };
        let mut body = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hello\n\n".to_owned();
        for event in events {
            body.push_str(&format!(
                "event: ledger\ndata: {}\n\n",
                serde_json::to_string(&event).unwrap()
            ));
        }
        body.push_str("data: {\"cut off");
        Answer::Raw(body.into_bytes())
    })
    .await;
    let mut stream = node.events(Some(Height(5)));
    for expected in [event(5, 0), event(5, 1), event(5, 2), event(6, 0), event(9, 0)] {
        assert_eq!(stream.next().await.unwrap(), expected);
    }
    assert_eq!(stream.next().await.unwrap_err().to_string(), "/v1/events?from=9");
}

/// With ids, the stream resumes exactly: after an id without an event too, and never after an event that was
/// cut off.
#[tokio::test]
async fn events_resume_by_id() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let node = node(move |request| {
        let id = request.header("last-event-id");
        let events = match (count.fetch_add(1, Ordering::SeqCst), id.as_deref()) {
            (0, None) => "id: 4\n\nid: 5-0\nda".to_owned(),
            (1, Some("4")) => format!(
                "id: 5-0\ndata: {}\n\nid: 5-1\ndata: {{\"cut",
                serde_json::to_string(&event(5, 0)).unwrap()
            ),
            (2, Some("5-0")) => format!(
                "id: 5-1\ndata: {}\n\n",
                serde_json::to_string(&event(5, 1)).unwrap()
            ),
            (_, id) => return problem(410, None, &format!("gone: {id:?}")),
        };
        Answer::Raw(
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{events}").into_bytes(),
        )
    })
    .await;
    let mut stream = node.events(None);
    assert_eq!(stream.next().await.unwrap(), event(5, 0));
    assert_eq!(stream.next().await.unwrap(), event(5, 1));
    // What the node no longer has is no silence, but an error.
    assert_eq!(
        stream.next().await.unwrap_err().to_string(),
        "gone: Some(\"5-1\")"
    );
}

#[tokio::test]
async fn waits_for_epochs_end() {
    let asked = Arc::new(AtomicUsize::new(0));
    let node = node(move |_| {
        let count = asked.fetch_add(1, Ordering::SeqCst) as u64;
        ok(&status(Epoch(count / 3), Height(count / 3 * 80)))
    })
    .await;
    assert_eq!(
        node.wait_for_next_epoch(Duration::from_secs(10)).await.unwrap(),
        Epoch(1)
    );
    let error = node
        .wait_for_epoch(Epoch(1000), Duration::from_millis(300))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::GaveUp { .. }), "{error}");
}
