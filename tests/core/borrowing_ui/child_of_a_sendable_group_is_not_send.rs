use std::rc::Rc;

fn main() {
    anyrt::run(async {
        let shared = Rc::new(1);
        let _ = anyrt::LocalGroup::sendable().run(async |s| {
            s.spawn(async { *shared });
        })
        .await;
    });
}
