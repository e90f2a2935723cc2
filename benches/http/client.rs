//! A server in a process of its own, and the requests that it is asked.
#![allow(clippy::disallowed_methods, reason = "no runtime of ours is in this process")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 16;
const TURNS: usize = 1500;

/// What one round gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) rate: f64,
    /// Microseconds of the server's CPU time a request.
    pub(crate) cpu: f64,
    pub(crate) allocations: f64,
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
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let ask = server.stdin.take().expect("piped");
        let told = BufReader::new(server.stdout.take().expect("piped"));
        while TcpStream::connect(free).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        Process { server, ask, told, address: free }
    }

    /// None if it does not answer this path.
    pub(crate) fn round(&mut self, path: &str) -> Option<Sample> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
        let mut streams: Vec<TcpStream> =
            (0..CONNECTIONS).map(|_| TcpStream::connect(self.address).expect("accepted")).collect();
        let mut answer = vec![0; 4096];
        let mut length = 0;
        for stream in &mut streams {
            stream.set_nodelay(true).expect("set");
            stream.write_all(request.as_bytes()).expect("sent");
            length = stream.read(&mut answer).expect("an answer");
            if !answer.starts_with(b"HTTP/1.1 200") {
                return None;
            }
        }
        let (count, cpu, start) = (self.allocations(), self.cpu(), Instant::now());
        for _ in 0..TURNS {
            for stream in &mut streams {
                stream.write_all(request.as_bytes()).expect("sent");
            }
            for stream in &mut streams {
                stream.read_exact(&mut answer[..length]).expect("an answer");
            }
        }
        let requests = (CONNECTIONS * TURNS) as f64;
        Some(Sample {
            rate: requests / start.elapsed().as_secs_f64(),
            cpu: (self.cpu() - cpu) / requests,
            allocations: (self.allocations() - count) as f64 / requests,
        })
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

    fn allocations(&mut self) -> u64 {
        self.ask.write_all(b"\n").expect("it runs");
        let mut line = String::new();
        self.told.read_line(&mut line).expect("it runs");
        line.trim().parse().expect("a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
