//! What is traded and where: sections `venue`, `instrument` and `feed`.

use std::net::IpAddr;
use std::path::PathBuf;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use wire::{AssetId, DECIMALS_MAX, InstrumentId, Px, Qty, VenueId};

use crate::exact::{self, mantissa};
use crate::lines::Checker;

/// Which venue's protocol is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum VenueKind {
    /// Binance Spot: REST, market streams and WebSocket API.
    #[default]
    #[serde(rename = "binance-spot")]
    BinanceSpot,
}

/// A host and a port to connect to with TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// DNS name or IP address; also the name that the certificate must carry.
    pub host: String,
    /// TCP port, 1..=65535; 443 when absent.
    #[serde(default = "https")]
    pub port: u16,
}

const fn https() -> u16 {
    443
}

/// Section `venue`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Venue {
    /// Protocol.
    pub kind: VenueKind,
    /// File of certificate authorities, PEM.
    pub ca_file: PathBuf,
    /// Name of the environment variable that holds the API key.
    pub api_key_env: String,
    /// Name of the environment variable that holds the API secret.
    pub api_secret_env: String,
    /// File of the API key, read before the environment; empty = none.
    pub api_key_file: PathBuf,
    /// File of the API secret, read before the environment; empty = none.
    pub api_secret_file: PathBuf,
    /// REST: snapshots, instrument rules.
    pub rest: Endpoint,
    /// Market-data streams.
    pub stream: Endpoint,
    /// Order entry and account.
    pub order: Endpoint,
}

impl Default for Venue {
    /// Binance's test network: a first run cannot lose money.
    fn default() -> Self {
        let at = |host: &str| Endpoint { host: host.to_owned(), port: https() };
        Venue {
            kind: VenueKind::BinanceSpot,
            ca_file: PathBuf::from("/etc/ssl/certs/ca-certificates.crt"),
            api_key_env: "CORELANE_API_KEY".to_owned(),
            api_secret_env: "CORELANE_API_SECRET".to_owned(),
            api_key_file: PathBuf::new(),
            api_secret_file: PathBuf::new(),
            rest: at("testnet.binance.vision"),
            stream: at("stream.testnet.binance.vision"),
            order: at("ws-api.testnet.binance.vision"),
        }
    }
}

impl Venue {
    pub(crate) fn check(&self, c: &mut Checker<'_>) {
        c.absolute("venue.ca_file", &self.ca_file);
        for (key, name) in
            [("venue.api_key_env", &self.api_key_env), ("venue.api_secret_env", &self.api_secret_env)]
        {
            // The value is not shown: whoever pastes the secret itself here should not find it in a log.
            c.rule(key, "", is_env_name(name), "must be the NAME of an environment variable: A-Z, 0-9, _");
        }
        c.absolute_or_none("venue.api_key_file", &self.api_key_file);
        c.absolute_or_none("venue.api_secret_file", &self.api_secret_file);
        for (key, at) in [("rest", &self.rest), ("stream", &self.stream), ("order", &self.order)] {
            c.rule(
                &format!("venue.{key}.host"),
                &at.host,
                is_host(&at.host),
                "must be a DNS name or an IP address, without scheme, port or path",
            );
            c.range(&format!("venue.{key}.port"), at.port, 1, u16::MAX);
        }
    }
}

fn is_env_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_uppercase() || b == b'_');
    first
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn is_host(host: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.parse::<IpAddr>().is_ok() || (host.len() <= 253 && host.split('.').all(label))
}

/// Section `instrument`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Instrument {
    /// The venue's symbol, upper case.
    pub symbol: String,
    /// Fixed rules and scales for replay; live, the venue's own are fetched at start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<Filters>,
}

impl Default for Instrument {
    fn default() -> Self {
        Instrument { symbol: "BTCUSDT".to_owned(), filters: None }
    }
}

/// Section `instrument.filters`: rules and scales that would otherwise be fetched. Zero = not checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filters {
    /// Base asset.
    pub base: String,
    /// Quote asset.
    pub quote: String,
    /// Decimals of every price, 0..=18.
    pub px_decimals: u8,
    /// Decimals of every quantity, 0..=18.
    pub qty_decimals: u8,
    /// Decimals of amounts of the quote asset, 0..=18.
    pub quote_decimals: u8,
    /// Price step, quote per base.
    #[serde(with = "exact")]
    pub tick: Decimal,
    /// Quantity step, base.
    #[serde(with = "exact")]
    pub lot: Decimal,
    /// Smallest order, base.
    #[serde(with = "exact", default)]
    pub qty_min: Decimal,
    /// Largest order, base.
    #[serde(with = "exact", default)]
    pub qty_max: Decimal,
    /// Smallest price × quantity, quote.
    #[serde(with = "exact", default)]
    pub notional_min: Decimal,
}

impl Instrument {
    /// The instrument as the engine knows it, number 0 of venue 0 with base asset 0 and quote asset 1, when
    /// filters are given. Price bounds and the venue's open-order limit are not checked (zero).
    ///
    /// `None` when there are no filters, or they were not checked by `Config::parse` and do not fit their
    /// scales.
    pub fn fixed(&self) -> Option<wire::Instrument> {
        let f = self.filters.as_ref()?;
        let notional_decimals = f.px_decimals.checked_add(f.qty_decimals)?;
        Some(wire::Instrument {
            id: InstrumentId(0),
            venue: VenueId(0),
            symbol: self.symbol.clone(),
            base: f.base.clone(),
            quote: f.quote.clone(),
            base_id: AssetId(0),
            quote_id: AssetId(1),
            px_decimals: f.px_decimals,
            qty_decimals: f.qty_decimals,
            quote_decimals: f.quote_decimals,
            tick: Px(mantissa(f.tick, f.px_decimals)?),
            px_min: Px(0),
            px_max: Px(0),
            lot: Qty(mantissa(f.lot, f.qty_decimals)?),
            qty_min: Qty(mantissa(f.qty_min, f.qty_decimals)?),
            qty_max: Qty(mantissa(f.qty_max, f.qty_decimals)?),
            notional_min: wide_mantissa(f.notional_min, notional_decimals)?,
            open_orders_max: 0,
            market_qty: Default::default(),
            band_buy: Default::default(),
            band_sell: Default::default(),
            trading: true,
        })
    }

    pub(crate) fn check(&self, c: &mut Checker<'_>) {
        c.rule(
            "instrument.symbol",
            &self.symbol,
            is_upper_name(&self.symbol),
            "must be the venue's symbol: 1 to 20 of A-Z and 0-9",
        );
        if let Some(filters) = &self.filters {
            filters.check(c);
        }
    }
}

impl Filters {
    fn check(&self, c: &mut Checker<'_>) {
        let key = |name: &str| format!("instrument.filters.{name}");
        for (name, asset) in [("base", &self.base), ("quote", &self.quote)] {
            c.rule(&key(name), asset, is_upper_name(asset), "must be an asset: 1 to 20 of A-Z and 0-9");
        }
        for (name, decimals) in [
            ("px_decimals", self.px_decimals),
            ("qty_decimals", self.qty_decimals),
            ("quote_decimals", self.quote_decimals),
        ] {
            c.range(&key(name), decimals, 0, DECIMALS_MAX);
        }
        c.positive(&key("tick"), self.tick);
        c.positive(&key("lot"), self.lot);
        let scaled = [
            ("tick", self.tick, self.px_decimals),
            ("lot", self.lot, self.qty_decimals),
            ("qty_min", self.qty_min, self.qty_decimals),
            ("qty_max", self.qty_max, self.qty_decimals),
        ];
        for (name, value, decimals) in scaled {
            let fits = mantissa(value, decimals).is_some_and(|m| m >= 0);
            let rule = format_args!("must be 0 or more and fit 64 bits at {decimals} decimals");
            c.rule(&key(name), value, fits, rule);
        }
        let decimals = self.px_decimals.saturating_add(self.qty_decimals);
        let fits = wide_mantissa(self.notional_min, decimals).is_some_and(|m| m >= 0);
        let rule = format_args!("must be 0 or more and fit 128 bits at {decimals} decimals");
        c.rule(&key("notional_min"), self.notional_min, fits, rule);
        let ordered = self.qty_max.is_zero() || self.qty_min <= self.qty_max;
        let rule = format_args!("must not be less than qty_min = {}", self.qty_min);
        c.rule(&key("qty_max"), self.qty_max, ordered, rule);
    }
}

/// As [`mantissa`] for amounts that need more than 64 bits; `decimals` 0..=36.
fn wide_mantissa(value: Decimal, decimals: u8) -> Option<i128> {
    let value = value.normalize();
    let up = u32::from(decimals).checked_sub(value.scale())?;
    value.mantissa().checked_mul(10i128.checked_pow(up)?)
}

fn is_upper_name(name: &str) -> bool {
    (1..=20).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Section `feed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Feed {
    /// Levels of a REST snapshot on each side.
    pub snapshot_levels: u32,
    /// Updates kept while a snapshot is on its way.
    pub pending_updates_max: u32,
    /// Silence of the stream after which it counts as dead, ms.
    pub silence_ms: u32,
    /// Time that a book may take no update while its ticker moves on, ms, 200..=120000.
    pub depth_silence_ms: u32,
    /// Largest change of a price against the last good one, basis points.
    pub price_change_max_bps: u32,
    /// How far exchange time may be ahead of the receive time, ms.
    pub exchange_ahead_max_ms: u32,
}

impl Default for Feed {
    fn default() -> Self {
        Feed {
            snapshot_levels: 1_000,
            pending_updates_max: 1_024,
            silence_ms: 10_000,
            depth_silence_ms: 3_000,
            price_change_max_bps: 1_000,
            exchange_ahead_max_ms: 5_000,
        }
    }
}

impl Feed {
    pub(crate) fn check(&self, c: &mut Checker<'_>) {
        c.range("feed.snapshot_levels", self.snapshot_levels, 5, 5_000);
        c.range("feed.pending_updates_max", self.pending_updates_max, 16, 65_536);
        c.range("feed.silence_ms", self.silence_ms, 100, 120_000);
        c.range("feed.depth_silence_ms", self.depth_silence_ms, 200, 120_000);
        c.range("feed.price_change_max_bps", self.price_change_max_bps, 1, 10_000);
        c.range("feed.exchange_ahead_max_ms", self.exchange_ahead_max_ms, 1, 3_600_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_names() {
        for good in ["api.binance.com", "localhost", "127.0.0.1", "::1", "a-b.c_d"] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["", "https://x", "x:443", "a..b", "-a", "a/b", "a b", "ä.de", "x."] {
            assert!(!is_host(bad), "{bad}");
        }
        assert!(is_env_name("CORELANE_API_KEY") && is_env_name("_X1"));
        assert!(!is_env_name("1X") && !is_env_name("") && !is_env_name("NhqPtmdSJYdKjVHjA7PZj4"));
    }

    #[test]
    fn wide_amounts_fit_what_narrow_ones_do_not() {
        let d = |t| crate::parse_exact(t).expect("a decimal");
        assert_eq!(wide_mantissa(d("5"), 36), Some(5 * 10i128.pow(36)));
        assert_eq!(wide_mantissa(d("1000"), 36), None);
        assert_eq!(wide_mantissa(d("0.5"), 0), None);
    }
}
