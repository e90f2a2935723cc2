//! Which paths a route can have: only paths that a request can come with.
//!
//! What matches does not depend on the version of the router underneath: what only some of them take is refused here.

use std::fmt::Write as _;

use http::Uri;
use http::uri::PathAndQuery;

/// Why no request has such a path, and what to write in its place.
pub(crate) fn check(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err("a path starts with `/`".to_owned());
    }
    for segment in path.split('/') {
        if [".", ".."].contains(&segment) {
            return Err(
                "clients resolve `.` and `..` before they ask: write the path without them".to_owned()
            );
        }
        let parameter = segment.find('{').and_then(|open| Some((open, open + segment[open..].find('}')?)));
        if let Some((open, close)) = parameter
            && !segment[open..].starts_with("{{")
            && close + 1 < segment.len()
        {
            let (before, after) = (&segment[..=close], &segment[close + 1..]);
            return Err(format!(
                "a parameter goes to the end of its segment: write `{before}`, and take `{after}` off in the handler"
            ));
        }
    }
    match instead(path) {
        wanted if wanted == path => Ok(()),
        wanted => Err(format!("no request has such a path: write `{wanted}`")),
    }
}

/// The path as requests have it: literals encoded as clients encode them, parameters in braces.
fn instead(path: &str) -> String {
    let mut wanted = String::with_capacity(path.len());
    for (place, segment) in path.split('/').enumerate() {
        if place > 0 {
            wanted.push('/');
        }
        match segment.as_bytes() {
            [b':', _, ..] => drop(write!(wanted, "{{{}}}", &segment[1..])),
            [b'*', _, ..] => drop(write!(wanted, "{{{segment}}}")),
            _ => literals(segment, &mut wanted),
        }
    }
    wanted
}

fn literals(segment: &str, wanted: &mut String) {
    let mut rest = segment;
    while let Some(first) = rest.chars().next() {
        let parameter = rest.starts_with('{') && !rest.starts_with("{{");
        if let (true, Some(close)) = (parameter, rest.find('}')) {
            wanted.push_str(&rest[..=close]);
            rest = &rest[close + 1..];
            continue;
        }
        if let Some(byte) = encoded(rest.as_bytes()) {
            push(byte, wanted);
            rest = &rest[3..];
            continue;
        }
        // An escaped brace is one.
        let twice = rest.starts_with("{{") || rest.starts_with("}}");
        let mut utf8 = [0; 4];
        for byte in first.encode_utf8(&mut utf8).bytes() {
            if is_sent_as_it_is(byte) { wanted.push(byte.into()) } else { percent(byte, wanted) }
        }
        rest = &rest[first.len_utf8() * (1 + usize::from(twice))..];
    }
}

/// The byte that an encoding at this place stands for.
fn encoded(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// What was encoded, in its normal form (RFC 3986, 6.2.2): plain where it need not be encoded, else in upper case.
fn push(byte: u8, path: &mut String) {
    if is_unreserved(byte) { path.push(byte.into()) } else { percent(byte, path) }
}

fn percent(byte: u8, path: &mut String) {
    // Writing to a text does not fail.
    let _ = write!(path, "%{byte:02X}");
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn is_sent_as_it_is(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}

/// The URI with its path in normal form, if it is another one: so that `/users/m%65` is `/users/me`, and no literal route
/// is passed by.
pub(crate) fn normal_form(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !path.as_bytes().contains(&b'%') {
        return None;
    }
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        normal.push_str(&rest[..at]);
        rest = &rest[at..];
        match encoded(rest.as_bytes()) {
            // Clients resolve dots before they ask: dots that are hidden mean something else.
            Some(b'.') | None => {
                normal.push('%');
                rest = &rest[1..];
            }
            Some(byte) => {
                push(byte, &mut normal);
                rest = &rest[3..];
            }
        }
    }
    normal.push_str(rest);
    if normal == path {
        return None;
    }
    if let Some(query) = uri.query() {
        normal = normal + "?" + query;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(normal).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::{check, normal_form};

    #[test]
    fn a_path_that_no_request_has_is_refused_with_one_that_requests_have() {
        for (path, wanted) in [
            ("/café", "/caf%C3%A9"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/two words", "/two%20words"),
            ("/100%", "/100%25"),
            ("/a|b", "/a%7Cb"),
            ("/q?", "/q%3F"),
            ("/m%65", "/me"),
            ("/x/:id", "/x/{id}"),
            ("/x/*rest", "/x/{*rest}"),
            ("/{{x}}", "/%7Bx%7D"),
            ("/{id}/é", "/{id}/%C3%A9"),
        ] {
            let refused = check(path).expect_err(path);
            assert_eq!(refused, format!("no request has such a path: write `{wanted}`"));
            assert_eq!(check(wanted), Ok(()), "{wanted}");
        }
        for path in ["/", "/a/{b}/v{c}", "/{*rest}", "/items/{id}/@me", "/a:b", "/x/%2F", "/~u/a-b_c.d"] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn what_only_some_routers_take_is_refused() {
        assert!(check("/{a}.json").expect_err("a suffix").contains("write `{a}`"));
        assert!(check("/{a}-{b}").expect_err("two in one segment").contains("write `{a}`"));
        for path in ["/./a", "/a/..", "a", ""] {
            assert!(check(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_path_has_one_normal_form() {
        let normal = |uri: &str| normal_form(&uri.parse().expect("a URI")).map(|uri| uri.to_string());
        assert_eq!(normal("/users/m%65?x=%65").as_deref(), Some("/users/me?x=%65"));
        assert_eq!(normal("/caf%c3%A9").as_deref(), Some("/caf%C3%A9"));
        assert_eq!(normal("http://host/%7eu").as_deref(), Some("http://host/~u"));
        for same in ["/plain", "/a%2Fb", "/%2e%2e/x", "/100%", "/%zz", "/caf%C3%A9"] {
            assert_eq!(normal(same), None, "{same}");
        }
    }
}
