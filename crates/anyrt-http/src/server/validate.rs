//! What a request must be before anything of ours looks at it: hyper parses, this decides what is
//! refused although it can be parsed.

use axum_core::response::Response;
use http::header::{CONNECTION, COOKIE, EXPECT, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Request, StatusCode, Version};

use crate::base::limits::Limits;
use crate::response::problem::detail;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// The answer to a request that is refused, if it is. After it the connection is closed: what follows
/// on it may not be what it seems.
///
/// A target with an authority (absolute form) says to which host the request goes: it takes the place
/// of `Host` (RFC 9112, 3.2.2).
pub(crate) fn refuse<B>(request: &mut Request<B>, limits: &Limits) -> Option<Response> {
    let (status, text) = match look(request, limits) {
        Ok(()) => return None,
        Err(Refusal::LongTarget) => (StatusCode::URI_TOO_LONG, "URI Too Long"),
        Err(Refusal::ManyHeaders) => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request has too many header lines")
        }
        Err(Refusal::Host) => (StatusCode::BAD_REQUEST, "a request has one valid `Host`"),
        Err(Refusal::Coding) => (StatusCode::NOT_IMPLEMENTED, "the only transfer coding is `chunked`"),
        Err(Refusal::Expectation) => {
            (StatusCode::EXPECTATION_FAILED, "the only expectation is `100-continue`")
        }
    };
    let mut response = detail(status, text);
    if request.version() < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, CLOSE);
    }
    Some(response)
}

#[derive(Debug, PartialEq)]
enum Refusal {
    LongTarget,
    ManyHeaders,
    Host,
    Coding,
    Expectation,
}

fn look<B>(request: &mut Request<B>, limits: &Limits) -> Result<(), Refusal> {
    if request.uri().path_and_query().is_some_and(|whole| whole.as_str().len() > limits.uri) {
        return Err(Refusal::LongTarget);
    }
    if request.version() >= Version::HTTP_2 {
        // Of HTTP/1 the parser counts them.
        if request.headers().len() > limits.headers {
            return Err(Refusal::ManyHeaders);
        }
        join_cookies(request.headers_mut());
    }
    let hosts = headers(request.headers())?;
    if hosts == 0 && request.version() == Version::HTTP_11 {
        return Err(Refusal::Host);
    }
    if let Some(authority) = request.uri().authority() {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        if request.headers().get(HOST).is_none_or(|given| given != host) {
            let host = HeaderValue::from_str(host).map_err(|_| Refusal::Host)?;
            request.headers_mut().insert(HOST, host);
        }
    }
    Ok(())
}

/// HTTP/2 may split the one line of cookies, so that it is compressed better (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut whole = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        whole.extend(b"; ");
        whole.extend(crumb.as_bytes());
    }
    // What was a value in pieces is one as a whole.
    if let Ok(whole) = HeaderValue::from_bytes(&whole) {
        headers.insert(COOKIE, whole);
    }
}

/// One walk along the lines; how many of them are `Host`.
fn headers(headers: &HeaderMap) -> Result<usize, Refusal> {
    let mut hosts = 0;
    for (name, value) in headers {
        if name == HOST {
            hosts += 1;
            if hosts > 1 || !value.as_bytes().iter().all(|byte| of_a_host(*byte)) {
                return Err(Refusal::Host);
            }
        } else if name == TRANSFER_ENCODING {
            if !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::Coding);
            }
        } else if name == EXPECT && !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::Expectation);
        }
    }
    Ok(hosts)
}

/// RFC 3986's `host [":" port]`; it may be empty.
fn of_a_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use http::{HeaderMap, Request};

    use super::{Refusal, join_cookies, look};
    use crate::base::limits::Limits;

    fn looked(target: &str, headers: &[(&str, &str)]) -> Result<String, Refusal> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).expect("a request");
        look(&mut request, &Limits { uri: 20, ..Limits::default() })?;
        Ok(request.headers()["host"].to_str().expect("a text").to_owned())
    }

    #[test]
    fn a_request_has_one_valid_host() {
        assert_eq!(looked("/", &[("host", "a:80")]).as_deref(), Ok("a:80"));
        assert_eq!(looked("/", &[("host", "")]).as_deref(), Ok(""));
        assert_eq!(looked("/", &[("host", "[::1]:80")]).as_deref(), Ok("[::1]:80"));
        assert_eq!(looked("/", &[]), Err(Refusal::Host));
        assert_eq!(looked("/", &[("host", "a"), ("host", "a")]), Err(Refusal::Host));
        for wrong in ["a b", "a/b", "a@b", "a\"b"] {
            assert_eq!(looked("/", &[("host", wrong)]), Err(Refusal::Host), "{wrong}");
        }
    }

    #[test]
    fn cookies_in_pieces_are_one_line() {
        let joined = |pieces: &[&str]| {
            let mut headers = HeaderMap::new();
            for piece in pieces {
                headers.append(COOKIE, piece.parse().expect("a value"));
            }
            join_cookies(&mut headers);
            let lines = headers.get_all(COOKIE).iter();
            lines.map(|line| line.to_str().expect("a text").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(joined(&["a=1", "b=2", "c=3"]), ["a=1; b=2; c=3"]);
        assert_eq!(joined(&["a=1; b=2"]), ["a=1; b=2"]);
        assert_eq!(joined(&[]), [""; 0]);
    }

    #[test]
    fn the_authority_of_the_target_takes_the_place_of_host() {
        assert_eq!(looked("http://b:1/", &[("host", "a")]).as_deref(), Ok("b:1"));
        assert_eq!(looked("http://user@b/", &[("host", "b")]).as_deref(), Ok("b"));
    }

    #[test]
    fn what_cannot_be_met_is_refused() {
        let with = |name, value| looked("/", &[("host", "a"), (name, value)]).map(drop);
        assert_eq!(with("transfer-encoding", "Chunked"), Ok(()));
        assert_eq!(with("transfer-encoding", "gzip, chunked"), Err(Refusal::Coding));
        assert_eq!(with("expect", "100-Continue"), Ok(()));
        assert_eq!(with("expect", "bogus"), Err(Refusal::Expectation));
        assert_eq!(looked("/34567890123456789?1", &[("host", "a")]).map(drop), Ok(()));
        assert_eq!(looked("/34567890123456789?12", &[("host", "a")]), Err(Refusal::LongTarget));
    }
}
