//! The ledger's events as server-sent events.
//!
//! Upon connecting:
//! - with the id of the last event received (header `Last-Event-ID`, which browsers send when they reconnect,
//!   or the query's `last_event_id`): everything after that event, first from the index, then as it comes;
//! - with `from` and no id: everything from that block on;
//! - with neither: from now on. The stream then begins with an id and no event, so that whoever loses the
//!   connection before the first event can still resume.
//!
//! A reader that falls too far behind is served from the index again, so none is lost. What cannot be resumed
//! after is refused. The stream ends when the node stops.
//!
//! Ids are `HEIGHT-INDEX`, the place of an event among all, or `HEIGHT`, the end of a block. They follow from
//! the chain alone: the same on every node, and after its restart.

use std::{convert::Infallible, fmt, str::FromStr, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt as _};
use serde::Deserialize;
use soma_http::{Error, body::header_once, problem::shown};
use soma_types::api::{EventView, Problem};
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{Receiver, error::RecvError},
};

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use super::{
    Api, Shared,
    request::{Number, Query},
};
use crate::index::{News, Record};

/// Records read from the index at a time.
const REPLAY_RECORDS: usize = 64;
/// A comment is sent after this much silence.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Blocks that a reader may be ahead of this node: it may have heard of them from another.
const AHEAD_BLOCKS_MAX: u64 = 64;
/// Where a browser says how far it came.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// No id of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give the id of an event as it came, HEIGHT-INDEX or HEIGHT")]
pub struct NoId;

/// A place in the stream: all events up to here were received. Its text is the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Place {
    height: u64,
    /// Of the event within its block; the largest after all of them.
    index: u32,
}

impl Place {
    /// After the block at `height`.
    const fn after_block(height: u64) -> Self {
        Self {
            height,
            index: u32::MAX,
        }
    }

    const fn of(view: &EventView) -> Self {
        Self {
            height: view.height.0,
            index: view.index,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self {
                height,
                index: u32::MAX,
            } => write!(f, "{height}"),
            Self { height, index } => write!(f, "{height}-{index}"),
        }
    }
}

impl FromStr for Place {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let place = match text.split_once('-') {
            None => Self::after_block(text.parse().map_err(|_| NoId)?),
            Some((height, index)) => Self {
                height: height.parse().map_err(|_| NoId)?,
                index: index.parse().map_err(|_| NoId)?,
            },
        };
        // A place has one text: no signs, no zeros before it.
        if place.to_string() == text {
            Ok(place)
        } else {
            Err(NoId)
        }
    }
}

impl PartialSchema for Place {
    fn schema() -> RefOr<Schema> {
        id().into()
    }
}

/// The text of a place. Neither block 10^19 nor its event 10^9 will ever be.
fn id() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^(?:0|[1-9][0-9]{0,18})(?:-(?:0|[1-9][0-9]{0,8}))?$"))
}

/// One message of the stream, as readers of such streams give it.
struct Message;

impl PartialSchema for Message {
    fn schema() -> RefOr<Schema> {
        let view = RefOr::<Schema>::Ref(Ref::from_schema_name(EventView::name()));
        let data = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("An EventView"))
            .content_media_type("application/json")
            .content_schema(Some(view));
        ObjectBuilder::new()
            .property("id", id())
            .property("data", data)
            .required("id")
            .into()
    }
}

impl ToSchema for Message {}

impl TryFrom<String> for Place {
    type Error = NoId;

    fn try_from(text: String) -> Result<Self, NoId> {
        text.parse()
    }
}

/// Where to begin.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Start {
    /// The first block of interest; the next one where left out.
    #[param(inline)]
    from: Option<Number>,
    /// The id of the last event received, for whoever cannot send the header `Last-Event-ID`, which counts
    /// before it. It counts before `from`.
    #[param(inline)]
    last_event_id: Option<Place>,
}

/// What a browser adds when it reconnects.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
struct Resumed {
    /// The id of the last event received; counts before the query.
    #[param(rename = "Last-Event-ID", inline, value_type = Place, required = false)]
    after: Option<Place>,
}

/// What a node can serve.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// The oldest block whose events it has.
    first: u64,
    /// Its newest block.
    tip: u64,
}

impl Kept {
    /// Whether the events from block `height` on can all be served.
    fn check_block(self, height: u64) -> Result<(), Error> {
        let Self { first, tip } = self;
        if height > tip.saturating_add(AHEAD_BLOCKS_MAX) {
            let detail = format!(
                "block {height} is far ahead of this node, which is at block {tip}: begin there or before, \
                 and see that it is the same network"
            );
            return Err(Error::new(StatusCode::CONFLICT, detail));
        }
        // There are no events before the first block.
        if height.max(1) < first {
            let detail = format!(
                "events from block {height} on are no longer kept here, only those from block {first} on: \
                 read what you missed from another node or from the lists, and begin with from={first}"
            );
            return Err(Error::new(StatusCode::GONE, detail));
        }
        Ok(())
    }

    /// Whether all events after `place` can be served; `events` is their number in its block, if it has any.
    fn check_place(self, place: Place, events: Option<usize>) -> Result<(), Error> {
        if place.index == u32::MAX {
            return self.check_block(place.height.saturating_add(1));
        }
        self.check_block(place.height)?;
        let exists = events.is_some_and(|events| (place.index as usize) < events);
        if exists || place.height > self.tip {
            return Ok(());
        }
        let detail = format!(
            "there is no event {place}, as block {} has {} events: give the id of one that was received from \
             this network",
            place.height,
            events.unwrap_or(0)
        );
        Err(Error::new(StatusCode::NOT_FOUND, detail))
    }
}

/// The id that a browser gives when it reconnects.
fn id_in(headers: &HeaderMap) -> Result<Resumed, Error> {
    let Some(text) = header_once(headers, &LAST_EVENT_ID)? else {
        return Ok(Resumed { after: None });
    };
    let place = text.parse().map_err(|error: NoId| {
        Error::bad_request(format!("the header Last-Event-ID is '{}': {error}", shown(&text)))
    });
    place.map(|place| Resumed { after: Some(place) })
}

struct Reader {
    _place: OwnedSemaphorePermit,
    api: Arc<Shared>,
    live: Receiver<Arc<News>>,
    /// Events up to here are left out.
    after: Option<Place>,
    /// Every block below was given.
    next: u64,
    /// Read from the index before listening again.
    behind: bool,
}

impl Reader {
    /// The events that come next.
    async fn advance(&mut self) -> Option<Vec<EventView>> {
        let records = self.records().await?;
        let views = records.iter().flat_map(|record| record.event_views());
        let after = self.after;
        Some(
            views
                .filter(|view| after.is_none_or(|after| Place::of(view) > after))
                .collect(),
        )
    }

    async fn records(&mut self) -> Option<Vec<Arc<Record>>> {
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
                news = self.live.recv() => match news {
                    Ok(news) if news.record.height.0 < self.next => {}
                    Ok(news) => {
                        self.next = news.record.height.0 + 1;
                        return Some(vec![Arc::clone(&news.record)]);
                    }
                    Err(RecvError::Lagged(_)) => self.behind = true,
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }
}

/// The ledger's changes, in order. Each has an id, with which the stream is resumed.
#[utoipa::path(get, path = "/v1/events",
    params(Start, Resumed),
    responses((status = 200, description = "Server-sent events, each an EventView", body = inline(Message), content_type = "text/event-stream"),
        (status = 404, description = "There is no such event", body = Problem),
        (status = 409, description = "It begins far ahead of this node", body = Problem),
        (status = 410, description = "It begins before what is kept", body = Problem),
        (status = 503, description = "Too many clients follow events", body = Problem)))]
pub async fn events(
    State(api): Api,
    Query(start): Query<Start>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let stream_place = Arc::clone(&api.streams).try_acquire_owned().map_err(|_| {
        let detail = "too many clients follow events here: follow another node's, or try again later";
        Error::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    let index = api.query.index();
    // Listen first, so that nothing falls between the index and the live stream.
    let live = index.subscribe();
    let tip = api.query.tip().await.map_or(0, |tip| tip.height);
    let first = index.recorded_from(0, 1).await.first().copied().unwrap_or(0);
    let kept = Kept { first, tip };
    // Whoever reconnects asks for its first address again, and adds how far it came since.
    let after = id_in(&headers)?.after.or(start.last_event_id);
    let (next, behind, hello) = match (after, start.from) {
        (Some(place), _) => {
            let record = index.record(place.height).await;
            kept.check_place(place, record.map(|record| record.event_views().len()))?;
            (place.height, true, None)
        }
        (None, Some(Number(from))) => {
            kept.check_block(from)?;
            (from, true, None)
        }
        (None, None) => (tip + 1, false, Some(Place::after_block(tip))),
    };
    let reader = Reader {
        _place: stream_place,
        behind,
        after,
        api,
        live,
        next,
    };
    let views = futures::stream::unfold(reader, |mut reader| async move {
        let views = reader.advance().await?;
        Some((futures::stream::iter(views), reader))
    });
    let events = views.flatten().map(|view| {
        let data = serde_json::to_string(&view).expect("plain data is JSON");
        Ok(Event::default().id(Place::of(&view).to_string()).data(data))
    });
    let hello = hello.map(|place| Ok(Event::default().id(place.to_string())));
    let events = futures::stream::iter(hello).chain(events);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_text() {
        for text in ["0", "7", "0-0", "18446744073709551615-4294967294"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "-",
            "-1",
            "1-",
            "+1",
            "1-+1",
            "01",
            "1-01",
            "1-2-3",
            "1.0",
            "abc",
            " 1",
            "1-4294967295",
            "1-4294967296",
            "18446744073709551616",
            "١",
        ] {
            assert_eq!(text.parse::<Place>(), Err(NoId), "{text}");
        }
    }

    /// Whatever a node does not have is said; nothing is left out in silence.
    #[test]
    fn only_what_is_kept_is_resumed() {
        let kept = Kept { first: 50, tip: 100 };
        let status = |checked: Result<(), Error>| checked.map_err(|error| error.status().as_u16());
        let event = |height, index| Place { height, index };
        for (place, events, expected) in [
            (event(50, 0), Some(1), Ok(())),
            (event(100, 2), Some(3), Ok(())),
            (event(100, 3), Some(3), Err(404)),
            (event(60, 0), None, Err(404)),
            (event(49, 0), None, Err(410)),
            (event(0, 0), None, Err(410)),
            (Place::after_block(49), None, Ok(())),
            (Place::after_block(48), None, Err(410)),
            (Place::after_block(100), None, Ok(())),
            (event(101, 0), None, Ok(())),
            (event(100 + AHEAD_BLOCKS_MAX, 0), None, Ok(())),
            (event(101 + AHEAD_BLOCKS_MAX, 0), None, Err(409)),
            (Place::after_block(u64::MAX), None, Err(409)),
            (event(u64::MAX, 0), None, Err(409)),
        ] {
            assert_eq!(status(kept.check_place(place, events)), expected, "{place}");
        }
        assert_eq!(status(kept.check_block(49)), Err(410));
        assert_eq!(status(kept.check_block(50)), Ok(()));
        let whole = Kept { first: 1, tip: 100 };
        assert_eq!(status(whole.check_block(0)), Ok(()));
        assert_eq!(status(whole.check_place(Place::after_block(0), None)), Ok(()));
    }
}
