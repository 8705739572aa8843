//! Amounts as Kubernetes writes them (`500m`, `1.5Gi`, `1e3`), to be compared.

use serde_json::Value;

/// More than Kubernetes' own form of any amount has.
const CHARS_MAX: usize = 64;
/// Kubernetes counts no finer than billionths, and rounds up to them.
const NANOS: u32 = 9;
/// It takes what is more for this.
const MAX: i128 = i64::MAX as i128 * 1_000_000_000;

/// Holds an amount in billionths: `1` and `1000m` are the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(i128);

// === impl Quantity ===

impl Quantity {
    pub(crate) const fn of(whole: i64) -> Self {
        Self(whole as i128 * 1_000_000_000)
    }

    /// As it stands in a manifest, where `1` may be a number too.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at_checked(end)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if text.len() > CHARS_MAX || part.contains('.') || (whole.is_empty() && part.is_empty()) {
            return None;
        }
        let (twos, tens) = scale(suffix)?;
        let digits = whole.bytes().chain(part.bytes()).map(|digit| i128::from(digit - b'0'));
        let mantissa = digits.fold(0_i128, |sum, digit| sum.saturating_mul(10).saturating_add(digit));
        let tens = tens + i64::from(NANOS) - i64::try_from(part.len()).ok()?;
        let amount = scaled(mantissa.saturating_mul(1 << twos), tens);
        Some(Self(if negative { -amount } else { amount }))
    }

    pub(crate) fn is_some(self) -> bool {
        self.0 > 0
    }
}

/// What a suffix means: powers of two and of ten.
fn scale(suffix: &str) -> Option<(u32, i64)> {
    let scale = match suffix {
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "" => (0, 0),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            let written = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            (0, exponent.parse::<i32>().ok().filter(|_| written)?.into())
        }
    };
    Some(scale)
}

/// An amount times a power of ten, rounded up; never beyond the largest.
fn scaled(amount: i128, tens: i64) -> i128 {
    if amount == 0 {
        return 0;
    }
    let power = u32::try_from(tens.unsigned_abs()).ok().and_then(|tens| 10_i128.checked_pow(tens));
    let exact = match (power, tens < 0) {
        (Some(power), false) => amount.saturating_mul(power),
        (Some(power), true) => amount / power + i128::from(amount % power != 0),
        (None, false) => MAX,
        (None, true) => 1,
    };
    exact.min(MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Quantity {
        Quantity::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn one_amount_has_many_spellings() {
        for (one, other) in [
            ("1", "1000m"),
            ("1Gi", "1024Mi"),
            ("1.5Gi", "1536Mi"),
            ("0.5", "500m"),
            (".5", "5e-1"),
            ("1.", "+1"),
            ("1e3", "1k"),
            ("1E3", "1000"),
            ("1E", "1e18"),
            ("0", "0Gi"),
            ("-1", "-1000m"),
            ("128974848", "123Mi"),
            // Billionths are the finest, rounded up.
            ("0.1n", "1n"),
            ("1e-100", "1n"),
            // And what fits into 63 bits the most.
            ("9223372036854775807", "16Ei"),
            ("1e100", "9223372036854775807"),
            ("99999999999999999999999999999999999999999999999999", "8Ei"),
        ] {
            assert_eq!(parse(one), parse(other), "{one} {other}");
        }
        for (less, more) in [("999m", "1"), ("1G", "1Gi"), ("1M", "1Mi"), ("-1", "0"), ("1u", "1001n")] {
            assert!(parse(less) < parse(more), "{less} {more}");
        }
        assert_eq!(Quantity::read(&serde_json::json!(1)), Some(parse("1000m")));
        assert_eq!(Quantity::read(&serde_json::json!(0.5)), Some(parse("500m")));
        assert_eq!(parse("2"), Quantity::of(2));
    }

    #[test]
    fn what_is_no_amount() {
        let long = "1".repeat(65);
        for bad in [
            "",
            ".",
            "m",
            "1.2.3",
            "1 ",
            " 1",
            "1mi",
            "1K",
            "1e",
            "1e+",
            "1e1.5",
            "--1",
            "1Gib",
            "é",
            long.as_str(),
        ] {
            assert_eq!(Quantity::parse(bad), None, "{bad}");
        }
        assert_eq!(Quantity::read(&Value::Null), None);
    }
}
