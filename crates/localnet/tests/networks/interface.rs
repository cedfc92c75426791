//! The HTTP interface as a hostile or careless client sees it: every route of its own description, byte by
//! byte.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::Value;
use soma_client::NodeClient;
use soma_localnet::{Config, Localnet, testing::PATIENCE};
use soma_types::{Address, Shannons, amount::SHANNONS_PER_SOMA};

use crate::{
    common::started,
    raw::{connect, get, raw, send},
};

/// Some 32 bytes.
const NAME: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

/// A network of one validator.
fn network(folder: &tempfile::TempDir) -> Localnet {
    let mut config = Config::new(folder.path());
    config.blueprint.validators = 1;
    started(config)
}

/// A request of the interface's own description.
struct Operation {
    method: String,
    /// With a name or number in it that is one.
    target: String,
    /// Its template, cut where the name goes.
    around: Option<(String, String)>,
    parameters: Vec<String>,
    media: Option<String>,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let around = path.split_once('{').map(|(before, rest)| {
            let (name, after) = rest.split_once('}').unwrap();
            (before.to_owned(), name.to_owned(), after.to_owned())
        });
        let target = around.as_ref().map_or_else(
            || path.clone(),
            |(before, name, after)| {
                let is_number = matches!(name.as_str(), "epoch" | "height");
                format!("{before}{}{after}", if is_number { "latest" } else { NAME })
            },
        );
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            all.push(Operation {
                method: method.to_uppercase(),
                target: target.clone(),
                around: around.clone().map(|(before, _, after)| (before, after)),
                parameters: parameters
                    .iter()
                    .filter(|parameter| parameter["in"] == "query")
                    .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                    .collect(),
                media: operation["requestBody"]["content"]
                    .as_object()
                    .map(|content| content.keys().next().unwrap().clone()),
            });
        }
    }
    all
}

/// Whatever a route does not know is refused with a problem that names it, and nothing is ignored.
#[test]
fn every_route_refuses_what_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let net = network(&folder);
    let address = net.apis()[0];
    let document = get(address, "/openapi.json").json();
    let operations = operations(&document);
    assert!(operations.len() >= 30, "{}", operations.len());
    for operation in &operations {
        let Operation {
            method,
            target,
            around,
            parameters,
            media,
        } = operation;
        let media_line = media
            .as_ref()
            .map_or_else(String::new, |media| format!("content-type: {media}\r\n"));

        // Parameters: unknown, twice, and values that are none.
        let ask = |query: &str| send(address, method, &format!("{target}?{query}"), "", b"");
        for name in ["surprise", "Limit", "limit%00", "%ff", "limit[]"] {
            let detail = ask(&format!("{name}=1")).problem(400, target);
            assert!(detail.contains("query parameter"), "{detail}");
        }
        assert!(ask("surprise").problem(400, target).contains("'surprise'"));
        for name in parameters {
            let detail = ask(&format!("{name}=1&{name}=1")).problem(400, target);
            assert!(
                detail.contains(name) && detail.contains("more than once"),
                "{detail}"
            );
            let long = "9".repeat(9_000);
            for value in [
                "",
                "abc",
                "-1",
                "%2B1",
                "1.5",
                "1e3",
                "null",
                "%ff",
                "%00",
                "%1b[2J",
                "%E2%80%AE",
                "18446744073709551616",
                "0x",
                &long,
            ] {
                let detail = ask(&format!("{name}={value}")).problem(400, target);
                assert!(detail.contains(&format!("'{name}'")), "{name}={value}: {detail}");
                assert!(
                    detail.contains("give") || detail.contains("0x"),
                    "says not what is allowed: {detail}"
                );
            }
        }

        // Names in the path.
        if let Some((before, after)) = around {
            let long = "a".repeat(9_000);
            for value in [
                "abc",
                "-1",
                "+1",
                "1.5",
                "null",
                "%ff",
                "%00",
                "%1b[2J",
                "%2e%2e%2f",
                "18446744073709551616",
                "0X11",
                "%e2%80%ae",
                &long,
            ] {
                let target = format!("{before}{value}{after}");
                let answer = send(address, method, &target, &media_line, b"");
                assert!(answer.problem(400, &target).contains("the path"), "{target}");
            }
        }

        // Methods.
        for method in ["DELETE", "PATCH", "TRACE", "FOO"] {
            let answer = send(address, method, target, "", b"");
            assert!(answer.problem(405, target).contains(method));
            assert!(answer.head.contains("\r\nallow: "), "{answer:?}");
        }
        let answer = send(address, "OPTIONS", target, "", b"");
        assert_eq!(answer.status, 204, "{answer:?}");
        assert!(answer.head.contains(&method.to_lowercase()), "{answer:?}");

        // Bodies.
        match media {
            None => {
                let answer = send(address, method, target, "content-length: 2\r\n", b"{}");
                assert!(answer.problem(400, target).contains("body"));
                let chunked = "transfer-encoding: chunked\r\n";
                send(address, method, target, chunked, b"2\r\n{}\r\n0\r\n\r\n").problem(400, target);
            }
            Some(_) => {
                let huge = format!("{media_line}content-length: 1099511627776\r\n");
                send(address, method, target, &huge, b"x").problem(413, target);
                for other in ["content-type: text/html\r\n", "content-encoding: gzip\r\n"] {
                    let lines = format!("{other}content-length: 2\r\n");
                    let detail = send(address, method, target, &lines, b"{}").problem(415, target);
                    assert!(detail.contains("send"), "{detail}");
                }
            }
        }
        if media.as_deref() == Some("application/json") {
            let deep = "[".repeat(20_000);
            let name = format!("\"{}\"", "n".repeat(20_000));
            for (body, says) in [
                ("", "the body"),
                ("{", "the body"),
                ("null", "the body"),
                ("[]", "the body"),
                ("\u{feff}{}", "the body"),
                (r#"{"surprise":1}"#, "surprise"),
                (r#"{"address":null,"models":null}"#, ""),
                (r#"{"address":-1,"models":-1}"#, ""),
                (r#"{"address":{"a":1e999},"models":1e999}"#, ""),
                (&deep, "the body"),
                (&format!("{{\"address\":{name},\"models\":[{name}]}}"), ""),
                (&format!("{{{name}:1}}"), "unknown field"),
            ] {
                let lines = format!("{media_line}content-length: {}\r\n", body.len());
                let detail = send(address, method, target, &lines, body.as_bytes()).problem(400, body);
                assert!(detail.contains(says), "{detail}");
            }
            let lines = format!("{media_line}content-length: 3\r\n");
            send(address, method, target, &lines, b"\"\xff\"").problem(400, target);
        }
    }
    for target in [
        "/",
        "/v1",
        "/v2/status",
        "/v1/status/",
        "//v1/status",
        "/v1/../v1/status",
        "/%2e%2e/etc",
        "*",
    ] {
        get(address, target).problem(404, target);
    }
    // What is known still passes, to its last parameter.
    for target in [
        "/v1/models?limit=1000&cursor=0&status=active",
        "/v1/targets?epoch=0",
        "/health",
        "/v1/status?",
    ] {
        assert_eq!(get(address, target).status, 200, "{target}");
    }
    assert!(
        get(address, "/v1/models?limit=0")
            .problem(400, "")
            .contains("1 to 1000")
    );
    assert!(
        get(address, "/v1/models?limit=1001")
            .problem(400, "")
            .contains("1 to 1000")
    );
    net.stop().unwrap();
}

/// Codes of rejections are in the problems, as `docs/rejections.md` promises.
#[test]
fn rejections_carry_their_codes() {
    let folder = tempfile::tempdir().unwrap();
    let net = network(&folder);
    let address = net.apis()[0];
    for path in ["/v1/transactions", "/v1/transactions/simulate"] {
        for (length, code, name) in [
            (0, 101, "Malformed"),
            (7, 101, "Malformed"),
            (40_000, 100, "TooLarge"),
        ] {
            let answer = send(
                address,
                "POST",
                path,
                &format!("content-length: {length}\r\n"),
                &vec![0; length],
            );
            answer.problem(422, path);
            let problem = answer.json();
            assert_eq!(
                (&problem["code"], &problem["name"]),
                (&code.into(), &name.into()),
                "{problem}"
            );
            assert_eq!(problem["type"], format!("urn:soma:rejection:{code}"));
        }
    }
    net.stop().unwrap();
}

/// What is not quite HTTP, or too much of it, is answered or hung up on, and the node lives.
#[test]
fn hostile_requests_leave_the_node_alive() {
    let folder = tempfile::tempdir().unwrap();
    let net = network(&folder);
    let address = net.apis()[0];
    let many = "x-a: b\r\n".repeat(200);
    let large = format!("x-a: {}\r\n", "a".repeat(1 << 20));
    let long = format!(
        "GET /v1/status?{} HTTP/1.1\r\nhost: a\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let requests: Vec<Vec<u8>> = vec![
        b"\0\x01\x02\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET /v1/status HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /v1/\xff\xfe HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
        b"GET /v1/models?owner=\xff HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
        b"GET /v1/models?%zz=%&% HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
        b"POST /v1/transactions HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n".to_vec(),
        b"POST /v1/transactions HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_vec(),
        b"POST /v1/transactions HTTP/1.1\r\nhost: a\r\ncontent-length: 18446744073709551616\r\n\r\n".to_vec(),
        b"POST /v1/transactions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nffffffffffffffffff\r\n".to_vec(),
        b"POST /v1/faucet HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}".to_vec(),
        b"PUT /v1/blobs/0x11 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
        b"CONNECT example.org:80 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
        format!("GET /v1/status HTTP/1.1\r\nhost: a\r\n{many}\r\n").into_bytes(),
        format!("GET /v1/status HTTP/1.1\r\nhost: a\r\n{large}\r\n").into_bytes(),
        long.into_bytes(),
    ];
    for request in &requests {
        let asked = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        if let Some(answer) = raw(address, request) {
            assert!((400..500).contains(&answer.status), "{asked}: {answer:?}");
            // What is no HTTP never reaches the interface: it is answered without a body.
            if !answer.body.is_empty() {
                answer.problem(answer.status, &asked);
            }
        }
    }
    // Numbers at their ends.
    for target in [
        "/v1/blocks/18446744073709551615",
        "/v1/finality/18446744073709551615",
        "/v1/epochs/18446744073709551615",
    ] {
        get(address, target).problem(404, target);
    }
    for target in [
        "/v1/models?cursor=18446744073709551615",
        "/v1/targets?epoch=18446744073709551615",
        "/v1/targets?cursor=18446744073709551615",
        "/v1/submissions?cursor=18446744073709551615",
        "/v1/validators?cursor=18446744073709551615",
        "/v1/proposals?cursor=18446744073709551615",
        "/v1/audits?cursor=18446744073709551615",
        &format!("/v1/accounts/{NAME}/transactions?cursor=18446744073709551615"),
    ] {
        assert_eq!(get(address, target).status, 200, "{target}");
    }
    // One connection, several requests at once, good and bad.
    let pipelined = format!(
        "GET /v1/status HTTP/1.1\r\nhost: a\r\n\r\nGET /v1/status?x=1 HTTP/1.1\r\nhost: a\r\n\r\nGET /health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    );
    let answers = raw(address, pipelined.as_bytes()).unwrap();
    let text = format!("{}{}", answers.head, String::from_utf8_lossy(&answers.body));
    assert_eq!(text.to_lowercase().matches("http/1.1 ").count(), 3, "{text}");
    // A range is no promise: the whole is served.
    let answer = send(address, "GET", "/v1/status", "range: bytes=0-1\r\n", b"");
    assert_eq!(answer.status, 200);
    assert!(answer.json()["height"].is_u64());
    // HEAD is GET without the body, of errors too.
    let answer = send(address, "HEAD", "/v1/status?x=1", "", b"");
    assert_eq!((answer.status, answer.body.len()), (400, 0));

    let height = || get(address, "/v1/status").json()["height"].as_u64().unwrap();
    let (before, start) = (height(), Instant::now());
    while height() <= before {
        assert!(start.elapsed() < PATIENCE, "no more blocks");
        std::thread::sleep(Duration::from_millis(50));
    }
    net.stop().unwrap();
}

/// Pages of other origins read, and do not write; what has no origin, and the node's own pages, may.
#[test]
fn other_origins_may_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let net = network(&folder);
    let address = net.apis()[0];
    let other = "origin: http://localhost:3000\r\n";
    for target in ["/v1/status", "/v1/models?limit=abc", "/nowhere", "/health"] {
        let answer = send(address, "GET", target, other, b"");
        assert!(
            answer.head.contains("access-control-allow-origin: *"),
            "{answer:?}"
        );
        assert!(
            !answer.head.contains("access-control-allow-credentials"),
            "{answer:?}"
        );
    }
    let preflight = |method: &str, target: &str| {
        let lines = format!(
            "{other}access-control-request-method: {method}\r\naccess-control-request-headers: last-event-id\r\n"
        );
        send(address, "OPTIONS", target, &lines, b"")
    };
    let answer = preflight("GET", "/v1/events");
    assert_eq!(answer.status, 204);
    assert!(
        answer.head.contains("access-control-allow-origin: *"),
        "{answer:?}"
    );
    assert!(
        answer.head.contains("access-control-allow-methods: get, head"),
        "{answer:?}"
    );
    for method in ["POST", "PUT", "DELETE"] {
        let answer = preflight(method, "/v1/transactions");
        answer.problem(403, method);
        assert!(!answer.head.contains("access-control-allow-origin"), "{answer:?}");
    }
    // A form is sent without asking first.
    let body = format!("{{\"address\":\"{NAME}\"}}");
    let form = format!(
        "content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n",
        body.len()
    );
    for origin in [
        other,
        "origin: null\r\n",
        "origin: http://127.0.0.1\r\n",
        "origin: é\r\n",
    ] {
        let answer = send(
            address,
            "POST",
            "/v1/faucet",
            &format!("{origin}{form}"),
            body.as_bytes(),
        );
        answer.problem(403, origin);
        assert!(!answer.head.contains("access-control-allow-origin"), "{answer:?}");
    }
    for origin in ["", &format!("origin: http://{address}\r\n")] {
        let answer = send(
            address,
            "POST",
            "/v1/faucet",
            &format!("{origin}{form}"),
            body.as_bytes(),
        );
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    net.stop().unwrap();
}

/// The first `count` messages of a stream of events: their ids, and their data where they have any.
fn events(address: SocketAddr, query: &str, lines: &str, count: usize) -> Vec<(String, String)> {
    let mut stream = connect(address);
    // The old version, which knows no chunks, keeps the stream as it is.
    let request = format!("GET /v1/events{query} HTTP/1.0\r\nhost: a\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 1 << 14]);
    loop {
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        // What follows the last blank line is not whole yet.
        let mut parts: Vec<&str> = body.split("\n\n").collect();
        parts.pop();
        let messages: Vec<(String, String)> = parts
            .into_iter()
            .filter_map(|part| {
                let field = |name: &str| part.lines().find_map(|line| line.strip_prefix(name));
                Some((
                    field("id: ")?.to_owned(),
                    field("data: ").unwrap_or("").to_owned(),
                ))
            })
            .collect();
        if messages.len() >= count {
            return messages.into_iter().take(count).collect();
        }
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the stream ended: {text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
}

/// Whoever resumes by an id gets all that came after it and nothing twice, also at a node that was restarted;
/// and whoever cannot be served so is told.
#[test]
fn events_resume_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let net = network(&folder);
    let address = net.apis()[0];
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pay = |address: SocketAddr, count: u8| {
        let node = NodeClient::new(&format!("http://{address}")).unwrap();
        for index in 0..count {
            let to = Address([index; 32]);
            let paid = node.faucet(&to, Some(Shannons(SHANNONS_PER_SOMA)));
            let hash = runtime.block_on(paid).unwrap();
            let start = Instant::now();
            loop {
                let view = runtime.block_on(node.transaction(&hash)).unwrap();
                if view.is_some_and(|view| view.receipt.is_some()) {
                    break;
                }
                assert!(start.elapsed() < PATIENCE, "the payment is not included");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    };
    pay(address, 3);
    let count = 8;
    let all = events(address, "?from=0", "", count);
    let ids: BTreeSet<&String> = all.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), count, "each has its own id: {all:?}");
    assert!(
        all.iter().any(|(id, _)| !id.ends_with("-0")),
        "a block with several: {all:?}"
    );

    let resumes = |address: SocketAddr| {
        for (index, (id, _)) in all.iter().enumerate().take(count - 1) {
            let header = format!("last-event-id: {id}\r\n");
            let rest = &all[index + 1..];
            assert_eq!(
                events(address, "", &header, rest.len()),
                rest,
                "by header after {id}"
            );
            let query = format!("?last_event_id={id}");
            assert_eq!(
                events(address, &query, "", rest.len()),
                rest,
                "by query after {id}"
            );
            assert_eq!(
                events(address, &format!("?from=0&last_event_id={id}"), "", rest.len()),
                rest,
                "by query after {id}, whatever it began with"
            );
            // A browser repeats the address it began with.
            for first in ["?from=0", "?last_event_id=0", "?from=18446744073709551615"] {
                assert_eq!(
                    events(address, first, &header, rest.len()),
                    rest,
                    "{first} and {id}"
                );
            }
        }
    };
    resumes(address);

    // Without a place to begin, an id comes first, for whoever is cut off before the first event.
    let hello = events(address, "", "", 1).remove(0);
    assert_eq!(hello.1, "");
    assert!(hello.0.parse::<u64>().is_ok(), "{hello:?}");

    let refused = |lines: &str, query: &str, status: u16| {
        send(address, "GET", &format!("/v1/events{query}"), lines, b"")
            .problem(status, &format!("{lines}{query}"))
    };
    for id in [
        "",
        "abc",
        "-1",
        "1-",
        "1.5",
        "01",
        "0-0-0",
        "18446744073709551616",
        "1-4294967296",
        "\u{1f600}",
    ] {
        let detail = refused(&format!("last-event-id: {id}\r\n"), "", 400);
        assert!(detail.contains("Last-Event-ID"), "{detail}");
    }
    for id in ["18446744073709551615", "18446744073709551615-0", "1000000-3"] {
        let detail = refused(&format!("last-event-id: {id}\r\n"), "", 409);
        assert!(detail.contains("ahead"), "{detail}");
        refused("", &format!("?last_event_id={id}"), 409);
    }
    let last = &all[0].0.split_once('-').unwrap().0;
    refused(&format!("last-event-id: {last}-9999\r\n"), "", 404);
    refused("last-event-id: 1\r\nlast-event-id: 2\r\n", "", 400);
    refused("", "?from=18446744073709551615", 409);

    // What happens while nobody listens is not lost, over a restart neither.
    pay(address, 2);
    net.stop().unwrap();
    let net = network(&folder);
    let address = net.apis()[0];
    assert_eq!(
        events(address, "?from=0", "", count),
        all,
        "ids and events are the same after a restart"
    );
    resumes(address);
    pay(address, 1);
    let since = events(address, "", &format!("last-event-id: {}\r\n", hello.0), 3);
    let from = events(
        address,
        &format!("?from={}", hello.0.parse::<u64>().unwrap() + 1),
        "",
        3,
    );
    assert_eq!(since, from);
    net.stop().unwrap();
}
