//! A process without file descriptors: the server neither ends nor spins, and accepts again at once.
#![allow(clippy::disallowed_methods, reason = "times of another process")]
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyrt::net::TcpListener;
use anyrt::sync::Event;
use anyrt_http::App;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";

#[test]
#[ignore = "the server of the tests below, in a process of its own"]
fn server_process() {
    anyrt::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("listening {}", listener.local_addr().expect("an address"));
        let stop = Event::new();
        drop(anyrt::spawn({
            let stop = stop.clone();
            async move {
                let end = anyrt::run_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
                end.expect("stdin is read");
                stop.set();
            }
        }));
        let app = App::new().get("/", async || "here");
        let served = app.server().listener(listener).until(stop.wait()).serve().await.expect("it serves");
        println!("failures {}", served.accept_failures);
    });
}

/// Whether the server answers a request that was sent, within a time.
fn answered(mut stream: &TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).expect("a timeout");
    let mut answer = [0; 1024];
    matches!(stream.read(&mut answer), Ok(count) if answer[..count].ends_with(b"here"))
}

/// The rest of the next line with this word.
fn line(lines: &mut impl BufRead, word: &str) -> String {
    for line in lines.lines() {
        if let Some((_, rest)) = line.expect("a line").split_once(word) {
            return rest.trim().to_owned();
        }
    }
    panic!("no line with `{word}`");
}

fn accepts_again(backend: &str) {
    let start = Instant::now();
    let mut server = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("this file"))
        .args(["--exact", "wire::descriptors::server_process", "--ignored", "--nocapture"])
        .env("ANYRT_BACKEND", backend)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(server.stdout.take().expect("piped"));
    let address: SocketAddr = line(&mut lines, "listening").parse().expect("an address");
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = TcpStream::connect(address).expect("room in the queue");
        client.write_all(GET).expect("sent");
        clients.push(client);
    }
    let served = clients.iter().take_while(|client| answered(client, Duration::from_millis(500))).count();
    assert!((20..64).contains(&served), "{served}");
    drop(clients.remove(0));
    let freed = Instant::now();
    assert!(
        answered(&clients[served - 1], Duration::from_secs(20)),
        "a descriptor is free, and nobody uses it"
    );
    println!("{backend}: accepted {:?} after a descriptor came free", freed.elapsed());
    drop(clients);
    drop(server.stdin.take());
    let failures: u128 = line(&mut lines, "failures").parse().expect("a number");
    let most = start.elapsed().as_millis() / 80 + 10;
    println!("{backend}: {failures} accepts failed in {:?}", start.elapsed());
    assert!(failures > 0 && failures <= most, "{failures} accepts failed, more than {most}: it spins");
    assert!(server.wait().expect("it ends").success());
}

macro_rules! on_each_backend {
    ($($feature:literal $module:ident $name:literal;)*) => {$(
        #[cfg(feature = $feature)]
        mod $module {
            #[test]
            fn h8_without_descriptors_the_server_waits_and_accepts_again() {
                super::accepts_again($name);
            }
        }
    )*};
}

on_each_backend! {
    "tokio" tokio "tokio";
    "tokio" tokio_current_thread "tokio-current-thread";
    "smol" smol "smol";
    "async-std" async_std "async-std";
}
