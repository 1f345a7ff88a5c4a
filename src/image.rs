// SPDX-License-Identifier: GPL-2.0

//! A loaded driver file: where its parts lie in the domain.

use crate::import_rewriter::layout::{Layout, Placement};
use kernel::prelude::*;

/// What is known of a driver after it was laid out and mapped.
pub(crate) struct Image {
    /// Domain address of `init_module`, if the driver has one.
    pub(crate) init: Option<u64>,
    /// Domain address of `cleanup_module`.
    pub(crate) exit: Option<u64>,
    /// Bytes of the image in the domain.
    pub(crate) size: u64,
    /// The driver's own parameters as they were given.
    pub(crate) params: KVec<u8>,
    /// Where each section of the file lies in the image.
    pub(crate) placements: KVVec<Option<Placement>>,
    /// The image's shape.
    pub(crate) layout: Layout,
    /// The image as it was mapped, for tables that the fault handler reads.
    pub(crate) relocated: KVVec<u8>,
    /// The file, decompressed: its symbol table names addresses in reports.
    pub(crate) file: KVVec<u8>,
    /// Names of imports that SIDE does not know, if `allow_missing` let them pass: stub
    /// `table::COUNT + n` stands for the nth.
    pub(crate) missing: KVec<KVec<u8>>,
}
