use anyrt_http::Teardown;

struct Pool;

fn main() {
    let _ = Teardown::new(Pool, |_, _| 7);
}
