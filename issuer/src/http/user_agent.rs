//! The header `User-Agent`, as a session's row keeps it.

use hyper::header::{HeaderMap, USER_AGENT};

/// The most bytes that are kept.
const MAX_BYTES: usize = 256;

/// Returns the printable ASCII characters of the header; `None` if there are none. Others could change
/// how a list of sessions is shown.
pub(super) fn user_agent(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(USER_AGENT)?.as_bytes();
    let is_printable = |byte: &&u8| byte.is_ascii_graphic() || **byte == b' ';
    let printable = header.iter().filter(is_printable).take(MAX_BYTES);
    let text = printable.map(|byte| char::from(*byte)).collect::<String>();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn a_user_agent_is_bounded_and_printable() {
        let long = "x".repeat(300);
        let cases: [(&[u8], Option<&str>); 6] = [
            (b"Mozilla/5.0 (X11; Linux x86_64)", Some("Mozilla/5.0 (X11; Linux x86_64)")),
            (b"a\tb\x80\xe2\x80\xaec", Some("abc")),
            (b"", None),
            (b"   ", None),
            (b"\xff", None),
            (long.as_bytes(), Some(&long[..256])),
        ];
        for (header, expected) in cases {
            let mut headers = HeaderMap::new();
            assert_eq!(user_agent(&headers), None);
            headers.insert(USER_AGENT, HeaderValue::from_bytes(header).unwrap());
            assert_eq!(user_agent(&headers).as_deref(), expected);
        }
    }
}
