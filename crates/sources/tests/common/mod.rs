//! Servers that a test starts, and the files they serve.
#![allow(dead_code)] // Each test uses its part.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use parquet::{
    basic::{Compression, Encoding},
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use soma_data::{DataError, Documents, Reading, Rules, read_from};
use soma_sources::{Patience, Settings, Sources};

/// What a client asks.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub query: String,
    pub headers: HashMap<String, String>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The range it asks for, of so many bytes.
    pub fn range(&self, length: usize) -> Option<(usize, usize)> {
        let (from, last) = self.header("range").strip_prefix("bytes=")?.split_once('-')?;
        let until = last
            .parse::<usize>()
            .map_or(length, |last| (last + 1).min(length));
        Some((from.parse().ok()?, until))
    }
}

/// What it is told.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Bytes of the body after which the connection ends.
    pub cut: Option<usize>,
    /// Bytes of the body after which nothing comes any more.
    pub hang: Option<usize>,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            body: body.into(),
            ..Self::default()
        }
    }

    pub fn to(location: impl Into<String>) -> Self {
        Self::status(302).with("location", location)
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A file, or the part of it that is asked for.
    pub fn file(request: &Request, bytes: &[u8], tag: &str) -> Self {
        match request.range(bytes.len()) {
            Some((from, _)) if from >= bytes.len() => Self::status(416),
            Some((from, until)) => {
                let range = format!("bytes {from}-{}/{}", until - 1, bytes.len());
                Self {
                    status: 206,
                    ..Self::ok(&bytes[from..until])
                }
                .with("content-range", range)
                .with("etag", tag)
            }
            None => Self::ok(bytes).with("etag", tag),
        }
    }
}

/// A server of one test.
pub struct Server {
    pub address: SocketAddr,
    pub requests: Arc<AtomicU64>,
    pub log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, log) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, written, answer) = (Arc::clone(&requests), Arc::clone(&log), Arc::new(answer));
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (count, written, answer) =
                    (Arc::clone(&count), Arc::clone(&written), Arc::clone(&answer));
                thread::spawn(move || {
                    if let Some(request) = read(&socket) {
                        count.fetch_add(1, Ordering::Relaxed);
                        written.lock().unwrap().push(request.clone());
                        write(socket, &answer(&request));
                    }
                });
            }
        });
        Self {
            address,
            requests,
            log,
        }
    }

    /// The same file at every path, with ranges.
    pub fn of(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |request| Reply::file(request, &bytes, "\"1\""))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub fn count(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn read(socket: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(socket).lines();
    let first = lines.next()?.ok()?;
    let target = first.split(' ').nth(1)?.to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = HashMap::new();
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    Some(Request {
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
    })
}

fn write(mut socket: TcpStream, reply: &Reply) {
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
    if !reply.headers.iter().any(|(name, _)| *name == "transfer-encoding") {
        head += &format!("content-length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let end = reply.cut.or(reply.hang).unwrap_or(reply.body.len());
    // The client may have hung up.
    let _ = socket.write_all((head + "\r\n").as_bytes());
    let _ = socket.write_all(&reply.body[..end.min(reply.body.len())]);
    let _ = socket.flush();
    if reply.hang.is_some() {
        // Until the client gives up.
        let _ = socket.set_read_timeout(Some(Duration::from_secs(30)));
        let _ = socket.read(&mut [0]);
    }
}

/// Short waits: what hangs is found within a test.
pub fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        idle: Duration::from_millis(400),
        pause: Duration::from_millis(1),
    }
}

pub fn settings() -> Settings {
    Settings {
        patience: patience(),
        ..Settings::default()
    }
}

pub fn reading(sources: &[&str], rules: &Rules, settings: Settings) -> Result<Reading, DataError> {
    read_from(sources, rules, Some(Arc::new(Sources::new(settings))))
}

pub fn get(source: &str) -> Result<Reading, DataError> {
    reading(&[source], &Rules::default(), settings())
}

pub fn open(sources: &[&str], rules: &Rules) -> Result<Documents, DataError> {
    Documents::open(sources, rules, Some(Arc::new(Sources::new(settings()))))
}

pub fn texts(reading: &Reading) -> Vec<&str> {
    let documents = reading.dataset.documents().iter();
    documents.map(|d| std::str::from_utf8(&d.data).unwrap()).collect()
}

/// Documents of some hundred bytes, no two the same.
pub fn text(index: usize) -> String {
    format!(
        "document {index}: {}",
        format!("word{} ", index * 7919 % 1000).repeat(20)
    )
}

/// JSONL of so many documents.
pub fn jsonl(count: usize) -> Vec<u8> {
    let lines =
        (0..count).map(|index| format!("{}\n", serde_json::json!({"id": index, "text": text(index)})));
    lines.collect::<String>().into_bytes()
}

/// Parquet of so many documents, in row groups of so many rows: `text`, `id`, `language`, `score`, `n`, and
/// where it was published.
pub fn parquet(count: usize, group_rows: usize, compression: Compression) -> Vec<u8> {
    parquet_as(
        count,
        group_rows,
        WriterProperties::builder().set_compression(compression).build(),
    )
}

pub fn encoded(count: usize, encoding: Encoding) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_encoding(encoding);
    parquet_as(count, 100, properties.build())
}

pub fn parquet_as(count: usize, group_rows: usize, properties: WriterProperties) -> Vec<u8> {
    let schema = "message m {
        optional binary text (UTF8); required binary id (UTF8); optional binary language (UTF8);
        required double score; required int64 n; optional binary url (UTF8);
        optional group licenses (LIST) { repeated group list { optional binary element (UTF8); } }
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    let indices: Vec<usize> = (0..count).collect();
    for rows in indices.chunks(group_rows) {
        let mut group = writer.next_row_group().unwrap();
        let mut at = 0;
        while let Some(mut column) = group.next_column().unwrap() {
            let binary = |text: String| ByteArray::from(text.into_bytes());
            let ones = vec![1_i16; rows.len()];
            match at {
                0 => {
                    // Every tenth is null.
                    let levels: Vec<i16> = rows.iter().map(|i| i16::from(i % 10 != 9)).collect();
                    let values: Vec<_> = rows
                        .iter()
                        .filter(|i| *i % 10 != 9)
                        .map(|i| binary(text(*i)))
                        .collect();
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&values, Some(&levels), None)
                        .unwrap();
                }
                1 => {
                    let values: Vec<_> = rows.iter().map(|i| binary(format!("id-{i}"))).collect();
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&values, None, None)
                        .unwrap();
                }
                2 => {
                    let language = |i: &usize| binary(if i.is_multiple_of(2) { "en" } else { "de" }.into());
                    let values: Vec<_> = rows.iter().map(language).collect();
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&values, Some(&ones), None)
                        .unwrap();
                }
                3 => {
                    let values: Vec<_> = rows.iter().map(|i| *i as f64 / 10.0).collect();
                    column
                        .typed::<DoubleType>()
                        .write_batch(&values, None, None)
                        .unwrap();
                }
                4 => {
                    let values: Vec<_> = rows.iter().map(|i| *i as i64).collect();
                    column
                        .typed::<Int64Type>()
                        .write_batch(&values, None, None)
                        .unwrap();
                }
                5 => {
                    let values: Vec<_> = rows.iter().map(|i| binary(format!("http://a/{i}"))).collect();
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&values, Some(&ones), None)
                        .unwrap();
                }
                _ => {
                    // Two for each row.
                    let values: Vec<_> = rows
                        .iter()
                        .flat_map(|_| [binary("MIT".into()), binary("Apache-2.0".into())])
                        .collect();
                    let definitions = vec![3_i16; values.len()];
                    let repetitions: Vec<i16> = rows.iter().flat_map(|_| [0, 1]).collect();
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&values, Some(&definitions), Some(&repetitions))
                        .unwrap();
                }
            }
            column.close().unwrap();
            at += 1;
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

/// Parquet as The Stack v2's: ids of contents, and the licences that were found in each.
pub fn ids(ids: &[String]) -> Vec<u8> {
    let schema = "message m { required binary blob_id (UTF8);
        optional group detected_licenses (LIST) { repeated group list { optional binary element (UTF8); } } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let binary = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<_> = ids.iter().map(|id| binary(id)).collect();
    column
        .typed::<ByteArrayType>()
        .write_batch(&values, None, None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<_> = ids
        .iter()
        .flat_map(|_| [binary("MIT"), binary("Apache-2.0")])
        .collect();
    let (definitions, repetitions): (Vec<i16>, Vec<i16>) = ids.iter().flat_map(|_| [(3, 0), (3, 1)]).unzip();
    column
        .typed::<ByteArrayType>()
        .write_batch(&values, Some(&definitions), Some(&repetitions))
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}
