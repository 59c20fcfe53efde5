//! The stored part of a passkey: its public key and the state of its authenticator.

use std::io::Cursor;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value;
use passki::AuthenticatorTransport;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The algorithms of passkeys (RFC 9053, RFC 8812): ES256, `EdDSA` with Ed25519, RS256.
pub(crate) const ALGORITHMS: [i32; 3] = [ES256, EDDSA, RS256];

const ES256: i32 = -7;
const EDDSA: i32 = -8;
const RS256: i32 = -257;

/// The bits of an RSA modulus.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// The credential record of WebAuthn §4, without the parts that nothing here uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Credential {
    pub(super) algorithm: i32,
    /// A `COSE_Key` (RFC 9052 §7).
    #[serde(serialize_with = "encode", deserialize_with = "decode")]
    pub(super) public_key: Vec<u8>,
    /// The signature counter of the last use; 0 if the authenticator does not count.
    pub(super) counter: u32,
    /// The passkey may be on several devices of its user.
    pub(super) backup_eligible: bool,
    /// The ways to reach the authenticator. Browsers use them to show the right dialogue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) transports: Vec<AuthenticatorTransport>,
}

impl Credential {
    /// Returns the credential after a use with this signature counter; `None` if the counter did not
    /// grow (WebAuthn §7.2, step 22). Authenticators that do not count send 0.
    pub(crate) fn after_use(&self, counter: u32) -> Option<Self> {
        let does_not_count = self.counter == 0 && counter == 0;
        let is_next = does_not_count || counter > self.counter;
        is_next.then(|| Self { counter, ..self.clone() })
    }

    /// Returns the bytes that the store keeps.
    pub(crate) fn to_stored(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the bytes of the store.
    pub(crate) fn from_stored(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

fn encode<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
}

fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    URL_SAFE_NO_PAD.decode(text).map_err(serde::de::Error::custom)
}

/// Returns true if a `COSE_Key` has exactly the parameters of its algorithm (WebAuthn §6.5.1.1), and is
/// a key that signatures can be verified with.
pub(super) fn is_sound_key(algorithm: i32, key: &[u8]) -> bool {
    let Some(Value::Map(key)) = read_whole(key) else { return false };
    let int = |label: i64| key.iter().find(|(name, _)| *name == Value::from(label));
    let value = |label| int(label).map(|(_, value)| value);
    let bytes = |label| value(label).and_then(Value::as_bytes).map(Vec::as_slice);
    let has = |label, expected: i64| value(label) == Some(&Value::from(expected));
    if !has(3, algorithm.into()) {
        return false;
    }
    match algorithm {
        // kty EC2, crv P-256, x, y (RFC 9053 §7.1.1).
        ES256 if key.len() == 5 && has(1, 2) && has(-1, 1) => {
            let (Some(x), Some(y)) = (bytes(-2), bytes(-3)) else { return false };
            x.len() == 32
                && y.len() == 32
                && parses(&ECDSA_P256_SHA256_ASN1, &[&[4], x, y].concat())
        }
        // kty OKP, crv Ed25519, x (RFC 9053 §7.2).
        EDDSA if key.len() == 4 && has(1, 1) && has(-1, 6) => {
            bytes(-2).is_some_and(|x| x.len() == 32 && parses(&ED25519, x))
        }
        // kty RSA, n, e (RFC 8230 §4).
        RS256 if key.len() == 4 && has(1, 3) => {
            let (Some(n), Some(e)) = (bytes(-1), bytes(-2)) else { return false };
            let is_odd = e.last().is_some_and(|last| last % 2 == 1) && e != [1];
            RSA_BITS.contains(&bits_of(n)) && is_odd && e.len() <= 4 && e.first() != Some(&0)
        }
        _ => false,
    }
}

fn parses(algorithm: &'static dyn VerificationAlgorithm, key: &[u8]) -> bool {
    ParsedPublicKey::new(algorithm, key).is_ok()
}

/// Returns the bits of an unsigned number without zeros before it; 0 for any other.
fn bits_of(number: &[u8]) -> usize {
    match number.first() {
        Some(0) | None => 0,
        Some(first) => number.len() * 8 - first.leading_zeros() as usize,
    }
}

/// Reads one CBOR item that nothing follows.
pub(super) fn read_whole(bytes: &[u8]) -> Option<Value> {
    let mut reader = Cursor::new(bytes);
    let value = ciborium::from_reader(&mut reader).ok()?;
    (reader.position() == bytes.len() as u64).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(counter: u32) -> Credential {
        Credential {
            algorithm: ES256,
            public_key: vec![0, 255],
            counter,
            backup_eligible: true,
            transports: vec![AuthenticatorTransport::Internal],
        }
    }

    #[test]
    fn a_counter_grows_or_stays_zero() {
        for (stored, counter, accepted) in [
            (0, 0, true),
            (0, 1, true),
            (1, 2, true),
            (7, u32::MAX, true),
            (1, 1, false),
            (2, 1, false),
            (1, 0, false),
            (u32::MAX, 0, false),
        ] {
            let after = credential(stored).after_use(counter);
            assert_eq!(after, accepted.then(|| credential(counter)), "{stored} {counter}");
        }
    }

    #[test]
    fn a_credential_is_read_as_it_was_stored() {
        let stored = credential(7).to_stored();
        assert_eq!(
            String::from_utf8(stored.clone()).unwrap(),
            "{\"algorithm\":-7,\"public_key\":\"AP8\",\"counter\":7,\"backup_eligible\":true,\
             \"transports\":[\"internal\"]}",
        );
        assert_eq!(Credential::from_stored(&stored), Some(credential(7)));
        assert_eq!(Credential::from_stored(b"x"), None);
    }

    /// Returns a `COSE_Key` of integer labels.
    fn cose(parameters: &[(i64, Value)]) -> Vec<u8> {
        let map = parameters.iter().map(|(label, value)| (Value::from(*label), value.clone()));
        let mut bytes = Vec::new();
        ciborium::into_writer(&Value::Map(map.collect()), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_key_has_the_parameters_of_its_algorithm_and_a_safe_size() {
        use aws_lc_rs::signature::{
            ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        };
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &rng).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let ed25519 = Ed25519KeyPair::generate().unwrap();
        let ed25519 = ed25519.public_key().as_ref().to_vec();
        let int = |value: i64| Value::from(value);
        let bytes = |value: &[u8]| Value::from(value);
        let es256 = [(1, int(2)), (3, int(-7)), (-1, int(1)), (-2, bytes(x)), (-3, bytes(y))];
        let eddsa = [(1, int(1)), (3, int(-8)), (-1, int(6)), (-2, bytes(&ed25519))];
        let rs256 = |bits: usize, e: &[u8]| {
            let mut n = vec![0xff; bits.div_ceil(8)];
            n[0] >>= (8 - bits % 8) % 8;
            [(1, int(3)), (3, int(-257)), (-1, Value::from(n)), (-2, bytes(e))]
        };
        for (algorithm, key) in [
            (ES256, &es256 as &[_]),
            (EDDSA, &eddsa),
            (RS256, &rs256(2048, &[1, 0, 1])),
            (RS256, &rs256(4096, &[3])),
        ] {
            assert!(is_sound_key(algorithm, &cose(key)), "{key:?}");
            for other in ALGORITHMS {
                assert_eq!(is_sound_key(other, &cose(key)), other == algorithm);
            }
            for missing in 0..key.len() {
                let rest = [&key[..missing], &key[missing + 1..]].concat();
                assert!(!is_sound_key(algorithm, &cose(&rest)), "{rest:?}");
                let twice = [&rest, &rest[..1]].concat();
                assert!(!is_sound_key(algorithm, &cose(&twice)), "{twice:?}");
            }
            let more = [key, &[(4, int(1))]].concat();
            assert!(!is_sound_key(algorithm, &cose(&more)));
            let mut trailing = cose(key);
            trailing.push(0);
            assert!(!is_sound_key(algorithm, &trailing));
        }
        for key in [
            rs256(1024, &[1, 0, 1]),
            rs256(2047, &[1, 0, 1]),
            rs256(4097, &[1, 0, 1]),
            rs256(2048, &[]),
            rs256(2048, &[1]),
            rs256(2048, &[2]),
            rs256(2048, &[0, 1, 0, 1]),
            rs256(2048, &[1, 0, 0, 0, 1]),
        ] {
            assert!(!is_sound_key(RS256, &cose(&key)), "{key:?}");
        }
        let mut off_curve = es256.clone();
        off_curve[4].1 = bytes(&[7; 32]);
        let mut long = es256.clone();
        long[3].1 = bytes(&[&[0], x].concat());
        let mut other_curve = es256.clone();
        other_curve[2].1 = int(2);
        for key in [off_curve, long, other_curve] {
            assert!(!is_sound_key(ES256, &cose(&key)), "{key:?}");
        }
        for key in [&[] as &[u8], b"x", &[0x80], &[0xa0], &[0xbf]] {
            assert!(!is_sound_key(ES256, key));
        }
        assert!(!is_sound_key(-35, &cose(&es256)), "ES384");
    }
}
