// SPDX-License-Identifier: GPL-2.0

//! The fault handler: what a domain did, and what becomes of it.
//!
//! When ring 3 leaves by an exception, the run loop asks this folder three things, in order: what
//! happened (`classify`, with the help of `decode`), what to do (`verdict`: go on, emulate, or end
//! the domain), and what to tell the user (`report`). Nothing here touches a machine register or
//! a domain's memory: bytes and facts come in through arguments and small traits, a verdict goes
//! out, and the mechanism in `src/` carries it out. So all of it runs in host tests.
//!
//! Reading order: [`frame`], [`decode`], [`emulate`], [`classify`], [`verdict`], [`ring`],
//! [`report`].

// The module uses less of the decoder's findings than the tests compare, and what is public is so
// for the host tests' crate.
#![allow(dead_code, unreachable_pub)]

mod accesses;
pub mod bug;
pub mod classify;
pub mod decode;
pub mod emulate;
pub mod frame;
pub mod kinds;
mod opcodes;
pub mod recovery;
pub mod report;
pub mod ring;
pub mod verdict;
pub mod watch;
