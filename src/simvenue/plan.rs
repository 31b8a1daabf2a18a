//! What the network between engine and venue does, drawn from a seed.
//!
//! A plan is a function of the seed, the number of the connection and the direction, and of nothing else: whoever runs
//! a seed again meets the same faults on the same connections. When they strike is counted from the moment that the
//! connection is open and the network is noisy, in ms or in bytes that have passed since.

use std::fmt;

/// Faults of a network, and what a broken box in its middle may add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FaultKind {
    /// Bytes arrive late.
    Delay,
    /// Bytes arrive a few at a time.
    Slice,
    /// Nothing moves for a while.
    Stall,
    /// Both ends get a reset; what was on its way is lost.
    Reset,
    /// The connection stays open and bytes vanish.
    Blackhole,
    /// One direction ends in order; the other goes on.
    HalfClose,
    /// One byte at a time, milliseconds apart.
    SlowLoris,
    /// One bit is turned.
    Corrupt,
    /// A new connection is reset at once.
    Refuse,
    /// A new connection is taken and nobody answers.
    Silent,
}

impl FaultKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [FaultKind; 10] = [
        FaultKind::Delay,
        FaultKind::Slice,
        FaultKind::Stall,
        FaultKind::Reset,
        FaultKind::Blackhole,
        FaultKind::HalfClose,
        FaultKind::SlowLoris,
        FaultKind::Corrupt,
        FaultKind::Refuse,
        FaultKind::Silent,
    ];

    /// Name for reports.
    pub const fn name(self) -> &'static str {
        match self {
            FaultKind::Delay => "delay",
            FaultKind::Slice => "slice",
            FaultKind::Stall => "stall",
            FaultKind::Reset => "reset",
            FaultKind::Blackhole => "blackhole",
            FaultKind::HalfClose => "half-close",
            FaultKind::SlowLoris => "slow-loris",
            FaultKind::Corrupt => "corrupt",
            FaultKind::Refuse => "refuse",
            FaultKind::Silent => "silent",
        }
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the engine to the venue.
    ToVenue,
    /// From the venue to the engine.
    ToEngine,
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// After so many ms.
    Ms(u32),
    /// When so many bytes have passed in this direction; what arrives with them is hit as well.
    Bytes(u32),
}

/// One fault of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// When.
    pub at: Trigger,
    /// For how long, ms; those that end a connection, and a blackhole, have no end.
    pub for_ms: u32,
    /// Delay: how late, ms. Slice: bytes at a time. Slow-loris: ms between bytes. Else without meaning.
    pub size: u32,
}

/// What happens to one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnPlan {
    /// Instead of being passed on: [`FaultKind::Refuse`] or [`FaultKind::Silent`]. Only while the network is noisy.
    pub opening: Option<FaultKind>,
    /// Faults on the way to the venue, in the order in which they strike.
    pub to_venue: Vec<Fault>,
    /// Faults on the way to the engine.
    pub to_engine: Vec<Fault>,
}

/// A moment at which every connection is reset at once, and for how long no new one is taken, ms; `None` = there is none.
/// In one seed of three, counted from the first noise.
pub fn outage(seed: u64) -> Option<(u32, u32)> {
    let mut draw = Draw::new(seed, u64::MAX, 3);
    (draw.below(3) == 0).then(|| (draw.below(AT_MS_MAX) as u32, draw.below(OUTAGE_MS_MAX) as u32))
}

/// Longest outage, ms.
const OUTAGE_MS_MAX: u64 = 500;
/// Faults of a direction at most.
const FAULTS_MAX: u64 = 3;
/// Latest start, ms: a short run sees most of them.
const AT_MS_MAX: u64 = 1_000;
/// Latest start, bytes: from the first of the handshake to some seconds of trading.
const AT_BYTES_MAX: u64 = 30_000;

impl ConnPlan {
    /// The plan of a connection, counted from zero in the order of arrival.
    pub fn of(seed: u64, connection: u64) -> ConnPlan {
        let mut draw = Draw::new(seed, connection, 2);
        let opening = match draw.below(20) {
            0..3 => Some(FaultKind::Refuse),
            3..5 => Some(FaultKind::Silent),
            _ => None,
        };
        ConnPlan {
            opening,
            to_venue: faults(seed, connection, Way::ToVenue),
            to_engine: faults(seed, connection, Way::ToEngine),
        }
    }
}

fn faults(seed: u64, connection: u64, way: Way) -> Vec<Fault> {
    let mut draw = Draw::new(seed, connection, way as u64);
    let count = draw.below(FAULTS_MAX + 1);
    let mut faults: Vec<Fault> = (0..count).map(|_| fault(&mut draw)).collect();
    faults.sort_by_key(|f| match f.at {
        Trigger::Ms(ms) => ms as u64,
        // About as many as pass in a ms of market data.
        Trigger::Bytes(n) => n as u64 / 300,
    });
    faults
}

fn fault(draw: &mut Draw) -> Fault {
    // Those of a connection, not of its opening.
    let kind = FaultKind::ALL[draw.below(FaultKind::Refuse as u64) as usize];
    let at = match draw.below(3) {
        0 => Trigger::Bytes(draw.below(AT_BYTES_MAX) as u32),
        _ => Trigger::Ms(draw.below(AT_MS_MAX) as u32),
    };
    let size = match kind {
        FaultKind::Delay => 1 + draw.below(150),
        FaultKind::Slice => 1 + draw.below(40),
        FaultKind::SlowLoris => 1 + draw.below(4),
        _ => 0,
    };
    Fault { kind, at, for_ms: 20 + draw.below(400) as u32, size: size as u32 }
}

/// A generator of period 2^64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
struct Draw(u64);

impl Draw {
    fn new(seed: u64, connection: u64, stream: u64) -> Draw {
        let mut mix = Draw(seed);
        let seed = mix.next();
        mix = Draw(seed ^ connection);
        let connection = mix.next();
        Draw(connection ^ stream)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        ((self.next() as u128 * n as u128) >> 64) as u64
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.name())?;
        match self.kind {
            FaultKind::Delay => write!(f, " by {} ms for {} ms", self.size, self.for_ms)?,
            FaultKind::Slice => write!(f, " to {} B for {} ms", self.size, self.for_ms)?,
            FaultKind::SlowLoris => write!(f, " every {} ms for {} ms", self.size, self.for_ms)?,
            FaultKind::Stall => write!(f, " for {} ms", self.for_ms)?,
            _ => {}
        }
        match self.at {
            Trigger::Ms(ms) => write!(f, " after {ms} ms"),
            Trigger::Bytes(n) => write!(f, " after {n} B"),
        }
    }
}

impl fmt::Display for ConnPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |faults: &[Fault]| {
            let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
            if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
        };
        if let Some(opening) = self.opening {
            write!(f, "{} when noisy; ", opening.name())?;
        }
        write!(f, "to the venue: {}; to the engine: {}", list(&self.to_venue), list(&self.to_engine))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_its_plan_and_every_kind_is_drawn() {
        let mut seen = [0u32; FaultKind::ALL.len()];
        for seed in 0..50 {
            for connection in 0..10 {
                let plan = ConnPlan::of(seed, connection);
                assert_eq!(plan, ConnPlan::of(seed, connection));
                let lanes = plan.to_venue.iter().chain(&plan.to_engine).map(|f| f.kind);
                lanes.chain(plan.opening).for_each(|kind| seen[kind as usize] += 1);
            }
        }
        for (kind, n) in FaultKind::ALL.iter().zip(seen) {
            assert!(n > 10, "{kind:?}: {n}");
        }
        let of = |seed, connection| ConnPlan::of(seed, connection).to_string();
        assert_ne!(of(1, 2), of(2, 1));
        assert_eq!(FaultKind::ALL.map(|k| k as usize), std::array::from_fn(|i| i));
    }
}
