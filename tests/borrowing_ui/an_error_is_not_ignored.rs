fn main() {
    anyrt::run(async {
        let _ = anyrt::scope(async |s| {
            s.spawn(async { Err::<(), _>(std::io::Error::other("lost")) });
        })
        .await;
    });
}
