//! Not an example, but what several of them need: a small HTTP/1.1 client over anyrt's [`TcpStream`].
//!
//! Like all code here it runs on every backend. It is just enough to talk to our own server: no TLS, no
//! chunked bodies, no redirects.
#![allow(dead_code, reason = "each example takes what it needs")]

use std::io;
use std::net::SocketAddr;

use anyrt::BoxError;
use anyrt::net::TcpStream;
use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// One connection, kept open between requests.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    host: SocketAddr,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// GET on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> io::Result<Reply> {
    Client::connect(address).await?.get(path).await
}

/// GET, shown and checked: the status, and how the body begins.
pub(crate) async fn show(address: SocketAddr, path: &str, status: u16, begin: &str) -> Result<(), BoxError> {
    let reply = get(address, path).await?;
    println!("GET {path}: {} {}", reply.status, reply.body.trim_end());
    if reply.status == status && reply.body.starts_with(begin) {
        Ok(())
    } else {
        Err(format!("GET {path} was not answered with {status} and {begin:?}").into())
    }
}

impl Client {
    pub(crate) async fn connect(host: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Client { stream: BufReader::new(stream), host })
    }

    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Reply> {
        self.send("GET", path, &[], "").await?;
        self.reply().await
    }

    /// A body is taken for JSON.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Reply> {
        self.send("POST", path, headers, body).await?;
        self.reply().await
    }

    /// Sends a request, and does not wait for the answer. To drop the client then is to leave.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<()> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        request += body;
        let stream = self.stream.get_mut();
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await
    }

    /// Waits for the answer to the request that was sent first.
    pub(crate) async fn reply(&mut self) -> io::Result<Reply> {
        let status = self.line().await?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| malformed("no status in the first line"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("a header without a colon"))?;
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut reply = Reply { status, headers, body: String::new() };
        let length = reply.header("content-length").unwrap_or("0");
        let mut body = vec![0; length.parse().map_err(|_| malformed("a length that is no number"))?];
        self.stream.read_exact(&mut body).await?;
        reply.body = String::from_utf8(body).map_err(|_| malformed("a body that is no text"))?;
        Ok(reply)
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Reply {
    /// The value of a header, asked for in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> io::Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.body)?)
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server's answer has {what}"))
}
