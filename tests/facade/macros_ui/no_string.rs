#[anyrt::main(backend = smol)]
async fn main() {}
