//! What the files of a series are called, and what the channel remembers of the newest.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How files are named; Flume's `sink.pathManager`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathManager {
    /// Prefix, milliseconds since 1970 at the first start of the sink, "-", number of the file.
    Default,
    /// Prefix, date and time (UTC) when the file was begun, "-", number of the file.
    RollTime,
}

/// The newest file of the sink: the value of its cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    /// Bytes of it whose events have left the channel.
    pub(super) length: u64,
    /// Milliseconds since 1970 when the sink was started for the first time.
    pub(super) series: u64,
    /// Number of the file within the series.
    pub(super) index: u64,
    pub(super) name: String,
}

impl Newest {
    /// Before the first file.
    pub(super) fn none() -> Newest {
        Newest { length: 0, series: since_1970().as_millis() as u64, index: 0, name: String::new() }
    }

    /// The file after this one.
    pub(super) fn next(&self, manager: PathManager, prefix: &str, extension: &str) -> Newest {
        let index = self.index + 1;
        let stamp = match manager {
            PathManager::Default => self.series.to_string(),
            PathManager::RollTime => utc(since_1970().as_secs()),
        };
        let dot = if extension.is_empty() { "" } else { "." };
        Newest {
            length: 0,
            series: self.series,
            index,
            name: format!("{prefix}{stamp}-{index}{dot}{extension}"),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let Newest { length, series, index, name } = self;
        format!("1 {length} {series} {index} {name}").into_bytes()
    }

    /// `None` when another version wrote it, or when the name is not that of a file in the
    /// directory.
    pub(super) fn decode(bytes: &[u8]) -> Option<Newest> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut parts = text.splitn(5, ' ');
        if parts.next()? != "1" {
            return None;
        }
        let mut number = || parts.next()?.parse().ok();
        Some(Newest {
            length: number()?,
            series: number()?,
            index: number()?,
            name: parts.next().filter(|name| !name.contains('/'))?.to_string(),
        })
    }
}

fn since_1970() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

/// Seconds since 1970 as `yyyyMMddHHmmss`, in the proleptic Gregorian calendar. The year is counted
/// from March, so that the leap day is its last.
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{:02}", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(utc(0), "19700101000000");
        assert_eq!(utc(951_827_696), "20000229123456");
        assert_eq!(utc(1_709_251_199), "20240229235959");
        assert_eq!(utc(1_709_251_200), "20240301000000");
        assert_eq!(utc(4_107_542_400), "21000301000000");
    }

    #[test]
    fn a_cursor_survives_encoding_and_nothing_else_is_taken_for_one() {
        let newest = Newest::none().next(PathManager::Default, "a b-", "log");
        assert_eq!(newest.name, format!("a b-{}-1.log", newest.series));
        assert_eq!(Newest::decode(&newest.encode()), Some(newest));
        for bytes in [&b""[..], b"2 0 0 0 x", b"1 0 0 x y", b"1 0 0 0 ../x", b"1 0 0 0"] {
            assert_eq!(Newest::decode(bytes), None);
        }
    }
}
