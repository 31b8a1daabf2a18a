//! Seeded participants that make a living book.

use crate::rng::Rng;
use crate::{AMOUNT_MAX, AccountIx, ExEvent, ExOrderId, Exchange, OrderKind, Submit, Tif};
use wire::{Instrument, Px, Qty, Side, Ts};

/// How the participants behave. Start from [`CrowdConfig::around`] and change what matters.
///
/// Values out of range are brought to the nearest bound when the crowd is made.
#[derive(Clone, Debug, PartialEq)]
pub struct CrowdConfig {
    /// Where the fair price starts and to which it reverts.
    pub reference: Px,
    /// Mean order size.
    pub qty_mean: Qty,
    /// Actions per second of all participants together, Poisson. 0 = asleep. Default 2,500.
    pub actions_per_s: f64,
    /// Market makers. Default 4.
    pub makers: usize,
    /// Levels that each maker quotes on each side, 1 tick apart. Default 8.
    pub maker_levels: usize,
    /// Ticks from the fair price to a maker's first quote, 0.5 and more. Default 1.0.
    pub half_spread_ticks: f64,
    /// Standard deviation of the fair price over one second, ticks. Default 6.0.
    pub volatility_ticks: f64,
    /// Times that volatility is multiplied by in a gust, 1 and more. 1 = there are no gusts. Default 1.
    ///
    /// Volatility comes in clusters: gusts begin after exponential times of mean [`CrowdConfig::calm_mean_s`] and last
    /// exponential times of mean [`CrowdConfig::gust_mean_s`]. Nobody in the crowd knows of them; makers are picked off
    /// more often while one lasts.
    pub gust_factor: f64,
    /// Mean time between gusts, s. Default 10.
    pub calm_mean_s: f64,
    /// Mean time that a gust lasts, s. Default 5.
    pub gust_mean_s: f64,
    /// Pull of the fair price towards the reference, share of the distance per second. Default 0.01.
    pub reversion_per_s: f64,
    /// Share of actions that take: market and IOC orders. Default 0.08.
    pub taker_share: f64,
    /// Share of takers that trade towards the fair price; the rest choose a side by a coin. Default 0.3.
    pub informed_share: f64,
    /// Share of actions by drifters, who place passive orders and cancel them at random. Default 0.22.
    pub drifter_share: f64,
    /// Open orders that the drifters hold together at most. Default 48.
    pub drifter_orders_max: usize,
}

impl CrowdConfig {
    /// Defaults for an instrument around a price. The mean size is 20 times the smallest notional at that price,
    /// or 100 lots (or smallest orders) when that is more; the drifters keep within the open-order rule.
    pub fn around(instrument: &Instrument, reference: Px) -> CrowdConfig {
        let lot = instrument.lot.0.max(1);
        let by_notional = instrument.notional_min.saturating_mul(20) / reference.0.max(1) as i128;
        let floor = lot.max(instrument.qty_min.0).saturating_mul(100);
        let qty_mean = i64::try_from(by_notional).unwrap_or(i64::MAX / 64).max(floor);
        let most =
            if instrument.open_orders_max == 0 { usize::MAX } else { instrument.open_orders_max as usize };
        CrowdConfig {
            reference,
            qty_mean: Qty(qty_mean),
            actions_per_s: 2_500.0,
            makers: 4,
            maker_levels: 8.min(most / 2).max(1),
            half_spread_ticks: 1.0,
            volatility_ticks: 6.0,
            gust_factor: 1.0,
            calm_mean_s: 10.0,
            gust_mean_s: 5.0,
            reversion_per_s: 0.01,
            taker_share: 0.08,
            informed_share: 0.3,
            drifter_share: 0.22,
            drifter_orders_max: 48.min(most),
        }
    }

    fn bounded(mut self) -> CrowdConfig {
        let within = |x: f64, lo: f64, hi: f64| if x >= lo { x.min(hi) } else { lo };
        self.reference = self.reference.max(Px(1));
        self.qty_mean = self.qty_mean.clamp(Qty(1), Qty(i64::MAX / 64));
        self.actions_per_s = within(self.actions_per_s, 0.0, 1e9);
        self.makers = self.makers.clamp(1, 1_000);
        self.maker_levels = self.maker_levels.clamp(1, 1_000);
        self.half_spread_ticks = within(self.half_spread_ticks, 0.5, 1e6);
        self.volatility_ticks = within(self.volatility_ticks, 0.0, 1e6);
        self.gust_factor = within(self.gust_factor, 1.0, 1e3);
        self.calm_mean_s = within(self.calm_mean_s, 1e-3, 1e6);
        self.gust_mean_s = within(self.gust_mean_s, 1e-3, 1e6);
        self.reversion_per_s = within(self.reversion_per_s, 0.0, 1e3);
        self.taker_share = within(self.taker_share, 0.0, 1.0);
        self.informed_share = within(self.informed_share, 0.0, 1.0);
        self.drifter_share = within(self.drifter_share, 0.0, 1.0 - self.taker_share);
        self
    }
}

/// What the crowd has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrowdStats {
    /// Actions: one participant's turn, up to one cancel and one new order.
    pub actions: u64,
    /// Market and IOC orders accepted.
    pub takes: u64,
    /// Passive orders accepted.
    pub quotes: u64,
    /// Orders cancelled.
    pub cancels: u64,
    /// Orders that the exchange refused (a filter, or a maker's price overtaken).
    pub refused: u64,
}

/// Market makers, takers and drifters, each kind with an account of its own on the exchange (makers one each), all
/// rich. They see the public best prices and their own orders, and nothing of whose the others are.
///
/// The fair price is a mean-reverting walk. A maker's turn renews its stalest quote around it; a taker sends a
/// market or IOC order, sometimes towards the fair price; a drifter places or cancels a passive order near the
/// best. Turns are a Poisson stream: the crowd sleeps until [`Crowd::next_at`]. The same seed and the same
/// calls against the same exchange give the same events.
///
/// Cost: about a microsecond an action. Memory is bounded by the configuration.
#[derive(Clone, Debug)]
pub struct Crowd {
    config: CrowdConfig,
    rng: Rng,
    /// Ticks.
    fair: f64,
    fair_at: Ts,
    /// Whether a gust is on, and until when it stays so; without gusts for ever calm.
    gust: bool,
    weather_until: Ts,
    next_at: Ts,
    makers: Vec<Maker>,
    takers: Option<AccountIx>,
    drifters: Option<AccountIx>,
    drifting: Vec<ExOrderId>,
    tokens: u64,
    stats: CrowdStats,
}

#[derive(Clone, Debug)]
struct Maker {
    account: AccountIx,
    /// This maker's own error about the fair price, ticks.
    bias_ticks: f64,
    /// Quote `n` is level `n / 2` of the buy side (even) or sell side (odd).
    quotes: Vec<Option<ExOrderId>>,
}

impl Crowd {
    /// A crowd that has not met an exchange yet; [`Crowd::next_at`] is never.
    pub fn new(seed: u64, config: CrowdConfig) -> Crowd {
        Crowd {
            config: config.bounded(),
            rng: Rng::new(seed),
            fair: 0.0,
            fair_at: Ts(0),
            gust: false,
            weather_until: Ts(u64::MAX),
            next_at: Ts(u64::MAX),
            makers: Vec::new(),
            takers: None,
            drifters: None,
            drifting: Vec::new(),
            tokens: 0,
            stats: CrowdStats::default(),
        }
    }

    /// Opens the accounts, places every maker's quotes at `now` and schedules the first action. Once only: a
    /// second call does nothing.
    pub fn start(&mut self, now: Ts, ex: &mut Exchange, out: &mut Vec<ExEvent>) {
        if self.takers.is_some() {
            return;
        }
        self.fair = self.config.reference.0 as f64 / tick(ex) as f64;
        self.fair_at = now;
        if self.config.gust_factor > 1.0 {
            self.weather_until = self.lasting(now, self.config.calm_mean_s);
        }
        let rich = AMOUNT_MAX / 1_000;
        self.takers = Some(ex.add_account(rich, rich));
        self.drifters = Some(ex.add_account(rich, rich));
        for _ in 0..self.config.makers {
            self.makers.push(Maker {
                account: ex.add_account(rich, rich),
                bias_ticks: self.rng.normal() * 0.5,
                quotes: vec![None; 2 * self.config.maker_levels],
            });
        }
        // Level by level, so that queues mix the makers.
        for quote in 0..2 * self.config.maker_levels {
            for maker in 0..self.makers.len() {
                self.requote(now, maker, quote, ex, out);
            }
        }
        self.next_at = self.after(now);
    }

    /// Does every action due up to and including `now`, in time order, each stamped with its own time. The work
    /// is proportional to the time since the last call; before [`Crowd::start`] it does nothing.
    pub fn step(&mut self, now: Ts, ex: &mut Exchange, out: &mut Vec<ExEvent>) {
        while self.next_at <= now && self.next_at != Ts(u64::MAX) {
            let at = self.next_at;
            self.walk(at, ex);
            self.act(at, ex, out);
            self.stats.actions += 1;
            self.next_at = self.after(at);
        }
    }

    /// When the next action is due; `Ts(u64::MAX)` = never.
    pub fn next_at(&self) -> Ts {
        self.next_at
    }

    /// What was done so far.
    pub fn stats(&self) -> CrowdStats {
        self.stats
    }

    fn after(&mut self, now: Ts) -> Ts {
        if self.config.actions_per_s <= 0.0 {
            return Ts(u64::MAX);
        }
        let gap_ns = self.rng.exponential() * 1e9 / self.config.actions_per_s;
        now.plus_ns((gap_ns as u64).max(1))
    }

    /// When something that begins now and lasts `mean_s` on average is over.
    fn lasting(&mut self, now: Ts, mean_s: f64) -> Ts {
        now.plus_ns((self.rng.exponential() * mean_s * 1e9) as u64)
    }

    /// Moves the fair price on to `at`.
    fn walk(&mut self, at: Ts, ex: &Exchange) {
        // Weather changes with the first action after its time: actions are far closer together than gusts.
        if at >= self.weather_until {
            self.gust = !self.gust;
            let mean_s = if self.gust { self.config.gust_mean_s } else { self.config.calm_mean_s };
            self.weather_until = self.lasting(at, mean_s);
        }
        let dt_s = at.since_ns(self.fair_at) as f64 / 1e9;
        self.fair_at = at;
        let home = self.config.reference.0 as f64 / tick(ex) as f64;
        let pull = (self.config.reversion_per_s * dt_s).min(1.0) * (home - self.fair);
        let factor = if self.gust { self.config.gust_factor } else { 1.0 };
        let shock = factor * self.config.volatility_ticks * dt_s.sqrt() * self.rng.normal();
        let lowest = self.config.maker_levels as f64 + self.config.half_spread_ticks + 4.0;
        self.fair = (self.fair + pull + shock).max(lowest);
    }

    fn act(&mut self, at: Ts, ex: &mut Exchange, out: &mut Vec<ExEvent>) {
        let who = self.rng.unit();
        if who < self.config.taker_share {
            self.take(at, ex, out);
        } else if who < self.config.taker_share + self.config.drifter_share {
            self.drift(at, ex, out);
        } else {
            let maker = self.rng.below(self.makers.len() as u64) as usize;
            let quote = self.stalest(maker, ex);
            self.requote(at, maker, quote, ex, out);
        }
    }

    /// The maker's quote most in need of renewal: the nearest one that is gone; else the one furthest from where
    /// it should be; else any.
    fn stalest(&mut self, maker: usize, ex: &Exchange) -> usize {
        let any = self.rng.below(2 * self.config.maker_levels as u64) as usize;
        let mut worst = (0i64, any);
        for (n, id) in self.makers[maker].quotes.iter().enumerate() {
            let Some(order) = id.and_then(|id| ex.order(id)).filter(|o| o.is_open()) else { return n };
            let off = (order.px.0 - self.target(maker, n, ex).0).abs() / tick(ex);
            if off > worst.0 {
                worst = (off, n);
            }
        }
        worst.1
    }

    /// Where the maker wants this quote, before regard to the other side of the book.
    fn target(&self, maker: usize, quote: usize, ex: &Exchange) -> Px {
        let centre = self.fair + self.makers[maker].bias_ticks;
        let away = self.config.half_spread_ticks + (quote / 2) as f64;
        let ticks = match side_of(quote) {
            Side::Buy => (centre - away).floor(),
            Side::Sell => (centre + away).ceil(),
        };
        px_at(ticks, ex)
    }

    fn requote(&mut self, at: Ts, maker: usize, quote: usize, ex: &mut Exchange, out: &mut Vec<ExEvent>) {
        let account = self.makers[maker].account;
        if let Some(id) = self.makers[maker].quotes[quote].take() {
            self.cancel(at, account, id, ex, out);
        }
        let side = side_of(quote);
        let px = behind_opposite(self.target(maker, quote, ex), side, ex);
        self.makers[maker].quotes[quote] = self.place(at, account, side, px, ex, out);
    }

    fn take(&mut self, at: Ts, ex: &mut Exchange, out: &mut Vec<ExEvent>) {
        let Some(account) = self.takers else { return };
        let best = ex.best();
        let coin = if self.rng.chance(0.5) { Side::Buy } else { Side::Sell };
        let informed = self.rng.chance(self.config.informed_share);
        let side = match best {
            (Some((bid, _)), Some((ask, _))) if informed => {
                let mid_ticks = (bid.0 as f64 + ask.0 as f64) / 2.0 / tick(ex) as f64;
                if self.fair > mid_ticks { Side::Buy } else { Side::Sell }
            }
            _ => coin,
        };
        let Some((touch, _)) = (if side == Side::Buy { best.1 } else { best.0 }) else { return };
        let kind = if self.rng.chance(0.5) { OrderKind::Market } else { OrderKind::Limit };
        // An IOC reaches up to two ticks past the touch.
        let reach = (self.rng.below(3) as i64).saturating_mul(tick(ex));
        let px = Px(touch.0.saturating_add(side.sign() * reach).max(tick(ex)));
        let qty = self.size(touch, ex);
        let token = self.token();
        match ex.submit(
            at,
            account,
            Submit { token, kind, tif: Tif::Ioc, ..Submit::limit(side, px, qty) },
            out,
        ) {
            Ok(_) => self.stats.takes += 1,
            Err(_) => self.stats.refused += 1,
        }
    }

    fn drift(&mut self, at: Ts, ex: &mut Exchange, out: &mut Vec<ExEvent>) {
        let Some(account) = self.drifters else { return };
        self.drifting.retain(|id| ex.order(*id).is_some_and(|o| o.is_open()));
        let held = self.drifting.len();
        if held >= self.config.drifter_orders_max || (held > 0 && self.rng.chance(0.5)) {
            if held > 0 {
                let id = self.drifting.swap_remove(self.rng.below(held as u64) as usize);
                self.cancel(at, account, id, ex, out);
            }
            return;
        }
        let side = if self.rng.chance(0.5) { Side::Buy } else { Side::Sell };
        let best = ex.best();
        let own = if side == Side::Buy { best.0 } else { best.1 };
        let from = own.map_or(px_at(self.fair, ex), |(px, _)| px);
        let away = (self.rng.below(6) as i64).saturating_mul(tick(ex));
        let px = behind_opposite(Px(from.0.saturating_sub(side.sign() * away).max(tick(ex))), side, ex);
        if let Some(id) = self.place(at, account, side, px, ex, out) {
            self.drifting.push(id);
        }
    }

    fn place(
        &mut self,
        at: Ts,
        account: AccountIx,
        side: Side,
        px: Px,
        ex: &mut Exchange,
        out: &mut Vec<ExEvent>,
    ) -> Option<ExOrderId> {
        let qty = self.size(px, ex);
        let token = self.token();
        let submit = Submit { token, kind: OrderKind::LimitMaker, ..Submit::limit(side, px, qty) };
        match ex.submit(at, account, submit, out) {
            Ok(id) => {
                self.stats.quotes += 1;
                Some(id)
            }
            Err(_) => {
                self.stats.refused += 1;
                None
            }
        }
    }

    fn cancel(
        &mut self,
        at: Ts,
        account: AccountIx,
        id: ExOrderId,
        ex: &mut Exchange,
        out: &mut Vec<ExEvent>,
    ) {
        // A quote that has traded away meanwhile is not there to cancel, which is as good.
        if ex.cancel(at, account, id, out).is_ok() {
            self.stats.cancels += 1;
        }
    }

    /// An order size: exponential around the mean, on the lot, within the instrument's rules at `px`.
    fn size(&mut self, px: Px, ex: &Exchange) -> Qty {
        let drawn = (self.config.qty_mean.0 as f64 * self.rng.exponential()) as i64;
        let i = ex.instrument();
        let by_notional = i64::try_from(i.notional_min / px.0.max(1) as i128).unwrap_or(i64::MAX / 2);
        let lot = i.lot.0.max(1);
        let up = |q: i64| q.saturating_add(lot - 1) / lot * lot;
        let least = up(i.qty_min.0.max(by_notional.saturating_add(1)).max(1));
        let most = if i.qty_max.0 == 0 { i64::MAX } else { i.qty_max.0 } / lot * lot;
        Qty((drawn / lot * lot).max(least).min(most))
    }

    fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }
}

fn side_of(quote: usize) -> Side {
    if quote.is_multiple_of(2) { Side::Buy } else { Side::Sell }
}

fn tick(ex: &Exchange) -> i64 {
    ex.instrument().tick.0.max(1)
}

/// A price of so many ticks, brought within the instrument's bounds.
fn px_at(ticks: f64, ex: &Exchange) -> Px {
    let (i, tick) = (ex.instrument(), tick(ex));
    let lo = i.px_min.0.max(1).saturating_add(tick - 1) / tick * tick;
    let hi = if i.px_max.0 == 0 { i64::MAX } else { i.px_max.0 } / tick * tick;
    Px((ticks as i64).saturating_mul(tick).min(hi).max(lo))
}

/// The price, or one tick behind the opposite best when it would reach it.
fn behind_opposite(px: Px, side: Side, ex: &Exchange) -> Px {
    let tick = tick(ex);
    match (side, ex.best()) {
        (Side::Buy, (_, Some((ask, _)))) => px.min(Px(ask.0 - tick)).max(Px(tick)),
        (Side::Sell, (Some((bid, _)), _)) => px.max(Px(bid.0.saturating_add(tick))),
        _ => px,
    }
}
