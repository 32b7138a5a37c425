//! Days and months in the proleptic Gregorian calendar, UTC.

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// Year, negative before year 0.
    pub year: i64,
    /// 1–12.
    pub month: i64,
    /// 1–31.
    pub day: i64,
}

/// Seconds from the reference's zero of time to 1970; a whole number of days. It counts from there
/// without sign, so that seconds before it wrap around to the far end.
const ZERO: i64 = 9_223_371_966_579_724_800;
const SECONDS_OF_DAY: i64 = 86_400;

/// Days of an era of 400 years.
const ERA_DAYS: i64 = 146_097;

impl Date {
    /// The day of a Unix time.
    pub fn of_seconds(seconds: i64) -> Self {
        Self::of_days(split(seconds).0)
    }

    /// The day `days` after 1970-01-01.
    fn of_days(days: i64) -> Self {
        // Years that start in March put the leap day last.
        let days = days + 719_468;
        let era = days.div_euclid(ERA_DAYS);
        let of_era = days.rem_euclid(ERA_DAYS);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month, day }
    }

    /// Number of days in its month.
    pub fn days_in_month(self) -> i64 {
        match self.month {
            2 if is_leap(self.year) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// 1–366.
    pub fn day_of_year(self) -> i64 {
        const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let leap = i64::from(self.month > 2 && is_leap(self.year));
        BEFORE[(self.month - 1) as usize] + leap + self.day
    }
}

/// 0 = Sunday.
pub fn day_of_week(seconds: i64) -> i64 {
    (split(seconds).0 + 4).rem_euclid(7)
}

/// Seconds since midnight.
pub fn second_of_day(seconds: i64) -> i64 {
    split(seconds).1
}

/// Days since 1970 and seconds of the day.
fn split(seconds: i64) -> (i64, i64) {
    let absolute = seconds.wrapping_add(ZERO) as u64;
    let day = SECONDS_OF_DAY as u64;
    ((absolute / day) as i64 - ZERO / SECONDS_OF_DAY, (absolute % day) as i64)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(Date::of_seconds(0), Date { year: 1970, month: 1, day: 1 });
        assert_eq!(Date::of_seconds(951_782_400), Date { year: 2000, month: 2, day: 29 });
        assert_eq!(Date::of_seconds(-1), Date { year: 1969, month: 12, day: 31 });
        assert_eq!(Date::of_seconds(951_782_400).day_of_year(), 60);
        assert_eq!(Date::of_seconds(951_782_400).days_in_month(), 29);
        // What a NaN becomes.
        assert_eq!(Date::of_seconds(i64::MIN), Date { year: 292_277_026_596, month: 12, day: 4 });
        assert_eq!((second_of_day(i64::MIN) / 3600, day_of_week(i64::MIN)), (15, 0));
        assert_eq!((day_of_week(0), day_of_week(-86_400)), (4, 3));
    }
}
