//! A server in a process of its own, and the requests that it is asked.
#![allow(clippy::disallowed_methods, reason = "no runtime of ours is in this process")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 16;

/// How often each connection asks while allocations are counted.
const COUNTED_TURNS: usize = 100;

/// What one round gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) rate: f64,
    /// Microseconds of the server's CPU time a request.
    pub(crate) cpu: f64,
}

pub(crate) struct Process {
    server: Child,
    ask: ChildStdin,
    told: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Process {
    pub(crate) fn start(name: &str) -> Process {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
        let mut server = Command::new(std::env::current_exe().expect("this file"))
            .args(["serve", name, &free.port().to_string()])
            .env("SMOL_THREADS", "1")
            .env("ASYNC_STD_THREAD_COUNT", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let ask = server.stdin.take().expect("piped");
        let told = BufReader::new(server.stdout.take().expect("piped"));
        while TcpStream::connect(free).is_err() {
            if let Some(status) = server.try_wait().expect("a child of ours") {
                panic!("{name} does not serve: {status}");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Process { server, ask, told, address: free }
    }

    /// So many turns of all connections, one request each.
    pub(crate) fn round(&mut self, path: &str, turns: usize) -> Sample {
        let mut connections = Connections::open(self.address, path);
        let (cpu, start) = (self.cpu(), Instant::now());
        connections.ask(turns);
        let requests = (CONNECTIONS * turns) as f64;
        Sample { rate: requests / start.elapsed().as_secs_f64(), cpu: (self.cpu() - cpu) / requests }
    }

    /// Allocations a request. Apart from the rounds: to count costs those more who allocate more.
    pub(crate) fn allocations(&mut self, path: &str) -> f64 {
        let mut connections = Connections::open(self.address, path);
        assert_eq!(self.tell(), "counting");
        connections.ask(COUNTED_TURNS);
        let count: f64 = self.tell().parse().expect("a number");
        count / (CONNECTIONS * COUNTED_TURNS) as f64
    }

    /// Microseconds that the threads of the server have run.
    fn cpu(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.server.id())).expect("it runs");
        let ran = |task: std::io::Result<std::fs::DirEntry>| {
            let told = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            told.split(' ').next()?.parse::<f64>().ok()
        };
        tasks.filter_map(ran).sum::<f64>() / 1000.0
    }

    fn tell(&mut self) -> String {
        self.ask.write_all(b"\n").expect("it runs");
        let mut line = String::new();
        self.told.read_line(&mut line).expect("it runs");
        line.trim().to_owned()
    }
}

/// Connections that are kept alive, all asking for the same.
struct Connections {
    streams: Vec<TcpStream>,
    request: String,
    answer: Vec<u8>,
}

impl Connections {
    fn open(address: SocketAddr, path: &str) -> Connections {
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
        let mut answer = Vec::new();
        let streams = (0..CONNECTIONS).map(|_| {
            let mut stream = TcpStream::connect(address).expect("accepted");
            stream.set_nodelay(true).expect("set");
            stream.write_all(request.as_bytes()).expect("sent");
            answer = whole(&mut stream);
            stream
        });
        let streams = streams.collect();
        Connections { streams, request, answer }
    }

    fn ask(&mut self, turns: usize) {
        for _ in 0..turns {
            for stream in &mut self.streams {
                stream.write_all(self.request.as_bytes()).expect("sent");
            }
            // All answers are of one length.
            for stream in &mut self.streams {
                stream.read_exact(&mut self.answer).expect("an answer");
            }
        }
    }
}

/// The first answer, which tells how long all of them are.
fn whole(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).expect("an answer");
        assert!(count > 0, "no whole answer but {:?}", String::from_utf8_lossy(&answer));
        answer.extend(&piece[..count]);
        let text = String::from_utf8_lossy(&answer).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("http/1.1 200"), "{text}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.parse().ok()).expect("a length");
        if body.len() >= length {
            return answer;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
