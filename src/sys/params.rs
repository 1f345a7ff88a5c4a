// SPDX-License-Identifier: GPL-2.0

//! SIDE's own module parameters. They are strings, which the `module!` macro cannot declare, so the
//! shim declares them.

use super::bindings;
use kernel::prelude::*;

/// Which parameter.
#[derive(Clone, Copy)]
pub(crate) enum Param {
    Driver,
    Params,
    Device,
}

/// The value of a string parameter, if it was given.
pub(crate) fn string(param: Param) -> Option<&'static [u8]> {
    let which = match param {
        Param::Driver => 0,
        Param::Params => 1,
        Param::Device => 2,
    };
    // SAFETY: the shim returns NULL or a string that lives as long as the module: the parameters
    // are read-only after load.
    let value = unsafe { bindings::side_param_string(which) };
    if value.is_null() {
        return None;
    }
    // SAFETY: as above.
    let bytes = unsafe { CStr::from_char_ptr(value.cast()) }.to_bytes();
    (!bytes.is_empty()).then_some(bytes)
}

/// `takeover=1`: devices that another driver holds are unbound from it.
pub(crate) fn takeover() -> bool {
    // SAFETY: reads a variable.
    unsafe { bindings::side_param_takeover() }
}

/// `allow_missing=1`: a driver with unknown imports loads and dies if it calls one.
pub(crate) fn allow_missing() -> bool {
    // SAFETY: reads a variable.
    unsafe { bindings::side_param_allow_missing() }
}
