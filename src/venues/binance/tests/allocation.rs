//! Nothing allocates per message: counted by the allocator itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use corelane_venue_binance::{BinanceFeed, BinanceOrders, Credentials, LEVELS_MAX};
use venue::{CancelOrder, ClientOrderId, FeedSession, NewOrder, OrderSession, QueryKind};
use wire::{AssetId, Instrument, InstrumentId, OrderType, Px, Qty, Side, Slot, Ts, VenueId};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting what this thread asks of it.
struct Counting;

fn count() {
    // At a thread's end the cell may be gone; what is allocated then is not counted.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: every method hands its arguments on to `System` unchanged, and `System` keeps the contract; counting
// touches a plain thread-local cell that needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from `System` with this `layout`, as all our blocks do.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: `ptr` came from `System` with this `layout`; the caller vouches for `new_size`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId(0),
        venue: VenueId(0),
        symbol: "BTCUSDT".into(),
        base: "BTC".into(),
        quote: "USDT".into(),
        base_id: AssetId(0),
        quote_id: AssetId(1),
        px_decimals: 8,
        qty_decimals: 8,
        quote_decimals: 8,
        tick: Px(1),
        px_min: Px(0),
        px_max: Px(0),
        lot: Qty(1),
        qty_min: Qty(0),
        qty_max: Qty(0),
        notional_min: 0,
        open_orders_max: 200,
        market_qty: Default::default(),
        band_buy: Default::default(),
        band_sell: Default::default(),
        trading: true,
    }
}

fn depth(levels: usize) -> Vec<u8> {
    let level = r#"["61737.63000000","1234.00000000"]"#;
    let side = |n: usize| vec![level; n].join(",");
    let (b, a) = (side(levels / 2), side(levels - levels / 2));
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":1,"u":2,"b":[{b}],"a":[{a}]}}}}"#
    )
    .into_bytes()
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_of(|| drop(std::hint::black_box(Box::new(1u64)))), 1);
}

#[test]
fn market_messages_allocate_nothing() {
    let ticker = br#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#;
    let trade = br#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#;
    let messages: Vec<Vec<u8>> = vec![
        ticker.to_vec(),
        trade.to_vec(),
        depth(0),
        depth(24),
        br#"{"result":null,"id":1}"#.to_vec(),
        br#"{"e":"depthUpdate","s":"NOPE"}"#.to_vec(),
        br#"{"broken":"#.to_vec(),
        depth(400),
    ];
    let mut feed = BinanceFeed::new(vec![instrument()]);
    let mut scratch: Vec<u8> = Vec::with_capacity(1 << 20);
    let (mut events, mut refused) = (0u64, 0u64);
    let mut hear = |message: &[u8]| {
        scratch.clear();
        scratch.extend_from_slice(message);
        match feed.on_message(&mut scratch, |_| events += 1) {
            Ok(()) => {}
            Err(_) => refused += 1,
        }
    };
    // From the very first message, the largest that is taken included.
    let largest = depth(LEVELS_MAX);
    assert_eq!(allocations_of(|| hear(&largest)), 0);
    let counted = allocations_of(|| {
        for i in 0..10_000 {
            hear(&messages[i % messages.len()]);
        }
    });
    assert_eq!((counted, events, refused), (0, 7_501, 2_500));
}

#[test]
fn orders_and_their_answers_allocate_nothing() {
    let credentials = Credentials::new("k".repeat(64), "s".repeat(64)).expect("plain");
    let assets = vec!["BTC".into(), "USDT".into()];
    let mut session = BinanceOrders::new(vec![instrument()], assets, credentials);
    let id = ClientOrderId { cycle: 1, ts: Ts(2), slot: Slot(3) };
    let text = String::from_utf8(id.text().to_vec()).expect("ASCII");
    let mut order = NewOrder {
        instrument: InstrumentId(0),
        id,
        side: Side::Buy,
        px: Px(6_173_763_000_000),
        qty: Qty(1_000_000),
        kind: OrderType::Limit,
        stop_px: Px(0),
    };
    let report = format!(
        r#"{{"id":"o","status":200,"result":[{}]}}"#,
        vec![format!(r#"{{"symbol":"BTCUSDT","orderId":1,"orderListId":-1,"clientOrderId":"{text}","price":"61737.63000000","origQty":"2.00000000","executedQty":"1.00000000","cummulativeQuoteQty":"0.0","status":"NEW","timeInForce":"GTC","type":"LIMIT","side":"SELL","stopPrice":"0.0","icebergQty":"0.0","time":1,"updateTime":1,"isWorking":true,"workingTime":1,"origQuoteOrderQty":"0.0","selfTradePreventionMode":"NONE"}}"#); 1_000].join(",")
    );
    let messages: Vec<Vec<u8>> = [
        r#"{"id":"s","status":200,"result":{"subscriptionId":0}}"#.to_owned(),
        format!(r#"{{"id":"p{text}","status":200,"result":{{"symbol":"BTCUSDT","orderId":12569099453}}}}"#),
        format!(r#"{{"id":"p{text}","status":400,"error":{{"code":-2010,"msg":"x"}}}}"#),
        format!(r#"{{"subscriptionId":0,"event":{{"e":"executionReport","E":1,"s":"BTCUSDT","c":"{text}","S":"BUY","C":"","x":"TRADE","X":"FILLED","q":"0.75","i":4293153,"l":"0.25","z":"0.75","L":"0.102644","n":"0.0001","N":"BTC","T":1,"t":77,"m":true}}}}"#),
        r#"{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":1,"u":1,"B":[{"a":"BTC","f":"1.0","l":"0.5"}]}}"#.to_owned(),
        report,
    ]
    .map(String::into_bytes)
    .to_vec();
    let mut scratch: Vec<u8> = Vec::with_capacity(1 << 20);
    let mut out: Vec<u8> = Vec::with_capacity(1024);
    let mut events = 0u64;
    let counted = allocations_of(|| {
        for i in 0..6_000 {
            scratch.clear();
            scratch.extend_from_slice(&messages[i % 5]);
            session.on_message(&mut scratch, |_| events += 1).expect("valid");
        }
        scratch.clear();
        scratch.extend_from_slice(&messages[5]);
        session.on_message(&mut scratch, |_| events += 1).expect("valid");
    });
    assert_eq!((counted, events), (0, 7_201));

    let counted = allocations_of(|| {
        for n in 0..10_000u64 {
            let now = Ts(1_723_161_253_937_085_768 + n);
            order.px.0 += 1;
            order.kind = OrderType::ALL[(n % 7) as usize];
            session.encode_new(&order, now, &mut out).expect("ready");
            let cancel = CancelOrder { instrument: InstrumentId(0), id, venue_order_id: n % 2 };
            session.encode_cancel(&cancel, now, &mut out).expect("known");
            session.encode_query_order(InstrumentId(0), id, now, &mut out).expect("known");
            session.encode_cancel_all(InstrumentId(0), now, &mut out).expect("known");
            session.encode_query(QueryKind::Account, InstrumentId(0), now, &mut out).expect("known");
            session.encode_subscribe(now, &mut out);
        }
    });
    assert_eq!(counted, 0);
}
