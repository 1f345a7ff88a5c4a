// SPDX-License-Identifier: GPL-2.0

//! Fuzz target: any bytes as a driver file, through the whole import rewriter.
//!
//! The first byte says how long the parameter line behind it is; the rest is the file. The
//! coverage-guided engine calls [`LLVMFuzzerTestOneInput`]; a panic ends the process, which the
//! engine reports together with the input.

#![allow(dead_code)]

#[path = "../../import_rewriter/mod.rs"]
pub mod import_rewriter;
#[path = "../host/tests/support/pipeline.rs"]
mod pipeline;

const BASE: u64 = 0x4000_0000;

/// Runs one input.
///
/// # Safety
///
/// `data` points to `size` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32 {
    if size == 0 {
        return 0;
    }
    // SAFETY: By the contract of this function.
    let input = unsafe { core::slice::from_raw_parts(data, size) };
    let (length, rest) = (usize::from(input[0]), &input[1..]);
    let (line, file) = rest.split_at(length.min(rest.len()));
    if let Err(error) = pipeline::load(file, BASE, line) {
        assert!(!error.to_string().contains('\n'));
    }
    0
}
