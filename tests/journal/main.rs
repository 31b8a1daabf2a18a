//! The journal of the whole engine: what was recorded is replayed, hash for hash; what cannot be recorded shuts the
//! gate; what is cut off by a death is whole up to its last record.

mod crash;
mod faults;
mod planted;
mod rig;
mod runs;
