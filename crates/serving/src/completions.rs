//! `POST /v1/completions`: texts that go on, at once or byte by byte.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
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
    answer::{Completion, Logprobs, Receipt, Usage, Written},
    engine::{Byte, Ended, Task, Told},
    request::{Asked, CompletionRequest},
    state::{Current, Serving},
};

/// The longest body of a request.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Texts that go on from prompts, by one model or by all of them.
#[utoipa::path(post, path = "/v1/completions", request_body = CompletionRequest,
    responses((status = 200, description = "The texts; as server-sent events where `stream` is true", content(
        (Completion = "application/json"), (Completion = "text/event-stream"))),
        (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn completions(State(serving): State<Serving>, request: Request) -> Response {
    let begun = async {
        let bytes = body(request, Media::Json, BODY_BYTES_MAX).await?;
        // From here on by the same models, whatever changes.
        let serving = serving.current();
        let asked = json::<CompletionRequest>(&bytes)?.check(&serving.models)?;
        let told = begin(&serving, &asked)?;
        Ok::<_, Error>((serving, asked, told))
    };
    match begun.await {
        Ok((serving, asked, told)) if asked.streams => streamed(serving, asked, told).into_response(),
        Ok((serving, asked, told)) => match whole(&serving, &asked, told).await {
            Ok(answer) => Json(answer).into_response(),
            Err(error) => error.into_response(),
        },
        Err(error) if error.status() == StatusCode::SERVICE_UNAVAILABLE => {
            ([(header::RETRY_AFTER, "2")], error).into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// What is told of each text, in order.
fn begin(serving: &Current, asked: &Asked) -> Result<Vec<UnboundedReceiver<Told>>, Error> {
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
            };
            let full =
                |full: crate::engine::Full| Error::new(StatusCode::SERVICE_UNAVAILABLE, full.to_string());
            serving.engine.begin(task).map_err(full)?;
            all.push(heard);
        }
    }
    Ok(all)
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
    texts: Vec<Text>,
}

impl Making {
    fn new(asked: Asked) -> Self {
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
        };
        Self {
            head,
            asked,
            texts: (0..count).map(|_| Text::default()).collect(),
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
    fn close(&self, serving: &Current) -> (Usage, Receipt) {
        let prompts = self
            .asked
            .prompts
            .iter()
            .flat_map(|prompt| std::iter::repeat_n(prompt.len(), self.asked.drawn.n));
        let written = self.texts.iter().zip(prompts);
        let texts: Vec<Vec<u8>> = written
            .map(|(text, prompt)| text.bytes[if self.asked.echoes { prompt } else { 0 }..].to_vec())
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
        (usage, Receipt::new(&serving.models, &self.asked, &texts, &shares))
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

async fn whole(
    serving: &Current,
    asked: &Asked,
    told: Vec<UnboundedReceiver<Told>>,
) -> Result<Completion, Error> {
    let mut making = Making::new(asked.clone());
    let mut choices = Vec::with_capacity(told.len());
    for (index, mut told) in told.into_iter().enumerate() {
        let mut bytes = Vec::new();
        let ended = loop {
            match told.recv().await {
                Some(Told::Bytes(more)) => bytes.extend(more),
                Some(Told::End(ended)) => break ended,
                Some(Told::Failed(reason)) => return Err(failed(&reason)),
                None => return Err(failed("the text broke off")),
            }
        };
        let written = making.add(index, &bytes);
        let end = making.end(index, ended);
        choices.push(Written {
            finish_reason: end.finish_reason,
            ..written
        });
    }
    let (usage, receipt) = making.close(serving);
    Ok(Completion {
        usage: Some(usage),
        soma: Some(receipt),
        ..making.part(choices)
    })
}

fn streamed(
    serving: Current,
    asked: Asked,
    told: Vec<UnboundedReceiver<Told>>,
) -> Sse<impl futures::Stream<Item = Result<Event, Infallible>>> {
    let each = told.into_iter().enumerate().map(|(index, told)| {
        Box::pin(stream::unfold(told, move |mut told| async move {
            let next = told.recv().await?;
            Some(((index, next), told))
        }))
    });
    let all = stream::select_all(each);
    let making = Arc::new(std::sync::Mutex::new(Making::new(asked)));
    let closing = Arc::clone(&making);
    let parts = all.filter_map(move |(index, told)| {
        let mut making = making.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let told = match told {
            Told::Bytes(bytes) if bytes.is_empty() => None,
            Told::Bytes(bytes) => Some(making.add(index, &bytes)),
            Told::End(ended) => Some(making.end(index, ended)),
            Told::Failed(reason) => {
                let event = Event::default()
                    .event("error")
                    .json_data(failed(&reason).into_problem());
                return futures::future::ready(event.ok());
            }
        };
        let event = told.and_then(|written| Event::default().json_data(making.part(vec![written])).ok());
        futures::future::ready(event)
    });
    let last = stream::once(async move {
        let making = closing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (usage, receipt) = making.close(&serving);
        let last = Completion {
            usage: Some(usage),
            soma: Some(receipt),
            ..making.part(Vec::new())
        };
        Event::default().json_data(last).unwrap_or_default()
    });
    let done = stream::once(async { Event::default().data("[DONE]") });
    Sse::new(parts.chain(last).chain(done).map(Ok))
}
