//! Executions of one order as `myTrades` lists them (`web-socket-api.md`, "Account trade history", read 2026-07-21).
//!
//! The stream names with each execution what the order has executed in total; this list does not, and it may begin
//! anywhere. So `cum_qty` stays zero, and the trade id alone says which execution it is.

use venue::{Fill, OrderError};
use wire::{AssetId, Instrument, Px, Qty};

use crate::executions::Holdings;
use crate::instruments::DECIMALS;
use crate::json::{self, Value};
use crate::orders::TRADES_MAX;

/// Reads the list into `out`, which is cleared first. Returns the venue's order id, zero for an empty list.
pub(crate) fn decode(
    list: Value<'_, '_>,
    holdings: &Holdings,
    out: &mut Vec<Fill>,
) -> Result<u64, OrderError> {
    out.clear();
    let list = list.elements().ok_or(OrderError::Field { field: "result" })?;
    if list.len() > TRADES_MAX {
        return Err(OrderError::TooManyLevels { levels: list.len(), max: TRADES_MAX });
    }
    let (mut order, mut last) = (None, None);
    for entry in list {
        let (of, fill) = execution(entry, holdings)?;
        if *order.get_or_insert(of) != of {
            return Err(OrderError::Range { field: "orderId", value: of, rule: "one order a list" });
        }
        if last.is_some_and(|last| fill.trade_id <= last) {
            let value = fill.trade_id;
            return Err(OrderError::Range { field: "id", value, rule: "ascending" });
        }
        last = Some(fill.trade_id);
        out.push(fill);
    }
    Ok(order.unwrap_or(0))
}

fn execution(entry: Value<'_, '_>, holdings: &Holdings) -> Result<(u64, Fill), OrderError> {
    let [symbol, id, order, px, qty, fee, fee_asset, maker] = json::pick(
        entry,
        ["symbol", "id", "orderId", "price", "qty", "commission", "commissionAsset", "isMaker"],
    )?;
    let i = holdings.instrument(json::text_of("symbol", symbol)?)?;
    let above_zero = |field, value: i64| match value {
        0 => Err(OrderError::Range { field, value: 0, rule: "greater than zero" }),
        value => Ok(value),
    };
    let (fee, fee_asset) = commission(fee, fee_asset, i, holdings)?;
    let fill = Fill {
        px: Px(above_zero("price", json::number_of("price", px, i.px_decimals)?)?),
        qty: Qty(above_zero("qty", json::number_of("qty", qty, i.qty_decimals)?)?),
        cum_qty: Qty(0),
        trade_id: json::u64_of("id", id)?,
        fee,
        fee_asset,
        maker: maker.and_then(Value::bool).ok_or(OrderError::Field { field: "isMaker" })?,
    };
    Ok((json::u64_of("orderId", order)?, fill))
}

/// As on the stream: a rebate comes with a minus, and without an asset it can only be zero.
fn commission(
    fee: Option<Value<'_, '_>>,
    asset: Option<Value<'_, '_>>,
    i: &Instrument,
    holdings: &Holdings,
) -> Result<(i64, AssetId), OrderError> {
    let text = json::text_of("commission", fee)?;
    let fee = match text.strip_prefix('-') {
        Some(rebate) => -json::number("commission", rebate, DECIMALS)?,
        None => json::number("commission", text, DECIMALS)?,
    };
    match asset.and_then(Value::text) {
        None | Some("") if fee == 0 => Ok((0, i.quote_id)),
        None => Err(OrderError::Field { field: "commissionAsset" }),
        Some(name) => match holdings.asset(name) {
            Some(asset) => Ok((fee, asset)),
            None => Err(OrderError::Range { field: "commissionAsset", value: 0, rule: "a listed asset" }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{ID, hear, id, session};
    use venue::OrderEvent;

    /// The documented example, with one execution more.
    const TWO: &str = r#"[{"symbol":"BTCUSDT","id":1650422481,"orderId":12569099453,"orderListId":-1,
        "price":"23416.10000000","qty":"0.00635000","quoteQty":"148.69223500","commission":"0.00000635",
        "commissionAsset":"BTC","time":1660801715793,"isBuyer":true,"isMaker":true,"isBestMatch":true},
        {"symbol":"BTCUSDT","id":1650422482,"orderId":12569099453,"orderListId":-1,
        "price":"23416.50000000","qty":"0.00212000","quoteQty":"49.64","commission":"0.00000212",
        "commissionAsset":"BTC","time":1660801715793,"isBuyer":true,"isMaker":false,"isBestMatch":true}]"#;

    fn read(list: &str) -> Result<String, OrderError> {
        hear(&mut session(), &format!(r#"{{"id":"t{ID}","status":200,"result":{list},"rateLimits":[]}}"#))
    }

    #[test]
    fn a_list_says_nothing_of_the_cumulative_quantity() {
        let fill = |trade_id, px, qty, fee, maker| Fill {
            px: Px(px),
            qty: Qty(qty),
            cum_qty: Qty(0),
            trade_id,
            fee,
            fee_asset: AssetId(0),
            maker,
        };
        let trades = [
            fill(1_650_422_481, 2_341_610_000_000, 635_000, 635, true),
            fill(1_650_422_482, 2_341_650_000_000, 212_000, 212, false),
        ];
        let says = |venue_order_id, trades| {
            Ok(format!("{:?}", OrderEvent::Trades { id: id(), venue_order_id, trades, more: false }))
        };
        assert_eq!(read(TWO), says(12_569_099_453, &trades));
        assert_eq!(read("[]"), says(0, &[]));
        let full: Vec<String> = (1..=TRADES_MAX)
            .map(|n| TWO[1..TWO.len() / 2].to_owned().replace("1650422481", &n.to_string()))
            .map(|entry| entry[..entry.find('}').map_or(0, |at| at + 1)].to_owned())
            .collect();
        assert!(read(&format!("[{}]", full.join(","))).expect("valid").ends_with("more: true }"));
    }

    #[test]
    fn lists_that_cannot_be_are_refused() {
        let rule = |from: &str, to: &str| match read(&TWO.replacen(from, to, 1)) {
            Err(OrderError::Range { field, rule, .. }) => (field, rule),
            other => panic!("{other:?}"),
        };
        assert_eq!(rule("1650422481", "1650422483"), ("id", "ascending"));
        assert_eq!(rule("12569099453", "7"), ("orderId", "one order a list"));
        assert_eq!(rule("0.00635000", "0"), ("qty", "greater than zero"));
        assert_eq!(rule("23416.10000000", "0.0"), ("price", "greater than zero"));
        assert_eq!(rule("\"BTC\"", "\"DOGE\""), ("commissionAsset", "a listed asset"));
        assert_eq!(read(&TWO.replace("true", "1")), Err(OrderError::Field { field: "isMaker" }));
        assert_eq!(
            hear(
                &mut session(),
                &format!(r#"{{"id":"t{ID}","status":400,"error":{{"code":-1013,"msg":""}}}}"#)
            ),
            Ok("Refused { code: -1013 }".to_owned())
        );
    }
}
