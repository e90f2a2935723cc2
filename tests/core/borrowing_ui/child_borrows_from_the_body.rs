fn main() {
    anyrt::run(async {
        let _ = anyrt::local_group(async |s| {
            let local = String::new();
            s.spawn(async { local.len() });
        })
        .await;
    });
}
