//! The passkeys of a user who is signed in.

use std::net::IpAddr;

use serde_json::Value;
use zeroize::Zeroizing;

use super::{Issuer, ServiceError, SignedIn};
use crate::audit::Actor;
use crate::passkeys::challenge::{Holder, WITHIN};
use crate::passkeys::relying_party::RelyingParty;
use crate::passkeys::{self, NewPasskey, Passkey, Registration};
use crate::second_factor::recovery::NewCodes;

/// A challenge for an authenticator.
pub(crate) struct PasskeyOptions {
    /// The client sends it back with the answer.
    pub(crate) challenge_token: String,
    /// The seconds in which the answer must come.
    pub(crate) expires_in: u64,
    /// The options for the browser, as WebAuthn writes them in JSON.
    pub(crate) public_key: Value,
}

/// A registration that a client asks for.
pub(crate) struct PasskeyRegistration {
    pub(crate) challenge_token: String,
    /// `RegistrationResponseJSON`.
    pub(crate) credential: Value,
    pub(crate) name: String,
    /// The address of the client.
    pub(crate) client: IpAddr,
}

impl Issuer {
    /// Returns the relying party. Refuses the request if passkeys are off.
    pub(super) fn relying_party(&self) -> Result<&RelyingParty, ServiceError> {
        self.relying_party.as_ref().ok_or(ServiceError::NoPasskeys)
    }

    /// Returns the passkeys of the user, oldest first.
    pub(crate) async fn own_passkeys(
        &self,
        signed_in: &SignedIn,
    ) -> Result<Vec<Passkey>, ServiceError> {
        Ok(self.store.passkeys(signed_in.user.id.clone()).await?)
    }

    /// Begins the registration of a passkey.
    pub(crate) async fn begin_passkey(
        &self,
        signed_in: &SignedIn,
    ) -> Result<PasskeyOptions, ServiceError> {
        let relying_party = self.relying_party()?;
        self.require_fresh(signed_in)?;
        let SignedIn { user, session } = signed_in;
        let existing = self.store.passkeys(user.id.clone()).await?;
        let (holder, now) = (Holder::Registration(session.id), self.clock_guard.latest_time());
        let (challenge, challenge_token) = self.challenges.make(&holder, now)?;
        let public_key = relying_party.creation_options(user, &existing, &challenge);
        Ok(PasskeyOptions { challenge_token, expires_in: WITHIN, public_key })
    }

    /// Registers a passkey for the user whose session began it. Returns recovery codes too, unless the
    /// user has some.
    pub(crate) async fn add_passkey(
        &self,
        SignedIn { user, session }: &SignedIn,
        registration: PasskeyRegistration,
    ) -> Result<(Passkey, Vec<Zeroizing<String>>), ServiceError> {
        let PasskeyRegistration { challenge_token, credential, name, client } = registration;
        let relying_party = self.relying_party()?;
        let name = passkeys::parse_name(&name)?;
        let (holder, now) = (Holder::Registration(session.id), self.clock_guard.latest_time());
        let opened = self.challenges.open(&challenge_token, &holder, now);
        let opened = opened.ok_or(ServiceError::InvalidChallenge)?;
        let registered = relying_party.verify_registration(credential, &opened.challenge);
        let registered = registered.map_err(ServiceError::PasskeyRefused)?;
        let passkey = Passkey {
            id: registered.id,
            user_id: user.id.clone(),
            name,
            credential: registered.credential,
            created_at: self.clock.now(),
            used_at: None,
        };
        self.limit_changes(&user.id)?;
        let NewCodes { codes, hashes } = NewCodes::random(&user.id)?;
        let new = NewPasskey {
            passkey: passkey.clone(),
            session: session.id,
            challenge: opened.into_use(now)?,
            codes: hashes,
            network: self.network(client),
        };
        match self.store.add_passkey(new).await? {
            Registration::Added => Ok((passkey, Vec::new())),
            Registration::AddedWithCodes => Ok((passkey, codes)),
            Registration::Refused => {
                self.require_live(session.id).await?;
                Err(ServiceError::InvalidChallenge)
            }
            Registration::IdTaken => Err(ServiceError::PasskeyTaken),
            Registration::TooMany => Err(ServiceError::TooManyPasskeys),
        }
    }

    /// Renames a passkey of the user. Others' passkeys are as good as unknown.
    pub(crate) async fn rename_passkey(
        &self,
        signed_in: &SignedIn,
        id: &str,
        name: &str,
        client: IpAddr,
    ) -> Result<(), ServiceError> {
        self.limit_changes(&signed_in.user.id)?;
        let (name, (user_id, id)) = (passkeys::parse_name(name)?, own(signed_in, id)?);
        let (by, now) = (Actor::from(self.network(client)), self.clock.now());
        let is_known = self.store.rename_passkey(user_id, id, name, by, now).await?;
        if is_known { Ok(()) } else { Err(NO_SUCH_PASSKEY) }
    }

    /// Removes a passkey of the user. Their sessions stay. The recovery codes go too if the user has no
    /// other second factor.
    pub(crate) async fn remove_passkey(
        &self,
        signed_in: &SignedIn,
        id: &str,
        client: IpAddr,
    ) -> Result<(), ServiceError> {
        self.require_fresh(signed_in)?;
        self.limit_changes(&signed_in.user.id)?;
        let (user_id, id) = own(signed_in, id)?;
        let (by, now) = (Actor::from(self.network(client)), self.clock.now());
        let is_known = self.store.remove_passkey(user_id, id, by, now).await?;
        if is_known { Ok(()) } else { Err(NO_SUCH_PASSKEY) }
    }
}

const NO_SUCH_PASSKEY: ServiceError = ServiceError::NoSuch("passkey");

/// Returns the id of the user, and the credential id that a path has.
fn own(signed_in: &SignedIn, id: &str) -> Result<(String, Vec<u8>), ServiceError> {
    let id = passkeys::decode_id(id).ok_or(NO_SUCH_PASSKEY)?;
    Ok((signed_in.user.id.clone(), id))
}
