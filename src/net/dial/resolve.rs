//! Name to addresses, with a deadline that `getaddrinfo` itself does not have.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;

use super::{Deadline, DialError, Endpoint};

/// Look-ups that may hang at once, in the whole process. The system gives a dead name server up after some tens of
/// seconds, so the bound is reached only when several links fail together.
const LOOKUPS_MAX: usize = 16;

static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

/// One running look-up; its end frees the place.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        // Relaxed: the count guards no other memory.
        let step = |count| (count < LOOKUPS_MAX).then_some(count + 1);
        LOOKUPS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok().map(|_| Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Addresses in the resolver's order. Literal addresses and a given address ask nobody; a name is looked up on a
/// thread of its own, which is left behind when the deadline passes and ends by itself.
pub(super) fn resolve(endpoint: &Endpoint, deadline: Deadline) -> Result<Vec<SocketAddr>, DialError> {
    let literal = endpoint.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    if let Some(address) = endpoint.address.or(literal) {
        return Ok(vec![SocketAddr::new(address, endpoint.port)]);
    }
    let failed = |what: String| DialError::Resolve { host: endpoint.host.clone(), what };
    let place = Place::take().ok_or_else(|| failed(format!("{LOOKUPS_MAX} look-ups are already hanging")))?;
    let (answer, answers) = sync_channel::<io::Result<Vec<SocketAddr>>>(1);
    let (host, port) = (endpoint.host.clone(), endpoint.port);
    let look_up = move || {
        let _place = place;
        let result = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // The asker may have given up.
        let _ = answer.send(result);
    };
    thread::Builder::new()
        .name("resolve".to_owned())
        .spawn(look_up)
        .map_err(|error| failed(error.to_string()))?;
    match answers.recv_timeout(deadline.left()?) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(failed("no address".to_owned())),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(RecvTimeoutError::Timeout) => Err(deadline.timeout()),
        Err(RecvTimeoutError::Disconnected) => Err(failed("look-up thread died".to_owned())),
    }
}
