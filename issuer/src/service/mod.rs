//! The issuer without HTTP: [`Issuer`] joins the rules, the store, the keys and the clock. One file
//! for each thing that a client can ask for; each returns a value or a [`ServiceError`].

// Requests of clients.
pub(crate) mod admin;
mod again;
mod client_token;
mod introspection;
mod login;
pub(crate) mod new_password;
mod own_factors;
mod own_passkeys;
mod own_sessions;
mod passkey_login;
mod refresh;
mod second_factor;
mod session_end;
mod signed_in;

// The answers that they share.
mod access_token;
mod error;
mod grant;
mod page;
mod requested;

// Parts of a running issuer.
mod clock_guard;
mod failed_logins;
pub(crate) mod hasher;
mod issuer_url;
pub(crate) mod keys;
mod measured_store;
mod polling;
pub(crate) mod rate_limit;
pub(crate) mod status;
mod take_backs;

// Starting it and keeping it in order.
pub(crate) mod accounts;
mod health;
mod maintenance;
mod open;
mod storage;
pub(crate) mod user_import;

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use tokio::sync::Semaphore;

use self::admin::Additions;
pub(crate) use self::client_token::ClientCredentials;
use self::clock_guard::ClockGuard;
pub(crate) use self::error::ServiceError;
use self::failed_logins::FailedLogins;
pub(crate) use self::grant::Grant;
use self::hasher::Hasher;
use self::health::DatabaseProbe;
pub(crate) use self::introspection::Introspection;
pub(crate) use self::issuer_url::IssuerUrl;
use self::keys::KeyRing;
pub(crate) use self::login::{Caller, LoggedIn, LoginRequest};
pub(crate) use self::new_password::PasswordChange;
pub(crate) use self::open::{Opened, check_store, open_store, open_to_change};
pub(crate) use self::own_passkeys::{PasskeyOptions, PasskeyRegistration};
pub(crate) use self::passkey_login::PasskeyAnswer;
use self::polling::Polling;
use self::rate_limit::RateLimit;
pub(crate) use self::refresh::RefreshRequest;
pub(crate) use self::requested::Requested;
pub(crate) use self::second_factor::{Asked, Given};
pub(crate) use self::signed_in::SignedIn;
use self::status::Lists;
use self::storage::StorageWatch;
use self::take_backs::TakeBacks;
use crate::audit::{Network, NetworkNames};
use crate::config::SESSION_MAX;
use crate::login::counters::Counters;
use crate::metrics::Metrics;
use crate::passkeys::challenge::Challenges;
use crate::passkeys::relying_party::RelyingParty;
use crate::sealing::Sealer;
use crate::session::Lifetimes;
use crate::status::Candidates;
use crate::store::Store;
use crate::{Clock, Config, Error, Limits, crypto};

/// A running issuer. Requests share one.
pub(crate) struct Issuer {
    pub(crate) config: Arc<Config>,
    pub(crate) limits: Limits,
    pub(crate) url: IssuerUrl,
    pub(crate) clock: Clock,
    clock_guard: Arc<ClockGuard>,
    store: Arc<dyn Store>,
    database_probe: DatabaseProbe,
    pub(crate) polling: Polling,
    pub(crate) keys: Arc<KeyRing>,
    sealer: Arc<Sealer>,
    totp_sealer: Sealer,
    pub(crate) hasher: Hasher,
    /// Permits an estimate of the guesses that a new password needs.
    password_checks: Arc<Semaphore>,
    login_limit: RateLimit<IpAddr>,
    /// Of each client of the Admin API.
    admin_limit: RateLimit<String>,
    /// Of the changes of each user's second factors, by user id.
    change_limit: RateLimit<String>,
    additions: Additions,
    take_backs: TakeBacks,
    storage_watch: StorageWatch,
    failed_logins: FailedLogins,
    network_names: Arc<NetworkNames>,
    refresh_key: hmac::Key,
    counters: Counters,
    /// `None` if passkeys are off.
    relying_party: Option<RelyingParty>,
    challenges: Challenges,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) status_lists: Lists,
}

impl Issuer {
    fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            idle: self.config.refresh_ttl.as_secs(),
            absolute: SESSION_MAX.as_secs(),
            grace: self.config.refresh_grace.as_secs(),
        }
    }

    /// Returns the network of a client, for the audit log.
    fn network(&self, client: IpAddr) -> Network {
        Network::of(client, &self.network_names)
    }

    /// Refuses a request of another client than the one that has all sessions.
    fn check_client_id(&self, client_id: Option<&str>) -> Result<(), ServiceError> {
        let is_foreign = client_id.is_some_and(|id| id != self.config.client_id);
        if is_foreign { Err(ServiceError::TokenOfAnotherClient) } else { Ok(()) }
    }

    /// Returns random candidates for a session's status index; `None` if there are no status lists.
    fn candidates(&self) -> Result<Option<Candidates>, Error> {
        if !self.config.status_lists {
            return Ok(None);
        }
        let size = self.limits.status_list_size;
        Ok(Some(Candidates::from_random(crypto::random()?, size)))
    }
}

#[cfg(test)]
impl Issuer {
    /// Opens an issuer with a new database in `folder`.
    pub(crate) async fn for_tests(folder: &tempfile::TempDir) -> Self {
        let config = Config {
            database: crate::config::DatabaseUrl::Sqlite(folder.path().join("x.db")),
            refresh_grace: std::time::Duration::ZERO,
            ..Config::default()
        };
        let metrics = Metrics::new(&config, std::iter::empty()).unwrap();
        let clock = Clock::new(|| 1_800_000_000);
        let url = IssuerUrl::new("http://127.0.0.1").unwrap();
        Self::open(Arc::new(config), url, Limits::default(), clock, metrics).await.unwrap()
    }

    /// Adds a user with an open session. Returns the session's refresh token.
    pub(crate) async fn session_for_tests(&self) -> String {
        use crate::authentication::{Authentication, Factors};
        use crate::session::{Device, RefreshToken, Session};
        let user = crate::users::User {
            id: "user_x".to_owned(),
            name: "demo".to_owned(),
            scope: String::new(),
            password_hash: "hash".to_owned(),
            password_version: 0,
            created_at: 0,
            locked: false,
            unlocked_at: 0,
            factors: Factors::default(),
            claims: crate::custom_claims::CustomClaims::default(),
        };
        assert!(self.store.add_user(user, crate::audit::Actor::default()).await.unwrap());
        let session = Session {
            id: [7; 16],
            user_id: "user_x".to_owned(),
            client_id: self.config.client_id.clone(),
            scope: String::new(),
            counter: 0,
            created_at: 1_800_000_000,
            rotated_at: 1_800_000_000,
            expires_at: 1_800_000_900,
            revoked: false,
            status: None,
            repeat_audited: None,
            authentication: Authentication::by_password(1_800_000_000),
            device: Device::default(),
            claims: crate::custom_claims::CustomClaims::default(),
        };
        let network = Network::for_tests();
        let opened = self.store.open_session(session, "hash".to_owned(), network, None, None);
        assert!(opened.await.unwrap().is_some());
        RefreshToken { session: [7; 16], counter: 0 }.encode(&self.refresh_key)
    }
}
