#[anyrt::main(name = 4)]
async fn main() {}
