//! The relying party: the options for browsers, and the checks of the answers (WebAuthn §7).
//!
//! The crate `passki` parses the answers, and verifies type, challenge, origin, RP id, flags, and
//! signatures. Rules that it leaves to its callers are here.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use passki::{
    AuthenticationCredential, AuthenticationState, ClientData, Passki, PasskiError,
    RegistrationCredential, RegistrationState, StoredPasskey,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::challenge::{Challenge, WITHIN};
use super::credential::{ALGORITHMS, Credential, is_sound_key, read_whole};
use super::{Passkey, is_possible_id};
use crate::users::User;

/// The place of the flags in authenticator data, and the flag "backup eligible" (WebAuthn §6.1).
const FLAGS: usize = 32;
const BACKUP_ELIGIBLE: u8 = 0x08;

/// The sites whose passkeys the issuer takes.
pub(crate) struct RelyingParty(Passki);

/// The demand on an authenticator to verify its user, by a PIN or a finger for example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    Required,
    /// Another factor has been shown.
    Preferred,
}

impl Verification {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Preferred => "preferred",
        }
    }
}

/// A passkey whose registration was verified.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    /// The credential id.
    pub(crate) id: Vec<u8>,
    pub(crate) credential: Credential,
}

/// An answer to a challenge, before it is verified.
pub(crate) struct Answer {
    /// The credential id.
    pub(crate) id: Vec<u8>,
    /// The id of the user, as the authenticator keeps it.
    pub(crate) user_handle: Option<Vec<u8>>,
    credential: AuthenticationCredential,
}

impl RelyingParty {
    pub(crate) fn new(id: &str, origins: &[String]) -> Self {
        Self(Passki::new(id, origins, id))
    }

    /// Returns `PublicKeyCredentialCreationOptionsJSON`.
    pub(crate) fn creation_options(
        &self,
        user: &User,
        existing: &[Passkey],
        challenge: &Challenge,
    ) -> Value {
        let algorithms = ALGORITHMS.map(|alg| json!({ "type": "public-key", "alg": alg }));
        json!({
            "rp": { "id": self.0.rp_id, "name": self.0.rp_name },
            "user": {
                "id": URL_SAFE_NO_PAD.encode(&user.id),
                "name": user.name,
                "displayName": user.name,
            },
            "challenge": URL_SAFE_NO_PAD.encode(challenge),
            "pubKeyCredParams": algorithms,
            "timeout": WITHIN * 1000,
            "excludeCredentials": descriptors(existing),
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": true,
                "userVerification": Verification::Required.as_str(),
            },
            "attestation": "none",
        })
    }

    /// Returns `PublicKeyCredentialRequestOptionsJSON`. Without allowed passkeys, the user chooses among
    /// those that the authenticators have.
    pub(crate) fn request_options(
        &self,
        allowed: &[Passkey],
        verification: Verification,
        challenge: &Challenge,
    ) -> Value {
        json!({
            "challenge": URL_SAFE_NO_PAD.encode(challenge),
            "timeout": WITHIN * 1000,
            "rpId": self.0.rp_id,
            "allowCredentials": descriptors(allowed),
            "userVerification": verification.as_str(),
        })
    }

    /// Verifies a `RegistrationResponseJSON` (WebAuthn §7.1). No attestation is asked for. One that comes
    /// all the same must be sound, and nothing depends on it.
    pub(crate) fn verify_registration(
        &self,
        credential: Value,
        challenge: &Challenge,
    ) -> Result<Registered, Fault> {
        let credential: RegistrationCredential = read(credential)?;
        check_top_origin(&credential.response.client_data_json)?;
        check_attestation(&credential.response.attestation_object)?;
        let state: RegistrationState = state(json!({
            "challenge": challenge,
            "user": { "id": "", "name": "", "displayName": "" },
            "user_verification": Verification::Required.as_str(),
        }))?;
        let verified = self.0.finish_passkey_registration(&credential, &state)?;
        let algorithm = verified.algorithm;
        if !ALGORITHMS.contains(&algorithm) {
            return Err(Fault::Algorithm);
        }
        if !is_sound_key(algorithm, &verified.public_key) {
            return Err(Fault::PublicKey);
        }
        if !is_possible_id(&verified.credential_id) {
            return Err(Fault::CredentialId);
        }
        let credential = Credential {
            algorithm,
            public_key: verified.public_key,
            counter: verified.counter,
            backup_eligible: verified.be,
            transports: verified.transports,
        };
        Ok(Registered { id: verified.credential_id, credential })
    }

    /// Reads an `AuthenticationResponseJSON`, and verifies nothing.
    pub(crate) fn read_answer(credential: Value) -> Result<Answer, Fault> {
        let credential: AuthenticationCredential = read(credential)?;
        let id = Passki::base64_decode(&credential.raw_id)?;
        if !is_possible_id(&id) {
            return Err(Fault::CredentialId);
        }
        let user_handle = credential.response.user_handle.as_deref();
        let user_handle = user_handle.map(Passki::base64_decode).transpose()?;
        Ok(Answer { id, user_handle, credential })
    }

    /// Verifies an answer of the passkey (WebAuthn §7.2). Returns the signature counter, which the store
    /// compares with the last one.
    pub(crate) fn verify_answer(
        &self,
        answer: &Answer,
        passkey: &Passkey,
        verification: Verification,
        challenge: &Challenge,
    ) -> Result<u32, Fault> {
        let Answer { id, user_handle, credential } = answer;
        let is_other_user =
            user_handle.as_ref().is_some_and(|handle| handle != passkey.user_id.as_bytes());
        if *id != passkey.id || is_other_user {
            return Err(Fault::CredentialId);
        }
        check_top_origin(&credential.response.client_data_json)?;
        let state: AuthenticationState = state(json!({
            "challenge": challenge,
            "allowed_credentials": [],
            "user_verification": verification.as_str(),
        }))?;
        // With the counter 0 nothing is said of the last one before the signature is verified.
        let mut stored = StoredPasskey::default();
        stored.algorithm = passkey.credential.algorithm;
        stored.public_key.clone_from(&passkey.credential.public_key);
        let verified = self.0.finish_passkey_authentication(credential, &state, &stored)?;
        let data = Passki::base64_decode(&credential.response.authenticator_data)?;
        let flags = data.get(FLAGS).copied().unwrap_or_default();
        if (flags & BACKUP_ELIGIBLE != 0) != passkey.credential.backup_eligible {
            return Err(Fault::BackupFlags);
        }
        Ok(verified.counter)
    }
}

fn descriptors(passkeys: &[Passkey]) -> Vec<Value> {
    let descriptor = |passkey: &Passkey| {
        let transports = &passkey.credential.transports;
        let mut descriptor = json!({ "type": "public-key", "id": passkey.encoded_id() });
        if let Some(members) = descriptor.as_object_mut().filter(|_| !transports.is_empty()) {
            members.insert("transports".to_owned(), json!(transports));
        }
        descriptor
    };
    passkeys.iter().map(descriptor).collect()
}

/// Reads the members of a credential that matter. The others, such as the results of extensions, are
/// no reason to refuse it.
fn read<T: DeserializeOwned>(credential: Value) -> Result<T, Fault> {
    let Value::Object(mut credential) = credential else { return Err(Fault::Malformed) };
    let is_public_key = credential.get("type").and_then(Value::as_str) == Some("public-key");
    if !is_public_key || credential.get("id") != credential.get("rawId") {
        return Err(Fault::Malformed);
    }
    let mut take = |name: &str| credential.remove(name).map(|value| (name.to_owned(), value));
    let members: Map<_, _> = ["rawId", "response"].into_iter().filter_map(&mut take).collect();
    serde_json::from_value(members.into()).map_err(|_| Fault::Malformed)
}

/// Makes a state of the crate, which has no other constructor that takes a challenge.
fn state<T: DeserializeOwned>(state: Value) -> Result<T, Fault> {
    serde_json::from_value(state).map_err(|_| Fault::Malformed)
}

/// Refuses the client data of a page within another one.
fn check_top_origin(client_data: &str) -> Result<(), Fault> {
    let is_embedded = ClientData::from_base64(client_data)?.top_origin.is_some();
    if is_embedded { Err(Fault::Embedded) } else { Ok(()) }
}

/// Checks that an attestation object has its three members alone, that nothing follows it, and that
/// an attestation `none` is empty (WebAuthn §6.5.4, §8.7).
fn check_attestation(object: &str) -> Result<(), Fault> {
    let object = read_whole(&Passki::base64_decode(object)?);
    let Some(ciborium::Value::Map(object)) = object else { return Err(Fault::Attestation) };
    let member = |name: &str| {
        let found = object.iter().find(|(key, _)| key.as_text() == Some(name));
        found.map(|(_, value)| value)
    };
    let (Some(format), Some(statement), Some(_), 3) =
        (member("fmt"), member("attStmt"), member("authData"), object.len())
    else {
        return Err(Fault::Attestation);
    };
    let statement = statement.as_map().ok_or(Fault::Attestation)?;
    let is_sound = format.as_text() != Some("none") || statement.is_empty();
    if is_sound { Ok(()) } else { Err(Fault::Attestation) }
}

/// The reason for which an answer of an authenticator is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Malformed,
    Type,
    Challenge,
    Origin,
    Embedded,
    RelyingParty,
    NotPresent,
    NotVerified,
    BackupFlags,
    Algorithm,
    PublicKey,
    CredentialId,
    Attestation,
    Signature,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is malformed",
            Self::Type => "it answers another kind of request",
            Self::Challenge => "it answers another challenge",
            Self::Origin => "the origin of the page is not in passkey_origins",
            Self::Embedded => "the page was within a page of another origin",
            Self::RelyingParty => "it is for another RP id",
            Self::NotPresent => "nobody was there",
            Self::NotVerified => "the authenticator did not verify its user",
            Self::BackupFlags => "the flags of backups contradict each other or the registration",
            Self::Algorithm => "the algorithm of the key was not offered",
            Self::PublicKey => "the public key is malformed or too weak",
            Self::CredentialId => "the credential id is another one, or too long",
            Self::Attestation => "the attestation is malformed or of an unknown format",
            Self::Signature => "the signature is wrong",
        })
    }
}

impl From<PasskiError> for Fault {
    fn from(e: PasskiError) -> Self {
        match e {
            PasskiError::InvalidClientDataType(_) | PasskiError::ClientDataTypeMismatch { .. } => {
                Self::Type
            }
            PasskiError::ChallengeMismatch => Self::Challenge,
            PasskiError::OriginMismatch { .. } => Self::Origin,
            PasskiError::CrossOriginNotAllowed => Self::Embedded,
            PasskiError::RpIdHashMismatch => Self::RelyingParty,
            PasskiError::UserNotPresent => Self::NotPresent,
            PasskiError::UserVerificationRequired => Self::NotVerified,
            PasskiError::InvalidBackupFlags => Self::BackupFlags,
            PasskiError::UnsupportedAlgorithm(_) => Self::Algorithm,
            PasskiError::InvalidCoseKey(_) => Self::PublicKey,
            PasskiError::CredentialIdMismatch => Self::CredentialId,
            PasskiError::InvalidAttestationObject(_)
            | PasskiError::UnsupportedAttestationFormat(_)
            | PasskiError::MissingAttStmtField(_)
            | PasskiError::InvalidAttestation(_)
            | PasskiError::InvalidCertificate(_) => Self::Attestation,
            PasskiError::SignatureVerificationFailed => Self::Signature,
            _ => Self::Malformed,
        }
    }
}
