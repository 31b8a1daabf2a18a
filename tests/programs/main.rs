//! The programs as an operator meets them: real processes on loopback, told what to do by `corelane-ctl`, judged by what
//! the venue received.

mod apart;
mod check;
mod hostile;
mod rig;
mod sequence;
mod steer;
