//! Two processes: descriptors handed over a socket, messages both ways, and either end killed at work.
//!
//! The other process is this test binary again, running `child` alone with a role in its environment and the socket
//! as its standard input.
#![cfg(not(any(loom, miri)))]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rings::{
    Access, Consumer, Payload, Producer, RING, Role, Segment, SegmentError, hand_over, receive, ring_segment,
};

const ROLE: &str = "CORELANE_RINGS_CHILD";
const ECHOES: u64 = 200_000;
const RUN: u64 = 5;

/// How many ends are killed: half of them consumers, half producers. `CORELANE_KILLS`; 20 when it is not set.
fn kills() -> u64 {
    std::env::var("CORELANE_KILLS").map_or(20, |v| v.parse().unwrap())
}

/// How much is exchanged before the kill of a round, so that it falls anywhere in a lap.
fn work(round: u64) -> u64 {
    500 + round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 3_000
}

fn message(n: u64) -> Payload {
    std::array::from_fn(|i| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i as u64)
}

/// Starts the other process in `role` and hands it `segments`.
fn start(role: &str, segments: &[&Segment]) -> Child {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(ROLE, role)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for segment in segments {
        hand_over(&ours, segment.fd()).unwrap();
    }
    child
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::yield_now();
    }
}

/// The other process; nothing when run as a test.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let segment = || Segment::from_fd(receive(&socket).unwrap(), &RING, Access::ReadWrite).unwrap();
    match role.as_str() {
        "echo" => {
            let mut rx = Consumer::attach(&segment()).unwrap();
            let mut tx = Producer::attach(&segment()).unwrap();
            for n in 0..ECHOES {
                wait_for("a message", || !rx.is_empty());
                let (seq, payload) = rx.pop().unwrap();
                assert_eq!((seq, payload), (n, message(n)));
                wait_for("room", || tx.has_room(1));
                tx.push(payload.map(|word| !word)).unwrap();
            }
        }
        "consume" => {
            let mut rx = Consumer::attach(&segment()).unwrap();
            loop {
                if let Some((seq, payload)) = rx.pop() {
                    assert_eq!(payload, message(seq));
                } else {
                    std::thread::yield_now();
                }
            }
        }
        "produce" => {
            let mut tx = Producer::attach(&segment()).unwrap();
            loop {
                let run: [Payload; RUN as usize] = std::array::from_fn(|i| message(tx.next_seq() + i as u64));
                if tx.push_run(&run).is_err() {
                    std::thread::yield_now();
                }
            }
        }
        other => panic!("no role {other}"),
    }
}

#[test]
fn a_message_goes_to_another_process_and_back() {
    let (there, back) = (ring_segment("there", 64).unwrap(), ring_segment("back", 64).unwrap());
    let mut tx = Producer::attach(&there).unwrap();
    let mut rx = Consumer::attach(&back).unwrap();
    let mut child = start("echo", &[&there, &back]);
    wait_for("the consumer", || tx.consumer_alive());
    let taken = Consumer::attach(&there);
    assert!(matches!(taken, Err(SegmentError::RoleTaken { role: Role::Consumer, pid }) if pid == child.id()));
    let (mut sent, mut returned) = (0, 0);
    wait_for("the last echo", || {
        while sent < ECHOES && tx.push(message(sent)).is_ok() {
            sent += 1;
        }
        rx.poll(64, |seq, payload| {
            assert_eq!((seq, *payload), (returned, message(returned).map(|word| !word)));
            returned += 1;
        });
        returned == ECHOES
    });
    assert!(child.wait().unwrap().success());
    assert!(!tx.consumer_alive() && !rx.producer_alive());
    assert!(there.owner_alive() && back.owner_alive());
}

#[test]
fn who_follows_a_killed_consumer_goes_on_at_its_position() {
    let segment = ring_segment("consumer", 16).unwrap();
    let mut tx = Producer::attach(&segment).unwrap();
    let (mut sent, mut from) = (0, 0);
    for round in 0..kills() / 2 {
        let mut child = start("consume", &[&segment]);
        let until = sent + work(round);
        wait_for("the consumer's work", || {
            while tx.push(message(sent)).is_ok() {
                sent += 1;
            }
            sent >= until
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!tx.consumer_alive());
        // Only what the dead consumer had released is gone; the rest is here, in order and whole.
        let mut rx = Consumer::attach(&segment).unwrap();
        let position = rx.next_seq();
        assert!(from < position && position <= sent && sent - position <= 16, "{from} {position} {sent}");
        rx.poll(4, |seq, payload| assert_eq!(*payload, message(seq)));
        from = rx.next_seq();
        assert_eq!(from, sent.min(position + 4));
    }
}

#[test]
fn a_killed_producer_leaves_whole_runs_and_can_be_followed() {
    let segment = ring_segment("producer", 16).unwrap();
    let mut rx = Consumer::attach(&segment).unwrap();
    let mut got = 0;
    for round in 0..kills() / 2 {
        let mut child = start("produce", &[&segment]);
        let until = got + work(round);
        let mut check = |seq: u64, payload: &Payload| {
            assert_eq!((seq, *payload), (got, message(got)));
            got += 1;
            got
        };
        wait_for("the producer's work", || {
            let mut seen = 0;
            rx.poll(64, |seq, payload| seen = check(seq, payload));
            seen >= until
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!rx.producer_alive());
        while rx.poll(64, |seq, payload| _ = check(seq, payload)) > 0 {}
        assert_eq!(got % RUN, 0, "only whole runs");
        let mut tx = Producer::attach(&segment).unwrap();
        assert_eq!(tx.next_seq(), got, "the next goes on after the last committed");
        let run: [Payload; RUN as usize] = std::array::from_fn(|i| message(got + i as u64));
        tx.push_run(&run).unwrap();
    }
}

#[test]
fn a_closed_or_empty_socket_hands_over_nothing() {
    use std::io::Write;
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(&[1]).unwrap();
    assert_eq!(receive(&theirs).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    drop(ours);
    assert_eq!(receive(&theirs).unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(hand_over(&theirs, theirs.as_fd()).is_err());
}
