#[anyrt::main(name = "one", name = "two")]
async fn main() {}
