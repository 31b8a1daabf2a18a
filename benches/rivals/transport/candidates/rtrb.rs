//! rtrb: the reference among single-producer single-consumer rings in Rust; on the heap, so for threads only.

use ::rtrb::chunks::ChunkError;
use ::rtrb::{Consumer, Producer, RingBuffer};

use crate::contract::{CAPACITY, Failure, Rx, Task, Transport, Tx};
use crate::record::Record;

/// mgeier/rtrb.
pub(crate) struct Rtrb;

impl Transport for Rtrb {
    const NAME: &'static str = "rtrb";
    const CRATE: Option<&'static str> = Some("rtrb");
    const TASKS: &'static [Task] = &Task::ALL;
    type Host = ();
    type TxPlace = Producer<Record>;
    type RxPlace = Consumer<Record>;
    type Tx = Producer<Record>;
    type Rx = Consumer<Record>;

    fn host() -> Result<(), Failure> {
        Ok(())
    }

    fn link((): &(), _task: Task) -> Result<(Producer<Record>, Consumer<Record>), Failure> {
        Ok(RingBuffer::new(CAPACITY))
    }

    fn sender(place: Producer<Record>) -> Result<Producer<Record>, Failure> {
        Ok(place)
    }

    fn receiver(place: Consumer<Record>) -> Result<Consumer<Record>, Failure> {
        Ok(place)
    }
}

impl Tx for Producer<Record> {
    #[inline(always)]
    fn send(&mut self, record: &Record) -> bool {
        self.push(*record).is_ok()
    }

    #[inline(always)]
    fn send_run(&mut self, first: u64, count: usize) -> usize {
        // Asked for all of it first: that looks at the consumer's index only when its copy says full.
        let count = match self.write_chunk_uninit(count) {
            Ok(chunk) => return chunk.fill_from_iter((first..).map(Record::number)),
            Err(ChunkError::TooFewSlots(free)) => free,
        };
        match self.write_chunk_uninit(count) {
            Ok(chunk) if count > 0 => chunk.fill_from_iter((first..).map(Record::number)),
            _ => 0,
        }
    }
}

impl Rx for Consumer<Record> {
    #[inline(always)]
    fn receive(&mut self) -> Option<Record> {
        self.pop().ok()
    }

    #[inline(always)]
    fn drain(&mut self, limit: usize, each: &mut impl FnMut(&[u64; 8])) -> usize {
        let ready = self.slots().min(limit);
        match self.read_chunk(ready) {
            Ok(chunk) if ready > 0 => {
                let (first, second) = chunk.as_slices();
                first.iter().chain(second).for_each(|record| each(&record.0));
                chunk.commit_all();
                ready
            }
            _ => 0,
        }
    }
}
