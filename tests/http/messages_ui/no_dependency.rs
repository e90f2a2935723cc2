struct Pool;

async fn connect() -> Pool {
    Pool
}

fn main() {
    let _ = anyrt_http::App::new().provide(connect);
}
