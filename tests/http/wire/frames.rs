//! A client of HTTP/2 made by hand: it sends whatever frames it is told to.

use std::net::SocketAddr;

use futures_util::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Client, soon};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A block of headers: static ones by their index, others as they are.
pub(crate) fn block(method: &str, path: &str) -> Vec<u8> {
    let mut block = vec![if method == "GET" { 0x82 } else { 0x83 }, 0x86];
    for (index, text) in [(0x04, path), (0x01, "test")] {
        block.extend([index, u8::try_from(text.len()).expect("a short text")]);
        block.extend(text.as_bytes());
    }
    block
}

pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block("GET", path))
}

pub(crate) struct Http2(pub(crate) Client);

impl Http2 {
    /// Connects, and sends the preface with empty settings.
    pub(crate) async fn connect(address: SocketAddr) -> Http2 {
        let mut client = Http2(Client::connect(address).await);
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        client.send(&frame(SETTINGS, 0, 0, &[])).await;
        client
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.expect("the server reads");
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.0.write_all(bytes).await
    }

    /// The next frame, if the server has not closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        soon(self.0.0.read_exact(&mut header)).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        soon(self.0.0.read_exact(&mut payload)).await.ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// The next frame of this kind.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        while let Some(frame) = self.next().await {
            if frame.kind == kind {
                return Some(frame);
            }
        }
        None
    }

    /// The answer on a stream: its status, if HPACK knows it by an index, and its body.
    pub(crate) async fn answer(&mut self, stream: u32) -> (u16, String) {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let frame = self.next().await.expect("an answer");
            if frame.stream == stream {
                match frame.kind {
                    HEADERS => status = indexed_status(frame.payload[0]),
                    DATA => body.extend(&frame.payload),
                    kind => panic!("a frame of kind {kind} on the stream"),
                }
                if frame.flags & END_STREAM != 0 {
                    return (status, String::from_utf8(body).expect("a text"));
                }
            }
        }
    }

    /// Sends the same again and again until the server ends the connection; the error it gave, if it
    /// could still be read.
    pub(crate) async fn flood(&mut self, mut make: impl FnMut(u32) -> Vec<u8>) -> Option<u32> {
        let flooding = async {
            for turn in 0.. {
                if self.try_send(&make(turn)).await.is_err() {
                    return;
                }
            }
        };
        soon(flooding).await;
        let goaway = self.next_of(GOAWAY).await?;
        Some(u32::from_be_bytes(goaway.payload[4..8].try_into().expect("a code")))
    }
}

fn indexed_status(byte: u8) -> u16 {
    match byte {
        0x88 => 200,
        0x89 => 204,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        _ => 0,
    }
}
