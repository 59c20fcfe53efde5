//! The second factors of a user, as the user sees and changes them.

use std::net::IpAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::login::to_its_end;
use super::take_backs::TakeBack;
use super::{Caller, Issuer, ServiceError, SignedIn};
use crate::audit::Event;
use crate::second_factor::recovery::NewCodes;
use crate::second_factor::{Changed, FactorChange, NewTotp, StoredFactors, totp};
use crate::session::SessionId;
use crate::users::User;

/// A new TOTP secret, as it is shown to the user once.
pub(crate) struct TotpSecret {
    /// In base32.
    pub(crate) secret: Zeroizing<String>,
    /// For a QR code.
    pub(crate) uri: Zeroizing<String>,
}

impl Issuer {
    pub(crate) async fn own_factors(
        &self,
        signed_in: &SignedIn,
    ) -> Result<StoredFactors, ServiceError> {
        Ok(self.store.factors(signed_in.user.id.clone()).await?)
    }

    /// Makes a TOTP secret for the user who is signed in. It is in force when the user has confirmed it.
    pub(crate) async fn begin_totp(
        &self,
        signed_in: &SignedIn,
        client: IpAddr,
    ) -> Result<TotpSecret, ServiceError> {
        self.require_fresh(signed_in)?;
        self.new_totp(&signed_in.user, Some(signed_in.session.id), client).await
    }

    /// Stores a new TOTP secret of a user, in the place of one that is not confirmed.
    pub(super) async fn new_totp(
        &self,
        user: &User,
        session: Option<SessionId>,
        client: IpAddr,
    ) -> Result<TotpSecret, ServiceError> {
        let secret = totp::Secret::random()?;
        let uri = secret.uri(&self.url.authority(), &user.name)?;
        let sealed = self.totp_sealer.seal(secret.bytes(), &user.id)?;
        let change = FactorChange::TotpBegun(sealed);
        let begun = self.change_factors(&user.id, change, session, client).await?;
        if begun == Changed::Impossible {
            if let Some(session) = session {
                self.require_live(session).await?;
            }
            let line = "the user has an authenticator app; remove it before another one is set up";
            return Err(ServiceError::Conflict(line));
        }
        Ok(TotpSecret { secret: secret.text(), uri })
    }

    /// Confirms the TOTP secret of the user who is signed in by its first code. Returns recovery codes,
    /// unless the user has some. A wrong code counts as a failed login.
    pub(crate) async fn confirm_totp(
        self: &Arc<Self>,
        signed_in: SignedIn,
        code: Zeroizing<String>,
        caller: Caller,
    ) -> Result<Vec<Zeroizing<String>>, ServiceError> {
        self.limit_logins(caller.address)?;
        let issuer = Arc::clone(self);
        to_its_end(async move { issuer.try_first_code(signed_in, &code, caller).await }).await
    }

    async fn try_first_code(
        &self,
        SignedIn { user, session }: SignedIn,
        code: &str,
        caller: Caller,
    ) -> Result<Vec<Zeroizing<String>>, ServiceError> {
        let client = caller.address;
        let failure = self.count_attempt(&self.of_user(user.clone(), caller)).await?;
        let confirmed = self.confirm(&user, session.id, code, client).await;
        if !matches!(confirmed, Ok(None)) {
            self.take_backs.add(TakeBack::Counted(failure));
        }
        confirmed?.ok_or_else(|| {
            self.count_failure(Event::SecondFactorFailed, client, Some(&user));
            ServiceError::Refused("the code is wrong, or its secret was replaced".to_owned())
        })
    }

    /// Returns `None` if the code is wrong, or if another request has replaced its secret.
    async fn confirm(
        &self,
        user: &User,
        session: SessionId,
        code: &str,
        client: IpAddr,
    ) -> Result<Option<Vec<Zeroizing<String>>>, ServiceError> {
        let (stored, now) = (self.store.factors(user.id.clone()).await?, self.clock.now());
        let Some(totp) = stored.totp.filter(|totp| totp.is_open(now)) else {
            self.require_live(session).await?;
            let line = "no secret of an authenticator app waits for its first code; make one by POST \
                        /totp";
            return Err(ServiceError::Conflict(line));
        };
        let step = self.open_totp(&user.id, &totp)?.step_of(code, now, totp::NO_STEP);
        let Some(step) = step else { return Ok(None) };
        let NewCodes { codes, hashes } = NewCodes::random(&user.id)?;
        let confirmed = NewTotp { sealed: totp.sealed, step, codes: hashes };
        let change = FactorChange::TotpConfirmed(confirmed);
        Ok(match self.change_factors(&user.id, change, Some(session), client).await? {
            Changed::Impossible => {
                self.require_live(session).await?;
                None
            }
            Changed::Made => Some(Vec::new()),
            Changed::MadeWithCodes => Some(codes),
        })
    }

    /// Removes the TOTP secret of the user who is signed in.
    pub(crate) async fn remove_totp(
        &self,
        signed_in: &SignedIn,
        client: IpAddr,
    ) -> Result<(), ServiceError> {
        self.require_fresh(signed_in)?;
        let SignedIn { user, session } = signed_in;
        let change = FactorChange::TotpRemoved;
        match self.change_factors(&user.id, change, Some(session.id), client).await? {
            Changed::Made | Changed::MadeWithCodes => Ok(()),
            // The session has just ended.
            Changed::Impossible => Err(ServiceError::InvalidAccessToken),
        }
    }

    /// Replaces the recovery codes of the user who is signed in.
    pub(crate) async fn replace_recovery_codes(
        &self,
        signed_in: &SignedIn,
        client: IpAddr,
    ) -> Result<Vec<Zeroizing<String>>, ServiceError> {
        self.require_fresh(signed_in)?;
        let SignedIn { user, session } = signed_in;
        let user_id = &user.id;
        let NewCodes { codes, hashes } = NewCodes::random(user_id)?;
        let change = FactorChange::RecoveryCodes(hashes);
        let changed = self.change_factors(user_id, change, Some(session.id), client).await?;
        if changed == Changed::MadeWithCodes {
            return Ok(codes);
        }
        self.require_live(session.id).await?;
        let line = "the user has no second factor, which recovery codes could stand in for";
        Err(ServiceError::Conflict(line))
    }

    /// Counts a change of the user's second factors. Refuses it if there were too many: each has an entry in
    /// the audit log.
    pub(super) fn limit_changes(&self, user_id: &str) -> Result<(), ServiceError> {
        self.change_limit.check(&user_id.to_owned()).map_err(ServiceError::TooManyRequests)
    }

    async fn change_factors(
        &self,
        user_id: &str,
        change: FactorChange,
        session: Option<SessionId>,
        client: IpAddr,
    ) -> Result<Changed, ServiceError> {
        self.limit_changes(user_id)?;
        let (by, now) = (self.network(client).into(), self.clock.now());
        Ok(self.store.change_factors(user_id.to_owned(), change, session, by, now).await?)
    }
}
