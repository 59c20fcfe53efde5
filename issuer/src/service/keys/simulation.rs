//! Simulates years of key rotations. Issuers notice changes late, restart, and get another master
//! key. Operators rotate, revoke and import. Caches keep a JWKS for its whole `max-age`, and the
//! real verifier checks tokens with it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use countersign_claims::{Audience, Claims, Jwk, JwkSet, NumericDate};
use countersign_verifier::{KeySet, Policy, Verifier};

use super::change::resealed;
use super::ring::max_age;
use super::signing::{self, SigningKey, TokenType};
use crate::keys::{KeyRecord, KeyState, NOTICE_WITHIN, Request, Rules, Vault, in_state};
use crate::sealing::{MasterKey, Sealer};
use crate::{Config, KeyBits};

const ISSUER: &str = "https://auth.example";
const START: u64 = 1_800_000_000;
const YEAR: u64 = 365 * 86400;

#[test]
fn no_valid_token_is_refused_in_years_of_rotations() {
    let nanoseconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let first = nanoseconds.as_secs();
    println!("seeds from {first}");
    let mut total = Counts::default();
    for seed in first..first + 20 {
        match World::new(seed, any, |_| {}).run(ROUNDS) {
            Ok(counts) => total.add(&counts),
            Err(wrong) => panic!("seed {seed}: {wrong}"),
        }
    }
    println!("{total:?}");
    assert!(total.seconds > YEAR, "{total:?}");
    for count in [total.rotations, total.imports, total.revocations, total.rewraps, total.dropped] {
        assert!(count >= 10, "{total:?}");
    }
    assert!(total.verified > 3000 && total.fetched > 1000, "{total:?}");
}

#[test]
fn each_interval_that_is_too_short_is_found() {
    type Sabotage = (&'static str, fn(&mut Config), fn(&mut World));
    let notice = NOTICE_WITHIN.as_secs();
    assert_eq!(notice, 30, "the sabotages below assume it");
    // Each with configurations that show the fault soon.
    let sabotages: [Sabotage; 8] = [
        ("a lead without the skew", any, |world| world.rules.lead -= world.rules.skew),
        ("a lead without the time to notice", exact, |world| world.rules.lead -= 30),
        ("no lead", any, |world| world.rules.lead = 0),
        ("a lag without the time to notice", exact, |world| world.rules.lag -= 30),
        ("a lag without the tokens' life", any, |world| world.rules.lag -= world.access_ttl),
        ("a lag without the skew", any, |world| world.rules.lag -= world.rules.skew),
        ("a max-age that does not shrink", exact, |world| world.shrinks = false),
        ("issuers that notice too late", exact, |world| world.notice *= 3),
    ];
    for (name, config, sabotage) in sabotages {
        let found = (0..100).find_map(|seed| World::new(seed, config, sabotage).run(ROUNDS).err());
        println!("{name}: {}", found.as_deref().unwrap_or("not found"));
        assert!(found.is_some(), "{name} is not found");
    }
}

const fn any(_: &mut Config) {}

/// Clocks that agree leave no tolerance that could hide a step taken too early.
fn exact(config: &mut Config) {
    config.clock_skew = Duration::ZERO;
    config.access_ttl = config.access_ttl.min(Duration::from_secs(60));
    config.jwks_max_age = config.jwks_max_age.min(Duration::from_secs(60));
    config.rotation_period = config.publish_lead() * 2;
}

/// The number of steps of one simulation.
const ROUNDS: usize = 1500;

/// A seeded generator (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number from `low` to `high`, both included. Returns one of these two in one of
    /// four calls.
    fn within(&mut self, low: u64, high: u64) -> u64 {
        match self.next() % 8 {
            0 => low,
            1 => high,
            _ => low + self.next() % (high - low + 1),
        }
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(usize::try_from(self.next() % (all.len() as u64).max(1)).unwrap())
    }
}

/// Returns the reading of a clock that is ahead of the true time. No clock is ahead by more than
/// the skew, so that no two differ by more.
fn by_clock(time: u64, ahead: u64) -> u64 {
    time + ahead
}

/// Counts of events.
#[derive(Debug, Default)]
struct Counts {
    seconds: u64,
    rotations: u64,
    imports: u64,
    revocations: u64,
    rewraps: u64,
    dropped: u64,
    verified: u64,
    fetched: u64,
    most_keys: usize,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.rotations += other.rotations;
        self.imports += other.imports;
        self.revocations += other.revocations;
        self.rewraps += other.rewraps;
        self.dropped += other.dropped;
        self.verified += other.verified;
        self.fetched += other.fetched;
        self.most_keys = self.most_keys.max(other.most_keys);
    }
}

/// An issuer. All of them share one database.
struct Issuer {
    ahead: u64,
    sealer: Arc<Sealer>,
    /// The last reading of the keys, and its time.
    records: Vec<KeyRecord>,
    read_at: u64,
    /// The kid of its signing key.
    signer: Option<String>,
    reads_next: u64,
    /// The time of its start, while it is stopped, and of its restart with the new master key.
    starts_at: Option<u64>,
    restarts_at: Option<u64>,
}

/// A cache, and a verifier that uses the cached JWKS.
struct Cache {
    ahead: u64,
    verifier: Verifier,
    kids: Vec<String>,
    expires_at: u64,
}

struct Token {
    text: String,
    kid: String,
    /// By the issuer's clock.
    exp: u64,
    ahead: u64,
}

/// Facts about a key besides its record, in true time.
#[derive(Default)]
struct Fate {
    /// The expiry of the last JWKS without this key that a cache can hold.
    unknown_until: u64,
    last_signature: u64,
    retired: u64,
    /// True if it signed at once, like the first key of a database and the successor of a revoked
    /// key.
    at_once: bool,
}

struct World {
    random: Random,
    time: u64,
    rules: Rules,
    access_ttl: u64,
    max_age: u64,
    notice: u64,
    shrinks: bool,
    vault: Vault,
    sealer: Arc<Sealer>,
    master_keys: u8,
    issuers: Vec<Issuer>,
    caches: Vec<Cache>,
    tokens: Vec<Token>,
    fates: HashMap<String, Fate>,
    pairs: HashMap<String, Arc<SigningKey>>,
    made: usize,
    /// The time of the last change of the keys.
    changed: u64,
    /// The end of the time in which operators make requests.
    busy_until: u64,
    counts: Counts,
}

/// The private keys that all simulations share. Each use gets its own kid.
fn pool() -> &'static [(KeyRecord, Vec<u8>)] {
    static POOL: OnceLock<Vec<(KeyRecord, Vec<u8>)>> = OnceLock::new();
    POOL.get_or_init(|| {
        let sealer = sealer(0);
        let make = |_| {
            let record = signing::generate(&sealer, KeyBits::Rsa2048, 0).unwrap();
            let der = sealer.open(&record.sealed, &record.kid).unwrap().to_vec();
            (record, der)
        };
        (0..8).map(make).collect()
    })
}

fn sealer(number: u8) -> Arc<Sealer> {
    Arc::new(MasterKey::of([number; 32]).sealer().unwrap())
}

impl World {
    /// Starts with a configuration at the limits of [`Config::check`].
    fn new(seed: u64, adjust: impl Fn(&mut Config), sabotage: impl FnOnce(&mut Self)) -> Self {
        let mut random = Random(seed);
        let mut config = Config::default();
        let seconds = Duration::from_secs;
        loop {
            config.jwks_max_age = seconds(random.within(1, 300));
            config.clock_skew = seconds(random.within(0, 120));
            config.access_ttl = seconds(random.within(1, 900));
            let shortest = config.publish_lead().as_secs();
            let longest = if random.one_in(3) { shortest * 3 } else { 90 * 86400 };
            config.rotation_period = seconds(random.within(shortest, longest));
            adjust(&mut config);
            if config.check().is_ok() {
                break;
            }
        }
        let rules = Rules::new(&config);
        let (count, caches) = (random.within(1, 3), random.within(1, 4));
        let skew = rules.skew;
        let mut world = Self {
            time: START,
            rules,
            access_ttl: config.access_ttl.as_secs(),
            max_age: config.jwks_max_age.as_secs(),
            notice: NOTICE_WITHIN.as_secs(),
            shrinks: true,
            vault: Vault::default(),
            sealer: sealer(0),
            master_keys: 0,
            issuers: Vec::new(),
            caches: Vec::new(),
            tokens: Vec::new(),
            fates: HashMap::new(),
            pairs: HashMap::new(),
            made: 0,
            changed: START,
            busy_until: START + 3600,
            counts: Counts::default(),
            random,
        };
        sabotage(&mut world);
        for _ in 0..count {
            let ahead = world.random.within(0, skew);
            world.issuers.push(Issuer {
                ahead,
                sealer: Arc::clone(&world.sealer),
                records: Vec::new(),
                read_at: 0,
                signer: None,
                reads_next: 0,
                starts_at: Some(START),
                restarts_at: None,
            });
        }
        for _ in 0..caches {
            let policy = Policy::new(ISSUER, "api");
            let policy = policy.with_clock_tolerance(seconds(skew)).unwrap();
            let ahead = world.random.within(0, skew);
            let verifier = Verifier::new(policy);
            world.caches.push(Cache { ahead, verifier, kids: Vec::new(), expires_at: 0 });
        }
        world
    }

    fn run(mut self, rounds: usize) -> Result<Counts, String> {
        for _ in 0..rounds {
            self.pass_time()?;
            for index in 0..self.issuers.len() {
                self.live(index)?;
            }
            self.operate()?;
            self.sign()?;
            self.verify()?;
        }
        self.counts.seconds = self.time - START;
        Ok(self.counts)
    }

    /// Returns some seconds. If nothing is due, returns the time until something is.
    fn pass_time(&mut self) -> Result<(), String> {
        let settled = self.rules.lead + self.rules.lag + 2 * self.rules.skew + 60;
        let due = self.vault.keys.iter().filter_map(|key| key.drops_at);
        let due = due.chain(self.rules.switches_at(&self.vault.keys)).min().unwrap_or(0);
        let quiet_until = due.saturating_sub(settled);
        let all_up = self.issuers.iter().all(|one| {
            one.starts_at.is_none() && one.restarts_at.is_none() && one.read_at + 30 > self.time
        });
        if all_up && self.time > self.changed + settled && self.time < quiet_until {
            self.time = self.random.within(self.time, quiet_until);
            if self.random.one_in(3) {
                self.busy_until = self.time + self.random.within(60, 2 * settled);
            }
            self.tokens.clear();
            for index in 0..self.issuers.len() {
                self.read(index)?;
            }
        } else {
            self.time += self.random.within(1, 10);
        }
        Ok(())
    }

    /// Lets an issuer start, stop, or read the keys.
    fn live(&mut self, index: usize) -> Result<(), String> {
        let time = self.time;
        let issuer = &mut self.issuers[index];
        if issuer.restarts_at.is_some_and(|at| at <= time) {
            issuer.restarts_at = None;
            issuer.starts_at = Some(time + self.random.within(1, 20));
            issuer.signer = None;
        }
        if issuer.starts_at.is_some_and(|at| at <= time) {
            issuer.starts_at = None;
            issuer.sealer = Arc::clone(&self.sealer);
            issuer.records = Vec::new();
            issuer.signer = None;
            issuer.reads_next = time;
            return self.read(index);
        }
        if issuer.starts_at.is_none() && issuer.reads_next <= time {
            self.read(index)?;
        }
        Ok(())
    }

    /// Reads the keys like [`super::KeyRing::refresh`].
    fn read(&mut self, index: usize) -> Result<(), String> {
        let time = self.time;
        // A cache may hold any answer served until now. The worst case is an answer of this moment.
        let (before, age) = (self.issuers[index].records.clone(), self.served_age(index));
        if !before.is_empty() {
            for key in &self.vault.keys {
                if !before.iter().any(|known| known.kid == key.kid) {
                    let fate = self.fates.entry(key.kid.clone()).or_default();
                    fate.unknown_until = fate.unknown_until.max(time + age);
                }
            }
        }
        if self.vault.opens_under(&self.issuers[index].sealer) {
            self.step(index, &Request::Nothing)?;
        }
        let issuer = &mut self.issuers[index];
        issuer.records.clone_from(&self.vault.keys);
        issuer.read_at = time;
        // Usually a second later. Sometimes as late as allowed, or later.
        issuer.reads_next = time
            + match self.random.next() % 16 {
                0..12 => 1,
                12..15 => self.random.within(1, self.notice.saturating_sub(10)),
                _ => self.random.within(1, self.max_age * 2 + self.notice),
            };
        let active = in_state(&issuer.records, KeyState::Active).ok_or("no key is active")?;
        let opens = issuer.sealer.open(&active.sealed, &active.kid).is_some();
        let kid = active.kid.clone();
        if issuer.signer.as_ref() != Some(&kid) {
            issuer.signer = opens.then_some(kid);
        }
        Ok(())
    }

    /// Takes the due step and the request like [`super::advance`].
    fn step(&mut self, index: usize, request: &Request) -> Result<(), String> {
        let now = by_clock(self.time, self.issuers[index].ahead);
        let asked = request.apply(&self.vault.keys, now);
        let needed = self.rules.spares_needed(&asked, now);
        let spares: Vec<_> = (0..needed).map(|_| self.make(now)).collect();
        let after = self.rules.step(&asked, now, &spares);
        let before = std::mem::replace(&mut self.vault.keys, after);
        if before != self.vault.keys {
            self.changed = self.time;
            let revoked = matches!(request, Request::Revoke(_));
            let imported = matches!(request, Request::Import(_));
            self.judge(&before, revoked, imported)?;
        }
        for key in &self.vault.keys {
            let fate = self.fates.entry(key.kid.clone()).or_default();
            let (lag, skew) = (self.rules.lag, self.rules.skew);
            if key.state == KeyState::Retiring && self.time > fate.retired + lag + skew {
                return Err(format!("key {} outlives its time", key.kid));
            }
        }
        Ok(())
    }

    /// Checks that the keys may follow the keys before.
    fn judge(&mut self, before: &[KeyRecord], revoked: bool, imported: bool) -> Result<(), String> {
        let keys = &self.vault.keys;
        let count = |state| keys.iter().filter(|key| key.state == state).count();
        if count(KeyState::Active) != 1 || count(KeyState::Published) != 1 || keys.len() > 64 {
            return Err(format!("{} keys", keys.len()));
        }
        self.counts.most_keys = self.counts.most_keys.max(keys.len());
        for key in keys {
            let was = before.iter().find(|old| old.kid == key.kid).map(|old| old.state);
            let fate = self.fates.entry(key.kid.clone()).or_default();
            if key.state == KeyState::Active && was != Some(KeyState::Active) {
                fate.at_once = revoked || was.is_none();
                self.counts.rotations += u64::from(was.is_some());
            }
            if key.state == KeyState::Retiring && was == Some(KeyState::Active) {
                fate.retired = self.time;
            }
        }
        for gone in before.iter().filter(|old| !keys.iter().any(|key| key.kid == old.kid)) {
            let fate = self.fates.remove(&gone.kid).unwrap_or_default();
            if gone.state == KeyState::Retiring && !revoked {
                self.counts.dropped += 1;
                let due = fate.last_signature + self.access_ttl + self.max_age;
                if self.time < due {
                    let early = due - self.time;
                    return Err(format!("key {} is dropped {early} s too early", gone.kid));
                }
            } else if !(revoked || imported && gone.state == KeyState::Published) {
                return Err(format!("key {} is lost", gone.kid));
            } else {
                self.tokens.retain(|token| token.kid != gone.kid);
            }
        }
        Ok(())
    }

    /// Returns a new key: a pair of the pool under its own kid.
    fn make(&mut self, now: u64) -> KeyRecord {
        let (record, der) = &pool()[self.made % pool().len()];
        self.made += 1;
        let kid = format!("key-{}", self.made);
        let sealed = self.sealer.seal(der, &kid).unwrap();
        KeyRecord { kid, sealed, published_at: now, ..record.clone() }
    }

    /// Sometimes makes a request of an operator.
    fn operate(&mut self) -> Result<(), String> {
        if self.time > self.busy_until || !self.random.one_in(40) {
            return Ok(());
        }
        let at = self.random.next() % self.issuers.len() as u64;
        let index = usize::try_from(at).unwrap();
        let now = by_clock(self.time, self.issuers[index].ahead);
        // A command has the current master key, and reads the keys itself.
        let request = match self.random.next() % 8 {
            0..3 => Request::Rotate,
            3..5 => {
                self.counts.imports += 1;
                Request::Import(Box::new(self.make(now)))
            }
            5 => {
                let kids: Vec<_> = self.vault.keys.iter().map(|key| key.kid.clone()).collect();
                let Some(kid) = self.random.pick(&kids).cloned() else { return Ok(()) };
                self.counts.revocations += 1;
                Request::Revoke(kid)
            }
            6 => return self.rewrap(),
            _ => {
                self.issuers[index].restarts_at = Some(self.time);
                return Ok(());
            }
        };
        if !self.vault.keys.is_empty() {
            self.step(index, &request)?;
            if !matches!(request, Request::Rotate) && self.random.one_in(2) {
                self.step(index, &Request::Rotate)?;
            }
        }
        Ok(())
    }

    /// Changes the master key. The issuers get it one after the other.
    fn rewrap(&mut self) -> Result<(), String> {
        self.master_keys += 1;
        let new = sealer(self.master_keys);
        self.vault = resealed(&self.vault, &self.sealer, &new).ok_or("it cannot be sealed anew")?;
        self.sealer = new;
        self.counts.rewraps += 1;
        for issuer in &mut self.issuers {
            issuer.restarts_at = Some(self.time + self.random.within(0, 600));
        }
        Ok(())
    }

    fn sign(&mut self) -> Result<(), String> {
        for index in 0..self.issuers.len() {
            let issuer = &self.issuers[index];
            let unread = self.time - issuer.read_at;
            let Some(kid) = &issuer.signer else { continue };
            if issuer.starts_at.is_some() || unread >= self.notice || !self.random.one_in(4) {
                continue;
            }
            let kid = kid.clone();
            let (now, ahead) = (by_clock(self.time, issuer.ahead), issuer.ahead);
            // Until an issuer notices the revocation it signs tokens that no one accepts.
            let Some(fate) = self.fates.get_mut(&kid) else { continue };
            if !fate.at_once && self.time < fate.unknown_until {
                let early = fate.unknown_until - self.time;
                return Err(format!("key {kid} signs {early} s before each cache can have it"));
            }
            fate.last_signature = self.time;
            let exp = now + self.access_ttl;
            let at_once = fate.at_once;
            let record = issuer.records.iter().find(|key| key.kid == kid).ok_or("no record")?;
            let signer = match self.pairs.get(&kid) {
                Some(signer) => Arc::clone(signer),
                // The pair is parsed once for each key. Whether the issuer can open it was checked
                // above.
                None => {
                    let number = kid.trim_start_matches("key-").parse::<usize>().unwrap() - 1;
                    let (_, der) = &pool()[number % pool().len()];
                    let sealed = self.sealer.seal(der, &kid).unwrap();
                    let record = KeyRecord { sealed, ..record.clone() };
                    let signer = SigningKey::open(&record, &self.sealer).map(Arc::new).unwrap();
                    self.pairs.entry(kid.clone()).or_insert(signer).clone()
                }
            };
            let text = signer.sign(TokenType::AccessToken, &claims(now, exp)).unwrap();
            // After a revocation caches may not know the next key for a while.
            if !at_once {
                self.tokens.push(Token { text, kid, exp, ahead });
            }
        }
        let time = self.time;
        self.tokens.retain(|token| time + token.ahead < token.exp);
        Ok(())
    }

    /// Caches fetch an expired JWKS again, and verify the tokens that exist.
    fn verify(&mut self) -> Result<(), String> {
        for index in 0..self.caches.len() {
            if self.time >= self.caches[index].expires_at || self.random.one_in(20) {
                self.fetch(index)?;
            }
            let cache = &self.caches[index];
            if cache.kids.is_empty() {
                continue;
            }
            let now = by_clock(self.time, cache.ahead);
            let newest = self.tokens.last();
            for token in newest.into_iter().chain(self.random.pick(&self.tokens)) {
                if now >= token.exp || !self.random.one_in(4) {
                    continue;
                }
                self.counts.verified += 1;
                let verdict = cache.verifier.verify(&token.text, Duration::from_secs(now));
                if let Err(e) = verdict {
                    return Err(format!("a token of key {} is refused: {}", token.kid, e.code()));
                }
            }
        }
        Ok(())
    }

    fn fetch(&mut self, index: usize) -> Result<(), String> {
        // An issuer without a database for long is not ready, and gets no requests.
        let ready = self.max_age + NOTICE_WITHIN.as_secs();
        let up = |issuer: &&Issuer| {
            let unread = self.time - issuer.read_at;
            issuer.starts_at.is_none() && !issuer.records.is_empty() && unread < ready
        };
        let up: Vec<_> = self.issuers.iter().enumerate().filter(|(_, one)| up(one)).collect();
        let Some((from, issuer)) = self.random.pick(&up).copied() else {
            // No issuer answers. The cached JWKS has expired.
            self.caches[index].kids.clear();
            return Ok(());
        };
        let jwks = JwkSet {
            keys: issuer
                .records
                .iter()
                .map(|key| Jwk {
                    kid: Some(key.kid.clone()),
                    ..Jwk::rsa(key.n.clone(), key.e.clone())
                })
                .collect(),
        };
        let kids = issuer.records.iter().map(|key| key.kid.clone()).collect();
        let age = self.served_age(from);
        let jwks = serde_json::to_string(&jwks).map_err(|e| e.to_string())?;
        let keys = KeySet::from_json(&jwks).map_err(|e| e.code().to_owned())?;
        let cache = &mut self.caches[index];
        cache.verifier.set_keys(keys);
        cache.kids = kids;
        cache.expires_at = self.time + age;
        self.counts.fetched += 1;
        Ok(())
    }

    /// Returns the `max-age` of the JWKS that this issuer serves now.
    fn served_age(&self, index: usize) -> u64 {
        let issuer = &self.issuers[index];
        let now = by_clock(self.time, issuer.ahead);
        let drops = issuer.records.iter().filter_map(|key| key.drops_at);
        let changes_at = drops.chain(self.rules.switches_at(&issuer.records)).min();
        let unread = self.time.saturating_sub(issuer.read_at);
        let unread = if self.shrinks { unread } else { 0 };
        max_age(changes_at, Duration::from_secs(unread), now, Duration::from_secs(self.max_age))
    }
}

fn claims(now: u64, exp: u64) -> Claims {
    Claims {
        iss: Some(ISSUER.to_owned()),
        sub: Some("user_x".to_owned()),
        aud: Some(Audience::One("api".to_owned())),
        client_id: Some("client_x".to_owned()),
        iat: Some(NumericDate::from_seconds(now)),
        exp: Some(NumericDate::from_seconds(exp)),
        jti: Some("x".to_owned()),
        ..Claims::default()
    }
}
