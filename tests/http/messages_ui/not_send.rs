use std::rc::Rc;

async fn hold() -> String {
    let text = Rc::new("held".to_owned());
    anyrt::checkpoint().await;
    text.to_string()
}

fn main() {
    let _ = anyrt_http::App::new().get("/", hold);
}
