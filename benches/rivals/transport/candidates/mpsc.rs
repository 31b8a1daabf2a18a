//! `std::sync::mpsc`, bounded: what every Rust program has; made for many producers, it has no batches.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::contract::{CAPACITY, Failure, Rx, Task, Transport, Tx};
use crate::record::Record;

/// The standard library's.
pub(crate) struct Mpsc;

impl Transport for Mpsc {
    const NAME: &'static str = "std mpsc";
    const TASKS: &'static [Task] = &[Task::PingPong, Task::Single];
    type Host = ();
    type TxPlace = SyncSender<Record>;
    type RxPlace = Receiver<Record>;
    type Tx = SyncSender<Record>;
    type Rx = Receiver<Record>;

    fn host() -> Result<(), Failure> {
        Ok(())
    }

    fn link((): &(), _task: Task) -> Result<(SyncSender<Record>, Receiver<Record>), Failure> {
        Ok(sync_channel(CAPACITY))
    }

    fn sender(place: SyncSender<Record>) -> Result<SyncSender<Record>, Failure> {
        Ok(place)
    }

    fn receiver(place: Receiver<Record>) -> Result<Receiver<Record>, Failure> {
        Ok(place)
    }
}

impl Tx for SyncSender<Record> {
    #[inline(always)]
    fn send(&mut self, record: &Record) -> bool {
        self.try_send(*record).is_ok()
    }
}

impl Rx for Receiver<Record> {
    #[inline(always)]
    fn receive(&mut self) -> Option<Record> {
        self.try_recv().ok()
    }
}
