use std::fmt::Write as _;
use std::time::Duration;

use super::{existing, print};
use crate::keys::{Life, NOTICE_WITHIN, Rules};
use crate::{Clock, Config, Error};

/// `keys plan`: what the keys were, are and will be, drawn over time.
pub(in crate::cli) async fn plan(config: &Config) -> Result<(), Error> {
    let records = existing(config).await?.keys().await?;
    let now = Clock::system().now();
    let lives = Rules::new(config).forecast(&records, now, ROTATIONS);
    print(&format!("{}\n{}", draw(&lives, now), intervals(config)))
}

/// The rotations that are looked ahead.
const ROTATIONS: usize = 3;

/// The columns of a bar, and those of the name before it: with a space 80 at most.
const COLUMNS: u64 = 70;
const NAME: usize = 9;

fn draw(lives: &[Life], now: u64) -> String {
    let times = lives.iter().flat_map(|life| {
        [Some(life.published), life.activates, life.retires, life.drops].into_iter().flatten()
    });
    let (first, last) = times.fold((now, now), |(low, high), at| (low.min(at), high.max(at)));
    // Some room for what has no end yet.
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

/// One character a column; a phase that there is has one at least.
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

/// `2026-11-24` and `17:30:05`, in UTC.
fn date_and_time(at: u64) -> (String, String) {
    let (days, seconds) = (at / 86400, at % 86400);
    // Counted in years that begin in March, so that the leap day is the last of one.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march = (5 * day + 2) / 153;
    let day = day - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{hours:02}:{minutes:02}:{:02}", seconds % 60),
    )
}

/// What holds between the steps, with the numbers that are in force.
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
    fn dates_are_those_of_the_calendar() {
        for (at, date, time) in [
            (0, "1970-01-01", "00:00:00"),
            (951_782_399, "2000-02-28", "23:59:59"),
            (951_782_400, "2000-02-29", "00:00:00"),
            (1_709_251_199, "2024-02-29", "23:59:59"),
            (1_709_251_200, "2024-03-01", "00:00:00"),
            (1_800_000_000, "2027-01-15", "08:00:00"),
            (4_107_542_399, "2100-02-28", "23:59:59"),
            (4_107_542_400, "2100-03-01", "00:00:00"),
        ] {
            assert_eq!(date_and_time(at), (date.to_owned(), time.to_owned()));
        }
    }

    #[test]
    fn each_phase_is_seen_and_no_line_is_longer_than_80_columns() {
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
