//! The runner end to end: placement, order, reports, stop and panic.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agent::{Agent, Clock, Cycle, CycleSink, Idle, Pulse, RingId, Runner, SpawnError, ThreadSpec, cpu};
use wire::Ts;

type Log = Arc<Mutex<Vec<String>>>;

fn spec(name: &str, idle: Idle) -> ThreadSpec {
    ThreadSpec { name: name.to_owned(), core: None, idle, fifo: None, slow_ns: Cycle::SLOW_NS }
}

fn flag() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let due = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < due, "waited 20 s for {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Says what happens to it; panics in cycle `dies_at`.
struct Teller {
    name: &'static str,
    log: Log,
    dies_at: u64,
}

impl Agent for Teller {
    fn name(&self) -> &str {
        self.name
    }

    fn on_start(&mut self, _: Ts) {
        self.log.lock().expect("no poison").push(format!("{} start", self.name));
    }

    fn do_work(&mut self, cycle: &mut Cycle<'_>) -> usize {
        cycle.consumed(RingId(1), cycle.number() as u32);
        assert!(cycle.number() != self.dies_at, "slot {} is lost", cycle.number());
        0
    }

    fn on_close(&mut self, _: Ts) {
        self.log.lock().expect("no poison").push(format!("{} close", self.name));
    }
}

fn tellers(log: &Log, names: &[&'static str], dies: &str) -> Vec<Box<dyn Agent + Send>> {
    let teller = |&name: &&'static str| -> Box<dyn Agent + Send> {
        Box::new(Teller { name, log: log.clone(), dies_at: if name == dies { 3 } else { 0 } })
    };
    names.iter().map(teller).collect()
}

#[derive(Clone, Default)]
struct Records(Arc<Mutex<Vec<(usize, u64, u32)>>>);

impl CycleSink for Records {
    fn record(&mut self, agent: usize, cycle: u64, _: RingId, count: u32) {
        let mut records = self.0.lock().expect("no poison");
        if records.len() < 1_000 {
            records.push((agent, cycle, count));
        }
    }

    fn beat(&mut self, _: usize, _: &Pulse) {}

    fn ended(&mut self, agent: usize, by_panic: bool) {
        self.0.lock().expect("no poison").push((agent, u64::MAX, by_panic as u32));
    }
}

#[test]
fn starts_reports_and_closes_in_order() {
    for idle in [Idle::Spin, Idle::Pause, Idle::Yield, Idle::Park { ns: 1_000 }] {
        let (log, stop, records) = (Log::default(), flag(), Records::default());
        let agents = tellers(&log, &["feed", "oms", "gateway"], "");
        let handle = Runner::spawn(spec("hot", idle), agents, Clock::live(), records.clone(), stop.clone())
            .expect("a thread");
        wait_for("100 records", || records.0.lock().expect("no poison").len() >= 100);
        assert!(!handle.is_dead() && !handle.is_finished());
        stop.store(true, Ordering::Release);
        let exit = handle.join().expect("no panic");
        let want = ["feed start", "oms start", "gateway start", "feed close", "oms close", "gateway close"];
        assert_eq!(*log.lock().expect("no poison"), want);
        let names: Vec<&str> = exit.agents.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, ["feed", "oms", "gateway"]);
        assert!(exit.agents.iter().all(|a| a.cycles == exit.agents[0].cycles && a.cycles >= 34));
        let mut records = std::mem::take(&mut *records.0.lock().expect("no poison"));
        let ended = records.split_off(records.len() - 3);
        assert_eq!(ended, [0, 1, 2].map(|agent| (agent, u64::MAX, 0)), "each ends, in order");
        for (i, record) in records.iter().enumerate() {
            let cycle = i as u64 / 3 + 1;
            assert_eq!(*record, (i % 3, cycle, cycle as u32), "record {i} under {idle:?}");
        }
    }
}

#[test]
fn a_panic_names_thread_agent_and_message_and_the_others_close() {
    let (log, stop, dead) = (Log::default(), flag(), flag());
    let agents = tellers(&log, &["feed", "oms", "gateway"], "oms");
    let thread = spec("hot", Idle::Pause);
    let records = Records::default();
    let handle =
        Runner::spawn_watched(thread, agents, Clock::live(), records.clone(), stop.clone(), dead.clone())
            .expect("a thread");
    wait_for("the flag", || dead.load(Ordering::Acquire));
    assert!(!stop.load(Ordering::Acquire), "nobody stopped it");
    let panicked = handle.join().expect_err("oms panics in its third cycle");
    assert_eq!((panicked.thread.as_str(), panicked.agent.as_str()), ("hot", "oms"));
    assert_eq!(panicked.message, "slot 3 is lost");
    assert_eq!(panicked.to_string(), "agent \"oms\" on thread \"hot\" panicked: slot 3 is lost");
    let log = log.lock().expect("no poison");
    assert_eq!(log[3..], ["feed close", "gateway close"], "the culprit is not called again");
    let records = records.0.lock().expect("no poison");
    let ended: Vec<_> = records.iter().filter(|r| r.1 == u64::MAX).map(|r| (r.0, r.2)).collect();
    assert_eq!(ended, [(1, 1), (0, 0), (2, 0)], "the culprit by panic, the others in order");
}

#[test]
fn a_panic_in_start_and_in_close_is_caught_too() {
    struct Bad {
        in_start: bool,
    }
    impl Agent for Bad {
        fn name(&self) -> &str {
            "bad"
        }
        fn on_start(&mut self, _: Ts) {
            assert!(!self.in_start, "at start");
        }
        fn do_work(&mut self, _: &mut Cycle<'_>) -> usize {
            0
        }
        fn on_close(&mut self, _: Ts) {
            std::panic::panic_any(7);
        }
    }
    for (in_start, message) in [(true, "at start"), (false, "a value that is not text")] {
        let stop = flag();
        let agents: Vec<Box<dyn Agent + Send>> = vec![Box::new(Bad { in_start })];
        let handle =
            Runner::spawn(spec("t", Idle::Yield), agents, Clock::live(), (), stop.clone()).expect("a thread");
        stop.store(true, Ordering::Release);
        let panicked = handle.join().expect_err("it panics");
        assert_eq!((panicked.agent.as_str(), panicked.message.as_str()), ("bad", message));
    }
}

/// Remembers the cores it ran on.
struct WhereAmI {
    seen: Arc<AtomicUsize>,
}

impl Agent for WhereAmI {
    fn name(&self) -> &str {
        "where"
    }

    fn do_work(&mut self, _: &mut Cycle<'_>) -> usize {
        if let Some(core) = cpu::current_core() {
            self.seen.fetch_or(1 << (core % 64), Ordering::AcqRel);
        }
        1
    }
}

#[test]
fn a_pinned_thread_runs_on_its_core_only() {
    for core in cpu::allowed_cores().into_iter().take(4) {
        let (seen, stop) = (Arc::new(AtomicUsize::new(0)), flag());
        let agents: Vec<Box<dyn Agent + Send>> = vec![Box::new(WhereAmI { seen: seen.clone() })];
        let thread = ThreadSpec { core: Some(core), ..spec("pinned", Idle::Yield) };
        let handle = Runner::spawn(thread, agents, Clock::live(), (), stop.clone()).expect("an allowed core");
        assert_eq!(handle.placement().core, Some(core));
        wait_for("a cycle", || seen.load(Ordering::Acquire) != 0);
        std::thread::sleep(Duration::from_millis(30));
        stop.store(true, Ordering::Release);
        handle.join().expect("no panic");
        assert_eq!(seen.load(Ordering::Acquire), 1 << (core % 64));
    }
}

#[test]
fn a_core_that_is_not_there_starts_no_thread() {
    let (log, stop) = (Log::default(), flag());
    let thread = ThreadSpec { core: Some(77_777), ..spec("lost", Idle::Yield) };
    let agents = tellers(&log, &["feed"], "");
    let Err(SpawnError::Pin { thread, refused }) = Runner::spawn(thread, agents, Clock::live(), (), stop)
    else {
        panic!("core 77777 was granted");
    };
    assert_eq!(thread, "lost");
    assert!(refused.to_string().contains("77777"), "{refused}");
    assert!(log.lock().expect("no poison").is_empty(), "no agent was started");
    let thread = spec("ze\0ro", Idle::Yield);
    let refused = Runner::spawn(thread, Vec::new(), Clock::live(), (), flag());
    assert!(matches!(refused, Err(SpawnError::Thread { .. })), "{refused:?}");
}

#[test]
fn fifo_is_granted_or_refused_in_one_line() {
    let stop = flag();
    let thread = ThreadSpec { fifo: Some(10), ..spec("fifo", Idle::Park { ns: 100_000 }) };
    let agents = tellers(&Log::default(), &["feed"], "");
    let handle = Runner::spawn(thread, agents, Clock::live(), (), stop.clone()).expect("a thread");
    match (handle.placement().fifo, &handle.placement().refused) {
        (Some(10), None) => {}
        (None, Some(why)) => {
            println!("{why}");
            assert!(!why.to_string().contains('\n'));
        }
        other => panic!("neither granted nor refused: {other:?}"),
    }
    stop.store(true, Ordering::Release);
    handle.join().expect("no panic");
}
