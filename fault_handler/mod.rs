// SPDX-License-Identifier: GPL-2.0

//! Stand-in.
pub mod frame;
