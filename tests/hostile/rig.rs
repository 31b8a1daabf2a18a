//! An engine and its venue, and what a test asks of the two.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use corelane::demo::{figures, live, market};
use corelane::engine::EngineError;
use corelane::simvenue::{ConnKind, Handle, HostOptions, SimVenueHost};
use corelane::wiring::{Ended, Endpoints, Live, LiveSetup};
use net::{ClientTls, Endpoint, Trust};
use topology::Config;
use venue_binance::sim::SimFaults;
use wire::BookState;

/// What a shared host may need to get round to anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// From a state that observers see to the last order of the state before.
const SETTLE: Duration = Duration::from_millis(120);
/// How long nothing must be sent while the fault lasts.
const HOLD: Duration = Duration::from_millis(250);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static RIGS: AtomicU32 = AtomicU32::new(0);

/// The demo's configuration with short deadlines, and without a trip for a host that is slow.
fn config() -> Config {
    let text = market::DEMO_TOML
        .replace("stale_beat_ms = 3000", "stale_beat_ms = 60000")
        .replace("backoff_max_ms = 1000", "backoff_max_ms = 100")
        .replace("tls_ms = 2000", "tls_ms = 1000")
        .replace("[feed]", "[feed]\nsilence_ms = 600");
    let config = Config::parse(&text).expect("the demo's configuration");
    assert_eq!(config.feed.silence_ms, 600);
    assert_eq!(
        (config.kill.stale_beat_ms, config.net.backoff_max_ms, config.net.tls_ms),
        (60_000, 100, 1_000)
    );
    config
}

pub(crate) struct Rig {
    pub(crate) live: Live,
    pub(crate) venue: Handle,
    dirs: Dirs,
    _machine: MutexGuard<'static, ()>,
}

/// Shared memory and state of one engine, removed with it.
struct Dirs {
    shm: PathBuf,
    state: PathBuf,
}

impl Drop for Dirs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.shm);
        let _ = fs::remove_dir_all(&self.state);
    }
}

/// An endpoint on this host that trusts one certificate.
pub(crate) fn endpoint(port: u16, cert_der: &[u8]) -> Endpoint {
    let tls = ClientTls::new(&Trust::Der(vec![cert_der.to_vec()])).expect("a certificate");
    Endpoint { host: "localhost".into(), port, address: Some(IpAddr::from([127, 0, 0, 1])), tls: Some(tls) }
}

pub(crate) fn venue() -> Handle {
    let sim = market::sim_config(&config(), 1, &[], SimFaults::default()).expect("a venue's configuration");
    // A small window closes soon when the venue stops reading.
    let options = HostOptions { recv_buffer_bytes: Some(8_192), ..HostOptions::default() };
    SimVenueHost::start(sim, options).expect("a venue")
}

impl Rig {
    /// A venue and an engine that trades with it.
    pub(crate) fn trading() -> Rig {
        let rig = Rig::start(venue(), |endpoints| endpoints).expect("an engine");
        rig.resumes();
        rig
    }

    /// An engine for a venue, with endpoints to choose.
    pub(crate) fn start(
        venue: Handle,
        choose: impl FnOnce(Endpoints) -> Endpoints,
    ) -> Result<Rig, EngineError> {
        let machine = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let number = RIGS.fetch_add(1, Ordering::Relaxed);
        let name = format!("corelane-hostile-{}-{number}", std::process::id());
        let dirs =
            Dirs { shm: PathBuf::from("/dev/shm").join(&name), state: std::env::temp_dir().join(&name) };
        let endpoints = choose(live::endpoints(&venue)?);
        let live = Live::start(LiveSetup {
            config: &config(),
            endpoints,
            credentials: market::credentials()?,
            state_dir: &dirs.state,
            shm_base: &dirs.shm,
            name: "hostile",
            seed: 1,
        })?;
        Ok(Rig { live, venue, dirs, _machine: machine })
    }

    /// A counter of the engine, as last published.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let stats = self.live.stats();
        let found = stats.counters.iter().find(|c| c.0 == name);
        found.unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// State of the engine's book.
    pub(crate) fn book(&self) -> BookState {
        figures::book_state(&self.live.stats())
    }

    /// New orders that have reached the venue.
    pub(crate) fn received(&self) -> usize {
        self.venue.received().len()
    }

    /// Waits for something; what never comes is a hang.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, done: impl Fn(&Rig) -> bool) {
        let began = Instant::now();
        while !done(self) {
            self.lives();
            assert!(began.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}\n{}", self.told());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// No thread has died, nothing has tripped.
    #[track_caller]
    pub(crate) fn lives(&self) {
        assert!(!self.live.is_dead(), "a thread panicked\n{}", self.told());
        assert!(!self.live.kill().tripped, "tripped\n{}", self.told());
    }

    /// The book is in sync and orders arrive.
    #[track_caller]
    pub(crate) fn resumes(&self) {
        self.until("book in sync", |r| r.book() == BookState::InSync);
        let before = self.received();
        self.until("new orders", |r| r.received() > before + 1);
    }

    /// From here on for a while no new order leaves, and no quote rests.
    #[track_caller]
    pub(crate) fn sends_nothing(&self, while_true: impl Fn(&Rig) -> bool) {
        std::thread::sleep(SETTLE);
        let before = (self.received(), self.counter("gateway.orders_sent"));
        let began = Instant::now();
        while began.elapsed() < HOLD {
            assert!(while_true(self), "the fault ended by itself\n{}", self.told());
            std::thread::sleep(Duration::from_millis(10));
        }
        let after = (self.received(), self.counter("gateway.orders_sent"));
        assert_eq!(before, after, "orders were sent\n{}", self.told());
    }

    /// Everything that is not zero, for messages.
    pub(crate) fn told(&self) -> String {
        let stats = self.live.stats();
        let counters: Vec<String> =
            stats.counters.iter().filter(|c| c.1 > 0).map(|(n, v)| format!("{n} {v}")).collect();
        let dials: Vec<_> = (0..3).map(|i| self.live.dials.link(i)).collect();
        let open = self.venue.connections(ConnKind::All);
        format!(
            "book {:?}; venue has {open} connections; {}\ndials {dials:?}\nsnapshots {:?}\nkill {:?}",
            figures::book_state(&stats),
            counters.join(", "),
            self.live.snapshot_report(),
            self.live.kill()
        )
    }

    /// Ends engine and venue as they are; the threads end in time and none has panicked.
    pub(crate) fn stop(self) -> Ended {
        let Rig { live, venue, dirs, .. } = self;
        let began = Instant::now();
        let ended = live.stop();
        assert!(began.elapsed() < Duration::from_secs(30), "threads ended after {:?}", began.elapsed());
        assert_eq!(ended.panics, Vec::<String>::new());
        drop(venue.stop().expect("the venue's thread"));
        drop(dirs);
        ended
    }

    /// The clean stop: everything is cancelled and confirmed, and engine and venue agree to the last digit.
    #[track_caller]
    pub(crate) fn stops_in_agreement(self) {
        self.lives();
        self.live.controls.quiesce();
        self.until("quiet", |r| r.live.controls.is_quiet());
        let confirmed = self.live.controls.stop() == corelane::controls::StopState::Confirmed;
        let (open, assets) = (self.venue.open_orders().len(), self.live.assets.clone());
        let told = self.told();
        let ended = self.stop();
        let agreement = figures::agreement(&ended.oms, &assets, confirmed, open);
        assert!(agreement.holds(), "{:?}\n{told}", agreement.differences);
    }
}
