//! Numbers as people read them.

/// With three digits that count, or all before the point; thousands apart: `17,712`, `20.4`, `1.03`, `0.0042`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size == 0.0 || size.fract() == 0.0 && size >= 10.0 => 0,
        _ if size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.0995 => 2,
        _ => 4,
    };
    let written = format!("{value:.decimals$}");
    let (whole, rest) = match written.find('.') {
        Some(point) => written.split_at(point),
        None => (written.as_str(), ""),
    };
    format!("{}{rest}", thousands(whole))
}

/// How many times, or which share: `1.03×`.
pub fn times(ratio: f64) -> String {
    format!("{}×", number(ratio))
}

fn thousands(whole: &str) -> String {
    let (sign, digits) = if let Some(digits) = whole.strip_prefix('-') { ("-", digits) } else { ("", whole) };
    let mut written = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_count() {
        let cases = [
            (0.0, "0"),
            (0.004_217, "0.0042"),
            (0.5, "0.50"),
            (1.026, "1.03"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (16.0, "16"),
            (20.44, "20.4"),
            (99.96, "100"),
            (123.4, "123"),
            (1_000.0, "1,000"),
            (17_711.6, "17,712"),
            (-1_234_567.0, "-1,234,567"),
            (-123.0, "-123"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!(times(12.34), "12.3×");
    }
}
