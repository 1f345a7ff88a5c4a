// SPDX-License-Identifier: GPL-2.0

//! What bindgen makes of `bindings.h`. Only this folder names it.

#![allow(
    clippy::all,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::missing_safety_doc,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    clashing_extern_declarations,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unknown_lints,
    unnecessary_transmutes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused
)]

use kernel::ffi;

// bindgen is told to leave these to us, so that sizes are `usize`.
type __kernel_size_t = usize;
type __kernel_ssize_t = isize;
type __kernel_ptrdiff_t = isize;

include!(concat!(env!("SIDE_OBJ"), "/src/sys/bindings_generated.rs"));
