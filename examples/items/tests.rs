//! The app, tested without a socket; one body for every backend.

use std::io::Cursor;

use anyrt_http::TestClient;
use image::{DynamicImage, ImageFormat};
use serde_json::{Value, json};

use super::app::app;
use super::shop::Item;
use super::user::User;

/// On every backend that is compiled in, with an app and a directory of its own.
fn on_every_backend(body: impl AsyncFn(&TestClient)) {
    for backend in anyrt::Backend::enabled() {
        anyrt::run_on(*backend, async {
            let directory = tempfile::tempdir().expect("a directory");
            let client = app(directory.path()).test().await;
            body(&client).await;
            client.close().await.expect("the app ends well");
        });
    }
}

async fn sign_up(client: &TestClient, name: &str) -> String {
    let signed_up = client.post("/users").json(&json!({ "name": name })).await;
    assert_eq!(signed_up.status(), 201);
    let token = signed_up.json::<Value>()["token"].as_str().map(str::to_owned);
    format!("Bearer {}", token.expect("a token"))
}

#[test]
fn users_add_items_and_remove_their_own() {
    on_every_backend(async |client| {
        let (ada, bob) = (sign_up(client, "Ada").await, sign_up(client, "Bob").await);
        let lamp = json!({ "title": "lamp", "price": 1200 });
        let added = client.post("/items").header("authorization", &ada).json(&lamp).await;
        assert_eq!(added.status(), 201);
        let lamp: Item = added.json();
        assert_eq!((lamp.owner.as_str(), lamp.price, lamp.picture), ("Ada", 1200, false));

        let path = format!("/items/{}", lamp.id);
        assert_eq!(client.delete(&path).header("authorization", &bob).await.status(), 403);
        assert_eq!(client.get(&path).header("authorization", &bob).await.json::<Item>(), lamp);
        assert_eq!(client.delete(&path).header("authorization", &ada).await.status(), 204);
        assert_eq!(client.get(&path).header("authorization", &ada).await.status(), 404);
        let trail = client.get("/audit").await;
        assert_eq!(trail.text(), "Ada signed up\nBob signed up\nAda added item 1\nAda removed item 1\n");
    });
}

#[test]
fn who_has_not_signed_up_sees_no_items() {
    on_every_backend(async |client| {
        let refused = client.get("/items").await;
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.json::<Value>()["detail"], "show your token: `Authorization: Bearer ..`");
        assert_eq!(client.get("/items").header("authorization", "Bearer x").await.status(), 401);
    });
}

#[test]
fn with_another_provider_a_test_is_whoever_it_likes() {
    on_every_backend(async |client| {
        sign_up(client, "Eve").await;
        client.override_with(async || User { name: "Eve".to_owned() }).expect("users are provided");
        let added = client.post("/items").json(&json!({ "title": "apple", "price": 5 })).await;
        assert_eq!(added.json::<Item>().owner, "Eve");
        client.clear_overrides();
        assert_eq!(client.get("/items").await.status(), 401);
    });
}

#[test]
fn what_fails_is_rolled_back_and_leaves_no_trail() {
    on_every_backend(async |client| {
        sign_up(client, "Ada").await;
        let twice = client.post("/users").json(&json!({ "name": "Ada" })).await;
        assert_eq!(twice.status(), 409);
        let wrong = client.post("/users").json(&json!({ "name": 7 })).await;
        assert_eq!(wrong.status(), 422);
        assert_eq!(client.get("/audit").await.text(), "Ada signed up\n");
    });
}

#[test]
fn a_picture_becomes_a_thumbnail() {
    on_every_backend(async |client| {
        let ada = sign_up(client, "Ada").await;
        let lamp = json!({ "title": "lamp", "price": 1200 });
        client.post("/items").header("authorization", &ada).json(&lamp).await;
        let mut picture = Vec::new();
        let large = DynamicImage::new_rgb8(640, 320);
        large.write_to(&mut Cursor::new(&mut picture), ImageFormat::Png).expect("memory takes it");

        let put = client.put("/items/1/picture").header("authorization", &ada).body(picture).await;
        assert_eq!((put.status().as_u16(), put.text()), (200, "640 x 320 became 64 x 32\n"));
        let thumbnail = client.get("/items/1/picture").header("authorization", &ada).await;
        let small = image::load_from_memory(thumbnail.bytes()).expect("a picture");
        assert_eq!((small.width(), small.height()), (64, 32));

        let no_picture = client.put("/items/1/picture").header("authorization", &ada).body("text").await;
        assert_eq!(no_picture.status(), 422);
    });
}

#[test]
fn the_report_tells_its_steps() {
    on_every_backend(async |client| {
        sign_up(client, "Ada").await;
        let report = client.get("/report").await;
        let events = "data: {\"what\":\"users\",\"number\":1}\nevent: answer\n\n\
                      data: {\"what\":\"items\",\"number\":0}\nevent: answer\n\n\
                      data: {\"what\":\"cents\",\"number\":0}\nevent: answer\n\n\
                      data: that is all\nevent: done\n\n";
        assert_eq!(report.text(), events);
    });
}
