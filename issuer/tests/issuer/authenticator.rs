//! A software authenticator with one passkey (WebAuthn §6). Each part of its answers can be changed.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value as Cbor;
use serde_json::{Value, json};

/// The page that uses the passkeys.
pub(crate) const ORIGIN: &str = "http://localhost:3000";

/// Flags of authenticator data.
pub(crate) const PRESENT: u8 = 0x01;
pub(crate) const VERIFIED: u8 = 0x04;
pub(crate) const BACKUP_ELIGIBLE: u8 = 0x08;
pub(crate) const BACKED_UP: u8 = 0x10;
const ATTESTED: u8 = 0x40;

/// An authenticator with one passkey.
pub(crate) struct Authenticator {
    pub(crate) id: Vec<u8>,
    key: Key,
    pub(crate) counter: u32,
    /// The id of the user, as the registration gave it.
    pub(crate) user: String,
}

/// A key of one of the algorithms.
pub(crate) enum Key {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>),
}

impl Key {
    pub(crate) fn es256() -> Self {
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        Self::Es256(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap())
    }

    pub(crate) fn eddsa() -> Self {
        Self::EdDsa(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn rs256() -> Self {
        Self::Rs256(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    /// Returns the public key as a `COSE_Key`.
    fn cose(&self) -> Cbor {
        match self {
            Self::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let curve = [(1, 2.into()), (3, (-7).into()), (-1, 1.into())];
                cose(&[&curve[..], &[(-2, Cbor::from(x)), (-3, Cbor::from(y))]].concat())
            }
            Self::EdDsa(pair) => {
                let x = Cbor::from(pair.public_key().as_ref());
                cose(&[(1, 1.into()), (3, (-8).into()), (-1, 6.into()), (-2, x)])
            }
            Self::Rs256(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let [n, e] = [n, e].map(|one| Cbor::from(one.big_endian_without_leading_zero()));
                cose(&[(1, 3.into()), (3, (-257).into()), (-1, n), (-2, e)])
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        Self::with(Key::es256())
    }

    pub(crate) fn with(key: Key) -> Self {
        let mut id = vec![0; 16];
        aws_lc_rs::rand::fill(&mut id).unwrap();
        Self { id, key, counter: 0, user: String::new() }
    }

    /// Returns a `RegistrationResponseJSON` for the options.
    pub(crate) fn register(&mut self, options: &Value) -> Value {
        self.registration(options).json()
    }

    pub(crate) fn registration(&mut self, options: &Value) -> Registration {
        self.user = options["user"]["id"].as_str().unwrap().to_owned();
        Registration {
            client_data: client_data("webauthn.create", options),
            rp_id: options["rp"]["id"].as_str().unwrap().to_owned(),
            flags: PRESENT | VERIFIED | ATTESTED,
            counter: self.counter,
            id: self.id.clone(),
            shown_id: None,
            key: self.key.cose(),
            format: "none".to_owned(),
            statement: Cbor::Map(Vec::new()),
            bytes: |bytes| bytes,
        }
    }

    /// Returns an `AuthenticationResponseJSON` for the options.
    pub(crate) fn answer(&mut self, options: &Value) -> Value {
        self.assertion(options).json(self)
    }

    /// Counts the use if the authenticator counts.
    pub(crate) fn assertion(&mut self, options: &Value) -> Assertion {
        self.counter += u32::from(self.counter > 0);
        Assertion {
            client_data: client_data("webauthn.get", options),
            rp_id: options["rpId"].as_str().unwrap().to_owned(),
            flags: PRESENT | VERIFIED,
            counter: self.counter,
            id: self.id.clone(),
            user: Some(self.user.clone()),
            signature: |signature| signature,
        }
    }
}

fn client_data(kind: &str, options: &Value) -> Value {
    json!({
        "type": kind, "challenge": options["challenge"], "origin": ORIGIN, "crossOrigin": false,
    })
}

/// Returns a `COSE_Key`.
pub(crate) fn cose(parameters: &[(i64, Cbor)]) -> Cbor {
    let map = parameters.iter().map(|(label, value)| (Cbor::from(*label), value.clone()));
    Cbor::Map(map.collect())
}

fn cbor(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

fn authenticator_data(rp_id: &str, flags: u8, counter: u32) -> Vec<u8> {
    [sha256(rp_id.as_bytes()), vec![flags], counter.to_be_bytes().to_vec()].concat()
}

/// The parts of a registration.
pub(crate) struct Registration {
    pub(crate) client_data: Value,
    pub(crate) rp_id: String,
    pub(crate) flags: u8,
    pub(crate) counter: u32,
    pub(crate) id: Vec<u8>,
    /// `rawId`, if it is another one.
    pub(crate) shown_id: Option<Vec<u8>>,
    pub(crate) key: Cbor,
    pub(crate) format: String,
    pub(crate) statement: Cbor,
    /// Changes the bytes of the attestation object.
    pub(crate) bytes: fn(Vec<u8>) -> Vec<u8>,
}

impl Registration {
    /// With an attestation by the passkey itself (WebAuthn §8.2).
    pub(crate) fn attested(mut self, by: &Authenticator) -> Value {
        let client_data = sha256(self.client_data.to_string().as_bytes());
        let signature = by.key.sign(&[self.data(), client_data].concat());
        let algorithm = match by.key {
            Key::Es256(_) => -7,
            Key::EdDsa(_) => -8,
            Key::Rs256(_) => -257,
        };
        self.format = "packed".to_owned();
        self.statement =
            Cbor::Map(vec![("alg".into(), algorithm.into()), ("sig".into(), signature.into())]);
        self.json()
    }

    fn data(&self) -> Vec<u8> {
        let mut data = authenticator_data(&self.rp_id, self.flags, self.counter);
        data.extend([7; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(cbor(&self.key));
        data
    }

    pub(crate) fn json(self) -> Value {
        let object = Cbor::Map(vec![
            ("fmt".into(), self.format.clone().into()),
            ("attStmt".into(), self.statement.clone()),
            ("authData".into(), self.data().into()),
        ]);
        let id = encode(self.shown_id.unwrap_or(self.id));
        json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": { "credProps": { "rk": true } },
            "response": {
                "clientDataJSON": encode(self.client_data.to_string()),
                "attestationObject": encode((self.bytes)(cbor(&object))),
                "transports": ["internal", "unheard-of"],
            },
        })
    }
}

/// The parts of an assertion.
pub(crate) struct Assertion {
    pub(crate) client_data: Value,
    pub(crate) rp_id: String,
    pub(crate) flags: u8,
    pub(crate) counter: u32,
    pub(crate) id: Vec<u8>,
    /// The user handle.
    pub(crate) user: Option<String>,
    /// Changes the signature.
    pub(crate) signature: fn(Vec<u8>) -> Vec<u8>,
}

impl Assertion {
    /// Signs it with the key of the authenticator.
    pub(crate) fn json(self, by: &Authenticator) -> Value {
        let data = authenticator_data(&self.rp_id, self.flags, self.counter);
        let client_data = self.client_data.to_string();
        let signed = [data.clone(), sha256(client_data.as_bytes())].concat();
        let signature = by.key.sign(&signed);
        let id = encode(&self.id);
        let mut credential = json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "authenticatorAttachment": "a-newer-one",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encode(client_data),
                "authenticatorData": encode(data),
                "signature": encode((self.signature)(signature)),
            },
        });
        if let Some(user) = self.user {
            credential["response"]["userHandle"] = user.into();
        }
        credential
    }
}
