//! Aeron IPC: the C client over a log in shared memory, between two clients of a media driver.
//!
//! The driver is a process of its own, with one thread for all its work and its default idle strategy; it is started
//! for each repetition and stopped after it, so that it takes no time from the other candidates. Clients have no
//! thread either: their conductors are invoked while they connect. Claims are written in place. Terms are of 1 MiB for
//! ping-pong and of 16 MiB for streams, where each did best. A producer has no batches; "batched" is the consumer's
//! poll of many fragments.

use std::env;
use std::ffi::{CString, NulError};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusteron_client::{
    Aeron as Client, AeronBufferClaim, AeronContext, AeronExclusivePublication, AeronImage,
    AeronSubscription, Handlers,
};
use rusteron_media_driver::bindings::aeron_threading_mode_enum::AERON_THREADING_MODE_SHARED;
use rusteron_media_driver::{AeronDriver, AeronDriverContext};

use crate::contract::{Across, Failure, Rx, Task, Transport, Tx};
use crate::record::{BYTES, Record};
use crate::sides::{hand_text, take_text};

/// real-logic/aeron by way of gsrxyz/rusteron.
pub(crate) struct Aeron;

/// First argument of the driver's process.
pub(crate) const DRIVER: &str = "--aeron-driver";

/// What that process says once clients may come.
const READY: &str = "ready";

/// Longest wait for the driver to answer a client.
const ANSWER: Duration = Duration::from_secs(5);

static LINKS: AtomicU64 = AtomicU64::new(0);

/// A running driver and the folder it speaks through.
pub(crate) struct Driver {
    process: Child,
    folder: PathBuf,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Where a stream is found.
#[derive(Clone)]
pub(crate) struct Stream {
    folder: String,
    channel: String,
    id: i32,
}

pub(crate) struct Sender {
    publication: AeronExclusivePublication,
    claim: AeronBufferClaim,
    client: Client,
}

pub(crate) struct Receiver {
    image: Option<AeronImage>,
    subscription: AeronSubscription,
    client: Client,
}

/// The driver's process: works until it is killed.
pub(crate) fn drive(folder: &str) -> Result<(), Failure> {
    let context = AeronDriverContext::new()?;
    context.set_dir(&text(folder)?)?;
    context.set_dir_delete_on_start(true)?;
    context.set_threading_mode(AERON_THREADING_MODE_SHARED)?;
    let driver = AeronDriver::new(&context)?;
    driver.start(true)?;
    println!("{READY}");
    loop {
        let work = driver.main_do_work()?;
        driver.main_idle_strategy(work);
    }
}

fn text(words: &str) -> Result<CString, NulError> {
    CString::new(words)
}

fn client(folder: &str) -> Result<Client, Failure> {
    let context = AeronContext::new()?;
    context.set_dir(&text(folder)?)?;
    context.set_use_conductor_agent_invoker(true)?;
    let client = Client::new(&context)?;
    client.start()?;
    Ok(client)
}

impl Transport for Aeron {
    const NAME: &'static str = "Aeron IPC";
    const CRATE: Option<&'static str> = Some("rusteron-client");
    const TASKS: &'static [Task] = &Task::ALL;
    const BRINGS_A_PROCESS: bool = true;
    type Host = Driver;
    type TxPlace = Stream;
    type RxPlace = Stream;
    type Tx = Sender;
    type Rx = Receiver;

    fn host() -> Result<Driver, Failure> {
        let memory = PathBuf::from("/dev/shm");
        let memory = if memory.is_dir() { memory } else { env::temp_dir() };
        let link = LINKS.fetch_add(1, Ordering::Relaxed);
        let folder = memory.join(format!("corelane-rivals-aeron-{}-{link}", process::id()));
        let process = Command::new(env::current_exe()?)
            .arg(DRIVER)
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut driver = Driver { process, folder };
        let said = driver.process.stdout.take().ok_or("the driver has no voice")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        if line.trim() == READY { Ok(driver) } else { Err("the media driver did not start".into()) }
    }

    fn host_ran_ns(driver: &Driver) -> u64 {
        let path = format!("/proc/{}/schedstat", driver.process.id());
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    fn link(driver: &Driver, task: Task) -> Result<(Stream, Stream), Failure> {
        let id = 1_000 + i32::try_from(LINKS.fetch_add(1, Ordering::Relaxed))?;
        let term = if task == Task::PingPong { "1m" } else { "16m" };
        let stream = Stream {
            folder: driver.folder.to_string_lossy().into_owned(),
            channel: format!("aeron:ipc?term-length={term}"),
            id,
        };
        Ok((stream.clone(), stream))
    }

    fn sender(at: Stream) -> Result<Sender, Failure> {
        let client = client(&at.folder)?;
        let publication =
            client.async_add_exclusive_publication(&text(&at.channel)?, at.id)?.poll_blocking(ANSWER)?;
        Ok(Sender { publication, claim: AeronBufferClaim::default(), client })
    }

    fn receiver(at: Stream) -> Result<Receiver, Failure> {
        let client = client(&at.folder)?;
        let subscription = client
            .async_add_subscription(&text(&at.channel)?, at.id, Handlers::NONE, Handlers::NONE)?
            .poll_blocking(ANSWER)?;
        Ok(Receiver { image: None, subscription, client })
    }
}

impl Stream {
    fn hand(&self, to: &UnixStream) -> Result<(), Failure> {
        hand_text(&self.folder, to)?;
        hand_text(&self.channel, to)?;
        hand_text(&self.id.to_string(), to)
    }

    fn take(from: &UnixStream) -> Result<Stream, Failure> {
        Ok(Stream { folder: take_text(from)?, channel: take_text(from)?, id: take_text(from)?.parse()? })
    }
}

impl Across for Aeron {
    fn hand_sender(place: &Stream, to: &UnixStream) -> Result<(), Failure> {
        place.hand(to)
    }

    fn hand_receiver(place: &Stream, to: &UnixStream) -> Result<(), Failure> {
        place.hand(to)
    }

    fn take_sender(from: &UnixStream) -> Result<Stream, Failure> {
        Stream::take(from)
    }

    fn take_receiver(from: &UnixStream) -> Result<Stream, Failure> {
        Stream::take(from)
    }
}

impl Tx for Sender {
    fn connected(&mut self) -> bool {
        self.client.main_do_work().is_ok() && self.publication.is_connected()
    }

    #[inline(always)]
    fn send(&mut self, record: &Record) -> bool {
        if self.publication.try_claim_raw(BYTES, &self.claim) < 0 {
            return false;
        }
        self.claim.data().copy_from_slice(&record.to_bytes());
        self.claim.commit().is_ok()
    }
}

impl Rx for Receiver {
    fn connected(&mut self) -> bool {
        if self.client.main_do_work().is_ok() && self.image.is_none() {
            self.image = self.subscription.image_at_index(0);
        }
        self.image.is_some()
    }

    #[inline(always)]
    fn receive(&mut self) -> Option<Record> {
        let mut record = None;
        self.image.as_ref()?.poll_fn(|bytes, _header| record = Record::from_bytes(bytes), 1).ok()?;
        record
    }

    #[inline(always)]
    fn drain(&mut self, limit: usize, each: &mut impl FnMut(&[u64; 8])) -> usize {
        let Some(image) = &self.image else { return 0 };
        let take = |bytes: &[u8], _header: _| {
            if let Some(record) = Record::from_bytes(bytes) {
                each(&record.0);
            }
        };
        image.poll_fn(take, limit).map_or(0, |count| count as usize)
    }
}
