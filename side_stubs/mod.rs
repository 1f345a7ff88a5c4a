// SPDX-License-Identifier: GPL-2.0

//! The driver's side of the kernel: what each import is, what a call to it must satisfy, and the
//! handlers that carry it out.
//!
//! `contract` is what ring 3 and ring 0 both know, `table` declares every import in one line,
//! `handlers` does the work in ring 0, `ring3` is the library that answers local imports.

// The kernel module and the host tests each use a part of the pure layers.
#![allow(unreachable_pub)]

pub(crate) mod arguments;
pub(crate) mod config_space;
pub(crate) mod contract;
mod errname;
pub(crate) mod format;
mod format_pointer;
pub(crate) mod handlers;
pub(crate) mod iova;
pub(crate) mod pace;
pub(crate) mod packet;
pub(crate) mod policy;
pub(crate) mod request;
pub(crate) mod ring3;
pub(crate) mod rings;
pub(crate) mod setters;
pub(crate) mod table;
