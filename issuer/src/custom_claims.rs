//! Custom claims: those that operators give a user or a client, for its access tokens. They are
//! members of the token, as RFC 9068 §2.2.3 has `roles`, `groups` and `entitlements`.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The most bytes of the claims as compact JSON. With them, an access token still fits into the 8 KiB
/// that many servers take as a header.
const MAX_BYTES: usize = 4096;

/// The deepest nesting, the outermost object included. A verifier refuses a token with more.
const MAX_DEPTH: usize = 64;

/// The largest integer that JavaScript keeps exactly (RFC 7493 §2.2).
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Names with which a receiver decides who issued a token, to whom, for how long, for what, and after
/// which authentication. Registered names that describe a person or a program are free, such as
/// `email` and `roles`. In lower case.
const RESERVED: &[&str] = &[
    // RFC 7519 §4.1.
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    // RFC 9068 §2.2, and the other claims of this issuer.
    "client_id",
    "scope",
    "auth_time",
    "acr",
    "amr",
    "sid",
    "status",
    // Who acts for whom (RFC 8693, RFC 9493), for what (RFC 9396), and with which key (RFC 7800).
    "act",
    "may_act",
    "sub_id",
    "authorization_details",
    "cnf",
    // OpenID Connect, DPoP (RFC 9449), Vectors of Trust (RFC 8485), ACE (RFC 9200).
    "azp",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "sub_jwk",
    "_claim_names",
    "_claim_sources",
    "htm",
    "htu",
    "ath",
    "vot",
    "vtm",
    "ace_profile",
    "cnonce",
    "exi",
    // Security events (RFC 8417), selective disclosure (SD-JWT), and credentials.
    "events",
    "toe",
    "txn",
    "_sd",
    "_sd_alg",
    "sd_hash",
    "vct",
    "vc",
    "vp",
    // Answers of introspection (RFC 7662 §2.2, RFC 9701).
    "active",
    "token_type",
    "token_introspection",
];

/// Custom claims: a compact JSON object that has passed all checks, or an empty text for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CustomClaims(String);

impl CustomClaims {
    /// Reads a JSON object, as strictly as a verifier reads a token. The error says what is wrong and
    /// what was expected.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        if !json.trim_ascii_start().starts_with('{') {
            return Err("the claims are not a JSON object; expected one such as \
                        {\"roles\": [\"editor\"]}, or {} for none"
                .to_owned());
        }
        let members =
            serde_json::from_str(json).map_err(|e| format!("the claims are refused: {e}"));
        members.and_then(|Object(members)| Self::of(members))
    }

    fn of(members: Map<String, Value>) -> Result<Self, String> {
        // Some readers of JSON ignore the case of names, such as Go's and .NET's.
        let is_reserved =
            |name: &&String| RESERVED.contains(&caseless::default_case_fold_str(name).as_str());
        if let Some(name) = members.keys().find(is_reserved) {
            return Err(format!(
                "the claim {name:?} is reserved: receivers of a token act on it; use another name"
            ));
        }
        let is_empty = members.is_empty();
        let json = Value::Object(members).to_string();
        if json.len() > MAX_BYTES {
            return Err(format!(
                "the claims have {} bytes as compact JSON; expected at most {MAX_BYTES}",
                json.len()
            ));
        }
        Ok(Self(if is_empty { String::new() } else { json }))
    }

    /// Returns the claims that a database has.
    pub(crate) const fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Returns the text for the database.
    pub(crate) fn as_stored(&self) -> &str {
        &self.0
    }

    /// Returns a compact JSON object.
    pub(crate) fn as_json(&self) -> &str {
        if self.0.is_empty() { "{}" } else { &self.0 }
    }

    /// Returns the JSON object.
    pub(crate) fn to_value(&self) -> Value {
        serde_json::from_str(self.as_json()).unwrap_or_default()
    }

    /// Adds the claims to a JSON object that has other members.
    pub(crate) fn append_to(&self, object: &mut Vec<u8>) {
        if let Some(members) = self.0.strip_prefix('{') {
            object.pop();
            object.push(b',');
            object.extend_from_slice(members.as_bytes());
        }
    }
}

impl<'de> Deserialize<'de> for CustomClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Object(members) = Object::deserialize(deserializer)?;
        Self::of(members).map_err(de::Error::custom)
    }
}

/// A JSON object, read strictly.
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match (Strict { depth: 0 }).deserialize(deserializer)? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(de::Error::custom("expected a JSON object")),
        }
    }
}

/// Reads a value at a depth. Refuses everything that receivers of a token could understand in
/// different ways.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format!("more than {MAX_DEPTH} levels of objects and arrays")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        if value > MAX_INTEGER { Err(too_large()) } else { Ok(value.into()) }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > MAX_INTEGER { Err(too_large()) } else { Ok(value.into()) }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        if value.abs() > MAX_INTEGER as f64 { Err(too_large()) } else { Ok(value.into()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut read = Vec::new();
        while let Some(element) = elements.next_element_seed(deeper)? {
            read.push(element);
        }
        Ok(read.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut read = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name == "__proto__" {
                return Err(de::Error::custom("a member \"__proto__\", which verifiers refuse"));
            }
            if read.contains_key(&name) {
                return Err(de::Error::custom(format!("the member {name:?} is there twice")));
            }
            read.insert(name, members.next_value_seed(deeper)?);
        }
        Ok(read.into())
    }
}

fn too_large<E: de::Error>() -> E {
    E::custom(format!(
        "a number is beyond ±{MAX_INTEGER}, and JavaScript would change it; write it as a string"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_kept_as_compact_json() {
        let deepest = format!("{{\"a\":{}{}}}", "[".repeat(63), "]".repeat(63));
        for (json, expected) in [
            ("{}", "{}"),
            (" { } ", "{}"),
            ("{ \"roles\": [ \"editor\", \"é\\u00e9\\n\" ] }", r#"{"roles":["editor","éé\n"]}"#),
            (r#"{"b":null,"a":{"sub":true,"exp":{}}}"#, r#"{"a":{"exp":{},"sub":true},"b":null}"#),
            (
                r#"{"n":[0,-1,9007199254740991,-9007199254740991,0.1,1e3]}"#,
                r#"{"n":[0,-1,9007199254740991,-9007199254740991,0.1,1000.0]}"#,
            ),
            (
                r#"{"email":"a@b.example","groups":[],"roles":{},"subject":1,"":0}"#,
                r#"{"":0,"email":"a@b.example","groups":[],"roles":{},"subject":1}"#,
            ),
            (&deepest, &deepest),
        ] {
            let claims = CustomClaims::parse(json).unwrap();
            assert_eq!(claims.as_json(), expected);
            assert_eq!(CustomClaims::from_stored(claims.as_stored().to_owned()), claims);
            assert_eq!(serde_json::from_str::<CustomClaims>(json).unwrap(), claims);
        }
    }

    #[test]
    fn a_claim_that_could_be_taken_for_another_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
        let bottomless = format!("{{\"a\":{}", "[".repeat(100_000));
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(5 * 1024));
        for (json, reason) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("[{}]", "not a JSON object"),
            ("\"roles\"", "not a JSON object"),
            ("null", "not a JSON object"),
            ("\u{feff}{}", "not a JSON object"),
            ("{", "EOF"),
            ("{}{}", "trailing characters"),
            ("{'a':1}", "key must be a string"),
            (r#"{"a":1,}"#, "trailing comma"),
            (r#"{"a":01}"#, "invalid number"),
            (r#"{"a":NaN}"#, "expected"),
            (r#"{"a":"\ud800"}"#, "hex escape"),
            (r#"{"a":1,"a":1}"#, "the member \"a\" is there twice at line 1 column 10"),
            (r#"{"a":1,"\u0061":2}"#, "is there twice"),
            (r#"{"a":[{"b":1,"c":2,"b":3}]}"#, "is there twice"),
            (r#"{"__proto__":{}}"#, "__proto__"),
            (r#"{"a":[{"__proto__":1}]}"#, "__proto__"),
            (r#"{"a":9007199254740992}"#, "beyond ±9007199254740991"),
            (r#"{"a":[-9007199254740992]}"#, "beyond"),
            (r#"{"a":18446744073709551616}"#, "beyond"),
            (r#"{"a":1e300}"#, "beyond"),
            (r#"{"a":1e400}"#, "out of range"),
            (&deep, "more than 64 levels"),
            (&bottomless, "more than 64 levels"),
            (&long, "the claims have 5128 bytes as compact JSON; expected at most 4096"),
            (r#"{"sub":"user_y"}"#, "the claim \"sub\" is reserved"),
            (r#"{"a":1,"exp":0}"#, "\"exp\" is reserved"),
            (r#"{"e\u0078p":0}"#, "\"exp\" is reserved"),
            (r#"{"SUB":"user_y"}"#, "\"SUB\" is reserved"),
            (r#"{"ſub":"user_y"}"#, "is reserved"),
            (r#"{"Token_Type":""}"#, "is reserved"),
        ] {
            let refused = CustomClaims::parse(json).unwrap_err();
            assert!(refused.contains(reason), "{json:.40}: {refused}");
            assert!(serde_json::from_str::<CustomClaims>(json).is_err(), "{json:.40}");
        }
    }

    #[test]
    fn the_limit_counts_the_bytes_of_the_compact_json() {
        let text = |n| format!("{{ \"a\" : \"{}\" }}", "é".repeat(n));
        let full = CustomClaims::parse(&text(2044)).unwrap();
        assert_eq!(full.as_json().len(), MAX_BYTES);
        assert!(CustomClaims::parse(&text(2045)).unwrap_err().contains("4098 bytes"));
    }

    #[test]
    fn every_registered_claim_of_the_issuer_is_reserved() {
        use countersign_claims::{Audience, Claims, NumericDate, Status};
        let text = || Some(String::new());
        let time = Some(NumericDate::from_seconds(0));
        let all = Claims {
            iss: text(),
            sub: text(),
            aud: Some(Audience::Many(Vec::new())),
            client_id: text(),
            scope: text(),
            iat: time,
            nbf: time,
            exp: time,
            jti: text(),
            sid: text(),
            status: Some(Status::default()),
        };
        let Value::Object(all) = serde_json::to_value(all).unwrap() else { panic!() };
        for name in all.keys() {
            assert!(RESERVED.contains(&name.as_str()), "{name}");
        }
    }

    #[test]
    fn an_object_gets_the_claims_after_its_own_members() {
        for (claims, expected) in [
            ("{}", r#"{"iss":"x"}"#),
            (r#"{"roles":["a"],"z":{}}"#, r#"{"iss":"x","roles":["a"],"z":{}}"#),
        ] {
            let mut object = br#"{"iss":"x"}"#.to_vec();
            CustomClaims::parse(claims).unwrap().append_to(&mut object);
            assert_eq!(object, expected.as_bytes());
        }
    }
}
