#[anyrt::test]
async fn takes(something: u32) {}

fn main() {}
