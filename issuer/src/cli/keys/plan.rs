//! `keys plan`: a chart of the keys over time.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use time::UtcDateTime;

use super::{Output, existing};
use crate::config::NOTICE_WITHIN;
use crate::keys::{Life, ROTATIONS_SHOWN, Rules};
use crate::{Clock, Config, Error};

/// Draws the past and planned states of the keys over time.
pub(super) async fn plan(config: &Config, output: Output) -> Result<(), Error> {
    let records = existing(config).await?.keys().await?;
    let now = Clock::system().now();
    let lives = Rules::new(config).forecast(&records, now, ROTATIONS_SHOWN);
    let keys: Value = lives.iter().map(object).collect();
    let json = json!({
        "now": now,
        "keys": keys,
        "publish_lead": config.publish_lead().as_secs(),
        "drop_lag": config.drop_lag().as_secs(),
        "rotation_period": config.rotation_period.as_secs(),
        "access_ttl": config.access_ttl.as_secs(),
        "jwks_max_age": config.jwks_max_age.as_secs(),
        "clock_skew": config.clock_skew.as_secs(),
    });
    output.print(&format!("{}\n{}", draw(&lives, now), intervals(config)), &json)
}

fn object(life: &Life) -> Value {
    json!({
        "kid": life.kid,
        "created_at": life.published,
        "activates_at": life.activates,
        "retires_at": life.retires,
        "drops_at": life.drops,
    })
}

/// The columns of a bar and of the name before it. With the space between, a line has 80 at most.
const COLUMNS: u64 = 70;
const NAME: usize = 9;

fn draw(lives: &[Life], now: u64) -> String {
    let times = lives.iter().flat_map(|life| {
        [Some(life.published), life.activates, life.retires, life.drops].into_iter().flatten()
    });
    let (first, last) = times.fold((now, now), |(low, high), at| (low.min(at), high.max(at)));
    // Space for phases without an end.
    let end = last + (last - first) / 12 + 1;
    let axis = Axis { first, end };
    let now_column = axis.column(now);
    let mut out = format!("{}now\n", " ".repeat(NAME + 1 + now_column));
    for life in lives {
        let _ = writeln!(out, "{:NAME$} {}", name(life), bar(life, &axis, now_column));
    }
    let marks: Vec<_> = (0..4).map(|part| first + (end - first) * part / 4).collect();
    let mut scale = String::new();
    for at in marks {
        let column = axis.column(at);
        while scale.chars().count() < column {
            scale.push(' ');
        }
        let _ = write!(scale, "└{}", axis.mark(at));
    }
    let _ = writeln!(out, "{:NAME$} {scale}", "UTC");
    let _ = writeln!(out, "{:NAME$} ░ published, not signing   █ signing   ▒ retiring\n", "");
    let [key, published, signs, retires] = ["key", "published", "signs from", "retires"];
    let _ = writeln!(out, "{key:NAME$} {published:16}  {signs:16}  {retires:16}  gone");
    for life in lives {
        let time = |at: Option<u64>| at.map_or_else(|| "-".to_owned(), |at| axis.time(at));
        let _ = writeln!(
            out,
            "{:NAME$} {:16}  {:16}  {:16}  {}",
            name(life),
            axis.time(life.published),
            time(life.activates),
            time(life.retires),
            time(life.drops),
        );
    }
    out
}

fn name(life: &Life) -> String {
    let start = |kid: &String| format!("{}…", kid.chars().take(NAME - 1).collect::<String>());
    life.kid.as_ref().map_or_else(|| "to come".to_owned(), start)
}

/// Draws one character a column. Every phase has at least one.
fn bar(life: &Life, axis: &Axis, now: usize) -> String {
    let mut columns = vec![' '; usize::try_from(COLUMNS).unwrap_or_default()];
    if let Some(column) = columns.get_mut(now) {
        *column = '│';
    }
    let end = axis.end;
    let phases = [
        ('░', Some(life.published), life.activates),
        ('█', life.activates, life.retires),
        ('▒', life.retires, life.drops),
    ];
    for (sign, from, to) in phases {
        let Some(from) = from else { continue };
        if to == Some(from) {
            continue;
        }
        let (from, to) = (axis.column(from), axis.column(to.unwrap_or(end)));
        for column in columns.iter_mut().take(to.max(from + 1)).skip(from) {
            *column = sign;
        }
    }
    columns.into_iter().collect::<String>().trim_end().to_owned()
}

struct Axis {
    first: u64,
    end: u64,
}

impl Axis {
    fn column(&self, at: u64) -> usize {
        let column = (at.saturating_sub(self.first)) * COLUMNS / (self.end - self.first).max(1);
        usize::try_from(column.min(COLUMNS)).unwrap_or_default()
    }

    fn is_long(&self) -> bool {
        self.end - self.first > 3 * 86400
    }

    fn mark(&self, at: u64) -> String {
        let (date, time) = date_and_time(at);
        if self.is_long() { date } else { time }
    }

    fn time(&self, at: u64) -> String {
        let (date, time) = date_and_time(at);
        let (month, minutes) = (date.get(5..).unwrap_or(""), time.get(..5).unwrap_or(""));
        if self.is_long() { format!("{date} {minutes}") } else { format!("{month} {time}") }
    }
}

/// Returns `2026-11-24` and `17:30:05`, in UTC.
fn date_and_time(at: u64) -> (String, String) {
    let at = i64::try_from(at).ok().and_then(|at| UtcDateTime::from_unix_timestamp(at).ok());
    let at = at.unwrap_or(UtcDateTime::MAX);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.as_hms();
    let date = format!("{year:04}-{:02}-{day:02}", u8::from(month));
    (date, format!("{hour:02}:{minute:02}:{second:02}"))
}

/// Returns the rules for the times between the steps, with the values in force.
fn intervals(config: &Config) -> String {
    let s = |duration: Duration| format!("{} s", duration.as_secs());
    let (age, skew) = (s(config.jwks_max_age), s(config.clock_skew));
    let (ttl, notice) = (s(config.access_ttl), s(NOTICE_WITHIN));
    format!(
        "signs from ≥ published + {}\n  = jwks_max_age {age} + clock_skew {skew} + {notice} to \
         notice\ngone       ≥ last signature + {}\n  = access_ttl {ttl} + jwks_max_age {age} + \
         clock_skew {skew} + {notice} to notice\nretires    = signs from + rotation_period {}, or \
         sooner by keys rotate\n",
        s(config.publish_lead()),
        s(config.drop_lag()),
        s(config.rotation_period),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_utc() {
        for (at, date, time) in [
            (951_782_399, "2000-02-28", "23:59:59"),
            (951_782_400, "2000-02-29", "00:00:00"),
            (1_800_000_000, "2027-01-15", "08:00:00"),
            (u64::MAX, "9999-12-31", "23:59:59"),
        ] {
            assert_eq!(date_and_time(at), (date.to_owned(), time.to_owned()));
        }
    }

    #[test]
    fn each_phase_is_drawn_and_no_line_is_longer_than_80_columns() {
        let life = |published, activates, retires, drops| Life {
            kid: Some("k".repeat(43)),
            published,
            activates,
            retires,
            drops,
        };
        for period in [400, 86400, 30 * 86400, 366 * 86400] {
            let start = 1_800_000_000;
            let lives = [
                life(start, Some(start), Some(start + period), Some(start + period + 60)),
                life(start, Some(start + period), Some(start + 2 * period), None),
                Life { kid: None, ..life(start + period, None, None, None) },
            ];
            let drawn = draw(&lives, start + period / 2);
            let rows: Vec<_> = drawn.lines().skip(1).collect();
            assert!(rows[0].contains('█') && rows[0].contains('▒'), "{drawn}");
            assert!(!rows[0].contains('░'), "{drawn}");
            assert!(rows[1].contains('░') && rows[1].contains('█'), "{drawn}");
            assert!(rows[2].starts_with("to come") && rows[2].contains('░'), "{drawn}");
            for line in drawn.lines().chain(intervals(&Config::default()).lines()) {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
