//! What a client is told when the app cannot do what it asks.

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

/// A status and a sentence, in the form of the layer's own errors: `{"detail": ..}`.
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal(status, detail) = self;
        (status, anyrt_http::Json(json!({ "detail": detail }))).into_response()
    }
}

/// What goes wrong in the database is not the client's business, but ours.
impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        tracing::error!(%error, "the database failed");
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error".to_owned())
    }
}
