//! disruptor-rs: the LMAX Disruptor in Rust, one producer and one polling consumer; on the heap, for threads only.

use ::disruptor::{
    BusySpin, EventPoller, Producer, SingleConsumerBarrier, SingleProducer, SingleProducerBarrier,
    build_single_producer,
};

use crate::contract::{CAPACITY, Failure, Rx, Task, Transport, Tx};
use crate::record::Record;

/// nicholassm/disruptor-rs.
pub(crate) struct Disruptor;

type Sender = SingleProducer<Record, SingleConsumerBarrier>;
type Receiver = EventPoller<Record, SingleProducerBarrier>;

impl Transport for Disruptor {
    const NAME: &'static str = "disruptor";
    const CRATE: Option<&'static str> = Some("disruptor");
    const TASKS: &'static [Task] = &Task::ALL;
    type Host = ();
    type TxPlace = Sender;
    type RxPlace = Receiver;
    type Tx = Sender;
    type Rx = Receiver;

    fn host() -> Result<(), Failure> {
        Ok(())
    }

    fn link((): &(), _task: Task) -> Result<(Sender, Receiver), Failure> {
        // The strategy is for threads of its own; a poller is polled by ours, with the wait all candidates have.
        let (poller, builder) = build_single_producer(CAPACITY, Record::default, BusySpin).new_event_poller();
        Ok((builder.build(), poller))
    }

    fn sender(place: Sender) -> Result<Sender, Failure> {
        Ok(place)
    }

    fn receiver(place: Receiver) -> Result<Receiver, Failure> {
        Ok(place)
    }
}

impl Tx for Sender {
    #[inline(always)]
    fn send(&mut self, record: &Record) -> bool {
        self.try_publish(|slot| *slot = *record).is_ok()
    }

    #[inline(always)]
    fn send_run(&mut self, first: u64, count: usize) -> usize {
        let sent = self.try_batch_publish(count, |slots| {
            for (slot, n) in slots.zip(first..) {
                *slot = Record::number(n);
            }
        });
        if sent.is_ok() { count } else { 0 }
    }
}

impl Rx for Receiver {
    #[inline(always)]
    fn receive(&mut self) -> Option<Record> {
        self.take(1).ok().and_then(|mut events| (&mut events).next().copied())
    }

    #[inline(always)]
    fn drain(&mut self, limit: usize, each: &mut impl FnMut(&[u64; 8])) -> usize {
        let Ok(mut events) = self.take(limit as u64) else { return 0 };
        (&mut events).map(|record| each(&record.0)).count()
    }
}
