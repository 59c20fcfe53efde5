//! Gauges, and counts that others keep, which are set when somebody reads the metrics.

use std::ops::Range;
use std::time::Duration;

use prometheus::{Gauge, GaugeVec, IntCounter, IntGauge};

use super::{Maker, process};
use crate::keys::{KeyRecord, KeyState};
use crate::log_lines;

/// The values of the gauges at one moment. Times are UNIX seconds.
pub(crate) struct Snapshot<'a> {
    pub(crate) now: u64,
    pub(crate) hashes_running: usize,
    pub(crate) hashes_waiting: usize,
    pub(crate) keys: &'a [KeyRecord],
    /// The next change of the key set, if one is known.
    pub(crate) keys_change_at: Option<u64>,
    /// The time since the keys were read from the database.
    pub(crate) keys_read_age: Duration,
    /// The validity of the TLS certificate, if there is one.
    pub(crate) certificate: Option<Range<u64>>,
    /// The age of the last backup in seconds; NaN if it is unknown.
    pub(crate) backup_age: f64,
}

pub(super) struct Gauges {
    hashes_running: IntGauge,
    hashes_waiting: IntGauge,
    key_age: GaugeVec,
    key_signing: Gauge,
    key_next_change: Gauge,
    keys_read: Gauge,
    certificate_expires: Gauge,
    certificate_lifetime: Gauge,
    backup_age: Gauge,
    log_lines_lost: IntCounter,
    process: process::Metrics,
}

impl Gauges {
    pub(super) fn new(maker: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            hashes_running: maker
                .int_gauge("countersign_password_hashes_running", "Password hashes that run")?,
            hashes_waiting: maker
                .int_gauge("countersign_password_hashes_waiting", "Logins that wait for a hash")?,
            key_age: maker.gauge_vec(
                "countersign_key_age_seconds",
                "Time since a key was published",
                &["kid", "state"],
            )?,
            key_signing: maker.gauge(
                "countersign_key_signing_seconds",
                "Time since the active key began to sign",
            )?,
            key_next_change: maker.gauge(
                "countersign_key_next_change_seconds",
                "Time until the key set changes; negative if that is overdue",
            )?,
            keys_read: maker.gauge(
                "countersign_keys_read_age_seconds",
                "Time since the keys were read from the database",
            )?,
            certificate_expires: maker.gauge(
                "countersign_certificate_expires_seconds",
                "Time until the certificate in tls_cert expires, negative after that; infinite without one",
            )?,
            certificate_lifetime: maker.gauge(
                "countersign_certificate_lifetime_seconds",
                "Lifetime of the certificate in tls_cert; infinite without one",
            )?,
            backup_age: maker.gauge(
                "countersign_backup_age_seconds",
                "Age of the newest file in backup_folder; infinite without one, NaN without backup_folder",
            )?,
            log_lines_lost: maker.register(IntCounter::new(
                "countersign_log_lines_lost_total",
                "Lines of the log that were not written",
            )?)?,
            process: process::Metrics::new(&maker.0)?,
        })
    }

    pub(super) fn set(&self, snapshot: &Snapshot<'_>) -> prometheus::Result<()> {
        let count = |count: usize| count.try_into().unwrap_or(i64::MAX);
        self.hashes_running.set(count(snapshot.hashes_running));
        self.hashes_waiting.set(count(snapshot.hashes_waiting));

        let since = |at: u64| snapshot.now as f64 - at as f64;
        // The labels of a dropped key would stay otherwise.
        self.key_age.reset();
        for key in snapshot.keys {
            let labels = [key.kid.as_str(), key.state.name()];
            self.key_age.get_metric_with_label_values(&labels)?.set(since(key.published_at));
            if key.state == KeyState::Active {
                self.key_signing.set(since(key.activates_at.unwrap_or(key.published_at)));
            }
        }
        self.key_next_change.set(snapshot.keys_change_at.map_or(f64::INFINITY, |at| -since(at)));
        self.keys_read.set(snapshot.keys_read_age.as_secs_f64());

        let validity = snapshot.certificate.clone();
        let (from, until) =
            validity.map_or((0.0, f64::INFINITY), |v| (v.start as f64, v.end as f64));
        self.certificate_expires.set(until - snapshot.now as f64);
        self.certificate_lifetime.set(until - from);
        self.backup_age.set(snapshot.backup_age);
        self.log_lines_lost.inc_by(log_lines::lost().saturating_sub(self.log_lines_lost.get()));
        self.process.update();
        Ok(())
    }
}
