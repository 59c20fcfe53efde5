//! Defaults that follow from other settings.

use std::net::SocketAddr;

use super::database::master_key_beside;
use super::passkeys::PasskeySite;
use super::{Config, DatabaseUrl};

/// Returns the URL of a listener.
pub(crate) fn url_of(address: SocketAddr, has_tls: bool) -> String {
    let scheme = if has_tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

impl Config {
    /// Returns the configuration with the defaults that follow from other settings. [`Config`] itself has
    /// only what was set: a port of 0 has another URL when it is bound.
    #[must_use]
    pub(crate) fn in_force(&self) -> Self {
        let is_loopback = self.listen.ip().is_loopback();
        let mut all = self.clone();
        all.idle_timeout = Some(self.idle_timeout());
        if is_loopback && self.listen.port() != 0 {
            all.issuer.get_or_insert_with(|| url_of(self.listen, self.tls_cert.is_some()));
        }
        if is_loopback
            && self.master_key.is_none()
            && let DatabaseUrl::Sqlite(database) = &self.database
        {
            all.master_key_file.get_or_insert_with(|| master_key_beside(database));
        }
        // Without a URL the issuer is on loopback, whatever its port.
        let issuer = all.issuer.as_deref().unwrap_or("http://127.0.0.1");
        if let Some(PasskeySite { rp_id, origins }) = self.passkey_site(issuer) {
            all.passkey_rp_id = Some(rp_id);
            all.passkey_origins = origins.iter().filter_map(|text| text.parse().ok()).collect();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    /// Returns the values in force of the settings that have such defaults.
    fn shown(config: &Config) -> [Option<String>; 5] {
        let all = config.in_force();
        let names =
            ["issuer", "master_key_file", "idle_timeout", "passkey_rp_id", "passkey_origins"];
        names.map(|name| all.values().find(|(one, _)| *one == name).unwrap().1)
    }

    fn check(config: &Config, expected: [&str; 5]) {
        let shown = shown(config).map(Option::unwrap_or_default);
        assert_eq!(shown.each_ref().map(String::as_str), expected);
    }

    #[test]
    fn a_default_on_loopback_follows_from_the_address_and_the_database() {
        let beside = "countersign.db.master-key";
        check(&Config::default(), ["http://127.0.0.1:8080", beside, "10s", "", ""]);
        let config = Config {
            listen: "[::1]:8443".parse().unwrap(),
            tls_cert: Some("cert.pem".into()),
            behind_proxy: true,
            ..Config::default()
        };
        check(&config, ["https://[::1]:8443", beside, "620s", "", ""]);
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            master_key: Some(Secret::new("key".to_owned())),
            ..Config::default()
        };
        check(&config, ["", "", "10s", "", ""]);
        let database = "postgres://user@localhost/x".parse().unwrap();
        let config = Config { database, ..Config::default() };
        check(&config, ["http://127.0.0.1:8080", "", "10s", "", ""]);
        let config = Config { listen: "192.0.2.1:8080".parse().unwrap(), ..Config::default() };
        check(&config, ["", "", "10s", "", ""]);
    }

    #[test]
    fn the_site_of_passkeys_follows_from_the_issuer_and_the_pages() {
        let parse = |text: &str| vec![text.parse().unwrap()];
        let page = "http://localhost:3000";
        let config = Config { cors_origins: parse(page), ..Config::default() };
        let [.., rp_id, origins] = shown(&config);
        assert_eq!((rp_id.as_deref(), origins.as_deref()), (Some("localhost"), Some(page)));
        let config = Config {
            issuer: Some("https://auth.example.com/x".to_owned()),
            passkey_rp_id: Some("example.com".to_owned()),
            cors_origins: parse("https://app.example.com"),
            ..Config::default()
        };
        let [issuer, _, _, rp_id, origins] = shown(&config);
        assert_eq!((issuer, rp_id), (config.issuer.clone(), config.passkey_rp_id.clone()));
        let expected = "https://auth.example.com, https://app.example.com";
        assert_eq!(origins.as_deref(), Some(expected));
        let config = Config { passkey_origins: parse("https://example.com"), ..config };
        let [.., origins] = shown(&config);
        assert_eq!(origins.as_deref(), Some("https://example.com"));
    }

    #[test]
    fn a_value_that_is_set_stays() {
        let config = Config {
            issuer: Some("http://127.0.0.1:9".to_owned()),
            master_key_file: Some("key".into()),
            idle_timeout: Some(std::time::Duration::from_secs(7)),
            ..Config::default()
        };
        check(&config, ["http://127.0.0.1:9", "key", "7s", "", ""]);
    }
}
