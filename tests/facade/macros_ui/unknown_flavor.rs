#[anyrt::main(flavor = "local")]
async fn main() {}
