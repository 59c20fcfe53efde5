//! Tokens with status lists (draft-ietf-oauth-status-list).

use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use serde_json::{Map, Value};

use super::{
    Keys,
    status_examples::{EIGHT_BITS, FOUR_BITS, ONE_BIT, TWO_BITS},
};
use crate::object::Object;
use crate::status_vector::{StatusVector, URI};
use crate::token::{NOW, base64url, signed, signed_with};

pub(super) fn vectors(keys: &Keys) -> Vec<StatusVector> {
    [examples(keys), references(keys), tokens(keys), lists(keys), contents(keys)].concat()
}

/// A list of the draft: its name, the bits of a status, `lst`, and some indices with their statuses.
type Example = (&'static str, u8, &'static str, &'static [(u64, u8)]);

/// The lists of the draft.
fn examples(keys: &Keys) -> Vec<StatusVector> {
    let examples: [Example; 6] = [
        ("§4.1, one bit", 1, "eNrbuRgAAhcBXQ", &[(0, 1), (1, 0), (7, 1), (8, 1), (14, 0), (15, 1)]),
        (
            "§4.1, two bits",
            2,
            "eNo76fITAAPfAgc",
            &[(0, 1), (1, 2), (2, 0), (3, 3), (4, 0), (11, 3)],
        ),
        ("appendix C.1", 1, ONE_BIT, &[(0, 1), (1, 0), (1993, 1), (1_000_345, 1), (1_048_575, 0)]),
        ("appendix C.2", 2, TWO_BITS, &[(0, 1), (1993, 2), (159_495, 3), (159_496, 0)]),
        ("appendix C.3", 4, FOUR_BITS, &[(0, 1), (923_232, 8), (1_030_204, 14), (1_030_205, 15)]),
        (
            "appendix C.4",
            8,
            EIGHT_BITS,
            &[(233_478, 0), (52_451, 1), (152_133, 254), (19_535, 255)],
        ),
    ];
    let mut vectors = Vec::new();
    for (example, bits, lst, statuses) in examples {
        let list = list(keys, &claims().set("status_list", &status_list(&bits.to_string(), lst)));
        for &(idx, status) in statuses {
            let at = format!("{example}: index {idx}");
            let vector = |name: &str, expect| {
                on(keys, &format!("{at} has the status {status}{name}"), idx, &list, expect)
            };
            let expect = if status == 0 { "ok" } else { "token_revoked" };
            vectors.push(vector("", expect));
            if status > 1 {
                let others: Vec<u8> = (2..=255).filter(|other| *other != status).collect();
                vectors.push(vector(", which is named", "ok").accepting(&[status]));
                vectors.push(vector(", all others are named", "token_revoked").accepting(&others));
            }
        }
    }
    vectors
}

/// The claim `status` of a token.
fn references(keys: &Keys) -> Vec<StatusVector> {
    let reference =
        |idx: &str, uri: &str| format!(r#"{{"status_list":{{"idx":{idx},"uri":{uri}}}}}"#);
    let uri = format!("{URI:?}");
    let good = |idx: &str| reference(idx, &uri);
    let at = |url: &str| reference("1", &format!("{url:?}"));
    let cases = [
        ("a status with another mechanism alone", r#"{"other":{}}"#.into(), "ok"),
        ("a status that is empty", "{}".into(), "ok"),
        ("a status that is null", "null".into(), "claim_invalid"),
        ("a status that is a string", r#""valid""#.into(), "claim_invalid"),
        ("a status that is an array", "[]".into(), "claim_invalid"),
        ("a status_list that is null", r#"{"status_list":null}"#.into(), "claim_invalid"),
        ("a status_list that is a string", r#"{"status_list":"1"}"#.into(), "claim_invalid"),
        (
            "a status_list without idx",
            format!(r#"{{"status_list":{{"uri":{uri}}}}}"#),
            "claim_invalid",
        ),
        ("a status_list without uri", r#"{"status_list":{"idx":1}}"#.into(), "claim_invalid"),
        (
            "a status_list with more members",
            format!(r#"{{"status_list":{{"idx":1,"uri":{uri},"x":1}}}}"#),
            "ok",
        ),
        ("an idx that is negative", good("-1"), "claim_invalid"),
        ("an idx of -0", good("-0"), "ok"),
        ("an idx that is no whole number", good("1.5"), "claim_invalid"),
        ("an idx that is whole with a fraction", good("3.0"), "token_revoked"),
        ("an idx with an exponent", good("3e0"), "token_revoked"),
        ("an idx that is a string", good(r#""1""#), "claim_invalid"),
        ("an idx that is null", good("null"), "claim_invalid"),
        ("an idx that is true", good("true"), "claim_invalid"),
        ("an idx of 2⁵³", good("9007199254740992"), "claim_invalid"),
        ("an idx of 2⁵³ − 1, beyond the end", good("9007199254740991"), "status_unavailable"),
        ("an idx of 2³², beyond the end", good("4294967296"), "status_unavailable"),
        ("an idx of 1e400", good("1e400"), "claim_invalid"),
        ("the last idx of the list", good("127"), "ok"),
        ("an idx just beyond the end", good("128"), "status_unavailable"),
        ("a uri that is a number", reference("1", "1"), "claim_invalid"),
        ("a uri that is no URL", at("status/1"), "claim_invalid"),
        ("a uri of another origin", at("https://evil.example/status/1"), "claim_invalid"),
        ("a uri of another port", at("https://auth.example:8443/status/1"), "claim_invalid"),
        (
            "a uri of a longer host",
            at("https://auth.example.evil.example/status/1"),
            "claim_invalid",
        ),
        (
            "a uri with a user name",
            at("https://auth.example@evil.example/status/1"),
            "claim_invalid",
        ),
        ("a uri with http", at("http://auth.example/status/1"), "claim_invalid"),
        ("a uri of data", at("data:application/statuslist+jwt,"), "claim_invalid"),
        ("a uri that serves no list", at("https://auth.example/status/2"), "status_unavailable"),
    ];
    let list = list(keys, &claims());
    let mut vectors: Vec<StatusVector> = cases
        .into_iter()
        .map(|(name, status, expect)| {
            let token = token(keys, &Object::claims().set("status", &status));
            vector(keys, name, token, Some(&list), expect)
        })
        .collect();
    let without = token(keys, &Object::claims());
    vectors.extend([
        vector(keys, "a token without status", without.clone(), Some(&list), "ok"),
        vector(keys, "a token without the required status", without, Some(&list), "claim_missing")
            .option("required", true),
        vector(
            keys,
            "a token with another mechanism instead of the required one",
            token(keys, &Object::claims().set("status", r#"{"other":{}}"#)),
            Some(&list),
            "claim_missing",
        )
        .option("required", true),
        on(keys, "a token with the required status", 1, &list, "ok").option("required", true),
        on(keys, "a token whose list is not there", 1, &list, "status_unavailable").without_list(),
    ]);
    vectors
}

/// Tokens with an earlier fault.
fn tokens(keys: &Keys) -> Vec<StatusVector> {
    let revoked = |claims: Object| token(keys, &claims.set("status", &status_of(3)));
    let list = list(keys, &claims());
    let cases = [
        ("an expired token before its revocation", "exp", "1700000000", "token_expired"),
        ("a token of another issuer before its revocation", "iss", r#""x""#, "issuer_mismatch"),
        (
            "a token for another audience before its revocation",
            "aud",
            r#""x""#,
            "audience_mismatch",
        ),
    ];
    let vectors = cases.map(|(name, claim, value, expect)| {
        vector(keys, name, revoked(Object::claims().set(claim, value)), Some(&list), expect)
    });
    vectors.to_vec()
}

/// The list as a token: its header, its signature, its claims.
fn lists(keys: &Keys) -> Vec<StatusVector> {
    let refused = "status_unavailable";
    let with = |name: &str, raw: &str| list(keys, &claims().set(name, raw));
    let without = |name: &str| list(keys, &claims().without(name));
    let header = |header: Object| signed(&keys.main, header.text(), claims().text());
    let good = with("jti", "\"1\"");
    let (rest, signature) = good.rsplit_once('.').expect("a JWT has dots");
    let changed =
        format!("{rest}.{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..]);
    let cases = [
        ("a list with another sub", with("sub", r#""https://auth.example/status/2""#), refused),
        (
            "a list whose sub has another case",
            with("sub", r#""https://AUTH.example/status/1""#),
            refused,
        ),
        (
            "a list whose sub is an array",
            with("sub", r#"["https://auth.example/status/1"]"#),
            refused,
        ),
        ("a list without sub", without("sub"), refused),
        ("a list of another issuer", with("iss", r#""https://evil.example""#), refused),
        ("a list whose iss is a number", with("iss", "1"), refused),
        ("a list without iss", without("iss"), "ok"),
        ("a list without iat", without("iat"), refused),
        ("a list whose iat is a string", with("iat", r#""1700000000""#), refused),
        ("a list whose iat is -0", with("iat", "-0"), refused),
        ("a list whose iat is in milliseconds", with("iat", "1700000000000"), refused),
        ("a list whose iat is ahead of this clock", with("iat", "1700000101"), "ok"),
        ("a list with exp at exactly now", with("exp", "1700000100"), refused),
        ("a list with exp just after now", with("exp", "1700000100.5"), "ok"),
        ("a list whose exp is a string", with("exp", r#""1800000000""#), refused),
        ("a list whose exp is null", with("exp", "null"), refused),
        ("a list whose exp is 1e400", with("exp", "1e400"), refused),
        ("a list without exp", without("exp"), "ok"),
        ("a list with nbf at exactly now", with("nbf", "1700000100"), "ok"),
        ("a list with nbf after now", with("nbf", "1700000101"), refused),
        ("a list whose nbf is a string", with("nbf", r#""0""#), refused),
        ("a list without ttl", without("ttl"), "ok"),
        ("a list with a ttl of 0", with("ttl", "0"), refused),
        ("a list with a negative ttl", with("ttl", "-60"), refused),
        ("a list whose ttl is a string", with("ttl", r#""60""#), refused),
        ("a list with a ttl of a fraction", with("ttl", "0.5"), "ok"),
        ("a list with a ttl of 1e400", with("ttl", "1e400"), "ok"),
        (
            "a list with more claims",
            with("aggregation_uri", r#""https://auth.example/lists""#),
            "ok",
        ),
        (
            "a list with a claim twice",
            list(keys, &claims().add("sub", &format!("{URI:?}"))),
            refused,
        ),
        ("a list with the typ of access tokens", header(Object::header()), refused),
        ("a list without typ", header(header_of_lists().without("typ")), refused),
        (
            "a list whose typ is a media type",
            header(header_of_lists().set("typ", r#""application/statuslist+jwt""#)),
            "ok",
        ),
        ("a list with alg none", header(header_of_lists().set("alg", r#""none""#)), refused),
        ("a list with crit", header(header_of_lists().set("crit", r#"["x"]"#)), refused),
        ("a list with an unknown kid", header(header_of_lists().set("kid", r#""other""#)), refused),
        ("a list with a changed signature", changed, refused),
        (
            "a list signed by another key",
            signed(&keys.second, header_of_lists().text(), claims().text()),
            refused,
        ),
        (
            "a list without signature",
            signed_with(header_of_lists().text(), claims().text(), |_| vec![]),
            refused,
        ),
        ("a list that is JSON", claims().text(), refused),
        ("a list that is a page", "<!doctype html>".into(), refused),
        ("a list that is empty text", String::new(), refused),
        ("a list with a newline after it", format!("{good}\n"), refused),
    ];
    let mut vectors: Vec<StatusVector> =
        cases.into_iter().map(|(name, list, expect)| on(keys, name, 1, &list, expect)).collect();
    vectors.extend([
        on(keys, "a list that expired within the tolerance", 1, &with("exp", "1700000041"), "ok")
            .tolerant(),
        on(
            keys,
            "a list that expired before the tolerance",
            1,
            &with("exp", "1700000040"),
            refused,
        )
        .tolerant(),
        on(keys, "a list with nbf within the tolerance", 1, &with("nbf", "1700000160"), "ok")
            .tolerant(),
        on(keys, "a list with nbf after the tolerance", 1, &with("nbf", "1700000161"), refused)
            .tolerant(),
        on(keys, "a revoked token by a list without iss", 3, &without("iss"), "token_revoked"),
    ]);
    vectors
}

/// The claim `status_list`.
fn contents(keys: &Keys) -> Vec<StatusVector> {
    let refused = "status_unavailable";
    let zlib = |bytes: &[u8]| compress_to_vec_zlib(bytes, 9);
    let good = zlib(&bits());
    let lst = base64url(&good);
    let with = |raw: &str| list(keys, &claims().set("status_list", raw));
    let bits = |raw: &str| with(&status_list(raw, &lst));
    let text = |lst: &str| with(&status_list("1", lst));
    let octets = |octets: &[u8]| text(&base64url(octets));
    let changed = |at: usize| {
        let mut changed = good.clone();
        changed[at] ^= 1;
        changed
    };
    let (last, most) = (good.len() - 1, 2 * 1024 * 1024);
    let cases = [
        ("a list whose status_list is a string", with("\"1\""), refused),
        ("a list whose status_list is null", with("null"), refused),
        ("a list without status_list", list(keys, &claims().without("status_list")), refused),
        ("a list without bits", with(&format!(r#"{{"lst":"{lst}"}}"#)), refused),
        ("a list with 0 bits", bits("0"), refused),
        ("a list with 3 bits", bits("3"), refused),
        ("a list with 16 bits", bits("16"), refused),
        ("a list with -1 bits", bits("-1"), refused),
        ("a list whose bits are a string", bits("\"1\""), refused),
        ("a list whose bits are 1.0", bits("1.0"), "ok"),
        ("a list without lst", with(r#"{"bits":1}"#), refused),
        ("a list whose lst is an array", with(r#"{"bits":1,"lst":[]}"#), refused),
        ("a list whose lst is empty", text(""), refused),
        ("a list whose lst is padded", text(&format!("{lst}=")), refused),
        (
            "a list whose lst has another alphabet",
            text(&with_other_alphabet(&zlib(&[0xff; 16]))),
            refused,
        ),
        ("a list whose lst has a space", text(&format!("{lst} ")), refused),
        ("a list whose lst has unused bits", text(&with_unused_bits(&good)), refused),
        (
            "a list that is deflate without zlib",
            octets(&compress_to_vec(&self::bits(), 9)),
            refused,
        ),
        ("a list that is not compressed", octets(&self::bits()), refused),
        ("a list that lacks its checksum", octets(&good[..good.len() - 4]), refused),
        ("a list that is cut off", octets(&good[..good.len() - 6]), refused),
        ("a list of which two bytes are left", octets(&good[..2]), refused),
        ("a list with another checksum", octets(&changed(last)), refused),
        ("a list with another zlib header", octets(&changed(0)), refused),
        ("a list with a byte after it", octets(&[&good[..], &[0]].concat()), refused),
        ("a list of no statuses", octets(&zlib(&[])), refused),
        ("a list of 2 MiB", octets(&zlib(&vec![0; most])), "ok"),
        ("a list of a byte more than 2 MiB", octets(&zlib(&vec![0; most + 1])), refused),
        ("a list of 64 MiB", octets(&zlib(&vec![0; 32 * most])), refused),
    ];
    cases.into_iter().map(|(name, list, expect)| on(keys, name, 1, &list, expect)).collect()
}

/// A list of 128 sessions, of which that with the index 3 has ended.
fn bits() -> [u8; 16] {
    let mut bits = [0; 16];
    bits[0] = 1 << 3;
    bits
}

fn status_list(bits: &str, lst: &str) -> String {
    format!(r#"{{"bits":{bits},"lst":"{lst}"}}"#)
}

/// Returns base64 with a character that base64url lacks.
fn with_other_alphabet(octets: &[u8]) -> String {
    let text = base64url(octets);
    assert!(text.contains(['-', '_']), "{text}");
    text.replace('-', "+").replace('_', "/")
}

/// Returns base64url whose unused bits are not zero.
fn with_unused_bits(octets: &[u8]) -> String {
    let mut text = base64url(octets);
    assert!(octets.len() % 3 == 2 && text.ends_with('k'), "{text}");
    text.pop();
    text.push('l');
    text
}

/// The claims of a list with a good signature.
fn claims() -> Object {
    Object::default()
        .set("iss", r#""https://auth.example""#)
        .set("sub", &format!("{URI:?}"))
        .set("iat", "1700000000")
        .set("exp", "1700000900")
        .set("ttl", "60")
        .set("status_list", &status_list("1", &base64url(compress_to_vec_zlib(&bits(), 9))))
}

fn header_of_lists() -> Object {
    Object::header().set("typ", r#""statuslist+jwt""#)
}

fn list(keys: &Keys, claims: &Object) -> String {
    signed(&keys.main, header_of_lists().text(), claims.text())
}

fn token(keys: &Keys, claims: &Object) -> String {
    signed(&keys.main, Object::header().text(), claims.text())
}

fn status_of(idx: u64) -> String {
    format!(r#"{{"status_list":{{"idx":{idx},"uri":{URI:?}}}}}"#)
}

/// A good token with this index in a list.
fn on(keys: &Keys, name: &str, idx: u64, list: &str, expect: &str) -> StatusVector {
    let token = token(keys, &Object::claims().set("status", &status_of(idx)));
    vector(keys, name, token, Some(list), expect)
}

fn vector(
    keys: &Keys,
    name: &str,
    token: String,
    list: Option<&str>,
    expect: &str,
) -> StatusVector {
    let options = keys.good("", "").options;
    let (name, list, expect) = (name.into(), list.map(Into::into), expect.into());
    StatusVector { name, token, options, status: Map::new(), list, now: NOW, expect }
}

impl StatusVector {
    fn accepting(self, accepted: &[u8]) -> Self {
        self.option("accepted", accepted)
    }

    fn option(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.status.insert(name.into(), value.into());
        self
    }

    fn without_list(self) -> Self {
        Self { list: None, ..self }
    }

    fn tolerant(mut self) -> Self {
        self.options.insert("clockTolerance".into(), 60.into());
        self
    }
}
