//! What a request must be before anything of ours looks at it: hyper parses, this decides what is
//! refused although it can be parsed.

use axum_core::response::Response;
use http::header::{CONNECTION, EXPECT, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Request, StatusCode, Version};

use crate::problem::detail;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// The answer to a request that is refused, if it is. After it the connection is closed: what follows
/// on it may not be what it seems.
///
/// A target with an authority (absolute form) says to which host the request goes: it takes the place
/// of `Host` (RFC 9112, 3.2.2).
pub(crate) fn refuse<B>(request: &mut Request<B>, target: usize) -> Option<Response> {
    let (status, text) = match look(request, target) {
        Ok(()) => return None,
        Err(Refusal::LongTarget) => (StatusCode::URI_TOO_LONG, "URI Too Long"),
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
    Host,
    Coding,
    Expectation,
}

fn look<B>(request: &mut Request<B>, target: usize) -> Result<(), Refusal> {
    if request.uri().path_and_query().is_some_and(|whole| whole.as_str().len() > target) {
        return Err(Refusal::LongTarget);
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
    use http::Request;

    use super::{Refusal, look};

    fn looked(target: &str, headers: &[(&str, &str)]) -> Result<String, Refusal> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).expect("a request");
        look(&mut request, 20)?;
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
