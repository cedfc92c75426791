//! The Stack v2's contents: the data set holds ids, and the texts lie in Software Heritage's bucket, one
//! object for each, packed with gzip.
//!
//! A row is then one request. Some are under way at once; those that are gone, or in no encoding that is read
//! (only UTF-8 is), are left out and counted.

use std::{collections::VecDeque, io::Read as _, sync::Arc};

use flate2::read::MultiGzDecoder;
use futures::future::join_all;
use soma_data::{DataError, Record, Row, Rows};

use crate::{bucket::Bucket, fault::Fault, worker::Worker};

/// The bucket, which is open to everyone.
pub const BUCKET: &str = "softwareheritage";
/// Requests under way at once.
const REQUESTS_MAX: usize = 16;
/// The longest text of one file.
const TEXT_BYTES_MAX: u64 = 16 << 20;
/// Hex digits of an id.
const ID_DIGITS: usize = 40;

/// Rows whose texts are ids, with the contents that these stand for.
pub struct Contents {
    ids: Box<dyn Rows>,
    bucket: Bucket,
    worker: Arc<Worker>,
    /// Rows that are ready, in their order.
    ready: VecDeque<Result<Row, DataError>>,
}

impl Contents {
    /// The contents that `ids` stand for.
    pub fn new(ids: Box<dyn Rows>, bucket: Bucket, worker: Arc<Worker>) -> Self {
        Self {
            ids,
            bucket,
            worker,
            ready: VecDeque::new(),
        }
    }

    /// Fetches what the next rows stand for.
    fn fetch(&mut self) {
        let mut rows = Vec::new();
        let mut end = None;
        while rows.len() < REQUESTS_MAX {
            match self.ids.next_row() {
                Ok(Some(row)) => rows.push(row),
                Ok(None) => break,
                // What came before it is given first.
                Err(error) => {
                    end = Some(Err(error));
                    break;
                }
            }
        }
        let bucket = self.bucket.clone();
        let ids: Vec<_> = rows.iter().map(id).collect();
        let texts = self.worker.wait(async move {
            let texts = ids.into_iter().map(|id| {
                let bucket = bucket.clone();
                async move {
                    match id {
                        Some(id) => text(&bucket, &id).await,
                        None => Ok(None),
                    }
                }
            });
            Ok(join_all(texts).await)
        });
        let texts = match texts {
            Ok(texts) => texts,
            Err(fault) => vec![Err(fault); rows.len()],
        };
        for (row, text) in rows.into_iter().zip(texts) {
            self.ready.push_back(filled(row, text));
        }
        self.ready.extend(end);
    }
}

impl Rows for Contents {
    fn next_row(&mut self) -> Result<Option<Row>, DataError> {
        if self.ready.is_empty() {
            self.fetch();
        }
        self.ready.pop_front().transpose()
    }
}

/// The id that a row is; none if it is something else.
fn id(row: &Row) -> Option<String> {
    let Record::Text(text, _) = &row.record else {
        return None;
    };
    let text = std::str::from_utf8(text).ok()?;
    let is_id = text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| text.to_owned())
}

/// The text that an id stands for; none if it is gone, too long or no UTF-8.
async fn text(bucket: &Bucket, id: &str) -> Result<Option<Vec<u8>>, Fault> {
    let packed = match bucket.get(&format!("content/{id}")).await {
        Err(Fault::Absent { .. }) => return Ok(None),
        packed => packed?,
    };
    let mut text = Vec::new();
    let unpacked = MultiGzDecoder::new(&packed[..])
        .take(TEXT_BYTES_MAX + 1)
        .read_to_end(&mut text);
    let is_text =
        unpacked.is_ok() && text.len() as u64 <= TEXT_BYTES_MAX && std::str::from_utf8(&text).is_ok();
    Ok(is_text.then_some(text))
}

fn filled(row: Row, text: Result<Option<Vec<u8>>, Fault>) -> Result<Row, DataError> {
    let Record::Text(_, provenance) = row.record else {
        return Ok(row);
    };
    let record = match text {
        Ok(Some(text)) => Record::Text(text, provenance),
        Ok(None) => Record::Unfit,
        Err(fault) => {
            return Err(DataError::Unreadable {
                path: format!("s3://{BUCKET}").into(),
                error: fault.into(),
            });
        }
    };
    Ok(Row { record, ..row })
}
