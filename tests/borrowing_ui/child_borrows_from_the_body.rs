fn main() {
    anyrt::run(async {
        let _ = anyrt::scope(async |s| {
            let local = String::new();
            s.spawn(async { local.len() });
        })
        .await;
    });
}
