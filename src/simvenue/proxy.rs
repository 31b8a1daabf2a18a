//! A network that misbehaves on purpose: a TCP proxy before the venue, outside TLS, with faults from a seed.
//!
//! It passes ciphertext on and knows nothing of it. One thread sleeps in `ppoll(2)`; each direction of a connection is
//! a [`Lane`]. While the network is quiet everything passes at once. When it becomes quiet after it was noisy, faults
//! end: what was held back flows, and connections in which bytes had vanished are reset, as by a box that has lost
//! track of them.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use net::socket::{Interest, linger_zero};

use super::lane::{Lane, Passed};
use super::pause::Pause;
use super::plan::{ConnPlan, FaultKind, Way, outage};

/// Longest sleep: commands are seen this soon.
const SLEEP_MAX: Duration = Duration::from_millis(2);
/// Sleep while a lane holds bytes back.
const SLEEP_HOLDING: Duration = Duration::from_micros(500);

/// A running proxy. Dropping it ends its thread and every connection.
pub struct FaultProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    noisy: AtomicBool,
    /// Connections so far.
    connections: AtomicU64,
    /// Faults that struck, by kind.
    struck: [AtomicU64; FaultKind::ALL.len()],
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and passes everything on to `target`; quiet until told otherwise.
    ///
    /// # Errors
    /// The socket or the thread cannot be had.
    pub fn start(target: SocketAddr, seed: u64) -> io::Result<FaultProxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            noisy: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            struck: Default::default(),
        });
        let mut proxy = Proxy { listener, target, seed, shared: shared.clone(), pipes: Vec::new() };
        let thread = std::thread::Builder::new().name("faults".to_string()).spawn(move || proxy.run())?;
        Ok(FaultProxy { addr, shared, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Lets the plans of all connections begin, or ends every fault.
    pub fn set_noisy(&self, on: bool) {
        self.shared.noisy.store(on, Ordering::Release);
    }

    /// Connections that have arrived so far; those that were refused count.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// How often each kind of fault has struck bytes or a connection, by its number.
    pub fn struck(&self) -> [u64; FaultKind::ALL.len()] {
        std::array::from_fn(|i| self.shared.struck[i].load(Ordering::Acquire))
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // One that panicked has ended too.
            let _ = thread.join();
        }
    }
}

/// One connection: the engine's side and the venue's.
struct Pipe {
    engine: TcpStream,
    /// `None` = it was taken and nobody answers.
    venue: Option<TcpStream>,
    /// To the venue, to the engine.
    lanes: [Lane; 2],
    opening: Option<FaultKind>,
    over: bool,
}

struct Proxy {
    listener: TcpListener,
    target: SocketAddr,
    seed: u64,
    shared: Arc<Shared>,
    pipes: Vec<Pipe>,
}

impl Proxy {
    fn run(&mut self) {
        let mut pause = Pause::default();
        let mut was_noisy = false;
        // The one outage of this seed: how long after the first noise, and how long.
        let mut outage = outage(self.seed).map(|ms| [ms.0, ms.1].map(|ms| Duration::from_millis(ms as u64)));
        let mut cut_at = None;
        let mut dark_until = None;
        while !self.shared.stop.load(Ordering::Acquire) {
            let (now, noisy) = (Instant::now(), self.shared.noisy.load(Ordering::Acquire));
            if noisy != was_noisy {
                was_noisy = noisy;
                self.pipes.iter_mut().for_each(|pipe| pipe.turn(noisy, now));
                if noisy {
                    cut_at = outage.take().map(|[at, dark]| (now + at, dark));
                }
            }
            if let Some((at, dark)) = cut_at
                && at <= now
            {
                (cut_at, dark_until) = (None, Some(now + dark));
                self.pipes.iter_mut().for_each(Pipe::reset);
                self.pipes.iter().for_each(|_| self.shared.count(FaultKind::Reset));
            }
            self.accept(noisy, noisy && dark_until.is_some_and(|until| now < until), now);
            for pipe in self.pipes.iter_mut().filter(|pipe| !pipe.over) {
                pipe.pass(&self.shared, now);
            }
            self.pipes.retain(|pipe| !pipe.over);
            self.sleep(&mut pause);
        }
    }

    fn accept(&mut self, noisy: bool, dark: bool, now: Instant) {
        // An error is tried again in the next round.
        while let Ok((engine, _)) = self.listener.accept() {
            let plan = ConnPlan::of(self.seed, self.shared.connections.fetch_add(1, Ordering::AcqRel));
            let opening = if dark { Some(FaultKind::Refuse) } else { plan.opening.filter(|_| noisy) };
            if let Some(kind) = opening {
                self.shared.count(kind);
            }
            let venue = match opening {
                Some(FaultKind::Refuse) => {
                    linger_zero(engine.as_fd());
                    continue;
                }
                Some(_) => None,
                None => match TcpStream::connect(self.target) {
                    Ok(venue) => Some(venue),
                    Err(_) => {
                        linger_zero(engine.as_fd());
                        continue;
                    }
                },
            };
            let ready = [Some(&engine), venue.as_ref()]
                .into_iter()
                .flatten()
                .all(|s| s.set_nonblocking(true).is_ok() && s.set_nodelay(true).is_ok());
            if !ready {
                continue;
            }
            let lanes = [Lane::new(plan.to_venue), Lane::new(plan.to_engine)];
            let mut pipe = Pipe { engine, venue, lanes, opening, over: false };
            if noisy {
                pipe.turn(true, now);
            }
            self.pipes.push(pipe);
        }
    }

    fn sleep(&mut self, pause: &mut Pause) {
        pause.clear();
        pause.watch(Interest { fd: self.listener.as_raw_fd(), read: true, write: false });
        let mut timeout = SLEEP_MAX;
        for pipe in &self.pipes {
            let Some(venue) = &pipe.venue else { continue };
            for (from, to, lane) in
                [(&pipe.engine, venue, &pipe.lanes[0]), (venue, &pipe.engine, &pipe.lanes[1])]
            {
                if lane.takes() {
                    pause.watch(Interest { fd: from.as_raw_fd(), read: true, write: false });
                }
                if lane.is_blocked() {
                    pause.watch(Interest { fd: to.as_raw_fd(), read: false, write: true });
                } else if lane.holds() {
                    timeout = SLEEP_HOLDING;
                }
            }
        }
        pause.sleep(timeout);
    }
}

impl Shared {
    fn count(&self, kind: FaultKind) {
        self.struck[kind as usize].fetch_add(1, Ordering::AcqRel);
    }
}

impl Pipe {
    /// The network becomes noisy or quiet.
    fn turn(&mut self, noisy: bool, now: Instant) {
        let lost = !noisy && (self.opening.is_some() || self.lanes.iter().any(Lane::has_lost));
        self.lanes.iter_mut().for_each(|lane| lane.turn(noisy, now));
        if lost {
            self.reset();
        }
    }

    fn pass(&mut self, shared: &Shared, now: Instant) {
        let Some(venue) = &self.venue else { return };
        let mut reset = false;
        for way in [Way::ToVenue, Way::ToEngine] {
            let (mut from, mut to) = match way {
                Way::ToVenue => (&self.engine, venue),
                Way::ToEngine => (venue, &self.engine),
            };
            let lane = &mut self.lanes[way as usize];
            let mut count = |kind| shared.count(kind);
            let mut read = |buffer: &mut [u8]| from.read(buffer);
            let mut write = |bytes: &[u8]| to.write(bytes);
            match lane.pass(&mut read, &mut write, now, &mut count) {
                Passed::On => {}
                // One that has gone already needs no end.
                Passed::End => drop(to.shutdown(Shutdown::Write)),
                Passed::Reset => reset = true,
            }
        }
        if reset {
            self.reset();
        } else if self.lanes.iter().all(Lane::has_ended) {
            self.over = true;
        }
    }

    /// Both ends get a reset when the sockets close.
    fn reset(&mut self) {
        linger_zero(self.engine.as_fd());
        if let Some(venue) = &self.venue {
            linger_zero(venue.as_fd());
        }
        self.over = true;
    }
}
