//! The order session: what each answer of the venue says, and what it refuses.

use super::*;
use crate::feed::tests::btcusdt;
use wire::{AssetId, OrderType, RejectReason, Slot};

pub(crate) const ID: &str = "C0000000abc-00000000000004d-0005";

pub(crate) fn id() -> ClientOrderId {
    ClientOrderId { cycle: 0xabc, ts: Ts(77), slot: Slot(5) }
}

pub(crate) fn session() -> BinanceOrders {
    let credentials = Credentials::new("testkey1".into(), "testsecret".into()).expect("plain");
    BinanceOrders::new(vec![btcusdt()], vec!["BTC".into(), "USDT".into(), "BNB".into()], credentials)
}

/// What one message said to a session, as text; nothing when it was refused.
pub(crate) fn hear(session: &mut BinanceOrders, message: &str) -> Result<String, OrderError> {
    let mut said = None;
    let answer =
        session.on_message(&mut message.as_bytes().to_vec(), |event| said = Some(format!("{event:?}")));
    match answer {
        Ok(()) => Ok(said.expect("one event")),
        Err(error) => {
            assert_eq!(said, None, "nothing of a refused message is delivered");
            Err(error)
        }
    }
}

fn read(message: &str) -> Result<String, OrderError> {
    hear(&mut session(), message)
}

fn says(event: OrderEvent<'_>) -> Result<String, OrderError> {
    Ok(format!("{event:?}"))
}

fn reply(id: &str, result: &str) -> String {
    format!(r#"{{"id":"{id}","status":200,"result":{result},"rateLimits":[{{"count":1}}]}}"#)
}

fn error(id: &str, status: u64, code: i32) -> String {
    format!(r#"{{"id":{id},"status":{status},"error":{{"code":{code},"msg":"x","data":{{}}}}}}"#)
}

#[test]
fn answers_find_their_order_by_request_id() {
    let placed = r#"{"symbol":"BTCUSDT","orderId":12569099453,"orderListId":-1,"clientOrderId":"x","transactTime":1660801715639}"#;
    assert_eq!(
        read(&reply(&format!("p{ID}"), placed)),
        says(OrderEvent::Acked { id: id(), venue_order_id: 12_569_099_453 })
    );
    assert_eq!(read(&reply(&format!("c{ID}"), placed)), says(OrderEvent::Control));
    assert_eq!(read(&reply("a", "[]")), says(OrderEvent::CancelAllDone { code: 0 }));
    assert_eq!(read(&reply("s", r#"{"subscriptionId":0}"#)), says(OrderEvent::Subscribed));
    for foreign in ["", "x", "p", "pC", "aa", &format!("x{ID}"), &format!("p{ID}0")] {
        assert_eq!(read(&reply(foreign, "{}")), Err(OrderError::Field { field: "id" }), "{foreign}");
    }
    assert_eq!(
        read(&reply(&format!("p{ID}"), r#"{"orderId":"1"}"#)),
        Err(OrderError::Field { field: "orderId" })
    );
    assert_eq!(
        read(&format!(r#"{{"id":"p{ID}","status":200}}"#)),
        Err(OrderError::Field { field: "result" })
    );
}

#[test]
fn an_error_says_what_it_means_before_what_it_is_about() {
    let said = |message: String| {
        let mut said = Vec::new();
        let mut bytes = message.into_bytes();
        session().on_message(&mut bytes, |event| said.push(format!("{event:?}"))).expect("valid");
        said
    };
    let failed = |code, reason, retry_at: Option<u64>| {
        format!("{:?}", OrderEvent::Failed { code, reason, retry_at: retry_at.map(Ts) })
    };
    let balance = format!(
        r#"{{"id":"p{ID}","status":400,"error":{{"code":-2010,"msg":"Account has insufficient balance for requested action."}}}}"#
    );
    let rejected = format!("{:?}", OrderEvent::Rejected { id: id(), code: -2010 });
    assert_eq!(said(balance), [failed(-2010, RejectReason::Balance, None), rejected]);
    // web-socket-api.md, "Rate limits": a ban with its end.
    let banned = r#"{"id":"o","status":418,"error":{"code":-1003,"msg":"Way too much request weight used; IP banned until 1659146400000. Please use WebSocket Streams for live updates to avoid bans.","data":{"serverTime":1659142907531,"retryAfter":1659146400000}}}"#;
    assert_eq!(
        said(banned.to_owned())[0],
        failed(-1003, RejectReason::Banned, Some(1_659_146_400_000_000_000))
    );
    let half = format!(
        r#"{{"id":"r{ID}","status":409,"error":{{"code":-2021,"msg":"Order cancel-replace partially failed.","data":{{"cancelResult":"SUCCESS","newOrderResult":"FAILURE","cancelResponse":{{"orderId":1}},"newOrderResponse":{{"code":-2010,"msg":"Order would immediately match and take."}}}}}}}}"#
    );
    assert_eq!(said(half)[0], failed(-2010, RejectReason::WouldMatch, None));
}

#[test]
fn logon_comes_before_the_stream_and_time_is_heard() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u\n-----END PRIVATE KEY-----\n";
    let credentials = Credentials::new("testkey1".into(), pem.into()).expect("published key");
    let assets = vec!["BTC".into(), "USDT".into()];
    let mut session = BinanceOrders::new(vec![btcusdt()], assets, credentials.clone());
    let mut out = Vec::new();
    let mut method = |session: &mut BinanceOrders| {
        session.encode_subscribe(Ts(1_649_729_878_532_000_000), &mut out);
        let request: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        (request["method"].as_str().expect("text").to_owned(), request["params"].clone())
    };
    for _ in 0..2 {
        let (name, params) = method(&mut session);
        assert_eq!(name, "session.logon");
        let payload = "apiKey=testkey1&recvWindow=2000&timestamp=1649729878532";
        let signature = String::from_utf8(credentials.sign(payload.as_bytes())).expect("base64");
        assert_eq!(params["signature"].as_str(), Some(&signature[..]));
        let logged_on = reply(
            "g",
            r#"{"apiKey":"testkey1","authorizedSince":1,"connectedSince":1,"returnRateLimits":false,"serverTime":1}"#,
        );
        assert_eq!(hear(&mut session, &logged_on), says(OrderEvent::LoggedOn));
        assert_eq!(method(&mut session).0, "userDataStream.subscribe");
        assert_eq!(hear(&mut session, &reply("s", r#"{"subscriptionId":0}"#)), says(OrderEvent::Subscribed));
        session.reset(); // a new connection has to log on again
    }
    session.encode_time(&mut out);
    assert_eq!(out, br#"{"id":"n","method":"time"}"#);
    let venue = Ts(1_656_400_526_260_000_000);
    assert_eq!(read(&reply("n", r#"{"serverTime":1656400526260}"#)), says(OrderEvent::Time { venue }));
}

#[test]
fn halves_of_a_replacement_are_told_apart() {
    let done = |venue_order_id| HalfDone::Done { venue_order_id };
    let replaced = |cancel, new| says(OrderEvent::Replaced { id: id(), cancel, new });
    let both = r#"{"cancelResult":"SUCCESS","newOrderResult":"SUCCESS","cancelResponse":{"symbol":"BTCUSDT","origClientOrderId":"x","orderId":125690984230,"status":"CANCELED"},"newOrderResponse":{"symbol":"BTCUSDT","orderId":12569099453,"orderListId":-1,"clientOrderId":"x","transactTime":1660813156959}}"#;
    assert_eq!(read(&reply(&format!("r{ID}"), both)), replaced(done(0), done(12_569_099_453)));
    let half = both.replacen("SUCCESS", "FAILURE", 1);
    assert_eq!(read(&reply(&format!("r{ID}"), &half)), Err(OrderError::Field { field: "cancelResult" }));
    // The three failures of the documentation.
    let failed = |status: u64, code: i32, data: &str| {
        read(&format!(
            r#"{{"id":"r{ID}","status":{status},"error":{{"code":{code},"msg":"x","data":{data}}}}}"#
        ))
    };
    let refused = |code| HalfDone::Refused { code };
    assert_eq!(
        failed(
            400,
            -2022,
            r#"{"cancelResult":"FAILURE","newOrderResult":"NOT_ATTEMPTED","cancelResponse":{"code":-2011,"msg":"Unknown order sent."},"newOrderResponse":null}"#
        ),
        replaced(refused(-2011), refused(-2022))
    );
    assert_eq!(
        failed(
            409,
            -2021,
            r#"{"cancelResult":"SUCCESS","newOrderResult":"FAILURE","cancelResponse":{"orderId":1},"newOrderResponse":{"code":-2010,"msg":"Order would immediately match and take."}}"#
        ),
        replaced(done(0), refused(-2010))
    );
    assert_eq!(
        failed(
            409,
            -2021,
            r#"{"cancelResult":"FAILURE","newOrderResult":"SUCCESS","cancelResponse":{"code":-2011,"msg":"Unknown order sent."},"newOrderResponse":{"orderId":77}}"#
        ),
        replaced(refused(-2011), done(77))
    );
    assert_eq!(failed(400, -1021, "{}"), replaced(refused(-1021), refused(-1021)));
    let unknown = HalfDone::Unknown { code: -1007 };
    assert_eq!(failed(504, -1007, "{}"), replaced(unknown, unknown));
    assert_eq!(
        failed(400, -2022, r#"{"cancelResult":"PERHAPS"}"#),
        Err(OrderError::Field { field: "cancelResult" })
    );
}

#[test]
fn a_pair_acknowledges_both_or_none() {
    let other = ClientOrderId { slot: Slot(6), ..id() };
    let text = String::from_utf8(other.text().to_vec()).expect("text");
    let list = format!(
        r#"{{"orderListId":1274512,"contingencyType":"OCO","listStatusType":"EXEC_STARTED","listOrderStatus":"EXECUTING","listClientOrderId":"x","transactionTime":1711062760648,"symbol":"BTCUSDT","orders":[{{"symbol":"BTCUSDT","orderId":12,"clientOrderId":"{text}"}},{{"symbol":"BTCUSDT","orderId":13,"clientOrderId":"{ID}"}}],"orderReports":[]}}"#
    );
    let mut said = Vec::new();
    let mut message = reply(&format!("l{ID}"), &list).into_bytes();
    session().on_message(&mut message, |event| said.push(format!("{event:?}"))).expect("valid");
    let acked = |id, venue_order_id| format!("{:?}", OrderEvent::Acked { id, venue_order_id });
    assert_eq!(said, [acked(other, 12), acked(id(), 13)]);
    let foreign = list.replace(ID, "web_1");
    assert_eq!(read(&reply(&format!("l{ID}"), &foreign)), Err(OrderError::Field { field: "clientOrderId" }));
    let l = format!("\"l{ID}\"");
    let not_taken = |why| says(OrderEvent::PairNotTaken { id: id(), why });
    assert_eq!(read(&error(&l, 400, -2010)), not_taken(HalfDone::Refused { code: -2010 }));
    assert_eq!(read(&error(&l, 500, -1000)), not_taken(HalfDone::Unknown { code: -1000 }));
}

#[test]
fn errors_are_told_apart_by_request_status_and_code() {
    let (p, c, q) = (format!("\"p{ID}\""), format!("\"c{ID}\""), format!("\"q{ID}\""));
    assert_eq!(read(&error(&p, 400, -2010)), says(OrderEvent::Rejected { id: id(), code: -2010 }));
    assert_eq!(read(&error(&p, 429, -1003)), says(OrderEvent::Rejected { id: id(), code: -1003 }));
    for (status, code) in [(503, -1008), (500, -2010), (400, -1007), (400, -1006), (400, -1000)] {
        for request in [&p, &c, &q] {
            assert_eq!(
                read(&error(request, status, code)),
                says(OrderEvent::Unknown { id: id(), code }),
                "{request} {status} {code}"
            );
        }
    }
    assert_eq!(read(&error(&c, 400, -2011)), says(OrderEvent::CancelRejected { id: id(), code: -2011 }));
    for (code, status) in [(-2013, QueryStatus::NotFound), (-2026, QueryStatus::Ended)] {
        let answer = QueryAnswer { id: id(), status, venue_order_id: 0, cum_qty: Qty(0) };
        assert_eq!(read(&error(&q, 400, code)), says(OrderEvent::Query(answer)));
    }
    assert_eq!(read(&error(&q, 400, -1021)), says(OrderEvent::Refused { code: -1021 }));
    assert_eq!(read(&error("\"a\"", 400, -2011)), says(OrderEvent::CancelAllDone { code: -2011 }));
    for request in ["\"s\"", "\"o\"", "\"b\"", "null"] {
        assert_eq!(read(&error(request, 401, -2015)), says(OrderEvent::Refused { code: -2015 }));
    }
    assert_eq!(read(&format!(r#"{{"id":{p},"status":400}}"#)), Err(OrderError::Field { field: "error" }));
    assert_eq!(
        read(&format!(r#"{{"id":{p},"status":400,"error":{{"code":-99999999999}}}}"#)),
        Err(OrderError::Field { field: "code" })
    );
    // A status of 200 beside an error is no acceptance.
    assert_eq!(read(&error(&p, 200, -2010)), says(OrderEvent::Rejected { id: id(), code: -2010 }));
}

const REPORT: &str = r#"{"symbol":"BTCUSDT","orderId":12569099453,"clientOrderId":"CLIENT","price":"23416.10000000","origQty":"0.00847000","executedQty":"0.00720000","status":"PARTIALLY_FILLED","type":"LIMIT","side":"SELL","time":1}"#;

#[test]
fn queries_tell_the_state_of_one_order() {
    for (text, status) in [
        ("NEW", QueryStatus::Open),
        ("PENDING_NEW", QueryStatus::Open),
        ("PARTIALLY_FILLED", QueryStatus::Open),
        ("FILLED", QueryStatus::Filled),
        ("CANCELED", QueryStatus::Cancelled),
        ("REJECTED", QueryStatus::Ended),
        ("EXPIRED", QueryStatus::Ended),
        ("EXPIRED_IN_MATCH", QueryStatus::Ended),
    ] {
        let answer = QueryAnswer { id: id(), status, venue_order_id: 12_569_099_453, cum_qty: Qty(720_000) };
        let report = REPORT.replace("PARTIALLY_FILLED", text);
        assert_eq!(read(&reply(&format!("q{ID}"), &report)), says(OrderEvent::Query(answer)), "{text}");
    }
    let strange = REPORT.replace("PARTIALLY_FILLED", "LOST");
    assert_eq!(read(&reply(&format!("q{ID}"), &strange)), Err(OrderError::Field { field: "status" }));
}

#[test]
fn open_orders_list_ours_and_others() {
    let order = |id| OpenOrder {
        instrument: InstrumentId(4),
        id,
        venue_order_id: 12_569_099_453,
        side: Side::Sell,
        px: Px(2_341_610_000_000),
        qty: Qty(847_000),
        cum_qty: Qty(720_000),
    };
    let list = format!("[{},{}]", REPORT.replace("CLIENT", ID), REPORT);
    assert_eq!(read(&reply("o", &list)), says(OrderEvent::OpenOrders(&[order(Some(id())), order(None)])));
    assert_eq!(read(&reply("o", "[]")), says(OrderEvent::OpenOrders(&[])));
    let other = REPORT.replace("BTCUSDT", "ETHUSDT");
    assert_eq!(read(&reply("o", &format!("[{REPORT},{other}]"))), Err(OrderError::Symbol));
    let many = vec![REPORT; OPEN_ORDERS_MAX + 1].join(",");
    assert_eq!(
        read(&reply("o", &format!("[{many}]"))),
        Err(OrderError::TooManyLevels { levels: OPEN_ORDERS_MAX + 1, max: OPEN_ORDERS_MAX })
    );
}

#[test]
fn the_account_lists_known_assets() {
    let account = r#"{"makerCommission":15,"canTrade":true,"balances":[{"asset":"BNB","free":"0.5","locked":"0.25"},{"asset":"SHIB","free":"999999999999999999.0","locked":"0"},{"asset":"BTC","free":"1.3447112","locked":"0.08600000"}]}"#;
    let assets = [
        AccountAsset { asset: AssetId(2), free: 50_000_000, locked: 25_000_000 },
        AccountAsset { asset: AssetId(0), free: 134_471_120, locked: 8_600_000 },
    ];
    assert_eq!(read(&reply("b", account)), says(OrderEvent::Account { assets: &assets, full: true }));
    assert!(matches!(
        read(&reply("b", &account.replace("BNB", "BTC"))),
        Err(OrderError::Range { field: "asset", .. })
    ));
}

#[test]
fn new_orders_wait_for_the_account_stream_and_nothing_else_does() {
    let mut session = session();
    let order = NewOrder {
        instrument: InstrumentId(4),
        id: id(),
        side: Side::Buy,
        px: Px(1),
        qty: Qty(1),
        kind: OrderType::Limit,
        stop_px: Px(0),
    };
    let cancel = CancelOrder { instrument: InstrumentId(4), id: id(), venue_order_id: 0 };
    let (now, mut out) = (Ts(1), Vec::new());
    let on = reply("s", "{}");
    for off in [None, Some(r#"{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}"#)] {
        match off {
            None => session.reset(),
            Some(ended) => assert_eq!(hear(&mut session, ended), Ok("Shutdown".into())),
        }
        assert_eq!(session.encode_new(&order, now, &mut out), Err(EncodeError::NotReady));
        assert_eq!(session.encode_cancel(&cancel, now, &mut out), Ok(()));
        assert_eq!(session.encode_cancel_all(InstrumentId(4), now, &mut out), Ok(()));
        assert_eq!(hear(&mut session, &error("\"s\"", 401, -2015)), Ok("Refused { code: -2015 }".into()));
        assert!(!session.is_listening());
        assert_eq!(hear(&mut session, &on), Ok("Subscribed".into()));
        assert_eq!(session.encode_new(&order, now, &mut out), Ok(()));
    }
    let elsewhere = NewOrder { instrument: InstrumentId(5), ..order };
    let refused = Err(EncodeError::Instrument(InstrumentId(5)));
    assert_eq!(session.encode_new(&elsewhere, now, &mut out), refused);
    assert_eq!(session.encode_query(QueryKind::Account, InstrumentId(5), now, &mut out), refused);
    assert_eq!(session.encode_query_order(InstrumentId(5), id(), now, &mut out), refused);
}
