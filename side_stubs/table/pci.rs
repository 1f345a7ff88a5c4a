// SPDX-License-Identifier: GPL-2.0

//! Imports: PCI, DMA, interrupts.

use crate::side_stubs::policy::*;

pub(crate) const IMPORTS: &[Import] = &[
];
