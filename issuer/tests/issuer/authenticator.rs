//! A software authenticator with one passkey (WebAuthn §6). Each part of its answers can be changed.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
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
    key: EcdsaKeyPair,
    pub(crate) counter: u32,
    /// The id of the user, as the registration gave it.
    pub(crate) user: String,
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        let mut id = vec![0; 16];
        aws_lc_rs::rand::fill(&mut id).unwrap();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
        Self { id, key, counter: 0, user: String::new() }
    }

    /// Returns a `RegistrationResponseJSON` for the options.
    pub(crate) fn register(&mut self, options: &Value) -> Value {
        self.registration(options).json()
    }

    pub(crate) fn registration(&mut self, options: &Value) -> Registration {
        self.user = options["user"]["id"].as_str().unwrap().to_owned();
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        Registration {
            client_data: client_data("webauthn.create", options),
            rp_id: options["rp"]["id"].as_str().unwrap().to_owned(),
            flags: PRESENT | VERIFIED | ATTESTED,
            counter: self.counter,
            id: self.id.clone(),
            shown_id: None,
            key: cose(&[
                (1, 2.into()),
                (3, (-7).into()),
                (-1, 1.into()),
                (-2, Cbor::from(x)),
                (-3, Cbor::from(y)),
            ]),
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
    pub(crate) fn json(self) -> Value {
        let mut data = authenticator_data(&self.rp_id, self.flags, self.counter);
        data.extend([7; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(cbor(&self.key));
        let object = Cbor::Map(vec![
            ("fmt".into(), self.format.into()),
            ("attStmt".into(), self.statement),
            ("authData".into(), data.into()),
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
        let signature = by.key.sign(&SystemRandom::new(), &signed).unwrap().as_ref().to_vec();
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
