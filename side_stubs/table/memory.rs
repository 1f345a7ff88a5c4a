// SPDX-License-Identifier: GPL-2.0

//! Imports: heap, pages, strings and bytes.

use crate::side_stubs::policy::*;

pub(crate) const IMPORTS: &[Import] = &[
];
