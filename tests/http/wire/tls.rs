//! TLS: handshakes under the clock, off the accept loop, and the protocol by ALPN.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyrt::net::{TcpListener, TcpStream};
use anyrt::sync::Event;
use anyrt_http::{App, Error, Limits, Tls, rustls};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, ServerName};
use futures_util::{AsyncReadExt, AsyncWriteExt};

use super::frames;
use crate::client::{Client, Server, soon};

const SHORT: Duration = Duration::from_millis(40);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A certificate for `localhost` with its key; and the certificate alone.
pub(crate) fn pair() -> (Tls, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let certificate = made.cert.pem();
    let tls = Tls::from_pem(certificate.as_bytes(), made.signing_key.serialize_pem().as_bytes());
    (tls.expect("they belong together"), certificate)
}

/// A connection with its handshake done, of a client that trusts this certificate.
pub(crate) async fn connect(
    address: SocketAddr,
    certificate: &str,
    protocols: &[&str],
) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    roots.add(certificate).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let connected = async {
        loop {
            match TcpStream::connect(address).await {
                Ok(stream) => return stream,
                Err(_) => anyrt::sleep(Duration::from_millis(1)).await,
            }
        }
    };
    let stream = soon(connected).await;
    let name = ServerName::try_from("localhost").expect("a name");
    soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await.expect("a handshake")
}

struct Secure {
    server: Server,
    plain: SocketAddr,
    certificate: String,
}

impl Secure {
    /// A server with a listener that speaks TLS, and one that does not.
    async fn start(change: impl FnOnce(&mut Limits)) -> Secure {
        let (tls, certificate) = pair();
        let mut limits = Limits::default();
        change(&mut limits);
        let app = App::new()
            .limits(limits)
            .get("/", async || "in secret")
            .get("/big", async || "x".repeat(300_000));
        let other = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let plain = other.local_addr().expect("an address");
        let server = Server::serving(async move |listener, stop| {
            let server = app.server().listener(other).listener(listener).tls(tls);
            server.until(stop).serve().await.map(drop)
        })
        .await;
        Secure { server, plain, certificate }
    }

    async fn connect(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        connect(self.server.address, &self.certificate, protocols).await
    }
}

async fn answer(mut stream: TlsStream<TcpStream>, request: &[u8]) -> String {
    stream.write_all(request).await.expect("sent");
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.expect("an answer, and a proper end");
    answer
}

#[anyrt::test]
async fn a_request_is_answered_over_tls() {
    let secure = Secure::start(|_| {}).await;
    for protocols in [&["http/1.1"][..], &[]] {
        let answer = answer(secure.connect(protocols).await, GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("in secret"), "{answer}");
    }
    let big = String::from_utf8_lossy(GET).replace("/ ", "/big ");
    assert!(answer(secure.connect(&[]).await, big.as_bytes()).await.ends_with(&"x".repeat(300_000)));
    let mut plain = Client::connect(secure.plain).await;
    plain.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(plain.reply().await.body, "in secret");
    secure.server.stop().await;
}

/// Reads to the end, which must be one that TLS knows of.
async fn ends_properly(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut read = Vec::new();
    soon(stream.read_to_end(&mut read)).await.expect("a proper end");
    read
}

#[anyrt::test]
async fn a_connection_that_is_closed_says_goodbye() {
    let short =
        |limits: &mut Limits| (limits.idle, limits.head, limits.first_byte) = (SHORT, 20 * SHORT, 20 * SHORT);
    let secure = Secure::start(short).await;
    // Idle after an answer; idle before the first; of both protocols.
    let mut stream = secure.connect(&["http/1.1"]).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    assert!(ends_properly(&mut stream).await.ends_with(b"in secret"));
    for protocols in [&["http/1.1"][..], &[], &["h2"]] {
        let mut stream = secure.connect(protocols).await;
        if protocols == ["h2"] {
            let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            let hello = [hello, frames::frame(frames::SETTINGS, 0, 0, &[])].concat();
            stream.write_all(&hello).await.expect("sent");
        }
        ends_properly(&mut stream).await;
    }
    // What cannot be parsed, and what leaves a body unread.
    for request in ["nonsense\r\n\r\n", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"] {
        let mut stream = secure.connect(&["http/1.1"]).await;
        stream.write_all(request.as_bytes()).await.expect("sent");
        assert!(ends_properly(&mut stream).await.starts_with(b"HTTP/1.1 40"), "{request}");
    }
    secure.server.stop().await;
}

#[anyrt::test]
async fn an_answer_that_breaks_off_says_no_goodbye() {
    let (tls, certificate) = pair();
    let app = App::new().get("/", async || {
        let pieces = [Ok("piece"), Err(std::io::Error::other("no more"))];
        anyrt_http::Streaming::new(futures_util::stream::iter(pieces))
    });
    let server = Server::serving(async move |listener, stop| {
        app.server().listener(listener).tls(tls).until(stop).serve().await.map(drop)
    })
    .await;
    let mut stream = connect(server.address, &certificate, &["http/1.1"]).await;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("sent");
    let error = soon(stream.read_to_end(&mut Vec::new())).await.expect_err("it must not look whole");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    server.stop().await;
}

#[anyrt::test]
async fn http2_is_agreed_on_by_alpn() {
    let secure = Secure::start(|_| {}).await;
    let mut stream = secure.connect(&["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let hello =
        [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frames::frame(frames::SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&[hello, frames::get(1, "/")].concat()).await.expect("sent");
    let mut body = Vec::new();
    while body.is_empty() {
        let mut header = [0; 9];
        soon(stream.read_exact(&mut header)).await.expect("a frame");
        let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
        soon(stream.read_exact(&mut payload)).await.expect("a frame");
        if header[3] == frames::DATA {
            body = payload;
        }
    }
    assert_eq!(body, b"in secret");
    drop(stream);
    secure.server.stop().await;
}

#[anyrt::test]
async fn h19_a_handshake_that_stalls_is_closed_and_makes_room() {
    // Only one handshake at a time, and this client never ends its own.
    let secure = Secure::start(|limits| (limits.handshake, limits.handshakes) = (20 * SHORT, 1)).await;
    let mut stalled = secure.server.connect().await;
    stalled.send("\x16\x03\x01").await;
    assert!(stalled.closed_after_all().await);
    assert!(answer(secure.connect(&[]).await, GET).await.ends_with("in secret"));
    secure.server.stop().await;
}

#[anyrt::test]
async fn h19_stalled_handshakes_do_not_stop_the_accept_loop() {
    let secure = Secure::start(|limits| limits.handshakes = 64).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut client = secure.server.connect().await;
        client.send("\x16\x03\x01").await;
        stalled.push(client);
    }
    assert!(answer(secure.connect(&[]).await, GET).await.ends_with("in secret"));
    drop(stalled);
    secure.server.stop().await;
}

#[anyrt::test]
async fn h1_a_client_that_sends_nothing_is_closed_before_its_handshake() {
    let secure = Secure::start(|limits| limits.first_byte = SHORT).await;
    assert!(secure.server.connect().await.closed().await);
    secure.server.stop().await;
}

#[anyrt::test]
async fn h2_the_clock_of_the_head_counts_the_handshake() {
    let secure = Secure::start(|limits| limits.head = 4 * SHORT).await;
    let mut stream = secure.connect(&[]).await;
    stream.write_all(b"GET / HTTP/1.1\r\nX-Drips: ").await.expect("sent");
    let drips = async {
        while stream.write_all(b"x").await.is_ok() {
            anyrt::sleep(SHORT / 8).await;
        }
    };
    soon(drips).await;
    secure.server.stop().await;
}

#[anyrt::test]
async fn what_is_no_tls_harms_nobody() {
    let secure = Secure::start(|_| {}).await;
    let mut plain = secure.server.connect().await;
    plain.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert!(plain.closed_after_all().await);
    assert!(answer(secure.connect(&[]).await, GET).await.ends_with("in secret"));
    secure.server.stop().await;
}

#[anyrt::test]
async fn h9_a_client_that_leaves_cancels_its_handler_under_tls_too() {
    let (tls, certificate) = pair();
    let (begun, cleaned_up) = (Event::new(), Event::new());
    let app = App::new().get("/", {
        let (begun, cleaned_up) = (begun.clone(), cleaned_up.clone());
        move || {
            let (begun, cleaned_up) = (begun.clone(), cleaned_up.clone());
            let work = async move {
                begun.set();
                std::future::pending::<&str>().await
            };
            async move { anyrt::finally(work, async move |_| cleaned_up.set()).await }
        }
    });
    let server = Server::serving(async move |listener, stop| {
        app.server().listener(listener).tls(tls).until(stop).serve().await.map(drop)
    })
    .await;
    let plain = server.address;
    let secure = Secure { server, plain, certificate };
    let mut stream = secure.connect(&[]).await;
    stream.write_all(GET).await.expect("sent");
    soon(begun.wait()).await;
    drop(stream);
    soon(cleaned_up.wait()).await;
    secure.server.stop().await;
}

#[test]
fn what_is_no_certificate_is_an_error_that_says_so() {
    let error = |certificate: &str, key: &str| match Tls::from_pem(certificate.as_bytes(), key.as_bytes()) {
        Err(Error::Tls { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert!(error("", "").contains("no certificate"));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    assert!(error(&made.cert.pem(), "").contains("private key"));
    assert!(!error(&made.cert.pem(), &other.signing_key.serialize_pem()).is_empty());
    let missing = Tls::from_pem_files("/nowhere", "/nowhere").expect_err("there is no such file");
    assert!(missing.to_string().contains("/nowhere"));
}
