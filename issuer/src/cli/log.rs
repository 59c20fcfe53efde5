//! The log on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use crate::log_lines::LogLines;
use crate::{Config, LogFormat};

/// Starts logging to `stderr`. Libraries log at most warnings and errors: their other lines may
/// contain the data that they process.
pub(super) fn start(config: &Config, stderr: LogLines) {
    let own = LevelFilter::from_level(config.log_level);
    let levels = Targets::new()
        .with_target("countersign_issuer", own)
        .with_default(own.min(LevelFilter::WARN));
    let lines = fmt::layer().with_writer(move || stderr.clone());
    let lines = match config.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    registry().with(levels).with(lines).init();
}
