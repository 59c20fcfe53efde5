//! Sessions and their refresh tokens. Pure rules: the caller passes the time and stores the result.
//!
//! A session is one row, however often it is refreshed. A refresh token contains the session's id and
//! a counter. The current token is the one with the row's counter, so that order never depends on
//! time.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::audit::{Event, Network};
use crate::authentication::Authentication;
use crate::custom_claims::CustomClaims;
use crate::scope;
use crate::status::{self, Candidates};

/// The id of a session: 128 random bits.
pub(crate) type SessionId = [u8; 16];

/// The most sessions that a user may have. A further login ends the oldest one.
pub(crate) const MOST_OF_A_USER: u32 = 1000;

/// The most sessions that one login ends. There are more only in a database from before the limit.
pub(crate) const MOST_ENDED: u32 = 100;

/// The row of a session. Times are UNIX seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// The `sub` claim of its access tokens.
    pub(crate) user_id: String,
    pub(crate) client_id: String,
    pub(crate) scope: String,
    /// The counter of the current refresh token.
    pub(crate) counter: u64,
    pub(crate) created_at: u64,
    /// The beginning of the grace: the time of the last refresh that moved the counter or, if its
    /// answer was lost, of the refresh that answered. The clock of the database measures it if
    /// several issuers share the database.
    pub(crate) rotated_at: u64,
    /// The expiry of the current refresh token.
    pub(crate) expires_at: u64,
    /// The session was ended: by logout, revocation, reuse of a refresh token, or a new password.
    pub(crate) revoked: bool,
    /// The bit that tells verifiers that the session was ended; `None` if it was opened without one.
    pub(crate) status: Option<status::StatusIndex>,
    /// The counter of the last refresh whose repetition is in the audit log.
    pub(crate) repeat_audited: Option<u64>,
    pub(crate) authentication: Authentication,
    pub(crate) device: Device,
    /// A copy of the user's own claims, so that a refresh reads one row.
    pub(crate) claims: CustomClaims,
}

/// The origin of a login, as it is shown to the user. `None` for unknown parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) network: Option<String>,
    pub(crate) user_agent: Option<String>,
}

impl Session {
    /// Returns the `sid` claim of its access tokens.
    pub(crate) fn sid(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.id)
    }

    /// Returns the session that a `sid` claim names.
    pub(crate) fn parse_sid(sid: &str) -> Option<SessionId> {
        URL_SAFE_NO_PAD.decode(sid).ok()?.try_into().ok()
    }
}

/// A page of a user's live sessions, newest first.
#[derive(Clone, Debug)]
pub(crate) struct SessionPage {
    pub(crate) user_id: String,
    /// Sessions that expire by then are left out.
    pub(crate) now: u64,
    /// The last session of the page before.
    pub(crate) after: Cursor,
    pub(crate) most: u32,
}

/// The place of a session in the list of a user's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) created_at: u64,
    pub(crate) id: SessionId,
}

impl Cursor {
    /// The place before all sessions.
    pub(crate) const START: Self = Self { created_at: i64::MAX.unsigned_abs(), id: [255; 16] };

    pub(crate) fn of(session: &Session) -> Self {
        Self { created_at: session.created_at, id: session.id }
    }

    /// Encodes the time and the session: 32 characters of base64url.
    pub(crate) fn encode(&self) -> String {
        let bytes = [self.created_at.to_be_bytes().as_slice(), &self.id].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (created_at, id) = bytes.split_first_chunk()?;
        // Databases have no larger numbers.
        let created_at = i64::from_be_bytes(*created_at).try_into().ok()?;
        Some(Self { created_at, id: id.try_into().ok()? })
    }
}

/// The lifetimes of sessions and refresh tokens, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) idle: u64,
    pub(crate) absolute: u64,
    pub(crate) grace: u64,
}

impl Lifetimes {
    /// Returns the expiry of a refresh token that is issued at `now`.
    pub(crate) fn expiry(&self, created_at: u64, now: u64) -> u64 {
        (now + self.idle).min(created_at + self.absolute)
    }
}

/// A refresh that a client asks for.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    pub(crate) token: RefreshToken,
    /// The network of the client, for the audit log.
    pub(crate) network: Network,
    /// A narrower scope for the access token.
    pub(crate) scope: Option<String>,
    /// The most seconds since the last authentication of the user.
    pub(crate) max_age: Option<u64>,
    pub(crate) now: u64,
    pub(crate) lifetimes: Lifetimes,
    /// Candidate indices for a session without one. None if there are no status lists.
    pub(crate) candidates: Option<Candidates>,
}

impl Refresh {
    /// Returns the candidates for a status index if the session gets one with this refresh: it has
    /// none yet.
    pub(crate) fn candidates_for(&self, session: &Session) -> Option<&Candidates> {
        self.candidates.as_ref().filter(|_| session.status.is_none())
    }
}

/// The decision on a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The token is the current one. Store this session before the answer.
    Rotate(Session),
    /// The token was replaced a moment ago, or no client got the answer. Return its successor again.
    /// For the first time, or if no client got the answer, store this session before.
    Repeat { session: Session, is_first: bool },
    /// The token was replaced before: it may be stolen. End the session.
    Reuse,
    /// The session has ended or expired. Nothing changes.
    Refuse,
    /// The scope exceeds that of the session. Nothing changes.
    ScopeTooWide,
    /// The last authentication of the user is older than the request allows. Nothing changes.
    TooOld { max_age: u64 },
}

impl Verdict {
    /// Returns the event that the audit log records. A rotation is not recorded: the session's row
    /// has its time. Further repetitions are not either, or a client could fill the log.
    pub(crate) fn event(&self) -> Option<Event> {
        match self {
            Self::Repeat { is_first: true, .. } => Some(Event::RefreshRepeated),
            Self::Reuse => Some(Event::RefreshReused),
            Self::Repeat { .. }
            | Self::Rotate(_)
            | Self::Refuse
            | Self::ScopeTooWide
            | Self::TooOld { .. } => None,
        }
    }

    /// Returns true if the store has to end the session.
    pub(crate) fn ends_session(&self) -> bool {
        matches!(self, Self::Reuse)
    }
}

/// The facts that the store adds to a refresh.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grace {
    /// The time by the clock that measures the grace.
    pub(crate) now: u64,
    /// A client may have got the answer to the last rotation. The grace begins with the answer.
    pub(crate) answered: bool,
}

/// Decides on a refresh (RFC 9700 §4.14.2).
pub(crate) fn decide(session: &Session, refresh: &Refresh, grace: Grace) -> Verdict {
    let Refresh { token, now, lifetimes, .. } = refresh;
    if session.revoked || *now >= session.expires_at {
        return Verdict::Refuse;
    }
    let current = token.counter == session.counter;
    // In both directions: a clock that was set back must not extend the grace period.
    let since = grace.now.abs_diff(session.rotated_at);
    let in_grace = lifetimes.grace > 0 && since <= lifetimes.grace;
    let is_previous = token.counter.checked_add(1) == Some(session.counter);
    let repeated = is_previous && (in_grace || !grace.answered);
    // This database has not issued a counter from the future: fail closed.
    if !current && !repeated {
        return Verdict::Reuse;
    }
    if refresh.scope.as_ref().is_some_and(|wanted| !scope::is_within(wanted, &session.scope)) {
        return Verdict::ScopeTooWide;
    }
    if let Some(max_age) = refresh.max_age
        && !session.authentication.is_within(max_age, *now)
    {
        return Verdict::TooOld { max_age };
    }
    if repeated {
        let repeat_audited = Some(session.counter);
        let rotated_at = if grace.answered { session.rotated_at } else { grace.now };
        return Verdict::Repeat {
            session: Session { repeat_audited, rotated_at, ..session.clone() },
            is_first: session.repeat_audited != repeat_audited,
        };
    }
    Verdict::Rotate(Session {
        counter: session.counter + 1,
        rotated_at: grace.now,
        expires_at: lifetimes.expiry(session.created_at, *now),
        ..session.clone()
    })
}

/// The content of a refresh token with a valid authentication code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    pub(crate) session: SessionId,
    pub(crate) counter: u64,
}

const VERSION: u8 = 1;
const BODY: usize = 1 + 16 + 8;
const LENGTH: usize = BODY + 32;

impl RefreshToken {
    /// Encodes version, session, counter, and HMAC-SHA256 over them: 76 characters of base64url.
    pub(crate) fn encode(&self, key: &hmac::Key) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(VERSION);
        bytes.extend(self.session);
        bytes.extend(self.counter.to_be_bytes());
        let mac = hmac::sign(key, &bytes);
        bytes.extend(mac.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Decodes a token of this issuer: of exactly this length, in canonical base64url, with a valid
    /// code (compared in constant time).
    pub(crate) fn decode(text: &str, key: &hmac::Key) -> Option<Self> {
        if text.len() != LENGTH.div_ceil(3) * 4 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, mac) = bytes.split_at_checked(BODY)?;
        hmac::verify(key, body, mac).ok()?;
        let (version, rest) = body.split_first()?;
        let (session, counter) = rest.split_at_checked(16)?;
        (*version == VERSION).then_some(Self {
            session: session.try_into().ok()?,
            counter: u64::from_be_bytes(counter.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes { idle: 100, absolute: 250, grace: 10 };

    fn session() -> Session {
        Session {
            id: [7; 16],
            user_id: "user_x".into(),
            client_id: "client_x".into(),
            scope: "read write".into(),
            counter: 5,
            created_at: 1000,
            rotated_at: 1050,
            expires_at: 1150,
            revoked: false,
            status: None,
            repeat_audited: Some(4),
            authentication: Authentication::by_password(1000),
            device: Device::default(),
            claims: CustomClaims::default(),
        }
    }

    fn refresh(counter: u64, now: u64, scope: Option<&str>) -> Refresh {
        let token = RefreshToken { session: [7; 16], counter };
        Refresh {
            token,
            network: Network::for_tests(),
            scope: scope.map(Into::into),
            max_age: None,
            now,
            lifetimes: LIFETIMES,
            candidates: None,
        }
    }

    /// Decides with one clock for everything, and after an answer to the last rotation.
    fn decide_at_once(session: &Session, refresh: &Refresh) -> Verdict {
        decide(session, refresh, Grace { now: refresh.now, answered: true })
    }

    #[test]
    fn each_counter_has_its_verdict() {
        let rotated = |now, expires_at| {
            Verdict::Rotate(Session { counter: 6, rotated_at: now, expires_at, ..session() })
        };
        let repeated = Session { repeat_audited: Some(5), ..session() };
        let repeat = || Verdict::Repeat { session: repeated.clone(), is_first: true };
        let cases = [
            ("current", refresh(5, 1060, None), rotated(1060, 1160)),
            ("current, clock set back", refresh(5, 900, None), rotated(900, 1000)),
            ("last second", refresh(5, 1149, None), rotated(1149, 1249)),
            ("expired", refresh(5, 1150, None), Verdict::Refuse),
            ("expired and old", refresh(1, 1150, None), Verdict::Refuse),
            ("previous, at once", refresh(4, 1050, None), repeat()),
            ("previous, end of grace", refresh(4, 1060, None), repeat()),
            ("previous, clock set back a little", refresh(4, 1040, None), repeat()),
            ("previous, clock set back", refresh(4, 1039, None), Verdict::Reuse),
            ("previous, too late", refresh(4, 1061, None), Verdict::Reuse),
            ("older, at once", refresh(3, 1050, None), Verdict::Reuse),
            ("from the future", refresh(6, 1050, None), Verdict::Reuse),
            ("largest counter", refresh(u64::MAX, 1050, None), Verdict::Reuse),
            ("same scope", refresh(5, 1060, Some("write read")), rotated(1060, 1160)),
            ("narrower scope", refresh(5, 1060, Some("read")), rotated(1060, 1160)),
            ("wider scope", refresh(5, 1060, Some("read admin")), Verdict::ScopeTooWide),
            ("wider scope in grace", refresh(4, 1051, Some("admin")), Verdict::ScopeTooWide),
            ("wider scope of an old token", refresh(3, 1051, Some("admin")), Verdict::Reuse),
        ];
        for (name, refresh, expected) in cases {
            assert_eq!(decide_at_once(&session(), &refresh), expected, "{name}");
        }
        assert_eq!(repeat().event(), Some(Event::RefreshRepeated));
        let again = decide_at_once(&repeated, &refresh(4, 1050, None));
        assert_eq!(again.event(), None);
        assert_eq!(again, Verdict::Repeat { session: repeated, is_first: false });
        let ended = Session { revoked: true, ..session() };
        assert_eq!(decide_at_once(&ended, &refresh(5, 1060, None)), Verdict::Refuse);
    }

    #[test]
    fn an_old_authentication_spends_no_token() {
        for (counter, now, max_age, is_young) in [
            (5, 1060, 60, true),
            (5, 1060, 59, false),
            (5, 1060, 0, false),
            (4, 1060, 59, false),
            (4, 1060, 60, true),
        ] {
            let refresh = Refresh { max_age: Some(max_age), ..refresh(counter, now, None) };
            let verdict = decide_at_once(&session(), &refresh);
            assert_eq!(verdict == Verdict::TooOld { max_age }, !is_young, "{counter} {max_age}");
            assert!(!verdict.ends_session() && (is_young || verdict.event().is_none()));
        }
        // Also of a new authentication, a stolen token ends the session.
        let reused = Refresh { max_age: Some(0), ..refresh(3, 1060, None) };
        assert_eq!(decide_at_once(&session(), &reused), Verdict::Reuse);
    }

    #[test]
    fn without_a_grace_period_a_token_works_once() {
        let mut refresh = refresh(4, 1050, None);
        refresh.lifetimes.grace = 0;
        assert_eq!(decide_at_once(&session(), &refresh), Verdict::Reuse);
    }

    #[test]
    fn the_clock_of_the_grace_may_differ_from_that_of_the_issuer() {
        // The time of the issuer, that of the clock that measures the grace, and the verdict.
        for (now, grace, is_repeat) in
            [(1149, 1060, true), (1149, 1061, false), (1060, 1061, false), (900, 1050, true)]
        {
            let grace = Grace { now: grace, answered: true };
            let verdict = decide(&session(), &refresh(4, now, None), grace);
            assert_eq!(matches!(verdict, Verdict::Repeat { .. }), is_repeat, "{now}: {verdict:?}");
        }
        let rotated = decide(&session(), &refresh(5, 1060, None), Grace { now: 7, answered: true });
        let expected = Session { counter: 6, rotated_at: 7, expires_at: 1160, ..session() };
        assert_eq!(rotated, Verdict::Rotate(expected));
    }

    #[test]
    fn the_grace_begins_with_the_answer() {
        let repeat = |session: &Session, now, answered| {
            let mut refresh = refresh(4, now, None);
            refresh.lifetimes.grace = if answered { 10 } else { 0 };
            decide(session, &refresh, Grace { now, answered })
        };
        let answered = Session { repeat_audited: Some(5), rotated_at: 1140, ..session() };
        let expected = Verdict::Repeat { session: answered.clone(), is_first: true };
        assert_eq!(repeat(&session(), 1140, false), expected, "long after the rotation");
        let expected = Verdict::Repeat { session: answered.clone(), is_first: false };
        assert_eq!(repeat(&answered, 1149, true), expected, "after the answer");
        let late = Session { rotated_at: 1130, ..answered };
        assert_eq!(repeat(&late, 1141, true), Verdict::Reuse, "after the grace");
        let unanswered = Grace { now: 1050, answered: false };
        let older = decide(&session(), &refresh(3, 1050, None), unanswered);
        assert_eq!(older, Verdict::Reuse);
        let expired = decide(&session(), &refresh(4, 1150, None), unanswered);
        assert_eq!(expired, Verdict::Refuse);
    }

    #[test]
    fn a_cursor_has_one_text() {
        let cursor = Cursor::of(&session());
        let text = cursor.encode();
        assert_eq!(text.len(), 32);
        assert_eq!(Cursor::decode(&text), Some(cursor));
        assert_eq!(Cursor::decode(&Cursor::START.encode()), Some(Cursor::START));
        let too_late = Cursor { created_at: 1 << 63, id: [7; 16] };
        for text in ["", &text[..31], &format!("{text}A"), &too_late.encode(), &"=".repeat(32)] {
            assert_eq!(Cursor::decode(text), None, "{text}");
        }
    }

    #[test]
    fn no_refresh_extends_a_session_beyond_its_limit() {
        assert_eq!(LIFETIMES.expiry(1000, 1200), 1250);
    }

    #[test]
    fn a_refresh_token_with_a_flipped_missing_or_extra_bit_is_refused() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let token = RefreshToken { session: [9; 16], counter: 3 };
        let text = token.encode(&key);
        assert_eq!(text.len(), 76);
        assert_eq!(RefreshToken::decode(&text, &key), Some(token));
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RefreshToken::decode(&URL_SAFE_NO_PAD.encode(bytes), &key), None);
        }
        for length in 0..text.len() {
            assert_eq!(RefreshToken::decode(&text[..length], &key), None);
        }
        for text in [format!("{text}A"), format!("{text}="), format!(" {text}"), "é".repeat(38)] {
            assert_eq!(RefreshToken::decode(&text, &key), None);
        }
        let other = hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]);
        assert_eq!(RefreshToken::decode(&text, &other), None);
    }
}
