//! The dead flag is up before the panic hook prints: alone in its process, for the hook is global.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use agent::{Agent, Clock, Cycle, Idle, Runner, ThreadSpec};

struct Falls;

impl Agent for Falls {
    fn name(&self) -> &str {
        "falls"
    }

    fn do_work(&mut self, _: &mut Cycle<'_>) -> usize {
        panic!("on purpose");
    }
}

#[test]
fn others_know_before_the_message_is_printed() {
    let (stop, dead) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    // What the hook saw: 0 = it did not run, 1 = flag down, 2 = flag up.
    let seen = Arc::new(AtomicU8::new(0));
    let (flag, note) = (dead.clone(), seen.clone());
    std::panic::set_hook(Box::new(move |_| {
        note.store(1 + u8::from(flag.load(Ordering::Acquire)), Ordering::Release);
    }));
    let spec = ThreadSpec { name: "t".to_owned(), core: None, idle: Idle::Pause, fifo: None, slow_ns: 1 };
    let handle =
        Runner::spawn_watched(spec, vec![Box::new(Falls)], Clock::live(), (), stop, dead).expect("a thread");
    let panicked = handle.join().expect_err("it falls");
    assert_eq!(panicked.message, "on purpose");
    assert_eq!(seen.load(Ordering::Acquire), 2, "the printing hook ran before the flag was raised");
}
