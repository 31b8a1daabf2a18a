//! Epochs, acknowledgements and commands, alone and between threads.

use super::*;
use crate::command::command_source;
use crate::gate::Shut;
use crate::trip::Source;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::fence;

#[test]
fn it_is_born_shut_and_epochs_only_rise() {
    let mut switch = KillSwitch::heap(&["gateway"]).unwrap();
    let view = switch.view();
    assert!(view.is_tripped() && !view.allows(view.epoch()));
    assert_eq!(switch.trip(), 1);
    let armed = switch.arm();
    assert_eq!((armed, switch.arm()), (2, 2));
    assert!(view.allows(armed));
    assert_eq!((switch.trip(), switch.trip()), (3, 3));
    assert!(!view.allows(armed) && !view.allows(3));
    switch.arm();
    assert!(!view.allows(armed), "an order of an earlier epoch must not pass");
}

#[test]
fn the_gate_shuts_on_a_silent_kill_thread() {
    let mut switch = KillSwitch::heap(&["gateway"]).unwrap();
    let view = switch.view();
    let armed = switch.arm();
    assert_eq!(view.check(Ts(50), armed, 10), Err(Shut::KillBeat { age_ns: 50 }));
    switch.beat(Ts(45), 1);
    assert_eq!(view.check(Ts(55), armed, 10), Ok(()));
    assert_eq!(view.check(Ts(56), armed, 10), Err(Shut::KillBeat { age_ns: 11 }));
    assert_eq!(view.check(Ts(30), armed, 10), Err(Shut::KillBeat { age_ns: 15 }));
    switch.trip();
    assert_eq!(view.check(Ts(46), armed, 10), Err(Shut::Epoch { epoch: 3 }));
}

#[test]
fn senders_are_handed_out_once_and_acknowledge_per_epoch() {
    let mut switch = KillSwitch::heap(&["one", "two"]).unwrap();
    let one = switch.sender("one").unwrap();
    assert!(matches!(switch.sender("one"), Err(ControlError::Taken { .. })));
    assert!(matches!(switch.sender("three"), Err(ControlError::Unknown { .. })));
    switch.arm();
    let epoch = switch.trip();
    assert!(!switch.has_acked(0) && !switch.has_acked(1));
    assert!(one.acknowledge(epoch, Ts(9), 4, 7));
    assert!(!one.acknowledge(epoch, Ts(10), 5, 8), "the first acknowledgement stands");
    assert!(switch.has_acked(0) && !switch.has_acked(1));
    switch.aborted(1, Ts(12));
    assert!(switch.was_aborted(1) && !switch.has_acked(1) && !switch.was_aborted(0));
    switch.arm();
    switch.trip();
    assert!(!switch.has_acked(0) && !switch.was_aborted(1), "a new epoch asks anew");
    switch.aborted(99, Ts(1));
    assert!(!switch.has_acked(99) && !switch.was_aborted(99));
}

#[test]
fn bad_senders_are_refused() {
    assert!(matches!(KillSwitch::heap(&[]), Err(ControlError::Senders { senders: 0 })));
    assert!(matches!(KillSwitch::heap(&["a"; 65]), Err(ControlError::Senders { .. })));
    assert!(matches!(KillSwitch::heap(&["a", "a"]), Err(ControlError::Name { .. })));
    assert!(matches!(KillSwitch::heap(&[""]), Err(ControlError::Name { .. })));
}

#[test]
fn each_command_is_a_new_value() {
    let switch = KillSwitch::heap(&["gateway"]).unwrap();
    let commander = switch.commander();
    let mut values = vec![switch.command()];
    for (now, drill) in [(5, false), (5, false), (5, true), (5, true), (4, false), (u64::MAX >> 1, true)] {
        commander.stop(Ts(now), drill);
        let value = switch.command();
        let source = if drill { Source::Test } else { Source::Command };
        assert_eq!(command_source(value), source);
        assert!(!values.contains(&value), "{values:?} {value}");
        values.push(value);
    }
}

/// After a sender has acknowledged, it sends nothing; between the word and the acknowledgement at most one
/// order leaves. The fence stands for the send call, which enters the kernel.
#[test]
fn at_most_one_order_leaves_past_the_word() {
    for round in 0..100 {
        let mut switch = KillSwitch::heap(&["gateway"]).unwrap();
        let (view, ack) = (switch.view(), switch.sender("gateway").unwrap());
        let armed = switch.arm();
        let wire = Arc::new(AtomicU64::new(0));
        let wire_of_sender = wire.clone();
        let sender = std::thread::spawn(move || {
            let mut orders = 0u64;
            for cycle in 1.. {
                if !view.allows(armed) {
                    ack.acknowledge(view.epoch(), Ts(cycle), cycle, orders);
                    break;
                }
                orders += 1;
                ack.sent(cycle, orders);
                fence(Ordering::SeqCst);
                wire_of_sender.store(orders, Ordering::SeqCst);
            }
            orders
        });
        while wire.load(Ordering::SeqCst) < round {
            std::thread::yield_now();
        }
        switch.trip();
        let noted = switch.load(SENDERS + NOTE + 2);
        while !switch.has_acked(0) {
            std::thread::yield_now();
        }
        let at_ack = wire.load(Ordering::SeqCst);
        let acked = switch.load(SENDERS + ACK + 3);
        let total = sender.join().unwrap();
        assert_eq!((acked, at_ack), (total, total), "an order left after the acknowledgement");
        assert!(total - noted <= 1, "{} orders left past the word", total - noted);
    }
}
