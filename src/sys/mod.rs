// SPDX-License-Identifier: GPL-2.0

//! The quarantine for the kernel's C interfaces: each file wraps one of them so that callers need
//! no `unsafe`, and nothing above this folder names the bindings' functions.

pub(crate) mod access;
pub(crate) mod bindings;
pub(crate) mod cpu;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod ring3;

/// The function pointer by which the kernel is to call the proxy `$function`, a
/// `#[no_mangle] unsafe extern "C" fn` of this folder.
macro_rules! entry {
    ($function:path) => {
        $function
    };
}
pub(crate) use entry;
