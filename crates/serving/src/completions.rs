//! `POST /v1/completions`: texts that go on, at once or byte by byte.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, Sse},
    },
};
use futures::{StreamExt as _, stream};
use soma_http::{
    Error,
    body::{Media, body, json},
};
use soma_types::api::Problem;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{
    answer::{Answering, Completion, Logprobs, Receipt, Usage, Written},
    engine::{Byte, Ended, Full, Place, Task, Told},
    refusal::{Refusal, refused},
    request::{Asked, CompletionRequest},
    state::{Current, Serving},
};

/// The longest body of a request.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// What an answer is handed out in.
const PIECE_BYTES: usize = 1 << 16;
const BROKEN: &str = "the text broke off";

/// Texts that go on from prompts, by one model or by all of them.
#[utoipa::path(post, path = "/v1/completions", request_body = CompletionRequest,
    responses((status = 200, description = "The texts; as server-sent events where `stream` is true", content(
        (Completion = "application/json"), (Completion = "text/event-stream"))),
        (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn completions(State(serving): State<Serving>, request: Request) -> Response {
    let begun = async {
        let bytes = body(request, Media::Json, BODY_BYTES_MAX).await?;
        // Whatever changes, it is answered by these: their thread holds them until the texts are written.
        let serving = serving.current();
        let asked = json::<CompletionRequest>(&bytes)?.check(&serving.models)?;
        begin(&serving, asked)
    };
    match begun.await {
        Ok((making, told)) if making.asked.streams => streamed(making, told).into_response(),
        Ok((making, told)) => match whole(making, told).await {
            Ok(answer) => answer,
            Err(error) => error.into_response(),
        },
        Err(error) => refused(error),
    }
}

/// An answer in the making, and what is told of each text, in order.
fn begin(serving: &Current, asked: Asked) -> Result<(Making, Vec<UnboundedReceiver<Told>>), Error> {
    let full = |full: Full| Error::new(StatusCode::SERVICE_UNAVAILABLE, full.to_string());
    // Bounded by the check of the request.
    let count = (asked.prompts.len() * asked.drawn.n) as u32;
    let place = serving.engine.place(count).map_err(full)?;
    let mut all = Vec::new();
    for prompt in &asked.prompts {
        for index in 0..asked.drawn.n {
            let (told, heard) = unbounded_channel();
            let task = Task {
                chosen: asked.chosen.clone(),
                prompt: prompt.clone(),
                choice: asked.drawn.choice(index).map_err(Error::bad_request)?,
                bytes: asked.drawn.max_tokens,
                stops: asked.drawn.stop.clone(),
                top: asked.top,
                echoes: asked.echoes,
                told,
                place: Arc::clone(&place),
            };
            serving.engine.begin(task).map_err(full)?;
            all.push(heard);
        }
    }
    let answering = Answering::of(&serving.models, &asked.chosen);
    Ok((Making::new(asked, answering, place), all))
}

/// A text as far as it is told.
#[derive(Debug, Default)]
struct Text {
    /// With the prompt, where that is told.
    bytes: Vec<u8>,
    ended: Option<Ended>,
}

/// An answer in the making.
struct Making {
    head: Completion,
    asked: Asked,
    answering: Answering,
    texts: Vec<Text>,
    /// Held until all is heard: what nobody reads yet takes memory.
    place: Place,
}

impl Making {
    fn new(asked: Asked, answering: Answering, place: Place) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let count = asked.prompts.len() * asked.drawn.n;
        let head = Completion {
            id: format!("cmpl-{:016x}{:016x}", since.as_nanos() as u64, asked.drawn.seed),
            object: "text_completion",
            created: since.as_secs(),
            model: asked.name.clone(),
            choices: Vec::new(),
            usage: None,
            soma: None,
            ends_stream: None,
        };
        Self {
            head,
            asked,
            answering,
            texts: (0..count).map(|_| Text::default()).collect(),
            place,
        }
    }

    /// Takes bytes of a text; what is told of them.
    fn add(&mut self, index: usize, bytes: &[Byte]) -> Written {
        let text = &mut self.texts[index];
        let mut logprobs = self.asked.top.map(|_| Logprobs::default());
        if let Some(logprobs) = &mut logprobs {
            logprobs.extend(bytes, text.bytes.len());
        }
        let new: Vec<u8> = bytes.iter().map(|byte| byte.byte).collect();
        text.bytes.extend(&new);
        Written {
            text: String::from_utf8_lossy(&new).into_owned(),
            index,
            logprobs,
            finish_reason: None,
        }
    }

    /// Takes a text's end; what is told of it.
    fn end(&mut self, index: usize, ended: Ended) -> Written {
        let finish_reason = Some(if ended.by_length { "length" } else { "stop" });
        self.texts[index].ended = Some(ended);
        Written {
            index,
            finish_reason,
            ..Written::default()
        }
    }

    /// What is told at the end.
    fn close(&self) -> (Usage, Receipt) {
        let prompts = self
            .asked
            .prompts
            .iter()
            .flat_map(|prompt| std::iter::repeat_n(prompt.len(), self.asked.drawn.n));
        let written = self.texts.iter().zip(prompts);
        let texts: Vec<Vec<u8>> = written
            .map(|(text, prompt)| {
                let begin = if self.asked.echoes { prompt } else { 0 };
                text.bytes.get(begin..).unwrap_or_default().to_vec()
            })
            .collect();
        let shares = self.texts.iter().map(|text| {
            text.ended
                .as_ref()
                .map_or_else(Vec::new, |ended| ended.weights.clone())
        });
        let shares: Vec<Vec<f64>> = shares.collect();
        let prompt_tokens = self.asked.prompts.iter().map(|prompt| prompt.len() as u64).sum();
        let completion_tokens = texts.iter().map(|text| text.len() as u64).sum();
        let usage = Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
        };
        (usage, Receipt::new(&self.answering, &self.asked, &texts, &shares))
    }

    /// Whether every text has ended.
    fn is_whole(&self) -> bool {
        self.texts.iter().all(|text| text.ended.is_some())
    }

    /// What is told at the end of a stream, with the last text's end.
    fn last(&self, written: Written) -> Vec<Event> {
        let (usage, receipt) = self.close();
        let end = Completion {
            usage: (!self.asked.tells_usage).then_some(usage),
            soma: Some(receipt),
            ends_stream: Some(true),
            ..self.part(vec![written])
        };
        let usage = self.asked.tells_usage.then(|| Completion {
            usage: Some(usage),
            ..self.part(Vec::new())
        });
        let parts = std::iter::once(end).chain(usage);
        let mut events: Vec<Event> = parts.map(|part| told_as(&part)).collect();
        events.push(Event::default().data("[DONE]"));
        events
    }

    /// A part of the answer.
    fn part(&self, choices: Vec<Written>) -> Completion {
        Completion {
            choices,
            ..self.head.clone()
        }
    }
}

fn failed(reason: &str) -> Error {
    Error::new(StatusCode::UNPROCESSABLE_ENTITY, reason)
}

async fn whole(mut making: Making, told: Vec<UnboundedReceiver<Told>>) -> Result<Response, Error> {
    let mut choices = Vec::with_capacity(told.len());
    for (index, mut told) in told.into_iter().enumerate() {
        let mut bytes = Vec::new();
        let ended = loop {
            match told.recv().await {
                Some(Told::Bytes(more)) => bytes.extend(more),
                Some(Told::End(ended)) => break ended,
                Some(Told::Failed(reason)) => return Err(failed(&reason)),
                None => return Err(failed(BROKEN)),
            }
        };
        let written = making.add(index, &bytes);
        let end = making.end(index, ended);
        choices.push(Written {
            finish_reason: end.finish_reason,
            ..written
        });
    }
    let (usage, receipt) = making.close();
    let answer = Completion {
        usage: Some(usage),
        soma: Some(receipt),
        ..making.part(choices)
    };
    let json = serde_json::to_vec(&answer)
        .map_err(|error| Error::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let json = Bytes::from(json);
    let place = making.place;
    let pieces = (0..json.len()).step_by(PIECE_BYTES).map(move |start| {
        // Held until the last is taken.
        let _ = &place;
        let piece = json.slice(start..json.len().min(start + PIECE_BYTES));
        Ok::<_, Infallible>(piece)
    });
    let body = Body::from_stream(stream::iter(pieces));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn streamed(
    making: Making,
    told: Vec<UnboundedReceiver<Told>>,
) -> Sse<impl futures::Stream<Item = Result<Event, Infallible>>> {
    let each = told.into_iter().enumerate().map(|(index, told)| {
        Box::pin(stream::unfold(Some(told), move |told| async move {
            let mut told = told?;
            let next = told
                .recv()
                .await
                .unwrap_or_else(|| Told::Failed(BROKEN.to_owned()));
            let goes_on = matches!(next, Told::Bytes(_));
            Some(((index, next), goes_on.then_some(told)))
        }))
    });
    let all = stream::select_all(each);
    let events = stream::unfold(Some((all, making)), |state| async move {
        let (mut all, mut making) = state?;
        loop {
            let (index, told) = all.next().await?;
            match told {
                Told::Bytes(bytes) if bytes.is_empty() => {}
                Told::Bytes(bytes) => {
                    let written = making.add(index, &bytes);
                    let event = told_as(&making.part(vec![written]));
                    return Some((vec![event], Some((all, making))));
                }
                Told::End(ended) => {
                    let written = making.end(index, ended);
                    if making.is_whole() {
                        return Some((making.last(written), None));
                    }
                    let event = told_as(&making.part(vec![written]));
                    return Some((vec![event], Some((all, making))));
                }
                // No receipt of what is no answer, nor the mark of its end.
                Told::Failed(reason) => {
                    let refusal = Refusal::from(failed(&reason).into_problem());
                    let event = Event::default().event("error").json_data(refusal);
                    return Some((vec![event.unwrap_or_default()], None));
                }
            }
        }
    });
    Sse::new(events.flat_map(stream::iter).map(Ok))
}

fn told_as(part: &Completion) -> Event {
    // It has nothing that JSON has not.
    Event::default().json_data(part).unwrap_or_default()
}
