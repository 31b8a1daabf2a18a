//! Prices, quantities and times as integers, and exact decimal text.

use core::fmt;

/// A price: mantissa at the instrument's price scale (`Instrument::px_decimals`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Px(pub i64);

/// A quantity: mantissa at the instrument's quantity scale (`Instrument::qty_decimals`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Qty(pub i64);

/// Engine time in nanoseconds since the Unix epoch. Monotone: live, it is the TSC plus an offset taken
/// once at start, so a step of the wall clock does not move it; in replay it is the capture's own time.
/// Deadlines and ages are differences of two `Ts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Ts(pub u64);

impl Ts {
    /// Nanoseconds from `earlier` to `self`, zero when `earlier` is later.
    #[inline]
    pub const fn since_ns(self, earlier: Ts) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// `self` moved `ns` nanoseconds into the future, saturating.
    #[inline]
    pub const fn plus_ns(self, ns: u64) -> Ts {
        Ts(self.0.saturating_add(ns))
    }

    /// Milliseconds since the Unix epoch, rounded down.
    #[inline]
    pub const fn as_ms(self) -> u64 {
        self.0 / 1_000_000
    }
}

/// Buy or sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Bid side.
    Buy,
    /// Ask side.
    Sell,
}

impl Side {
    /// The other side.
    #[inline]
    pub const fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }

    /// `+1` for a buy, `-1` for a sell.
    #[inline]
    pub const fn sign(self) -> i64 {
        match self {
            Side::Buy => 1,
            Side::Sell => -1,
        }
    }
}

/// Most decimals an `i64` mantissa can be asked to carry.
pub const DECIMALS_MAX: u8 = 18;

/// Why a decimal text was refused. Small and `Copy`: it is returned on the hot path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecimalError {
    /// No digit at all (`""`, `"."`).
    Empty,
    /// A byte that is neither digit nor the one allowed dot (`"NaN"`, `"1e400"`, `"+1"`).
    Byte {
        /// The offending byte.
        byte: u8,
        /// Its position in the text.
        at: u8,
    },
    /// A leading minus: prices and quantities of the wire are never negative.
    Negative,
    /// A non-zero digit beyond the instrument's scale.
    Precision {
        /// Decimals that the scale carries.
        decimals: u8,
    },
    /// The mantissa does not fit `i64`.
    Overflow,
    /// Longer than any number that could fit.
    TooLong {
        /// Length in bytes.
        len: usize,
    },
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecimalError::Empty => write!(f, "no digits"),
            DecimalError::Byte { byte, at } => {
                write!(f, "byte 0x{byte:02x} at {at}, only digits and one dot are allowed")
            }
            DecimalError::Negative => write!(f, "negative, must be zero or more"),
            DecimalError::Precision { decimals } => {
                write!(f, "a digit beyond the instrument's {decimals} decimals")
            }
            DecimalError::Overflow => write!(f, "does not fit a 64-bit mantissa"),
            DecimalError::TooLong { len } => write!(f, "{len} bytes long, at most 40 are read"),
        }
    }
}

impl core::error::Error for DecimalError {}

/// Reads unsigned decimal text (`"61737.63000000"`) into a mantissa at `decimals` (0..=18).
///
/// Exact: trailing zeros beyond the scale are allowed, any other digit there refuses. About 5 ns for a price with
/// eight decimals, which many venues always write; 20 ns for others.
///
/// # Errors
/// [`DecimalError`] says which byte or rule; nothing is rounded, nothing wraps.
#[inline]
pub fn parse_decimal(text: &[u8], decimals: u8) -> Result<i64, DecimalError> {
    match eight_decimals(text) {
        Some(mantissa) if decimals == 8 => Ok(mantissa),
        _ => parse_any_decimal(text, decimals),
    }
}

/// The mantissa at eight decimals of 1 to 10 digits, a dot and 8 digits: below 10^18, so nothing overflows. Whatever
/// looks otherwise is `None`.
#[inline]
fn eight_decimals(text: &[u8]) -> Option<i64> {
    const DIGITS: u64 = 0x3030_3030_3030_3030;
    let (whole, fraction) = text.split_last_chunk::<9>()?;
    let [b'.', digits @ ..] = fraction else { return None };
    if whole.is_empty() || whole.len() > 10 {
        return None;
    }
    let mut mantissa = 0u64;
    for byte in whole {
        let d = byte.wrapping_sub(b'0');
        if d > 9 {
            return None;
        }
        mantissa = mantissa * 10 + d as u64;
    }
    // All eight digits at once, the first in the lowest byte. Adding 0x76 raises the top bit of what is above 9.
    let d = u64::from_le_bytes(*digits) ^ DIGITS;
    if (d | d.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    // Neighbours make pairs, pairs make the number: each product adds up in the upper half.
    let pairs = d * 10 + (d >> 8);
    let first = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let second = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    let fraction = first.wrapping_add(second) >> 32;
    Some((mantissa * 100_000_000 + fraction) as i64)
}

fn parse_any_decimal(text: &[u8], decimals: u8) -> Result<i64, DecimalError> {
    if text.len() > 40 {
        return Err(DecimalError::TooLong { len: text.len() });
    }
    if text.first() == Some(&b'-') {
        return Err(DecimalError::Negative);
    }
    let mut mantissa: i64 = 0;
    let mut digits = 0u32;
    let mut seen_dot = false;
    let mut frac: u8 = 0;
    for (at, &byte) in text.iter().enumerate() {
        let d = byte.wrapping_sub(b'0');
        if d <= 9 {
            digits += 1;
            if seen_dot {
                if frac == decimals {
                    if d != 0 {
                        return Err(DecimalError::Precision { decimals });
                    }
                    continue;
                }
                frac += 1;
            }
            mantissa = match mantissa.checked_mul(10) {
                Some(m) => match m.checked_add(d as i64) {
                    Some(m) => m,
                    None => return Err(DecimalError::Overflow),
                },
                None => return Err(DecimalError::Overflow),
            };
        } else if byte == b'.' && !seen_dot {
            seen_dot = true;
        } else {
            return Err(DecimalError::Byte { byte, at: at as u8 });
        }
    }
    if digits == 0 {
        return Err(DecimalError::Empty);
    }
    mantissa
        .checked_mul(POW10[(decimals.min(DECIMALS_MAX) - frac.min(decimals)) as usize])
        .ok_or(DecimalError::Overflow)
}

/// Powers of ten that fit `i64`: `POW10[n] == 10^n`.
pub const POW10: [i64; 19] = {
    let mut t = [1i64; 19];
    let mut i = 1;
    while i < 19 {
        t[i] = t[i - 1] * 10;
        i += 1;
    }
    t
};

/// Longest text that [`write_decimal`] produces: sign, 19 digits, dot, leading zero.
pub const DECIMAL_TEXT_MAX: usize = 24;

/// Appends `mantissa` at `decimals` (0..=18) as text with exactly that many decimals: `123`, 2 → `1.23`.
/// Allocates only when `out` lacks capacity.
#[inline]
pub fn write_decimal(mantissa: i64, decimals: u8, out: &mut Vec<u8>) {
    let mut buf = [b'0'; DECIMAL_TEXT_MAX];
    let mut at = DECIMAL_TEXT_MAX;
    let decimals = decimals.min(DECIMALS_MAX);
    let mut rest = mantissa.unsigned_abs();
    let mut written = 0u8;
    while rest != 0 || written <= decimals {
        if written == decimals && decimals > 0 {
            at -= 1;
            buf[at] = b'.';
        }
        at -= 1;
        buf[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        written += 1;
    }
    if mantissa < 0 {
        at -= 1;
        buf[at] = b'-';
    }
    out.extend_from_slice(&buf[at..]);
}

/// A mantissa and its decimals, for people: prints `61737.63` for `(6173763, 2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// Mantissa.
    pub mantissa: i128,
    /// Decimals of the mantissa, 0..=36.
    pub decimals: u8,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa.unsigned_abs().to_string();
        let n = self.decimals as usize;
        let sign = if self.mantissa < 0 { "-" } else { "" };
        if n == 0 {
            return f.pad(&format!("{sign}{digits}"));
        }
        let padded = format!("{digits:0>width$}", width = n + 1);
        let (int, frac) = padded.split_at(padded.len() - n);
        let frac = frac.trim_end_matches('0');
        if frac.is_empty() { f.pad(&format!("{sign}{int}")) } else { f.pad(&format!("{sign}{int}.{frac}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_venues_send() {
        assert_eq!(parse_decimal(b"61737.63000000", 8), Ok(6_173_763_000_000));
        assert_eq!(parse_decimal(b"0.00000001", 8), Ok(1));
        assert_eq!(parse_decimal(b"10", 2), Ok(1000));
        assert_eq!(parse_decimal(b"1.50000", 1), Ok(15));
        assert_eq!(parse_decimal(b"92233720368.54775807", 8), Ok(i64::MAX));
    }

    #[test]
    fn refuses_with_the_reason() {
        assert_eq!(parse_decimal(b"NaN", 8), Err(DecimalError::Byte { byte: b'N', at: 0 }));
        assert_eq!(parse_decimal(b"1e400", 8), Err(DecimalError::Byte { byte: b'e', at: 1 }));
        assert_eq!(parse_decimal(b"-1", 8), Err(DecimalError::Negative));
        assert_eq!(parse_decimal(b"1.23", 1), Err(DecimalError::Precision { decimals: 1 }));
        assert_eq!(parse_decimal(b"92233720368.54775808", 8), Err(DecimalError::Overflow));
        assert_eq!(parse_decimal(&[b'9'; 40], 8), Err(DecimalError::Overflow));
        assert_eq!(parse_decimal(&[b'0'; 41], 8), Err(DecimalError::TooLong { len: 41 }));
        assert_eq!(parse_decimal(b".", 8), Err(DecimalError::Empty));
        assert_eq!(parse_decimal(b"1.2.3", 8), Err(DecimalError::Byte { byte: b'.', at: 3 }));
    }

    #[test]
    fn the_short_way_is_the_long_way() {
        let mut state = 3u64;
        let mut taken = 0;
        for round in 0..200_000 {
            let mut draw = |n: u64| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) % n
            };
            let mut text: Vec<u8> = (0..draw(13)).map(|_| b'0' + draw(10) as u8).collect();
            text.push(b'.');
            text.extend((0..7 + draw(3)).map(|_| b'0' + draw(10) as u8));
            if round % 2 == 0 {
                let at = draw(text.len() as u64) as usize;
                text[at] = draw(256) as u8;
            }
            if let Some(mantissa) = eight_decimals(&text) {
                taken += 1;
                assert_eq!(parse_any_decimal(&text, 8), Ok(mantissa), "{}", String::from_utf8_lossy(&text));
            }
        }
        assert!(taken > 10_000, "{taken}");
        assert_eq!(eight_decimals(b"9999999999.99999999"), Some(999_999_999_999_999_999));
        assert_eq!(eight_decimals(b"12345678901.00000000"), None);
        assert_eq!(eight_decimals(b".00000001"), None);
    }

    #[test]
    fn text_round_trips() {
        let mut state = 7u64;
        for decimals in 0..=18u8 {
            for _ in 0..500 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let m = (state >> (1 + state % 60)) as i64;
                let mut text = Vec::new();
                write_decimal(m, decimals, &mut text);
                assert_eq!(parse_decimal(&text, decimals), Ok(m), "{}", String::from_utf8_lossy(&text));
            }
        }
        let mut text = Vec::new();
        write_decimal(-5, 2, &mut text);
        assert_eq!(text, b"-0.05");
        assert_eq!(Decimal { mantissa: -50, decimals: 3 }.to_string(), "-0.05");
        assert_eq!(Decimal { mantissa: 1200, decimals: 2 }.to_string(), "12");
    }
}
