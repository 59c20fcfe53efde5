//! Challenges of passkeys. A challenge is not stored before it is used: the client keeps it in a token
//! with an HMAC. So nobody can fill the database by asking for challenges. The first use is recorded
//! in the transaction of its effect, and refuses all others.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::one_time::{ChallengeUse, TokenHash};
use crate::session::SessionId;
use crate::{Error, crypto};

/// The seconds in which a challenge can be used.
pub(crate) const WITHIN: u64 = 5 * 60;

/// The seconds after its end for which a use is remembered. An issuer whose clock is behind accepts the
/// challenge a little longer.
const REMEMBERED: u64 = 10 * 60;

/// The party that a challenge is for. Another one cannot use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Whoever authenticates with a passkey alone.
    Anybody,
    /// A session that registers a passkey.
    Registration(SessionId),
    /// A login that needs a second factor: the hash of its token.
    Login(TokenHash),
}

impl Holder {
    fn parts(&self) -> [&[u8]; 2] {
        match self {
            Self::Anybody => [b"anybody", b""],
            Self::Registration(session) => [b"new key", session],
            Self::Login(token) => [b"2nd fac", token],
        }
    }
}

/// The bytes that an authenticator signs.
pub(crate) type Challenge = [u8; 32];

/// A challenge that the issuer made, and that its holder has brought back in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) challenge: Challenge,
    expires_at: u64,
}

impl Opened {
    /// Returns its use by one request.
    pub(crate) fn into_use(self, now: u64) -> Result<ChallengeUse, Error> {
        Ok(ChallengeUse {
            hash: crypto::sha256(&self.challenge),
            id: crypto::random()?,
            now,
            remembered_until: self.expires_at.saturating_add(REMEMBERED),
        })
    }
}

/// Makes challenges and reads them back.
pub(crate) struct Challenges(hmac::Key);

/// The challenge, the time of its expiry, and the HMAC of both.
const LENGTH: usize = 32 + 8 + 32;

impl Challenges {
    pub(crate) fn new(key: hmac::Key) -> Self {
        Self(key)
    }

    /// Returns a new challenge and its token.
    pub(crate) fn make(&self, holder: &Holder, now: u64) -> Result<(Challenge, String), Error> {
        let challenge = crypto::random()?;
        let body = [&challenge as &[u8], &now.saturating_add(WITHIN).to_be_bytes()].concat();
        let code = hmac::sign(&self.0, &signed(holder, &body));
        Ok((challenge, URL_SAFE_NO_PAD.encode([&body, code.as_ref()].concat())))
    }

    /// Reads a token of this holder that has not expired. Compares in constant time.
    pub(crate) fn open(&self, token: &str, holder: &Holder, now: u64) -> Option<Opened> {
        if token.len() != LENGTH.div_ceil(3) * 4 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (body, code) = bytes.split_at_checked(32 + 8)?;
        hmac::verify(&self.0, &signed(holder, body), code).ok()?;
        let (challenge, expires_at) = body.split_first_chunk()?;
        let expires_at = u64::from_be_bytes(expires_at.try_into().ok()?);
        (now < expires_at).then_some(Opened { challenge: *challenge, expires_at })
    }
}

/// Returns the bytes under the HMAC. Unambiguous: the first part has one length, and so has the body.
fn signed(holder: &Holder, body: &[u8]) -> Vec<u8> {
    let [kind, holder] = holder.parts();
    [kind, body, holder].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn challenges(key: u8) -> Challenges {
        Challenges::new(hmac::Key::new(hmac::HMAC_SHA256, &[key; 32]))
    }

    #[test]
    fn a_challenge_is_for_its_holder_and_its_time() {
        let holders = [
            Holder::Anybody,
            Holder::Registration([1; 16]),
            Holder::Registration([2; 16]),
            Holder::Login([1; 32]),
            Holder::Login([2; 32]),
        ];
        for holder in holders {
            let (challenge, token) = challenges(1).make(&holder, NOW).unwrap();
            assert_eq!(token.len(), 96);
            for other in holders {
                for now in [NOW, NOW + WITHIN - 1] {
                    let opened = challenges(1).open(&token, &other, now);
                    let opened = opened.map(|opened| opened.challenge);
                    assert_eq!(opened, (other == holder).then_some(challenge), "{other:?}");
                }
            }
            assert_eq!(challenges(1).open(&token, &holder, NOW + WITHIN), None);
            assert_eq!(challenges(2).open(&token, &holder, NOW), None);
        }
    }

    #[test]
    fn a_changed_token_is_refused() {
        let (_, token) = challenges(1).make(&Holder::Anybody, NOW).unwrap();
        let open = |token: &str| challenges(1).open(token, &Holder::Anybody, NOW);
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        assert_eq!(bytes.len(), LENGTH);
        for bit in 0..LENGTH * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&URL_SAFE_NO_PAD.encode(bytes)), None);
        }
        for text in ["", &token[1..], &format!("{token}A"), &"é".repeat(48), &"=".repeat(96)] {
            assert_eq!(open(text), None, "{text}");
        }
    }

    #[test]
    fn a_use_is_remembered_for_longer_than_clocks_differ() {
        let (_, token) = challenges(1).make(&Holder::Anybody, NOW).unwrap();
        let opened = challenges(1).open(&token, &Holder::Anybody, NOW + 7).unwrap();
        let used = opened.into_use(NOW + 7).unwrap();
        assert!(used.remembered_until >= NOW + WITHIN + 2 * 300);
        let other = opened.into_use(NOW + 7).unwrap();
        assert!(used.hash == other.hash && used.id != other.id);
    }
}
