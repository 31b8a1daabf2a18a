//! Connections as the configuration wants them, for whichever process needs them.

use net::{BackoffConfig, Deadlines, DialSpec, Dialer, Endpoint, LinkConfig, WsLink};
use topology::Config;

use crate::engine::{EngineError, MARKET_LINK, ORDER_LINK, STANDBY_LINK};

/// Longest message taken from the venue: a snapshot of account or instruments over the socket.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Order sessions may be quiet for long: the link's own pings keep them honest.
const ORDERS_QUIET_MS: u32 = 30_000;

/// One connection to be made.
pub struct LinkSpec {
    number: u32,
    dial: DialSpec,
    idle_ms: u32,
}

/// The I/O back end of the configuration, or the one that is to be had; a line says so.
pub fn backend(config: &Config, without: &mut Vec<String>) -> net::Backend {
    let wanted = match config.net.backend {
        topology::Backend::Uring => net::Backend::Uring,
        topology::Backend::Recv => net::Backend::Recv,
    };
    // Asked once here, so that the refusal is one line and not one for each link.
    let (probe, refusal) = net::io::Io::open(wanted);
    drop(probe);
    let backend = if refusal.is_some() { net::Backend::Recv } else { wanted };
    without.extend(refusal);
    backend
}

fn dial_spec(config: &Config, endpoint: &Endpoint, target: &str) -> DialSpec {
    let deadlines = Deadlines {
        connect_ms: config.net.connect_ms,
        tls_ms: config.net.tls_ms,
        upgrade_ms: config.net.upgrade_ms,
        first_message_ms: 0,
    };
    DialSpec { deadlines, ..DialSpec::new(endpoint.clone(), target) }
}

/// The market-data connection.
pub fn market(config: &Config, endpoint: &Endpoint, target: &str) -> LinkSpec {
    let dial = dial_spec(config, endpoint, target);
    LinkSpec { number: MARKET_LINK, dial, idle_ms: config.feed.silence_ms }
}

/// Both order connections, the one that carries orders first.
pub fn orders(config: &Config, endpoint: &Endpoint, target: &str) -> Vec<LinkSpec> {
    let link =
        |number| LinkSpec { number, dial: dial_spec(config, endpoint, target), idle_ms: ORDERS_QUIET_MS };
    vec![link(ORDER_LINK), link(STANDBY_LINK)]
}

/// Begins to make them, on a thread of its own; the links in the order given.
///
/// # Errors
/// The thread cannot be had.
pub fn dial(
    config: &Config,
    backend: net::Backend,
    specs: Vec<LinkSpec>,
    seed: u64,
) -> Result<(Dialer, Vec<WsLink>), EngineError> {
    let backoff = BackoffConfig {
        min_ms: config.net.backoff_min_ms,
        max_ms: config.net.backoff_max_ms,
        ..BackoffConfig::default()
    };
    let links = specs.iter().map(|spec| LinkConfig {
        backend,
        message_bytes_max: MESSAGE_BYTES_MAX,
        idle_ms: spec.idle_ms,
        ping_after_ms: spec.idle_ms / 3,
        seed: seed ^ (u64::from(spec.number) + 1) << 32,
        ..LinkConfig::default()
    });
    let links: Vec<LinkConfig> = links.collect();
    let dials = specs.into_iter().map(|spec| spec.dial).collect();
    let (dialer, mailboxes) = Dialer::spawn(dials, backoff, seed)
        .map_err(|e| EngineError::Start { what: "dialer", why: e.to_string() })?;
    Ok((dialer, links.into_iter().zip(mailboxes).map(|(link, mailbox)| WsLink::new(link, mailbox)).collect()))
}
