async fn read(number: u32) -> String {
    number.to_string()
}

fn main() {
    let _ = anyrt_http::App::new().get("/", read);
}
