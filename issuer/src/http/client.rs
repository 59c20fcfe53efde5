//! Confidential clients: who they are, and what shows it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::AUTHORIZATION;

use super::body::{Form, decode};
use super::reply::ApiError;
use super::{Call, Shared};
use crate::clients::Client;
use crate::crypto;

/// The client that the request comes from (RFC 6749 §2.3.1): by the scheme Basic, or by `client_id`
/// and `client_secret` in the form. Every way to fail has the same answer.
pub(super) async fn authenticate(
    state: &Shared,
    call: &Call,
    form: &Form,
) -> Result<Client, ApiError> {
    let (id, secret) = credentials(call, form)?;
    let client = state.store.client(id).await?;
    // Compared also where there is no such client: an answer that is sooner would tell.
    let expected = client.as_ref().map_or(&[0; 32][..], |client| &client.secret_hash);
    let given = crypto::sha256(secret.as_bytes());
    let good = verify_slices_are_equal(expected, &given).is_ok();
    client.filter(|client| good && !client.locked).ok_or_else(ApiError::invalid_client)
}

fn credentials(call: &Call, form: &Form) -> Result<(String, String), ApiError> {
    let mut headers = call.headers.get_all(AUTHORIZATION).iter();
    let Some(header) = headers.next() else {
        let (id, secret) = (form.get("client_id"), form.get("client_secret"));
        let (id, secret) = id.zip(secret).ok_or_else(ApiError::invalid_client)?;
        return Ok((id.to_owned(), secret.to_owned()));
    };
    // RFC 6749 §2.3: not more than one method in each request.
    if headers.next().is_some() || form.get("client_secret").is_some() {
        return Err(ApiError::invalid_request("the client authenticates in two ways; use one"));
    }
    let basic = basic(header.as_bytes()).ok_or_else(ApiError::invalid_client)?;
    if form.get("client_id").is_some_and(|id| id != basic.0) {
        return Err(ApiError::invalid_request("client_id is not the client that authenticates"));
    }
    Ok(basic)
}

/// The credentials of the scheme Basic (RFC 7617), in which OAuth encodes each part as in a form.
fn basic(header: &[u8]) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let pair = STANDARD.decode(encoded).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let (id, secret) = pair.split_at(colon);
    Some((decode(id)?, decode(secret.get(1..)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_scheme_basic_are_decoded_twice_and_nothing_else_is_taken_for_them() {
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        let cases = [
            ("Basic Y2xpZW50OnNlY3JldA==", pair("client", "secret")),
            ("bAsIc Y2xpZW50OnNlY3JldA==", pair("client", "secret")),
            // a%3Ab:c%2Bd+e
            ("Basic YSUzQWI6YyUyQmQrZQ==", pair("a:b", "c+d e")),
            // a:b:c
            ("Basic YTpiOmM=", pair("a", "b:c")),
            // :
            ("Basic Og==", pair("", "")),
            // client
            ("Basic Y2xpZW50", None),
            // a%:b
            ("Basic YSU6Yg==", None),
            ("Basic", None),
            ("Basic !", None),
            ("Bearer Y2xpZW50OnNlY3JldA==", None),
            ("", None),
        ];
        for (header, expected) in cases {
            assert_eq!(basic(header.as_bytes()), expected, "{header}");
        }
    }
}
