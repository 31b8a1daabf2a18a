//! What must hold of a segment whatever bytes are in it, when it is attached and later. Run by the fuzzer and, over the
//! committed corpus, by the default tests.
//!
//! Byte 0 chooses slots, the bulk ring or a board, and what of a sound segment is kept; the rest comes in pieces of 10
//! bytes: where (two bytes) and what (eight). The first half of the pieces is written before the attach, to the header
//! too; the second half, by turns with the operations, to the body. (All of them before, when byte 0 is 192 or more.) Rules:
//!
//! - an attach succeeds or names what is wrong, and a segment of another kind is never accepted;
//! - whatever the words say, an operation ends: a poll hands over a lap at most, a push is taken or refused;
//! - numbers come in order, and room and depth never exceed the capacity;
//! - a ring no one scribbles on after the attach delivers what was pushed.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rings::{
    Access, BOARD, BULK_RING, BoardReader, BoardWriter, BulkConsumer, BulkProducer, Consumer, HEADER_BYTES,
    Ident, Ordering, Producer, RING, Segment, WordsMut, board_words, bulk_ring_segment, ring_segment,
};

const CAPACITY: usize = 4;
const BOARD_WORDS: usize = 4;

/// Checks every rule.
pub(crate) fn run(data: &[u8]) {
    let [choice, pieces @ ..] = data else { return };
    let pieces: Vec<(usize, u64)> = pieces
        .chunks_exact(10)
        .map(|piece| {
            let word =
                |from: usize| piece[from..].iter().take(8).rev().fold(0, |word, b| word << 8 | u64::from(*b));
            (usize::from(piece[0]) | usize::from(piece[1]) << 8, word(2))
        })
        .collect();
    let (before, after) = pieces.split_at(if *choice < 192 { pieces.len() / 2 } else { pieces.len() });
    match choice % 3 {
        0 => slots(before, after, choice / 3),
        1 => bulk(before, after, choice / 3),
        _ => board(before, after, choice / 3),
    }
}

/// A descriptor with the bytes of `sound` and the pieces written over them, sealed as a segment is; its length is cut
/// or added to as `cut` says.
fn spoilt(sound: &Segment, pieces: &[(usize, u64)], cut: u8) -> OwnedFd {
    let file = File::from(sound.fd().try_clone_to_owned().expect("a descriptor"));
    let mut bytes = Vec::new();
    (&file).read_to_end(&mut bytes).expect("its bytes");
    // The descriptor shares its offset with the segment's, which nothing reads by.
    file.read_at(&mut [0], 0).expect("readable");
    // SAFETY: a nul-terminated name; the descriptor returned is ours alone.
    let copy = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"fuzz".as_ptr(), libc::MFD_ALLOW_SEALING)) };
    let copy = File::from(copy);
    copy.write_all_at(&bytes, 0).expect("written");
    let words = bytes.len() / 8;
    for (at, value) in pieces {
        copy.write_all_at(&value.to_le_bytes(), (at % words * 8) as u64).expect("written");
    }
    let len = match cut % 8 {
        0 => u64::from(cut),
        1 => HEADER_BYTES as u64 + u64::from(cut),
        2 => bytes.len() as u64 - u64::from(cut / 8),
        3 => bytes.len() as u64 + u64::from(cut / 8),
        _ => bytes.len() as u64,
    };
    copy.set_len(len).expect("cut");
    let seals = libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
    // SAFETY: a plain call on a descriptor open for the life of `copy`.
    assert_eq!(unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&copy), libc::F_ADD_SEALS, seals) }, 0);
    copy.into()
}

/// The segment in the spoilt descriptor, when it is accepted; what it says of itself must then be what was expected.
fn accepted(fd: OwnedFd, expect: &Ident) -> Option<Segment> {
    match Segment::from_fd(fd, expect, Access::ReadWrite) {
        Ok(segment) => {
            let found = segment.header().ident;
            assert_eq!((found.type_id, found.layout_version), (expect.type_id, expect.layout_version));
            assert_eq!(segment.words().len() as u64 * 8, segment.header().payload_len);
            Some(segment)
        }
        Err(named) => {
            assert!(!named.to_string().is_empty());
            None
        }
    }
}

fn scribble(words: &WordsMut, piece: &(usize, u64)) {
    words.store(piece.0 % words.len(), piece.1, Ordering::Release);
}

/// A ring in use a little: seven messages, five of them taken.
fn slots(before: &[(usize, u64)], after: &[(usize, u64)], cut: u8) {
    let sound = ring_segment("fuzz", CAPACITY).expect("a ring");
    {
        let (mut tx, mut rx) = (Producer::attach(&sound).expect("tx"), Consumer::attach(&sound).expect("rx"));
        for n in 0..7 {
            tx.push([n; 7]).expect("room");
            if n < 5 {
                rx.pop().expect("a message");
            }
        }
    }
    let Some(segment) = accepted(spoilt(&sound, before, cut), &RING) else { return };
    let words = segment.words_mut().expect("writable");
    // Each end alone, for one may be refused where the other is not.
    let (tx, rx) = (Producer::attach(&segment), Consumer::attach(&segment));
    let (Ok(mut tx), Ok(mut rx)) = (tx, rx) else { return };
    assert_eq!((tx.capacity(), rx.capacity()), (CAPACITY, CAPACITY));
    for (turn, piece) in after.iter().enumerate() {
        scribble(&words, piece);
        let (sent, taken) = (tx.next_seq(), rx.next_seq());
        match turn % 7 {
            0 => assert_eq!(tx.push([piece.1; 7]).is_ok(), tx.next_seq() == sent + 1),
            1 => assert_eq!(tx.push_run(&[[1; 7]; 3]).is_ok(), tx.next_seq() == sent + 3),
            2 => {
                let count = tx.claim(2).map_or(0, |mut claim| {
                    claim.put(&[2; 7]).expect("claimed");
                    claim.commit()
                });
                assert_eq!(tx.next_seq(), sent + count as u64);
            }
            3 => assert_eq!(rx.pop().map(|(seq, _)| seq), (rx.next_seq() > taken).then_some(taken)),
            4 => {
                let mut next = taken;
                let count = rx.poll(usize::MAX, |seq, _| {
                    assert_eq!(seq, next);
                    next += 1;
                });
                assert!(count <= CAPACITY && rx.next_seq() == taken + count as u64);
            }
            5 => {
                let mut batch = rx.batch(usize::MAX);
                let read = (&mut batch).count();
                assert!(read <= CAPACITY && batch.release() == read);
            }
            _ => {
                rx.peek();
                rx.release();
                assert!(rx.next_seq() <= taken + 1);
            }
        }
        assert!(tx.free() <= CAPACITY && tx.depth() <= CAPACITY);
        _ = (tx.consumer_epoch(), rx.producer_epoch(), tx.consumer_beat(), rx.producer_beat());
    }
    if after.is_empty() {
        // Nobody interferes: what is accepted works. What the words already held may come first.
        let mut got = 0;
        while rx.next_seq() < tx.next_seq() {
            got += rx.poll(CAPACITY, |_, _| ());
            assert!(got <= CAPACITY, "more than a lap was there");
            if rx.is_empty() {
                break;
            }
        }
        if rx.next_seq() == tx.next_seq() && rx.is_empty() {
            for n in 0..10 {
                tx.push([n; 7]).expect("an empty ring has room");
                assert_eq!(rx.pop().map(|(_, payload)| payload), Some([n; 7]));
            }
        }
    }
}

fn bulk(before: &[(usize, u64)], after: &[(usize, u64)], cut: u8) {
    let sound = bulk_ring_segment("fuzz", CAPACITY).expect("a ring");
    {
        let (mut tx, mut rx) =
            (BulkProducer::attach(&sound).expect("tx"), BulkConsumer::attach(&sound).expect("rx"));
        for n in 0..7 {
            tx.push(&[n; 8]).expect("room");
            if n < 5 {
                rx.pop().expect("a record");
            }
        }
    }
    let Some(segment) = accepted(spoilt(&sound, before, cut), &BULK_RING) else { return };
    let words = segment.words_mut().expect("writable");
    let (tx, rx) = (BulkProducer::attach(&segment), BulkConsumer::attach(&segment));
    let (Ok(mut tx), Ok(mut rx)) = (tx, rx) else { return };
    for (turn, piece) in after.iter().enumerate() {
        scribble(&words, piece);
        let (sent, taken) = (tx.next_seq(), rx.next_seq());
        match turn % 4 {
            0 => assert_eq!(tx.push_run(&[[piece.1; 8]; 2]).is_ok(), tx.next_seq() == sent + 2),
            1 => assert_eq!(tx.push_with(3, |seq| [seq; 8]).is_ok(), tx.next_seq() == sent + 3),
            2 => assert_eq!(rx.pop().map(|(seq, _)| seq), (rx.next_seq() > taken).then_some(taken)),
            _ => {
                let mut next = taken;
                let count = rx.poll(usize::MAX, |seq, _| {
                    assert_eq!(seq, next);
                    next += 1;
                });
                assert!(count <= CAPACITY && rx.next_seq() == taken + count as u64);
            }
        }
        assert!(tx.free() <= CAPACITY);
    }
    if after.is_empty() {
        assert!(rx.poll(CAPACITY, |_, _| ()) <= CAPACITY);
        assert_eq!(rx.next_seq(), tx.next_seq());
        for n in 0..10 {
            tx.push(&[n; 8]).expect("an empty ring has room");
            assert_eq!(rx.pop().map(|(_, record)| record), Some([n; 8]));
        }
    }
}

fn board(before: &[(usize, u64)], after: &[(usize, u64)], cut: u8) {
    let sound = Segment::memfd_as("fuzz", &BOARD, board_words(BOARD_WORDS) * 8).expect("a board");
    BoardWriter::<BOARD_WORDS>::attach(&sound).expect("its writer").publish([1; BOARD_WORDS]);
    let Some(segment) = accepted(spoilt(&sound, before, cut), &BOARD) else { return };
    let words = segment.words_mut().expect("writable");
    let (reader, writer) =
        (BoardReader::<BOARD_WORDS>::attach(&segment), BoardWriter::<BOARD_WORDS>::attach(&segment));
    let (Ok(reader), Ok(mut writer)) = (reader, writer) else { return };
    for piece in after {
        scribble(&words, piece);
        _ = reader.try_read(3);
        _ = reader.published();
    }
    writer.publish([9; BOARD_WORDS]);
    let read = reader.try_read(1).map(|(_, value)| value);
    // The version may have been scribbled on; the writer goes by its own.
    assert_eq!(read, Some([9; BOARD_WORDS]));
}
