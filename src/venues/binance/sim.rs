//! The server half of Binance spot: a venue that parses with its own code, keeps its own books and sees only bytes.
//!
//! [`BinanceSim`] is sans I/O and deterministic. A host (TLS sockets, or the one-thread engine in virtual time) tells
//! it which connections are open, what they sent and what time it is; it answers with bytes for connections and
//! requests ([`Out`]). The same configuration and the same calls give the same bytes.
//!
//! It speaks the venue's WebSocket API (sessions and their logon, account events, placing, testing, cancelling and
//! replacing orders, order lists, every query about them, `exchangeInfo`, `depth`, `time`, `ping`), the market streams
//! `@depth`, `@depth@100ms`, `@bookTicker` and `@trade`, and REST for the same requests; it checks signatures (HMAC and
//! Ed25519), time stamps, filters, balances and rate limits and refuses in the venue's own words. Source: the venue's
//! documentation repository of 2026-07 (`web-socket-api.md`, `web-socket-streams.md`, `rest-api.md`,
//! `user-data-stream.md`, `errors.md`, `filters.md`, `faqs/stp_faq.md`).
//!
//! Two markets can stand behind it:
//!
//! - **Crowd**: a seeded crowd trades in a matching engine; our orders join the same book.
//! - **Recorded**: a capture's frames are played byte for byte, in file order, to the connections that subscribed
//!   their streams. Play starts with the first subscription, and holds at a recorded snapshot until
//!   `GET /api/v3/depth` asks for one, which gets that line's bytes. Our orders fill against the recorded trades and
//!   quotes ([`exchange::RecordedMarket`]).
//!
//! What it does not do: iceberg, trailing and pegged orders, amendments, order lists other than OCO, RSA keys, the modes
//! `DECREMENT` and `TRANSFER` of self-trade prevention; `exchangeInfo` says so.

mod account;
mod auth;
mod calls;
mod cancel;
mod capture;
mod config;
mod conns;
mod depth;
mod faults;
mod json;
mod listing;
mod lists;
mod market;
mod order;
mod params;
mod place;
mod playback;
mod queries;
mod rates;
mod reject;
mod rest;
mod session;
mod stream;
mod tape;
#[cfg(test)]
mod tests;
mod wording;

pub use capture::{CaptureError, CaptureFiles, CaptureLines, CaptureSource};
pub use config::{CapturePace, SimAccount, SimConfig, SimError, SimLimits, SimMarket};
pub use faults::{Disconnect, Garbage, GarbageKind, SimFaults, UnknownOutcome};

use auth::Keyring;
use conns::{Conn, Conns};
use depth::DepthStream;
use exchange::{AMOUNT_DECIMALS, AccountIx, Crowd, ExEvent, Exchange, ExchangeConfig, Fees, RecordedMarket};
use faults::FaultState;
use listing::{D8, Listing};
use lists::List;
use market::{Market, Top};
use order::Orders;
use rates::Rates;
use rust_decimal::Decimal;
use stream::AccountStream;
use tape::Tape;
use wire::{Px, Qty, Side, Ts};

/// A connection's number, chosen by the host; a number may be used again after [`BinanceSim::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

/// What the venue sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// A WebSocket text frame.
    Text {
        /// To whom.
        conn: ConnId,
        /// The frame's payload.
        payload: Vec<u8>,
    },
    /// The answer to an HTTP request.
    Http {
        /// The request's [`HttpIn::id`].
        id: u64,
        /// HTTP status.
        status: u16,
        /// Names and values besides what HTTP itself needs.
        headers: Vec<(String, String)>,
        /// JSON.
        body: Vec<u8>,
    },
    /// The venue closes this connection (for the venue it is closed already).
    Close {
        /// Which.
        conn: ConnId,
    },
}

/// What the venue sends, in order.
pub type Outbox = Vec<Out>;

/// An HTTP request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpIn {
    /// Echoed in [`Out::Http`].
    pub id: u64,
    /// `GET`, `POST`, `DELETE`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in any case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// A request to place an order, as the venue saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedOrder {
    /// The client order id that came with it; empty when none did.
    pub client_id: String,
    /// Venue time of its arrival.
    pub ts: Ts,
    /// Whether it became an order.
    pub accepted: bool,
}

/// An open order, as the venue has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimOpenOrder {
    /// The venue's number.
    pub order_id: u64,
    /// The client order id it was placed with.
    pub client_id: String,
    /// Side.
    pub side: Side,
    /// Limit price, mantissa at the instrument's scale.
    pub px: Px,
    /// Original quantity.
    pub qty: Qty,
    /// Filled so far.
    pub cum_qty: Qty,
}

/// A simulated Binance spot with one instrument and one account.
pub struct BinanceSim {
    listing: Listing,
    market: Market,
    account: AccountIx,
    fees: Fees,
    keyring: Keyring,
    rates: Rates,
    faults: FaultState,
    conns: Conns,
    orders: Orders,
    lists: Vec<List>,
    /// A list that the account has not been told of yet.
    started_list: Option<u64>,
    open_lists: Vec<u64>,
    stream: AccountStream,
    received: Vec<ReceivedOrder>,
    depth: [DepthStream; 2],
    /// Best prices as last told.
    top: Top,
    /// HTTP requests for a snapshot that wait for the recording.
    snapshots_asked: Vec<u64>,
    account_changed: bool,
    account_changed_at: Ts,
    executions: u64,
    client_ids_made: u64,
    fills: u64,
    cancels: u64,
    /// Reused between calls.
    events: Vec<ExEvent>,
}

impl BinanceSim {
    /// Makes the venue at venue time `now`; a crowd places its first quotes here.
    ///
    /// # Errors
    /// [`SimError`] names the value that breaks its rule.
    pub fn new(config: SimConfig, now: Ts) -> Result<BinanceSim, SimError> {
        let SimConfig { instrument, market, account, fees, depth_interval_ms, limits, faults } = config;
        if depth_interval_ms == 0 {
            return Err(SimError::config("depth_interval_ms", depth_interval_ms, "must be 1 or more"));
        }
        let (base, quote) = (amount("account.base", account.base)?, amount("account.quote", account.quote)?);
        let listing = Listing::new(instrument.clone())?;
        let exchange = ExchangeConfig { instrument, fees };
        let refused = |e: exchange::ExchangeConfigError| SimError::config("instrument", e, "refused");
        let mut events = Vec::new();
        let (market, account_ix) = match market {
            SimMarket::Crowd { seed, config } => {
                let mut exchange = Box::new(Exchange::new(exchange).map_err(refused)?);
                let ours = exchange.add_account(base, quote);
                exchange.set_filters(ours, limits.filters);
                let mut crowd = Box::new(Crowd::new(seed, config));
                crowd.start(now, &mut exchange, &mut events);
                events.clear();
                (Market::Live { exchange, crowd }, ours)
            }
            SimMarket::Recorded { lines } => {
                let mut market = Box::new(RecordedMarket::new(exchange).map_err(refused)?);
                let ours = market.add_account(base, quote);
                market.set_filters(ours, limits.filters);
                (Market::Recorded { market, tape: Box::new(Tape::new(lines)) }, ours)
            }
        };
        let (sent, interval_ns) = (market.update_id(), depth_interval_ms.saturating_mul(1_000_000));
        Ok(BinanceSim {
            listing,
            account: account_ix,
            fees,
            keyring: Keyring::new(account.api_key, account.secret),
            rates: Rates::new(limits),
            faults: FaultState::new(faults),
            conns: Conns::default(),
            orders: Orders::default(),
            lists: Vec::new(),
            started_list: None,
            open_lists: Vec::new(),
            stream: AccountStream::default(),
            received: Vec::new(),
            depth: [interval_ns, interval_ns.saturating_mul(10)].map(|ns| DepthStream::new(ns, sent)),
            top: market.live_top().unwrap_or((None, None)),
            market,
            snapshots_asked: Vec::new(),
            account_changed: false,
            account_changed_at: now,
            executions: 0,
            client_ids_made: 0,
            fills: 0,
            cancels: 0,
            events,
        })
    }

    /// A WebSocket connection asks for `target` (`/stream?streams=..`, `/ws/..`, `/ws-api/v3`).
    ///
    /// # Errors
    /// The HTTP status of the refusal: 404 unknown target, 400 bad query, 409 number in use, 429 too much weight, 418
    /// banned.
    pub fn open(&mut self, conn: ConnId, target: &str, now: Ts) -> Result<(), u16> {
        self.rates.charge(now, 2).map_err(|reject| reject.status)?;
        self.conns.open(conn, target, self.rates.limits(), now)?;
        self.start_tape(now);
        Ok(())
    }

    /// A connection is gone.
    pub fn close(&mut self, conn: ConnId) {
        self.conns.close(conn);
    }

    /// A WebSocket text frame from a connection.
    pub fn on_text(&mut self, conn: ConnId, payload: &[u8], now: Ts, out: &mut Outbox) {
        self.catch_up(now, out);
        match self.conns.get_mut(conn) {
            Some(Conn::Market(market)) => {
                match market.control(payload, self.rates.limits(), now) {
                    Some(payload) => out.push(Out::Text { conn, payload }),
                    None => {
                        self.conns.close(conn);
                        out.push(Out::Close { conn });
                    }
                }
                self.start_tape(now);
            }
            Some(Conn::Api(_)) => {
                let mut caused = Outbox::new();
                let reply = self.request(conn, payload, now, &mut caused);
                if self.faults.faults.events_before_reply {
                    out.append(&mut caused);
                }
                out.extend(reply);
                out.append(&mut caused);
            }
            None => {}
        }
    }

    /// A REST request. The answer is in `out`, or comes later when it is a snapshot of a recording that has not been
    /// reached.
    pub fn http(&mut self, request: HttpIn, now: Ts, out: &mut Outbox) {
        self.catch_up(now, out);
        let mut caused = Outbox::new();
        out.extend(self.serve(&request, now, &mut caused));
        out.append(&mut caused);
    }

    /// Moves the market up to `now`: every turn of the crowd and every recorded line that is due.
    pub fn advance(&mut self, now: Ts, out: &mut Outbox) {
        self.advance_at_most(now, usize::MAX, out);
    }

    /// When the market moves next by itself, or an event of the account that was delayed is due; `None` when nothing will:
    /// the recording is finished, held or not started, or the crowd sleeps. (That a connection has lived its time is seen
    /// by whatever [`BinanceSim::advance`] comes after.)
    pub fn next_at(&self) -> Option<Ts> {
        let market = match &self.market {
            Market::Live { crowd, .. } => {
                let turn = Some(crowd.next_at()).filter(|at| *at != Ts(u64::MAX));
                turn.into_iter().chain(self.depth.iter().filter_map(|d| d.due_at())).min()
            }
            Market::Recorded { tape, .. } => tape.due_at(),
        };
        market.into_iter().chain(self.stream.due_at()).min()
    }

    /// Adds an Ed25519 key of the account, by its 32 public bytes: what `session.logon` asks for.
    pub fn add_ed25519_key(&mut self, api_key: impl Into<String>, public: [u8; 32]) {
        self.keyring.add_ed25519(api_key.into(), public);
    }

    /// Revokes a key; sessions that logged on with it end at their next request. Returns whether it was known.
    pub fn revoke_key(&mut self, api_key: &str) -> bool {
        self.keyring.revoke(api_key)
    }

    /// What goes wrong on purpose from now on; counts go on.
    pub fn faults_mut(&mut self) -> &mut SimFaults {
        &mut self.faults.faults
    }

    /// Announces a shutdown of the server: every open connection gets a `serverShutdown` event with the next
    /// [`BinanceSim::advance`], and is closed after `notice_ms`.
    pub fn announce_shutdown(&mut self, notice_ms: u64, now: Ts) {
        self.conns.shut_down(now.plus_ns(notice_ms.saturating_mul(1_000_000)), now);
    }

    /// Whether the recording has been played to its end. A crowd never finishes.
    pub fn finished(&self) -> bool {
        matches!(&self.market, Market::Recorded { tape, .. } if tape.is_finished())
    }

    /// Whether play waits at a recorded snapshot for somebody to ask for it.
    pub fn held(&self) -> bool {
        matches!(&self.market, Market::Recorded { tape, .. } if tape.is_held())
    }

    /// Sets how fast recorded lines fall due from `now` on; a crowd has no pace.
    pub fn set_pace(&mut self, pace: CapturePace, now: Ts) {
        if let Market::Recorded { tape, .. } = &mut self.market {
            tape.set_pace(pace, now);
        }
    }

    /// Halts or resumes trading: while halted new orders are refused and cancels pass.
    pub fn set_trading(&mut self, trading: bool) {
        self.listing.instrument.trading = trading;
        self.market.set_trading(trading);
    }

    /// Every request to place an order so far, in order of arrival, refused ones included.
    pub fn received(&self) -> &[ReceivedOrder] {
        &self.received
    }

    /// The account's open orders, oldest first.
    pub fn open_orders(&self) -> Vec<SimOpenOrder> {
        let open = self.open_ixs();
        open.into_iter()
            .filter_map(|ix| self.orders.get(ix))
            .map(|o| SimOpenOrder {
                order_id: o.id,
                client_id: o.client_id.clone(),
                side: o.side,
                px: o.px,
                qty: o.qty,
                cum_qty: o.cum,
            })
            .collect()
    }

    /// The account's balances: asset, free, locked; base first.
    pub fn balances(&self) -> Vec<(String, Decimal, Decimal)> {
        let decimal = |d: D8| {
            Decimal::try_from_i128_with_scale(d.0, AMOUNT_DECIMALS as u32).unwrap_or(Decimal::MAX).normalize()
        };
        self.assets()
            .map(|(asset, free, locked)| (asset.to_string(), decimal(free), decimal(locked)))
            .to_vec()
    }

    /// Best bid and best ask, each with its quantity: of the live book, or as the recording has told them last.
    pub fn best(&self) -> exchange::TopOfBook {
        self.market.live_top().unwrap_or(self.top)
    }

    /// Executions of the account's orders so far.
    pub fn fills(&self) -> u64 {
        self.fills
    }

    /// Market messages made so far, one for each connection that they went to.
    pub fn market_messages(&self) -> u64 {
        self.faults.market_messages()
    }

    /// Orders of the account cancelled so far.
    pub fn cancels(&self) -> u64 {
        self.cancels
    }

    /// Recorded lines that could not be used so far.
    pub fn capture_lines_bad(&self) -> u64 {
        match &self.market {
            Market::Recorded { tape, .. } => tape.lines_bad(),
            Market::Live { .. } => 0,
        }
    }

    /// Why the recording ended before its end, if it did.
    pub fn capture_error(&self) -> Option<&CaptureError> {
        match &self.market {
            Market::Recorded { tape, .. } => tape.error(),
            Market::Live { .. } => None,
        }
    }

    /// Whether a recording stands behind the venue, not a crowd.
    pub fn is_recorded(&self) -> bool {
        matches!(self.market, Market::Recorded { .. })
    }

    /// Brings a live book to `now` before a request acts on it; a recording moves only when it is told to.
    fn catch_up(&mut self, now: Ts, out: &mut Outbox) {
        if !self.is_recorded() {
            self.advance(now, out);
        }
    }

    fn start_tape(&mut self, now: Ts) {
        if let Market::Recorded { tape, .. } = &mut self.market
            && self.conns.any_stream()
        {
            tape.start(now);
        }
    }
}

/// An opening balance as the exchange counts it: mantissa at 8 decimals.
fn amount(field: &'static str, value: Decimal) -> Result<i128, SimError> {
    let mantissa = value.normalize();
    let up = AMOUNT_DECIMALS as u32;
    match up.checked_sub(mantissa.scale()) {
        Some(up) if !value.is_sign_negative() => Ok(mantissa.mantissa() * 10i128.pow(up)),
        _ => Err(SimError::config(field, value, "must be 0 or more with at most 8 decimals")),
    }
}
