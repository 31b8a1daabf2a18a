//! The REST snapshot of a book: `GET /api/v3/depth` (`rest-api.md`, read 2026-07-21).

use venue::{FeedError, Level, Snapshot};
use wire::Instrument;

use crate::feed::{SNAPSHOT_DEPTH, read_levels};
use crate::json::{self, JsonReader, Value};

/// Reads the body of a snapshot in place. Allocates.
///
/// # Errors
/// The venue's error answer, a field of the wrong shape, an empty level, more levels than asked for, or sides
/// that are not strictly best first or cross.
pub(crate) fn parse(instrument: &Instrument, body: &mut [u8]) -> Result<Snapshot, FeedError> {
    JsonReader::once(body.len()).read(body, |root| {
        let [id, bids, asks, code] = json::pick(root, ["lastUpdateId", "bids", "asks", "code"])?;
        if code.is_some() {
            return Err(FeedError::Venue { code: json::code_of(code)? });
        }
        let snapshot = Snapshot {
            instrument: instrument.id,
            last_id: json::u64_of("lastUpdateId", id)?,
            bids: side("bids", bids, instrument)?,
            asks: side("asks", asks, instrument)?,
        };
        check_order("bids", &snapshot.bids, |better, worse| better.px > worse.px)?;
        check_order("asks", &snapshot.asks, |better, worse| better.px < worse.px)?;
        if let (Some(bid), Some(ask)) = (snapshot.bids.first(), snapshot.asks.first())
            && bid.px >= ask.px
        {
            return Err(FeedError::Range {
                field: "bids",
                value: bid.px.0.unsigned_abs(),
                rule: "best bid below best ask",
            });
        }
        Ok(snapshot)
    })
}

fn side(
    field: &'static str,
    levels: Option<Value<'_, '_>>,
    instrument: &Instrument,
) -> Result<Vec<Level>, FeedError> {
    let levels = levels.and_then(Value::elements).ok_or(FeedError::Field { field })?;
    if levels.len() > SNAPSHOT_DEPTH {
        return Err(FeedError::TooManyLevels { levels: levels.len(), max: SNAPSHOT_DEPTH });
    }
    let mut out = Vec::with_capacity(levels.len());
    read_levels(field, levels, instrument, &mut out)?;
    match out.iter().find(|level| level.qty.0 == 0) {
        Some(_) => Err(FeedError::Range { field, value: 0, rule: "quantity of a snapshot level above zero" }),
        None => Ok(out),
    }
}

fn check_order(
    field: &'static str,
    levels: &[Level],
    in_order: impl Fn(&Level, &Level) -> bool,
) -> Result<(), FeedError> {
    match levels.iter().zip(levels.iter().skip(1)).find(|(better, worse)| !in_order(better, worse)) {
        Some((_, worse)) => Err(FeedError::Range {
            field,
            value: worse.px.0.unsigned_abs(),
            rule: "best price first, each price once",
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::tests::btcusdt;
    use wire::{Px, Qty};

    fn read(body: &str) -> Result<Snapshot, FeedError> {
        parse(&btcusdt(), &mut body.as_bytes().to_vec())
    }

    #[test]
    fn reads_the_documented_example() {
        let s = read(
            r#"{"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],"asks":[["4.00000200","12.00000000"]]}"#,
        )
        .expect("valid");
        assert_eq!(s.last_id, 1_027_024);
        assert_eq!(s.bids, [Level { px: Px(400_000_000), qty: Qty(43_100_000_000) }]);
        assert_eq!(s.asks, [Level { px: Px(400_000_200), qty: Qty(1_200_000_000) }]);
        let empty = read(r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#).expect("an empty book is a book");
        assert!(empty.bids.is_empty() && empty.asks.is_empty());
    }

    #[test]
    fn refuses_books_that_cannot_be() {
        let rule = |body: &str| match read(body) {
            Err(FeedError::Range { field, rule, .. }) => (field, rule),
            other => panic!("{body}: {other:?}"),
        };
        let order = "best price first, each price once";
        assert_eq!(rule(r#"{"lastUpdateId":1,"bids":[["1","1"],["2","1"]],"asks":[]}"#), ("bids", order));
        assert_eq!(rule(r#"{"lastUpdateId":1,"bids":[],"asks":[["2","1"],["1","1"]]}"#), ("asks", order));
        assert_eq!(rule(r#"{"lastUpdateId":1,"bids":[["2","1"],["2","1"]],"asks":[]}"#), ("bids", order));
        assert_eq!(
            rule(r#"{"lastUpdateId":1,"bids":[["2","1"]],"asks":[["2","1"]]}"#),
            ("bids", "best bid below best ask")
        );
        assert_eq!(
            rule(r#"{"lastUpdateId":1,"bids":[["2","0"]],"asks":[]}"#),
            ("bids", "quantity of a snapshot level above zero")
        );
        assert_eq!(
            read(r#"{"code":-1003,"msg":"Too many requests."}"#),
            Err(FeedError::Venue { code: -1003 })
        );
        let deep = vec![r#"["1","1"]"#; SNAPSHOT_DEPTH + 1].join(",");
        assert_eq!(
            read(&format!(r#"{{"lastUpdateId":1,"bids":[{deep}],"asks":[]}}"#)),
            Err(FeedError::TooManyLevels { levels: SNAPSHOT_DEPTH + 1, max: SNAPSHOT_DEPTH })
        );
    }
}
