//! Metrics for Prometheus, which reads them at the admin listener.
//!
//! Each counter is looked up when the issuer starts, so that counting is an addition. Labels are
//! routes, results, states and kids. No label holds text that a client sent.

mod gauges;
mod process;
mod storage;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use self::gauges::Gauges;
pub(crate) use self::gauges::Snapshot;
use self::storage::Storage;
pub(crate) use self::storage::disks;
use crate::{Config, Error};

/// The media type of [`Metrics::text`].
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of one issuer.
pub(crate) struct Metrics {
    registry: Registry,
    routes: Vec<Route>,
    pub(crate) logins: Logins,
    pub(crate) refreshes: Refreshes,
    /// Uses of passkeys whose signature counter did not grow.
    pub(crate) passkey_counters_back: IntCounter,
    /// The time of one password hash, without its wait.
    pub(crate) hash_seconds: Histogram,
    /// The time of one signature.
    pub(crate) sign_seconds: Histogram,
    pub(crate) store: Operations,
    pub(crate) storage: Storage,
    connections: IntGauge,
    evicted_connections: IntCounter,
    ready: IntGaugeVec,
    /// Locked while they are set and rendered, so that two readers do not mix their readings.
    gauges: Mutex<Gauges>,
}

/// Requests to one route.
struct Route {
    path: &'static str,
    counts: Vec<(u16, IntCounter)>,
    /// Answers with another status.
    other: IntCounter,
    seconds: Histogram,
}

/// Every status that the issuer answers with.
const STATUSES: [u16; 17] =
    [200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503];

/// Logins by result. A malformed request does not count as a login. If the database or the keys
/// fail, the login counts as a request with status 503 and nothing else.
pub(crate) struct Logins {
    pub(crate) ok: IntCounter,
    /// The name or the password is wrong.
    pub(crate) wrong: IntCounter,
    /// Name and password are right, and the user is locked.
    pub(crate) locked: IntCounter,
    /// Name and password are right, and the password has expired.
    pub(crate) expired: IntCounter,
    /// Name and password are right, and a second factor is needed.
    pub(crate) second_factor: IntCounter,
    /// The second factor is wrong, or was used before.
    pub(crate) second_factor_wrong: IntCounter,
    /// The network tried too often.
    pub(crate) limited: IntCounter,
    /// The account failed too often, from this network or from all of them.
    pub(crate) held_back: IntCounter,
    /// Too many logins wait for a hash.
    pub(crate) queue_full: IntCounter,
}

/// Refreshes by their [`crate::session::Verdict`].
pub(crate) struct Refreshes {
    pub(crate) rotated: IntCounter,
    pub(crate) repeated: IntCounter,
    pub(crate) reused: IntCounter,
    /// The token is malformed or forged, or its session has ended or expired.
    pub(crate) refused: IntCounter,
    pub(crate) scope_too_wide: IntCounter,
    /// The user has to authenticate again first.
    pub(crate) too_old: IntCounter,
}

/// Operations of the store, by their cost.
pub(crate) struct Operations {
    pub(crate) read: Operation,
    /// Answers when the change is durable.
    pub(crate) write: Operation,
    /// May take long: deletes old rows, counts, or copies everything.
    pub(crate) bulk: Operation,
    /// The check of readiness.
    pub(crate) ping: Operation,
}

/// One class of operations.
pub(crate) struct Operation {
    pub(crate) seconds: Histogram,
    pub(crate) errors: IntCounter,
}

/// An open connection, counted until it is dropped.
pub(crate) struct Connection(IntGauge);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Registers all metrics, at zero. `routes` are the paths that requests are counted by.
    ///
    /// # Errors
    ///
    /// Fails only if two metrics have the same name.
    pub(crate) fn new(
        config: &Config,
        routes: impl Iterator<Item = &'static str>,
    ) -> Result<Arc<Self>, Error> {
        Self::make(config, routes)
            .map(Arc::new)
            .map_err(|e| Error::System(format!("no metrics: {e}")))
    }

    fn make(
        config: &Config,
        routes: impl Iterator<Item = &'static str>,
    ) -> prometheus::Result<Self> {
        let maker = Maker(Registry::new());
        maker
            .gauge_vec("countersign_build_info", "1, with the version", &["version"])?
            .get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?
            .set(1.0);
        maker
            .gauge("countersign_key_rotation_period_seconds", "How long one key signs")?
            .set(config.rotation_period.as_secs_f64());
        maker
            .gauge("countersign_connections_limit", "Connections that may be open")?
            .set(config.connections.into());
        Ok(Self {
            routes: counted_routes(&maker, routes)?,
            logins: logins(&maker)?,
            refreshes: refreshes(&maker)?,
            passkey_counters_back: maker.int_counter(
                "countersign_passkey_counters_back_total",
                "Uses of passkeys whose signature counter did not grow",
            )?,
            hash_seconds: maker.histogram(
                "countersign_password_hash_duration_seconds",
                "Time of one password hash, without its wait",
                &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5],
            )?,
            sign_seconds: maker.histogram(
                "countersign_token_sign_duration_seconds",
                "Time of the signature of one access token",
                &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0],
            )?,
            store: operations(&maker)?,
            storage: Storage::new(&maker, config)?,
            connections: maker.int_gauge("countersign_connections_open", "Open connections")?,
            evicted_connections: maker.int_counter(
                "countersign_connections_evicted_total",
                "Connections closed to make room for others",
            )?,
            ready: maker.register(IntGaugeVec::new(
                Opts::new("countersign_ready", "Whether a check of /healthz/ready passes"),
                &["check"],
            )?)?,
            gauges: Mutex::new(Gauges::new(&maker)?),
            registry: maker.0,
        })
    }

    /// Counts an answer of the public listener or the Admin API. `path` is one of the routes given to
    /// [`Metrics::new`].
    pub(crate) fn count_request(&self, path: &'static str, status: u16, took: Duration) {
        let Some(route) = self.routes.iter().find(|route| route.path == path) else { return };
        let known = route.counts.iter().find(|(known, _)| *known == status);
        known.map_or(&route.other, |(_, count)| count).inc();
        route.seconds.observe(took.as_secs_f64());
    }

    /// Counts a connection of the public listener that was closed to make room for another one.
    pub(crate) fn count_evicted_connection(&self) {
        self.evicted_connections.inc();
    }

    /// Counts a connection of the public listener until it is dropped.
    pub(crate) fn connection(&self) -> Connection {
        self.connections.inc();
        Connection(self.connections.clone())
    }

    /// Stores the result of a check of readiness.
    pub(crate) fn set_ready(&self, check: &str, is_ready: bool) {
        if let Ok(gauge) = self.ready.get_metric_with_label_values(&[check]) {
            gauge.set(is_ready.into());
        }
    }

    /// Sets the gauges to `snapshot`, and renders all metrics in Prometheus' text format.
    pub(crate) fn text(&self, snapshot: &Snapshot<'_>) -> Result<String, Error> {
        let failed = |e: prometheus::Error| Error::System(format!("no metrics: {e}"));
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.set(snapshot).map_err(failed)?;
        TextEncoder::new().encode_to_string(&self.registry.gather()).map_err(failed)
    }
}

impl Operation {
    /// Runs an operation and counts it. The time includes `ask` itself, since a look-up may be done
    /// before its future is polled.
    pub(crate) async fn time<T, E, Answer>(&self, ask: impl FnOnce() -> Answer) -> Result<T, E>
    where
        Answer: Future<Output = Result<T, E>>,
    {
        let started = Instant::now();
        let result = ask().await;
        self.seconds.observe(started.elapsed().as_secs_f64());
        if result.is_err() {
            self.errors.inc();
        }
        result
    }
}

fn counted_routes(
    maker: &Maker,
    routes: impl Iterator<Item = &'static str>,
) -> prometheus::Result<Vec<Route>> {
    let labels = ["route", "status"];
    let counts = maker.counters("countersign_http_requests_total", "Requests answered", &labels)?;
    let seconds = maker.register(HistogramVec::new(
        HistogramOpts::new(
            "countersign_http_request_duration_seconds",
            "Time from a request's header to its answer",
        )
        .buckets(vec![
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ]),
        &["route"],
    )?)?;
    let of_route = |path| {
        let count = |status: &str| counts.get_metric_with_label_values(&[path, status]);
        let known = |status: u16| Ok((status, count(&status.to_string())?));
        Ok(Route {
            path,
            counts: STATUSES.into_iter().map(known).collect::<prometheus::Result<_>>()?,
            other: count("other")?,
            seconds: seconds.get_metric_with_label_values(&[path])?,
        })
    };
    routes.map(of_route).collect()
}

fn logins(maker: &Maker) -> prometheus::Result<Logins> {
    let logins = maker.counters("countersign_logins_total", "Logins by result", &["result"])?;
    let result = |result: &str| logins.get_metric_with_label_values(&[result]);
    Ok(Logins {
        ok: result("ok")?,
        wrong: result("wrong")?,
        locked: result("locked")?,
        expired: result("expired")?,
        second_factor: result("second_factor")?,
        second_factor_wrong: result("second_factor_wrong")?,
        limited: result("limited")?,
        held_back: result("held_back")?,
        queue_full: result("queue_full")?,
    })
}

fn refreshes(maker: &Maker) -> prometheus::Result<Refreshes> {
    let help = "Uses of refresh tokens by result";
    let refreshes = maker.counters("countersign_refreshes_total", help, &["result"])?;
    let result = |result: &str| refreshes.get_metric_with_label_values(&[result]);
    Ok(Refreshes {
        rotated: result("rotated")?,
        repeated: result("repeated")?,
        reused: result("reused")?,
        refused: result("refused")?,
        scope_too_wide: result("scope_too_wide")?,
        too_old: result("too_old")?,
    })
}

fn operations(maker: &Maker) -> prometheus::Result<Operations> {
    let buckets =
        [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
    let seconds = maker.register(HistogramVec::new(
        HistogramOpts::new("countersign_store_duration_seconds", "Time of the database's answers")
            .buckets(buckets.into()),
        &["operation"],
    )?)?;
    let help = "Answers that the database failed to give";
    let errors = maker.counters("countersign_store_errors_total", help, &["operation"])?;
    let operation = |name: &str| {
        prometheus::Result::Ok(Operation {
            seconds: seconds.get_metric_with_label_values(&[name])?,
            errors: errors.get_metric_with_label_values(&[name])?,
        })
    };
    Ok(Operations {
        read: operation("read")?,
        write: operation("write")?,
        bulk: operation("bulk")?,
        ping: operation("ping")?,
    })
}

/// Makes and registers metrics.
struct Maker(Registry);

impl Maker {
    fn register<M: Collector + Clone + 'static>(&self, metric: M) -> prometheus::Result<M> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn int_counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.register(IntCounter::new(name, help)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.register(Gauge::new(name, help)?)
    }

    fn int_gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.register(IntGauge::new(name, help)?)
    }

    fn gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        self.register(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.into()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_before_the_first_poll_is_timed() {
        let metrics = Metrics::new(&Config::default(), std::iter::empty()).unwrap();
        let read = &metrics.store.read;
        let work = || std::thread::sleep(Duration::from_millis(20));
        let at_once = read.time(|| {
            work();
            std::future::ready(Ok::<_, ()>(7))
        });
        assert_eq!(at_once.await, Ok(7));
        let later = read.time(|| async {
            work();
            Err::<(), _>("gone")
        });
        assert_eq!(later.await, Err("gone"));
        assert!(read.seconds.get_sample_sum() >= 0.04);
        assert_eq!((read.seconds.get_sample_count(), read.errors.get()), (2, 1));
    }
}
