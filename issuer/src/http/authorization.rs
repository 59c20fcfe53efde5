//! The header `Authorization`. A page may send its access token along, and a proxy its own
//! credentials: each endpoint reads the scheme that it knows.

use hyper::header::{AUTHORIZATION, HeaderValue};

use super::Call;

/// Returns the values of `Authorization` with this scheme, in lower case.
pub(super) fn with_scheme<'a>(
    call: &'a Call,
    scheme: &'a str,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let headers = call.headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    headers.filter(move |header| {
        let found = header.split(|byte| *byte == b' ').next().unwrap_or_default();
        found.eq_ignore_ascii_case(scheme.as_bytes())
    })
}
