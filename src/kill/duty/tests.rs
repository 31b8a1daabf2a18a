//! The whole sequence over real files: every source, every deadline, and a process that is killed.

use super::*;
use crate::line::{FileLine, LineFault};
use crate::observe::ControlReader;
use crate::scratch::Scratch;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const MS: u64 = 1_000_000;
const START: u64 = 1_790_000_000 * 1_000_000_000;

fn at(ms: u64) -> Ts {
    Ts(START + ms * MS)
}

struct Host {
    scratch: Scratch,
}

impl Host {
    fn new(name: &str) -> Host {
        let host = Host { scratch: Scratch::new(name) };
        Latch::create(&host.state_dir()).unwrap();
        host.line("1");
        host
    }

    fn state_dir(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    fn line_path(&self) -> PathBuf {
        self.scratch.path().join("estop")
    }

    fn line(&self, text: &str) {
        let aside = self.scratch.path().join("estop.new");
        fs::write(&aside, text).unwrap();
        fs::rename(&aside, self.line_path()).unwrap();
    }

    fn start(&self, ms: u64) -> KillDuty {
        KillDuty::start(parts(&self.state_dir(), &self.line_path()), at(ms))
    }

    fn latch(&self) -> LatchState {
        Latch::new(&self.state_dir()).load()
    }

    fn uid(&self) -> u32 {
        fs::metadata(self.state_dir()).unwrap().uid()
    }
}

fn parts(state_dir: &Path, line: &Path) -> KillParts {
    KillParts {
        switch: KillSwitch::heap(&["gateway", "hedger"]).unwrap(),
        latch: Latch::new(state_dir),
        lines: vec![Box::new(FileLine::new("estop", line))],
        agents: vec![Watched { agent: "feed".into(), limit_ns: 10 * MS }],
        signal: None,
        ack_deadline_ns: 5 * MS,
        settle_ns: 100 * MS,
    }
}

fn no_abort(_: usize) -> bool {
    panic!("nobody is aborted before the deadline")
}

#[test]
fn a_press_gives_the_word_latches_and_waits_for_everyone() {
    let host = Host::new("duty-press");
    let mut duty = host.start(0);
    let (view, gateway) = (duty.switch().view(), duty.switch().sender("gateway").unwrap());
    let hedger = duty.switch().sender("hedger").unwrap();
    assert_eq!((duty.state(), view.epoch()), (State::Armed, 2));
    assert_eq!(duty.cycle(|| at(1), &[at(1)], &mut no_abort), State::Armed);
    assert_eq!(view.kill_beat(), at(1));
    gateway.sent(8, 40);
    host.line("0");
    assert_eq!(duty.cycle(|| at(2), &[at(2)], &mut no_abort), State::Tripped);
    assert!(view.is_tripped());
    let record = duty.trip().unwrap().clone();
    assert_eq!((record.source, record.subject.as_str()), (Source::Line { line: 0 }, "estop"));
    assert_eq!(host.latch(), LatchState::Tripped(record.clone()), "on disk before anyone has acknowledged");
    assert_eq!(duty.latch_status(), LatchStatus::Written);
    gateway.sent(9, 41);
    gateway.acknowledge(view.epoch(), at(3), 9, 41);
    assert_eq!(duty.cycle(|| at(3), &[], &mut no_abort), State::Tripped);
    hedger.acknowledge(view.epoch(), at(3), 2, 0);
    assert_eq!(duty.cycle(|| at(4), &[], &mut no_abort), State::Acked);
    let seen = ControlReader::over(duty.switch().words()).snapshot();
    assert_eq!((seen.state, seen.latch), (Some(State::Acked), LatchStatus::Written));
    assert_eq!(seen.trip.unwrap().id, Some(record.id));
    let gateway = &seen.senders[0];
    let past_the_word = gateway.acked.unwrap().1.orders_sent - gateway.at_word.unwrap().orders_sent;
    assert_eq!(past_the_word, 1);
    // Nothing comes back by itself, however healthy all is.
    host.line("1");
    for ms in 5..500 {
        assert_eq!(duty.cycle(|| at(ms), &[at(ms)], &mut no_abort), State::Acked);
    }
    assert!(view.is_tripped());
}

#[test]
fn a_panic_trips_at_once_names_its_thread_and_bars_a_rearm() {
    let host = Host::new("duty-panic");
    let mut duty = host.start(0);
    let (hot, cold) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    duty.watch_threads(vec![("cold".into(), cold), ("hot".into(), hot.clone())]);
    assert_eq!(duty.cycle(|| at(1), &[at(1)], &mut no_abort), State::Armed);
    hot.store(true, Ordering::Release);
    // The beats are as fresh as can be.
    assert_eq!(duty.cycle(|| at(2), &[at(2)], &mut no_abort), State::Tripped);
    let record = duty.trip().unwrap().clone();
    assert_eq!((record.source, record.subject.as_str()), (Source::Panic { thread: 1 }, "hot"));
    assert_eq!(record.detail, "the thread panicked");
    assert_eq!(host.latch(), LatchState::Tripped(record.clone()));
    duty.cycle(|| at(8), &[at(8)], &mut |_| true);
    let refused = duty.rearm(at(1_000), &[at(1_000)], &record.id.to_string(), host.uid());
    assert!(
        matches!(&refused, Err(RearmError::Source { subject, .. }) if subject == "hot"),
        "a dead thread is re-armed: {refused:?}"
    );
}

#[test]
fn who_does_not_acknowledge_is_aborted_past_the_deadline() {
    let host = Host::new("duty-abort");
    let mut duty = host.start(0);
    let gateway = duty.switch().sender("gateway").unwrap();
    fs::remove_file(host.line_path()).unwrap();
    duty.cycle(|| at(1), &[at(1)], &mut no_abort);
    gateway.acknowledge(duty.switch().epoch(), at(1), 1, 0);
    let before = Ts(at(6).0 - 1);
    assert_eq!(duty.cycle(|| before, &[], &mut no_abort), State::Tripped);
    // An abort that fails is no acknowledgement and is tried again.
    let mut asked = Vec::new();
    let mut failing = |sender| {
        asked.push(sender);
        false
    };
    assert_eq!(duty.cycle(|| at(6), &[], &mut failing), State::Tripped);
    assert_eq!(asked, [1], "only the silent one");
    let mut asked = Vec::new();
    let mut cutting = |sender| {
        asked.push(sender);
        true
    };
    assert_eq!(duty.cycle(|| at(7), &[], &mut cutting), State::Aborted);
    assert_eq!(asked, [1]);
    let seen = ControlReader::over(duty.switch().words()).snapshot();
    assert_eq!((seen.senders[1].aborted, seen.state), (Some(at(7)), Some(State::Aborted)));
    assert!(seen.senders[0].aborted.is_none() && seen.senders[0].acked.is_some());
    assert_eq!(duty.cycle(|| at(8), &[], &mut no_abort), State::Aborted);
}

#[test]
fn every_source_trips_the_whole_chain() {
    let tripped_by = |name: &str, act: &dyn Fn(&Host, &KillDuty), beat: Ts| {
        let host = Host::new(name);
        let mut duty = host.start(0);
        assert_eq!(duty.cycle(|| at(20), &[at(20)], &mut no_abort), State::Armed);
        act(&host, &duty);
        assert_eq!(duty.cycle(|| at(30), &[beat], &mut no_abort), State::Tripped, "{name}");
        let LatchState::Tripped(record) = host.latch() else { panic!("{name}: not latched") };
        assert!(duty.switch().view().is_tripped());
        (record.source, record.subject, record.detail)
    };
    let bad_lines = [
        ("0", LineFault::Open { byte: b'0' }),
        ("", LineFault::Empty),
        ("\0", LineFault::Open { byte: 0 }),
        ("01", LineFault::Open { byte: b'0' }),
        (" 1", LineFault::Open { byte: b' ' }),
    ];
    for (text, fault) in bad_lines {
        let got = tripped_by("duty-line", &|host, _| host.line(text), at(30));
        assert_eq!(got, (Source::Line { line: 0 }, "estop".into(), fault.to_string()));
    }
    let dir_for_line = |host: &Host, _: &KillDuty| {
        fs::remove_file(host.line_path()).unwrap();
        fs::create_dir(host.line_path()).unwrap();
    };
    assert_eq!(tripped_by("duty-line-dir", &dir_for_line, at(30)).0, Source::Line { line: 0 });
    let command = |_: &Host, duty: &KillDuty| duty.switch().commander().stop(at(25), false);
    assert_eq!(tripped_by("duty-command", &command, at(30)).0, Source::Command);
    let drill = |_: &Host, duty: &KillDuty| duty.switch().commander().stop(at(25), true);
    assert_eq!(tripped_by("duty-drill", &drill, at(30)).0, Source::Test);
    let stale = tripped_by("duty-stale", &|_, _| {}, Ts(at(20).0 - 1));
    assert_eq!((stale.0, stale.1.as_str()), (Source::StaleBeat { agent: 0 }, "feed"));
}

#[test]
fn a_signal_trips() {
    // One test for all that concerns the signal: it reaches every flag of the process.
    let host = Host::new("duty-signal");
    let flag = SignalFlag::install().unwrap();
    let mut parts = parts(&host.state_dir(), &host.line_path());
    parts.signal = Some(flag);
    let mut duty = KillDuty::start(parts, at(0));
    assert_eq!(duty.cycle(|| at(1), &[at(1)], &mut no_abort), State::Armed);
    crate::signal::raise();
    duty.cycle(|| at(2), &[at(2)], &mut no_abort);
    let record = duty.trip().unwrap().clone();
    assert_eq!(record.source, Source::Signal);
    duty.cycle(|| at(100), &[at(100)], &mut |_| true);
    let id = record.id.to_string();
    duty.rearm(at(200), &[at(200)], &id, host.uid()).unwrap();
    assert_eq!(duty.cycle(|| at(201), &[at(201)], &mut no_abort), State::Armed, "the old signal is answered");
    crate::signal::raise();
    assert_eq!(duty.cycle(|| at(202), &[at(202)], &mut no_abort), State::Tripped, "the next is not");
}

#[test]
fn a_restart_comes_up_tripped_until_a_person_rearms() {
    let host = Host::new("duty-restart");
    let mut duty = host.start(0);
    host.line("0");
    duty.cycle(|| at(1), &[at(1)], &mut no_abort);
    let record = duty.trip().unwrap().clone();
    drop(duty);
    host.line("1");
    let mut duty = host.start(1_000);
    assert_eq!(duty.trip(), Some(&record), "the same trip by the same name");
    assert!(duty.switch().view().is_tripped());
    // No sender has been let loose, so nobody is waited for.
    assert_eq!(duty.cycle(|| at(1_001), &[at(1_001)], &mut no_abort), State::Acked);
    let id = record.id.to_string();
    let now = at(1_050);
    let settling = duty.rearm(now, &[now], &id, host.uid());
    assert!(matches!(settling, Err(RearmError::Settling { settle_ns, .. }) if settle_ns == 100 * MS));
    let now = at(1_200);
    host.line("0");
    assert!(matches!(duty.rearm(now, &[now], &id, host.uid()), Err(RearmError::Line { .. })));
    host.line("1");
    assert!(matches!(
        duty.rearm(now, &[now], &id, host.uid()),
        Err(RearmError::Settling { closed_ns: 0, .. })
    ));
    let now = at(1_400);
    let wrong_id = duty.rearm(now, &[now], "2222-2222", host.uid());
    assert!(matches!(wrong_id, Err(RearmError::WrongId { .. })));
    let wrong_uid = duty.rearm(now, &[now], &id, host.uid() + 1);
    assert!(matches!(wrong_uid, Err(RearmError::NotOwner { .. })));
    let stale = duty.rearm(now, &[at(1_300)], &id, host.uid());
    assert!(matches!(stale, Err(RearmError::Source { .. })));
    assert!(duty.switch().view().is_tripped());
    assert_eq!(host.latch(), LatchState::Tripped(record));
    duty.rearm(now, &[now], &id, host.uid()).unwrap();
    assert_eq!((duty.state(), duty.switch().view().is_tripped()), (State::Armed, false));
    assert_eq!(host.latch(), LatchState::Clear);
    assert!(matches!(duty.rearm(now, &[now], &id, host.uid()), Err(RearmError::NotTripped)));
    assert_eq!(host.start(2_000).state(), State::Armed);
}

#[test]
fn an_unreadable_latch_or_open_line_comes_up_tripped() {
    let host = Host::new("duty-unreadable");
    fs::write(host.state_dir().join(crate::LATCH_FILE), "corelane kill la").unwrap();
    let mut duty = host.start(0);
    let record = duty.trip().unwrap().clone();
    assert_eq!((record.source, duty.state()), (Source::Latch, State::Acked));
    assert!(record.detail.contains("check"), "{}", record.detail);
    assert_eq!(host.latch(), LatchState::Tripped(record.clone()), "named anew, so that it can be re-armed");
    duty.cycle(|| at(1), &[at(1)], &mut no_abort);
    duty.rearm(at(200), &[at(200)], &record.id.to_string(), host.uid()).unwrap();

    let host = Host::new("duty-open");
    host.line("0");
    let duty = host.start(0);
    assert_eq!(duty.trip().unwrap().source, Source::Line { line: 0 });
    assert!(duty.switch().view().is_tripped() && matches!(host.latch(), LatchState::Tripped(_)));

    // A state directory that is not there is no proof of innocence.
    let host = Host::new("duty-no-state");
    fs::remove_dir(host.state_dir()).unwrap();
    let mut duty = host.start(0);
    assert!(duty.switch().view().is_tripped());
    assert_eq!(duty.latch_status(), LatchStatus::Failed { errno: libc::ENOENT });
    let record = duty.trip().unwrap().clone();
    let refused = duty.rearm(at(500), &[at(500)], &record.id.to_string(), host.uid_of_scratch());
    assert!(refused.is_err());
    // The disk comes back: the trip is latched after all.
    fs::create_dir(host.state_dir()).unwrap();
    duty.cycle(|| at(501), &[at(501)], &mut no_abort);
    assert_eq!((duty.latch_status(), host.latch()), (LatchStatus::Written, LatchState::Tripped(record)));
}

impl Host {
    fn uid_of_scratch(&self) -> u32 {
        fs::metadata(self.scratch.path()).unwrap().uid()
    }
}

#[test]
fn a_command_from_before_the_start_counts() {
    let host = Host::new("duty-early");
    let parts = parts(&host.state_dir(), &host.line_path());
    parts.switch.commander().stop(at(0), false);
    let mut duty = KillDuty::start(parts, at(1));
    assert_eq!(duty.cycle(|| at(2), &[at(2)], &mut no_abort), State::Tripped);
}

/// Who finds the latch on disk finds the word given: a slow disk must not delay the stop.
#[test]
fn the_word_comes_before_the_latch() {
    for _ in 0..40 {
        let host = Host::new("duty-order");
        let mut duty = host.start(0);
        let (view, path) = (duty.switch().view(), host.state_dir().join(crate::LATCH_FILE));
        let watcher = std::thread::spawn(move || {
            while !path.exists() {
                std::hint::spin_loop();
            }
            view.is_tripped()
        });
        host.line("0");
        duty.cycle(|| at(1), &[at(1)], &mut no_abort);
        assert!(watcher.join().unwrap(), "the latch was on disk before the word was given");
    }
}

/// Set for the child process of the test below.
const CHILD_ENV: &str = "CORELANE_KILL_TEST_CHILD";

/// Not a test by itself: what the child of `a_killed_process_leaves_its_latch` runs.
#[test]
fn child_that_trips_and_hangs() {
    let Some(dir) = std::env::var_os(CHILD_ENV).map(PathBuf::from) else { return };
    let mut duty = KillDuty::start(parts(&dir.join("state"), &dir.join("estop")), at(0));
    assert_eq!(duty.state(), State::Armed);
    fs::write(dir.join("armed"), "").unwrap();
    for ms in 1.. {
        duty.cycle(|| at(ms), &[at(ms)], &mut |_| false);
        if let Some(trip) = duty.trip() {
            fs::write(dir.join("tripped.new"), trip.id.to_string()).unwrap();
            fs::rename(dir.join("tripped.new"), dir.join("tripped")).unwrap();
            loop {
                std::thread::park();
            }
        }
    }
}

#[test]
fn a_killed_process_leaves_its_latch() {
    let host = Host::new("duty-sigkill");
    let dir = host.scratch.path();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "duty::tests::child_that_trips_and_hangs", "--test-threads=1"])
        .env(CHILD_ENV, dir)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let started = std::time::Instant::now();
    let mut wait_for = |name: &str| {
        while !dir.join(name).exists() {
            assert!(started.elapsed().as_secs() < 60, "the child never reached {name:?}");
            assert_eq!(child.try_wait().unwrap(), None, "the child ended before {name:?}");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    };
    wait_for("armed");
    assert_eq!(host.latch(), LatchState::Clear);
    host.line("0");
    wait_for("tripped");
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let id = fs::read_to_string(dir.join("tripped")).unwrap();
    let LatchState::Tripped(record) = host.latch() else { panic!("{:?}", host.latch()) };
    assert_eq!((record.id.to_string(), record.source), (id, Source::Line { line: 0 }));
    host.line("1");
    assert_eq!(host.start(0).trip(), Some(&record), "and the next start comes up with it");
}
