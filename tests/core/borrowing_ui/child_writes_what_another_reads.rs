fn main() {
    anyrt::run(async {
        let mut count = 0;
        let _ = anyrt::local_group(async |s| {
            s.spawn(async { count += 1 });
            s.spawn(async { count += 1 });
        })
        .await;
    });
}
