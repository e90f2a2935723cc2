#[anyrt::main(backend = "smol", flavor = "current_thread")]
async fn main() {}
