//! The vectors, one module for each file, in the order of the verifier's stages.

mod accepted;
mod structure;

mod base64url;
mod json;

mod header;
mod key;
mod signature;

mod claims;
mod issuers;
mod options;
mod policy;

mod attacks;
mod stage_order;

mod status_examples;
mod status_lists;

use serde_json::{Map, Value, json};

use crate::object::Object;
use crate::rsa::RsaKey;
use crate::status_vector::StatusVector;
use crate::token::{NOW, signed};
use crate::vector::Vector;

/// Returns the name and the vectors of every file.
#[must_use]
pub fn all() -> Vec<(&'static str, Vec<Vector>)> {
    let keys = Keys::generate();
    vec![
        ("accepted.json", accepted::vectors(&keys)),
        ("structure.json", structure::vectors(&keys)),
        ("base64url.json", base64url::vectors(&keys)),
        ("json.json", json::vectors(&keys)),
        ("header.json", header::vectors(&keys)),
        ("key.json", key::vectors(&keys)),
        ("signature.json", signature::vectors(&keys)),
        ("claims.json", claims::vectors(&keys)),
        ("options.json", options::vectors(&keys)),
        ("policy.json", policy::vectors(&keys)),
        ("issuers.json", issuers::vectors(&keys)),
        ("stage_order.json", stage_order::vectors(&keys)),
        ("attacks.json", attacks::vectors(&keys)),
    ]
}

/// Returns the vectors of `tests/status_lists.json`.
#[must_use]
pub fn status_lists() -> Vec<StatusVector> {
    status_lists::vectors(&Keys::generate())
}

/// The keys that several files use.
struct Keys {
    /// 2048 bits, e = 65537: the key of the default options, under the id `main`.
    main: RsaKey,
    /// 2048 bits: a second key of the same issuer, or an attacker's.
    second: RsaKey,
    /// 2048 bits, e = 3: the exponent for which forged padding is easy.
    e3: RsaKey,
}

impl Keys {
    fn generate() -> Self {
        Self {
            main: RsaKey::generate("main", 2048, 65537),
            second: RsaKey::generate("second", 2048, 65537),
            e3: RsaKey::generate("e3", 2048, 3),
        }
    }

    /// Makes a vector with the default options: one issuer, one audience, the key `main`.
    fn vector(&self, name: &str, token: String, expect: &str) -> Vector {
        let jwks = json!({ "keys": [self.main.jwk("main")] });
        let options = [("issuer", json!("https://auth.example")), ("audience", json!("api"))];
        let mut options: Map<String, Value> =
            options.into_iter().map(|(name, value)| (name.into(), value)).collect();
        options.insert("jwks".into(), jwks);
        Vector { name: name.into(), token, options, now: NOW.into(), expect: expect.into() }
    }

    /// Makes a vector over a well-signed token with this header and these claims.
    fn signed(&self, name: &str, header: &Object, claims: &Object, expect: &str) -> Vector {
        self.vector(name, signed(&self.main, header.text(), claims.text()), expect)
    }

    /// Makes a vector over a well-signed token with this header.
    fn header(&self, name: &str, header: &Object, expect: &str) -> Vector {
        self.signed(name, header, &Object::claims(), expect)
    }

    /// Makes a vector over a well-signed token with these claims.
    fn claims(&self, name: &str, claims: &Object, expect: &str) -> Vector {
        self.signed(name, &Object::header(), claims, expect)
    }

    /// Makes a vector over the token that the default options accept.
    fn good(&self, name: &str, expect: &str) -> Vector {
        self.claims(name, &Object::claims(), expect)
    }
}

/// Sets the member `name` of `key` to `value`, or removes it if `value` is null.
fn jwk_with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
    let object = key.as_object_mut().expect("a JWK is an object");
    match value.into() {
        Value::Null => object.remove(name),
        value => object.insert(name.into(), value),
    };
    key
}
