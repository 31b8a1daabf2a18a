//! Decimals as quoted text, read without rounding.

use rust_decimal::Decimal;
use serde::de::{Deserializer, Error as _, Visitor};
use serde::ser::Serializer;
use wire::{DECIMALS_MAX, POW10};

/// Why a text is not a decimal of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExactError {
    /// Something other than digits, one dot between digits, and a leading minus.
    #[error("is not a plain decimal such as \"0.01\"")]
    Form,
    /// More decimals than an integer mantissa can be asked to carry.
    #[error("has more than 18 decimals")]
    Decimals,
    /// Too many digits to be kept exactly.
    #[error("does not fit 28 digits exactly")]
    Digits,
}

/// Reads `"-12.50"`: digits, an optional dot between digits, an optional leading minus. Nothing is rounded.
///
/// # Errors
/// [`ExactError`].
pub fn parse_exact(text: &str) -> Result<Decimal, ExactError> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(ExactError::Form);
    }
    if fraction.trim_end_matches('0').len() > usize::from(DECIMALS_MAX) {
        return Err(ExactError::Decimals);
    }
    Decimal::from_str_exact(text).map_err(|_| ExactError::Digits)
}

/// The value as an integer at `decimals` (0..=18); `None` when a digit would be lost or it does not fit.
///
/// ```
/// let tick = topology::parse_exact("0.01")?;
/// assert_eq!(topology::mantissa(tick, 8), Some(1_000_000));
/// assert_eq!(topology::mantissa(tick, 1), None, "a digit would be lost");
/// # Ok::<(), topology::ExactError>(())
/// ```
pub fn mantissa(value: Decimal, decimals: u8) -> Option<i64> {
    let value = value.normalize();
    let up = u32::from(decimals).checked_sub(value.scale())?;
    let factor = *POW10.get(up as usize)?;
    i64::try_from(value.mantissa().checked_mul(i128::from(factor))?).ok()
}

pub(crate) fn serialize<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    struct Quoted;
    impl Visitor<'_> for Quoted {
        type Value = Decimal;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a decimal in quotes such as \"0.01\"")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
            parse_exact(text).map_err(|e| E::custom(format_args!("{text:?} {e}")))
        }
    }
    deserializer.deserialize_str(Quoted).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_exactly_or_refuses() {
        assert_eq!(parse_exact("0.1").map(|d| d.to_string()), Ok("0.1".to_owned()));
        assert_eq!(parse_exact("-12.50").map(|d| (d.mantissa(), d.scale())), Ok((-1250, 2)));
        for bad in ["", "-", ".", "1.", ".5", "1e3", "1_000", "+1", "NaN", "1.2.3", " 1", "--1", "0x1", "١"]
        {
            assert_eq!(parse_exact(bad), Err(ExactError::Form), "{bad:?}");
        }
        assert_eq!(parse_exact("0.0000000000000000001"), Err(ExactError::Decimals));
        assert_eq!(parse_exact(&"9".repeat(30)), Err(ExactError::Digits));
        assert!(parse_exact("1.5000000000000000000").is_ok(), "zeros carry nothing");
    }

    #[test]
    fn mantissas_lose_nothing() {
        let d = |t| parse_exact(t).expect("a decimal");
        assert_eq!(mantissa(d("61737.63"), 8), Some(6_173_763_000_000));
        assert_eq!(mantissa(d("1.500"), 1), Some(15));
        assert_eq!(mantissa(d("-0.5"), 1), Some(-5));
        assert_eq!(mantissa(d("0.05"), 1), None);
        assert_eq!(mantissa(d("92233720368.54775807"), 8), Some(i64::MAX));
        assert_eq!(mantissa(d("92233720368.54775808"), 8), None);
        assert_eq!(mantissa(d("1"), 19), None);
    }
}
