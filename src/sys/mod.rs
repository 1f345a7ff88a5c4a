// SPDX-License-Identifier: GPL-2.0
//! FFI
pub(crate) mod bindings;
