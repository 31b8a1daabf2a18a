//! Accepting, and waiting for whatever is ready.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::ServerConn;
use crate::socket::{self, Interest};

/// A non-blocking listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
}

impl Listener {
    /// Binds and listens; port zero takes a free one.
    ///
    /// # Errors
    /// The system's error.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// The bound address, with the port that was chosen.
    ///
    /// # Errors
    /// The system's error.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection, non-blocking and with `TCP_NODELAY`; `None` when none waits.
    ///
    /// # Errors
    /// The system's error, such as a full descriptor table.
    pub fn accept(&self) -> io::Result<Option<TcpStream>> {
        match self.socket.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                Ok(Some(stream))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    // A peer that gave up while queued is not our failure.
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Sleeps until the listener or one of the connections is ready, or `timeout` has passed. Returns how many are.
/// Stalled connections wake nobody by having bytes to read.
///
/// # Errors
/// The error of `poll(2)`.
pub fn wait<'a>(
    listener: Option<&Listener>,
    connections: impl IntoIterator<Item = &'a ServerConn>,
    timeout: Duration,
) -> io::Result<usize> {
    let listening =
        listener.map(|listener| Interest { fd: listener.socket.as_raw_fd(), read: true, write: false });
    let connected = connections.into_iter().filter_map(ServerConn::interest);
    let interests: Vec<Interest> = listening.into_iter().chain(connected).collect();
    socket::wait(&interests, timeout)
}
