//! Requests: version, code, fields, and nothing behind them.

use crate::mode::{Mode, ModeError};

/// Version of requests and replies.
pub const VERSION: u8 = 1;
/// Longest payload of a request, bytes.
pub const REQUEST_BYTES_MAX: usize = 64;
/// Longest trip id, bytes.
pub const TRIP_BYTES_MAX: usize = 16;

/// What may be asked of a running engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// How it stands.
    Status,
    /// Trip the kill switch.
    Kill,
    /// Re-arm the trip of this id.
    Rearm {
        /// As it was printed, 1 to [`TRIP_BYTES_MAX`] printable characters.
        trip: String,
    },
    /// The mode.
    Mode,
    /// Put a mode in force.
    SetMode {
        /// Which.
        to: Mode,
        /// It is meant, even where the table asks twice.
        confirmed: bool,
    },
    /// The open orders.
    Orders,
    /// Cancel everything now.
    CancelAll,
}

/// What a peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Observer,
    /// Everything.
    Operator,
}

impl Role {
    /// Name for records.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Observer => "observer",
            Role::Operator => "operator",
        }
    }
}

/// Why bytes are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Another version.
    #[error("version {version}, this engine speaks {VERSION}: use the corelane-ctl that was built with it")]
    Version {
        /// As given.
        version: u8,
    },
    /// No such request.
    #[error("no request has code {code}")]
    Code {
        /// As given.
        code: u8,
    },
    /// Too few bytes for its fields.
    #[error("the request is cut off")]
    Short,
    /// Bytes behind its fields.
    #[error("{bytes} bytes behind the request's fields")]
    Behind {
        /// How many.
        bytes: usize,
    },
    /// A trip id that none can be.
    #[error("a trip id has 1 to {TRIP_BYTES_MAX} letters, digits and dashes")]
    Trip,
    /// A mode that does not exist.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// A yes or no that is neither.
    #[error("confirmation is {value}, must be 0 or 1")]
    Confirmation {
        /// As given.
        value: u8,
    },
}

impl Request {
    /// Who may ask this.
    pub const fn role(&self) -> Role {
        match self {
            Request::Status | Request::Mode | Request::Orders => Role::Observer,
            _ => Role::Operator,
        }
    }

    /// The payload of its frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        match self {
            Request::Status => bytes.push(1),
            Request::Kill => bytes.push(2),
            Request::Rearm { trip } => {
                let trip = &trip.as_bytes()[..trip.len().min(TRIP_BYTES_MAX)];
                bytes.extend([3, trip.len() as u8]);
                bytes.extend(trip);
            }
            Request::Mode => bytes.push(4),
            Request::SetMode { to, confirmed } => bytes.extend([5, *to as u8, *confirmed as u8]),
            Request::Orders => bytes.push(6),
            Request::CancelAll => bytes.push(7),
        }
        bytes
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn decode(payload: &[u8]) -> Result<Request, RequestError> {
        let mut bytes = payload.iter().copied();
        let mut next = || bytes.next().ok_or(RequestError::Short);
        match next()? {
            VERSION => {}
            version => return Err(RequestError::Version { version }),
        }
        let request = match next()? {
            1 => Request::Status,
            2 => Request::Kill,
            3 => {
                let len = usize::from(next()?);
                if !(1..=TRIP_BYTES_MAX).contains(&len) {
                    return Err(RequestError::Trip);
                }
                let mut trip = String::with_capacity(len);
                for _ in 0..len {
                    let byte = next()?;
                    if !(byte.is_ascii_alphanumeric() || byte == b'-') {
                        return Err(RequestError::Trip);
                    }
                    trip.push(char::from(byte));
                }
                Request::Rearm { trip }
            }
            4 => Request::Mode,
            5 => {
                let to = Mode::from_u8(next()?)?;
                let confirmed = match next()? {
                    0 => false,
                    1 => true,
                    value => return Err(RequestError::Confirmation { value }),
                };
                Request::SetMode { to, confirmed }
            }
            6 => Request::Orders,
            7 => Request::CancelAll,
            code => return Err(RequestError::Code { code }),
        };
        match bytes.len() {
            0 => Ok(request),
            bytes => Err(RequestError::Behind { bytes }),
        }
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Request::Status => write!(f, "status"),
            Request::Kill => write!(f, "kill"),
            Request::Rearm { trip } => write!(f, "rearm {trip}"),
            Request::Mode => write!(f, "mode"),
            Request::SetMode { to, confirmed: false } => write!(f, "mode {to}"),
            Request::SetMode { to, confirmed: true } => write!(f, "mode {to} confirmed"),
            Request::Orders => write!(f, "orders"),
            Request::CancelAll => write!(f, "cancel-all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Vec<Request> {
        let mut all =
            vec![Request::Status, Request::Kill, Request::Mode, Request::Orders, Request::CancelAll];
        all.push(Request::Rearm { trip: "7K3F-9Q2M".into() });
        for to in Mode::ALL {
            all.extend([false, true].map(|confirmed| Request::SetMode { to, confirmed }));
        }
        all
    }

    #[test]
    fn every_request_is_read_as_it_was_written_and_not_a_byte_more_or_less() {
        for request in all() {
            let bytes = request.encode();
            assert!(bytes.len() <= REQUEST_BYTES_MAX);
            assert_eq!(Request::decode(&bytes), Ok(request.clone()));
            for cut in 0..bytes.len() {
                assert!(Request::decode(&bytes[..cut]).is_err(), "{request} cut to {cut}");
            }
            let longer = [bytes, vec![0]].concat();
            assert_eq!(Request::decode(&longer), Err(RequestError::Behind { bytes: 1 }));
        }
    }

    #[test]
    fn what_is_no_request_is_named() {
        for (bytes, error) in [
            (&[2, 1][..], RequestError::Version { version: 2 }),
            (&[1, 0], RequestError::Code { code: 0 }),
            (&[1, 8], RequestError::Code { code: 8 }),
            (&[1, 3, 0], RequestError::Trip),
            (&[1, 3, 17], RequestError::Trip),
            (&[1, 3, 1, b'\n'], RequestError::Trip),
            (&[1, 5, 4, 0], RequestError::Mode(ModeError::Unknown)),
            (&[1, 5, 0, 2], RequestError::Confirmation { value: 2 }),
        ] {
            assert_eq!(Request::decode(bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn only_looking_is_for_observers() {
        let looking: Vec<String> =
            all().iter().filter(|r| r.role() == Role::Observer).map(ToString::to_string).collect();
        assert_eq!(looking, ["status", "mode", "orders"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(request) = Request::decode(&bytes) {
                prop_assert_eq!(request.encode(), bytes, "one way to write each");
            }
        }

        #[test]
        fn bytes_that_nearly_are_one_survive(code in 0u8..9, fields in proptest::collection::vec(any::<u8>(), 0..24)) {
            let bytes = [vec![VERSION, code], fields].concat();
            if let Ok(request) = Request::decode(&bytes) {
                prop_assert_eq!(request.encode(), bytes);
            }
        }
    }
}
