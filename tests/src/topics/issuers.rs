//! Tokens of the issuers in `docs/issuers.md`. The payloads have the shapes that the issuers
//! document, with other names, and are signed with the keys of these tests.

mod identity;
mod self_hosted;
mod services;
mod workloads;

use serde_json::Value;

use super::Keys;
use crate::token::signed;
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    [
        services::vectors(keys),
        identity::vectors(keys),
        workloads::vectors(keys),
        self_hosted::vectors(keys),
    ]
    .concat()
}

/// A header without `typ`.
const UNTYPED: &str = r#"{"kid":"main","alg":"RS256"}"#;

/// A header with the `typ` of most issuers.
const JWT: &str = r#"{"alg":"RS256","typ":"JWT","kid":"main"}"#;

/// Returns a function that makes the vectors of one section of the page. The options are those of
/// the section. The header and the payload are JSON text, which may have line breaks.
fn section<'a>(
    keys: &'a Keys,
    title: &'a str,
    options: &'a Value,
) -> impl Fn(&str, &str, &str, &str) -> Vector + 'a {
    move |fact, header, payload, expect| {
        let payload: String = payload.lines().map(str::trim_start).collect();
        let token = signed(&keys.main, header, payload);
        let mut vector = keys.vector(&format!("{title}: {fact}"), token, expect);
        vector = vector.without_option("issuer").without_option("audience");
        let options = options.as_object().expect("the options of a section are an object");
        vector.options.extend(options.clone());
        vector
    }
}
