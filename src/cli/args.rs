//! Values as people type them: sizes, times, headers, durability. Each parser gives the final type or a
//! sentence that says what would be right; clap adds the option's name and exits with 2.

use std::time::Duration;

use flumen::{AckDurability, Durability, SEGMENT_SIZE_MAX, SEGMENT_SIZE_MIN};

/// Longest wait that can be asked for, in seconds: about 30 years, so that adding it to a clock is safe.
const SECONDS_MAX: f64 = 1e9;
/// Longest interval between two syncs, in milliseconds: an hour. A longer one is `os` in all but name.
const INTERVAL_MS_MAX: u64 = 3_600_000;

/// A size in bytes: `65536`, `64K`, `64KiB`, `1M`, `2G`; the units are powers of 1024.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        "kb" | "mb" | "gb" | "tb" => {
            return Err(format!("{unit} may mean two things; write K, M, G or T"));
        }
        _ => return Err("a size is a number and K, M, G or T, such as 64K".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "a size is a number and K, M, G or T, such as 64K".to_string())?;
    number.checked_mul(1 << shift).ok_or_else(|| "the size does not fit 64 bits".into())
}

/// A size of at least one byte.
pub(crate) fn size_of_some(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("must be at least 1 byte".into()),
        bytes => Ok(bytes),
    }
}

/// The size of a segment.
pub(crate) fn segment_size(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if (SEGMENT_SIZE_MIN..=SEGMENT_SIZE_MAX).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!(
            "a segment has {} KiB to {} MiB",
            SEGMENT_SIZE_MIN >> 10,
            SEGMENT_SIZE_MAX >> 20
        ))
    }
}

/// A time in seconds, with a fraction if need be.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("a time is a number of seconds from 0 to {SECONDS_MAX}, such as 0.5");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if (0.0..=SECONDS_MAX).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(wrong())
    }
}

/// A header, `KEY=VALUE`; the value may be empty and may hold `=`.
pub(crate) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("a header is KEY=VALUE".into()),
    }
}

/// `sync`, `os` or `interval=MS`.
pub(crate) fn durability(text: &str) -> Result<Durability, String> {
    match text.split_once('=') {
        None if text == "sync" => Ok(Durability::Sync),
        None if text == "os" => Ok(Durability::Os),
        Some(("interval", ms)) => interval(ms).map(Durability::Interval),
        _ => Err("must be sync, os or interval=MILLISECONDS".into()),
    }
}

/// `sync` or `lazy=MS`.
pub(crate) fn ack_durability(text: &str) -> Result<AckDurability, String> {
    match text.split_once('=') {
        None if text == "sync" => Ok(AckDurability::Sync),
        Some(("lazy", ms)) => interval(ms).map(AckDurability::Lazy),
        _ => Err("must be sync or lazy=MILLISECONDS".into()),
    }
}

fn interval(ms: &str) -> Result<Duration, String> {
    match ms.parse() {
        Ok(ms) if (1..=INTERVAL_MS_MAX).contains(&ms) => Ok(Duration::from_millis(ms)),
        _ => Err(format!("an interval has 1 to {INTERVAL_MS_MAX} milliseconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("64K"), Ok(65536));
        assert_eq!(size("64k"), Ok(65536));
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("1M"), Ok(1 << 20));
        assert_eq!(size("2 GiB"), Ok(2 << 30));
        for wrong in ["", "K", "-1", "1.5M", "64KB", "1X", "18446744073709551616", "17000000T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn segments_keep_within_their_limits() {
        assert_eq!(segment_size("16K"), Ok(SEGMENT_SIZE_MIN));
        assert_eq!(segment_size("1G"), Ok(SEGMENT_SIZE_MAX));
        assert!(segment_size("16383").is_err());
        assert!(segment_size("1073741825").is_err());
        assert!(segment_size("0").is_err());
        assert!(size_of_some("0").is_err());
    }

    #[test]
    fn times_are_seconds_with_a_fraction() {
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["-1", "nan", "inf", "1e30", "", "3s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_split_at_the_first_equals_sign() {
        assert_eq!(header("k=v"), Ok(("k".into(), "v".into())));
        assert_eq!(header("k="), Ok(("k".into(), String::new())));
        assert_eq!(header("k=a=b"), Ok(("k".into(), "a=b".into())));
        assert!(header("k").is_err());
        assert!(header("=v").is_err());
    }

    #[test]
    fn durability_is_one_of_three() {
        assert_eq!(durability("sync"), Ok(Durability::Sync));
        assert_eq!(durability("os"), Ok(Durability::Os));
        let interval = Duration::from_millis(50);
        assert_eq!(durability("interval=50"), Ok(Durability::Interval(interval)));
        for wrong in ["", "interval", "interval=0", "interval=x", "lazy=5", "interval=9999999"] {
            assert!(durability(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ack_durability("sync"), Ok(AckDurability::Sync));
        assert_eq!(ack_durability("lazy=50"), Ok(AckDurability::Lazy(interval)));
        assert!(ack_durability("os").is_err());
    }
}
