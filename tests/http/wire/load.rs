//! Loads, and the figures they give. Not part of the usual run:
//!
//! ```text
//! cargo test --release -p tests --test http -- wire::load --ignored --nocapture --test-threads 1
//! ```
//!
//! `ANYRT_BACKEND` names the runtime; the limit of open files must allow 11,000 (`ulimit -n`).
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "clients of another process, in threads")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyrt::net::TcpListener;
use anyrt_http::App;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// Runs until SIGTERM, and then tells its counts.
#[test]
#[ignore = "the server of the loads, in a process of its own"]
fn server_process() {
    if std::env::var_os("ANYRT_LOAD_SERVER").is_none() {
        return;
    }
    anyrt::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("listening {}", listener.local_addr().expect("an address"));
        let app = App::new().get("/", async || "here");
        let served = app.server().listener(listener).serve().await.expect("it serves");
        println!("served {} {}", served.requests, served.answered);
    });
}

struct Server {
    process: Child,
    lines: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Server {
    fn start() -> Server {
        let mut process = Command::new(std::env::current_exe().expect("this file"))
            .args(["--exact", "wire::load::server_process", "--ignored", "--nocapture"])
            .env("ANYRT_LOAD_SERVER", "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped"));
        let address = word(&mut lines, "listening").parse().expect("an address");
        Server { process, lines, address }
    }

    fn terminate(&self) {
        let sent = Command::new("kill").arg("-TERM").arg(self.process.id().to_string()).status();
        assert!(sent.expect("`kill` is there").success());
    }

    /// How many requests it has read, and answered.
    fn end(mut self) -> (u64, u64) {
        let counts = word(&mut self.lines, "served");
        let (read, answered) = counts.split_once(' ').expect("two numbers");
        assert!(self.process.wait().expect("it ends").success());
        (read.parse().expect("a number"), answered.parse().expect("a number"))
    }

    /// Resident memory in KiB, without what is shared with others.
    fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("it runs").count()
    }
}

fn word(lines: &mut impl BufRead, word: &str) -> String {
    for line in lines.lines() {
        if let Some((_, rest)) = line.expect("a line").split_once(word) {
            return rest.trim().to_owned();
        }
    }
    panic!("no line with `{word}`");
}

/// One request; none if the server ended the connection instead.
fn ask(stream: &mut TcpStream) -> Option<()> {
    stream.write_all(GET).ok()?;
    let (mut answer, mut filled) = ([0; 1024], 0);
    while !answer[..filled].ends_with(b"here") {
        let count = stream.read(&mut answer[filled..]).unwrap_or(0);
        if count == 0 {
            assert_eq!(filled, 0, "a part of an answer");
            return None;
        }
        filled += count;
    }
    Some(())
}

#[test]
#[ignore = "a load"]
fn h7_ten_thousand_idle_connections() {
    const CONNECTIONS: usize = 10_000;
    let server = Server::start();
    // What a first few connections cost once is not counted.
    for _ in 0..50 {
        ask(&mut TcpStream::connect(server.address).expect("accepted")).expect("answered");
    }
    while server.descriptors() > 40 {
        thread::sleep(Duration::from_millis(10));
    }
    let (memory, descriptors) = (server.memory(), server.descriptors());
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = TcpStream::connect(server.address).expect("accepted: is `ulimit -n` high enough?");
        ask(&mut client).expect("answered");
        clients.push(client);
    }
    let each = (server.memory() - memory) as f64 / CONNECTIONS as f64;
    println!("{CONNECTIONS} idle connections: {each:.1} KiB each");
    drop(clients);
    let closed = Instant::now();
    while server.descriptors() > descriptors {
        thread::sleep(Duration::from_millis(1));
    }
    println!("descriptors back to {descriptors} after {:?}", closed.elapsed());
    server.terminate();
    let (read, answered) = server.end();
    assert_eq!((read, answered), (CONNECTIONS as u64 + 50, CONNECTIONS as u64 + 50));
    assert!(each <= 20.0, "{each} KiB a connection");
}

#[test]
#[ignore = "a load"]
fn h17_sigterm_twenty_times_under_load() {
    for run in 1..=20 {
        let server = Server::start();
        let got = AtomicU64::new(0);
        let stopped = thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    let Ok(mut stream) = TcpStream::connect(server.address) else { return };
                    while ask(&mut stream).is_some() {
                        got.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while got.load(Ordering::Relaxed) < 5_000 {
                thread::sleep(Duration::from_millis(1));
            }
            server.terminate();
            Instant::now()
        });
        let drained = stopped.elapsed();
        let (read, answered) = server.end();
        let got = got.load(Ordering::Relaxed);
        println!(
            "run {run}: the server read {read} and answered {answered}, the clients got {got}; drained in {drained:?}"
        );
        assert_eq!((read, answered), (got, got));
    }
}
