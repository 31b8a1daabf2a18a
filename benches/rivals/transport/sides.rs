//! One repetition of one candidate: two sides on two cores, in two threads or in two processes.
//!
//! The other process is this program again, with a hidden first argument and a socket as its standard input. Places
//! go over that socket, and at the end one line comes back: what the peer measured, or what went wrong.

use std::env;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use agent::{Clock, cpu};

use crate::contract::{Across, Failure, Rx, Task, Transport, Tx};
use crate::work::{Load, Waited, connect, consume, echo, ping, produce};

/// First argument of the other process.
pub(crate) const PEER: &str = "--peer";

/// Longest silence of the other process.
const SILENCE: Duration = Duration::from_secs(30);

/// What two sides are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// What is asked.
    pub(crate) task: Task,
    /// How much.
    pub(crate) load: Load,
    /// Core of the side that times or produces.
    pub(crate) core_a: usize,
    /// Core of the side that answers or consumes.
    pub(crate) core_b: usize,
}

/// What they did.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// Round trips, ns; empty for a stream.
    pub(crate) trips_ns: Vec<u32>,
    /// Time the counted records took, ns; zero for a ping-pong.
    pub(crate) stream_ns: u64,
    /// The larger share of the time that one of the two was kept from its core.
    pub(crate) waited: f64,
    /// The share of the time that what must run beside the candidate was running.
    pub(crate) beside: f64,
}

impl Done {
    fn of(near: Near, far: Far) -> Done {
        Done {
            trips_ns: near.trips_ns,
            stream_ns: far.stream_ns,
            waited: near.waited.share().max(far.waited.share()),
            beside: near.beside,
        }
    }
}

/// What the side that times or produces knows.
struct Near {
    trips_ns: Vec<u32>,
    waited: Waited,
    beside: f64,
}

/// What the side that answers or consumes knows.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Far {
    stream_ns: u64,
    waited: Waited,
}

/// The places of one side: one direction for a stream, two for a ping-pong.
struct Places<T: Transport> {
    tx: Option<T::TxPlace>,
    rx: Option<T::RxPlace>,
}

/// The places of both sides.
fn lay<T: Transport>(host: &T::Host, task: Task) -> Result<(Places<T>, Places<T>), Failure> {
    let (there_tx, there_rx) = T::link(host, task)?;
    if task != Task::PingPong {
        return Ok((Places { tx: Some(there_tx), rx: None }, Places { tx: None, rx: Some(there_rx) }));
    }
    let (back_tx, back_rx) = T::link(host, task)?;
    Ok((Places { tx: Some(there_tx), rx: Some(back_rx) }, Places { tx: Some(back_tx), rx: Some(there_rx) }))
}

/// The ends of one side.
struct Ends<T: Transport> {
    tx: Option<T::Tx>,
    rx: Option<T::Rx>,
}

impl<T: Transport> Places<T> {
    /// Opens what is there, the consuming end first, and waits for the other side.
    fn open(self) -> Result<Ends<T>, Failure> {
        let rx = self.rx.map(T::receiver).transpose()?;
        let tx = self.tx.map(T::sender).transpose()?;
        let mut ends = Ends { tx, rx };
        connect(|| {
            let sends = ends.tx.as_mut().is_none_or(Tx::connected);
            let receives = ends.rx.as_mut().is_none_or(Rx::connected);
            sends && receives
        })?;
        Ok(ends)
    }
}

impl<T: Transport> Ends<T> {
    fn near(&mut self, host: &T::Host, job: Job) -> Result<Near, Failure> {
        let (begin, ran_ns) = (Instant::now(), T::host_ran_ns(host));
        let (trips_ns, waited) = match (job.task, &mut self.tx, &mut self.rx) {
            (Task::PingPong, Some(tx), Some(rx)) => ping(tx, rx, job.load, &Clock::live())?,
            (task, Some(tx), None) => (Vec::new(), produce(tx, job.load, task == Task::Batched)?),
            _ => return Err("the timing side lacks an end".into()),
        };
        let ran_ns = T::host_ran_ns(host).saturating_sub(ran_ns);
        let beside = ran_ns as f64 / begin.elapsed().as_nanos().max(1) as f64;
        Ok(Near { trips_ns, waited, beside })
    }

    fn far(&mut self, job: Job) -> Result<Far, Failure> {
        match (job.task, &mut self.tx, &mut self.rx) {
            (Task::PingPong, Some(tx), Some(rx)) => Ok(Far { stream_ns: 0, waited: echo(tx, rx, job.load)? }),
            (task, None, Some(rx)) => {
                let (stream_ns, waited) = consume(rx, job.load, task == Task::Batched)?;
                Ok(Far { stream_ns, waited })
            }
            _ => Err("the answering side lacks an end".into()),
        }
    }
}

/// One repetition in two threads of this process.
pub(crate) fn in_threads<T: Transport>(job: Job) -> Result<Done, Failure> {
    let host = T::host()?;
    let (near, far) = lay::<T>(&host, job.task)?;
    // Neither side closes its ends before the other is done with them: each holds a sender until then.
    let (near_done, far_waits) = mpsc::channel::<()>();
    let (far_done, near_waits) = mpsc::channel::<()>();
    let host = &host;
    thread::scope(|scope| {
        let far = scope.spawn(move || {
            cpu::pin(job.core_b)?;
            let mut ends = far.open()?;
            let done = ends.far(job);
            drop(far_done);
            let _ = far_waits.recv();
            done
        });
        let near = scope.spawn(move || {
            cpu::pin(job.core_a)?;
            let mut ends = near.open()?;
            let done = ends.near(host, job);
            drop(near_done);
            let _ = near_waits.recv();
            done
        });
        let near = near.join().map_err(|_| "the timing thread panicked")?;
        let far = far.join().map_err(|_| "the answering thread panicked")?;
        Ok(Done::of(near?, far?))
    })
}

/// The other process; killed when it is still there at the end.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One repetition in this process and another.
pub(crate) fn in_processes<T: Across>(job: Job) -> Result<Done, Failure> {
    let host = T::host()?;
    let (near, far) = lay::<T>(&host, job.task)?;
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(SILENCE))?;
    let number = |n: u64| n.to_string();
    let mut peer = Peer(
        Command::new(env::current_exe()?)
            .args([PEER, T::NAME, job.task.word()])
            .args([number(job.load.warm_up), number(job.load.count), number(job.load.hint.into())])
            .args([number(job.core_a as u64), number(job.core_b as u64)])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?,
    );
    if let Some(place) = &far.tx {
        T::hand_sender(place, &ours)?;
    }
    if let Some(place) = &far.rx {
        T::hand_receiver(place, &ours)?;
    }
    let done = thread::scope(|scope| {
        let (socket, host) = (&ours, &host);
        let near = scope.spawn(move || {
            cpu::pin(job.core_a)?;
            let mut ends = near.open()?;
            let near = ends.near(host, job)?;
            let said = take_text(socket)?;
            Ok::<_, Failure>(Done::of(near, Far::read(&said)?))
        });
        near.join().map_err(|_| "the timing thread panicked")?
    });
    match done {
        Ok(done) => {
            peer.0.wait()?;
            Ok(done)
        }
        Err(why) => {
            // What the peer says is closer to the cause, when it says anything.
            let _ = ours.set_read_timeout(Some(Duration::from_millis(200)));
            let said = take_text(&ours).unwrap_or_default();
            Err(if said.is_empty() { why } else { format!("{why}; the peer: {said}").into() })
        }
    }
}

/// The other process: what `in_processes::<T>` started.
pub(crate) fn peer<T: Across>(job: Job) -> Result<(), Failure> {
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let work = || -> Result<(Far, Ends<T>), Failure> {
        let tx = if job.task == Task::PingPong { Some(T::take_sender(&socket)?) } else { None };
        let rx = Some(T::take_receiver(&socket)?);
        cpu::pin(job.core_b)?;
        let mut ends = Places::<T> { tx, rx }.open()?;
        Ok((ends.far(job)?, ends))
    };
    match work() {
        // The ends close after the word is out; the other side keeps its own until it has heard it.
        Ok((far, _ends)) => hand_text(&far.written(), &socket),
        Err(why) => {
            hand_text(&format!("failed: {why}"), &socket)?;
            Err(why)
        }
    }
}

impl Far {
    fn written(self) -> String {
        format!("done {} {} {}", self.stream_ns, self.waited.ns, self.waited.of_ns)
    }

    fn read(said: &str) -> Result<Far, Failure> {
        let words: Vec<&str> = said.split(' ').collect();
        match words.as_slice() {
            ["done", stream, ns, of] => {
                Ok(Far { stream_ns: stream.parse()?, waited: Waited { ns: ns.parse()?, of_ns: of.parse()? } })
            }
            _ => Err(format!("the peer: {said}").into()),
        }
    }
}

impl Job {
    /// The arguments after [`PEER`] and the name.
    pub(crate) fn read(words: &[String]) -> Result<Job, Failure> {
        let [task, warm_up, count, hint, core_a, core_b] = words else {
            return Err(format!("six arguments wanted, {} given", words.len()).into());
        };
        let task = Task::ALL.into_iter().find(|t| t.word() == task).ok_or("no such task")?;
        let load = Load { warm_up: warm_up.parse()?, count: count.parse()?, hint: hint == "1" };
        Ok(Job { task, load, core_a: core_a.parse()?, core_b: core_b.parse()? })
    }
}

/// Sends a short text: its length in two bytes, then itself.
pub(crate) fn hand_text(text: &str, mut to: &UnixStream) -> Result<(), Failure> {
    let length = u16::try_from(text.len())?;
    to.write_all(&length.to_le_bytes())?;
    Ok(to.write_all(text.as_bytes())?)
}

/// What [`hand_text`] sent.
pub(crate) fn take_text(mut from: &UnixStream) -> Result<String, Failure> {
    let mut length = [0; 2];
    from.read_exact(&mut length)?;
    let mut text = vec![0; usize::from(u16::from_le_bytes(length))];
    from.read_exact(&mut text)?;
    Ok(String::from_utf8(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_peer_says_is_what_it_measured() {
        let far = Far { stream_ns: 12, waited: Waited { ns: 3, of_ns: 400 } };
        assert_eq!(Far::read(&far.written()).unwrap(), far);
        for bad in ["", "done", "done 1 2", "done 1 2 x", "failed: no room"] {
            assert!(Far::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn texts_travel_whole() {
        let (a, b) = UnixStream::pair().unwrap();
        for text in ["", "one", &"long ".repeat(2_000)] {
            hand_text(text, &a).unwrap();
            assert_eq!(take_text(&b).unwrap(), text);
        }
        drop(a);
        assert!(take_text(&b).is_err());
    }
}
