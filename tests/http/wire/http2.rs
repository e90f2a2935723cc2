//! HTTP/2 with prior knowledge: what it must do, and the floods it must survive.

use std::future::pending;
use std::time::Duration;

use anyrt::sync::Event;
use anyrt_http::{App, Background, Limits, TooLate};
use bytes::Bytes;
use http::Uri;

use super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, block, frame, get,
};
use crate::client::{Server, soon};

const SHORT: Duration = Duration::from_millis(40);

fn app() -> App {
    App::new()
        .get("/{*path}", async |uri: Uri| format!("path {}", uri.path()))
        .get("/plain", || "from the pool")
        .post("/{*path}", async |body: Bytes| format!("{} bytes", body.len()))
}

fn limited(change: impl FnOnce(&mut Limits)) -> App {
    let mut limits = Limits::default();
    change(&mut limits);
    app().limits(limits)
}

/// An app with a handler under `/wait` that waits, says that it has begun, and cleans up.
fn waiting() -> (App, Event, Event, Event) {
    let (begun, go, cleaned_up) = (Event::new(), Event::new(), Event::new());
    let app = app().get("/wait", {
        let (begun, go, cleaned_up) = (begun.clone(), go.clone(), cleaned_up.clone());
        move || {
            let (begun, go, cleaned_up) = (begun.clone(), go.clone(), cleaned_up.clone());
            let work = async move {
                // A task that has waited is in the view.
                anyrt::checkpoint().await;
                begun.set();
                go.wait().await;
                "waited"
            };
            async move { anyrt::finally(work, async move |_| cleaned_up.set()).await }
        }
    });
    (app, begun, go, cleaned_up)
}

#[anyrt::test]
async fn requests_are_answered_on_their_streams() {
    let (app, begun, go, _) = waiting();
    let server = Server::start(app).await;
    let mut client = Http2::connect(server.address).await;
    client.send(&get(1, "/wait")).await;
    soon(begun.wait()).await;
    // A stream that waits is in nobody's way.
    client.send(&get(3, "/second")).await;
    assert_eq!(client.answer(3).await, (200, "path /second".to_owned()));
    client.send(&get(5, "/plain")).await;
    assert_eq!(client.answer(5).await, (200, "from the pool".to_owned()));
    client.send(&frame(HEADERS, END_HEADERS, 7, &block("POST", "/body"))).await;
    client.send(&frame(DATA, 0, 7, b"one")).await;
    client.send(&frame(DATA, END_STREAM, 7, b"more")).await;
    assert_eq!(client.answer(7).await, (200, "7 bytes".to_owned()));
    go.set();
    assert_eq!(client.answer(1).await, (200, "waited".to_owned()));
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn the_preface_may_come_in_pieces_and_a_head_may_begin_like_it() {
    let server = Server::start(app()).await;
    let mut client = Http2(server.connect().await);
    for piece in [&b"PR"[..], b"I * HTTP/2.0\r\n\r\nS", b"M\r\n\r\n"] {
        client.send(piece).await;
        // Another is answered meanwhile, so the piece was looked at.
        assert_eq!(server.get("/x").await.status, 200);
    }
    client.send(&frame(SETTINGS, 0, 0, &[])).await;
    client.send(&get(1, "/pieces")).await;
    assert_eq!(client.answer(1).await.1, "path /pieces");
    assert_eq!(server.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await.status, 400);
    assert_eq!(server.send("PUT /x HTTP/1.1\r\nHost: test\r\n\r\n").await.status, 405);
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn a_stream_that_is_reset_cancels_its_handler_and_no_other() {
    let (app, begun, _, cleaned_up) = waiting();
    let server = Server::start(app).await;
    let mut client = Http2::connect(server.address).await;
    client.send(&get(1, "/wait")).await;
    soon(begun.wait()).await;
    client.send(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())).await;
    soon(cleaned_up.wait()).await;
    client.send(&get(3, "/next")).await;
    assert_eq!(client.answer(3).await.1, "path /next");
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn background_tasks_begin_when_the_response_is_on_its_way_and_no_earlier() {
    struct Large {
        piece: Bytes,
        dropped: Event,
    }
    impl http_body::Body for Large {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            let piece = std::mem::take(&mut self.piece);
            std::task::Poll::Ready((!piece.is_empty()).then(|| Ok(http_body::Frame::data(piece))))
        }

        fn is_end_stream(&self) -> bool {
            self.piece.is_empty()
        }
    }
    impl Drop for Large {
        fn drop(&mut self) {
            self.dropped.set();
        }
    }
    let given = Event::new();
    let answers = |length: usize, ran: &Event| {
        let (given, ran) = (given.clone(), ran.clone());
        move |background: Background| {
            let (given, ran) = (given.clone(), ran.clone());
            async move {
                background.add(async move { ran.set() })?;
                let piece = Bytes::from(vec![b'x'; length]);
                Ok::<_, TooLate>(axum_core::body::Body::new(Large { piece, dropped: given }))
            }
        }
    };
    // Far more than the system takes for a client that does not read.
    const LENGTH: usize = 64 << 20;
    let (ran, small, empty) = (Event::new(), Event::new(), Event::new());
    let app = app()
        .get("/large", answers(LENGTH, &ran))
        .get("/small", answers(1, &small))
        .get("/empty", answers(0, &empty));
    let server = Server::start(app).await;
    let mut client = Http2::connect(server.address).await;
    // As much as there may be, on each stream and on the connection.
    let most = (i32::MAX as u32).to_be_bytes();
    let windows = frame(SETTINGS, 0, 0, &[&[0, 4][..], &most].concat());
    client.send(&windows).await;
    client.send(&frame(WINDOW_UPDATE, 0, 0, &(i32::MAX as u32 - 65_535).to_be_bytes())).await;
    client.send(&get(1, "/large")).await;
    soon(given.wait()).await;
    // hyper has all of it. What begins now would have begun when others were answered.
    for _ in 0..10 {
        assert_eq!(server.get("/x").await.status, 200);
    }
    assert!(!ran.is_set(), "nothing of it was read");
    let mut left = LENGTH;
    while left > 0 {
        left -= client.next_of(DATA).await.expect("more of it").payload.len();
    }
    soon(ran.wait()).await;
    for (stream, path, ran) in [(3, "/small", small), (5, "/empty", empty)] {
        client.send(&get(stream, path)).await;
        assert_eq!(client.answer(stream).await.0, 200);
        // The connection has nothing more to do, and begins it all the same.
        soon(ran.wait()).await;
    }
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn streams_are_requests_of_the_view_each_in_a_task_of_its_own() {
    let (app, begun, go, _) = waiting();
    let server = Server::start(app.view("/_view")).await;
    let mut client = Http2::connect(server.address).await;
    client.send(&get(1, "/wait")).await;
    soon(begun.wait()).await;
    client.send(&get(3, "/_view/state.json")).await;
    let state: serde_json::Value = serde_json::from_str(&client.answer(3).await.1).expect("JSON");
    let requests = state["requests"].as_array().expect("a list");
    assert_eq!((requests.len(), &requests[0]["route"]), (1, &"/wait".into()));
    let peer = client.0.0.local_addr().expect("an address").to_string();
    assert_eq!((&requests[0]["peer"], &requests[0]["state"]), (&peer.into(), &"handling".into()));
    let entries = state["tasks"]["entries"].as_array().expect("a list");
    let task = entries.iter().find(|entry| entry["task"]["id"] == requests[0]["task"]).expect("its task");
    assert_eq!(task["task"]["name"], "http stream");
    go.set();
    assert_eq!(client.answer(1).await.1, "waited");
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn a_client_that_resets_a_response_or_leaves_it_is_told_of() {
    for reset in [true, false] {
        let (streams, told) = (Event::new(), Event::new());
        let app = app().get("/stream", {
            let (streams, told) = (streams.clone(), told.clone());
            move |client: anyrt_http::Client| {
                let (streams, told) = (streams.clone(), told.clone());
                async move {
                    drop(anyrt::spawn(async move {
                        client.disconnected().await;
                        told.set();
                    }));
                    anyrt_http::Streaming::new(futures_util::stream::once(async move {
                        streams.set();
                        pending::<&'static str>().await
                    }))
                }
            }
        });
        let server = Server::start(app).await;
        let mut client = Http2::connect(server.address).await;
        client.send(&get(1, "/stream")).await;
        soon(streams.wait()).await;
        assert!(!told.is_set());
        if reset {
            client.send(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())).await;
            soon(told.wait()).await;
        }
        drop(client);
        soon(told.wait()).await;
        server.stop().await;
    }
}

/// A line of a head that is not compressed: its name, its value.
fn line(name: &str, value: &str) -> Vec<u8> {
    let mut line = vec![0];
    for text in [name, value] {
        line.push(u8::try_from(text.len()).expect("a short text"));
        line.extend(text.as_bytes());
    }
    line
}

#[anyrt::test]
async fn cookies_in_pieces_are_one_line() {
    let app = app().get("/cookies", async |headers: http::HeaderMap| {
        let lines = headers.get_all("cookie").iter();
        lines.map(|line| line.to_str().expect("a text").to_owned()).collect::<Vec<_>>().join(" | ")
    });
    let server = Server::start(app).await;
    let mut client = Http2::connect(server.address).await;
    let mut head = block("GET", "/cookies");
    for crumb in ["a=1", "b=2", "c=3"] {
        head.extend(line("cookie", crumb));
    }
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)).await;
    assert_eq!(client.answer(1).await.1, "a=1; b=2; c=3");
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn h2_too_many_header_lines_are_431() {
    let server = Server::start(limited(|limits| limits.headers = 5)).await;
    let mut client = super::speaks::Speaker::connect(server.address, true).await;
    for (stream, count, status) in [(1, 4, 200), (3, 10, 431)] {
        let mut head = block("GET", "/x");
        for number in 0..count {
            head.extend(line(&format!("x-{number}"), "value"));
        }
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)).await;
        assert_eq!(client.answer("GET", stream).await.status, status);
    }
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn a_length_that_is_not_kept_is_no_client_that_left() {
    let (tell, told) = anyrt::channel::unbounded();
    let app = app().post("/body", move |body: axum_core::body::Body| {
        let tell = tell.clone();
        async move {
            let error = http_body_util::BodyExt::collect(body).await.expect_err("it is no whole body");
            tell.send(anyrt_http::ClientDisconnect::is_cause_of(&error)).await.expect("the test waits");
            "never sent"
        }
    });
    let server = Server::start(app).await;
    let mut client = Http2::connect(server.address).await;
    // Too much at once, too little at the end, and one that is reset.
    for (stream, body, flags, left) in
        [(1, &b"four"[..], 0, false), (3, b"1", END_STREAM, false), (5, b"1", 0, true)]
    {
        let head = [block("POST", "/body"), line("content-length", "3")].concat();
        client.send(&frame(HEADERS, END_HEADERS, stream, &head)).await;
        client.send(&frame(DATA, flags, stream, body)).await;
        if left {
            client.send(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).await;
            // The handler is cancelled with its stream, or is told: it is not asked for.
            break;
        }
        assert_eq!(soon(told.recv()).await.ok(), Some(left), "stream {stream}");
    }
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn h9_a_client_that_leaves_cancels_its_handlers() {
    let (app, begun, _, cleaned_up) = waiting();
    let server = Server::start(app).await;
    let mut client = Http2::connect(server.address).await;
    client.send(&get(1, "/wait")).await;
    soon(begun.wait()).await;
    drop(client);
    soon(cleaned_up.wait()).await;
    server.stop().await;
}

#[anyrt::test]
async fn h3_a_body_that_stops_ends_its_stream_only() {
    let slow = limited(|limits| limits.body_idle = SHORT);
    let server = Server::start(slow.post("/json", async |body: anyrt_http::Json<String>| body.0)).await;
    let mut client = Http2::connect(server.address).await;
    // Content-Type by its static index, 31.
    let mut json = block("POST", "/json");
    json.extend([0x0f, 0x10, 16]);
    json.extend(b"application/json");
    client.send(&frame(HEADERS, END_HEADERS, 1, &json)).await;
    client.send(&frame(DATA, 0, 1, b"\"half")).await;
    let answer = client.next_of(HEADERS).await.expect("an answer");
    // 408 has no index of its own: it is a literal with the name of `:status`.
    assert_eq!((answer.stream, answer.payload[0]), (1, 0x48));
    client.send(&get(3, "/next")).await;
    assert_eq!(client.answer(3).await.1, "path /next");
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn h5_a_client_that_only_greets_is_told_to_go_and_closed() {
    let server = Server::start(limited(|limits| limits.idle = SHORT)).await;
    let mut client = Http2::connect(server.address).await;
    assert!(client.next_of(GOAWAY).await.is_some());
    assert!(client.0.closed_after_all().await);
    server.stop().await;
}

#[anyrt::test]
async fn h5_a_client_that_answers_no_ping_is_closed() {
    let quick = limited(|limits| (limits.ping_every, limits.ping_timeout) = (SHORT, SHORT));
    let server = Server::start(quick).await;
    let mut client = Http2::connect(server.address).await;
    assert!(client.next_of(PING).await.is_some());
    assert!(client.next_of(GOAWAY).await.is_some());
    assert!(client.0.closed_after_all().await);
    server.stop().await;
}

#[anyrt::test]
async fn a_connection_with_a_stream_in_flight_is_not_idle() {
    let (app, begun, go, _) = waiting();
    let mut limits = Limits::default();
    limits.idle = SHORT;
    let server = Server::start(app.limits(limits)).await;
    let mut client = Http2::connect(server.address).await;
    client.send(&get(1, "/wait")).await;
    soon(begun.wait()).await;
    // Meanwhile the limit has passed twice.
    for _ in 0..2 {
        let mut idle = server.connect().await;
        idle.send("GET /idle HTTP/1.1\r\nHost: test\r\n\r\n").await;
        assert_eq!(idle.reply().await.status, 200);
        assert!(idle.closed().await);
    }
    go.set();
    assert_eq!(client.answer(1).await.1, "waited");
    assert!(client.next_of(GOAWAY).await.is_some());
    drop(client);
    server.stop().await;
}

#[anyrt::test]
async fn a_server_that_stops_says_so_and_finishes_the_streams() {
    let (app, begun, go, _) = waiting();
    let server = Server::start(app).await;
    let mut client = Http2::connect(server.address).await;
    client.send(&get(1, "/wait")).await;
    soon(begun.wait()).await;
    server.stop.set();
    assert!(client.next_of(GOAWAY).await.is_some());
    // The server wants to know that it was heard.
    let ping = client.next_of(PING).await.expect("a question");
    client.send(&frame(PING, ACK, 0, &ping.payload)).await;
    go.set();
    assert_eq!(client.answer(1).await.1, "waited");
    assert!(client.0.closed_after_all().await);
    server.stop().await;
}

#[anyrt::test]
async fn a_client_that_does_not_hear_the_end_does_not_hold_the_server() {
    let server = Server::start(limited(|limits| limits.first_byte = SHORT)).await;
    let mut client = Http2::connect(server.address).await;
    client.send(&get(1, "/x")).await;
    assert_eq!(client.answer(1).await.0, 200);
    server.stop().await;
}

/// The connection is ended, and the server answers others.
async fn survives(server: Server, make: impl FnMut(u32) -> Vec<u8>, code: Option<u32>) {
    let mut client = Http2::connect(server.address).await;
    let told = client.flood(make).await;
    // What was sent after the end may have destroyed what was told.
    assert!(told.is_none() || told == code, "{told:?}");
    assert_eq!(server.get("/alive").await.body, "path /alive");
    server.stop().await;
}

const CALM: Option<u32> = Some(11);

fn stream_of(turn: u32) -> u32 {
    2 * turn + 1
}

#[anyrt::test]
async fn h13_rapid_resets_end_the_connection() {
    let server = Server::start(app().get("/wait", async || pending::<&str>().await)).await;
    let reset = |turn| {
        let stream = stream_of(turn);
        [get(stream, "/wait"), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    survives(server, reset, CALM).await;
}

#[anyrt::test]
async fn h14_endless_continuations_end_the_connection() {
    let server = Server::start(app()).await;
    let endless = |turn| match turn {
        0 => frame(HEADERS, END_STREAM, 1, &block("GET", "/")),
        _ => frame(CONTINUATION, 0, 1, &[]).repeat(100),
    };
    survives(server, endless, CALM).await;
}

#[anyrt::test]
async fn h15_endless_empty_data_ends_the_connection() {
    let server = Server::start(app().post("/wait", async || pending::<&str>().await)).await;
    let endless = |turn| match turn {
        0 => frame(HEADERS, END_HEADERS, 1, &block("POST", "/wait")),
        _ => frame(DATA, 0, 1, &[]).repeat(100),
    };
    survives(server, endless, CALM).await;
}

/// So many frames in a second end the connection; fewer do not.
async fn counted(control: Vec<u8>) {
    let server = Server::start(limited(|limits| limits.control_frames = 1000)).await;
    let mut client = Http2::connect(server.address).await;
    client.send(&control.repeat(400)).await;
    client.send(&get(1, "/few")).await;
    assert_eq!(client.answer(1).await.1, "path /few");
    drop(client);
    survives(server, |_| control.repeat(100), None).await;
}

#[anyrt::test]
async fn h16_floods_of_settings_end_the_connection() {
    counted(frame(SETTINGS, 0, 0, &[])).await;
}

#[anyrt::test]
async fn h16_floods_of_pings_end_the_connection() {
    counted(frame(PING, 0, 0, &[0; 8])).await;
}

#[anyrt::test]
async fn h16_floods_of_priorities_end_the_connection() {
    counted(frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])).await;
}
