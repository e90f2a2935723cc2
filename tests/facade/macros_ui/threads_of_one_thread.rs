#[anyrt::main(flavor = "current_thread", threads = 4)]
async fn main() {}
