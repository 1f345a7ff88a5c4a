// SPDX-License-Identifier: GPL-2.0

//! Imports: messages.

use crate::side_stubs::policy::*;

pub(crate) const IMPORTS: &[Import] = &[
];
