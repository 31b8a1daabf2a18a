//! The bytes below the messages: a TLS record that was tampered with.

use wire::BookState;

use crate::peer::Relay;
use crate::rig::{Rig, endpoint, venue};

#[test]
fn a_damaged_tls_record_ends_the_connection() {
    let venue = venue();
    let relay = Relay::to(venue.addr().port());
    let stream = endpoint(relay.port, venue.cert_der());
    let rig = Rig::start(venue, |mut endpoints| {
        endpoints.stream = stream;
        endpoints
    })
    .expect("an engine");
    rig.resumes();
    for n in 1..=3 {
        rig.venue.refuse_new(true);
        relay.damage();
        rig.until("feed.down_tls", |r| r.counter("feed.down_tls") >= n);
        rig.until("book out of sync", |r| r.book() != BookState::InSync);
        rig.sends_nothing(|r| r.book() == BookState::Down);
        rig.venue.refuse_new(false);
        rig.resumes();
    }
    rig.stops_in_agreement();
}
