use anyrt_http::{Dependency, Json};

struct Order;
impl Dependency for Order {}

async fn order(_: Json<String>) -> Order {
    Order
}

fn main() {
    let _ = anyrt_http::App::new().provide(order);
}
