fn main() {
    anyrt::run(async {
        let mut escaped = None;
        let _ = anyrt::local_group(async |s| escaped = Some(s)).await;
        let later = String::new();
        if let Some(s) = escaped {
            s.spawn(async { later.len() });
        }
    });
}
