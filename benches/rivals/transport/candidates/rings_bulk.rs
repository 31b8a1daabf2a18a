//! Ours, the bulk ring in a memfd: whole lines of 64 bytes and a pair of counts, made for runs.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rings::{Access, BULK_RING, BulkConsumer, BulkProducer, Segment, bulk_ring_segment, hand_over, receive};

use crate::contract::{Across, CAPACITY, Failure, Rx, Task, Transport, Tx};
use crate::record::Record;

/// The bulk ring.
pub(crate) struct RingsBulk;

impl Transport for RingsBulk {
    const NAME: &'static str = "rings bulk";
    const TASKS: &'static [Task] = &Task::ALL;
    type Host = ();
    type TxPlace = Arc<Segment>;
    type RxPlace = Arc<Segment>;
    type Tx = BulkProducer;
    type Rx = BulkConsumer;

    fn host() -> Result<(), Failure> {
        Ok(())
    }

    fn link((): &(), _task: Task) -> Result<(Arc<Segment>, Arc<Segment>), Failure> {
        let segment = Arc::new(bulk_ring_segment("rivals", CAPACITY)?);
        Ok((segment.clone(), segment))
    }

    fn sender(place: Arc<Segment>) -> Result<BulkProducer, Failure> {
        Ok(BulkProducer::attach(&place)?)
    }

    fn receiver(place: Arc<Segment>) -> Result<BulkConsumer, Failure> {
        Ok(BulkConsumer::attach(&place)?)
    }
}

impl Across for RingsBulk {
    fn hand_sender(place: &Arc<Segment>, to: &UnixStream) -> Result<(), Failure> {
        Ok(hand_over(to, place.fd())?)
    }

    fn hand_receiver(place: &Arc<Segment>, to: &UnixStream) -> Result<(), Failure> {
        Ok(hand_over(to, place.fd())?)
    }

    fn take_sender(from: &UnixStream) -> Result<Arc<Segment>, Failure> {
        Ok(Arc::new(Segment::from_fd(receive(from)?, &BULK_RING, Access::ReadWrite)?))
    }

    fn take_receiver(from: &UnixStream) -> Result<Arc<Segment>, Failure> {
        RingsBulk::take_sender(from)
    }
}

impl Tx for BulkProducer {
    #[inline(always)]
    fn send(&mut self, record: &Record) -> bool {
        self.push(&record.0).is_ok()
    }

    #[inline(always)]
    fn send_run(&mut self, first: u64, count: usize) -> usize {
        // Built in the ring: the number a record gets there is the one it has here.
        let sent = self.push_with(count, |number| Record::number(number).0);
        debug_assert!(sent.is_err() || self.next_seq() == first + count as u64);
        if sent.is_ok() { count } else { 0 }
    }
}

impl Rx for BulkConsumer {
    #[inline(always)]
    fn receive(&mut self) -> Option<Record> {
        self.pop().map(|(_number, words)| Record(words))
    }

    #[inline(always)]
    fn drain(&mut self, limit: usize, each: &mut impl FnMut(&[u64; 8])) -> usize {
        self.poll(limit, |_number, words| each(words))
    }
}
