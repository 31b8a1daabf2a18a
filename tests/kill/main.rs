//! The kill switch, judged by the venue: trips from every source under full order flow, a stalled sender, a shut
//! window, and a latch that outlives SIGKILL.
//!
//! Every run is a whole engine over TLS against the simulated venue. After the acknowledgement no new order may reach
//! the venue; between word and acknowledgement one at most; every open order is cancelled and confirmed; the venue
//! listens one second longer. Cycle and send time are read out of the client order ids that arrived.

mod latch;
mod link;
mod panic;
mod rig;

use std::sync::{Mutex, PoisonError};

use link::Ambush;
use rig::{Cause, Outcome, Plan, run};
use topology::AgentName;

/// Trips that must count.
const TRIPS: u64 = 50;
/// Attempts for one trip that counts.
const ATTEMPTS: u64 = 30;

/// One engine at a time: two would fight for two cores, and SIGUSR1 is for all of a process.
static ALONE: Mutex<()> = Mutex::new(());

fn plan(trip: u64, attempt: u64) -> Plan {
    let causes = [
        Cause::LineOpen,
        Cause::Signal,
        Cause::StaleBeat(AgentName::Strategy),
        Cause::LineDeleted,
        Cause::Command,
        Cause::LineEmpty,
        Cause::StaleBeat(AgentName::Gateway),
        Cause::LineUnreadable,
        Cause::Test,
        Cause::StaleBeat(AgentName::Feed),
        Cause::StaleBeat(AgentName::Oms),
    ];
    let cause = causes[trip as usize % causes.len()];
    let ambush = match trip {
        0 => Ambush::FillWindow,
        // A word that comes by itself, in its own time, cannot be waited for with an order in hand.
        _ if matches!(cause, Cause::StaleBeat(_)) => Ambush::None,
        n if n % 2 == 1 => Ambush::HoldForWord,
        _ => Ambush::None,
    };
    Plan { cause, ambush, seed: 1 + trip * 1_000 + attempt }
}

fn told(what: &str, plan: &Plan, o: &Outcome) {
    println!(
        "{what} {:?} {:?}: {} | {} orders ({}/s), {} in 5 ms, after word {} ack {}, overtaken {}, caught {}, lost {}, \
         unsent {}, cut {} | ack {:.1} us, {} cancels confirmed, {:.1} ms to the end | {:.2} s{}",
        plan.cause,
        plan.ambush,
        o.source,
        o.total,
        o.rate,
        o.just_before,
        o.after_word,
        o.after_ack,
        o.overtaken,
        o.caught,
        o.lost,
        o.aborted_unsent,
        o.cut,
        o.ack_ns as f64 / 1_000.0,
        o.cancels_confirmed,
        o.confirm.as_secs_f64() * 1_000.0,
        o.took.as_secs_f64(),
        o.unfit.as_ref().map(|why| format!(" | repeated: {why}")).unwrap_or_default(),
    );
}

#[test]
fn fifty_trips_from_every_source_let_nothing_through() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = Vec::new();
    let (mut after_word, mut overtaken) = (0, 0);
    for trip in 0..TRIPS {
        let mut counted = false;
        for attempt in 0..ATTEMPTS {
            let plan = plan(trip, attempt);
            let outcome = run(plan);
            told(&format!("trip {trip}"), &plan, &outcome);
            wrong.extend(outcome.wrong.iter().map(|w| format!("trip {trip}, {plan:?}: {w}")));
            if outcome.unfit.is_none() {
                after_word += outcome.after_word;
                overtaken += outcome.overtaken;
                counted = true;
                break;
            }
        }
        assert!(counted, "trip {trip}: never an order in flow and one open in {ATTEMPTS} attempts");
    }
    println!(
        "{TRIPS} trips: {after_word} orders after the word, {overtaken} overtaken by it before their last check"
    );
    assert!(wrong.is_empty(), "{} broken claims:\n{}", wrong.len(), wrong.join("\n"));
    assert!(overtaken > 0, "no trip met an order between its seal and its last check");
}

#[test]
fn a_frozen_sender_is_cut_and_its_order_never_leaves() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for attempt in 0..ATTEMPTS {
        let plan = Plan { cause: Cause::Frozen, ambush: Ambush::FreezeUntilCut, seed: 77 + attempt };
        let outcome = run(plan);
        told("frozen", &plan, &outcome);
        if outcome.unfit.is_none() && outcome.caught > 0 {
            assert!(outcome.wrong.is_empty(), "{}", outcome.wrong.join("\n"));
            assert!(outcome.cut, "the kill thread did not cut the connection");
            return;
        }
    }
    panic!("no order was caught in {ATTEMPTS} attempts");
}

#[test]
fn a_panic_shuts_the_gate_and_names_its_thread() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // On a thread of its own: starting an engine pins the thread that does it.
    let thread = std::thread::spawn(panic::run);
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
