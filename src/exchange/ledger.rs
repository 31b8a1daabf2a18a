//! Accounts: what is free, what is locked, what was paid in fees.

/// Decimals of every amount (balance, fee, quote value), for base and quote alike.
pub const AMOUNT_DECIMALS: u8 = 8;

/// Largest opening balance, mantissa at 8 decimals: sums over a hundred million such accounts still fit `i128`.
pub const AMOUNT_MAX: i128 = 1_000_000_000_000_000_000_000_000_000_000;

/// Account number, dense from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct AccountIx(pub u32);

impl AccountIx {
    /// Nobody: the recorded market's side of a trade.
    pub const NONE: AccountIx = AccountIx(u32::MAX);
}

/// Balances of an account, mantissas at 8 decimals of the asset, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// Base asset, free to use.
    pub base_free: i128,
    /// Base asset, locked in open sell orders.
    pub base_locked: i128,
    /// Quote asset, free to use.
    pub quote_free: i128,
    /// Quote asset, locked in open buy orders.
    pub quote_locked: i128,
}

/// Amount of each asset, mantissas at 8 decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) base: i128,
    pub(crate) quote: i128,
}

/// All accounts and the fees collected from them. Callers check before they take; nothing here can fail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    accounts: Vec<Balances>,
    fees: Amounts,
}

impl Ledger {
    pub(crate) fn add(&mut self, base: i128, quote: i128) -> AccountIx {
        let ix = AccountIx(self.accounts.len() as u32);
        self.accounts.push(Balances {
            base_free: base.clamp(0, AMOUNT_MAX),
            quote_free: quote.clamp(0, AMOUNT_MAX),
            ..Balances::default()
        });
        ix
    }

    pub(crate) fn len(&self) -> usize {
        self.accounts.len()
    }

    pub(crate) fn balances(&self, account: AccountIx) -> Option<Balances> {
        self.accounts.get(account.0 as usize).copied()
    }

    pub(crate) fn fees(&self) -> Amounts {
        self.fees
    }

    /// Moves what an order needs from free to locked; the caller has compared it with what is free.
    pub(crate) fn lock(&mut self, account: AccountIx, need: Amounts) {
        self.change(account, |b| {
            b.base_free -= need.base;
            b.base_locked += need.base;
            b.quote_free -= need.quote;
            b.quote_locked += need.quote;
        });
    }

    /// Gives back what an order had locked.
    pub(crate) fn unlock(&mut self, account: AccountIx, held: Amounts) {
        self.lock(account, Amounts { base: -held.base, quote: -held.quote });
    }

    /// Books a buyer's side: `paid` quote out of what is free, `received` base in, less the fee.
    pub(crate) fn buy(&mut self, account: AccountIx, paid: i128, received: i128, fee: i128) {
        self.fees.base += fee;
        self.change(account, |b| {
            b.quote_free -= paid;
            b.base_free += received - fee;
        });
    }

    /// Books a seller's side: `given` base out of what is free, `received` quote in, less the fee.
    pub(crate) fn sell(&mut self, account: AccountIx, given: i128, received: i128, fee: i128) {
        self.fees.quote += fee;
        self.change(account, |b| {
            b.base_free -= given;
            b.quote_free += received - fee;
        });
    }

    fn change(&mut self, account: AccountIx, f: impl FnOnce(&mut Balances)) {
        if let Some(b) = self.accounts.get_mut(account.0 as usize) {
            f(b);
            debug_assert!(
                b.base_free >= 0 && b.base_locked >= 0 && b.quote_free >= 0 && b.quote_locked >= 0,
                "account {account:?} went negative: {b:?}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trade_moves_assets_and_keeps_the_sum() {
        let mut l = Ledger::default();
        let (a, b) = (l.add(0, 1_000), l.add(500, 0));
        l.lock(a, Amounts { base: 0, quote: 600 });
        assert_eq!(
            l.balances(a),
            Some(Balances { quote_free: 400, quote_locked: 600, ..Balances::default() })
        );
        // 100 base for 550 quote, out of a lock of 600; fees 1 base and 5 quote.
        l.unlock(a, Amounts { base: 0, quote: 600 });
        l.buy(a, 550, 100, 1);
        l.sell(b, 100, 550, 5);
        assert_eq!(l.balances(a), Some(Balances { base_free: 99, quote_free: 450, ..Balances::default() }));
        assert_eq!(l.balances(b), Some(Balances { base_free: 400, quote_free: 545, ..Balances::default() }));
        assert_eq!(l.fees(), Amounts { base: 1, quote: 5 });
        assert_eq!(l.balances(AccountIx::NONE), None);
    }

    #[test]
    fn opening_balances_are_clamped() {
        let mut l = Ledger::default();
        let a = l.add(-1, i128::MAX);
        assert_eq!(l.balances(a), Some(Balances { quote_free: AMOUNT_MAX, ..Balances::default() }));
    }
}
