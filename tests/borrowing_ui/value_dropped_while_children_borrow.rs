fn main() {
    anyrt::run(async {
        let words = vec!["one".to_owned()];
        let scope = anyrt::scope(async |s| {
            s.spawn(async { words.len() });
        });
        drop(words);
        let _ = scope.await;
    });
}
