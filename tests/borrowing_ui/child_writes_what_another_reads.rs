fn main() {
    anyrt::run(async {
        let mut count = 0;
        let _ = anyrt::scope(async |s| {
            s.spawn(async { count += 1 });
            s.spawn(async { count += 1 });
        })
        .await;
    });
}
