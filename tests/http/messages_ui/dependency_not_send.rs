use anyrt_http::Dep;
use std::rc::Rc;

async fn read(shared: Dep<Rc<String>>) -> String {
    shared.to_string()
}

fn main() {
    let _ = anyrt_http::App::new().get("/", read);
}
