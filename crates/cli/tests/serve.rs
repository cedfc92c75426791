//! `soma serve` and `soma recompute`, as a client and a person use them.

mod common;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Stdio},
};

use common::{Bench, SMALL};
use serde_json::{Value, json};

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

/// A server, which ends with the test.
struct Server {
    process: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(bench: &Bench) -> Self {
        let args = [&["serve", "--listen", "127.0.0.1:0", "--json"], &MODELS[..]].concat();
        let mut process = bench.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let (mut text, mut line) = (String::new(), String::new());
        while serde_json::from_str::<Value>(&text).is_err() {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it ended: {text}");
            text += &line;
        }
        let output: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(output["models"], json!(["whole", "prose", "table"]));
        let url = output["url"].as_str().unwrap();
        let address = url
            .trim_start_matches("http://")
            .trim_end_matches("/v1")
            .to_owned();
        Self { process, address }
    }

    /// Status and body.
    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        (status, if chunked { joined(body) } else { body.to_owned() })
    }

    fn complete(&self, body: &Value) -> Value {
        let (status, answer) = self.ask("POST", "/v1/completions", body);
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(&answer).unwrap()
    }
}

/// A body that came in chunks.
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body += &rest[..length];
        chunks = rest[length..].trim_start_matches("\r\n");
    }
    body
}

#[test]
fn answers_are_those_of_generate_and_can_be_computed_again() {
    let bench = bench();
    let server = Server::start(&bench);
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
        let text = bench.ok(&[&args[..], &MODELS].concat());
        assert_eq!(answer["choices"][index]["text"], text);
    }
    bench.write("answer.json", answer.to_string());
    let recompute = |file: &str, weights: &str| {
        bench.run(&["recompute", file, "--arch", "small.json", "--weights", weights])
    };
    let output = recompute("answer.json", "table.safetensors,prose.safetensors");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        recompute("answer.json", "table.safetensors").status.code(),
        Some(1)
    );

    // What was altered, hash and all or not, is told apart.
    let mut altered = answer.clone();
    altered["soma"]["drawn"]["seed"] = json!(6);
    bench.write("altered.json", altered.to_string());
    assert_eq!(
        recompute("altered.json", "table.safetensors,prose.safetensors")
            .status
            .code(),
        Some(5)
    );

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
    let (mut texts, mut receipt) = ([String::new(), String::new()], Value::Null);
    for part in parts {
        for choice in part["choices"].as_array().unwrap() {
            texts[choice["index"].as_u64().unwrap() as usize] += choice["text"].as_str().unwrap();
        }
        receipt = part["soma"].clone();
    }
    assert_eq!(receipt["hash"], answer["soma"]["hash"]);
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
    let server = Server::start(&bench);
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
        let (found, answer) = server.ask("POST", path, &body);
        assert_eq!(found, status, "{path} {body}: {answer}");
    }
}
