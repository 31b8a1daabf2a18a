//! What a candidate must be able to do: lie between two sides, take records in at one end, give them at the other.

use std::error::Error;
use std::os::unix::net::UnixStream;

use crate::record::Record;

/// Why something could not be measured, for people.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Slots of every queue that has slots: what a pipeline would use.
pub(crate) const CAPACITY: usize = 1024;

/// Records a producer hands over at once, where it can.
pub(crate) const RUN: usize = 32;

/// Records a consumer takes at once at most, where it can.
pub(crate) const DRAIN: usize = 256;

/// What is asked of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// One record there and back, one after the other.
    PingPong,
    /// A stream, one record at a time.
    Single,
    /// A stream, [`RUN`] records at a time.
    Batched,
}

impl Task {
    /// All of them.
    pub(crate) const ALL: [Task; 3] = [Task::PingPong, Task::Single, Task::Batched];

    /// Its word, in arguments and files.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Task::PingPong => "ping-pong",
            Task::Single => "single",
            Task::Batched => "batched",
        }
    }
}

/// The producing end.
pub(crate) trait Tx {
    /// Whether the other side can be reached. Asked until it says so, before the first record.
    fn connected(&mut self) -> bool {
        true
    }

    /// Takes a record, or not: full.
    fn send(&mut self, record: &Record) -> bool;

    /// Takes up to `count` records from number `first` on as one run, built where they will lie when the candidate
    /// lets us; returns how many. Only candidates that say so are asked.
    #[inline(always)]
    fn send_run(&mut self, first: u64, count: usize) -> usize {
        let sent = (first..first + count as u64).take_while(|&n| self.send(&Record::number(n)));
        sent.count()
    }
}

/// The consuming end.
pub(crate) trait Rx {
    /// As [`Tx::connected`].
    fn connected(&mut self) -> bool {
        true
    }

    /// The next record; `None` when there is none yet.
    fn receive(&mut self) -> Option<Record>;

    /// Shows the words of up to `limit` records and lets them go together; returns how many.
    #[inline(always)]
    fn drain(&mut self, limit: usize, each: &mut impl FnMut(&[u64; 8])) -> usize {
        let mut count = 0;
        while count < limit
            && let Some(record) = self.receive()
        {
            each(&record.0);
            count += 1;
        }
        count
    }
}

/// A way from one side to another. Places are made by one thread and sent to where the ends will live; there the ends
/// are opened.
pub(crate) trait Transport: 'static {
    /// As it is called in every table.
    const NAME: &'static str;

    /// The crate it comes from; `None` for ours and the standard library's.
    const CRATE: Option<&'static str> = None;

    /// Which tasks it knows.
    const TASKS: &'static [Task];

    /// Whether it brings a process of its own.
    const BRINGS_A_PROCESS: bool = false;

    /// What must run beside it; stopped when dropped.
    type Host: Sync;
    /// From where the producing end is opened.
    type TxPlace: Send;
    /// From where the consuming end is opened.
    type RxPlace: Send;
    /// The producing end.
    type Tx: Tx;
    /// The consuming end.
    type Rx: Rx;

    /// Starts what must run beside it.
    fn host() -> Result<Self::Host, Failure>;

    /// How long that has been running on a core so far, ns: time the sides wait for, and not somebody else's.
    fn host_ran_ns(_host: &Self::Host) -> u64 {
        0
    }

    /// A new way in one direction.
    fn link(host: &Self::Host, task: Task) -> Result<(Self::TxPlace, Self::RxPlace), Failure>;

    /// Opens the producing end, on the side that will use it.
    fn sender(place: Self::TxPlace) -> Result<Self::Tx, Failure>;

    /// Opens the consuming end, on the side that will use it.
    fn receiver(place: Self::RxPlace) -> Result<Self::Rx, Failure>;
}

/// A transport whose ends may live in two processes: places travel over a socket.
pub(crate) trait Across: Transport {
    /// Tells the other process the place of its producing end.
    fn hand_sender(place: &Self::TxPlace, to: &UnixStream) -> Result<(), Failure>;

    /// Tells the other process the place of its consuming end.
    fn hand_receiver(place: &Self::RxPlace, to: &UnixStream) -> Result<(), Failure>;

    /// What [`Across::hand_sender`] told.
    fn take_sender(from: &UnixStream) -> Result<Self::TxPlace, Failure>;

    /// What [`Across::hand_receiver`] told.
    fn take_receiver(from: &UnixStream) -> Result<Self::RxPlace, Failure>;
}
