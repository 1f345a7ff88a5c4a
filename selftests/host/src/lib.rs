// SPDX-License-Identifier: GPL-2.0

//! The pure layers as an ordinary crate: the same files that the kernel module is made of, so
//! what is tested here is what runs there. Their unit tests stand beside the code; tests that
//! need files or much time stand in `tests/`.

#[path = "../../../fault_handler/mod.rs"]
pub mod fault_handler;
#[path = "../../../import_rewriter/mod.rs"]
pub mod import_rewriter;

// Single pure files of folders that also hold kernel code.
#[path = "../../../side_stubs/arguments.rs"]
pub mod arguments;
// The module uses parts that no test names.
#[allow(dead_code)]
#[path = "../../../side_stubs/config_space.rs"]
pub mod config_space;
#[path = "../../../side_stubs/contract.rs"]
pub mod contract;
#[path = "../../../side_stubs/errname.rs"]
mod errname;
#[path = "../../../side_stubs/format.rs"]
pub mod format;
#[path = "../../../side_stubs/format_pointer.rs"]
mod format_pointer;
#[allow(dead_code)]
#[path = "../../../side_stubs/iova.rs"]
pub mod iova;
#[path = "../../../side_stubs/pace.rs"]
pub mod pace;
#[path = "../../../side_stubs/packet.rs"]
pub mod packet;
#[allow(dead_code)]
#[path = "../../../side_stubs/request.rs"]
pub mod request;
#[path = "../../../side_stubs/rings.rs"]
pub mod rings;
#[path = "../../../side_stubs/setters.rs"]
pub mod setters;
// The module uses what no test names.
#[allow(dead_code)]
#[path = "../../../src/pages/entry.rs"]
pub mod page_entry;
