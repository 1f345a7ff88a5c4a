// SPDX-License-Identifier: GPL-2.0

//! Fuzz target: any bytes as what a driver says to the kernel, through everything that takes it apart
//! and can be built for the host.

#![allow(dead_code, unreachable_pub)]

#[path = "../../side_stubs/arguments.rs"]
mod arguments;
#[path = "../../side_stubs/config_space.rs"]
mod config_space;
#[path = "../../side_stubs/contract.rs"]
mod contract;
#[path = "../host/tests/support/decoding.rs"]
mod decoding;
#[path = "../../side_stubs/errname.rs"]
mod errname;
#[path = "../../side_stubs/format.rs"]
mod format;
#[path = "../../side_stubs/format_pointer.rs"]
mod format_pointer;
#[path = "../../side_stubs/packet.rs"]
mod packet;
#[path = "../../side_stubs/request.rs"]
mod request;
#[path = "../../side_stubs/rings.rs"]
mod rings;

/// Runs one input.
///
/// # Safety
///
/// `data` points to `size` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32 {
    if size != 0 {
        // SAFETY: By the contract of this function.
        decoding::run(unsafe { core::slice::from_raw_parts(data, size) });
    }
    0
}
