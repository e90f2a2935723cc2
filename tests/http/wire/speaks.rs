//! A client that asks the same over HTTP/1.1 and HTTP/2, with and without TLS, and says exactly what it was answered.

use std::net::SocketAddr;

use anyrt::net::TcpStream;
use futures_util::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
    frame,
};
use crate::client::soon;

pub(crate) trait Link: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Link for T {}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With its last byte.
    Whole,
    /// The stream was reset with this code, after its end or before.
    Reset(u32),
    /// The connection was closed before its end.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Seen {
    /// Zero if there was no head.
    pub(crate) status: u16,
    pub(crate) length: Option<String>,
    /// In lower case; of HTTP/1.
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) trailers: bool,
    pub(crate) end: End,
}

impl Seen {
    pub(crate) fn is_whole(&self) -> bool {
        self.end == End::Whole
    }
}

pub(crate) struct Speaker {
    pub(crate) link: Box<dyn Link>,
    /// The next stream, of HTTP/2.
    stream: Option<u32>,
    /// The fields that later heads name by a number, the newest first.
    table: Vec<(usize, String)>,
    /// Those of the last head.
    fields: Vec<(usize, String)>,
}

impl Speaker {
    pub(crate) async fn connect(address: SocketAddr, http2: bool) -> Speaker {
        let stream = TcpStream::connect(address).await.expect("the server accepts");
        Speaker::over(Box::new(stream), http2).await
    }

    pub(crate) async fn over(link: Box<dyn Link>, http2: bool) -> Speaker {
        let mut speaker = Speaker { link, stream: http2.then_some(1), table: Vec::new(), fields: Vec::new() };
        if http2 {
            speaker.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
            speaker.send(&frame(SETTINGS, 0, 0, &[])).await;
            // As much as it likes, on the connection; a stream has its 65,535 bytes.
            speaker.send(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes())).await;
        }
        speaker
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.link.write_all(bytes).await.expect("the server reads");
        self.link.flush().await.expect("the server reads");
    }

    pub(crate) async fn get(&mut self, path: &str) -> Seen {
        self.ask("GET", path).await
    }

    /// A request without a body, and its answer.
    pub(crate) async fn ask(&mut self, method: &str, path: &str) -> Seen {
        let stream = self.begin(method, path).await;
        self.answer(method, stream).await
    }

    /// Sends a request without a body; its stream.
    pub(crate) async fn begin(&mut self, method: &str, path: &str) -> u32 {
        let Some(stream) = self.stream else {
            self.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\nTE: trailers\r\n\r\n").as_bytes())
                .await;
            return 0;
        };
        let mut head = block("GET", path);
        if method != "GET" {
            head.splice(
                0..1,
                [0x02, u8::try_from(method.len()).expect("short")].into_iter().chain(method.bytes()),
            );
        }
        self.stream = Some(stream + 2);
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)).await;
        stream
    }

    pub(crate) async fn answer(&mut self, method: &str, stream: u32) -> Seen {
        if self.stream.is_some() { self.answer2(stream).await } else { self.answer1(method).await }
    }

    async fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        matches!(soon(self.link.read(&mut byte)).await, Ok(1)).then_some(byte[0])
    }

    /// Up to and with this text; false when the connection ended before.
    async fn until(&mut self, text: &[u8], into: &mut Vec<u8>) -> bool {
        while !into.ends_with(text) {
            match self.byte().await {
                Some(byte) => into.push(byte),
                None => return false,
            }
        }
        true
    }

    async fn exactly(&mut self, count: usize, into: &mut Vec<u8>) -> bool {
        for _ in 0..count {
            match self.byte().await {
                Some(byte) => into.push(byte),
                None => return false,
            }
        }
        true
    }

    async fn answer1(&mut self, method: &str) -> Seen {
        let mut head = Vec::new();
        let has_head = self.until(b"\r\n\r\n", &mut head).await;
        let head = String::from_utf8(head).expect("a head is text").to_lowercase();
        let field = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
        };
        let status = if has_head { head["http/1.1 ".len()..][..3].parse().expect("a status") } else { 0 };
        let length = field("content-length:");
        let chunked = field("transfer-encoding:").as_deref() == Some("chunked");
        let (mut body, mut trailers) = (Vec::new(), false);
        let whole = if !has_head {
            false
        } else if method == "HEAD" || matches!(status, 204 | 304) {
            true
        } else if chunked {
            loop {
                let mut size = Vec::new();
                if !self.until(b"\r\n", &mut size).await {
                    break false;
                }
                let size = String::from_utf8(size).expect("a size is text");
                let size = usize::from_str_radix(size.trim(), 16).expect("a size");
                if size == 0 {
                    let mut end = b"\r\n".to_vec();
                    let whole = self.until(b"\r\n\r\n", &mut end).await;
                    trailers = end.len() > 4;
                    break whole;
                }
                if !(self.exactly(size, &mut body).await && self.exactly(2, &mut Vec::new()).await) {
                    break false;
                }
            }
        } else if let Some(length) = &length {
            self.exactly(length.parse().expect("a length"), &mut body).await
        } else {
            while let Some(byte) = self.byte().await {
                body.push(byte);
            }
            true
        };
        let end = if whole { End::Whole } else { End::Closed };
        let body = String::from_utf8(body).expect("a text");
        Seen { status, length, head, body, trailers, end }
    }

    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        soon(self.link.read_exact(&mut header)).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        soon(self.link.read_exact(&mut payload)).await.ok()?;
        if kind == SETTINGS && flags & ACK == 0 {
            self.send(&frame(SETTINGS, ACK, 0, &[])).await;
        }
        if kind == HEADERS {
            self.fields = fields(&payload, &mut self.table);
        }
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    async fn answer2(&mut self, stream: u32) -> Seen {
        let (mut status, mut length, mut body, mut heads) = (0, None, Vec::new(), 0);
        let end = loop {
            let Some(frame) = self.frame().await else { break End::Closed };
            if frame.kind == GOAWAY {
                break End::Closed;
            }
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                HEADERS => {
                    heads += 1;
                    for (name, value) in std::mem::take(&mut self.fields) {
                        match name {
                            8 => status = value.parse().expect("a status"),
                            28 => length = Some(value),
                            _ => {}
                        }
                    }
                    if (100..200).contains(&status) {
                        heads = 0;
                    }
                }
                DATA => body.extend(&frame.payload),
                RST_STREAM => {
                    break End::Reset(u32::from_be_bytes(frame.payload[..4].try_into().expect("a code")));
                }
                _ => {}
            }
            if frame.flags & END_STREAM != 0 && matches!(frame.kind, HEADERS | DATA) {
                break End::Whole;
            }
        };
        let body = String::from_utf8(body).expect("a text");
        Seen { status, length, head: String::new(), body, trailers: heads > 1, end }
    }
}

/// The fields of a block, by the static index of their name (zero: another name); values that are digits are read.
fn fields(mut block: &[u8], table: &mut Vec<(usize, String)>) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    while let Some(&first) = block.first() {
        let (bits, indexed, has_name) = match first {
            0x80.. => (7, true, true),
            0x40.. => (6, false, first != 0x40),
            0x20.. => {
                number(&mut block, 5);
                continue;
            }
            _ => (4, false, first & 0x0f != 0),
        };
        let mut index = number(&mut block, bits);
        let known = index.checked_sub(62).map(|at| table[at].clone());
        if indexed {
            if let Some(field) = known {
                all.push(field);
                continue;
            }
            let status = [200, 204, 206, 304, 400, 404, 500];
            let value = index.checked_sub(8).and_then(|at| status.get(at));
            all.push((
                if value.is_some() { 8 } else { index },
                value.map(u16::to_string).unwrap_or_default(),
            ));
            continue;
        }
        if !has_name {
            text(&mut block);
        }
        if let Some((name, _)) = known {
            index = name;
        }
        let field = (index, text(&mut block));
        if bits == 6 {
            table.insert(0, field.clone());
        }
        all.push(field);
    }
    all
}

fn number(block: &mut &[u8], bits: u32) -> usize {
    let most = (1_usize << bits) - 1;
    let mut value = usize::from(block[0]) & most;
    *block = &block[1..];
    if value == most {
        for shift in (0..).step_by(7) {
            let byte = usize::from(block[0]);
            *block = &block[1..];
            value += (byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
    }
    value
}

/// A text; of a compressed one the digits at its beginning.
fn text(block: &mut &[u8]) -> String {
    let compressed = block[0] & 0x80 != 0;
    let length = number(block, 7);
    let (bytes, rest) = block.split_at(length);
    *block = rest;
    if !compressed {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let value = |bits: &[u8]| bits.iter().fold(0, |value, bit| value << 1 | bit);
    let (mut at, mut digits) = (0, String::new());
    while at + 5 <= bits.len() {
        let (five, six) = (value(&bits[at..at + 5]), bits.get(at..at + 6).map(value));
        match (five, six) {
            (0..=2, _) => digits.push(char::from(b'0' + five)),
            (_, Some(six @ 25..=31)) => digits.push(char::from(b'3' + six - 25)),
            _ => break,
        }
        at += if five <= 2 { 5 } else { 6 };
    }
    digits
}
