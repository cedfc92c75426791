//! The scoring service over real connections: answers, refusals, back-pressure, and askers who leave.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use soma_model::{Directions, Model, Scorer};
use soma_scoring::{Files, Limits, Scoring, Service, server};
use soma_types::{Architecture, ContentHash, Seed, api::score::ContestView};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

/// A job of this many bytes takes minutes.
const LONG_BYTES: usize = 8 << 20;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/vectors")
}

fn architecture(name: &str) -> Architecture {
    let json = std::fs::read(vectors().join(format!("{name}.json"))).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    serde_json::from_value(json["architecture"].clone()).unwrap()
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Serves the reference weights `nano`, and a file that is none.
fn start(limits: Limits) -> Server {
    serve(
        limits,
        [vectors().join("nano.safetensors"), vectors().join("pico.json")],
    )
}

/// Serves files of the shape `nano`.
fn serve(limits: Limits, files: impl IntoIterator<Item = PathBuf>) -> Server {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let scoring = Scoring {
        service: Service::new(limits).unwrap(),
        library: Files::new(architecture("nano"), files).unwrap().into(),
    };
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server::serve(listener, scoring, async move {
        let _ = stopped.await;
    }));
    Server { address, stop, task }
}

/// Sends a request and keeps the connection.
async fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: soma\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // The server may refuse before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    stream
}

/// Status, header lines and JSON body.
async fn answer(mut stream: TcpStream) -> (u16, String, Value) {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole answer");
    let status = head[9..12].parse().unwrap();
    (status, head.to_lowercase(), serde_json::from_str(body).unwrap())
}

impl Server {
    async fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        send(self.address, method, path, body).await
    }

    async fn post(&self, body: &Value) -> (u16, String, Value) {
        answer(self.send("POST", "/v1/score", &body.to_string()).await).await
    }

    async fn health(&self) -> Value {
        answer(self.send("GET", "/health", "").await).await.2
    }

    /// Waits until so many requests are served or wait.
    async fn until_requests(&self, count: u64) {
        for _ in 0..600 {
            if self.health().await["requests"] == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never {count} requests");
    }
}

fn limits() -> Limits {
    Limits::dedicated(1 << 30)
}

fn long_job() -> Value {
    json!({ "models": ["nano"], "data": STANDARD.encode(vec![b'a'; LONG_BYTES]) })
}

#[tokio::test]
async fn answers_are_exact() {
    let server = start(limits());
    let architecture = architecture("nano");
    let model = Model::load(vectors().join("nano.safetensors"), &architecture).unwrap();
    let documents: [&[u8]; 2] = [b"A first document.", b"And a second."];
    let texts = documents.map(|document| STANDARD.encode(document));
    let expected = |seed: Seed| {
        let directions = Directions::draw(&seed, &architecture);
        documents.map(|document| {
            let contest = Scorer::new()
                .unwrap()
                .score_all(&[&model, &model], document, &directions);
            ContestView::from(&contest.unwrap())
        })
    };
    let view = |value: &Value| serde_json::from_value::<ContestView>(value.clone()).unwrap();

    let (status, _, one) = server
        .post(&json!({ "models": ["nano", "nano"], "data": texts[0] }))
        .await;
    assert_eq!(status, 200, "{one}");
    assert_eq!(view(&one), expected(Seed::default())[0]);

    let seed = Seed([8; 32]);
    let (status, _, many) = server
        .post(&json!({ "models": ["nano", "nano"], "data": texts, "seed": seed }))
        .await;
    assert_eq!(status, 200, "{many}");
    let many = many["documents"].as_array().unwrap();
    assert_eq!(many.iter().map(view).collect::<Vec<_>>(), expected(seed));
    assert_eq!(many[1]["data"], "1");

    let health = server.health().await;
    assert_eq!(health["models"], json!(["nano", "pico"]));
    assert!(health["resident_bytes"].as_u64().unwrap() > 0);
    let (status, _, document) = answer(server.send("GET", "/openapi.json", "").await).await;
    assert_eq!(status, 200);
    assert!(document["paths"]["/v1/score"]["post"].is_object());
}

#[tokio::test]
async fn refusals_say_why() {
    let limits = Limits {
        models_max: 2,
        documents_max: 2,
        document_bytes_max: 1_000,
        body_bytes_max: 10_000,
        ..limits()
    };
    let server = start(limits);
    let (text, empty, long) = (STANDARD.encode("a"), "", STANDARD.encode(vec![0; 1_001]));
    let hash = format!("soma:0x{}", "7".repeat(64));
    for (body, status, says) in [
        (json!({ "models": [], "data": text }), 400, "no models"),
        (json!({ "models": ["nano"], "data": [] }), 400, "no documents"),
        (
            json!({ "models": ["nano"], "data": 7 }),
            400,
            "'data': invalid type: integer `7`, expected a text, or a list of",
        ),
        (
            json!({ "models": ["nano"], "data": text, "sed": 1 }),
            400,
            "unknown field `sed`",
        ),
        (
            json!({ "models": ["nano"], "data": "%" }),
            400,
            "document 0 is no base64",
        ),
        (json!({ "models": ["nano"], "data": "soma:abc" }), 400, ""),
        (
            json!({ "models": ["nano"], "data": hash }),
            404,
            "there is no content",
        ),
        (
            json!({ "models": ["mega"], "data": text }),
            404,
            "only nano, pico",
        ),
        (
            json!({ "models": ["nano", "nano", "nano"], "data": text }),
            413,
            "3 models, the limit is 2",
        ),
        (
            json!({ "models": ["nano"], "data": [text, text, text] }),
            413,
            "3 documents, the limit is 2",
        ),
        (
            json!({ "models": ["nano"], "data": long }),
            413,
            "document 0 has 1001 bytes, the limit is 1000",
        ),
        (
            json!({ "models": ["nano"], "data": [text, empty] }),
            422,
            "document 1: the data is empty",
        ),
        (
            json!({ "models": ["nano", "pico"], "data": text }),
            503,
            "model pico: its file holds no weights of this architecture: ",
        ),
        (
            json!({ "models": ["nano"], "data": "a".repeat(10_000) }),
            413,
            "more than 10000 bytes",
        ),
    ] {
        let (found, head, problem) = server.post(&body).await;
        assert_eq!(found, status, "{body}: {problem}");
        assert!(head.contains("application/problem+json"), "{head}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{detail}");
        assert_eq!(problem["status"], status);
    }
    for (method, path, body, status) in [
        ("POST", "/v1/score", "{", 400),
        ("POST", "/v1/score?seed=1", "{}", 400),
        ("GET", "/health?x=1", "", 400),
        ("GET", "/openapi.json?x", "", 400),
        ("GET", "/health", "{}", 400),
        ("GET", "/v1/score", "", 405),
        ("DELETE", "/health", "", 405),
        ("GET", "/v2", "", 404),
    ] {
        let (found, head, problem) = answer(server.send(method, path, body).await).await;
        assert_eq!(found, status, "{method} {path}: {problem}");
        assert!(head.contains("application/problem+json"), "{head}");
    }
}

/// The losses of a document by `model`, and the weights that they are of.
async fn losses(server: &Server, models: &[&str]) -> (u16, Vec<Value>, Value) {
    let (status, _, answer) = server
        .post(&json!({ "models": models, "data": STANDARD.encode("A document.") }))
        .await;
    let losses = answer["models"].as_array().map(|models| {
        let losses = models.iter().map(|model| model["loss_nano"].clone());
        losses.collect()
    });
    (status, losses.unwrap_or_default(), answer)
}

/// Weights of the same shape: the end of a file belongs to its last tensor.
fn with_other_values(weights: &[u8]) -> Vec<u8> {
    let mut other = weights.to_vec();
    let end = other.len() - 400;
    for value in other[end..].as_chunks_mut::<4>().0 {
        *value = 0.25_f32.to_le_bytes();
    }
    other
}

/// Whatever becomes of a file while it is served: an answer is of the weights that it names, which the file
/// held when it was asked; where it holds none, that is the answer.
#[tokio::test]
async fn a_changed_file_is_served_as_it_is_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let first = std::fs::read(vectors().join("nano.safetensors")).unwrap();
    let second = with_other_values(&first);
    let score = |bytes: &[u8]| {
        let architecture = architecture("nano");
        let model = Model::from_bytes(bytes, &architecture).unwrap();
        let directions = Directions::draw(&Seed::default(), &architecture);
        let contest = Scorer::new()
            .unwrap()
            .score_all(&[&model], b"A document.", &directions);
        let view = ContestView::from(&contest.unwrap());
        serde_json::to_value(&view).unwrap()["models"][0]["loss_nano"].clone()
    };
    let (loss_first, loss_second) = (score(&first), score(&second));
    assert_ne!(loss_first, loss_second);

    std::fs::write(&path, &first).unwrap();
    let server = serve(limits(), [path.clone()]);
    let expect = async |bytes: &[u8], loss: &Value| {
        let (status, losses, answer) = losses(&server, &["m", "m"]).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(losses, [loss.clone(), loss.clone()]);
        let name = json!(ContentHash::of(bytes));
        assert_eq!(answer["weights"], json!([name, name]), "{answer}");
        assert_eq!(server.health().await["weights"]["m"], name);
    };
    expect(&first, &loss_first).await;
    // In place, at once; and by rename, as trainers do.
    std::fs::write(&path, &second).unwrap();
    expect(&second, &loss_second).await;
    let other = folder.path().join("other");
    std::fs::write(&other, &first).unwrap();
    std::fs::rename(&other, &path).unwrap();
    expect(&first, &loss_first).await;

    for broken in [&first[..first.len() / 2], b"", b"rubbish"] {
        std::fs::write(&path, broken).unwrap();
        let (status, _, problem) = losses(&server, &["m"]).await;
        assert_eq!(status, 503, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("model m: its file holds no weights"),
            "{detail}"
        );
    }
    std::fs::remove_file(&path).unwrap();
    let (status, _, problem) = losses(&server, &["m"]).await;
    assert_eq!(status, 503, "{problem}");
    std::fs::write(&path, &second).unwrap();
    expect(&second, &loss_second).await;
}

/// While the file is replaced over and over, no answer names weights that its scores are not of.
#[tokio::test]
async fn old_and_new_weights_are_never_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let first = std::fs::read(vectors().join("nano.safetensors")).unwrap();
    let second = with_other_values(&first);
    std::fs::write(&path, &first).unwrap();
    let server = serve(limits(), [path.clone()]);
    let (_, of_first, _) = losses(&server, &["m"]).await;
    std::fs::write(&path, &second).unwrap();
    let (_, of_second, _) = losses(&server, &["m"]).await;
    let known = [
        (json!(ContentHash::of(&first)), of_first),
        (json!(ContentHash::of(&second)), of_second),
    ];

    let writing = Arc::new(AtomicBool::new(true));
    let writer = std::thread::spawn({
        let (writing, path, files) = (writing.clone(), path.clone(), [first, second]);
        move || {
            let mut round = 0_usize;
            while writing.load(Ordering::Relaxed) {
                // Not by rename, so that a reader may meet half of it.
                std::fs::write(&path, &files[round % 2]).unwrap();
                round += 1;
                std::thread::sleep(Duration::from_millis(7));
            }
        }
    });
    let mut served = 0;
    for _ in 0..200 {
        let (status, losses, answer) = losses(&server, &["m"]).await;
        if status == 200 {
            served += 1;
            let pair = (answer["weights"][0].clone(), losses);
            assert!(known.contains(&pair), "{answer}");
        } else {
            assert_eq!(status, 503, "{answer}");
        }
    }
    writing.store(false, Ordering::Relaxed);
    writer.join().unwrap();
    assert!(served > 0, "not one was served");
}

#[tokio::test]
async fn a_model_beyond_the_budget_is_refused_with_both_numbers() {
    let server = start(Limits::dedicated(1_000));
    let (status, _, problem) = server.post(&json!({ "models": ["nano"], "data": "YQ==" })).await;
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!(status, 422, "{detail}");
    assert!(detail.contains("the budget is 1000"), "{detail}");
}

/// While one job runs and one waits, the next asker is told when to come back; who leaves frees a place,
/// and the job that nobody waits for any more ends.
#[tokio::test]
async fn a_full_queue_pushes_back_and_leavers_free_it() {
    let server = start(Limits {
        waiting_max: 1,
        ..limits()
    });
    let first = server.send("POST", "/v1/score", &long_job().to_string()).await;
    server.until_requests(1).await;
    let second = server.send("POST", "/v1/score", &long_job().to_string()).await;
    server.until_requests(2).await;
    let (status, head, problem) = server.post(&json!({ "models": ["nano"], "data": "YQ==" })).await;
    assert_eq!(status, 503, "{problem}");
    assert!(head.contains("\r\nretry-after: "), "{head}");

    drop(first);
    drop(second);
    server.until_requests(0).await;
    let (status, _, answer) = server.post(&json!({ "models": ["nano"], "data": "YQ==" })).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn long_jobs_are_stopped() {
    let server = start(Limits {
        job_time_max: Duration::from_millis(200),
        ..limits()
    });
    let (status, _, problem) = server.post(&long_job()).await;
    assert_eq!(status, 413, "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("the most that one request may take")
    );
}

/// Told to stop, the service finishes what it has begun and takes nothing new.
#[tokio::test]
async fn it_stops_gracefully() {
    let server = start(limits());
    let data = STANDARD.encode(vec![b'a'; 100_000]);
    let body = json!({ "models": ["nano"], "data": data }).to_string();
    let running = server.send("POST", "/v1/score", &body).await;
    server.until_requests(1).await;
    server.stop.send(()).unwrap();
    let (status, _, answer) = answer(running).await;
    assert_eq!(status, 200, "{answer}");
    server.task.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
