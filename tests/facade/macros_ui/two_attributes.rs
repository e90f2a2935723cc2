#[anyrt::test]
#[test]
async fn two() {}

fn main() {}
