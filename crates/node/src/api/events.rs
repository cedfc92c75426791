//! The ledger's events as server-sent events.
//!
//! Upon connecting with `from`: everything from that block on, first from the index, then as it comes.
//! Without it: from now on. A reader that falls too far behind is served from the index again, so none is
//! lost. The stream ends when the node stops.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt as _};
use serde::Deserialize;
use soma_types::api::Problem;
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{Receiver, error::RecvError},
};

use super::{Api, Shared, problem::Error};
use crate::index::Record;

/// Records read from the index at a time.
const REPLAY_RECORDS: usize = 64;
/// A comment is sent after this much silence.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Where to begin.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Start {
    /// The first block of interest; the next one where left out.
    pub from: Option<u64>,
}

struct Reader {
    _place: OwnedSemaphorePermit,
    api: Arc<Shared>,
    live: Receiver<Arc<Record>>,
    /// Everything below was given.
    next: u64,
    /// Read from the index before listening again.
    behind: bool,
}

impl Reader {
    /// The records that come next.
    async fn advance(&mut self) -> Option<Vec<Arc<Record>>> {
        loop {
            if self.behind {
                let index = self.api.query.index();
                let heights = index.recorded_from(self.next, REPLAY_RECORDS).await;
                if heights.is_empty() {
                    self.behind = false;
                    continue;
                }
                let mut records = Vec::with_capacity(heights.len());
                for height in heights {
                    self.next = height + 1;
                    records.extend(index.record(height).await.map(Arc::new));
                }
                return Some(records);
            }
            let mut stopped = self.api.stopped.clone();
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return None,
                record = self.live.recv() => match record {
                    Ok(record) if record.height.0 < self.next => {}
                    Ok(record) => {
                        self.next = record.height.0 + 1;
                        return Some(vec![record]);
                    }
                    Err(RecvError::Lagged(_)) => self.behind = true,
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }
}

/// The ledger's changes, in order.
#[utoipa::path(get, path = "/v1/events", params(Start),
    responses((status = 200, description = "Server-sent events, each an EventView", body = String, content_type = "text/event-stream"),
        (status = 503, description = "Too many clients follow events", body = Problem)))]
pub async fn events(
    State(api): Api,
    Query(start): Query<Start>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let place = Arc::clone(&api.streams).try_acquire_owned().map_err(|_| {
        let detail = "too many clients follow events here: follow another node's, or try again later";
        Error::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    // Listen first, so that nothing falls between the index and the live stream.
    let live = api.query.index().subscribe();
    let next = match start.from {
        Some(from) => from,
        None => api.query.tip().await.map_or(0, |tip| tip.height + 1),
    };
    let reader = Reader {
        _place: place,
        behind: start.from.is_some(),
        api,
        live,
        next,
    };
    let records = futures::stream::unfold(reader, |mut reader| async move {
        let records = reader.advance().await?;
        Some((futures::stream::iter(records), reader))
    });
    let events = records.flatten().flat_map(|record| {
        let events = record.event_views().into_iter().map(|view| {
            let id = format!("{}-{}", view.height, view.index);
            let data = serde_json::to_string(&view).expect("plain data is JSON");
            Ok(Event::default().id(id).data(data))
        });
        futures::stream::iter(events)
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}
