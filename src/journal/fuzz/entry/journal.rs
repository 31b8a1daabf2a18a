//! Rules that hold for any bytes as a journal.
//!
//! The first byte chooses: `r` and the rest is a file as it stands; anything else and the rest are records behind a good
//! header, each with its checksum mended and its sequence number set, so that the fuzzer gets past both.
//!
//! * No panic, whatever the bytes.
//! * A scan ends, says how, and gives records in order, within the file, each once.
//! * A cycle is read whole or refused; items written again are the bytes that were read.

use journal::{Cycle, File, FileHeader, Item, Kind, Tail};

const HEADER: usize = 128;
const RECORD_HEAD: usize = 24;

/// Holds any bytes to the rules.
pub(crate) fn run(data: &[u8]) {
    let bytes = match data.split_first() {
        None => Vec::new(),
        Some((b'r', file)) => file.to_vec(),
        Some((_, records)) => mended(records),
    };
    let length = bytes.len();
    let Ok(file) = File::from_bytes(bytes) else { return };
    let mut scan = file.scan();
    let (mut end, mut seq) = (HEADER, file.header.first_seq);
    for record in scan.by_ref() {
        assert!(record.offset >= end && record.offset % 8 == 0);
        assert_eq!(record.seq, seq);
        seq = seq.wrapping_add(1);
        end = record.offset + RECORD_HEAD + record.body.len();
        assert!(end <= length);
        if record.kind == Kind::Cycle {
            cycle(record.body);
        }
    }
    match scan.tail().expect("an ended scan says how") {
        Tail::Closed { .. } => {}
        Tail::Open { at } | Tail::Torn { at } | Tail::Damaged { at, .. } => {
            assert!(at >= HEADER && at <= length.max(end + 8))
        }
    }
    assert!(scan.next().is_none());
}

fn cycle(body: &[u8]) {
    let Ok(cycle) = Cycle::decode(body) else { return };
    let items: Vec<_> = cycle.items().collect();
    assert_eq!(cycle.check().is_ok(), items.iter().all(Result::is_ok));
    let mut again = Vec::with_capacity(body.len());
    for item in items.into_iter().map_while(Result::ok) {
        assert!(Item::encode(&item, &mut again));
    }
    assert!(body[24..].starts_with(&again));
}

/// A good header, then the bytes as records: what stands where a length would be is taken for one if it fits.
fn mended(records: &[u8]) -> Vec<u8> {
    let padded = records.len().next_multiple_of(8);
    let header = FileHeader { first_seq: 1, capacity: (HEADER + padded) as u64, ..FileHeader::default() };
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(records);
    bytes.resize(HEADER + padded, 0);
    let (mut at, mut seq) = (HEADER, 1u64);
    while at + RECORD_HEAD <= bytes.len() {
        let word = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
        let end = at + RECORD_HEAD + word.next_multiple_of(8);
        if word == 0 || word > 1 << 20 || end > bytes.len() {
            break;
        }
        bytes[at + 8..at + 16].copy_from_slice(&seq.to_le_bytes());
        bytes[at + 18..at + 24].fill(0);
        bytes[at + RECORD_HEAD + word..end].fill(0);
        let crc = crc32c::crc32c(&bytes[at + 8..at + RECORD_HEAD + word]);
        bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        (at, seq) = (end, seq + 1);
    }
    bytes
}
