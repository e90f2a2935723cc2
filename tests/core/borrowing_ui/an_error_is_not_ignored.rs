fn main() {
    anyrt::run(async {
        let _ = anyrt::local_group(async |s| {
            s.spawn(async { Err::<(), _>(std::io::Error::other("lost")) });
        })
        .await;
    });
}
