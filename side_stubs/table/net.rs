// SPDX-License-Identifier: GPL-2.0

//! Imports: net_device, NAPI, sk_buff, ethtool.

use crate::side_stubs::policy::*;

pub(crate) const IMPORTS: &[Import] = &[
];
