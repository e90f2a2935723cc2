//! What stands in for a dependency in a test is checked as the dependencies of an app are.

use anyrt_http::{App, Configure, Dep, Dependency, Error, Lifetime, Outcome, Teardown};

macro_rules! dependencies {
    ($($name:ident),*) => {$(
        #[allow(dead_code, reason = "some are only asked for")]
        struct $name(String);
        impl Dependency for $name {}
    )*};
}
dependencies!(First, Second, Third, Brief);

async fn first() -> First {
    First("first".into())
}

async fn second(first: Dep<First>) -> Second {
    Second(format!("second of {}", first.0))
}

fn third(second: Dep<Second>) -> Third {
    Third(format!("third of {}", second.0))
}

async fn brief() -> Teardown<Brief> {
    Teardown::new(Brief("brief".into()), async |_, _: Outcome| {})
}

fn app() -> App {
    App::new()
        .get("/", async |third: Dep<Third>| third.0.clone())
        .provide(third)
        .provide(second)
        .provide(first)
        .provide(brief.lifetime(Lifetime::Function))
}

#[anyrt::test]
async fn a_stand_in_that_needs_itself_is_a_cycle() {
    let client = app().test().await;
    let itself = client.override_with(async |first: Dep<First>| First(first.0.clone()));
    assert!(matches!(itself, Err(Error::Cycle { .. })), "{itself:?}");
    let at_last = client.override_with(async |third: Dep<Third>| First(third.0.clone()));
    assert!(matches!(at_last, Err(Error::Cycle { .. })), "{at_last:?}");
    // What was refused is not there.
    assert_eq!(client.get("/").await.text(), "third of second of first");

    // Two stand-ins that need each other.
    client.override_with(async || Second("alone".into())).expect("it asks for nothing");
    client.override_with(async |second: Dep<Second>| First(second.0.clone())).expect("no circle yet");
    let second = client.override_with(async |first: Dep<First>| Second(first.0.clone()));
    assert!(matches!(second, Err(Error::Cycle { .. })), "{second:?}");
    assert_eq!(client.get("/").await.text(), "third of alone");

    client.override_value(First("a value".into())).expect("there is one");
    client
        .override_with(async |first: Dep<First>| Second(first.0.clone()))
        .expect("the circle is taken apart");
    assert_eq!(client.get("/").await.text(), "third of a value");
    client.clear_overrides();
    assert_eq!(client.get("/").await.text(), "third of second of first");
    client.close().await.expect("it ends well");
}

#[anyrt::test]
async fn a_stand_in_lives_as_long_as_what_it_stands_for() {
    async fn lasting(_: Dep<Brief>) -> Teardown<Third> {
        Teardown::new(Third(String::new()), async |_, _: Outcome| {})
    }
    let client = app().test().await;
    let refused = client.override_with(lasting);
    assert!(matches!(refused, Err(Error::Lifetime { .. })), "{refused:?}");
    assert_eq!(client.get("/").await.text(), "third of second of first");
    client.close().await.expect("it ends well");

    let cycle = app().override_with(async |first: Dep<First>| First(first.0.clone())).into_service();
    assert!(matches!(cycle, Err(Error::Cycle { .. })));
}

#[anyrt::test]
async fn what_was_made_at_start_up_is_stood_in_for_by_a_value_of_each_request() {
    let client = app()
        .provide((async || Whole("start".into())).lifetime(Lifetime::App))
        .get("/whole", whole)
        .test()
        .await;
    assert_eq!(client.get("/whole").await.text(), "start");
    client.override_with(async |first: Dep<First>| Whole(first.0.clone())).expect("no circle");
    assert_eq!(client.get("/whole").await.text(), "first");
    client.close().await.expect("it ends well");
}

struct Whole(String);
impl Dependency for Whole {}

async fn whole(whole: Dep<Whole>) -> String {
    whole.0.clone()
}
