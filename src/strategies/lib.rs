//! Strategies, one module each. Every one is pure logic behind [`strategy::Strategy`].

#![forbid(unsafe_code)]

pub mod quoter;
