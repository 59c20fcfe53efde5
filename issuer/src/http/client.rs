//! The credentials of a confidential client in a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Call;
use super::authorization::with_scheme;
use super::form::{Form, decode};
use super::reply::ApiError;
use crate::clients::Client;
use crate::service::{ClientCredentials, Issuer};

/// Returns the client that the request has credentials of, if it has any. Refuses wrong credentials
/// (RFC 6749 §5.2), also where none are needed.
pub(super) async fn authenticated(
    issuer: &Issuer,
    call: &Call,
    form: &Form,
) -> Result<Option<Client>, ApiError> {
    if with_scheme(call, "basic").next().is_none() && form.get("client_secret").is_none() {
        return Ok(None);
    }
    Ok(Some(issuer.authenticate_client(credentials(call, form)?).await?))
}

/// Reads the credentials of the client (RFC 6749 §2.3.1): from the scheme Basic, or from
/// `client_id` and `client_secret` in the form.
pub(super) fn credentials(call: &Call, form: &Form) -> Result<ClientCredentials, ApiError> {
    let mut basics = with_scheme(call, "basic");
    let Some(header) = basics.next() else {
        let (id, secret) = (form.get("client_id"), form.get("client_secret"));
        let (id, secret) = id.zip(secret).ok_or_else(ApiError::no_credentials)?;
        return Ok(ClientCredentials { id: id.to_owned(), secret: secret.to_owned() });
    };
    // RFC 6749 §2.3 allows only one method in each request.
    if basics.next().is_some() || form.get("client_secret").is_some() {
        return Err(ApiError::invalid_request("the client authenticates in two ways; use one"));
    }
    let (id, secret) = basic(header).ok_or_else(ApiError::invalid_client)?;
    if form.get("client_id").is_some_and(|other| other != id) {
        return Err(ApiError::invalid_request("client_id is not the client that authenticates"));
    }
    Ok(ClientCredentials { id, secret })
}

/// Decodes the scheme Basic (RFC 7617). Inside it, the id and the secret are each encoded as in a
/// form (RFC 6749 §2.3.1).
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
