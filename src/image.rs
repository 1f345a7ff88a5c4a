// SPDX-License-Identifier: GPL-2.0

//! A loaded driver file: where its parts lie in the domain.

/// What is known of a driver after it was laid out and mapped.
pub(crate) struct Image {
    /// Domain address of `init_module`, if the driver has one.
    pub(crate) init: Option<u64>,
    /// Domain address of `cleanup_module`.
    pub(crate) exit: Option<u64>,
}
