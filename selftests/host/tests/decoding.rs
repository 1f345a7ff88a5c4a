// SPDX-License-Identifier: GPL-2.0

//! What a driver says to the kernel, from random bytes: the short form of `make fuzz`.

// `config_space` and `request` are not public outside their crate's own tree of modules.
#![allow(dead_code, unreachable_pub)]

#[path = "../../../side_stubs/arguments.rs"]
mod arguments;
#[path = "../../../side_stubs/config_space.rs"]
mod config_space;
#[path = "../../../side_stubs/contract.rs"]
mod contract;
#[path = "support/decoding.rs"]
mod decoding;
#[path = "../../../side_stubs/errname.rs"]
mod errname;
#[path = "../../../side_stubs/format.rs"]
mod format;
#[path = "../../../side_stubs/format_pointer.rs"]
mod format_pointer;
#[path = "../../../side_stubs/packet.rs"]
mod packet;
#[path = "../../../side_stubs/request.rs"]
mod request;
#[path = "../../../side_stubs/rings.rs"]
mod rings;

#[test]
fn nothing_that_a_driver_says_is_too_much() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = [0u8; 192];
    for turn in 0..300_000u32 {
        for place in &mut bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *place = (state >> 24) as u8;
        }
        bytes[0] = turn as u8;
        decoding::run(&bytes[..32 + (state % 160) as usize]);
    }
}
