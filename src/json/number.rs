//! Numbers of JSON: their grammar, byte by byte, and the value of a whole one however it is spelled.

/// How far a number has come (RFC 8259 §6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// Its sign.
    Minus,
    /// A zero, which no digit follows.
    Zero,
    /// Digits before the point.
    Whole,
    /// The point.
    Point,
    /// Digits after it.
    Fraction,
    /// `e` or `E`.
    Mark,
    /// The sign of the exponent.
    Sign,
    /// Digits of the exponent.
    Exponent,
}

use Progress::{Exponent, Fraction, Mark, Minus, Point, Sign, Whole, Zero};

impl Progress {
    /// After the first byte; none where no number begins so.
    pub fn begin(byte: u8) -> Option<Self> {
        match byte {
            b'-' => Some(Minus),
            b'0' => Some(Zero),
            b'1'..=b'9' => Some(Whole),
            _ => None,
        }
    }

    /// After one byte more; none where it is no part of the number.
    pub fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Minus, b'0') => Some(Zero),
            (Minus, b'1'..=b'9') | (Whole, b'0'..=b'9') => Some(Whole),
            (Zero | Whole, b'.') => Some(Point),
            (Point | Fraction, b'0'..=b'9') => Some(Fraction),
            (Zero | Whole | Fraction, b'e' | b'E') => Some(Mark),
            (Mark, b'+' | b'-') => Some(Sign),
            (Mark | Sign | Exponent, b'0'..=b'9') => Some(Exponent),
            _ => None,
        }
    }

    /// Whether it may end here.
    pub fn may_end(self) -> bool {
        matches!(self, Zero | Whole | Fraction | Exponent)
    }
}

/// The value of a number, if it is whole and not negative: `100`, `100.0`, `1e2` and `10000E-2` are one. None where it is larger
/// than 64 bits, a fraction, negative, or no number.
pub fn whole(number: &str) -> Option<u64> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (is_negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || before.bytes().chain(after.bytes());
    if digits().all(|digit| digit == b'0') {
        return Some(0);
    }
    if is_negative {
        return None;
    }
    // Without the zeros at the end, tens is how often it must be multiplied by ten.
    let zeros = digits().rev().take_while(|digit| *digit == b'0').count();
    let length = before.len() + after.len() - zeros;
    let exponent: i64 = exponent.parse().ok()?;
    let tens = exponent.checked_sub(i64::try_from(after.len()).ok()?)?.checked_add(i64::try_from(zeros).ok()?)?;
    let tens = u32::try_from(tens).ok()?;
    let digit = |value: u64, digit: u8| value.checked_mul(10)?.checked_add(u64::from(digit.checked_sub(b'0')?));
    let value = digits().take(length).try_fold(0_u64, digit)?;
    value.checked_mul(10_u64.checked_pow(tens)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Progress, whole};

    #[test]
    fn f15_a_whole_number_is_its_value_and_not_its_spelling() {
        for spelled in ["100", "100.0", "1e2", "1E2", "1e+2", "1.0e2", "0.1e3", "10000e-2", "100.000", "1000000.0E-04"]
        {
            assert_eq!(whole(spelled), Some(100), "{spelled}");
        }
        for spelled in ["0", "-0", "0.0", "-0.00", "0e99999999999999999999", "0.0e-5"] {
            assert_eq!(whole(spelled), Some(0), "{spelled}");
        }
        assert_eq!(whole("18446744073709551615"), Some(u64::MAX));
        assert_eq!(whole("1844674407370955161.50e1"), Some(u64::MAX - 10 + 10));
        for spelled in [
            "1.5",
            "-1",
            "-1e0",
            "1e-1",
            "100.01",
            "18446744073709551616",
            "1e20",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "",
        ]
        .into_iter()
        .filter(|spelled| !spelled.is_empty())
        {
            assert_eq!(whole(spelled), None, "{spelled}");
        }
    }

    #[test]
    fn the_grammar_is_that_of_json() {
        let is_number = |text: &str| {
            let (first, rest) = text.as_bytes().split_first().unwrap();
            let end = rest.iter().try_fold(Progress::begin(*first)?, |progress, byte| progress.after(*byte))?;
            Some(end.may_end())
        };
        for text in ["0", "-0", "10", "1.0", "-1.50e+7", "0E0", "12e-3"] {
            assert_eq!(is_number(text), Some(true), "{text}");
        }
        for text in ["-", "1.", "1e", "1e+", "0."] {
            assert_eq!(is_number(text), Some(false), "{text}");
        }
        for text in ["01", "+1", ".5", "1.e5", "1e5.0", "--1", "0x10", "1_0"] {
            assert_eq!(is_number(text), None, "{text}");
        }
    }
}
