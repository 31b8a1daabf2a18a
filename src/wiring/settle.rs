//! Waiting for the end of a clean stop, or of the stop that follows a trip.

use std::fmt;
use std::time::{Duration, Instant};

use super::Live;
use crate::apart::Member;
use crate::controls::StopState;

/// How long a clean stop, or the stop that follows a trip, may take before it is reported as not confirmed.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
/// How long after it the answers to questions about single orders may take.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// How the stop that follows a trip stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillStop {
    /// Under way, and within its bound.
    Running,
    /// The gate is shut, the venue has listed nothing open since, and the end of every order is known.
    Confirmed,
    /// It has not come to that, or not within its bound, whoever is there or not. It may be confirmed later all the same.
    NotConfirmed(Doubt),
}

/// What is not known of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The gateway has neither acknowledged the trip nor been cut off.
    GateOpen,
    /// The gateway lives in a process of its own, and none is there.
    NoGateway,
    /// The gateway was cut off, and has not been heard since.
    Silent,
    /// The gateway has tried for as long as it may.
    TimedOut,
    /// The gateway is still at it.
    UnderWay,
    /// The venue lists nothing, and the end of so many orders is not known.
    Orders(u32),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::GateOpen => write!(f, "the gateway has not acknowledged it"),
            Doubt::NoGateway => write!(f, "no gateway is there"),
            Doubt::Silent => write!(f, "the gateway was cut off and is silent"),
            Doubt::TimedOut => write!(f, "the venue has not answered in time"),
            Doubt::UnderWay => write!(f, "it is still under way"),
            Doubt::Orders(1) => write!(f, "the end of 1 order is not known"),
            Doubt::Orders(n) => write!(f, "the end of {n} orders is not known"),
        }
    }
}

/// What is known of a stop that follows a trip.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Every sender has acknowledged the trip. It says that its stop is under way before it does, so what is said of the
    /// stop then is about this one.
    acked: bool,
    /// Those that have not were cut off.
    shut: bool,
    stop: StopState,
    /// The gateway lives in a process of its own, and none is there.
    gateway_away: bool,
    orders_open: u32,
}

impl Known {
    /// How it stands so long after the trip.
    fn judge(self, since: Duration) -> KillStop {
        if self.acked && self.stop == StopState::Confirmed && self.orders_open == 0 {
            return KillStop::Confirmed;
        }
        let given_up = self.acked && self.stop == StopState::TimedOut;
        if !given_up && since < STOP_DEADLINE {
            return KillStop::Running;
        }
        KillStop::NotConfirmed(if !self.shut {
            Doubt::GateOpen
        } else if self.gateway_away {
            Doubt::NoGateway
        } else if !self.acked {
            Doubt::Silent
        } else {
            match self.stop {
                StopState::TimedOut => Doubt::TimedOut,
                StopState::Confirmed => Doubt::Orders(self.orders_open),
                StopState::None | StopState::Running => Doubt::UnderWay,
            }
        })
    }
}

impl Live {
    /// Waits until the clean stop has nothing left to do, at most for its deadline; `true` when a trip came in
    /// between.
    pub fn wait_quiet(&self) -> bool {
        let began = Instant::now();
        let mut stopped: Option<Instant> = None;
        while began.elapsed() < STOP_DEADLINE && !self.controls.is_quiet() {
            if self.controls.has_stopped()
                && stopped.get_or_insert_with(Instant::now).elapsed() > LAST_ANSWERS
            {
                return false; // orders that no answer explains: the comparison will say so
            }
            if self.kill().tripped {
                return true;
            }
            if self.is_dead() {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        false
    }

    /// How the stop that follows the present trip stands. Within a bound from the trip on it has ended, one way or the
    /// other, whatever becomes of gateway and venue.
    pub fn kill_stop(&self) -> KillStop {
        let kill = self.kill();
        let since_ns = kill.trip.as_ref().map_or(0, |trip| self.clock.now().since_ns(trip.ts));
        let known = Known {
            acked: kill.senders.iter().all(|s| s.acked.is_some()),
            shut: kill.senders.iter().all(|s| s.acked.is_some() || s.aborted.is_some()),
            stop: self.controls.stop(),
            gateway_away: self.controls.standing().is_away(Member::Gateway),
            orders_open: self.controls.orders_open(),
        };
        known.judge(Duration::from_nanos(since_ns))
    }

    /// Waits for the end of the stop that follows a trip, at most for its deadline.
    pub fn wait_stopped(&self) {
        let began = Instant::now();
        while began.elapsed() < STOP_DEADLINE && !self.is_dead() && self.kill_stop() == KillStop::Running {
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOPS: [StopState; 4] =
        [StopState::None, StopState::Running, StopState::Confirmed, StopState::TimedOut];

    /// Everything that can be known.
    fn all() -> impl Iterator<Item = Known> {
        STOPS.into_iter().flat_map(|stop| {
            (0..16u32).map(move |bits| Known {
                acked: bits & 3 == 1,
                shut: bits & 3 != 0,
                stop,
                gateway_away: bits & 4 != 0,
                orders_open: (bits >> 3) * 2,
            })
        })
    }

    #[test]
    fn whatever_is_known_of_a_stop_it_ends_within_its_bound() {
        for known in all() {
            let early = known.judge(Duration::ZERO);
            let late = known.judge(STOP_DEADLINE);
            assert_ne!(late, KillStop::Running, "{known:?}");
            assert_eq!(early == KillStop::Confirmed, late == KillStop::Confirmed, "{known:?}");
            // Nothing is called confirmed of which anything is not known.
            let whole = known.acked && known.stop == StopState::Confirmed && known.orders_open == 0;
            assert_eq!(late == KillStop::Confirmed, whole, "{known:?}");
            // Before its bound it ends otherwise only where the gateway itself has given up.
            if let KillStop::NotConfirmed(_) = early {
                assert!(known.acked && known.stop == StopState::TimedOut, "{known:?}");
            }
        }
    }

    #[test]
    fn what_is_in_doubt_has_a_name() {
        let known = Known {
            acked: true,
            shut: true,
            stop: StopState::Confirmed,
            gateway_away: false,
            orders_open: 0,
        };
        let late = |known: Known| known.judge(STOP_DEADLINE);
        assert_eq!(late(known), KillStop::Confirmed);
        for (known, doubt, said) in [
            (Known { orders_open: 2, ..known }, Doubt::Orders(2), "the end of 2 orders is not known"),
            (Known { stop: StopState::Running, ..known }, Doubt::UnderWay, "it is still under way"),
            (
                Known { stop: StopState::TimedOut, orders_open: 3, ..known },
                Doubt::TimedOut,
                "the venue has not answered in time",
            ),
            (
                Known { stop: StopState::None, gateway_away: true, ..known },
                Doubt::NoGateway,
                "no gateway is there",
            ),
            // What it said of a stop before the trip is not about this one.
            (Known { acked: false, ..known }, Doubt::Silent, "the gateway was cut off and is silent"),
            (
                Known { acked: false, shut: false, ..known },
                Doubt::GateOpen,
                "the gateway has not acknowledged it",
            ),
        ] {
            assert_eq!(late(known), KillStop::NotConfirmed(doubt));
            assert_eq!(doubt.to_string(), said);
        }
    }
}
