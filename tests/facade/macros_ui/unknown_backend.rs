#[anyrt::main(backend = "glommio")]
async fn main() {}
