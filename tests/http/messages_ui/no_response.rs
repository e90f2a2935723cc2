struct Item;

fn plain() -> Item {
    Item
}

async fn asynchronous() -> Item {
    Item
}

fn main() {
    let _ = anyrt_http::App::new().get("/plain", plain).get("/async", asynchronous);
}
