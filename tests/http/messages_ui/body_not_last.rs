use anyrt_http::{Json, Path};

fn store(Json(text): Json<String>, Path(id): Path<u64>) -> String {
    format!("{id}: {text}")
}

fn main() {
    let _ = anyrt_http::App::new().post("/{id}", store);
}
