//! Ours, the slot ring in a memfd: 56 bytes and their number, which is the record's last word, in one line.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rings::{Access, Consumer, Payload, Producer, RING, Segment, hand_over, receive, ring_segment};

use crate::contract::{Across, CAPACITY, Failure, Rx, Task, Transport, Tx};
use crate::record::Record;

/// The slot ring.
pub(crate) struct RingsSlot;

impl Transport for RingsSlot {
    const NAME: &'static str = "rings slot";
    const TASKS: &'static [Task] = &Task::ALL;
    type Host = ();
    type TxPlace = Arc<Segment>;
    type RxPlace = Arc<Segment>;
    type Tx = Producer;
    type Rx = Consumer;

    fn host() -> Result<(), Failure> {
        Ok(())
    }

    fn link((): &(), _task: Task) -> Result<(Arc<Segment>, Arc<Segment>), Failure> {
        let segment = Arc::new(ring_segment("rivals", CAPACITY)?);
        Ok((segment.clone(), segment))
    }

    fn sender(place: Arc<Segment>) -> Result<Producer, Failure> {
        Ok(Producer::attach(&place)?)
    }

    fn receiver(place: Arc<Segment>) -> Result<Consumer, Failure> {
        Ok(Consumer::attach(&place)?)
    }
}

impl Across for RingsSlot {
    fn hand_sender(place: &Arc<Segment>, to: &UnixStream) -> Result<(), Failure> {
        Ok(hand_over(to, place.fd())?)
    }

    fn hand_receiver(place: &Arc<Segment>, to: &UnixStream) -> Result<(), Failure> {
        Ok(hand_over(to, place.fd())?)
    }

    fn take_sender(from: &UnixStream) -> Result<Arc<Segment>, Failure> {
        Ok(Arc::new(Segment::from_fd(receive(from)?, &RING, Access::ReadWrite)?))
    }

    fn take_receiver(from: &UnixStream) -> Result<Arc<Segment>, Failure> {
        RingsSlot::take_sender(from)
    }
}

/// What the ring carries of a record; its number travels in the slot.
#[inline(always)]
fn payload(n: u64) -> Payload {
    let [payload @ .., _number] = Record::number(n).0;
    payload
}

#[inline(always)]
fn words(number: u64, payload: &Payload) -> [u64; 8] {
    let [a, b, c, d, e, f, g] = *payload;
    [a, b, c, d, e, f, g, number]
}

impl Tx for Producer {
    #[inline(always)]
    fn send(&mut self, record: &Record) -> bool {
        let [payload @ .., _number] = record.0;
        self.push(payload).is_ok()
    }

    #[inline(always)]
    fn send_run(&mut self, first: u64, count: usize) -> usize {
        let Ok(mut claim) = self.claim(count) else { return 0 };
        for n in first..first + count as u64 {
            if claim.put(&payload(n)).is_err() {
                break;
            }
        }
        claim.commit()
    }
}

impl Rx for Consumer {
    #[inline(always)]
    fn receive(&mut self) -> Option<Record> {
        self.pop().map(|(number, payload)| Record(words(number, &payload)))
    }

    #[inline(always)]
    fn drain(&mut self, limit: usize, each: &mut impl FnMut(&[u64; 8])) -> usize {
        self.poll(limit, |number, payload| each(&words(number, payload)))
    }
}
