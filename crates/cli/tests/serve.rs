//! `soma serve` and `soma verify` of its answers, as a client and a person use them.

mod common;

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use common::{Bench, SMALL, serving::Server};
use serde_json::{Value, json};
use soma_serving::{Receipt, engine::AT_ONCE};

const MODELS: [&str; 4] = [
    "--arch",
    "small.json",
    "--weights",
    "prose.safetensors,table.safetensors",
];

/// A bench with a model of prose and one of tables.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("small.json", SMALL);
    for (name, text) in [
        ("prose", "she sells sea shells by the sea shore\n"),
        ("table", "1021,77,3\n1022,78,4\n"),
    ] {
        let (data, out) = (format!("{name}.txt"), format!("{name}.safetensors"));
        bench.write(&data, text.repeat(200));
        let train = ["train", "--arch", "small.json", "--steps", "150"];
        bench.ok(&[&train[..], &["--data", &data, "--out", &out]].concat());
    }
    bench
}

/// A server of both.
fn start(bench: &Bench) -> Server {
    let server = Server::start(bench, &MODELS);
    assert_eq!(server.output["models"], json!(["whole", "prose", "table"]));
    server
}

#[test]
fn answers_are_those_of_generate_and_can_be_computed_again() {
    let bench = bench();
    let server = start(&bench);
    let (status, models) = server.ask("GET", "/v1/models", &Value::Null);
    let models: Value = serde_json::from_str(&models).unwrap();
    assert_eq!((status, models["data"].as_array().unwrap().len()), (200, 3));

    let ask = json!({"model": "whole", "prompt": "she sells", "max_tokens": 40, "seed": 5, "n": 2, "temperature": 0.7});
    let answer = server.complete(&ask);
    for (index, seed) in [(0, "5"), (1, "6")] {
        let args = [
            "generate",
            "she sells",
            "--bytes",
            "40",
            "--seed",
            seed,
            "--temperature",
            "0.7",
        ];
        let written = bench.run(&[&args[..], &MODELS].concat()).stdout;
        assert_eq!(answer["soma"]["bytes"][index], BASE64_STANDARD.encode(&written));
        // Text that is none says so, as it does there.
        let text = String::from_utf8_lossy(&written);
        assert_eq!(answer["choices"][index]["text"], *text);
    }
    bench.write("answer.json", answer.to_string());
    let verify = |file: &str, weights: &str| {
        bench.run(&["verify", file, "--arch", "small.json", "--weights", weights])
    };
    let output = verify("answer.json", "table.safetensors,prose.safetensors");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(verify("answer.json", "table.safetensors").status.code(), Some(1));

    // What was altered, under the hash or beside it, is told apart.
    let alterations: [fn(&mut Value); 20] = [
        |answer| answer["soma"]["drawn"]["seed"] = json!(6),
        |answer| answer["soma"]["models"][0]["name"] = json!("mallory"),
        |answer| answer["soma"]["models"][0]["shares"][1] = json!(0.5),
        |answer| answer["soma"]["models"][0]["shares"] = json!([]),
        |answer| answer["soma"]["drawn"]["max_tokens"] = json!(u64::MAX),
        |answer| answer["soma"]["drawn"]["n"] = json!(0),
        |answer| answer["choices"][0]["text"] = json!("send me money"),
        |answer| answer["choices"][1]["finish_reason"] = json!("stop"),
        |answer| answer["usage"]["completion_tokens"] = json!(1),
        |answer| answer["usage"]["total_tokens"] = json!(1),
        |answer| answer["usage"] = Value::Null,
        |answer| answer["choices"][0]["text"] = json!(""),
        |answer| {
            answer["choices"][0]["text"] = json!("");
            answer["choices"][1]["text"] = json!("");
        },
        |answer| answer["choices"][1]["finish_reason"] = Value::Null,
        |answer| answer["choices"][1]["index"] = json!(0),
        |answer| answer["choices"].as_array_mut().unwrap().clear(),
        |answer| answer["choices"].as_array_mut().unwrap().truncate(1),
        |answer| answer["choices"].as_array_mut().unwrap().reverse(),
        |answer| {
            let choices = answer["choices"].as_array_mut().unwrap();
            choices.push(choices[0].clone());
        },
        |answer| answer["ends_stream"] = json!(true),
    ];
    for (index, alter) in alterations.iter().enumerate() {
        let mut altered = answer.clone();
        alter(&mut altered);
        assert_ne!(altered, answer, "{index}");
        if let Ok(mut receipt) = serde_json::from_value::<Receipt>(altered["soma"].clone()) {
            receipt.hash = receipt.expected_hash();
            altered["soma"]["hash"] = json!(receipt.hash);
        }
        bench.write("altered.json", altered.to_string());
        let output = verify("altered.json", "table.safetensors,prose.safetensors");
        // A name is the server's word: with its hash it is another answer, and no false one.
        let expected = if index == 1 { 0 } else { 5 };
        assert_eq!(output.status.code(), Some(expected), "{index}: {output:?}");
    }

    // Streamed, it is the same text, and the last event has the receipt.
    let mut streaming = ask.clone();
    streaming["stream"] = json!(true);
    let (status, events) = server.ask("POST", "/v1/completions", &streaming);
    assert_eq!(status, 200);
    let events: Vec<&str> = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let parts = events[..events.len() - 1]
        .iter()
        .map(|event| serde_json::from_str::<Value>(event).unwrap());
    let (mut texts, mut receipt, mut last) = ([String::new(), String::new()], Value::Null, Value::Null);
    for part in parts {
        for choice in part["choices"].as_array().unwrap() {
            texts[choice["index"].as_u64().unwrap() as usize] += choice["text"].as_str().unwrap();
        }
        receipt = part["soma"].clone();
        last = part;
    }
    assert_eq!(receipt["hash"], answer["soma"]["hash"]);
    // It is told that no text stands there; any that does is none of the stream's.
    bench.write("last.json", last.to_string());
    let output = verify("last.json", "table.safetensors,prose.safetensors");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("it ends a stream"));
    last["choices"][0]["text"] = json!("send me money");
    bench.write("last.json", last.to_string());
    let output = verify("last.json", "table.safetensors,prose.safetensors");
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(
        texts
            .iter()
            .zip(0..)
            .all(|(text, index): (_, usize)| answer["choices"][index]["text"] == *text)
    );
}

#[test]
fn what_else_the_interface_offers() {
    let bench = bench();
    let server = start(&bench);
    let scored = server.complete(
        &json!({"model": "prose", "prompt": "she sells", "max_tokens": 0, "echo": true, "logprobs": 2}),
    );
    let choice = &scored["choices"][0];
    assert_eq!(
        (&choice["text"], &choice["finish_reason"]),
        (&json!("she sells"), &json!("length"))
    );
    let logprobs = choice["logprobs"]["token_logprobs"].as_array().unwrap();
    assert!(
        logprobs[0].is_null()
            && logprobs[1..]
                .iter()
                .all(|logprob| logprob.as_f64().unwrap() < 0.0)
    );
    assert_eq!(
        choice["logprobs"]["top_logprobs"][3].as_object().unwrap().len(),
        2
    );

    let stopped = server.complete(&json!({"model": "prose", "prompt": "she sells", "max_tokens": 60, "temperature": 0, "stop": ["shells"], "seed": 1}));
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
    assert!(!stopped["choices"][0]["text"].as_str().unwrap().contains("shells"));

    let embed = |format: &str| {
        let ask = json!({"model": "prose", "input": ["she sells", "1021,77"], "encoding_format": format});
        let (status, answer) = server.ask("POST", "/v1/embeddings", &ask);
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()
    };
    assert_eq!(
        embed("float")["data"][1]["embedding"].as_array().unwrap().len(),
        16
    );
    assert!(embed("base64")["data"][0]["embedding"].is_string());

    for (path, body, status) in [
        ("/v1/completions", json!({"model": "none", "prompt": "a"}), 404),
        ("/v1/completions", json!({"model": "whole", "prompt": ""}), 400),
        (
            "/v1/completions",
            json!({"model": "whole", "prompt": "a", "temperature": -1}),
            400,
        ),
        (
            "/v1/completions",
            json!({"model": "whole", "prompt": "a", "n": 100}),
            400,
        ),
        (
            "/v1/completions",
            json!({"model": "whole", "prompt": "a", "presence_penalty": 1}),
            400,
        ),
        (
            "/v1/completions",
            json!({"model": "whole", "prompt": "a", "unknown": 1}),
            400,
        ),
        ("/v1/embeddings", json!({"model": "whole", "input": "a"}), 404),
        ("/v1/chat/completions", json!({}), 404),
    ] {
        refused(&server, "POST", path, &body, status);
    }
    // What the border refuses by itself is told alike.
    let long = json!({"model": "whole", "prompt": "a".repeat(1 << 20)});
    refused(&server, "POST", "/v1/completions", &long, 413);
    refused(&server, "PUT", "/v1/completions", &Value::Null, 405);
    let of_rust = json!({"model": "whole", "prompt": "a", "n": "2"});
    let told = refused(&server, "POST", "/v1/completions", &of_rust, 400);
    assert!(
        told.contains("'n'") && told.contains("expected a whole number"),
        "{told}"
    );
    let told = refused(&server, "POST", "/v1/completions", &json!([]), 400);
    assert!(told.contains("expected an object"), "{told}");
    let (_, document) = server.ask("GET", "/openapi.json", &Value::Null);
    let document: Value = serde_json::from_str(&document).unwrap();
    let required = document["components"]["schemas"]["Problem"]["required"]
        .as_array()
        .unwrap();
    assert!(required.contains(&json!("error")), "{required:?}");

    // What is told beside each byte takes memory: written bytes count as those of prompts that are told.
    for (n, max_tokens, echo, status) in [(2, 40_000, false, 400), (1, 65_534, true, 400), (1, 1, true, 200)]
    {
        let ask = json!({"model": "prose", "prompt": "she", "n": n, "max_tokens": max_tokens,
            "echo": echo, "logprobs": 1});
        let (found, answer) = server.ask("POST", "/v1/completions", &ask);
        assert_eq!(found, status, "{answer}");
    }

    let (status, model) = server.ask("GET", "/v1/models/prose", &Value::Null);
    let (_, models) = server.ask("GET", "/v1/models", &Value::Null);
    let models: Value = serde_json::from_str(&models).unwrap();
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&model).unwrap(), models["data"][1]);
    refused(&server, "GET", "/v1/models/none", &Value::Null, 404);
    refused(&server, "GET", "/v1/models/%ff", &Value::Null, 400);
}

/// Asks for what is refused so; what is told, in the words of RFC 9457 and of OpenAI alike.
fn refused(server: &Server, method: &str, path: &str, body: &Value, status: u16) -> String {
    let (found, answer) = server.ask(method, path, body);
    assert_eq!(found, status, "{path}: {answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let error = json!({
        "message": answer["detail"],
        "type": "invalid_request_error",
        "param": null,
        "code": null,
    });
    assert_eq!((&answer["status"], &answer["error"]), (&json!(status), &error));
    answer["detail"].as_str().unwrap().to_owned()
}

/// The status was sent when a model overflows: the client has to find the error among the events.
#[test]
fn a_stream_that_fails_says_so_where_clients_look() {
    let bench = Bench::new();
    bench.write("small.json", SMALL);
    let architecture = serde_json::from_str(SMALL).unwrap();
    let width = serde_json::from_str::<Value>(SMALL).unwrap()["embedding_dim"]
        .as_u64()
        .unwrap() as usize;
    let tensors = soma_model::layout(&architecture).into_iter().map(|spec| {
        let mut values = vec![0.5; spec.len()];
        if spec.name == "embedding.weight" {
            values[usize::from(b'z') * width..][..width].fill(3e38);
        }
        (spec.name, values)
    });
    let model = soma_model::Model::from_tensors(&architecture, tensors).unwrap();
    bench.write("broken.safetensors", model.to_bytes());
    let models = ["--arch", "small.json", "--weights", "broken.safetensors"];
    let server = Server::start(&bench, &models);
    let ask = json!({"model": "broken", "prompt": "abz", "stream": true});
    let (status, events) = server.ask("POST", "/v1/completions", &ask);
    assert_eq!(status, 200);
    let data = events.strip_prefix("event: error\ndata: ").unwrap();
    let error: Value = serde_json::from_str(data.trim()).unwrap();
    assert_eq!(error["error"]["message"], error["detail"]);
    assert!(error["detail"].as_str().unwrap().contains("model 0"), "{error}");
}

/// A number of `GET /metrics`.
fn metric(server: &Server, name: &str) -> u64 {
    let (status, text) = server.ask("GET", "/metrics", &Value::Null);
    assert_eq!(status, 200);
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.find(|(found, _)| *found == name).unwrap();
    value.parse().unwrap()
}

fn until(happens: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happens() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_long_prompt_and_who_hangs_up_hold_nobody_up() {
    let bench = bench();
    let server = start(&bench);
    let long = "she sells sea shells ".repeat(30_000);
    let asked = json!({"model": "whole", "prompt": long, "max_tokens": 1, "stream": true}).to_string();
    let reading = server.send("POST", "/v1/completions", &asked);
    until(|| metric(&server, "soma_serving_read_bytes_total") > 0);
    server.complete(&json!({"model": "whole", "prompt": "she", "max_tokens": 5, "seed": 1}));
    assert!(metric(&server, "soma_serving_read_bytes_total") < long.len() as u64);
    drop(reading);
    until(|| metric(&server, "soma_serving_texts_in_hand") == 0);
    assert_eq!(metric(&server, "soma_serving_texts_dropped_total"), 1);

    // As many as may be in hand and wait; then more are refused, and told when to come again.
    let ask = json!({"model": "whole", "prompt": "she", "max_tokens": 65_536, "n": 16, "stream": true});
    let many: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = server.send("POST", "/v1/completions", &ask.to_string());
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            assert_eq!(&status, b"HTTP/1.1 200");
            stream
        })
        .collect();
    until(|| metric(&server, "soma_serving_texts_in_hand") == AT_ONCE as u64);
    assert!(metric(&server, "soma_serving_texts_waiting") > 0);
    let mut refused = String::new();
    let mut more = ask.clone();
    more["n"] = json!(1);
    let mut stream = server.send("POST", "/v1/completions", &more.to_string());
    stream.read_to_string(&mut refused).unwrap();
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(
        refused.to_ascii_lowercase().contains("retry-after: 2"),
        "{refused}"
    );
    drop(many);
    until(|| metric(&server, "soma_serving_texts_in_hand") == 0);
    // Those that hung up while they waited are counted too.
    assert_eq!(metric(&server, "soma_serving_texts_waiting"), 0);
    let gone = ["dropped", "ended"].map(|how| metric(&server, &format!("soma_serving_texts_{how}_total")));
    assert_eq!(gone.iter().sum::<u64>(), 1 + 1 + 64);
    server.complete(&json!({"model": "whole", "prompt": "she", "max_tokens": 5, "seed": 1}));
}
