#[anyrt::main]
async fn main<T>() {}
