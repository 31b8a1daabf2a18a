//! Events of the account stream (`user-data-stream.md`, read 2026-07-21).
//!
//! | event | becomes |
//! |---|---|
//! | `executionReport` of an order of ours, by `x`: `NEW` | `Acked` |
//! | … `NEW` of a stop that is on the book (`w`) | `Triggered` |
//! | … `TRADE` | `Fill`; and `Expired` when it filled what self-trade prevention had left of the order |
//! | … `CANCELED` | `Cancelled` |
//! | … `EXPIRED`; `TRADE_PREVENTION` that ended the order | `Expired` |
//! | … `REJECTED` | `Rejected` |
//! | `executionReport` of anybody else's order | `Foreign` |
//! | `outboundAccountPosition` | `Account`, changed assets only |
//! | `serverShutdown`, `eventStreamTerminated` | `Shutdown` |
//! | `balanceUpdate`, `externalLockUpdate`, `listStatus` | `Control`: the position event says the same |

use venue::{AccountAsset, ClientOrderId, Fill, OrderError, OrderEvent};
use wire::{AssetId, Instrument, Px, Qty};

use crate::codes::code;
use crate::instruments::DECIMALS;
use crate::json::{self, Elements, Letters, Value};
use crate::names::Names;

/// What the session trades and holds, by name.
pub(crate) struct Holdings {
    pub(crate) instruments: Vec<Instrument>,
    pub(crate) symbols: Names,
    pub(crate) assets: Names,
}

impl Holdings {
    #[inline]
    pub(crate) fn instrument(&self, symbol: &str) -> Result<&Instrument, OrderError> {
        let index = self.symbols.index(symbol.as_bytes()).ok_or(OrderError::Symbol)?;
        self.instruments.get(index).ok_or(OrderError::Symbol)
    }

    #[inline]
    pub(crate) fn asset(&self, name: &str) -> Option<AssetId> {
        self.assets.index(name.as_bytes()).and_then(|index| u16::try_from(index).ok()).map(AssetId)
    }
}

/// A decoded message; what comes as a list is in the session's vectors.
pub(crate) enum Decoded {
    Plain(OrderEvent<'static>),
    /// The last execution of an order that ends short of its quantity.
    Last {
        fill: OrderEvent<'static>,
        end: OrderEvent<'static>,
    },
    OpenOrders,
    Refused {
        failed: OrderEvent<'static>,
        event: OrderEvent<'static>,
    },
    Pair([(ClientOrderId, u64); 2]),
    Trades {
        id: ClientOrderId,
        venue_order_id: u64,
    },
    Account {
        full: bool,
    },
    /// The account stream ended; the connection is of no use without it.
    StreamEnded,
}

/// Decodes one event without its envelope.
pub(crate) fn decode(
    event: Value<'_, '_>,
    holdings: &Holdings,
    assets: &mut Vec<AccountAsset>,
) -> Result<Decoded, OrderError> {
    let fields = Letters::scan(event).ok_or(OrderError::Field { field: "event" })?;
    if fields.find(b'e')?.is_none() {
        return Err(OrderError::UnknownEvent);
    }
    match fields.text(b'e')? {
        "executionReport" => execution(&fields, holdings),
        "outboundAccountPosition" => {
            balances(fields.elements(b'B')?, ["a", "f", "l"], holdings, assets)?;
            Ok(Decoded::Account { full: false })
        }
        "balanceUpdate" | "externalLockUpdate" | "listStatus" => Ok(Decoded::Plain(OrderEvent::Control)),
        "serverShutdown" => Ok(Decoded::Plain(OrderEvent::Shutdown)),
        "eventStreamTerminated" => Ok(Decoded::StreamEnded),
        _ => Err(OrderError::UnknownEvent),
    }
}

/// Whose order it is: a cancel gives it a new id in `c` and keeps the order's own in `C`.
fn client_id<'a>(fields: &Letters<'_, 'a>) -> Result<&'a str, OrderError> {
    match fields.find(b'C')? {
        Some(original) if !original.is_null() => {
            match original.text().ok_or(OrderError::Field { field: "C" })? {
                "" => fields.text(b'c'),
                original => Ok(original),
            }
        }
        _ => fields.text(b'c'),
    }
}

fn execution(fields: &Letters<'_, '_>, holdings: &Holdings) -> Result<Decoded, OrderError> {
    let Ok(id) = ClientOrderId::parse(client_id(fields)?.as_bytes()) else {
        return Ok(Decoded::Plain(OrderEvent::Foreign));
    };
    let i = holdings.instrument(fields.text(b's')?)?;
    let venue_order_id = fields.u64(b'i')?;
    let cum_qty = Qty(fields.number(b'z', i.qty_decimals)?);
    let event = match fields.text(b'x')? {
        "NEW" if has_triggered(fields)? => OrderEvent::Triggered { id, venue_order_id },
        "NEW" => OrderEvent::Acked { id, venue_order_id },
        "TRADE" => OrderEvent::Fill { id, venue_order_id, fill: fill(fields, i, cum_qty, holdings)? },
        "CANCELED" => OrderEvent::Cancelled { id, venue_order_id, cum_qty },
        "EXPIRED" => OrderEvent::Expired { id, venue_order_id, cum_qty },
        // Self-trade prevention may take only a part; then the order lives on.
        "TRADE_PREVENTION" => match fields.text(b'X')? {
            "EXPIRED_IN_MATCH" | "EXPIRED" | "CANCELED" | "FILLED" => {
                OrderEvent::Expired { id, venue_order_id, cum_qty }
            }
            _ => OrderEvent::Control,
        },
        // The report gives a reason in words; the code is that of the same refusal as an answer.
        "REJECTED" => OrderEvent::Rejected { id, code: code::NEW_ORDER_REJECTED },
        _ => return Err(OrderError::UnknownEvent),
    };
    if matches!(event, OrderEvent::Fill { .. })
        && fields.text(b'X')? == "FILLED"
        && cum_qty < Qty(fields.number(b'q', i.qty_decimals)?)
    {
        let end = OrderEvent::Expired { id, venue_order_id, cum_qty };
        return Ok(Decoded::Last { fill: event, end });
    }
    Ok(Decoded::Plain(event))
}

/// Whether a new order is a stop that no longer waits: such an order is reported twice.
fn has_triggered(fields: &Letters<'_, '_>) -> Result<bool, OrderError> {
    let waits = fields.find(b'o')?.and_then(Value::text);
    Ok(waits.is_some_and(|kind| !matches!(kind, "LIMIT" | "LIMIT_MAKER" | "MARKET")) && fields.bool(b'w')?)
}

fn fill(
    fields: &Letters<'_, '_>,
    i: &Instrument,
    cum_qty: Qty,
    holdings: &Holdings,
) -> Result<Fill, OrderError> {
    let above_zero = |field, value: i64| match value {
        0 => Err(OrderError::Range { field, value: 0, rule: "greater than zero" }),
        value => Ok(value),
    };
    let px = Px(above_zero("L", fields.number(b'L', i.px_decimals)?)?);
    let qty = Qty(above_zero("l", fields.number(b'l', i.qty_decimals)?)?);
    if cum_qty < qty {
        let value = cum_qty.0.unsigned_abs();
        return Err(OrderError::Range { field: "z", value, rule: "at least the last quantity l" });
    }
    let (fee, fee_asset) = fee(fields, i, holdings)?;
    Ok(Fill { px, qty, cum_qty, trade_id: fields.u64(b't')?, fee, fee_asset, maker: fields.bool(b'm')? })
}

/// Commission: positive = paid; a rebate comes with a minus. Without an asset it can only be zero, and then
/// stands in the quote asset.
fn fee(fields: &Letters<'_, '_>, i: &Instrument, holdings: &Holdings) -> Result<(i64, AssetId), OrderError> {
    let text = fields.text(b'n')?;
    let fee = match text.strip_prefix('-') {
        Some(rebate) => -json::number("n", rebate, DECIMALS)?,
        None => json::number("n", text, DECIMALS)?,
    };
    let asset = fields.find(b'N')?.filter(|asset| !asset.is_null());
    let Some(asset) = asset else {
        return match fee {
            0 => Ok((0, i.quote_id)),
            _ => Err(OrderError::Field { field: "N" }),
        };
    };
    let name = asset.text().ok_or(OrderError::Field { field: "N" })?;
    match holdings.asset(name) {
        Some(asset) => Ok((fee, asset)),
        None => Err(OrderError::Range { field: "N", value: 0, rule: "a listed asset" }),
    }
}

/// Reads balances of listed assets into `out`, which is cleared first; others are passed over.
pub(crate) fn balances(
    list: Elements<'_, '_>,
    names: [&'static str; 3],
    holdings: &Holdings,
    out: &mut Vec<AccountAsset>,
) -> Result<(), OrderError> {
    out.clear();
    let [asset_name, free_name, locked_name] = names;
    for entry in list {
        let [asset, free, locked] = json::pick(entry, names)?;
        let Some(asset) = holdings.asset(json::text_of(asset_name, asset)?) else { continue };
        if out.iter().any(|known| known.asset == asset) {
            let value = asset.0 as u64;
            return Err(OrderError::Range { field: asset_name, value, rule: "one balance an asset" });
        }
        out.push(AccountAsset {
            asset,
            free: json::number_of(free_name, free, DECIMALS)?,
            locked: json::number_of(locked_name, locked, DECIMALS)?,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use venue::OrderSession;

    use super::*;
    use crate::session::tests::{ID, hear, id, session};

    /// An execution report with the documented fields; `x` and `X` as given.
    fn report(x: &str, status: &str) -> String {
        format!(
            r#"{{"e":"executionReport","E":1499405658658,"s":"BTCUSDT","c":"{ID}","S":"BUY","o":"LIMIT","f":"GTC","q":"1.00000000","p":"0.10264410","P":"0.00000000","F":"0.00000000","g":-1,"C":"","x":"{x}","X":"{status}","r":"NONE","i":4293153,"l":"0.25000000","z":"0.75000000","L":"0.10264400","n":"0.00010000","N":"BNB","T":1499405658657,"t":77,"I":8641984,"w":true,"m":true,"M":false,"O":1499405658657,"Z":"0.00000000","Y":"0.00000000","Q":"0.00000000","W":1499405658657,"V":"NONE","eR":"X"}}"#
        )
    }

    fn read(event: &str) -> Result<String, OrderError> {
        let mut session = session();
        let raw = hear(&mut session, event);
        // Raw, as of the account stream and as of a combined stream, an event says the same.
        let wrapped = format!(r#"{{"subscriptionId":0,"event":{event}}}"#);
        assert_eq!(hear(&mut session, &wrapped), raw);
        assert_eq!(hear(&mut session, &format!(r#"{{"stream":"key","data":{event}}}"#)), raw);
        raw
    }

    fn says(event: OrderEvent<'_>) -> Result<String, OrderError> {
        Ok(format!("{event:?}"))
    }

    #[test]
    fn each_execution_type_has_its_event() {
        let (id, venue_order_id, cum_qty) = (id(), 4_293_153, Qty(75_000_000));
        let fill = Fill {
            px: Px(10_264_400),
            qty: Qty(25_000_000),
            cum_qty,
            trade_id: 77,
            fee: 10_000,
            fee_asset: AssetId(2),
            maker: true,
        };
        let ended = says(OrderEvent::Expired { id, venue_order_id, cum_qty });
        for (x, status, event) in [
            ("NEW", "NEW", says(OrderEvent::Acked { id, venue_order_id })),
            ("TRADE", "PARTIALLY_FILLED", says(OrderEvent::Fill { id, venue_order_id, fill })),
            ("CANCELED", "CANCELED", says(OrderEvent::Cancelled { id, venue_order_id, cum_qty })),
            ("EXPIRED", "EXPIRED", ended.clone()),
            ("TRADE_PREVENTION", "EXPIRED_IN_MATCH", ended),
            ("TRADE_PREVENTION", "NEW", says(OrderEvent::Control)),
            ("REJECTED", "REJECTED", says(OrderEvent::Rejected { id, code: -2010 })),
            ("REPLACED", "NEW", Err(OrderError::UnknownEvent)),
        ] {
            assert_eq!(read(&report(x, status)), event, "{x} {status}");
        }
    }

    #[test]
    fn a_stop_is_reported_when_it_is_taken_and_when_it_triggers() {
        let (id, venue_order_id) = (id(), 4_293_153);
        let (taken, triggered) = (
            says(OrderEvent::Acked { id, venue_order_id }),
            says(OrderEvent::Triggered { id, venue_order_id }),
        );
        for kind in ["STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"] {
            let on_book = report("NEW", "NEW").replace(r#""o":"LIMIT""#, &format!(r#""o":"{kind}""#));
            assert_eq!(read(&on_book.replace(r#""w":true"#, r#""w":false"#)), taken, "{kind}");
            assert_eq!(read(&on_book), triggered, "{kind}");
        }
        let post_only = report("NEW", "NEW").replace(r#""o":"LIMIT""#, r#""o":"LIMIT_MAKER""#);
        assert_eq!(read(&post_only), taken);
    }

    #[test]
    fn a_filled_order_of_which_a_part_was_prevented_has_ended() {
        let said = |report: String| {
            let mut said = Vec::new();
            session()
                .on_message(&mut report.into_bytes(), |event| said.push(format!("{event:?}")))
                .expect("valid");
            said
        };
        let (id, venue_order_id, cum_qty) = (id(), 4_293_153, Qty(75_000_000));
        let short = said(report("TRADE", "FILLED"));
        let end = OrderEvent::Expired { id, venue_order_id, cum_qty };
        assert_eq!((short.len(), short.last()), (2, Some(&format!("{end:?}"))));
        assert_eq!(said(report("TRADE", "PARTIALLY_FILLED")), short[..1]);
        let whole = report("TRADE", "FILLED").replace(r#""q":"1.00000000""#, r#""q":"0.75000000""#);
        assert_eq!(said(whole), short[..1]);
    }

    #[test]
    fn a_cancelled_order_is_known_by_its_original_id() {
        let cancelled = report("CANCELED", "CANCELED");
        let by = |c: &str, original: &str| {
            let text = cancelled.replace(ID, c);
            read(&text.replace(r#""C":"""#, &format!(r#""C":{original}"#))).expect("valid")
        };
        let ours = read(&cancelled).expect("valid");
        assert_eq!(by("abc", &format!("\"{ID}\"")), ours);
        assert_eq!(by(ID, "null"), ours);
        assert_eq!(by("web_1", "\"\""), "Foreign");
        assert_eq!(by(ID, "\"web_1\""), "Foreign");
    }

    #[test]
    fn foreign_orders_need_no_known_symbol() {
        let foreign = report("TRADE", "FILLED").replace(ID, "web_1").replace("BTCUSDT", "ETHBTC");
        assert_eq!(read(&foreign), says(OrderEvent::Foreign));
        assert_eq!(read(&report("NEW", "NEW").replace("BTCUSDT", "ETHBTC")), Err(OrderError::Symbol));
    }

    #[test]
    fn fills_are_checked_before_they_count() {
        let fill = |from: &str, to: &str| read(&report("TRADE", "PARTIALLY_FILLED").replace(from, to));
        let range = |answer: Result<String, OrderError>| match answer {
            Err(OrderError::Range { field, rule, .. }) => (field, rule),
            other => panic!("{other:?}"),
        };
        assert_eq!(range(fill(r#""L":"0.10264400""#, r#""L":"0.0""#)), ("L", "greater than zero"));
        assert_eq!(range(fill(r#""l":"0.25000000""#, r#""l":"0.0""#)), ("l", "greater than zero"));
        assert_eq!(range(fill(r#""z":"0.75000000""#, r#""z":"0.1""#)), ("z", "at least the last quantity l"));
        assert_eq!(range(fill("BNB", "DOGE")), ("N", "a listed asset"));
        assert_eq!(fill(r#""N":"BNB""#, r#""N":null"#), Err(OrderError::Field { field: "N" }));
        assert_eq!(fill(r#""t":77"#, r#""t":-1"#), Err(OrderError::Field { field: "t" }));
        assert_eq!(
            range(fill(r#""L":"0.10264400""#, r#""L":"1","L":"2""#)),
            ("L", "one occurrence in the message")
        );
        let free = fill(r#""n":"0.00010000","N":"BNB""#, r#""n":"0","N":null"#).expect("no fee");
        assert!(free.contains("fee: 0, fee_asset: AssetId(1)"), "{free}");
        let rebate = fill("0.00010000", "-0.00010000").expect("a rebate");
        assert!(rebate.contains("fee: -10000, fee_asset: AssetId(2)"), "{rebate}");
    }

    #[test]
    fn balances_change_and_streams_end() {
        let position = r#"{"e":"outboundAccountPosition","E":1,"u":1,"B":[{"a":"ETH","f":"x","l":"y"},{"a":"USDT","f":"10000.000000","l":"2500.5"}]}"#;
        let assets = [AccountAsset { asset: AssetId(1), free: 1_000_000_000_000, locked: 250_050_000_000 }];
        assert_eq!(read(position), says(OrderEvent::Account { assets: &assets, full: false }));
        for quiet in ["balanceUpdate", "externalLockUpdate", "listStatus"] {
            assert_eq!(read(&format!(r#"{{"e":"{quiet}","E":1}}"#)), says(OrderEvent::Control));
        }
        for last in ["serverShutdown", "eventStreamTerminated"] {
            assert_eq!(read(&format!(r#"{{"e":"{last}","E":1}}"#)), says(OrderEvent::Shutdown));
        }
        assert_eq!(read(r#"{"e":"tidings"}"#), Err(OrderError::UnknownEvent));
        assert_eq!(read(r#"{"x":1}"#), Err(OrderError::UnknownEvent));
    }
}
