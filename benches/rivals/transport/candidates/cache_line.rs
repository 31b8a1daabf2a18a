//! No queue at all: eight words stored into one line over and over, the last with release. A measure, not a floor: a
//! ring writes its next record to another line than the one the other side still reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::contract::{Failure, Rx, Task, Transport, Tx};
use crate::record::Record;

/// The bare line. It holds one record and asks nobody whether the last was read, so it knows ping-pong only.
pub(crate) struct CacheLine;

/// Apart from its neighbours by two lines: processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Line([AtomicU64; 8]);

pub(crate) struct Writer(Arc<Line>);

pub(crate) struct Reader {
    line: Arc<Line>,
    /// Number of the last record plus one, as the last word holds it.
    seen: u64,
}

impl Transport for CacheLine {
    const NAME: &'static str = "cache line";
    const TASKS: &'static [Task] = &[Task::PingPong];
    type Host = ();
    type TxPlace = Writer;
    type RxPlace = Reader;
    type Tx = Writer;
    type Rx = Reader;

    fn host() -> Result<(), Failure> {
        Ok(())
    }

    fn link((): &(), _task: Task) -> Result<(Writer, Reader), Failure> {
        let line = Arc::new(Line::default());
        Ok((Writer(line.clone()), Reader { line, seen: 0 }))
    }

    fn sender(place: Writer) -> Result<Writer, Failure> {
        Ok(place)
    }

    fn receiver(place: Reader) -> Result<Reader, Failure> {
        Ok(place)
    }
}

impl Tx for Writer {
    #[inline(always)]
    fn send(&mut self, record: &Record) -> bool {
        let [words @ .., number] = record.0;
        for (cell, word) in self.0.0.iter().zip(words) {
            cell.store(word, Ordering::Relaxed);
        }
        self.0.0[7].store(number + 1, Ordering::Release);
        true
    }
}

impl Rx for Reader {
    #[inline(always)]
    fn receive(&mut self) -> Option<Record> {
        let number = self.line.0[7].load(Ordering::Acquire);
        if number == self.seen {
            return None;
        }
        self.seen = number;
        let mut record = Record::default();
        for (word, cell) in record.0.iter_mut().zip(&self.line.0) {
            *word = cell.load(Ordering::Relaxed);
        }
        record.0[7] = number - 1;
        Some(record)
    }
}
