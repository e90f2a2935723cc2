fn main() {
    anyrt::run(async {
        let words = vec!["one".to_owned()];
        let _ = anyrt::task_group(async |tg| {
            tg.spawn(async { words.len() });
        })
        .await;
    });
}
