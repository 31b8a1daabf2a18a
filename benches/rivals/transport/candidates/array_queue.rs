//! crossbeam's `ArrayQueue`: bounded, for many producers and consumers; it has no batches.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::contract::{CAPACITY, Failure, Rx, Task, Transport, Tx};
use crate::record::Record;

/// crossbeam-rs/crossbeam.
pub(crate) struct Crossbeam;

pub(crate) struct End(Arc<ArrayQueue<Record>>);

impl Transport for Crossbeam {
    const NAME: &'static str = "ArrayQueue";
    const CRATE: Option<&'static str> = Some("crossbeam-queue");
    const TASKS: &'static [Task] = &[Task::PingPong, Task::Single];
    type Host = ();
    type TxPlace = End;
    type RxPlace = End;
    type Tx = End;
    type Rx = End;

    fn host() -> Result<(), Failure> {
        Ok(())
    }

    fn link((): &(), _task: Task) -> Result<(End, End), Failure> {
        let queue = Arc::new(ArrayQueue::new(CAPACITY));
        Ok((End(queue.clone()), End(queue)))
    }

    fn sender(place: End) -> Result<End, Failure> {
        Ok(place)
    }

    fn receiver(place: End) -> Result<End, Failure> {
        Ok(place)
    }
}

impl Tx for End {
    #[inline(always)]
    fn send(&mut self, record: &Record) -> bool {
        self.0.push(*record).is_ok()
    }
}

impl Rx for End {
    #[inline(always)]
    fn receive(&mut self) -> Option<Record> {
        self.0.pop()
    }
}
