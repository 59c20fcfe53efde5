//! Metrics of the process, under the names that Prometheus' own clients use. Without Linux' `/proc`
//! only the start time is known.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{Counter, Gauge, Registry};

/// The unit of the times in `/proc/self/stat`: `USER_HZ` is 100 for every program.
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) struct Metrics {
    cpu: Counter,
    memory: Gauge,
    open_files: Gauge,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| Gauge::new(name, help);
        let start = gauge("process_start_time_seconds", "Start of the process in UNIX seconds")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        start.set(now.as_secs_f64());
        registry.register(Box::new(start))?;
        let metrics = Self {
            cpu: Counter::new("process_cpu_seconds_total", "Processor time of user and system")?,
            memory: gauge("process_resident_memory_bytes", "Memory in use")?,
            open_files: gauge("process_open_fds", "Open file descriptors")?,
        };
        let most = gauge("process_max_fds", "Most file descriptors that may be open")?;
        if fs::exists("/proc/self/stat").unwrap_or(false) {
            most.set(max_files().unwrap_or(f64::INFINITY));
            let gauges = [metrics.memory.clone(), metrics.open_files.clone(), most];
            let gauges = gauges.into_iter().map(|gauge| Box::new(gauge) as Box<dyn Collector>);
            for metric in gauges.chain([Box::new(metrics.cpu.clone()) as _]) {
                registry.register(metric)?;
            }
        }
        Ok(metrics)
    }

    /// Reads the values again. A value that cannot be read stays as it was.
    pub(crate) fn update(&self) {
        // A counter only goes up.
        self.cpu.inc_by(cpu().map_or(0.0, |cpu| (cpu - self.cpu.get()).max(0.0)));
        if let Some(memory) = memory() {
            self.memory.set(memory);
        }
        if let Some(open_files) = open_files() {
            self.open_files.set(open_files);
        }
    }
}

fn cpu() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses. It can hold spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    Some((times.next()?.ok()? + times.next()?.ok()?) / TICKS_PER_SECOND)
}

fn memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kib.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

fn open_files() -> Option<f64> {
    // Reading the folder opens one more.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn max_files() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
