// SPDX-License-Identifier: GPL-2.0

//! Imports: timers, work, delays, clocks, power management.

use crate::side_stubs::policy::*;

pub(crate) const IMPORTS: &[Import] = &[
];
