fn main() {
    anyrt::run(async {
        let words = vec!["one".to_owned()];
        let scope = anyrt::local_group(async |s| {
            s.spawn(async { words.len() });
        });
        drop(words);
        let _ = scope.await;
    });
}
