//! iceoryx2, publish-subscribe of one to one, in its fastest fit: `local` between threads, `ipc` between processes.
//!
//! It moves references to samples in shared memory, and pays for what a ring does not have: samples of any size,
//! many subscribers, late joiners. Batches it has not.

use std::os::unix::net::UnixStream;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use ::iceoryx2::port::publisher::Publisher;
use ::iceoryx2::port::subscriber::Subscriber;
use ::iceoryx2::port::update_connections::UpdateConnections;
use ::iceoryx2::prelude::*;
use ::iceoryx2::service::Service;
use ::iceoryx2::service::port_factory::PortFactory as _;
use ::iceoryx2::service::port_factory::publish_subscribe::PortFactory;

use crate::contract::{Across, CAPACITY, Failure, Rx, Task, Transport, Tx};
use crate::record::Record;
use crate::sides::{hand_text, take_text};

/// eclipse-iceoryx/iceoryx2 over a service variant.
pub(crate) struct Iceoryx<S>(std::marker::PhantomData<S>);

type Sample = [u64; 8];

type Topic<S> = PortFactory<S, Sample, ()>;

pub(crate) struct Sender<S: Service> {
    port: Publisher<S, Sample, ()>,
    service: Topic<S>,
    _node: Node<S>,
}

pub(crate) struct Receiver<S: Service> {
    port: Subscriber<S, Sample, ()>,
    _service: Topic<S>,
    _node: Node<S>,
}

/// Tells the services of one run, and of runs at one time, apart.
static LINKS: AtomicU64 = AtomicU64::new(0);

fn service<S: Service>(name: &str) -> Result<(Node<S>, Topic<S>), Failure> {
    set_log_level(LogLevel::Error);
    let node = NodeBuilder::new().create::<S>().map_err(|e| format!("node: {e:?}"))?;
    let service = node
        .service_builder(&ServiceName::new(name).map_err(|e| format!("{name}: {e:?}"))?)
        .publish_subscribe::<Sample>()
        .max_publishers(1)
        .max_subscribers(1)
        .history_size(0)
        .subscriber_max_buffer_size(CAPACITY)
        .enable_safe_overflow(false)
        .open_or_create()
        .map_err(|e| format!("service: {e:?}"))?;
    Ok((node, service))
}

impl<S: Service + 'static> Transport for Iceoryx<S> {
    const NAME: &'static str = "iceoryx2";
    const CRATE: Option<&'static str> = Some("iceoryx2");
    const TASKS: &'static [Task] = &[Task::PingPong, Task::Single];
    type Host = ();
    type TxPlace = String;
    type RxPlace = String;
    type Tx = Sender<S>;
    type Rx = Receiver<S>;

    fn host() -> Result<(), Failure> {
        Ok(())
    }

    fn link((): &(), _task: Task) -> Result<(String, String), Failure> {
        let link = LINKS.fetch_add(1, Ordering::Relaxed);
        let name = format!("corelane/rivals/{}/{link}", process::id());
        Ok((name.clone(), name))
    }

    fn sender(name: String) -> Result<Sender<S>, Failure> {
        let (node, service) = service::<S>(&name)?;
        // A full subscriber refuses at once, as every candidate does; waiting is the loop's.
        let port = service
            .publisher_builder()
            .backpressure_strategy(BackpressureStrategy::DiscardData)
            .create()
            .map_err(|e| format!("publisher: {e:?}"))?;
        Ok(Sender { port, service, _node: node })
    }

    fn receiver(name: String) -> Result<Receiver<S>, Failure> {
        let (node, service) = service::<S>(&name)?;
        let port = service.subscriber_builder().create().map_err(|e| format!("subscriber: {e:?}"))?;
        Ok(Receiver { port, _service: service, _node: node })
    }
}

impl<S: Service + 'static> Across for Iceoryx<S> {
    fn hand_sender(name: &String, to: &UnixStream) -> Result<(), Failure> {
        hand_text(name, to)
    }

    fn hand_receiver(name: &String, to: &UnixStream) -> Result<(), Failure> {
        hand_text(name, to)
    }

    fn take_sender(from: &UnixStream) -> Result<String, Failure> {
        take_text(from)
    }

    fn take_receiver(from: &UnixStream) -> Result<String, Failure> {
        take_text(from)
    }
}

impl<S: Service> Tx for Sender<S> {
    fn connected(&mut self) -> bool {
        self.service.dynamic_config().number_of_subscribers() > 0 && self.port.update_connections().is_ok()
    }

    #[inline(always)]
    fn send(&mut self, record: &Record) -> bool {
        let Ok(sample) = self.port.loan_uninit() else { return false };
        sample.write_payload(record.0).send().is_ok_and(|subscribers| subscribers > 0)
    }
}

impl<S: Service> Rx for Receiver<S> {
    #[inline(always)]
    fn receive(&mut self) -> Option<Record> {
        self.port.receive().ok().flatten().map(|sample| Record(*sample.payload()))
    }
}
