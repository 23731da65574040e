//! A moment as people write it.

use dhcp_lease::Timestamp;

const DAY_SECONDS: i64 = 86_400;

/// Reads a moment: RFC 3339, as `2026-11-21T05:30:00Z` or `2026-11-21T06:30:00+01:00`, or seconds since
/// 1970. Parts of a second are cut off.
///
/// # Errors
/// What is wrong with it, and what to write instead.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Timestamp(seconds));
    }
    rfc3339(text).ok_or_else(|| {
        format!(
            "{text:?} is no moment from 1970 on; write it as 2026-11-21T05:30:00Z, 2026-11-21T06:30:00+01:00 \
             or in seconds since 1970"
        )
    })
}

fn rfc3339(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    // A leap second counts as the one before it, as the system's clock does.
    let second = if second == 60 { 59 } else { second };
    let is_sound = (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    is_sound.then_some(())?;
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
        None => rest,
    };
    let offset = match rest {
        "Z" | "z" => 0,
        zone => {
            let sign = match zone.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            let [hours, minutes] = numbers(zone.get(1..)?, ':', [2, 2])?;
            (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))?
        }
    };
    let seconds = days(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    u64::try_from(seconds - offset).ok().map(Timestamp)
}

/// Numbers of exactly so many digits.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(separator);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        *number = part
            .bytes()
            .all(|digit| digit.is_ascii_digit())
            .then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(numbers)
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(is_leap),
        _ => 31,
    }
}

/// Days since 1970. Years are counted from March, so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("0", 0),
            ("1795228199", 1_795_228_199),
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2026-11-21T02:29:59Z", 1_795_228_199),
            ("2026-11-21 03:29:59.75+01:00", 1_795_228_199),
            ("2026-11-20t21:29:59-05:00", 1_795_228_199),
            ("2100-01-01T00:00:00z", 4_102_444_800),
        ] {
            assert_eq!(parse_time(text), Ok(Timestamp(seconds)), "{text}");
        }
        for text in [
            "",
            "-1",
            "yesterday",
            "2026-11-21",
            "2026-11-21T02:29:59",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T02:29:59.Z",
            "2026-11-21T02:29:59+1:00",
            "1969-12-31T23:59:59Z",
            "2026-11-21T02:29:59Z ",
            "２026-11-21T02:29:59Z",
        ] {
            assert!(parse_time(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_is_read_as_it_is_shown(seconds in 0..250_000_000_000u64) {
            prop_assert_eq!(parse_time(&crate::leases::time(seconds)), Ok(Timestamp(seconds)));
        }

        #[test]
        fn any_text_is_read_without_harm(text in "\\PC{0,30}") {
            let _ = parse_time(&text);
        }
    }
}
