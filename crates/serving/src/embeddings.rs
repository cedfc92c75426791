//! `POST /v1/embeddings`: where a model's representations of texts point.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use soma_http::{
    Error,
    body::{Media, body, json},
};
use soma_types::{
    ContentHash,
    api::{Problem, score::OneOrMany},
};

use crate::{
    answer::Usage,
    completions::BODY_BYTES_MAX,
    refusal::refused,
    request::{CHOICES_MAX, texts},
    state::Serving,
};

/// Bytes of all texts of a request.
const INPUT_BYTES_MAX: usize = 1 << 16;

/// What `POST /v1/embeddings` takes.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingRequest {
    /// A model's name.
    pub model: String,
    /// A text, or several.
    #[schema(value_type = String)]
    pub input: OneOrMany,
    /// `float` where nothing is said, or `base64`: of binary32, little-endian.
    pub encoding_format: Option<Encoding>,
    /// Whoever asks; it changes nothing.
    pub user: Option<String>,
}

/// How coordinates are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As numbers.
    #[default]
    Float,
    /// As binary32, little-endian.
    Base64,
}

/// The embeddings of some texts.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Embeddings {
    /// `list`.
    pub object: &'static str,
    /// One for each text.
    pub data: Vec<Embedded>,
    /// Whose they are.
    pub model: String,
    /// BLAKE3 of its weights file.
    #[schema(value_type = String)]
    pub weights: ContentHash,
    /// How much was read.
    pub usage: Usage,
}

/// Where a text points.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Embedded {
    /// `embedding`.
    pub object: &'static str,
    /// The text's place.
    pub index: usize,
    /// Coordinates: each a whole number of 2^-15, told exactly.
    pub embedding: Coordinates,
}

/// Coordinates as they were asked for.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Coordinates {
    /// As numbers: of binary64, since who reads JSON takes its numbers for that.
    Float(Vec<f64>),
    /// As binary32, little-endian.
    Base64(String),
}

/// Where a model's representations of texts point: what scoring calls their embedding, exact.
#[utoipa::path(post, path = "/v1/embeddings", request_body = EmbeddingRequest,
    responses((status = 200, body = Embeddings), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn embeddings(State(serving): State<Serving>, request: Request) -> Response {
    match embedded(&serving, request).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => refused(error),
    }
}

async fn embedded(serving: &Serving, request: Request) -> Result<Embeddings, Error> {
    let bytes = body(request, Media::Json, BODY_BYTES_MAX).await?;
    let EmbeddingRequest {
        model,
        input,
        encoding_format,
        user: _,
    } = json(&bytes)?;
    let inputs = texts(input);
    let length: usize = inputs.iter().map(String::len).sum();
    if length > INPUT_BYTES_MAX {
        let detail = format!("{length} bytes of input: give {INPUT_BYTES_MAX} at most");
        return Err(Error::bad_request(detail));
    }
    if inputs.is_empty() || inputs.len() > CHOICES_MAX || inputs.iter().any(String::is_empty) {
        let detail = format!("give 1 to {CHOICES_MAX} texts, none of them empty");
        return Err(Error::bad_request(detail));
    }
    let Some(turn) = serving.embedding_turn() else {
        let detail = "embeddings are computed for others: try again in a few seconds";
        return Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let models = serving.current().models;
    let places = models.chosen(&model).map(|chosen| chosen.places);
    let Some(&[place]) = places.as_deref() else {
        let known = models.experts().iter().map(|expert| expert.name.as_str());
        let known = known.collect::<Vec<_>>().join(", ");
        let detail = format!("embeddings are of one model: {known}");
        return Err(Error::new(StatusCode::NOT_FOUND, detail));
    };
    let weights = models.experts()[place].weights;
    let prompt_tokens = inputs.iter().map(|text| text.len() as u64).sum();
    // Held by whoever asked: gone with them.
    let asker = Arc::new(());
    let listens = Arc::downgrade(&asker);
    let compute = move || {
        let _turn = turn;
        let model = &models.experts()[place].model;
        let heard = inputs.iter().take_while(|_| listens.strong_count() > 0);
        heard
            .map(|text| models.scorer().embed(model, &[text.as_bytes()]))
            .collect::<Result<Vec<_>, _>>()
    };
    let computed = tokio::task::spawn_blocking(compute).await;
    let computed =
        computed.map_err(|error| Error::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let computed =
        computed.map_err(|error| Error::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    drop(asker);
    let encoding = encoding_format.unwrap_or_default();
    let data = computed.iter().enumerate().map(|(index, embedding)| {
        let coordinates = embedding.as_slice().iter().map(|x| f64::from(*x) / 32_768.0);
        Embedded {
            object: "embedding",
            index,
            embedding: match encoding {
                Encoding::Float => Coordinates::Float(coordinates.collect()),
                Encoding::Base64 => {
                    let bytes: Vec<u8> = coordinates.flat_map(|x| (x as f32).to_le_bytes()).collect();
                    Coordinates::Base64(STANDARD.encode(bytes))
                }
            },
        }
    });
    Ok(Embeddings {
        object: "list",
        data: data.collect(),
        model,
        weights,
        usage: Usage {
            prompt_tokens,
            completion_tokens: 0,
            total_tokens: prompt_tokens,
        },
    })
}
